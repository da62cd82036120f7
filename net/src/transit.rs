//! What a shard has on its way to others: asks that their owners have not taken in yet, with the record bytes in them.
//!
//! A message between shards never waits for room, so who takes in work counts. An ask counts from when it is sent until
//! its owner says that it is done with its bytes: they are in pages then, or refused. With too much on its way a shard
//! reads no socket, so at most `BYTES_MAX` and the request that went beyond are ever between shards, of small frames and
//! large ones alike, and whatever became of the connections they came from.
//!
//! ```text
//!   asker:  sent(bytes) ---- Ask, Ask, Ask ----> owner: took(bytes), at once, whether or not it has room
//!           taken(sum)  <--- Taken(sum) -------         now and then
//! ```
//! An owner never waits before it takes an ask, so every count comes back and no circle of shards waits.

use std::cell::{Cell, RefCell};

use model::ShardId;
use rt::notify::Notify;

/// Bytes of one shard that are on their way to others. One request may go beyond.
const BYTES_MAX: usize = 64 << 20;
/// Owners may keep this part of `BYTES_MAX` to themselves, all together, before they say what they took.
const UNSAID_SHARE: usize = 4;

pub(crate) struct Transit {
    /// Sent to any other shard, and not known to be taken.
    under_way: Cell<usize>,
    eased: Notify,
    /// Taken from each shard, and not said yet.
    unsaid: RefCell<Vec<usize>>,
    /// From here on it is said.
    unsaid_max: usize,
}

impl Transit {
    pub(crate) fn new(shard_count: u16) -> Self {
        let count = usize::from(shard_count);
        let (under_way, eased) = (Cell::default(), Notify::new());
        let unsaid_max = BYTES_MAX / UNSAID_SHARE / count.max(1);
        Self { under_way, eased, unsaid: RefCell::new(vec![0; count]), unsaid_max }
    }

    /// As the asker: this much has gone out.
    pub(crate) fn sent(&self, bytes: usize) {
        self.under_way.set(self.under_way.get() + bytes);
    }

    /// As the asker: an owner has taken this much.
    pub(crate) fn taken(&self, bytes: usize) {
        let left = self.under_way.get().checked_sub(bytes);
        self.under_way.set(left.expect("an owner takes what was sent to it"));
        if self.has_room() {
            self.eased.wake_all();
        }
    }

    /// As the owner: this much of `from` is done with. Answers what to say to it, if that is due.
    pub(crate) fn took(&self, from: ShardId, bytes: usize) -> Option<usize> {
        let mut unsaid = self.unsaid.borrow_mut();
        let unsaid = &mut unsaid[usize::from(from.0)];
        *unsaid += bytes;
        (*unsaid >= self.unsaid_max).then(|| std::mem::take(unsaid))
    }

    pub(crate) fn has_room(&self) -> bool {
        self.under_way.get() < BYTES_MAX
    }

    pub(crate) async fn room(&self) {
        loop {
            let eased = self.eased.wait();
            if self.has_room() {
                return;
            }
            eased.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use model::{Millis, PartitionIndex, TopicId, TopicPartition};

    use super::*;
    use crate::{
        ask::{Acks, Ask, ProduceAsk, ProducePart},
        handlers::tests::world::World,
    };

    #[test]
    fn what_owners_keep_to_themselves_never_holds_a_shard_up() {
        for count in [2, 3, 64, 1024] {
            let (asker, owner) = (Transit::new(count), Transit::new(count));
            for n in 0..100_000 {
                // Each owner takes what it is sent, and says it when it is due.
                asker.sent(20_000 + n % 7);
                let from = ShardId((n % usize::from(count - 1)) as u16);
                if let Some(bytes) = owner.took(from, 20_000 + n % 7) {
                    asker.taken(bytes);
                }
                assert!(asker.has_room(), "{count} shards, after {n}");
            }
        }
    }

    /// Once the bytes of requests counted only until their handler had sent them on: a shard that was slow to take
    /// them let clients fill the memory of all others, and too many messages ended the process.
    #[test]
    fn a_shard_takes_in_no_more_than_owners_take_from_it() {
        let mut world = World::of(2);
        let shard = world.shards[0].clone();
        let batch = Bytes::from(vec![7; 1 << 20]);
        let ask = || {
            let id = TopicPartition::new(TopicId([9; 16]), PartitionIndex(0));
            let parts = vec![ProducePart { id, batch: batch.clone(), isr_min: 0 }];
            Ask::Produce(ProduceAsk { acks: Acks::All, deadline: Millis(u64::MAX), parts })
        };
        let mut sent = 0;
        while shard.has_room() {
            // Nobody waits for the answer: the bytes are under way all the same.
            drop(shard.asks().ask(ShardId(1), ask()));
            sent += batch.len();
            assert!(sent <= BYTES_MAX, "{sent} bytes wait for a shard that takes none");
        }
        let mut room = Box::pin(shard.room());
        assert!(world.drive_alone(room.as_mut()).is_none());
        world.settle_messages();
        assert!(world.drive_alone(room.as_mut()).is_some() && shard.has_room());
    }
}
