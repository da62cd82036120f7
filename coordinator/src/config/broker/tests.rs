use super::*;
use crate::{
    config::parse_properties,
    metadata::{ConfigResource, MetadataRecord, SecurityProtocol, record::ConfigRecord},
};

fn parse(pairs: &[(&str, &str)]) -> Result<BrokerConfig, Vec<String>> {
    let sentences = |errors: Vec<ConfigError>| errors.iter().map(ToString::to_string).collect();
    BrokerConfig::parse(pairs.iter().copied()).map_err(sentences)
}

fn refuses(pairs: &[(&str, &str)], part: &str) {
    let errors = parse(pairs).expect_err(part);
    assert!(errors.iter().any(|e| e.contains(part)), "{errors:?} says nothing of {part:?}");
}

#[test]
fn an_empty_file_gives_kafkas_defaults() {
    let config = BrokerConfig::default();
    assert_eq!(config.node_id, BrokerId(1));
    assert_eq!(config.broker_rack, None);
    assert_eq!(config.log_dirs, ["./data"]);
    assert_eq!(config.num_partitions, 1);
    assert_eq!(config.group_initial_rebalance_delay_ms, 3000);
    assert_eq!(config.listeners.len(), 1);
    assert_eq!(config.listeners[0].port, 9092);
    assert_eq!(config.listeners, config.advertised_listeners);
    assert!(config.warnings.is_empty());
}

#[test]
fn a_file_made_for_kafka_just_works() {
    let text = "
        process.roles=broker,controller
        node.id=3
        controller.quorum.voters=3@localhost:9093
        listeners=PLAINTEXT://:9092,CONTROLLER://:9093
        advertised.listeners=PLAINTEXT://example.net:9092,CONTROLLER://example.net:9093
        controller.listener.names=CONTROLLER
        inter.broker.listener.name=PLAINTEXT
        listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
        num.network.threads=3
        log.dirs=/var/lib/data
        num.partitions=4
        confluent.metrics=true
    ";
    let config = BrokerConfig::parse(parse_properties(text)).unwrap();
    assert_eq!(config.node_id, BrokerId(3));
    assert_eq!(config.log_dirs, ["/var/lib/data"]);
    let names: Vec<_> = config.listeners.iter().map(|e| e.listener.as_str()).collect();
    assert_eq!(names, ["PLAINTEXT"]);
    assert_eq!(config.advertised_listeners.len(), 1);
    assert_eq!(config.advertised_listeners[0].host, "example.net");
    let warned = |part: &str| config.warnings.iter().any(|w| w.contains(part));
    for part in
        ["confluent.metrics is not a key", "num.network.threads is accepted", "CONTROLLER is for controllers"]
    {
        assert!(warned(part), "{part}");
    }
    assert!(!warned("num.partitions"));
}

#[test]
fn every_error_is_told_with_what_to_do() {
    refuses(&[("num.partitions", "0")], "num.partitions: '0' is not a whole number from 1 to 2147483647.");
    refuses(&[("compression.type", "brotli")], "one of");
    refuses(&[("group.min.session.timeout.ms", "2000000")], "group.max.session.timeout.ms = 1800000");
    refuses(&[("log.dirs", "")], "name the folder");
    refuses(&[("log.dirs", "a,,b")], "name the folder");
    refuses(&[("node.id", "1"), ("broker.id", "2")], "differs from node.id");
    refuses(&[("log.retention.hours", "0")], "-1 (no limit)");
    refuses(&[("listeners", "")], "at least one");
    refuses(&[("listeners", "OUT://:1")], "listener.security.protocol.map");
    refuses(&[("advertised.listeners", "SSL://a:1")], "not in listeners");
    refuses(&[("advertised.listeners", "PLAINTEXT://0.0.0.0:1")], "no client can connect");
    refuses(&[("advertised.listeners", "PLAINTEXT://a:0")], "port 0");
    refuses(&[("log.durability", "always")], "flushed, written, memory");
    assert_eq!(parse(&[("num.partitions", "0"), ("max.connections", "x")]).unwrap_err().len(), 2);
}

#[test]
fn older_names_mean_the_same() {
    let config = parse(&[("broker.id", "7"), ("log.dir", "/d")]).unwrap();
    assert_eq!((config.node_id, config.log_dirs), (BrokerId(7), vec!["/d".to_owned()]));
    assert!(parse(&[("node.id", "7"), ("broker.id", "7")]).is_ok());
    // Of one name given twice the later counts, as in a properties file.
    assert_eq!(parse(&[("num.partitions", "7"), ("num.partitions", "8")]).unwrap().num_partitions, 8);
}

#[test]
fn a_listener_that_is_not_advertised_is_advertised_as_it_listens() {
    let config = parse(&[
        ("listeners", "PLAINTEXT://0.0.0.0:0,SSL://[::]:9094,SASL_SSL://10.0.0.1:9095"),
        ("advertised.listeners", "SSL://broker.example:443"),
    ])
    .unwrap();
    let advertised = |name: &str| {
        let endpoint = config.advertised_listeners.iter().find(|e| e.listener == name).unwrap();
        (endpoint.host.as_str(), endpoint.port, endpoint.protocol)
    };
    assert_eq!(advertised("SSL"), ("broker.example", 443, SecurityProtocol::Ssl));
    assert_eq!(advertised("PLAINTEXT"), ("", 0, SecurityProtocol::Plaintext));
    assert_eq!(advertised("SASL_SSL"), ("10.0.0.1", 9095, SecurityProtocol::SaslSsl));
}

#[test]
fn dynamic_configs_lie_over_the_file() {
    let config = parse(&[("message.max.bytes", "5000"), ("node.id", "3"), ("frobnicate", "1")]).unwrap();
    let mut image = Image::new("c");
    let mut set = |resource, value: &str| {
        let record = ConfigRecord { resource, key: "message.max.bytes".into(), value: Some(value.into()) };
        image.apply(image.offset() + 1, &MetadataRecord::Config(record)).unwrap();
        config.with_dynamic(&image)
    };
    assert_eq!(set(ConfigResource::Broker(BrokerId(4)), "1").message_max_bytes, 5000);
    assert_eq!(set(ConfigResource::DefaultBroker, "6000").message_max_bytes, 6000);
    let now = set(ConfigResource::Broker(BrokerId(3)), "7000");
    assert_eq!(now.message_max_bytes, 7000);
    assert_eq!((now.listeners, now.warnings), (config.listeners.clone(), config.warnings.clone()));
    assert_eq!(config.value("message.max.bytes", &image).as_deref(), Some("7000"));
    assert_eq!(config.value("log.retention.ms", &image), None);
}
