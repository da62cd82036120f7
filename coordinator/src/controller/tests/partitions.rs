use super::*;

fn grow(topic: &str, count: i32) -> CreatePartitions {
    CreatePartitions { topic: topic.to_owned(), count, assignments: None }
}

fn assigned(topic: &str, count: i32, assignments: &[&[i32]]) -> CreatePartitions {
    CreatePartitions { assignments: Some(assignments.iter().map(|a| ids(a)).collect()), ..grow(topic, count) }
}

#[test]
fn a_topic_grows_and_keeps_what_it_has() {
    let mut world = World::of(3);
    world.create(topic("t", 2, 2)).unwrap();
    let before = world.image.topic("t").unwrap().partitions.clone();
    let answers = world.decide(|c, _| c.create_partitions(&[grow("t", 5)], false));
    assert_eq!(answers, [Ok(())]);
    let after = &world.image.topic("t").unwrap().partitions;
    assert_eq!(after.len(), 5);
    assert_eq!(after[..2], before);
    assert!(after.iter().all(|partition| partition.replicas.len() == 2));
    world.decide(|c, _| c.create_partitions(&[assigned("t", 6, &[&[3, 1]])], false)).pop().unwrap().unwrap();
    assert_eq!(world.image.topic("t").unwrap().partitions[5].replicas, ids(&[3, 1]));
}

#[test]
fn growth_is_refused_with_kafkas_code() {
    use ErrorCode::*;
    let mut world = World::of(2);
    world.create(topic("t", 2, 1)).unwrap();
    world.create(topic("u", 1, 1)).unwrap();
    let check = |asked: &[CreatePartitions], expected: &[ErrorCode]| {
        let controller = Controller::new(&world.image, &world.config);
        let decision = controller.create_partitions(asked, false);
        assert_eq!(decision.answer.into_iter().map(code).collect::<Vec<_>>(), expected, "{asked:?}");
    };
    check(&[grow("t", 3)], &[ErrorCode::None]);
    check(&[grow("t", 2)], &[InvalidPartitions]);
    check(&[grow("t", 0)], &[InvalidPartitions]);
    check(&[grow("t", -1)], &[InvalidPartitions]);
    check(&[grow("t", i32::MAX)], &[PolicyViolation]);
    check(&[grow("v", 3), grow("t", 3)], &[UnknownTopicOrPartition, ErrorCode::None]);
    check(&[grow("t", 3), grow("u", 3), grow("t", 4)], &[InvalidRequest, ErrorCode::None, InvalidRequest]);
    check(&[grow("t", 6000), grow("u", 6000)], &[ErrorCode::None, PolicyViolation]);
    check(&[assigned("t", 4, &[&[1]])], &[InvalidReplicaAssignment]);
    check(&[assigned("t", 3, &[&[1, 2]])], &[InvalidReplicaAssignment]);
    check(&[assigned("t", 3, &[&[7]])], &[InvalidReplicaAssignment]);
    check(&[assigned("t", 3, &[&[]])], &[InvalidReplicaAssignment]);
}

#[test]
fn validation_changes_nothing() {
    let mut world = World::of(1);
    world.create(topic("t", 2, 1)).unwrap();
    let before = world.image.clone();
    assert_eq!(world.decide(|c, _| c.create_partitions(&[grow("t", 3)], true)), [Ok(())]);
    assert_eq!(world.image, before);
}
