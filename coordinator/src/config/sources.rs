//! Where a value may come from, in Kafka's order: the topic's own configs, this broker's dynamic ones, those of all
//! brokers, the file, the default. The views, DescribeConfigs and the alterations all ask here, so they cannot differ.

use std::collections::BTreeMap;

use model::BrokerId;

use super::{
    describe::ConfigSource,
    table::{self, ConfigKey, Synonym},
};
use crate::metadata::{ConfigResource, Image, image::ConfigMap};

/// What the file says, by the key's proper name, in canonical form.
pub(super) type Statics = BTreeMap<&'static str, String>;

#[derive(Clone, Copy)]
pub(super) struct Sources<'a> {
    topic: Option<&'a ConfigMap>,
    broker: Option<&'a ConfigMap>,
    default_broker: Option<&'a ConfigMap>,
    statics: &'a Statics,
}

/// A value that one source has for a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Candidate<'a> {
    /// Under which name: the key's own or a synonym.
    pub(super) name: &'static str,
    pub(super) text: &'a str,
    pub(super) source: ConfigSource,
    factor: i64,
}

impl<'a> Sources<'a> {
    /// The file and the defaults alone.
    pub(super) fn of_file(statics: &'a Statics) -> Self {
        Self { topic: None, broker: None, default_broker: None, statics }
    }

    pub(super) fn of_broker(broker: BrokerId, image: &'a Image, statics: &'a Statics) -> Self {
        Self {
            topic: None,
            broker: image.configs(&ConfigResource::Broker(broker)),
            default_broker: image.configs(&ConfigResource::DefaultBroker),
            statics,
        }
    }

    pub(super) fn with_topic(self, topic: Option<&'a ConfigMap>) -> Self {
        Self { topic, ..self }
    }

    /// All there is for a topic key, the strongest first.
    pub(super) fn of_topic_key(&self, key: &'static ConfigKey) -> Vec<Candidate<'a>> {
        let mut found = vec![];
        if let Some(text) = self.topic.and_then(|map| map.get(key.name)) {
            found.push(Candidate { name: key.name, text, source: ConfigSource::DynamicTopic, factor: 1 });
        }
        if key.synonyms.is_empty() {
            found.extend(default_of(key));
        } else {
            self.add_broker_values(key.synonyms, &mut found);
        }
        found
    }

    /// All there is for broker keys that mean the same thing, the strongest first.
    pub(super) fn of_broker_keys(&self, names: &[Synonym]) -> Vec<Candidate<'a>> {
        let mut found = vec![];
        self.add_broker_values(names, &mut found);
        found
    }

    fn add_broker_values(&self, names: &[Synonym], found: &mut Vec<Candidate<'a>>) {
        let mut add = |source, text_of: &dyn Fn(&'static str) -> Option<&'a str>| {
            for &Synonym { name, factor } in names {
                if let Some(text) = text_of(name) {
                    found.push(Candidate { name, text, source, factor });
                }
            }
        };
        let of_map = |map: Option<&'a ConfigMap>, name| map.and_then(|map| map.get(name)).map(String::as_str);
        add(ConfigSource::DynamicBroker, &|name| of_map(self.broker, name));
        add(ConfigSource::DynamicDefaultBroker, &|name| of_map(self.default_broker, name));
        add(ConfigSource::StaticBroker, &|name| self.statics.get(name).map(String::as_str));
        add(ConfigSource::Default, &|name| table::broker_key(name).and_then(|key| key.default));
    }

    /// The value in force for a topic key, canonical and in the topic key's unit.
    pub(super) fn topic_value(&self, key: &'static ConfigKey) -> (Option<String>, ConfigSource) {
        in_force(&self.of_topic_key(key), key)
    }

    /// The value in force for a broker key under its own name.
    pub(super) fn broker_value(&self, key: &'static ConfigKey) -> (Option<String>, ConfigSource) {
        in_force(&self.of_broker_keys(&[Synonym { name: key.name, factor: 1 }]), key)
    }

    /// All there is for a group key, the strongest first. Without a value of its own a group has the broker's of the same
    /// meaning: `group.consumer.session.timeout.ms` for `consumer.session.timeout.ms`.
    pub(super) fn of_group_key(
        &self,
        key: &'static ConfigKey,
        own: Option<&'a ConfigMap>,
    ) -> Vec<Candidate<'a>> {
        let mut found = vec![];
        if let Some(text) = own.and_then(|own| own.get(key.name)) {
            found.push(Candidate { name: key.name, text, source: ConfigSource::Group, factor: 1 });
        }
        match table::broker_key(&format!("group.{}", key.name)) {
            Some(broker_key) => {
                self.add_broker_values(&[Synonym { name: broker_key.name, factor: 1 }], &mut found)
            }
            None => found.extend(default_of(key)),
        }
        found
    }

    pub(super) fn group_value(
        &self,
        key: &'static ConfigKey,
        own: Option<&'a ConfigMap>,
    ) -> (Option<String>, ConfigSource) {
        in_force(&self.of_group_key(key, own), key)
    }
}

fn default_of(key: &'static ConfigKey) -> Option<Candidate<'static>> {
    key.default.map(|text| Candidate { name: key.name, text, source: ConfigSource::Default, factor: 1 })
}

/// The first candidate that the table allows. Values are checked before they are stored, so one that is not allowed was
/// stored by another version; it is passed over, because a broker that cannot start over a config cannot be repaired.
fn in_force(candidates: &[Candidate<'_>], key: &ConfigKey) -> (Option<String>, ConfigSource) {
    let allowed = candidates.iter().find_map(|candidate| {
        let value = key.check(&candidate.scaled()).ok()?;
        Some((Some(value), candidate.source))
    });
    allowed.unwrap_or((None, ConfigSource::Default))
}

impl Candidate<'_> {
    /// In the unit of the key that asked. A negative value means "no limit" in every unit.
    fn scaled(&self) -> String {
        match self.text.trim().parse::<i64>() {
            Ok(n) if self.factor != 1 && n > 0 => n.saturating_mul(self.factor).to_string(),
            _ => self.text.to_owned(),
        }
    }
}
