//! Random operations, most of them sensible: what is decided can be applied, what the log gives is what was applied live,
//! and a refusal leaves no record.

use std::collections::BTreeSet;

use model::PartitionIndex;
use proptest::prelude::*;

use super::*;
use crate::{
    config::{AlterOp, ConfigAlteration, TopicConfig, describe::describe},
    metadata::ConfigResource,
};

#[derive(Clone, Debug)]
enum Operation {
    Create(Vec<CreateTopic>, bool),
    AutoCreate(String),
    Delete(Vec<TopicRef>),
    Grow(Vec<CreatePartitions>, bool),
    Alter(Vec<AlterConfigsRequest<ConfigAlteration>>, bool),
    Replace(Vec<AlterConfigsRequest<(String, Option<String>)>>, bool),
    ProducerIds,
    Register(RegisterBroker),
}

/// Few names, so that operations meet; some collide and some are bad.
fn name() -> impl Strategy<Value = String> {
    let names = ["a", "b", "c", "x.y", "x_y", "bad name", "", "__consumer_offsets", "__cluster_metadata"];
    prop::sample::select(names.map(str::to_owned).to_vec())
}

fn broker() -> impl Strategy<Value = BrokerId> {
    (0..6).prop_map(BrokerId)
}

fn replicas() -> impl Strategy<Value = Vec<BrokerId>> {
    prop::collection::vec(broker(), 0..4)
}

fn pair() -> impl Strategy<Value = (String, String)> {
    let keys =
        ["retention.ms", "cleanup.policy", "durability", "message.max.bytes", "log.cleanup.policy", "nope"];
    let keys =
        keys.into_iter().chain(["consumer.session.timeout.ms", "max.compaction.lag.ms", "num.partitions"]);
    let values = ["1", "compact", "delete,compact", "memory", "50000", "-1", "junk", ""];
    let pick = |from: Vec<&'static str>| prop::sample::select(from).prop_map(str::to_owned);
    (pick(keys.collect()), pick(values.to_vec()))
}

fn create() -> impl Strategy<Value = CreateTopic> {
    let assignments = prop::collection::vec(((0..3).prop_map(PartitionIndex), replicas()), 0..3);
    let assignments = prop_oneof![3 => Just(vec![]), 1 => assignments];
    let configs = prop::collection::vec(pair().prop_map(|(key, value)| (key, Some(value))), 0..2);
    (name(), -1..5, -1_i16..4, assignments, configs).prop_map(
        |(name, partitions, replication_factor, assignments, configs)| CreateTopic {
            name,
            partitions,
            replication_factor,
            assignments,
            configs,
        },
    )
}

fn resource() -> impl Strategy<Value = ConfigResource> {
    prop_oneof![
        3 => name().prop_map(ConfigResource::Topic),
        1 => broker().prop_map(ConfigResource::Broker),
        1 => Just(ConfigResource::DefaultBroker),
        1 => name().prop_map(ConfigResource::Group),
    ]
}

fn alteration() -> impl Strategy<Value = ConfigAlteration> {
    let op = (0_i8..4).prop_map(|op| AlterOp::from_code(op).unwrap());
    (pair(), op).prop_map(|((key, value), op)| ConfigAlteration { key, op, value: Some(value) })
}

fn operation() -> impl Strategy<Value = Operation> {
    let some = 1..4_usize;
    let topic_ref = prop_oneof![
        name().prop_map(TopicRef::Name),
        (1000..1020_u128).prop_map(|n| TopicRef::Id(TopicId(n.to_be_bytes()))),
    ];
    let grow = (name(), -1..8, prop::option::of(prop::collection::vec(replicas(), 0..3)))
        .prop_map(|(topic, count, assignments)| CreatePartitions { topic, count, assignments });
    let request = |configs| AlterConfigsRequest { resource: ConfigResource::DefaultBroker, configs };
    let alter = (resource(), prop::collection::vec(alteration(), some.clone()))
        .prop_map(move |(resource, configs)| AlterConfigsRequest { resource, ..request(configs) });
    let replace = (resource(), prop::collection::vec(pair().prop_map(|(k, v)| (k, Some(v))), 0..3))
        .prop_map(|(resource, configs)| AlterConfigsRequest { resource, configs });
    let rack = prop::option::of(prop::sample::select(vec!["east", "west"]));
    prop_oneof![
        4 => (prop::collection::vec(create(), some.clone()), any::<bool>()).prop_map(|(t, v)| Operation::Create(t, v)),
        2 => name().prop_map(Operation::AutoCreate),
        2 => prop::collection::vec(topic_ref, some.clone()).prop_map(Operation::Delete),
        2 => (prop::collection::vec(grow, some.clone()), any::<bool>()).prop_map(|(t, v)| Operation::Grow(t, v)),
        3 => (prop::collection::vec(alter, some.clone()), any::<bool>()).prop_map(|(r, v)| Operation::Alter(r, v)),
        2 => (prop::collection::vec(replace, some), any::<bool>()).prop_map(|(r, v)| Operation::Replace(r, v)),
        1 => Just(Operation::ProducerIds),
        2 => (0..5, rack).prop_map(|(id, rack)| Operation::Register(registration(id, rack))),
    ]
}

/// How many parts of the operation were granted.
fn run(world: &mut World, operation: &Operation) -> usize {
    fn granted<T>(answers: &[Result<T, Refusal>]) -> usize {
        answers.iter().filter(|answer| answer.is_ok()).count()
    }
    world.decide(|c, new_id| match operation {
        Operation::Create(topics, validate) => {
            counted(c.create_topics(topics, *validate, new_id), |a| granted(a))
        }
        Operation::AutoCreate(name) => counted(c.auto_create(name, new_id), |a| usize::from(a.is_ok())),
        Operation::Delete(topics) => counted(c.delete_topics(topics), |a| granted(a)),
        Operation::Grow(topics, validate) => counted(c.create_partitions(topics, *validate), |a| granted(a)),
        Operation::Alter(requests, validate) => counted(c.alter_configs(requests, *validate), |a| granted(a)),
        Operation::Replace(requests, validate) => {
            counted(c.replace_configs(requests, *validate), |a| granted(a))
        }
        Operation::ProducerIds => counted(c.allocate_producer_ids(), |a| usize::from(a.is_ok())),
        Operation::Register(asked) => counted(c.register_broker(asked, false), |a| usize::from(a.is_ok())),
    })
}

fn counted<T>(decision: Decision<T>, count: impl FnOnce(&T) -> usize) -> Decision<usize> {
    Decision { answer: count(&decision.answer), records: decision.records }
}

fn check_invariants(world: &World) {
    let mut collisions = BTreeSet::new();
    for topic in world.image.topics() {
        assert!(names::check_name(&topic.name).is_ok());
        assert!(collisions.insert(topic.name.replace('.', "_")), "{} collides", topic.name);
        assert!(!topic.partitions.is_empty());
        for partition in &topic.partitions {
            let replicas: BTreeSet<_> = partition.replicas.iter().collect();
            assert_eq!(replicas.len(), partition.replicas.len());
            assert_eq!(partition.replicas.len(), topic.partitions[0].replicas.len());
            assert!(partition.leader.is_some_and(|leader| partition.isr.contains(&leader)));
            assert!(partition.isr.iter().all(|id| replicas.contains(id)));
        }
        // Whatever was stored can be read as types and shown.
        let config = world.config.with_dynamic(&world.image);
        TopicConfig::resolve(&topic.name, &world.image, &config);
        describe(&ConfigResource::Topic(topic.name.to_string()), &world.image, &config).unwrap();
    }
    let count: usize = world.image.topics().map(|topic| topic.partitions.len()).sum();
    assert_eq!(count, world.image.partition_count());
    for resource in world.image.config_resources() {
        if let ConfigResource::Topic(name) = resource {
            assert!(world.image.topic(name).is_some(), "configs of {name}, which is gone");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn the_log_gives_the_image_that_was_applied_live(
        operations in prop::collection::vec(operation(), 1..30),
        brokers in 0..4,
    ) {
        let mut world = World::of(brokers);
        for operation in &operations {
            let (before, length) = (world.image.clone(), world.log.len());
            let granted = run(&mut world, operation);
            if granted == 0 {
                prop_assert_eq!(world.log.len(), length, "refused, and yet written: {:?}", operation);
            }
            if world.log.len() == length {
                prop_assert_eq!(&world.image, &before);
            }
            let delta = before.delta(&world.image);
            let count = before.topics().len() + delta.appeared.len() - delta.vanished.len();
            prop_assert_eq!(count, world.image.topics().len());
        }
        check_invariants(&world);
        prop_assert_eq!(world.replayed(), world.image);
    }
}
