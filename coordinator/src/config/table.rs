//! The table: every key that a broker, a topic or a group can be configured with, told once. What is not here does not
//! exist; what is here without an effect is accepted so that files and tools made for Apache Kafka work unchanged.

mod broker_keys;
mod group_keys;
mod inert_keys;
mod metrics_keys;
mod tiered_keys;
mod token_keys;
mod topic_keys;

use std::{collections::BTreeMap, sync::LazyLock};

use super::value::{self, Rule, ValueType};

/// Importance, as documentation and tools sort by it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Importance {
    High,
    Medium,
    Low,
}

/// How a key may change while the broker runs. Topic and group keys always may.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Update {
    /// Only by a restart.
    ReadOnly,
    /// For one broker at a time.
    PerBroker,
    /// For one broker or for all of them.
    ClusterWide,
}

/// A broker key that gives a topic key its value, in the broker key's own unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Synonym {
    pub name: &'static str,
    /// How many of the topic key's units are one of the broker key's. Negative values keep their meaning, "no limit".
    pub factor: i64,
}

/// The part of a key's values that works here, when Kafka has more.
#[derive(Clone, Copy, Debug)]
struct Supported {
    values: &'static [&'static str],
    /// What to do instead: the rest of a sentence.
    advice: &'static str,
}

#[derive(Clone, Debug)]
pub struct ConfigKey {
    pub name: &'static str,
    pub kind: ValueType,
    pub rule: Rule,
    /// None is null.
    pub default: Option<&'static str>,
    pub importance: Importance,
    pub update: Update,
    /// Accepted and shown, and changes nothing.
    pub without_effect: bool,
    /// Apache Kafka has no default for it, so ours is not shown as one.
    pub own_default: bool,
    /// Topic keys: the broker keys that stand in, the strongest first.
    pub synonyms: &'static [Synonym],
    pub documentation: &'static str,
    supported: Option<Supported>,
}

type Index = LazyLock<BTreeMap<&'static str, &'static ConfigKey>>;

static TOPIC: Index = LazyLock::new(|| index(topic_keys::KEYS.iter()));
static BROKER: Index = LazyLock::new(|| {
    let without_effect = [inert_keys::KEYS, tiered_keys::KEYS, token_keys::KEYS];
    index(broker_keys::KEYS.iter().chain(without_effect.into_iter().flatten()))
});
static GROUP: Index = LazyLock::new(|| index(group_keys::KEYS.iter()));

fn index(keys: impl Iterator<Item = &'static ConfigKey>) -> BTreeMap<&'static str, &'static ConfigKey> {
    let mut index = BTreeMap::new();
    for key in keys {
        assert!(index.insert(key.name, key).is_none(), "{} is in the table twice", key.name);
    }
    index
}

/// In order of name, as the next two.
pub fn topic_keys() -> impl Iterator<Item = &'static ConfigKey> {
    TOPIC.values().copied()
}

pub fn broker_keys() -> impl Iterator<Item = &'static ConfigKey> {
    BROKER.values().copied()
}

pub fn group_keys() -> impl Iterator<Item = &'static ConfigKey> {
    GROUP.values().copied()
}

pub fn client_metrics_keys() -> impl Iterator<Item = &'static ConfigKey> {
    metrics_keys::KEYS.iter()
}

pub fn topic_key(name: &str) -> Option<&'static ConfigKey> {
    TOPIC.get(name).copied()
}

/// Older names of broker keys, and the names that go with each. They are described as keys of their own.
pub(super) static ALIASES: &[(ConfigKey, &str)] = &[
    (int("broker.id", "-1", "Number of this broker, by its older name."), "node.id"),
    (null("log.dir", ValueType::List, "Folders for the data, by the older name."), "log.dirs"),
];

/// By its name or by an older name for the same thing.
pub fn broker_key(name: &str) -> Option<&'static ConfigKey> {
    let name = ALIASES.iter().find(|(alias, _)| alias.name == name).map_or(name, |(_, name)| name);
    BROKER.get(name).copied()
}

pub fn group_key(name: &str) -> Option<&'static ConfigKey> {
    GROUP.get(name).copied()
}

/// The names under which a broker key and others tell one thing in several units, the strongest first. None for a key
/// that stands alone.
pub(super) fn broker_family(name: &str) -> Option<&'static [Synonym]> {
    let families = topic_keys().map(|key| key.synonyms).filter(|names| names.len() > 1);
    families.into_iter().find(|names| names.iter().any(|synonym| synonym.name == name))
}

impl ConfigKey {
    /// The value in canonical form, or a sentence (that starts with the key's name) on what to do.
    pub fn check(&self, text: &str) -> Result<String, String> {
        let name = self.name;
        let value = value::canonical(self.kind, self.rule, text).map_err(|why| format!("{name}: {why}."))?;
        match self.supported {
            Some(supported) if !supported.values.contains(&value.as_str()) => {
                let (shown, advice) = (value::shorten(&value), supported.advice);
                Err(format!("{name}: '{shown}' is not supported here: {advice}."))
            }
            _ => Ok(value),
        }
    }

    pub fn is_sensitive(&self) -> bool {
        self.kind == ValueType::Password
    }

    pub fn is_list(&self) -> bool {
        self.kind == ValueType::List
    }

    const fn new(
        name: &'static str,
        kind: ValueType,
        default: Option<&'static str>,
        doc: &'static str,
    ) -> Self {
        Self {
            name,
            kind,
            rule: Rule::Any,
            default,
            importance: Importance::Medium,
            update: Update::ReadOnly,
            without_effect: false,
            own_default: false,
            synonyms: &[],
            documentation: doc,
            supported: None,
        }
    }

    const fn rule(mut self, rule: Rule) -> Self {
        self.rule = rule;
        self
    }
    const fn min(self, min: i64) -> Self {
        self.rule(Rule::AtLeast(min))
    }
    const fn between(self, min: i64, max: i64) -> Self {
        self.rule(Rule::Between(min, max))
    }
    const fn one_of(self, choices: &'static [&'static str]) -> Self {
        self.rule(Rule::OneOf(choices))
    }
    const fn high(mut self) -> Self {
        self.importance = Importance::High;
        self
    }
    const fn low(mut self) -> Self {
        self.importance = Importance::Low;
        self
    }
    const fn per_broker(mut self) -> Self {
        self.update = Update::PerBroker;
        self
    }
    const fn cluster_wide(mut self) -> Self {
        self.update = Update::ClusterWide;
        self
    }
    const fn inert(mut self) -> Self {
        self.without_effect = true;
        self
    }
    const fn own_default(mut self) -> Self {
        self.own_default = true;
        self
    }
    const fn or_broker(mut self, synonyms: &'static [Synonym]) -> Self {
        self.synonyms = synonyms;
        self
    }
    const fn only(mut self, values: &'static [&'static str], advice: &'static str) -> Self {
        self.supported = Some(Supported { values, advice });
        self
    }
}

const fn boolean(name: &'static str, default: &'static str, doc: &'static str) -> ConfigKey {
    ConfigKey::new(name, ValueType::Boolean, Some(default), doc)
}
const fn int(name: &'static str, default: &'static str, doc: &'static str) -> ConfigKey {
    ConfigKey::new(name, ValueType::Int, Some(default), doc)
}
const fn short(name: &'static str, default: &'static str, doc: &'static str) -> ConfigKey {
    ConfigKey::new(name, ValueType::Short, Some(default), doc)
}
const fn long(name: &'static str, default: &'static str, doc: &'static str) -> ConfigKey {
    ConfigKey::new(name, ValueType::Long, Some(default), doc)
}
const fn double(name: &'static str, default: &'static str, doc: &'static str) -> ConfigKey {
    ConfigKey::new(name, ValueType::Double, Some(default), doc)
}
const fn list(name: &'static str, default: &'static str, doc: &'static str) -> ConfigKey {
    ConfigKey::new(name, ValueType::List, Some(default), doc)
}
const fn string(name: &'static str, default: &'static str, doc: &'static str) -> ConfigKey {
    ConfigKey::new(name, ValueType::String, Some(default), doc)
}
const fn class(name: &'static str, default: &'static str, doc: &'static str) -> ConfigKey {
    ConfigKey::new(name, ValueType::Class, Some(default), doc)
}
/// A key of any type whose default is null.
const fn null(name: &'static str, kind: ValueType, doc: &'static str) -> ConfigKey {
    ConfigKey::new(name, kind, None, doc)
}
const fn same(name: &'static str) -> Synonym {
    Synonym { name, factor: 1 }
}
const fn minutes(name: &'static str) -> Synonym {
    Synonym { name, factor: 60_000 }
}
const fn hours(name: &'static str) -> Synonym {
    Synonym { name, factor: 3_600_000 }
}

/// The largest value of a 64-bit key: Kafka's way to say "never" or "no limit".
const NEVER: &str = "9223372036854775807";
/// The largest value of a 32-bit key.
const INT_MAX: &str = "2147483647";

const COMPRESSION_TYPES: &[&str] = &["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"];
const DURABILITIES: &[&str] = &["flushed", "written", "memory"];
/// Apache Kafka's own selector beside its default, by the name of its class.
pub(super) const RACK_AWARE_SELECTOR: &str = "org.apache.kafka.common.replica.RackAwareReplicaSelector";
const NO_TIERED_STORAGE: &str = "there is no tiered storage, so leave it at 'false'";

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = &'static ConfigKey> {
        topic_keys().chain(broker_keys()).chain(group_keys())
    }

    #[test]
    fn every_default_keeps_its_own_rule() {
        for key in all() {
            if let Some(default) = key.default {
                assert_eq!(key.check(default).as_deref(), Ok(default), "{}", key.name);
            }
        }
    }

    #[test]
    fn every_key_says_what_it_is_in_a_sentence() {
        for key in all() {
            let text = key.documentation;
            assert!(
                text.ends_with('.') && text.starts_with(char::is_uppercase) && text.is_ascii(),
                "{}",
                key.name
            );
            assert!(
                !key.name.contains('_'),
                "{}: fields are named by turning dots into underscores",
                key.name
            );
        }
    }

    #[test]
    fn a_topic_key_has_the_default_of_the_broker_key_that_stands_in() {
        for key in topic_keys().filter(|key| !key.synonyms.is_empty()) {
            let defaults = key.synonyms.iter().filter_map(|synonym| {
                let broker = broker_key(synonym.name).unwrap_or_else(|| panic!("{} is no key", synonym.name));
                let number = broker.default?.parse::<i64>().ok();
                Some(number.map_or(broker.default?.to_owned(), |n| (n * synonym.factor).to_string()))
            });
            assert_eq!(defaults.collect::<Vec<_>>().first().map(String::as_str), key.default, "{}", key.name);
        }
    }

    #[test]
    fn a_value_that_only_kafka_can_honour_is_refused_with_advice() {
        let key = topic_key("remote.storage.enable").unwrap();
        assert_eq!(key.check("false").as_deref(), Ok("false"));
        assert!(key.check("true").unwrap_err().contains("leave it at 'false'"));
        assert!(topic_key("compression.type").unwrap().check("brotli").unwrap_err().contains("one of"));
    }
}
