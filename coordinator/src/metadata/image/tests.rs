use super::*;
use model::{LeaderEpoch, PartitionIndex};

use crate::metadata::{
    BrokerRecord, BrokerRegistrationRecord, ImageDelta, PartitionRecord, PartitionStateRecord, PeerAddress,
    ProducerIdsRecord, RemoveTopicRecord, UnregisterBrokerRecord,
};

fn id(n: u8) -> TopicId {
    TopicId([n; 16])
}

fn topic(n: u8, name: &str) -> MetadataRecord {
    MetadataRecord::Topic(TopicRecord { id: id(n), name: name.to_owned() })
}

fn partition(n: u8, index: i32, leader: i32) -> MetadataRecord {
    MetadataRecord::Partition(PartitionRecord {
        topic: id(n),
        index: PartitionIndex(index),
        leader: Some(BrokerId(leader)),
        leader_epoch: LeaderEpoch(0),
        replicas: vec![BrokerId(leader)],
        isr: vec![BrokerId(leader)],
        partition_epoch: 0,
    })
}

fn config(resource: ConfigResource, key: &str, value: Option<&str>) -> MetadataRecord {
    MetadataRecord::Config(ConfigRecord { resource, key: key.to_owned(), value: value.map(str::to_owned) })
}

fn remove(n: u8) -> MetadataRecord {
    MetadataRecord::RemoveTopic(RemoveTopicRecord { id: id(n) })
}

fn after(image: &Image, records: &[MetadataRecord]) -> Image {
    let mut next = image.clone();
    for record in records {
        next.apply(next.offset() + 1, record).unwrap();
    }
    next
}

fn names(topics: &[Arc<Topic>]) -> Vec<&str> {
    topics.iter().map(|topic| topic.name.as_ref()).collect()
}

#[test]
fn topics_are_found_by_name_and_by_id() {
    let image =
        after(&Image::new("c"), &[topic(2, "b"), topic(1, "a"), partition(2, 0, 7), partition(2, 1, 8)]);
    assert_eq!(image.topic("b"), image.topic_by_id(id(2)));
    assert_eq!(image.partition(id(2), PartitionIndex(1)).unwrap().leader, Some(BrokerId(8)));
    assert_eq!(image.partition(id(2), PartitionIndex(2)), None);
    assert_eq!(image.partition(id(2), PartitionIndex(-1)), None);
    assert_eq!(image.topics().map(|topic| topic.name.as_ref()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!((image.partition_count(), image.offset()), (2, Offset(3)));
    assert_eq!(image.cluster_id(), "c");
}

#[test]
fn a_published_image_never_changes() {
    let before = after(&Image::new("c"), &[topic(1, "a"), partition(1, 0, 7)]);
    let kept = before.clone();
    let _ = after(&before, &[partition(1, 0, 9), partition(1, 1, 9), remove(1)]);
    assert_eq!(before, kept);
    assert_eq!(kept.topic("a").unwrap().partitions.len(), 1);
}

#[test]
fn a_record_that_does_not_fit_changes_nothing() {
    let image = after(
        &Image::new("c"),
        &[topic(1, "a"), MetadataRecord::ProducerIds(ProducerIdsRecord { next: ProducerId(1000) })],
    );
    let check = |offset: i64, record: &MetadataRecord, expected: BadApply| {
        let mut next = image.clone();
        assert_eq!(next.apply(Offset(offset), record), Err(expected));
        assert_eq!(next, image);
    };
    check(1, &topic(3, "c"), BadApply::OffsetNotNext { last: Offset(1), got: Offset(1) });
    check(2, &topic(2, "a"), BadApply::TopicExists("a".to_owned()));
    check(2, &topic(1, "b"), BadApply::TopicExists("b".to_owned()));
    check(2, &partition(9, 0, 7), BadApply::UnknownTopic(id(9)));
    check(2, &remove(9), BadApply::UnknownTopic(id(9)));
    for index in [1, -1] {
        let index = PartitionIndex(index);
        let expected = BadApply::PartitionNotNext { topic: "a".to_owned(), count: 0, index };
        check(2, &partition(1, index.0, 7), expected);
    }
    let back = MetadataRecord::ProducerIds(ProducerIdsRecord { next: ProducerId(0) });
    check(2, &back, BadApply::ProducerIdsMoveBack { from: ProducerId(1000), to: ProducerId(0) });
}

#[test]
fn a_removed_topic_takes_its_configs_along() {
    let of_topic = ConfigResource::Topic("a".to_owned());
    let image = after(
        &Image::new("c"),
        &[topic(1, "a"), partition(1, 0, 7), config(of_topic.clone(), "k", Some("v"))],
    );
    assert!(image.configs(&of_topic).is_some());
    let image = after(&image, &[remove(1), topic(2, "a")]);
    assert_eq!(image.configs(&of_topic), None);
    assert_eq!(image.partition_count(), 0);
    assert_eq!(image.topic("a").unwrap().id, id(2));
}

#[test]
fn an_entity_without_quotas_is_no_entity() {
    use crate::metadata::{ClientQuotaRecord, QuotaEntity, QuotaName};
    let quota = |key: &str, value: Option<f64>| {
        let entity = QuotaEntity::User(QuotaName::Default);
        let value = value.map(f64::to_bits);
        MetadataRecord::ClientQuota(ClientQuotaRecord { entity, key: key.to_owned(), value })
    };
    let empty = Image::new("c");
    let image = after(&empty, &[quota("a", Some(1.0)), quota("b", Some(2.0)), quota("a", None)]);
    let held = &image.quotas()[&QuotaEntity::User(QuotaName::Default)];
    assert_eq!(held.iter().map(|(k, v)| (k.as_str(), v.value())).collect::<Vec<_>>(), [("b", 2.0)]);
    assert_eq!(empty.delta(&image), ImageDelta { quotas_changed: true, ..ImageDelta::default() });
    let same = after(&image, &[quota("b", Some(2.0)), quota("c", None)]);
    assert!(!image.delta(&same).quotas_changed);
    assert!(after(&image, &[quota("b", None), quota("b", None)]).quotas().is_empty());
}

#[test]
fn a_resource_without_configs_is_no_resource() {
    let group = ConfigResource::Group("g".to_owned());
    let image = after(
        &Image::new("c"),
        &[
            config(group.clone(), "k", Some("v")),
            config(group.clone(), "k", None),
            config(group, "other", None),
        ],
    );
    assert_eq!(image.config_resources().len(), 0);
}

#[test]
fn a_new_incarnation_begins_a_new_epoch() {
    let register = |incarnation, rack: Option<&str>| {
        MetadataRecord::Broker(BrokerRecord {
            id: BrokerId(1),
            incarnation: [incarnation; 16],
            rack: rack.map(str::to_owned),
            endpoints: vec![],
            fenced: false,
        })
    };
    let epoch = |image: &Image| image.broker(BrokerId(1)).unwrap().epoch;
    let image = after(&Image::new("c"), &[topic(1, "a"), register(1, None)]);
    assert_eq!(epoch(&image), 1);
    let image = after(&image, &[register(1, Some("east"))]);
    assert_eq!((epoch(&image), image.broker(BrokerId(1)).unwrap().rack.as_deref()), (1, Some("east")));
    assert_eq!(epoch(&after(&image, &[register(2, None)])), 3);
}

#[test]
fn old_kinds_of_partitions_and_brokers_have_the_defaults_of_the_new_ones() {
    let old = after(&Image::new("c"), &[topic(1, "a"), partition(1, 0, 7)]);
    let state = PartitionStateRecord {
        topic: id(1),
        index: PartitionIndex(0),
        leader: Some(BrokerId(7)),
        leader_epoch: LeaderEpoch(0),
        replicas: vec![BrokerId(7)],
        isr: vec![BrokerId(7)],
        adding_replicas: vec![],
        removing_replicas: vec![],
        elr: vec![],
        last_known_leader: None,
        partition_epoch: 0,
    };
    let new = after(&Image::new("c"), &[topic(1, "a"), MetadataRecord::PartitionState(state)]);
    assert_eq!(old, new);
    let old = MetadataRecord::Broker(BrokerRecord {
        id: BrokerId(1),
        incarnation: [1; 16],
        rack: None,
        endpoints: vec![],
        fenced: true,
    });
    let old = after(&Image::new("c"), &[old]);
    let new = after(&Image::new("c"), &[registration(None)]);
    assert_eq!(old, new);
}

/// A follower that slept through the election must know of it all the same, however many are in sync when it wakes.
#[test]
fn an_unclean_election_is_remembered() {
    let state = |leader: Option<i32>, epoch, isr: &[i32], elr: &[i32]| {
        MetadataRecord::PartitionState(PartitionStateRecord {
            topic: id(1),
            index: PartitionIndex(0),
            leader: leader.map(BrokerId),
            leader_epoch: LeaderEpoch(epoch),
            replicas: [1, 2, 3].map(BrokerId).to_vec(),
            isr: isr.iter().copied().map(BrokerId).collect(),
            adding_replicas: vec![],
            removing_replicas: vec![],
            elr: elr.iter().copied().map(BrokerId).collect(),
            last_known_leader: None,
            partition_epoch: 0,
        })
    };
    let mut image = after(&Image::new("c"), &[topic(1, "a"), state(Some(1), 0, &[1, 2, 3], &[])]);
    let steps = [
        (state(Some(2), 1, &[2], &[3]), Some(0)),
        (state(None, 2, &[2], &[3]), Some(0)),
        (state(Some(3), 3, &[3], &[]), Some(0)),
        (state(None, 4, &[3], &[]), Some(0)),
        (state(Some(1), 5, &[1], &[]), Some(5)),
        (state(Some(1), 5, &[1, 2], &[]), Some(5)),
        (state(Some(2), 6, &[2], &[]), Some(5)),
    ];
    for (record, unclean) in steps {
        image = after(&image, &[record]);
        let partition = image.partition(id(1), PartitionIndex(0)).unwrap();
        assert_eq!(partition.unclean_epoch, unclean.map(LeaderEpoch), "{partition:?}");
    }
}

fn registration(peer: Option<PeerAddress>) -> MetadataRecord {
    MetadataRecord::BrokerRegistration(BrokerRegistrationRecord {
        id: BrokerId(1),
        incarnation: [1; 16],
        rack: None,
        endpoints: vec![],
        fenced: true,
        in_controlled_shutdown: false,
        peer,
        directory_id: [0; 16],
    })
}

#[test]
fn states_and_brokers_give_the_records_they_came_from() {
    let peer = PeerAddress { host: "ten".to_owned(), port: 7000, shards: 4 };
    let image = after(&Image::new("c"), &[registration(Some(peer))]);
    let broker = image.broker(BrokerId(1)).unwrap();
    let again = after(&image, &[broker.to_record()]);
    assert_eq!(again.broker(BrokerId(1)), Some(broker));
    let image = after(&image, &[topic(1, "a"), partition(1, 0, 7)]);
    let state = image.partition(id(1), PartitionIndex(0)).unwrap();
    let again = after(&image, &[state.to_record(id(1), PartitionIndex(0))]);
    assert_eq!(again.partition(id(1), PartitionIndex(0)), Some(state));
}

#[test]
fn a_forgotten_broker_begins_a_new_epoch() {
    let forget = MetadataRecord::UnregisterBroker(UnregisterBrokerRecord { id: BrokerId(1) });
    let image = after(&Image::new("c"), &[registration(None), forget.clone()]);
    assert_eq!(image.broker(BrokerId(1)), None);
    assert_eq!(image.clone().apply(Offset(9), &forget), Err(BadApply::UnknownBroker(BrokerId(1))));
    let image = after(&image, &[registration(None)]);
    assert_eq!(image.broker(BrokerId(1)).unwrap().epoch, 2);
}

#[test]
fn a_delta_tells_what_a_shard_must_do() {
    let before = after(
        &Image::new("c"),
        &[
            topic(1, "gone"),
            topic(2, "grown"),
            partition(2, 0, 7),
            topic(3, "again"),
            topic(4, "configured"),
            topic(5, "untouched"),
        ],
    );
    let next = after(
        &before,
        &[
            remove(1),
            partition(2, 1, 7),
            remove(3),
            topic(6, "again"),
            config(ConfigResource::Topic("configured".to_owned()), "k", Some("v")),
            topic(7, "new"),
        ],
    );
    let delta = before.delta(&next);
    assert_eq!(names(&delta.appeared), ["again", "new"]);
    assert_eq!(names(&delta.vanished), ["gone", "again"]);
    assert_eq!(names(&delta.changed), ["grown", "configured"]);
    assert_eq!(delta.changed[0].partitions.len(), 2);
    assert!(!delta.broker_configs_changed);
    assert_eq!(next.delta(&next), ImageDelta::default());

    let configured = after(&next, &[config(ConfigResource::DefaultBroker, "k", Some("v"))]);
    let delta = next.delta(&configured);
    assert_eq!(delta, ImageDelta { broker_configs_changed: true, ..ImageDelta::default() });
}

#[test]
fn names_that_differ_in_dots_and_underscores_collide() {
    let image =
        after(&Image::new("c"), &[topic(1, "a.b_c"), topic(2, "a-b"), topic(3, "_x"), topic(4, "plain")]);
    let check =
        |name: &str, expected: Option<&str>| assert_eq!(image.colliding_topic(name), expected, "{name}");
    check("a_b_c", Some("a.b_c"));
    check("a.b.c", Some("a.b_c"));
    check("a.b_c", None);
    check("a_b", None);
    check("a_b_d", None);
    check(".x", Some("_x"));
    check("plain", None);
}

#[test]
fn a_batch_over_many_topics_copies_each_map_once() {
    let mut records = vec![];
    for n in 0..10_000_u32 {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&n.to_be_bytes());
        records.push(MetadataRecord::Topic(TopicRecord { id: TopicId(bytes), name: format!("topic-{n}") }));
    }
    let image = after(&Image::new("c"), &records);
    let next = after(&image, &[topic(0xff, "one-more")]);
    // What the batch did not touch is the same memory.
    let shared = image.topics().filter(|topic| Arc::ptr_eq(topic, next.topic(&topic.name).unwrap())).count();
    assert_eq!(shared, 10_000);
    assert!(Arc::ptr_eq(&image.configs, &next.configs) && Arc::ptr_eq(&image.brokers, &next.brokers));
}
