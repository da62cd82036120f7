//! Partitions that have something new for one reader of them: two lines without doubles.
//!
//! ```text
//!   in front   who waits for an acknowledgement waits for these
//!   behind     a follower that catches up: each of them is half a megabyte and a read of the disk
//! ```
//! While many wait behind, those in front go first; but of so many turns one is for those behind, or a follower would never
//! come back to a leader that is always busy.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeSet, VecDeque},
};

use model::{BrokerId, TopicPartition};
use rt::notify::Notify;

/// Turns that those in front have before one that waits behind has its own, which is half a megabyte: with 16 KiB for each
/// in front, both lines get as much of a busy lane.
const FRONT_TURNS: usize = 32;

#[derive(Default)]
pub struct Feed {
    /// To whom the partitions are sent. A follower's feed, of what it has to say to its leader, has none.
    follower: Option<BrokerId>,
    front: Line,
    behind: Line,
    /// Since the last turn of one that waited behind.
    front_turns: Cell<usize>,
    some: Notify,
    closed: Cell<bool>,
}

#[derive(Default)]
struct Line {
    order: RefCell<VecDeque<TopicPartition>>,
    standing: RefCell<BTreeSet<TopicPartition>>,
}

impl Line {
    fn has(&self, id: TopicPartition) -> bool {
        self.standing.borrow().contains(&id)
    }

    /// Whether it was not there before.
    fn push(&self, id: TopicPartition) -> bool {
        let new = self.standing.borrow_mut().insert(id);
        if new {
            self.order.borrow_mut().push_back(id);
        }
        new
    }

    fn pop(&self) -> Option<TopicPartition> {
        let id = self.order.borrow_mut().pop_front()?;
        self.standing.borrow_mut().remove(&id);
        Some(id)
    }

    /// Whether it was there.
    fn remove(&self, id: TopicPartition) -> bool {
        let had = self.standing.borrow_mut().remove(&id);
        if had {
            self.order.borrow_mut().retain(|&other| other != id);
        }
        had
    }

    fn clear(&self) {
        self.order.borrow_mut().clear();
        self.standing.borrow_mut().clear();
    }
}

impl Feed {
    /// Of what is sent to that broker.
    pub fn to(follower: BrokerId) -> Self {
        Self { follower: Some(follower), ..Self::default() }
    }

    pub fn follower(&self) -> Option<BrokerId> {
        self.follower
    }

    /// Nothing more comes: what is queued is dropped.
    pub fn close(&self) {
        self.closed.set(true);
        self.front.clear();
        self.behind.clear();
        self.some.wake_all();
    }

    /// In front, also if it waits behind.
    pub fn push(&self, id: TopicPartition) {
        let waited = self.behind.remove(id);
        if self.front.push(id) && !waited {
            self.some.wake_all();
        }
    }

    /// Behind, unless it waits in front.
    pub fn push_behind(&self, id: TopicPartition) {
        if !self.front.has(id) && self.behind.push(id) {
            self.some.wake_all();
        }
    }

    /// To the front, if it waits behind.
    pub fn hasten(&self, id: TopicPartition) {
        if self.behind.remove(id) {
            self.front.push(id);
        }
    }

    pub fn pop(&self) -> Option<TopicPartition> {
        if self.front_turns.get() < FRONT_TURNS
            && let Some(id) = self.front.pop()
        {
            self.front_turns.set(self.front_turns.get() + 1);
            return Some(id);
        }
        self.front_turns.set(0);
        self.behind.pop().or_else(|| self.front.pop())
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

    fn id(n: i32) -> TopicPartition {
        TopicPartition::new(TopicId([1; 16]), PartitionIndex(n))
    }

    fn popped(feed: &Feed, count: usize) -> Vec<i32> {
        (0..count).filter_map(|_| feed.pop()).map(|id| id.partition.0).collect()
    }

    #[test]
    fn a_partition_stands_in_the_queue_once() {
        let feed = Feed::default();
        [1, 2, 1].into_iter().for_each(|n| feed.push(id(n)));
        assert_eq!(feed.pop(), Some(id(1)));
        feed.push(id(1));
        assert_eq!([feed.pop(), feed.pop(), feed.pop()], [Some(id(2)), Some(id(1)), None]);
    }

    #[test]
    fn who_is_in_sync_does_not_wait_for_those_that_catch_up() {
        let feed = Feed::default();
        (10..20).for_each(|n| feed.push_behind(id(n)));
        feed.push(id(1));
        assert_eq!(popped(&feed, 2), [1, 10]);
        feed.push(id(2));
        feed.push(id(1));
        assert_eq!(popped(&feed, 4), [2, 1, 11, 12]);
    }

    #[test]
    fn a_partition_stands_in_one_line_only() {
        let feed = Feed::default();
        feed.push(id(1));
        [1, 2, 3, 2].into_iter().for_each(|n| feed.push_behind(id(n)));
        feed.push(id(3));
        [1, 2, 4].into_iter().for_each(|n| feed.hasten(id(n)));
        assert_eq!(popped(&feed, 9), [1, 3, 2]);
        feed.push_behind(id(3));
        assert_eq!(popped(&feed, 9), [3]);
    }

    /// Both lines are never empty: of so many turns one is for those behind, and each of them comes to it.
    #[test]
    fn who_waits_behind_has_a_turn_after_so_many() {
        let feed = Feed::default();
        let mut behind = Vec::new();
        (100..103).for_each(|n| feed.push_behind(id(n)));
        for turn in 0..3 * (FRONT_TURNS + 1) {
            (1..3).for_each(|n| feed.push(id(n)));
            let next = feed.pop().unwrap();
            if next.partition.0 >= 100 {
                behind.push((turn, next.partition.0));
                feed.push_behind(next);
            }
        }
        let turns = |n| n * (FRONT_TURNS + 1) - 1;
        assert_eq!(behind, [(turns(1), 100), (turns(2), 101), (turns(3), 102)]);
    }

    #[test]
    fn a_closed_feed_holds_nothing() {
        let feed = Feed::default();
        feed.push(id(1));
        feed.push_behind(id(2));
        feed.close();
        assert_eq!(feed.pop(), None);
    }
}
