use model::{Offset, PartitionIndex};

use super::*;
use crate::{controller::heartbeats::CHANGES_MAX, raft::codec::BATCH_BYTES_MAX};

fn world(partitions: &[&[i32]]) -> World {
    let mut world = World::of(3);
    let indexes = (0..).map(PartitionIndex);
    let assignments = indexes.zip(partitions.iter().map(|replicas| ids(replicas))).collect();
    world.create(CreateTopic { assignments, ..topic("t", -1, -1) }).unwrap();
    world
}

fn heartbeat(world: &World, id: i32) -> Heartbeat {
    Heartbeat {
        broker: BrokerId(id),
        broker_epoch: world.image.broker(BrokerId(id)).unwrap().epoch,
        metadata_offset: world.image.offset(),
        want_fence: false,
        want_shut_down: false,
    }
}

/// Fenced, and told to shut down.
fn beat(world: &mut World, heartbeat: Heartbeat) -> (bool, bool) {
    let answer = world.decide(|c, _| c.heartbeat(&heartbeat)).unwrap();
    (answer.fenced, answer.should_shut_down)
}

/// The leader and those in sync, by index.
fn state(world: &World, index: usize) -> (Option<i32>, Vec<i32>) {
    let partition = &world.image.topic("t").unwrap().partitions[index];
    (partition.leader.map(|id| id.0), partition.isr.iter().map(|id| id.0).collect())
}

#[test]
fn a_broker_is_usable_once_it_knows_of_its_registration() {
    let mut world = World::of(1);
    let asked = RegisterBroker { fenced: true, ..registration(2, None) };
    world.decide(|c, _| c.register_broker(&asked, false)).unwrap();
    assert_eq!(code(world.create(topic("t", 1, 2))), ErrorCode::InvalidReplicationFactor);

    let now = heartbeat(&world, 2);
    let early = Heartbeat { metadata_offset: Offset(now.broker_epoch - 1), ..now };
    let answer = world.decide(|c, _| c.heartbeat(&early)).unwrap();
    assert_eq!((answer.fenced, answer.is_caught_up), (true, false));
    assert_eq!(beat(&mut world, Heartbeat { want_fence: true, ..now }), (true, false));
    assert_eq!(beat(&mut world, now), (false, false));
    world.create(topic("t", 1, 2)).unwrap();
    // The same life again stays what it is.
    world.decide(|c, _| c.register_broker(&asked, true)).unwrap();
    assert!(!world.image.broker(BrokerId(2)).unwrap().fenced);
    assert_eq!(beat(&mut world, Heartbeat { want_fence: true, ..now }), (true, false));
}

#[test]
fn an_unknown_broker_and_an_old_life_are_refused() {
    let mut world = World::of(1);
    let now = heartbeat(&world, 1);
    let refused = |world: &mut World, heartbeat| code(world.decide(|c, _| c.heartbeat(&heartbeat)));
    let other = Heartbeat { broker: BrokerId(9), ..now };
    assert_eq!(refused(&mut world, other), ErrorCode::BrokerIdNotRegistered);
    let old = Heartbeat { broker_epoch: now.broker_epoch - 1, ..now };
    assert_eq!(refused(&mut world, old), ErrorCode::StaleBrokerEpoch);
}

#[test]
fn a_fenced_broker_leads_nothing_and_leads_again_what_it_alone_has() {
    let mut world = world(&[&[1, 2], &[2, 1], &[1, 3]]);
    world.decide(|c, _| c.fence(BrokerId(3)));
    world.decide(|c, _| c.fence(BrokerId(1)));
    let states = |world: &World| (0..3).map(|index| state(world, index)).collect::<Vec<_>>();
    assert_eq!(states(&world), [(Some(2), vec![2]), (Some(2), vec![2]), (None, vec![1])]);
    let again = Controller::new(&world.image, &world.config).fence(BrokerId(1));
    assert!(again.records.is_empty() && world.image.broker(BrokerId(1)).unwrap().fenced);
    world.unfence(3);
    assert_eq!(state(&world, 2), (None, vec![1]));
    world.unfence(1);
    assert_eq!(states(&world), [(Some(2), vec![2]), (Some(2), vec![2]), (Some(1), vec![1])]);
}

#[test]
fn below_the_minimum_who_was_in_sync_may_lead() {
    let mut world = world(&[&[1, 2, 3]]);
    world.configure("min.insync.replicas", "2");
    for id in [3, 2, 1] {
        world.decide(|c, _| c.fence(BrokerId(id)));
    }
    let elr = |world: &World| world.image.topic("t").unwrap().partitions[0].elr.clone();
    assert_eq!((state(&world, 0), elr(&world)), ((None, vec![1]), ids(&[2])));
    world.unfence(3);
    assert_eq!(state(&world, 0), (None, vec![1]));
    world.unfence(2);
    assert_eq!((state(&world, 0), elr(&world)), ((Some(2), vec![2]), ids(&[1])));
}

/// With the minimum lowered, a leader alone commits: those that were eligible fall behind.
#[test]
fn a_lower_minimum_makes_nobody_eligible_who_falls_behind() {
    let mut world = world(&[&[1, 2, 3]]);
    world.configure("min.insync.replicas", "2");
    world.decide(|c, _| c.fence(BrokerId(3)));
    world.decide(|c, _| c.fence(BrokerId(2)));
    assert_eq!(world.image.topic("t").unwrap().partitions[0].elr, ids(&[2]));
    world.configure("min.insync.replicas", "1");
    assert_eq!(world.image.topic("t").unwrap().partitions[0].elr, []);
}

#[test]
fn a_broker_shuts_down_when_it_leads_nothing_that_others_could() {
    let mut world = world(&[&[1, 2], &[1, 3], &[2, 1]]);
    world.decide(|c, _| c.fence(BrokerId(3)));
    let now = Heartbeat { want_shut_down: true, ..heartbeat(&world, 1) };
    assert_eq!(beat(&mut world, now), (false, false));
    let states = |world: &World| (0..3).map(|index| state(world, index)).collect::<Vec<_>>();
    assert_eq!(states(&world), [(Some(2), vec![2]), (Some(1), vec![1]), (Some(2), vec![2])]);
    assert!(world.image.broker(BrokerId(1)).unwrap().in_controlled_shutdown);
    assert_eq!(code(world.create(topic("u", 1, 2))), ErrorCode::InvalidReplicationFactor);

    assert_eq!(beat(&mut world, now), (true, true));
    assert_eq!(state(&world, 1), (None, vec![1]));
    assert_eq!(beat(&mut world, now), (true, true));
    // In another life it leads what it alone has.
    let again = RegisterBroker { incarnation: [77; 16], fenced: true, ..registration(1, None) };
    world.decide(|c, _| c.register_broker(&again, false)).unwrap();
    world.unfence(1);
    assert_eq!(state(&world, 1), (Some(1), vec![1]));
}

#[test]
fn a_follower_shuts_down_at_once() {
    let mut world = world(&[&[1, 2]]);
    let now = Heartbeat { want_shut_down: true, ..heartbeat(&world, 2) };
    assert_eq!(beat(&mut world, now), (true, true));
    assert_eq!(state(&world, 0), (Some(1), vec![1]));
}

#[test]
fn one_id_has_one_living_broker() {
    let mut world = world(&[&[1, 2]]);
    let other = RegisterBroker { incarnation: [77; 16], fenced: true, ..registration(1, None) };
    let register = |world: &mut World, asked: &RegisterBroker, is_live| {
        code(world.decide(|c, _| c.register_broker(asked, is_live)))
    };
    assert_eq!(register(&mut world, &other, true), ErrorCode::DuplicateBrokerRegistration);
    assert_eq!(state(&world, 0), (Some(1), vec![1, 2]));
    assert_eq!(register(&mut world, &other, false), ErrorCode::None);
    assert_eq!(state(&world, 0), (Some(2), vec![2]));
    assert!(world.image.broker(BrokerId(1)).unwrap().fenced);

    let copied = RegisterBroker { directory_id: [2; 16], ..registration(3, None) };
    assert_eq!(register(&mut world, &copied, false), ErrorCode::InvalidRequest);
    let peer = |host: &str, port, shards| {
        let peer = Some(crate::metadata::PeerAddress { host: host.to_owned(), port, shards });
        RegisterBroker { peer, ..registration(3, None) }
    };
    assert_eq!(register(&mut world, &peer("h", 65_535, 1), false), ErrorCode::None);
    for asked in [peer("h", 65_535, 2), peer("h", 0, 1), peer("h", 1, 0), peer("", 1, 1)] {
        assert_eq!(register(&mut world, &asked, false), ErrorCode::InvalidRequest);
    }
}

#[test]
fn a_broker_with_another_disk_has_nothing() {
    let mut world = world(&[&[1, 2], &[1, 3]]);
    world.decide(|c, _| c.fence(BrokerId(3)));
    world.decide(|c, _| c.fence(BrokerId(1)));
    let fresh = RegisterBroker {
        incarnation: [77; 16],
        directory_id: [77; 16],
        fenced: true,
        ..registration(1, None)
    };
    world.decide(|c, _| c.register_broker(&fresh, false)).unwrap();
    world.unfence(1);
    world.unfence(3);
    assert_eq!(state(&world, 0), (Some(2), vec![2]));
    assert_eq!(state(&world, 1), (None, vec![]));
    assert_eq!(world.image.topic("t").unwrap().partitions[1].last_known_leader, Some(BrokerId(1)));
}

#[test]
fn a_forgotten_broker_stays_a_replica_and_has_nothing() {
    let mut world = world(&[&[1, 2], &[1, 3]]);
    world.decide(|c, _| c.fence(BrokerId(3)));
    world.decide(|c, _| c.unregister_broker(BrokerId(1))).unwrap();
    assert_eq!(state(&world, 0), (Some(2), vec![2]));
    assert_eq!(state(&world, 1), (None, vec![]));
    assert_eq!(world.image.topic("t").unwrap().partitions[1].replicas, ids(&[1, 3]));
    let again = world.decide(|c, _| c.unregister_broker(BrokerId(1)));
    assert_eq!(code(again), ErrorCode::BrokerIdNotRegistered);
}

/// So many partitions that a decision about all of them takes three.
fn crowded() -> World {
    const COUNT: usize = 2 * CHANGES_MAX + 10;
    let mut world = World::of(2);
    for n in 0..COUNT.div_ceil(10_000) {
        let (name, count) = (format!("t{n}"), 10_000.min(COUNT - 10_000 * n));
        world.create(topic(&name, count as i32, 2)).unwrap();
    }
    world
}

fn alone_in_sync(world: &World, id: i32) -> bool {
    let mut partitions = world.image.topics().flat_map(|topic| &topic.partitions);
    partitions.all(|partition| partition.isr == [BrokerId(id)])
}

/// Its records have to fit in one message to the other voters.
#[test]
fn a_broker_with_very_many_partitions_is_fenced_in_steps() {
    let mut world = crowded();
    let fence = |world: &mut World| {
        let records = Controller::new(&world.image, &world.config).fence(BrokerId(1)).records;
        let bytes: usize = records.iter().map(|record| record.encode().len()).sum();
        assert!(bytes < BATCH_BYTES_MAX / 2, "{bytes} bytes");
        world.decide(|c, _| c.fence(BrokerId(1)));
        world.image.broker(BrokerId(1)).unwrap().fenced
    };
    assert_eq!([fence(&mut world), fence(&mut world), fence(&mut world)], [false, false, true]);
    assert!(alone_in_sync(&world, 2));
}

/// It stays up until nobody counts on it.
#[test]
fn a_broker_with_very_many_partitions_stops_after_the_last_step() {
    let mut world = crowded();
    let fenced = heartbeat(&world, 1);
    let stop =
        |world: &mut World| beat(world, Heartbeat { want_fence: true, want_shut_down: true, ..fenced });
    let steps = [stop(&mut world), stop(&mut world), stop(&mut world)];
    assert_eq!(steps, [(false, false), (false, false), (true, true)]);
    assert!(alone_in_sync(&world, 2));
}

#[test]
fn a_broker_with_very_many_partitions_comes_again_and_goes_in_steps() {
    let mut world = crowded();
    let asked = RegisterBroker { fenced: true, incarnation: [77; 16], ..registration(1, None) };
    let mut steps = Vec::new();
    for _ in 0..3 {
        let answer = world.decide(|c, _| c.register_broker(&asked, false));
        steps.push(answer.err().map(|refusal| refusal.code));
    }
    let again = Some(ErrorCode::DuplicateBrokerRegistration);
    assert_eq!(steps, [again, again, None]);
    assert!(alone_in_sync(&world, 2));

    steps.clear();
    for _ in 0..3 {
        let answer = world.decide(|c, _| c.unregister_broker(BrokerId(2)));
        steps.push(answer.err().map(|refusal| refusal.code));
    }
    assert_eq!(steps, [Some(ErrorCode::RequestTimedOut), Some(ErrorCode::RequestTimedOut), None]);
    assert!(world.image.broker(BrokerId(2)).is_none());
}
