use model::{BrokerId, Offset};

use super::*;
use crate::metadata::{
    MetadataRecord,
    record::{ConfigRecord, TopicRecord},
};

/// An image with a topic `t` and these configs: (whose, key, value), where whose is "t", "" or a broker id.
fn image(configs: &[(&str, &str, &str)]) -> Image {
    let mut image = Image::new("c");
    let topic = TopicRecord { id: model::TopicId([7; 16]), name: "t".to_owned() };
    image.apply(Offset(0), &MetadataRecord::Topic(topic)).unwrap();
    for (whose, key, value) in configs {
        let resource = match *whose {
            "" => ConfigResource::DefaultBroker,
            "t" => ConfigResource::Topic("t".to_owned()),
            id => ConfigResource::Broker(BrokerId(id.parse().unwrap())),
        };
        let record = ConfigRecord { resource, key: key.to_string(), value: Some(value.to_string()) };
        image.apply(image.offset() + 1, &MetadataRecord::Config(record)).unwrap();
    }
    image
}

fn resolve(file: &[(&str, &str)], configs: &[(&str, &str, &str)]) -> TopicConfig {
    let broker = BrokerConfig::parse(file.iter().copied()).unwrap();
    TopicConfig::resolve("t", &image(configs), &broker)
}

#[test]
fn without_any_config_kafkas_defaults_hold() {
    let config = resolve(&[], &[]);
    assert_eq!(config.segment_bytes, 1 << 30);
    assert_eq!(config.segment_ms, 7 * 24 * 3_600_000);
    assert_eq!(config.retention_ms, Some(7 * 24 * 3_600_000));
    assert_eq!(config.retention_bytes, None);
    assert_eq!(config.max_message_bytes, 1_048_588);
    assert_eq!(config.cleanup_policy, Cleanup { delete: true, compact: false });
    assert_eq!(config.durability, Durability::Flushed);
    assert_eq!(config.compression_type, CompressionType::Producer);
    assert_eq!(config.message_timestamp_type, TimestampType::CreateTime);
    assert_eq!(config.flush_ms, i64::MAX);
}

#[test]
fn the_more_specific_place_wins() {
    let all = [
        ("t", "segment.bytes", "2000001"),
        ("1", "log.segment.bytes", "2000002"),
        ("", "log.segment.bytes", "2000003"),
    ];
    let file = [("log.segment.bytes", "2000004")];
    let segment_bytes = |configs: &[_]| resolve(&file, configs).segment_bytes;
    assert_eq!(segment_bytes(&all), 2_000_001);
    assert_eq!(segment_bytes(&all[1..]), 2_000_002);
    assert_eq!(segment_bytes(&all[2..]), 2_000_003);
    assert_eq!(segment_bytes(&[]), 2_000_004);
    // Another broker's config is not ours.
    assert_eq!(segment_bytes(&[("2", "log.segment.bytes", "2000009")]), 2_000_004);
}

#[test]
fn milliseconds_go_before_minutes_before_hours() {
    let retention = |file: &[_]| resolve(file, &[]).retention_ms;
    let (ms, minutes, hours) =
        (("log.retention.ms", "5"), ("log.retention.minutes", "2"), ("log.retention.hours", "3"));
    assert_eq!(retention(&[hours, minutes, ms]), Some(5));
    assert_eq!(retention(&[hours, minutes]), Some(120_000));
    assert_eq!(retention(&[hours]), Some(3 * 3_600_000));
    assert_eq!(retention(&[("log.retention.hours", "-1")]), None);
    assert_eq!(retention(&[hours, ("log.retention.ms", "-1")]), None);
    // A dynamic value in any unit goes before every value of the file.
    assert_eq!(resolve(&[ms], &[("1", "log.retention.ms", "9")]).retention_ms, Some(9));
    let roll = resolve(&[("log.roll.hours", "2"), ("log.roll.jitter.hours", "1")], &[]);
    assert_eq!((roll.segment_ms, roll.segment_jitter_ms), (2 * 3_600_000, 3_600_000));
}

#[test]
fn hours_that_do_not_fit_milliseconds_are_as_long_as_can_be() {
    assert!(resolve(&[("log.roll.hours", "2147483647")], &[]).segment_ms > 0);
}

#[test]
fn the_promise_of_durability_comes_from_the_most_specific_place_that_says_anything() {
    use Durability::*;
    let check = |file: &[_], configs: &[_], expected| {
        assert_eq!(resolve(file, configs).durability, expected, "{file:?} {configs:?}");
    };
    let memory = [("log.durability", "memory")];
    check(&memory, &[], Memory);
    check(&memory, &[("t", "durability", "written")], Written);
    check(&memory, &[("", "log.durability", "flushed")], Flushed);
    check(&memory, &[("t", "flush.messages", "1")], Flushed);
    // Other counts of messages are Kafka's business with the page cache and say nothing here.
    check(&memory, &[("t", "flush.messages", "2")], Memory);
    check(&[("log.flush.interval.messages", "1")], &[("t", "durability", "memory")], Memory);
    // In one place the stronger promise holds.
    check(&[("log.flush.interval.messages", "1"), ("log.durability", "memory")], &[], Flushed);
    check(&[], &[("t", "durability", "memory"), ("t", "flush.messages", "1")], Flushed);
}

#[test]
fn a_stored_value_that_is_not_allowed_here_is_passed_over() {
    let config = resolve(
        &[],
        &[
            ("t", "segment.bytes", "many"),
            ("", "log.segment.bytes", "2000003"),
            ("t", "compression.type", "brotli"),
            ("1", "compression.type", "zstd"),
        ],
    );
    assert_eq!(config.segment_bytes, 2_000_003);
    assert_eq!(config.compression_type, CompressionType::Zstd);
}

#[test]
fn a_codec_is_the_brokers_until_the_topic_has_its_own() {
    let file = [("compression.type", "gzip"), ("compression.zstd.level", "7")];
    let of = |configs: &[_]| {
        let config = resolve(&file, configs);
        (config.compression_type, config.compression_gzip_level, config.compression_zstd_level)
    };
    assert_eq!(of(&[]), (CompressionType::Gzip, -1, 7));
    assert_eq!(of(&[("", "compression.gzip.level", "9")]), (CompressionType::Gzip, 9, 7));
    let own = [("t", "compression.type", "uncompressed"), ("", "compression.type", "zstd")];
    assert_eq!(of(&own), (CompressionType::Uncompressed, -1, 7));
    assert_eq!(of(&[("t", "compression.type", "producer")]).0, CompressionType::Producer);
}
