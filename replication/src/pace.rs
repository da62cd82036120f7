//! How fast followers that are not in sync may be sent what they lack. Who decides that knows topics and configs, which
//! this crate does not.

use std::time::Duration;

use model::{BrokerId, Millis, TopicPartition};

/// Asked by the feeders of one shard, for followers that are not in sync.
pub trait Pace {
    /// How long nothing more of that partition may go there.
    fn wait(&self, id: TopicPartition, follower: BrokerId, now: Millis) -> Duration;
    /// So many bytes of records went there.
    fn sent(&self, id: TopicPartition, follower: BrokerId, bytes: usize, now: Millis);
}

/// As fast as the lane carries it.
#[derive(Clone, Copy, Debug)]
pub struct Unhindered;

impl Pace for Unhindered {
    fn wait(&self, _: TopicPartition, _: BrokerId, _: Millis) -> Duration {
        Duration::ZERO
    }

    fn sent(&self, _: TopicPartition, _: BrokerId, _: usize, _: Millis) {}
}
