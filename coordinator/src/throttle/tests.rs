use model::{LeaderEpoch, TopicId};

use super::*;
use crate::metadata::{
    MetadataRecord, PeerAddress,
    record::{BrokerRegistrationRecord, ConfigRecord, PartitionStateRecord, TopicRecord},
};

const NOW: Millis = Millis(5000);
const TOPIC: TopicId = TopicId([7; 16]);
/// What may be sent at once: ten windows of a second.
const SECONDS: u64 = 10;

fn id(index: i32) -> TopicPartition {
    TopicPartition::new(TOPIC, PartitionIndex(index))
}

fn seat(broker: i32, shard: u16) -> Seat {
    Seat { broker: BrokerId(broker), shard: ShardId(shard), shard_count: 1 }
}

/// Brokers 1 to 4 of one shard each, and a topic "t".
struct World(Image);

impl World {
    fn new() -> Self {
        let mut world = Self(Image::new("c"));
        for broker in 1..=4 {
            world.apply(MetadataRecord::BrokerRegistration(BrokerRegistrationRecord {
                id: BrokerId(broker),
                incarnation: [1; 16],
                rack: None,
                endpoints: vec![],
                fenced: false,
                in_controlled_shutdown: false,
                peer: Some(PeerAddress { host: "h".into(), port: 1, shards: 1 }),
                directory_id: [1; 16],
            }));
        }
        world.apply(MetadataRecord::Topic(TopicRecord { id: TOPIC, name: "t".into() }));
        world
    }

    fn apply(&mut self, record: MetadataRecord) {
        self.0.apply(self.0.offset() + 1, &record).unwrap();
    }

    fn partition(&mut self, index: i32, replicas: &[i32], isr: &[i32]) {
        let ids = |ids: &[i32]| ids.iter().copied().map(BrokerId).collect::<Vec<_>>();
        self.apply(MetadataRecord::PartitionState(PartitionStateRecord {
            topic: TOPIC,
            index: PartitionIndex(index),
            leader: ids(isr).first().copied(),
            leader_epoch: LeaderEpoch(0),
            replicas: ids(replicas),
            isr: ids(isr),
            adding_replicas: vec![],
            removing_replicas: vec![],
            elr: vec![],
            last_known_leader: None,
            partition_epoch: 0,
        }));
    }

    fn set(&mut self, resource: ConfigResource, key: &str, value: &str) {
        let (key, value) = (key.to_owned(), Some(value.to_owned()));
        self.apply(MetadataRecord::Config(ConfigRecord { resource, key, value }));
    }

    fn lists(&mut self, leader: &str, follower: &str) {
        let topic = ConfigResource::Topic("t".into());
        self.set(topic.clone(), LEADER_REPLICAS, leader);
        self.set(topic, FOLLOWER_REPLICAS, follower);
    }

    fn throttle(&self, seat: Seat) -> ReplicationThrottle {
        let mut throttle = ReplicationThrottle::default();
        throttle.follow(&self.0, &BrokerConfig::default(), seat, NOW);
        throttle
    }
}

/// How many bytes a second a partition goes to a follower with; None: without a limit.
fn rate(throttle: &mut ReplicationThrottle, index: i32, follower: i32) -> Option<u64> {
    assert_eq!(throttle.wait(id(index), BrokerId(follower), NOW), Duration::ZERO, "it has sent nothing");
    const SENT: u64 = 1 << 24;
    throttle.sent(id(index), BrokerId(follower), SENT as usize, NOW);
    let wait = throttle.wait(id(index), BrokerId(follower), NOW);
    (!wait.is_zero()).then(|| {
        let seconds = wait.as_secs_f64() + SECONDS as f64;
        (SENT as f64 / seconds).round() as u64
    })
}

#[test]
fn only_named_replicas_that_are_not_in_sync_wait() {
    let mut world = World::new();
    world.partition(0, &[1, 2, 3], &[1, 2]);
    world.partition(1, &[1, 2, 3], &[1, 2]);
    world.partition(2, &[1, 2, 3], &[1, 2, 3]);
    world.set(ConfigResource::Broker(BrokerId(1)), LEADER_RATE, "1000");
    let check = |world: &World, index, follower, expected| {
        let found = rate(&mut world.throttle(seat(1, 0)), index, follower);
        assert_eq!(found, expected, "partition {index} to {follower}");
    };
    check(&world, 0, 3, None);
    world.lists("0:1,2:1,1:2", "");
    check(&world, 0, 3, Some(1000));
    // Its leader is not named, and with all in sync there is nothing to catch up with.
    check(&world, 1, 3, None);
    check(&world, 2, 3, None);
    world.lists("*", "");
    check(&world, 1, 3, Some(1000));
    check(&world, 2, 3, None);
    world.lists("", "0:3");
    check(&world, 0, 3, None);
    world.set(ConfigResource::DefaultBroker, FOLLOWER_RATE, "500");
    check(&world, 0, 3, Some(500));
    world.set(ConfigResource::Broker(BrokerId(3)), FOLLOWER_RATE, "700");
    check(&world, 0, 3, Some(700));
    check(&world, 1, 3, None);
}

#[test]
fn the_slower_of_both_sides_decides() {
    let mut world = World::new();
    world.partition(0, &[1, 2], &[1]);
    world.lists("*", "*");
    world.set(ConfigResource::Broker(BrokerId(1)), LEADER_RATE, "1000");
    world.set(ConfigResource::Broker(BrokerId(2)), FOLLOWER_RATE, "300");
    assert_eq!(rate(&mut world.throttle(seat(1, 0)), 0, 2), Some(300));
    world.set(ConfigResource::Broker(BrokerId(2)), FOLLOWER_RATE, "3000");
    assert_eq!(rate(&mut world.throttle(seat(1, 0)), 0, 2), Some(1000));
}

#[test]
fn who_sends_under_one_rate_shares_it() {
    let mut world = World::new();
    // Brokers 1 and 2 send to 4; broker 3 has nothing to send.
    world.partition(0, &[1, 4], &[1]);
    world.partition(1, &[2, 4], &[2]);
    world.partition(2, &[3, 4], &[3, 4]);
    world.lists("", "*");
    world.set(ConfigResource::Broker(BrokerId(4)), FOLLOWER_RATE, "1000");
    assert_eq!(rate(&mut world.throttle(seat(1, 0)), 0, 4), Some(500));
    assert_eq!(rate(&mut world.throttle(seat(2, 0)), 1, 4), Some(500));
    // The shards of one broker.
    let mut world = World::new();
    (0..8).for_each(|index| world.partition(index, &[1, 2], &[1]));
    world.lists("*", "");
    world.set(ConfigResource::Broker(BrokerId(1)), LEADER_RATE, "1000");
    let mut rates = 0;
    for shard in 0..2 {
        let seat = Seat { shard_count: 2, ..seat(1, shard) };
        let owned = (0..8).find(|&index| id(index).owner(2) == ShardId(shard)).expect("both own some");
        let mut throttle = world.throttle(seat);
        rates += rate(&mut throttle, owned, 2).unwrap();
        let other = (0..8).find(|&index| id(index).owner(2) != ShardId(shard)).expect("both own some");
        assert_eq!(rate(&mut throttle, other, 2), None, "another shard sends it");
    }
    assert_eq!(rates, 1000);
}

#[test]
fn what_was_sent_flows_off_and_is_not_forgotten_with_a_change() {
    let mut world = World::new();
    world.partition(0, &[1, 2], &[1]);
    world.lists("*", "*");
    world.set(ConfigResource::Broker(BrokerId(1)), LEADER_RATE, "1000");
    let mut throttle = world.throttle(seat(1, 0));
    throttle.sent(id(0), BrokerId(2), 10_000, NOW);
    assert_eq!(throttle.wait(id(0), BrokerId(2), NOW), Duration::ZERO);
    throttle.sent(id(0), BrokerId(2), 2000, NOW);
    assert_eq!(throttle.wait(id(0), BrokerId(2), NOW), Duration::from_secs(2));
    world.set(ConfigResource::Topic("t".into()), "retention.ms", "1");
    throttle.follow(&world.0, &BrokerConfig::default(), seat(1, 0), NOW);
    assert_eq!(throttle.wait(id(0), BrokerId(2), NOW), Duration::from_secs(2));
    assert_eq!(throttle.wait(id(0), BrokerId(2), NOW + Duration::from_secs(1)), Duration::from_secs(1));
    // All in sync: nothing to wait for.
    world.partition(0, &[1, 2], &[1, 2]);
    throttle.follow(&world.0, &BrokerConfig::default(), seat(1, 0), NOW);
    assert_eq!(throttle.wait(id(0), BrokerId(2), NOW), Duration::ZERO);
}

#[test]
fn a_rate_of_nothing_stops_what_it_throttles() {
    let mut world = World::new();
    world.partition(0, &[1, 2], &[1]);
    world.lists("*", "");
    world.set(ConfigResource::Broker(BrokerId(1)), LEADER_RATE, "0");
    let mut throttle = world.throttle(seat(1, 0));
    throttle.sent(id(0), BrokerId(2), 1, NOW);
    assert!(throttle.wait(id(0), BrokerId(2), NOW) > Duration::from_secs(86_400));
}
