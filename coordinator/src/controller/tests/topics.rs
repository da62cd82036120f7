use model::PartitionIndex;

use super::*;
use crate::{
    config::{Cleanup, TopicConfig},
    metadata::ConfigResource,
};

#[test]
fn a_topic_begins_with_partitions_a_leader_and_an_id() {
    let mut world = World::of(3);
    let created = world.create(topic("t", 6, 2)).unwrap();
    assert_eq!((created.partitions, created.replication_factor), (6, 2));
    let topic = world.image.topic_by_id(created.id).unwrap();
    assert_eq!(topic.partitions.len(), 6);
    for partition in &topic.partitions {
        assert_eq!(partition.isr, partition.replicas);
        assert_eq!(partition.leader, Some(partition.replicas[0]));
        assert_eq!((partition.leader_epoch.0, partition.partition_epoch), (0, 0));
        assert_ne!(partition.replicas[0], partition.replicas[1]);
    }
    let leads = |id| topic.partitions.iter().filter(|p| p.leader == Some(BrokerId(id))).count();
    assert_eq!([leads(1), leads(2), leads(3)], [2, 2, 2]);
}

#[test]
fn minus_one_asks_for_the_brokers_default() {
    let mut world = World::with(3, &[("num.partitions", "4"), ("default.replication.factor", "2")]);
    let created = world.create(topic("t", -1, -1)).unwrap();
    assert_eq!((created.partitions, created.replication_factor), (4, 2));
}

#[test]
fn what_cannot_be_created_is_refused_with_kafkas_code() {
    use ErrorCode::*;
    let mut world = World::of(2);
    world.create(topic("there", 1, 1)).unwrap();
    world.create(topic("a.b", 1, 1)).unwrap();
    let with = |pairs: &[(&str, Option<&str>)]| CreateTopic {
        configs: pairs.iter().map(|(k, v)| (k.to_string(), v.map(str::to_owned))).collect(),
        ..topic("t", 1, 1)
    };
    let check = |asked: CreateTopic, expected| {
        let mut world =
            World { image: world.image.clone(), config: world.config.clone(), log: vec![], next_id: 0 };
        assert_eq!(code(world.create(asked.clone())), expected, "{asked:?}");
        assert!(expected == None || world.log.is_empty());
    };
    check(topic("t", 1, 1), None);
    check(topic("there", 1, 1), TopicAlreadyExists);
    check(topic("a_b", 1, 1), InvalidTopicException);
    check(topic("a b", 1, 1), InvalidTopicException);
    check(topic("", 1, 1), InvalidTopicException);
    check(topic("__cluster_metadata", 1, 1), InvalidRequest);
    check(topic("__consumer_offsets", 1, 1), None);
    check(topic("t", 0, 1), InvalidPartitions);
    check(topic("t", -2, 1), InvalidPartitions);
    check(topic("t", i32::MAX, 1), PolicyViolation);
    check(topic("t", 10_001, 1), PolicyViolation);
    check(topic("t", 1, 0), InvalidReplicationFactor);
    check(topic("t", 1, -2), InvalidReplicationFactor);
    check(topic("t", 1, 3), InvalidReplicationFactor);
    check(with(&[("retention.ms", Some("5"))]), None);
    check(with(&[("retention.ms", Option::None)]), InvalidConfig);
    check(with(&[("retention.ms", Some("x"))]), InvalidConfig);
    check(with(&[("nope", Some("1"))]), InvalidConfig);
    check(with(&[("compression.type", Some("lz4"))]), None);
    check(with(&[("compression.type", Some("lz5"))]), InvalidConfig);
    check(with(&[("retention.ms", Some("1")), ("retention.ms", Some("2"))]), InvalidRequest);
    check(with(&[("min.compaction.lag.ms", Some("9")), ("max.compaction.lag.ms", Some("5"))]), InvalidConfig);
}

#[test]
fn without_a_broker_nothing_can_be_created() {
    assert_eq!(code(World::of(0).create(topic("t", 1, 1))), ErrorCode::InvalidReplicationFactor);
}

#[test]
fn an_assignment_is_taken_as_it_is_or_refused() {
    use ErrorCode::{InvalidReplicaAssignment, InvalidRequest};
    let assigned = |assignments: &[(i32, &[i32])]| CreateTopic {
        assignments: assignments
            .iter()
            .map(|(index, replicas)| (PartitionIndex(*index), ids(replicas)))
            .collect(),
        ..topic("t", -1, -1)
    };
    let mut world = World::of(3);
    let created = world.create(assigned(&[(1, &[3, 1]), (0, &[2, 3])])).unwrap();
    assert_eq!((created.partitions, created.replication_factor), (2, 2));
    let partitions = &world.image.topic("t").unwrap().partitions;
    assert_eq!(partitions[0].replicas, ids(&[2, 3]));
    assert_eq!(partitions[1].leader, Some(BrokerId(3)));

    let check = |asked: CreateTopic, expected| assert_eq!(code(World::of(3).create(asked)), expected);
    check(assigned(&[(0, &[1]), (2, &[1])]), InvalidReplicaAssignment);
    check(assigned(&[(1, &[1])]), InvalidReplicaAssignment);
    check(assigned(&[(0, &[1]), (0, &[2])]), InvalidReplicaAssignment);
    check(assigned(&[(0, &[])]), InvalidReplicaAssignment);
    check(assigned(&[(0, &[1, 1])]), InvalidReplicaAssignment);
    check(assigned(&[(0, &[9])]), InvalidReplicaAssignment);
    check(assigned(&[(0, &[1]), (1, &[1, 2])]), InvalidReplicaAssignment);
    check(CreateTopic { partitions: 1, ..assigned(&[(0, &[1])]) }, InvalidRequest);
    check(CreateTopic { replication_factor: 1, ..assigned(&[(0, &[1])]) }, InvalidRequest);
}

#[test]
fn one_request_is_answered_topic_by_topic() {
    use ErrorCode::*;
    let mut world = World::of(1);
    let asked = ["a", "b", "b", "x.y", "x_y", "c"].map(|name| topic(name, 1, 1));
    let answers = world.decide(|controller, new_id| controller.create_topics(&asked, false, new_id));
    let codes: Vec<_> = answers.into_iter().map(code).collect();
    assert_eq!(codes, [None, InvalidRequest, InvalidRequest, None, InvalidTopicException, None]);
    let names: Vec<_> = world.image.topics().map(|topic| topic.name.to_string()).collect();
    assert_eq!(names, ["a", "c", "x.y"]);
}

#[test]
fn one_request_cannot_create_too_many_partitions_in_all() {
    let mut world = World::of(1);
    let asked = [topic("a", 6000, 1), topic("b", 6000, 1), topic("c", 4000, 1)];
    let answers = world.decide(|controller, new_id| controller.create_topics(&asked, true, new_id));
    let codes: Vec<_> = answers.into_iter().map(code).collect();
    assert_eq!(codes, [ErrorCode::None, ErrorCode::PolicyViolation, ErrorCode::None]);
}

#[test]
fn validation_answers_the_same_and_changes_nothing() {
    let mut world = World::of(1);
    let before = world.image.clone();
    let asked = [topic("a", 2, 1), topic("a b", 1, 1)];
    let validated = world.decide(|controller, new_id| controller.create_topics(&asked, true, new_id));
    assert_eq!(world.image, before);
    let created = world.decide(|controller, new_id| controller.create_topics(&asked, false, new_id));
    assert_eq!(validated[1], created[1]);
    let (validated, created) = (validated[0].clone().unwrap(), created[0].clone().unwrap());
    assert_eq!(CreatedTopic { id: created.id, ..validated }, created);
}

#[test]
fn configs_of_a_new_topic_hold_from_the_start() {
    let mut world = World::of(1);
    let configs = vec![("cleanup.policy".to_owned(), Some("compact".to_owned()))];
    let created = world.create(CreateTopic { configs, ..topic("t", 1, 1) }).unwrap();
    let entry = created.configs.iter().find(|entry| entry.name == "cleanup.policy").unwrap();
    assert_eq!(entry.value.as_deref(), Some("compact"));
    let config = TopicConfig::resolve("t", &world.image, &world.config);
    assert_eq!(config.cleanup_policy, Cleanup { delete: false, compact: true });
}

#[test]
fn reserved_and_used_ids_are_never_given() {
    let mut world = World::of(1);
    let used = world.create(topic("used", 1, 1)).unwrap().id;
    let good = TopicId([1; 16]);
    // The first six bits of 0xf8.. are the digit '-'.
    let mut offered = vec![good, used, TopicId([0xf8; 16]), TopicId::METADATA, TopicId::ZERO];
    let mut new_id = || offered.pop().unwrap();
    let controller = Controller::new(&world.image, &world.config);
    let decision = controller.create_topics(&[topic("t", 1, 1)], false, &mut new_id);
    assert_eq!(decision.answer[0].as_ref().unwrap().id, good);
    let mut offered = vec![TopicId([2; 16]), good, good];
    let decision = controller
        .create_topics(&[topic("t", 1, 1), topic("u", 1, 1)], false, &mut || offered.pop().unwrap());
    let ids: Vec<_> = decision.answer.iter().map(|created| created.as_ref().unwrap().id).collect();
    assert_eq!(ids, [good, TopicId([2; 16])]);
    let decision = controller.create_topics(&[topic("t", 1, 1)], false, &mut || used);
    assert_eq!(code(decision.answer[0].clone()), ErrorCode::UnknownServerError);
    assert!(decision.records.is_empty());
}

#[test]
fn metadata_creates_what_is_not_there() {
    let mut world = World::with(1, &[("num.partitions", "4"), ("offsets.topic.num.partitions", "7")]);
    let mut auto = |name: &str| world.decide(|controller, new_id| controller.auto_create(name, new_id));
    assert_eq!(auto("t").unwrap().partitions, 4);
    assert_eq!(code(auto("t")), ErrorCode::TopicAlreadyExists);
    assert_eq!(code(auto("a b")), ErrorCode::InvalidTopicException);
    // The factor of 3 that Kafka defaults to is more than a lone broker can give.
    let offsets = auto("__consumer_offsets").unwrap();
    assert_eq!((offsets.partitions, offsets.replication_factor), (7, 1));
    assert_eq!(auto("__transaction_state").unwrap().replication_factor, 1);
    auto("__share_group_state").unwrap();
    let config = TopicConfig::resolve("__transaction_state", &world.image, &world.config);
    assert_eq!((config.min_insync_replicas, config.segment_bytes), (1, 104_857_600));
    assert!(config.cleanup_policy.compact);
    assert!(is_internal("__consumer_offsets") && !is_internal("__mine"));
}

#[test]
fn nothing_is_created_by_itself_when_that_is_switched_off() {
    let mut world = World::with(1, &[("auto.create.topics.enable", "false")]);
    let mut auto = |name: &str| world.decide(|controller, new_id| controller.auto_create(name, new_id));
    assert_eq!(code(auto("t")), ErrorCode::UnknownTopicOrPartition);
    assert_eq!(code(auto("__consumer_offsets")), ErrorCode::None);
}

#[test]
fn a_topic_is_deleted_by_name_or_by_id() {
    let mut world = World::of(1);
    let mut create = |name: &str| world.create(topic(name, 1, 1)).unwrap().id;
    let (a, b) = (create("a"), create("b"));
    let delete = |world: &mut World, asked: &[TopicRef]| world.decide(|c, _| c.delete_topics(asked));
    let answers = delete(&mut world, &[TopicRef::Name("a".to_owned()), TopicRef::Id(b)]);
    let expected = [("a", a), ("b", b)].map(|(name, id)| Ok(DeletedTopic { name: name.to_owned(), id }));
    assert_eq!(answers, expected);
    assert_eq!(world.image.topics().len(), 0);
}

#[test]
fn what_cannot_be_deleted_is_refused_with_kafkas_code() {
    use ErrorCode::*;
    let mut world = World::of(1);
    let id = world.create(topic("a", 1, 1)).unwrap().id;
    let name = |name: &str| TopicRef::Name(name.to_owned());
    let mut check = |asked: &[TopicRef], expected: &[ErrorCode]| {
        let answers = world.decide(|c, _| c.delete_topics(asked));
        assert_eq!(answers.into_iter().map(code).collect::<Vec<_>>(), expected, "{asked:?}");
    };
    check(&[name("b"), name("__cluster_metadata")], &[UnknownTopicOrPartition, UnknownTopicOrPartition]);
    check(
        &[TopicRef::Id(TopicId([9; 16])), TopicRef::Id(TopicId::METADATA)],
        &[UnknownTopicId, UnknownTopicId],
    );
    check(&[TopicRef::Id(TopicId::ZERO)], &[InvalidRequest]);
    check(&[name("a"), TopicRef::Id(id)], &[InvalidRequest, InvalidRequest]);
    check(&[name("b"), name("b")], &[InvalidRequest, InvalidRequest]);
    check(&[name("a")], &[None]);

    let mut world = World::with(1, &[("delete.topic.enable", "false")]);
    world.create(topic("a", 1, 1)).unwrap();
    assert_eq!(
        code(world.decide(|c, _| c.delete_topics(&[name("a")])).pop().unwrap()),
        TopicDeletionDisabled
    );
}

#[test]
fn a_topic_created_again_is_another_topic() {
    let mut world = World::of(1);
    let configs = vec![("retention.ms".to_owned(), Some("5".to_owned()))];
    let first = world.create(CreateTopic { configs, ..topic("a", 1, 1) }).unwrap();
    world.decide(|c, _| c.delete_topics(&[TopicRef::Id(first.id)]));
    let second = world.create(topic("a", 1, 1)).unwrap();
    assert_ne!(first.id, second.id);
    assert_eq!(world.image.configs(&ConfigResource::Topic("a".to_owned())), None);
}
