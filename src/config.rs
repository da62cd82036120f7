//! The configuration of a broker from its sources, and a topic's as its log wants it. What the keys mean is told in
//! `coordinator::config`; here is only which source wins.
//!
//! ```text
//!   defaults  <  --config FILE  <  --data, --listen, --metrics  <  -o key=value
//! ```

use std::{collections::BTreeSet, fs};

use anyhow::{Context, bail};
use coordinator::{
    BrokerConfig, TopicConfig,
    config::{Durability, table::broker_key},
};
use engine::{
    LogConfig,
    compaction::{CompactionConfig, DirtyRatio},
    index::IndexLimits,
    properties::Properties,
    retention::Retention,
};

use crate::cli::ServeArgs;

const LOG_DIRS: &str = "log.dirs";
const LISTENERS: &str = "listeners";
const METRICS_LISTENER: &str = "metrics.listener";
const ADVERTISED_LISTENERS: &str = "advertised.listeners";
const DATA_DEFAULT: &str = "./tailrace-data";
/// Whoever says nothing about the network gets nothing from it.
const LISTEN_DEFAULT: &str = "127.0.0.1:9092";

type Pairs = Vec<(String, String)>;

pub struct Loaded {
    pub config: BrokerConfig,
    /// Names that were accepted for the sake of Kafka's files, to be told in one line.
    pub without_effect: BTreeSet<String>,
}

/// The sentences of all errors, one a line, if the configuration cannot be used.
pub fn load(args: &ServeArgs) -> anyhow::Result<Loaded> {
    let file = match &args.config {
        Some(path) => {
            let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            Properties::read(&bytes).with_context(|| format!("cannot read {}", path.display()))?.values
        }
        None => Default::default(),
    };
    let layers = [defaults(args), file.into_iter().collect(), command_line(args), args.options.clone()];
    let pairs = merge(layers);
    let inert = |name: &String| broker_key(name).is_some_and(|key| key.without_effect);
    let without_effect: BTreeSet<String> = pairs.iter().map(|(name, _)| name.clone()).filter(inert).collect();
    match BrokerConfig::parse(pairs) {
        Ok(mut config) => {
            // The parser has a sentence for each of them, which would be a page for one of Kafka's files.
            let of_inert =
                |warning: &str| without_effect.iter().any(|name| warning.split(' ').next() == Some(name));
            config.warnings.retain(|warning| !of_inert(warning));
            Ok(Loaded { config, without_effect })
        }
        Err(errors) => bail!("{}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
    }
}

/// With a file, what it leaves out is as with Kafka, but for the data directory, which Kafka has in /tmp.
fn defaults(args: &ServeArgs) -> Pairs {
    let mut pairs = vec![(LOG_DIRS.to_owned(), DATA_DEFAULT.to_owned())];
    if args.config.is_none() {
        pairs.push((LISTENERS.to_owned(), listener(LISTEN_DEFAULT)));
    }
    pairs
}

fn command_line(args: &ServeArgs) -> Pairs {
    let data = args.data.as_ref().map(|dir| (LOG_DIRS.to_owned(), dir.display().to_string()));
    let listen = args.listen.as_ref().map(|address| (LISTENERS.to_owned(), listener(address)));
    let metrics = args.metrics.as_ref().map(|address| (METRICS_LISTENER.to_owned(), address.clone()));
    data.into_iter().chain(listen).chain(metrics).collect()
}

fn listener(address: &str) -> String {
    if address.contains("://") { address.to_owned() } else { format!("PLAINTEXT://{address}") }
}

/// One list of pairs: a key of a later layer drives it out of all earlier ones, under whichever of its names it stands
/// there. Within one layer both stay, for the parser to judge.
fn merge(layers: impl IntoIterator<Item = Pairs>) -> Pairs {
    let mut merged: Pairs = Vec::new();
    for layer in layers {
        let replaces_listeners = layer.iter().any(|(name, _)| name == LISTENERS);
        merged.retain(|(name, _)| {
            // Other listeners are reached at other addresses.
            let outdated = replaces_listeners && name == ADVERTISED_LISTENERS;
            !outdated && layer.iter().all(|(later, _)| canonical(later) != canonical(name))
        });
        merged.extend(layer);
    }
    merged
}

fn canonical(name: &str) -> &str {
    broker_key(name).map_or(name, |key| key.name)
}

/// What of a topic's configuration its log obeys.
pub fn log_config(topic: &TopicConfig) -> LogConfig {
    let size = |bytes: i32| u32::try_from(bytes).unwrap_or(0);
    LogConfig {
        durability: match topic.durability {
            Durability::Flushed => engine::Durability::Flushed,
            Durability::Written => engine::Durability::Written,
            Durability::Memory => engine::Durability::Memory,
        },
        segment_bytes: u64::from(size(topic.segment_bytes)),
        segment_ms: topic.segment_ms,
        segment_jitter_ms: topic.segment_jitter_ms,
        retention: Retention {
            delete: topic.cleanup_policy.delete,
            ms: topic.retention_ms,
            bytes: topic.retention_bytes.and_then(|bytes| bytes.try_into().ok()),
        },
        file_delete_delay_ms: topic.file_delete_delay_ms,
        index: IndexLimits {
            interval_bytes: size(topic.index_interval_bytes),
            index_bytes_max: size(topic.segment_index_bytes),
        },
        timestamp_type: topic.message_timestamp_type,
        compaction: topic.cleanup_policy.compact.then(|| CompactionConfig {
            min_lag_ms: topic.min_compaction_lag_ms,
            max_lag_ms: topic.max_compaction_lag_ms,
            delete_retention_ms: topic.delete_retention_ms,
            min_dirty_ratio: DirtyRatio::new(topic.min_cleanable_dirty_ratio),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn pairs(text: &str) -> Pairs {
        let pair = |item: &str| item.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()));
        text.split_whitespace().filter_map(pair).collect()
    }

    #[test]
    fn a_later_layer_wins_under_any_name() {
        fn check(layers: [&str; 3], expected: &str) {
            assert_eq!(merge(layers.map(pairs)), pairs(expected), "{layers:?}");
        }
        check(["a=1 b=1", "b=2", "b=3"], "a=1 b=3");
        check(["broker.id=1 a=1", "", "node.id=2"], "a=1 node.id=2");
        check(["log.dirs=x", "log.dir=y", ""], "log.dir=y");
        check(["broker.id=1 node.id=2", "", ""], "broker.id=1 node.id=2");
        check(["a=1", "b=1", "b=2 b=3"], "a=1 b=2 b=3");
    }

    #[test]
    fn other_listeners_are_advertised_by_themselves() {
        let file = "listeners=PLAINTEXT://:9092 advertised.listeners=PLAINTEXT://far:9092";
        let merged = merge([file, "listeners=PLAINTEXT://:1"].map(pairs));
        assert_eq!(merged, pairs("listeners=PLAINTEXT://:1"));
        let merged = merge([file, "advertised.listeners=PLAINTEXT://near:1"].map(pairs));
        assert_eq!(merged, pairs("listeners=PLAINTEXT://:9092 advertised.listeners=PLAINTEXT://near:1"));
    }

    #[test]
    fn without_a_file_it_listens_on_this_machine_alone() {
        let config = load(&ServeArgs::default()).unwrap().config;
        assert_eq!(config.log_dirs, ["./tailrace-data"]);
        assert_eq!((config.listeners[0].host.as_str(), config.listeners[0].port), ("127.0.0.1", 9092));
        assert_eq!(config.node_id.0, 1);
    }

    #[test]
    fn names_without_effect_are_told_in_one_line() {
        let options = pairs("num.network.threads=3 process.roles=broker,controller confluent.metrics=x");
        let loaded = load(&ServeArgs { options, ..ServeArgs::default() }).unwrap();
        assert_eq!(
            loaded.without_effect.iter().collect::<Vec<_>>(),
            ["num.network.threads", "process.roles"]
        );
        assert_eq!(loaded.config.warnings, ["confluent.metrics is not a key of this broker and is ignored."]);
    }

    #[test]
    fn the_command_line_is_over_the_file_and_options_over_all() {
        let scratch = Scratch::new();
        let path = scratch.join("server.properties");
        fs::write(&path, "broker.id=4\nlisteners=PLAINTEXT://:1\nlog.dirs=a,b\nnum.partitions=3\n").unwrap();
        let mut args = ServeArgs { config: Some(path.clone()), ..ServeArgs::default() };
        let config = load(&args).unwrap().config;
        assert_eq!((config.node_id.0, config.num_partitions), (4, 3));
        assert_eq!(config.log_dirs, ["a", "b"]);
        assert_eq!((config.listeners[0].host.as_str(), config.listeners[0].port), ("", 1));
        args.data = Some("c".into());
        args.listen = Some("localhost:2".into());
        args.options = pairs("num.partitions=5 node.id=6");
        let config = load(&args).unwrap().config;
        assert_eq!((config.node_id.0, config.num_partitions), (6, 5));
        assert_eq!(config.log_dirs, ["c"]);
        assert_eq!((config.listeners[0].host.as_str(), config.listeners[0].port), ("localhost", 2));
        args.options = pairs("log.dirs=d num.partitions=0 listeners=x");
        let errors = format!("{:#}", load(&args).err().unwrap());
        assert_eq!(errors.lines().count(), 2, "{errors}");
    }
}
