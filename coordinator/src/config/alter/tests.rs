use model::{BrokerId, Offset, TopicId};

use super::*;
use crate::metadata::{
    MetadataRecord,
    record::{ConfigRecord, TopicRecord},
};

fn topic() -> ConfigResource {
    ConfigResource::Topic("t".to_owned())
}

fn image(resource: &ConfigResource, configs: &[(&str, &str)]) -> Image {
    let mut image = Image::new("c");
    let record = TopicRecord { id: TopicId([7; 16]), name: "t".to_owned() };
    image.apply(Offset(0), &MetadataRecord::Topic(record)).unwrap();
    for (key, value) in configs {
        let record =
            ConfigRecord { resource: resource.clone(), key: key.to_string(), value: Some(value.to_string()) };
        image.apply(image.offset() + 1, &MetadataRecord::Config(record)).unwrap();
    }
    image
}

fn pairs(map: &ConfigMap) -> Vec<(&str, &str)> {
    map.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect()
}

/// One operation on a topic that has `before`, and what it has afterwards or the code of the refusal.
#[track_caller]
fn check(
    before: &[(&str, &str)],
    op: AlterOp,
    key: &str,
    value: &str,
    expected: Result<&[(&str, &str)], ErrorCode>,
) {
    check_on(&topic(), before, op, key, value, expected);
}

#[track_caller]
fn check_on(
    resource: &ConfigResource,
    before: &[(&str, &str)],
    op: AlterOp,
    key: &str,
    value: &str,
    expected: Result<&[(&str, &str)], ErrorCode>,
) {
    let op = ConfigAlteration { key: key.to_owned(), op, value: Some(value.to_owned()) };
    let after = altered(resource, &[op], &image(resource, before), &BrokerConfig::default());
    assert_eq!(after.as_ref().map(pairs).map_err(|r| r.code), expected.map(<[_]>::to_vec), "{after:?}");
}

use AlterOp::{Append, Delete, Set, Subtract};
use ErrorCode::{InvalidConfig, InvalidRequest};

#[test]
fn set_and_delete() {
    check(&[], Set, "retention.ms", "7", Ok(&[("retention.ms", "7")]));
    check(&[("retention.ms", "7")], Set, "retention.ms", "8", Ok(&[("retention.ms", "8")]));
    check(&[("retention.ms", "7")], Delete, "retention.ms", "", Ok(&[]));
    check(&[], Delete, "retention.ms", "", Ok(&[]));
    check(&[], Delete, "no.such.key", "", Ok(&[]));
    // Stored by a version that knew the key.
    check(&[("gone", "7")], Delete, "gone", "", Ok(&[]));
    check(&[], Set, "no.such.key", "1", Err(InvalidConfig));
    check(&[], Set, "retention.ms", "soon", Err(InvalidConfig));
    check(&[], Set, "compression.type", "lz4", Ok(&[("compression.type", "lz4")]));
    check(&[], Set, "compression.type", "lz5", Err(InvalidConfig));
    check(&[], Set, "compression.gzip.level", "0", Err(InvalidConfig));
    check(&[], Set, "remote.storage.enable", "true", Err(InvalidConfig));
    check(&[], Set, "cleanup.policy", "compact", Ok(&[("cleanup.policy", "compact")]));
    check(&[], Set, "durability", "memory", Ok(&[("durability", "memory")]));
}

#[test]
fn append_and_subtract_work_on_lists_only() {
    // The list begins with what is in force.
    check(&[], Append, "cleanup.policy", "compact", Ok(&[("cleanup.policy", "delete,compact")]));
    check(&[], Append, "cleanup.policy", "delete", Ok(&[("cleanup.policy", "delete")]));
    let compact = [("cleanup.policy", "compact")];
    check(&compact, Append, "cleanup.policy", "delete", Ok(&[("cleanup.policy", "compact,delete")]));
    check(&compact, Subtract, "cleanup.policy", "delete", Ok(&compact));
    check(&compact, Subtract, "cleanup.policy", "compact", Ok(&[("cleanup.policy", "")]));
    check(&[], Append, "cleanup.policy", "nonsense", Err(InvalidConfig));
    check(&[], Append, "retention.ms", "1", Err(InvalidConfig));
    check(&[], Subtract, "retention.ms", "1", Err(InvalidConfig));
}

#[test]
fn a_broker_changes_only_what_can_change_while_it_runs() {
    let one = ConfigResource::Broker(BrokerId(1));
    let all = ConfigResource::DefaultBroker;
    check_on(&one, &[], Set, "log.retention.ms", "5", Ok(&[("log.retention.ms", "5")]));
    check_on(&all, &[], Set, "log.retention.ms", "5", Ok(&[("log.retention.ms", "5")]));
    check_on(
        &all,
        &[],
        Append,
        "log.cleanup.policy",
        "compact",
        Ok(&[("log.cleanup.policy", "delete,compact")]),
    );
    check_on(&one, &[], Set, "num.partitions", "5", Err(InvalidRequest));
    check_on(&one, &[], Set, "log.retention.ms", "x", Err(InvalidRequest));
    let relogin = "sasl.kerberos.min.time.before.relogin";
    check_on(&one, &[], Set, relogin, "5", Ok(&[(relogin, "5")]));
    check_on(&all, &[], Set, relogin, "5", Err(InvalidRequest));
    check_on(&one, &[], Set, "no.such.key", "5", Err(InvalidConfig));
}

#[test]
fn all_that_cannot_change_is_named_at_once() {
    let one = ConfigResource::Broker(BrokerId(1));
    let set = |key: &str| ConfigAlteration { key: key.to_owned(), op: Set, value: Some("3".to_owned()) };
    let ops = [set("num.partitions"), set("message.max.bytes"), set("broker.id")];
    let refusal = altered(&one, &ops, &image(&one, &[]), &BrokerConfig::default()).unwrap_err();
    assert_eq!(refusal.code, InvalidRequest);
    assert!(
        refusal.message.starts_with("Cannot update these configs dynamically: [num.partitions, node.id]")
    );
}

#[test]
fn a_group_stays_within_the_brokers_limits() {
    let group = ConfigResource::Group("g".to_owned());
    let key = "consumer.session.timeout.ms";
    check_on(&group, &[], Set, key, "50000", Ok(&[(key, "50000")]));
    check_on(&group, &[], Set, key, "1", Err(InvalidConfig));
    check_on(&group, &[], Set, key, "60001", Err(InvalidConfig));
    check_on(&group, &[], Set, "retention.ms", "1", Err(InvalidConfig));
}

#[test]
fn values_that_contradict_each_other_are_refused_together() {
    check(&[("min.compaction.lag.ms", "10")], Set, "max.compaction.lag.ms", "5", Err(InvalidConfig));
    check(
        &[("min.compaction.lag.ms", "10")],
        Set,
        "max.compaction.lag.ms",
        "10",
        Ok(&[("max.compaction.lag.ms", "10"), ("min.compaction.lag.ms", "10")]),
    );
}

#[test]
fn a_request_that_contradicts_itself_is_refused() {
    let set = |key: &str, value: Option<&str>| ConfigAlteration {
        key: key.to_owned(),
        op: Set,
        value: value.map(str::to_owned),
    };
    let code = |ops: &[ConfigAlteration]| {
        altered(&topic(), ops, &image(&topic(), &[]), &BrokerConfig::default()).unwrap_err().code
    };
    assert_eq!(code(&[set("retention.ms", Some("1")), set("retention.ms", Some("1"))]), InvalidRequest);
    assert_eq!(code(&[set("retention.ms", None)]), InvalidRequest);
    assert_eq!(code(&[set("retention.ms", Some("1")), set("segment.bytes", Some("1"))]), InvalidConfig);
}

#[test]
fn a_replacement_forgets_what_it_does_not_name() {
    let image = image(&topic(), &[("retention.ms", "7"), ("segment.ms", "8")]);
    let replace = |pairs: &[(&str, &str)]| {
        let pairs: Vec<_> = pairs.iter().map(|(k, v)| (k.to_string(), Some(v.to_string()))).collect();
        replaced(&topic(), &pairs, &image, &BrokerConfig::default())
    };
    assert_eq!(pairs(&replace(&[("retention.ms", "9")]).unwrap()), [("retention.ms", "9")]);
    assert_eq!(pairs(&replace(&[]).unwrap()), []);
    assert_eq!(replace(&[("no.such.key", "1")]).unwrap_err().code, InvalidConfig);
}

#[test]
fn operations_have_kafkas_numbers() {
    let numbers = [Set, Delete, Append, Subtract].map(|op| op as i8);
    assert_eq!(numbers, [0, 1, 2, 3]);
    assert_eq!(AlterOp::from_code(3), Some(Subtract));
    assert_eq!(AlterOp::from_code(4), None);
}
