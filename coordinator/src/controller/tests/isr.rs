use model::{LeaderEpoch, PartitionIndex};

use super::*;
use ErrorCode::*;

/// Partition 0 of "t" on brokers 1, 2, 3, of which 3 is fenced; broker 4 has none.
fn world() -> World {
    let mut world = World::of(4);
    let assignments = vec![(PartitionIndex(0), ids(&[1, 2, 3]))];
    world.create(CreateTopic { assignments, ..topic("t", -1, -1) }).unwrap();
    world.decide(|c, _| c.fence(BrokerId(3)));
    world
}

fn proposal(world: &World, isr: &[i32]) -> PartitionIsr {
    let topic = world.image.topic("t").unwrap();
    PartitionIsr {
        topic: topic.id,
        index: PartitionIndex(0),
        leader_epoch: topic.partitions[0].leader_epoch,
        partition_epoch: topic.partitions[0].partition_epoch,
        isr: ids(isr).into_iter().map(IsrMember::from).collect(),
    }
}

fn ask(world: &World, broker: i32, parts: Vec<PartitionIsr>) -> AlterPartition {
    let broker_epoch = world.image.broker(BrokerId(broker)).unwrap().epoch;
    AlterPartition { broker: BrokerId(broker), broker_epoch, parts }
}

#[test]
fn the_leader_says_who_is_in_sync() {
    let mut world = world();
    let asked = ask(&world, 1, vec![proposal(&world, &[1])]);
    let answer = world.decide(|c, _| c.alter_partition(&asked)).unwrap().pop().unwrap().unwrap();
    assert_eq!((answer.leader, answer.isr, answer.partition_epoch), (Some(BrokerId(1)), ids(&[1]), 2));
    world.unfence(3);
    let asked = ask(&world, 1, vec![proposal(&world, &[1, 3])]);
    world.decide(|c, _| c.alter_partition(&asked)).unwrap().pop().unwrap().unwrap();
    // Once more says nothing new.
    let asked = ask(&world, 1, vec![proposal(&world, &[1, 3])]);
    let decision = Controller::new(&world.image, &world.config).alter_partition(&asked);
    assert!(decision.records.is_empty());
    assert_eq!(decision.answer.unwrap()[0].as_ref().unwrap().partition_epoch, 3);
}

#[test]
fn a_proposal_is_refused_with_kafkas_code() {
    let world = world();
    let check = |broker, parts: Vec<PartitionIsr>, expected: &[ErrorCode]| {
        let asked = ask(&world, broker, parts);
        let decision = Controller::new(&world.image, &world.config).alter_partition(&asked);
        let codes: Vec<_> = decision.answer.unwrap().into_iter().map(code).collect();
        assert_eq!(codes, expected, "{asked:?}");
    };
    let good = proposal(&world, &[1]);
    let (leader_epoch, partition_epoch) = (good.leader_epoch.0, good.partition_epoch);
    let at = |leader_epoch, partition_epoch| PartitionIsr {
        leader_epoch: LeaderEpoch(leader_epoch),
        partition_epoch,
        ..good.clone()
    };
    let unknown = PartitionIsr { topic: TopicId([9; 16]), ..good.clone() };
    check(1, vec![unknown.clone(), good.clone()], &[UnknownTopicId, None]);
    check(1, vec![PartitionIsr { index: PartitionIndex(1), ..good.clone() }], &[UnknownTopicOrPartition]);
    check(1, vec![at(leader_epoch + 1, partition_epoch)], &[NotController]);
    check(1, vec![at(leader_epoch, partition_epoch + 1)], &[NotController]);
    check(1, vec![at(leader_epoch - 1, partition_epoch)], &[FencedLeaderEpoch]);
    check(1, vec![at(leader_epoch, partition_epoch - 1)], &[InvalidUpdateVersion]);
    check(2, vec![good.clone()], &[InvalidRequest]);
    check(1, vec![proposal(&world, &[2])], &[InvalidRequest]);
    check(1, vec![proposal(&world, &[])], &[InvalidRequest]);
    check(1, vec![proposal(&world, &[1, 1])], &[InvalidRequest]);
    check(1, vec![proposal(&world, &[1, 4])], &[InvalidRequest]);
    check(1, vec![proposal(&world, &[1, 3])], &[IneligibleReplica]);
    check(1, vec![good.clone(), good.clone()], &[InvalidRequest, InvalidRequest]);

    let epoch = world.image.broker(BrokerId(2)).unwrap().epoch;
    let seen = |broker_epoch| {
        let member = IsrMember { broker: BrokerId(2), broker_epoch: Some(broker_epoch) };
        PartitionIsr { isr: vec![BrokerId(1).into(), member], ..good.clone() }
    };
    check(1, vec![seen(epoch)], &[None]);
    check(1, vec![seen(epoch - 1)], &[IneligibleReplica]);
}

#[test]
fn a_proposer_of_another_life_is_refused() {
    let mut world = world();
    let asked = ask(&world, 1, vec![proposal(&world, &[1])]);
    let old = AlterPartition { broker_epoch: asked.broker_epoch + 100, ..asked.clone() };
    assert_eq!(code(world.decide(|c, _| c.alter_partition(&old))), StaleBrokerEpoch);
    let unknown = AlterPartition { broker: BrokerId(9), ..asked };
    assert_eq!(code(world.decide(|c, _| c.alter_partition(&unknown))), StaleBrokerEpoch);
}

#[test]
fn a_broker_on_its_way_down_does_not_come_into_sync() {
    let mut world = world();
    let epoch = world.image.broker(BrokerId(1)).unwrap().epoch;
    let leaving = Heartbeat {
        broker: BrokerId(1),
        broker_epoch: epoch,
        metadata_offset: world.image.offset(),
        want_fence: false,
        want_shut_down: true,
    };
    world.decide(|c, _| c.heartbeat(&leaving)).unwrap();
    let asked = ask(&world, 2, vec![proposal(&world, &[1, 2])]);
    let answer = world.decide(|c, _| c.alter_partition(&asked)).unwrap().pop().unwrap();
    assert_eq!(code(answer), IneligibleReplica);
}
