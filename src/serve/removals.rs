//! Partitions whose topic was deleted: their folders go in the background, one after another, and a new topic of the
//! same name waits until the old folder is out of its way. One a shard.

use std::{
    cell::RefCell,
    collections::{BTreeSet, VecDeque},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use engine::{Disk, Store};
use model::{PartitionIndex, TopicPartition};
use rt::notify::Notify;

#[derive(Default)]
pub struct Removals {
    queue: RefCell<VecDeque<(TopicPartition, Arc<str>)>>,
    /// Folders that are still there, the one being removed included.
    names: RefCell<BTreeSet<(Arc<str>, PartitionIndex)>>,
    /// Folders set aside, and when they may go, in that order.
    aside: RefCell<VecDeque<(Instant, PathBuf)>>,
    aside_changed: Notify,
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

    /// A folder that nobody opens any more goes after `delay`.
    pub fn set_aside(&self, folder: PathBuf, delay: Duration) {
        self.aside.borrow_mut().push_back((Instant::now() + delay, folder));
        self.aside_changed.wake_all();
    }

    /// Sets folders aside, for ever; they go after `delay` (Kafka's `log.segment.delete.delay.ms`, as it is by then). One
    /// task a shard.
    pub async fn run<D: Disk>(&self, store: &Store<D>, delay: impl Fn() -> Duration) {
        loop {
            let changed = self.changed.wait();
            let next = self.queue.borrow_mut().pop_front();
            let Some((id, topic)) = next else {
                changed.await;
                continue;
            };
            let unique = *uuid::Uuid::new_v4().as_bytes();
            match store.delete_log(id, &topic, unique).await {
                Ok(Some(folder)) => self.set_aside(folder, delay()),
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(%topic, partition = %id.partition, %error, "the folder could not be removed");
                }
            }
            self.names.borrow_mut().remove(&(topic, id.partition));
            self.changed.wake_all();
        }
    }

    /// Removes what was set aside when its time has come, for ever. What a stop leaves, the next start finds.
    pub async fn run_aside(&self) {
        loop {
            let changed = self.aside_changed.wait();
            let next = self.aside.borrow_mut().pop_front();
            let Some((due, folder)) = next else {
                changed.await;
                continue;
            };
            rt::timer::sleep(due.saturating_duration_since(Instant::now())).await;
            // The store has closed it and knows nothing of it any more. Gigabytes may go here: no open or flush waits.
            if let Err(error) = rt::file::remove_dir(&folder).await {
                tracing::error!(folder = %folder.display(), %error, "the folder could not be removed");
            }
        }
    }
}
