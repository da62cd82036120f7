use model::PartitionIndex;

use super::*;
use ErrorCode::*;

/// Topic "t" with one partition on these brokers, of five.
fn world(replicas: &[i32]) -> World {
    let mut world = World::of(5);
    let assignments = vec![(PartitionIndex(0), ids(replicas))];
    world.create(CreateTopic { assignments, ..topic("t", -1, -1) }).unwrap();
    world
}

fn reassign(world: &mut World, replicas: Option<&[i32]>) -> ErrorCode {
    let asked = Reassignment { topic: "t", partition: PartitionIndex(0), replicas: replicas.map(ids) };
    code(world.decide(|c, _| c.reassign(&[asked], true)).pop().unwrap())
}

fn propose(world: &mut World, isr: &[i32]) -> ErrorCode {
    let (id, partition) = (world.image.topic("t").unwrap().id, first(world));
    let broker = partition.leader.unwrap();
    let part = PartitionIsr {
        topic: id,
        index: PartitionIndex(0),
        leader_epoch: partition.leader_epoch,
        partition_epoch: partition.partition_epoch,
        isr: ids(isr).into_iter().map(IsrMember::from).collect(),
    };
    let broker_epoch = world.image.broker(broker).unwrap().epoch;
    let asked = AlterPartition { broker, broker_epoch, parts: vec![part] };
    code(world.decide(|c, _| c.alter_partition(&asked)).unwrap().pop().unwrap())
}

fn first(world: &World) -> crate::metadata::Partition {
    world.image.topic("t").unwrap().partitions[0].clone()
}

#[track_caller]
fn check(world: &World, leader: i32, replicas: &[i32], isr: &[i32], adding: &[i32], removing: &[i32]) {
    let partition = first(world);
    assert_eq!(partition.leader, Some(BrokerId(leader)));
    assert_eq!((&partition.replicas, &partition.isr), (&ids(replicas), &ids(isr)));
    let moving = (partition.adding_replicas, partition.removing_replicas);
    assert_eq!(moving, (ids(adding), ids(removing)));
}

#[test]
fn a_request_is_refused_with_kafkas_code() {
    let mut world = world(&[1, 2]);
    let check = |topic, index, replicas: Option<&[i32]>, change, expected| {
        let asked = Reassignment { topic, partition: PartitionIndex(index), replicas: replicas.map(ids) };
        let controller = Controller::new(&world.image, &world.config);
        let decision = controller.reassign(std::slice::from_ref(&asked), change);
        assert_eq!(code(decision.answer.into_iter().next().unwrap()), expected, "{asked:?}");
        assert!(decision.records.is_empty());
    };
    check("t", 0, Some(&[1, 2]), false, None);
    check("t", 0, Some(&[]), true, InvalidReplicaAssignment);
    check("t", 0, Some(&[1, 1]), true, InvalidReplicaAssignment);
    check("t", 0, Some(&[99]), true, InvalidReplicaAssignment);
    check("t", 0, Some(&[-1]), true, InvalidReplicaAssignment);
    check("t", 0, Some(&[1]), false, InvalidReplicationFactor);
    check("t", 0, Option::None, true, NoReassignmentInProgress);
    check("t", 1, Option::None, true, UnknownTopicOrPartition);
    check("t", -1, Some(&[1]), true, UnknownTopicOrPartition);
    check("u", 0, Some(&[1]), true, UnknownTopicOrPartition);

    let twice = Reassignment { topic: "t", partition: PartitionIndex(0), replicas: Some(ids(&[3])) };
    let answers = world.decide(|c, _| c.reassign(&[twice.clone(), twice], true));
    assert_eq!(answers.into_iter().map(code).collect::<Vec<_>>(), [InvalidRequest, InvalidRequest]);
}

#[test]
fn a_move_is_done_when_all_that_stay_are_in_sync() {
    let mut world = world(&[1, 2]);
    assert_eq!(reassign(&mut world, Some(&[3, 4])), None);
    check(&world, 1, &[3, 4, 1, 2], &[1, 2], &[3, 4], &[1, 2]);
    let controller = Controller::new(&world.image, &world.config);
    let ongoing: Vec<_> = controller.ongoing_reassignments().map(|o| (o.topic, o.index.0)).collect();
    assert_eq!(ongoing, [("t", 0)]);

    assert_eq!(propose(&mut world, &[1, 2, 3]), None);
    check(&world, 1, &[3, 4, 1, 2], &[1, 2, 3], &[3, 4], &[1, 2]);
    // The proposer leaves, so another leads.
    assert_eq!(propose(&mut world, &[1, 2, 3, 4]), NewLeaderElected);
    check(&world, 3, &[3, 4], &[3, 4], &[], &[]);
    assert_eq!(first(&world).leader_epoch.0, 1);
}

#[test]
fn an_order_or_a_smaller_set_needs_no_move() {
    let mut world = world(&[1, 2, 3]);
    assert_eq!(reassign(&mut world, Some(&[2, 1, 3])), None);
    check(&world, 1, &[2, 1, 3], &[1, 2, 3], &[], &[]);
    assert_eq!(first(&world).leader_epoch.0, 0);
    assert_eq!(reassign(&mut world, Some(&[2, 3])), None);
    check(&world, 2, &[2, 3], &[2, 3], &[], &[]);
}

#[test]
fn a_cancelled_move_leaves_what_was() {
    let mut world = world(&[1, 2]);
    reassign(&mut world, Some(&[3, 4]));
    propose(&mut world, &[1, 3]);
    assert_eq!(reassign(&mut world, Option::None), None);
    check(&world, 1, &[1, 2], &[1], &[], &[]);
    assert_eq!(reassign(&mut world, Option::None), NoReassignmentInProgress);

    // None of the old ones is in sync any more.
    propose(&mut world, &[1, 2]);
    reassign(&mut world, Some(&[3, 4]));
    propose(&mut world, &[1, 3]);
    world.decide(|c, _| c.fence(BrokerId(1)));
    check(&world, 3, &[3, 4, 1, 2], &[3], &[3, 4], &[1, 2]);
    assert_eq!(reassign(&mut world, Option::None), InvalidReplicaAssignment);
    check(&world, 3, &[3, 4, 1, 2], &[3], &[3, 4], &[1, 2]);
    world.configure("unclean.leader.election.enable", "true");
    assert_eq!(reassign(&mut world, Option::None), None);
    check(&world, 2, &[1, 2], &[2], &[], &[]);
}

#[test]
fn a_new_move_takes_the_place_of_the_old_one() {
    let mut world = world(&[1, 2]);
    reassign(&mut world, Some(&[3, 4]));
    propose(&mut world, &[1, 2, 3]);
    assert_eq!(reassign(&mut world, Some(&[1, 5])), None);
    check(&world, 1, &[1, 5, 2], &[1, 2], &[5], &[2]);
    assert_eq!(reassign(&mut world, Some(&[1, 2])), None);
    check(&world, 1, &[1, 2], &[1, 2], &[], &[]);

    // Of those abandoned the last in sync stays until another is.
    reassign(&mut world, Some(&[3, 4]));
    propose(&mut world, &[1, 3]);
    world.decide(|c, _| c.fence(BrokerId(1)));
    assert_eq!(reassign(&mut world, Some(&[2, 5])), None);
    check(&world, 3, &[2, 5, 1, 3], &[3], &[5], &[1, 3]);
    assert_eq!(propose(&mut world, &[3, 2, 5]), NewLeaderElected);
    check(&world, 2, &[2, 5], &[2, 5], &[], &[]);
}

#[test]
fn elections_are_refused_with_kafkas_code() {
    let mut world = world(&[1, 2, 3]);
    let elect = |world: &mut World, topic, index, election| {
        code(world.decide(|c, _| c.elect(&[(topic, PartitionIndex(index))], election)).pop().unwrap())
    };
    for election in [Election::Preferred, Election::Unclean] {
        assert_eq!(elect(&mut world, "t", 0, election), ElectionNotNeeded);
        assert_eq!(elect(&mut world, "t", 1, election), UnknownTopicOrPartition);
        assert_eq!(elect(&mut world, "u", 0, election), UnknownTopicOrPartition);
    }
    assert_eq!(Election::from_code(2), Option::None);
    world.decide(|c, _| c.fence(BrokerId(1)));
    check(&world, 2, &[1, 2, 3], &[2, 3], &[], &[]);
    assert_eq!(elect(&mut world, "t", 0, Election::Preferred), PreferredLeaderNotAvailable);
    world.unfence(1);
    assert_eq!(elect(&mut world, "t", 0, Election::Preferred), PreferredLeaderNotAvailable);
    assert!(!world.decide(|c, _| c.preferred_imbalance(10)));
    check(&world, 2, &[1, 2, 3], &[2, 3], &[], &[]);
    propose(&mut world, &[1, 2, 3]);
    assert!(world.decide(|c, _| c.preferred_imbalance(1)));
    check(&world, 1, &[1, 2, 3], &[1, 2, 3], &[], &[]);

    reassign(&mut world, Some(&[2, 1, 3]));
    assert_eq!(elect(&mut world, "t", 0, Election::Preferred), None);
    check(&world, 2, &[2, 1, 3], &[1, 2, 3], &[], &[]);
    for id in [1, 3, 2] {
        world.decide(|c, _| c.fence(BrokerId(id)));
    }
    assert_eq!(elect(&mut world, "t", 0, Election::Unclean), EligibleLeadersNotAvailable);
    assert_eq!(elect(&mut world, "t", 0, Election::Preferred), PreferredLeaderNotAvailable);
    world.unfence(3);
    assert_eq!(first(&world).leader, Option::None);
    assert_eq!(elect(&mut world, "t", 0, Election::Unclean), None);
    check(&world, 3, &[2, 1, 3], &[3], &[], &[]);
}

#[test]
fn unclean_elections_begin_when_they_are_allowed() {
    let mut world = world(&[1, 2]);
    world.decide(|c, _| c.fence(BrokerId(2)));
    world.decide(|c, _| c.fence(BrokerId(1)));
    world.unfence(2);
    world.decide(|c, _| c.elect_leaderless(10));
    assert_eq!(first(&world).leader, Option::None);
    // A controller that was started with another configuration.
    let mut started_anew = World { config: BrokerConfig::parse([UNCLEAN]).unwrap(), ..copy(&world) };
    started_anew.decide(|c, _| c.elect_leaderless(10));
    check(&started_anew, 2, &[1, 2], &[2], &[], &[]);

    let whole_cluster = ConfigResource::DefaultBroker;
    for resource in [ConfigResource::Topic("t".to_owned()), whole_cluster] {
        let mut world = copy(&world);
        let (key, value) = UNCLEAN;
        let configs = vec![(key.to_owned(), Some(value.to_owned()))];
        let asked = [AlterConfigsRequest { resource, configs }];
        world.decide(|c, _| c.replace_configs(&asked, true));
        assert_eq!(first(&world).leader, Option::None, "it is only asked whether that may be");
        world.decide(|c, _| c.replace_configs(&asked, false));
        check(&world, 2, &[1, 2], &[2], &[], &[]);
    }
    // Of another topic.
    world.create(topic("other", 1, 1)).unwrap();
    let set = ConfigAlteration { key: UNCLEAN.0.into(), op: AlterOp::Set, value: Some(UNCLEAN.1.into()) };
    let resource = ConfigResource::Topic("other".to_owned());
    world.decide(|c, _| c.alter_configs(&[AlterConfigsRequest { resource, configs: vec![set] }], false));
    assert_eq!(first(&world).leader, Option::None);
}

#[test]
fn a_replica_that_comes_back_leads_where_unclean_elections_are_allowed() {
    let mut world = world(&[1, 2]);
    world.configure(UNCLEAN.0, UNCLEAN.1);
    world.decide(|c, _| c.fence(BrokerId(2)));
    world.decide(|c, _| c.fence(BrokerId(1)));
    assert_eq!(first(&world).leader, Option::None);
    world.unfence(2);
    check(&world, 2, &[1, 2], &[2], &[], &[]);
}

const UNCLEAN: (&str, &str) = ("unclean.leader.election.enable", "true");

fn copy(world: &World) -> World {
    World {
        image: world.image.clone(),
        config: world.config.clone(),
        log: world.log.clone(),
        next_id: world.next_id,
    }
}
