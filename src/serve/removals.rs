//! Partitions whose topic was deleted: their folders go in the background, one after another, and a new topic of the
//! same name waits until the old folder is out of its way. One a shard.

use std::{
    cell::RefCell,
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use engine::{Disk, Store};
use model::{PartitionIndex, TopicPartition};
use rt::notify::Notify;

#[derive(Default)]
pub struct Removals {
    queue: RefCell<VecDeque<(TopicPartition, Arc<str>)>>,
    /// Folders that are still there, the one being removed included.
    names: RefCell<BTreeSet<(Arc<str>, PartitionIndex)>>,
    changed: Notify,
}

impl Removals {
    pub fn add(&self, id: TopicPartition, topic: Arc<str>) {
        self.names.borrow_mut().insert((topic.clone(), id.partition));
        self.queue.borrow_mut().push_back((id, topic));
        self.changed.wake_all();
    }

    /// Returns when no old folder has this name.
    pub async fn make_way(&self, topic: &Arc<str>, partition: PartitionIndex) {
        let name = (topic.clone(), partition);
        loop {
            let changed = self.changed.wait();
            if !self.names.borrow().contains(&name) {
                return;
            }
            changed.await;
        }
    }

    /// Returns when nothing is left to be removed.
    pub async fn all_done(&self) {
        loop {
            let changed = self.changed.wait();
            if self.names.borrow().is_empty() {
                return;
            }
            changed.await;
        }
    }

    /// Begins no further removal; the next start finds what is left.
    pub fn give_up(&self) {
        self.queue.borrow_mut().clear();
    }

    /// Removes, for ever. One task a shard.
    pub async fn run<D: Disk>(&self, store: &Store<D>) {
        loop {
            let changed = self.changed.wait();
            let next = self.queue.borrow_mut().pop_front();
            let Some((id, topic)) = next else {
                changed.await;
                continue;
            };
            let unique = *uuid::Uuid::new_v4().as_bytes();
            if let Err(error) = store.delete_log(id, &topic, unique).await {
                tracing::error!(%topic, partition = %id.partition, %error, "the folder could not be removed");
            }
            self.names.borrow_mut().remove(&(topic, id.partition));
            self.changed.wake_all();
        }
    }
}
