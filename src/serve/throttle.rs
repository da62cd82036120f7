//! The replication throttle of one shard, as its feeders ask it. What it lets through is decided in `coordinator::throttle`.

use std::{cell::RefCell, time::Duration};

use coordinator::{
    BrokerConfig, Image,
    throttle::{ReplicationThrottle, Seat},
};
use model::{BrokerId, Millis, TopicPartition};
use replication::Pace;

pub struct Throttle {
    seat: Seat,
    state: RefCell<ReplicationThrottle>,
}

impl Throttle {
    pub fn new(seat: Seat) -> Self {
        Self { seat, state: RefCell::default() }
    }

    pub fn follow(&self, image: &Image, config: &BrokerConfig) {
        self.state.borrow_mut().follow(image, config, self.seat, rt::timer::now());
    }
}

impl Pace for Throttle {
    fn wait(&self, id: TopicPartition, follower: BrokerId, now: Millis) -> Duration {
        self.state.borrow_mut().wait(id, follower, now)
    }

    fn sent(&self, id: TopicPartition, follower: BrokerId, bytes: usize, now: Millis) {
        self.state.borrow_mut().sent(id, follower, bytes, now);
    }
}
