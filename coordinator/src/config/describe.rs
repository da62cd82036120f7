//! What DescribeConfigs answers: every key of a resource, with where its value comes from. Clients read it, change a
//! value and write it back, so nothing may be left out and nothing may be shown that cannot be set again.

use model::ErrorCode;

use super::{
    broker::BrokerConfig,
    sources::{Candidate, Sources},
    table::{self, ConfigKey, Synonym, Update},
    value::{ValueType, shorten},
};
use crate::{
    controller::Refusal,
    metadata::{ConfigResource, Image, image::ConfigMap},
};

/// Where a value comes from, with the numbers DescribeConfigs uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i8)]
pub enum ConfigSource {
    DynamicTopic = 1,
    DynamicBroker = 2,
    DynamicDefaultBroker = 3,
    StaticBroker = 4,
    Default = 5,
    Group = 8,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigSynonym {
    pub name: &'static str,
    /// None: hidden because sensitive.
    pub value: Option<String>,
    pub source: ConfigSource,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigEntry {
    pub name: &'static str,
    /// None: null, or hidden because sensitive.
    pub value: Option<String>,
    pub source: ConfigSource,
    pub read_only: bool,
    pub sensitive: bool,
    /// Every source that has a value, the strongest first.
    pub synonyms: Vec<ConfigSynonym>,
    pub kind: ValueType,
    pub documentation: String,
}

impl ConfigEntry {
    pub fn is_default(&self) -> bool {
        self.source == ConfigSource::Default
    }
}

/// The keys of `resource`, in order of name. A broker answers for itself and for the default of all brokers, which has
/// only the keys that were set.
pub fn describe(
    resource: &ConfigResource,
    image: &Image,
    broker: &BrokerConfig,
) -> Result<Vec<ConfigEntry>, Refusal> {
    let sources = broker.sources(image);
    match resource {
        ConfigResource::Topic(name) => {
            if image.topic(name).is_none() {
                let sentence = format!("There is no topic '{}'.", shorten(name));
                return Err(Refusal::new(ErrorCode::UnknownTopicOrPartition, sentence));
            }
            Ok(describe_topic(image.configs(resource), image, broker))
        }
        ConfigResource::Broker(id) if *id == broker.node_id => {
            let mut entries: Vec<_> = table::broker_keys().map(|key| broker_entry(key, &sources)).collect();
            entries.extend(table::ALIASES.iter().map(|(alias, name)| alias_entry(alias, name, &sources)));
            entries.sort_unstable_by_key(|entry| entry.name);
            Ok(entries)
        }
        ConfigResource::Broker(id) => {
            let sentence = format!("This is broker {}; ask broker {id} for its configs.", broker.node_id);
            Err(Refusal::new(ErrorCode::InvalidRequest, sentence))
        }
        ConfigResource::DefaultBroker => {
            let set = image.configs(resource).into_iter().flatten();
            Ok(set
                .filter_map(|(name, text)| Some(default_broker_entry(table::broker_key(name)?, text)))
                .collect())
        }
        ConfigResource::Group(name) => {
            if name.is_empty() {
                return Err(Refusal::new(
                    ErrorCode::InvalidRequest,
                    "The group's name is empty; name a group.",
                ));
            }
            let own = image.configs(resource);
            Ok(table::group_keys().map(|key| group_entry(key, own, &sources)).collect())
        }
    }
}

/// A subscription to metrics of clients has nothing but defaults here.
pub fn describe_client_metrics() -> Vec<ConfigEntry> {
    let default = |key: &ConfigKey| key.default.map(str::to_owned);
    table::client_metrics_keys().map(|key| entry(key, default(key), ConfigSource::Default, vec![])).collect()
}

/// As `describe` for a topic with these configs of its own, whether it exists or not.
pub(crate) fn describe_topic(
    own: Option<&ConfigMap>,
    image: &Image,
    broker: &BrokerConfig,
) -> Vec<ConfigEntry> {
    let sources = broker.sources(image).with_topic(own);
    let entry = |key: &'static ConfigKey| {
        let found = listed(sources.of_topic_key(key), key.synonyms.first().map(|synonym| synonym.name));
        let source = found.first().map_or(ConfigSource::Default, |candidate| candidate.source);
        entry(key, sources.topic_value(key).0, source, synonyms(key, &found))
    };
    table::topic_keys().map(entry).collect()
}

/// What Apache Kafka shows of the values that are known. `name` is the broker key that a topic or broker key goes by; in a
/// family of several units those above it are left out, and all of them when it has no value at all.
fn listed<'a>(mut found: Vec<Candidate<'a>>, name: Option<&str>) -> Vec<Candidate<'a>> {
    let mut reached = false;
    found.retain(|candidate| {
        reached |= Some(candidate.name) == name;
        reached || candidate.source == ConfigSource::DynamicTopic
    });
    found
}

fn broker_entry(key: &'static ConfigKey, sources: &Sources<'_>) -> ConfigEntry {
    let (value, source) = sources.broker_value(key);
    let alone = [Synonym { name: key.name, factor: 1 }];
    let mut found = sources.of_broker_keys(table::broker_family(key.name).unwrap_or(&alone));
    found.retain(|candidate| !(key.own_default && candidate.source == ConfigSource::Default));
    let found = listed(found, Some(key.name));
    let read_only = key.update == Update::ReadOnly;
    ConfigEntry { read_only, ..entry(key, value, source, synonyms(key, &found)) }
}

/// The value of the key that the older name stands for.
fn alias_entry(alias: &'static ConfigKey, name: &str, sources: &Sources<'_>) -> ConfigEntry {
    let key = table::broker_key(name).expect("an alias stands for a key");
    let (value, source) = sources.broker_value(key);
    let own = ConfigSynonym { name: alias.name, value: value.clone(), source };
    let default = alias.default.map(|text| ConfigSynonym {
        name: alias.name,
        value: Some(text.to_owned()),
        source: ConfigSource::Default,
    });
    let own = Some(own).filter(|own| own.source != ConfigSource::Default);
    let synonyms = own.into_iter().chain(default).collect();
    ConfigEntry { read_only: true, ..entry(alias, value, source, synonyms) }
}

fn default_broker_entry(key: &'static ConfigKey, text: &str) -> ConfigEntry {
    let source = ConfigSource::DynamicDefaultBroker;
    let value = key.check(text).unwrap_or_else(|_| text.to_owned());
    let synonym = ConfigSynonym { name: key.name, value: shown(key, text), source };
    entry(key, Some(value), source, vec![synonym])
}

fn group_entry(key: &'static ConfigKey, own: Option<&ConfigMap>, sources: &Sources<'_>) -> ConfigEntry {
    let (value, source) = sources.group_value(key, own);
    entry(key, value, source, synonyms(key, &sources.of_group_key(key, own)))
}

fn entry(
    key: &'static ConfigKey,
    value: Option<String>,
    source: ConfigSource,
    synonyms: Vec<ConfigSynonym>,
) -> ConfigEntry {
    let mut documentation = key.documentation.to_owned();
    if key.without_effect {
        documentation.push_str(" Accepted for compatibility, without effect here.");
    }
    ConfigEntry {
        name: key.name,
        value: value.filter(|_| !key.is_sensitive()),
        source,
        read_only: false,
        sensitive: key.is_sensitive(),
        synonyms,
        kind: key.kind,
        documentation,
    }
}

fn synonyms(key: &ConfigKey, found: &[Candidate<'_>]) -> Vec<ConfigSynonym> {
    found
        .iter()
        .map(|c| ConfigSynonym { name: c.name, value: shown(key, c.text), source: c.source })
        .collect()
}

fn shown(key: &ConfigKey, text: &str) -> Option<String> {
    (!key.is_sensitive()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests;
