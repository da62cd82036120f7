use model::{BrokerId, Offset, TopicId};

use super::*;
use crate::metadata::{
    MetadataRecord,
    record::{ConfigRecord, TopicRecord},
};

fn topic() -> ConfigResource {
    ConfigResource::Topic("t".to_owned())
}

fn world(file: &[(&str, &str)], configs: &[(ConfigResource, &str, &str)]) -> (Image, BrokerConfig) {
    let mut image = Image::new("c");
    let record = TopicRecord { id: TopicId([7; 16]), name: "t".to_owned() };
    image.apply(Offset(0), &MetadataRecord::Topic(record)).unwrap();
    for (resource, key, value) in configs {
        let record =
            ConfigRecord { resource: resource.clone(), key: key.to_string(), value: Some(value.to_string()) };
        image.apply(image.offset() + 1, &MetadataRecord::Config(record)).unwrap();
    }
    (image, BrokerConfig::parse(file.iter().copied()).unwrap())
}

fn find(entries: &[ConfigEntry], name: &str) -> ConfigEntry {
    entries.iter().find(|e| e.name == name).unwrap_or_else(|| panic!("{name} is missing")).clone()
}

fn trail(entry: &ConfigEntry) -> Vec<(&'static str, &str, ConfigSource)> {
    entry.synonyms.iter().map(|s| (s.name, s.value.as_deref().unwrap_or("-"), s.source)).collect()
}

#[test]
fn a_topic_has_every_key_with_value_source_and_synonyms() {
    use ConfigSource::*;
    let one = ConfigResource::Broker(BrokerId(1));
    let (image, broker) = world(
        &[("log.retention.hours", "24")],
        &[
            (topic(), "max.message.bytes", "1234"),
            (one, "log.segment.bytes", "2000000"),
            (ConfigResource::DefaultBroker, "log.segment.bytes", "3000000"),
        ],
    );
    let entries = describe(&topic(), &image, &broker).unwrap();
    assert_eq!(entries.len(), table::topic_keys().count());
    assert!(entries.is_sorted_by_key(|e| e.name));
    assert!(entries.iter().all(|e| !e.read_only && !e.sensitive && !e.documentation.is_empty()));

    let bytes = find(&entries, "max.message.bytes");
    assert_eq!(
        (bytes.value.as_deref(), bytes.source, bytes.is_default()),
        (Some("1234"), DynamicTopic, false)
    );
    let own = ("max.message.bytes", "1234", DynamicTopic);
    assert_eq!(trail(&bytes), [own, ("message.max.bytes", "1048588", Default)]);

    // The key that a topic goes by is log.retention.ms, which nobody set.
    let retention = find(&entries, "retention.ms");
    assert_eq!((retention.value.as_deref(), retention.source), (Some("86400000"), Default));
    assert_eq!(trail(&retention), []);

    let segment = find(&entries, "segment.bytes");
    assert_eq!(segment.value.as_deref(), Some("2000000"));
    let sources: Vec<_> = segment.synonyms.iter().map(|s| s.source).collect();
    assert_eq!(sources, [DynamicBroker, DynamicDefaultBroker, Default]);

    let policy = find(&entries, "cleanup.policy");
    assert_eq!(
        (policy.value.as_deref(), policy.is_default(), policy.kind),
        (Some("delete"), true, ValueType::List)
    );
    let remote = find(&entries, "remote.storage.enable");
    assert_eq!((remote.value.as_deref(), trail(&remote)), (Some("false"), vec![]));
}

#[test]
fn a_family_of_units_is_listed_from_the_key_itself_on() {
    use ConfigSource::*;
    let all = ConfigResource::DefaultBroker;
    let (image, broker) = world(&[("log.roll.hours", "50")], &[(all, "log.roll.ms", "5000")]);
    let below = [("log.roll.hours", "50", StaticBroker), ("log.roll.hours", "168", Default)];
    let entries = describe(&ConfigResource::Broker(BrokerId(1)), &image, &broker).unwrap();
    let hours = find(&entries, "log.roll.hours");
    assert_eq!((hours.value.as_deref(), hours.source), (Some("50"), StaticBroker));
    assert_eq!(trail(&hours), below);
    let ms = [("log.roll.ms", "5000", DynamicDefaultBroker)];
    assert_eq!(trail(&find(&entries, "log.roll.ms")), [&ms[..], &below].concat());
    let topic = describe(&topic(), &image, &broker).unwrap();
    let segment = find(&topic, "segment.ms");
    assert_eq!((segment.value.as_deref(), segment.source), (Some("5000"), DynamicDefaultBroker));
    assert_eq!(trail(&segment), [&ms[..], &below].concat());
    assert_eq!(trail(&find(&entries, "log.retention.ms")), []);
}

#[test]
fn what_a_topic_is_described_with_is_what_it_is_run_with() {
    let (image, broker) = world(&[("log.roll.hours", "3")], &[(topic(), "retention.ms", " 0077 ")]);
    let entries = describe(&topic(), &image, &broker).unwrap();
    let config = super::super::TopicConfig::resolve("t", &image, &broker);
    assert_eq!(find(&entries, "segment.ms").value.unwrap(), config.segment_ms.to_string());
    assert_eq!(find(&entries, "retention.ms").value.as_deref(), Some("77"));
    assert_eq!(config.retention_ms, Some(77));
}

#[test]
fn a_broker_tells_what_cannot_change_and_hides_what_is_secret() {
    let one = ConfigResource::Broker(BrokerId(1));
    let (image, broker) = world(&[("ssl.key.password", "hush"), ("num.partitions", "3")], &[]);
    let entries = describe(&one, &image, &broker).unwrap();
    assert_eq!(entries.len(), table::broker_keys().count() + table::ALIASES.len());
    assert!(entries.is_sorted_by_key(|e| e.name));
    let id = find(&entries, "broker.id");
    assert_eq!((id.value.as_deref(), id.read_only), (Some("1"), true));
    assert_eq!(trail(&find(&entries, "node.id")), [], "Kafka has no default for it");
    let partitions = find(&entries, "num.partitions");
    assert!(partitions.read_only);
    assert_eq!((partitions.value.as_deref(), partitions.source), (Some("3"), ConfigSource::StaticBroker));
    assert!(!find(&entries, "message.max.bytes").read_only);
    let password = find(&entries, "ssl.key.password");
    assert!(password.sensitive);
    assert_eq!((password.value, password.source), (None, ConfigSource::StaticBroker));
    assert_eq!(password.synonyms[0].value, None);
    assert!(entries.iter().all(|e| !format!("{e:?}").contains("hush")));
    assert_eq!(find(&entries, "log.retention.ms").value, None);
    assert!(find(&entries, "num.io.threads").documentation.contains("without effect"));
}

#[test]
fn the_default_of_all_brokers_has_only_what_was_set() {
    let (image, broker) = world(&[], &[(ConfigResource::DefaultBroker, "message.max.bytes", "99")]);
    let entries = describe(&ConfigResource::DefaultBroker, &image, &broker).unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(
        (entries[0].value.as_deref(), entries[0].source),
        (Some("99"), ConfigSource::DynamicDefaultBroker)
    );
}

#[test]
fn a_group_has_its_own_values_over_the_brokers() {
    let group = ConfigResource::Group("g".to_owned());
    let (image, broker) = world(
        &[("group.share.session.timeout.ms", "50000")],
        &[(group.clone(), "consumer.session.timeout.ms", "50001")],
    );
    let entries = describe(&group, &image, &broker).unwrap();
    let own = find(&entries, "consumer.session.timeout.ms");
    assert_eq!((own.value.as_deref(), own.source), (Some("50001"), ConfigSource::Group));
    let of_broker = find(&entries, "share.session.timeout.ms");
    assert_eq!((of_broker.value.as_deref(), of_broker.source), (Some("50000"), ConfigSource::StaticBroker));
    assert_eq!(of_broker.synonyms[0].name, "group.share.session.timeout.ms");
    assert_eq!(find(&entries, "share.auto.offset.reset").value.as_deref(), Some("latest"));
}

#[test]
fn who_is_not_there_or_not_here_is_refused() {
    let (image, broker) = world(&[], &[]);
    let code = |resource| describe(&resource, &image, &broker).unwrap_err().code;
    assert_eq!(code(ConfigResource::Topic("u".into())), ErrorCode::UnknownTopicOrPartition);
    assert_eq!(code(ConfigResource::Broker(BrokerId(2))), ErrorCode::InvalidRequest);
    assert_eq!(code(ConfigResource::Group(String::new())), ErrorCode::InvalidRequest);
}
