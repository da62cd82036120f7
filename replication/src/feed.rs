//! Partitions that have something new for one reader of them: a queue without doubles.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeSet, VecDeque},
};

use model::TopicPartition;
use rt::notify::Notify;

#[derive(Default)]
pub struct Feed {
    queue: RefCell<VecDeque<TopicPartition>>,
    queued: RefCell<BTreeSet<TopicPartition>>,
    some: Notify,
    closed: Cell<bool>,
}

impl Feed {
    /// Nothing more comes: what is queued is dropped.
    pub fn close(&self) {
        self.closed.set(true);
        self.queue.borrow_mut().clear();
        self.some.wake_all();
    }

    pub fn push(&self, id: TopicPartition) {
        if self.queued.borrow_mut().insert(id) {
            self.queue.borrow_mut().push_back(id);
            self.some.wake_all();
        }
    }

    pub fn pop(&self) -> Option<TopicPartition> {
        let id = self.queue.borrow_mut().pop_front()?;
        self.queued.borrow_mut().remove(&id);
        Some(id)
    }

    /// For one task. `None` once it is closed.
    pub async fn next(&self) -> Option<TopicPartition> {
        loop {
            let some = self.some.wait();
            if self.closed.get() {
                return None;
            }
            if let Some(id) = self.pop() {
                return Some(id);
            }
            some.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use model::{PartitionIndex, TopicId};

    use super::*;

    #[test]
    fn a_partition_stands_in_the_queue_once() {
        let id = |n| TopicPartition::new(TopicId([1; 16]), PartitionIndex(n));
        let feed = Feed::default();
        [1, 2, 1].into_iter().for_each(|n| feed.push(id(n)));
        assert_eq!(feed.pop(), Some(id(1)));
        feed.push(id(1));
        assert_eq!([feed.pop(), feed.pop(), feed.pop()], [Some(id(2)), Some(id(1)), None]);
    }
}
