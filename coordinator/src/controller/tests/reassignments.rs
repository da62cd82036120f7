use model::PartitionIndex;

use super::*;
use ErrorCode::*;

fn refused(result: Result<(), Refusal>) -> ErrorCode {
    result.err().map_or(None, |refusal| refusal.code)
}

#[test]
fn what_is_so_already_is_granted_and_nothing_else() {
    let mut world = World::of(2);
    world.create(topic("t", 1, 1)).unwrap();
    let here = world.image.topic("t").unwrap().partitions[0].replicas[0];
    let there = world.image.brokers().map(|broker| broker.id).find(|id| *id != here).unwrap();
    let check = |topic, index, replicas: Option<&[BrokerId]>, change, expected| {
        let asked =
            Reassignment { topic, partition: PartitionIndex(index), replicas: replicas.map(<[_]>::to_vec) };
        let controller = Controller::new(&world.image, &world.config);
        assert_eq!(refused(controller.reassign(&asked, change)), expected, "{asked:?}");
    };
    check("t", 0, Some(&[here]), true, None);
    check("t", 0, Some(&[here]), false, None);
    check("t", 0, Some(&[]), true, InvalidReplicaAssignment);
    check("t", 0, Some(&[here, here]), true, InvalidReplicaAssignment);
    check("t", 0, Some(&[BrokerId(99)]), true, InvalidReplicaAssignment);
    check("t", 0, Some(&[BrokerId(-1)]), true, InvalidReplicaAssignment);
    check("t", 0, Some(&[there]), true, InvalidReplicaAssignment);
    check("t", 0, Some(&[here, there]), false, InvalidReplicationFactor);
    check("t", 0, Option::None, true, NoReassignmentInProgress);
    check("t", 1, Option::None, true, UnknownTopicOrPartition);
    check("t", -1, Some(&[here]), true, UnknownTopicOrPartition);
    check("u", 0, Some(&[here]), true, UnknownTopicOrPartition);
}

#[test]
fn a_partition_that_is_led_needs_no_election() {
    let mut world = World::of(1);
    world.create(topic("t", 1, 1)).unwrap();
    let controller = Controller::new(&world.image, &world.config);
    for election in [Election::Preferred, Election::Unclean] {
        let elect = |topic, index| controller.elect(topic, PartitionIndex(index), election).code;
        assert_eq!(elect("t", 0), ElectionNotNeeded);
        assert_eq!(elect("t", 1), UnknownTopicOrPartition);
        assert_eq!(elect("u", 0), UnknownTopicOrPartition);
    }
    assert_eq!(Election::from_code(2), Option::None);
}
