use model::ErrorCode;

use super::world::{BROKER, Seen, World, code};
use crate::wire::{
    ApiKey,
    messages::metadata::{MetadataRequestTopic, Request, ResponseView},
};

/// Name, error, partitions.
type Topics = Vec<(Option<String>, ErrorCode, usize)>;

fn read(seen: &Seen, version: i16) -> Topics {
    let view = ResponseView::decode(seen.body(ApiKey::Metadata, version), version).unwrap();
    assert_eq!(view.brokers.iter().map(|b| b.node_id).collect::<Vec<_>>(), [BROKER.0]);
    if version >= 1 {
        assert_eq!(view.controller_id, BROKER.0);
    }
    let topic = |topic: crate::wire::messages::metadata::MetadataResponseTopicView<'_>| {
        for partition in topic.partitions {
            assert_eq!((partition.error_code, partition.leader_id), (0, BROKER.0));
            assert_eq!(partition.isr_nodes.iter().collect::<Vec<_>>(), [BROKER.0]);
        }
        (topic.name.map(str::to_owned), code(topic.error_code), topic.partitions.len())
    };
    view.topics.iter().map(topic).collect()
}

fn named(names: &[&'static str]) -> Request<'static> {
    let topics =
        names.iter().map(|&name| MetadataRequestTopic { name: Some(name.into()), ..Default::default() });
    Request { topics: Some(topics.collect()), ..Request::default() }
}

fn good(name: &str, partitions: usize) -> (Option<String>, ErrorCode, usize) {
    (Some(name.to_owned()), ErrorCode::None, partitions)
}

#[test]
fn null_means_all_and_empty_means_none_but_in_version_0() {
    let mut world = World::of(2);
    world.topic("b", 2, &[]);
    world.topic("a", 1, &[]);
    let all = vec![good("a", 1), good("b", 2)];
    for version in 0..=13 {
        let empty = read(&world.call(version, &named(&[])), version);
        assert_eq!(empty, if version == 0 { all.clone() } else { vec![] }, "version {version}");
        if version > 0 {
            let null = Request { topics: None, ..Request::default() };
            assert_eq!(read(&world.call(version, &null), version), all, "version {version}");
        }
    }
}

#[test]
fn a_missing_topic_is_created_unless_somebody_forbids_it() {
    for shards in [1, 3] {
        let mut world = World::with(shards, &[("num.partitions", "4")]);
        let unknown = (Some("new".to_owned()), ErrorCode::UnknownTopicOrPartition, 0);
        let forbids = Request { allow_auto_topic_creation: false, ..named(&["new"]) };
        assert_eq!(read(&world.call(4, &forbids), 4), [unknown]);
        assert_eq!(read(&world.call(4, &named(&["new", "new"])), 4), [good("new", 4)]);
        assert_eq!(read(&world.call(1, &named(&["older"])), 1), [good("older", 4)]);
        for index in 0..4 {
            super::produce::produce(&mut world, "new", index, &super::world::batch(&["at once"]));
        }
    }
    let mut world = World::with(1, &[("auto.create.topics.enable", "false")]);
    let unknown = (Some("new".to_owned()), ErrorCode::UnknownTopicOrPartition, 0);
    assert_eq!(read(&world.call(4, &named(&["new"])), 4), [unknown]);
}

#[test]
fn names_that_are_none_are_refused_and_nothing_is_created() {
    let mut world = World::of(1);
    for name in ["", "a b", "..", "a/b"] {
        let expected = (Some(name.to_owned()), ErrorCode::InvalidTopicException, 0);
        assert_eq!(read(&world.call(9, &named(&[name])), 9), [expected]);
    }
    world.topic("a.b", 1, &[]);
    let collides = read(&world.call(9, &named(&["a_b"])), 9);
    assert_eq!(collides[0].1, ErrorCode::InvalidTopicException);
    assert_eq!(world.image().topics().len(), 1);
}

#[test]
fn topics_are_found_by_id() {
    let mut world = World::of(1);
    let id = world.topic("t", 2, &[]);
    let by_id = |id: [u8; 16]| {
        let topic = MetadataRequestTopic { topic_id: id, name: None };
        Request { topics: Some(vec![topic]), ..Request::default() }
    };
    assert_eq!(read(&world.call(12, &by_id(id.0)), 12), [good("t", 2)]);
    assert_eq!(read(&world.call(12, &by_id([9; 16])), 12), [(None, ErrorCode::UnknownTopicId, 0)]);
}

#[test]
fn brokers_are_named_by_the_listener_that_was_used() {
    let mut world = World::of(1);
    for (listener, expected) in [("PLAINTEXT", ("broker", 9092)), ("OTHER", ("elsewhere", 9093))] {
        let seen = world.call_on(listener, 9, &named(&[]));
        let view = ResponseView::decode(seen.body(ApiKey::Metadata, 9), 9).unwrap();
        let broker = view.brokers.iter().next().unwrap();
        assert_eq!((broker.host, broker.port), expected);
        assert_eq!(view.cluster_id, Some("cluster-1"));
    }
}
