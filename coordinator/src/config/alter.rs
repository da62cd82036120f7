//! Changes to the configs of one resource, checked: from what it has to what it shall have. Both alterations of Kafka
//! and the configs of a new topic end in the same checks.

use std::collections::BTreeSet;

use model::ErrorCode;

use super::{
    broker::BrokerConfig,
    field,
    table::{self, ConfigKey, Update},
    topic::TopicConfig,
    value::parse_list,
};
use crate::{
    controller::Refusal,
    metadata::{ConfigResource, Image, image::ConfigMap},
};

/// Kafka's operations of IncrementalAlterConfigs, with their numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i8)]
pub enum AlterOp {
    Set = 0,
    Delete = 1,
    /// Adds to a list what is not in it.
    Append = 2,
    /// Takes out of a list what is in it.
    Subtract = 3,
}

impl AlterOp {
    pub fn from_code(code: i8) -> Option<Self> {
        [Self::Set, Self::Delete, Self::Append, Self::Subtract].into_iter().find(|op| *op as i8 == code)
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigAlteration {
    pub key: String,
    pub op: AlterOp,
    /// Not looked at by Delete.
    pub value: Option<String>,
}

/// What `resource` has after `ops`.
pub(crate) fn altered(
    resource: &ConfigResource,
    ops: &[ConfigAlteration],
    image: &Image,
    broker: &BrokerConfig,
) -> Result<ConfigMap, Refusal> {
    let mut configs = image.configs(resource).cloned().unwrap_or_default();
    refuse_twice(ops.iter().map(|op| op.key.as_str()))?;
    let given = ops.iter().filter(|op| op.op != AlterOp::Delete);
    refuse_not_dynamic(resource, given.map(|op| op.key.as_str()))?;
    for op in ops {
        if op.op == AlterOp::Delete {
            // Also of a key that another version stored and this one does not know.
            configs.remove(&op.key);
            continue;
        }
        let key = key_of(resource, &op.key)?;
        let value = new_value(key, op, resource, image, broker)?;
        check(resource, key, &value)?;
        configs.insert(key.name.to_owned(), value);
    }
    refuse_contradiction(resource, &configs, image, broker)?;
    Ok(configs)
}

/// What `resource` has when `pairs` are all it has.
pub(crate) fn replaced(
    resource: &ConfigResource,
    pairs: &[(String, Option<String>)],
    image: &Image,
    broker: &BrokerConfig,
) -> Result<ConfigMap, Refusal> {
    let mut configs = ConfigMap::new();
    refuse_twice(pairs.iter().map(|(name, _)| name.as_str()))?;
    refuse_not_dynamic(resource, pairs.iter().map(|(name, _)| name.as_str()))?;
    for (name, value) in pairs {
        let key = key_of(resource, name)?;
        let value = value.as_ref().ok_or_else(|| null_value(name))?;
        check(resource, key, value)?;
        configs.insert(key.name.to_owned(), value.clone());
    }
    refuse_contradiction(resource, &configs, image, broker)?;
    Ok(configs)
}

fn key_of(resource: &ConfigResource, name: &str) -> Result<&'static ConfigKey, Refusal> {
    let (key, whose) = match resource {
        ConfigResource::Topic(_) => (table::topic_key(name), "topic"),
        ConfigResource::Broker(_) | ConfigResource::DefaultBroker => (table::broker_key(name), "broker"),
        ConfigResource::Group(_) => (table::group_key(name), "group"),
    };
    key.ok_or_else(|| {
        let name = super::value::shorten(name);
        Refusal::new(
            ErrorCode::InvalidConfig,
            format!("{name} is not a config of a {whose}; see DescribeConfigs."),
        )
    })
}

/// The value after one operation that gives one.
fn new_value(
    key: &'static ConfigKey,
    op: &ConfigAlteration,
    resource: &ConfigResource,
    image: &Image,
    broker: &BrokerConfig,
) -> Result<String, Refusal> {
    let value = op.value.as_ref().ok_or_else(|| null_value(key.name))?;
    if op.op == AlterOp::Set {
        return Ok(value.clone());
    }
    if !key.is_list() {
        let sentence =
            format!("{} is not a list, so nothing can be appended or subtracted; set it.", key.name);
        return Err(Refusal::new(ErrorCode::InvalidConfig, sentence));
    }
    let before = list_before(key, resource, image, broker);
    let mut items = parse_list(&before);
    let named = parse_list(value);
    if op.op == AlterOp::Append {
        for item in named {
            if !items.contains(&item) {
                items.push(item);
            }
        }
    } else {
        items.retain(|item| !named.contains(item));
    }
    Ok(items.join(","))
}

/// The list that an append or subtract begins with: the resource's own, else what is in force for it now.
fn list_before(
    key: &'static ConfigKey,
    resource: &ConfigResource,
    image: &Image,
    broker: &BrokerConfig,
) -> String {
    let own = image.configs(resource);
    if let Some(text) = own.and_then(|own| own.get(key.name)) {
        return text.clone();
    }
    let sources = broker.sources(image);
    let in_force = match resource {
        ConfigResource::Topic(_) => sources.topic_value(key).0,
        ConfigResource::Group(_) => sources.group_value(key, own).0,
        ConfigResource::Broker(id) if *id == broker.node_id => sources.broker_value(key).0,
        ConfigResource::Broker(_) | ConfigResource::DefaultBroker => key.default.map(str::to_owned),
    };
    in_force.unwrap_or_default()
}

/// Kafka answers a bad value of a broker with another code than one of a topic or group.
fn check(resource: &ConfigResource, key: &ConfigKey, value: &str) -> Result<(), Refusal> {
    let code = match resource {
        ConfigResource::Topic(_) | ConfigResource::Group(_) => ErrorCode::InvalidConfig,
        ConfigResource::Broker(_) | ConfigResource::DefaultBroker => ErrorCode::InvalidRequest,
    };
    key.check(value).map(drop).map_err(|sentence| Refusal::new(code, sentence))
}

fn refuse_twice<'a>(names: impl Iterator<Item = &'a str>) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            let sentence = format!("{} is named twice; name it once.", super::value::shorten(name));
            return Err(Refusal::new(ErrorCode::InvalidRequest, sentence));
        }
    }
    Ok(())
}

fn null_value(name: &str) -> Refusal {
    let name = super::value::shorten(name);
    Refusal::new(
        ErrorCode::InvalidRequest,
        format!("{name} has the value null; give a value, or delete the key."),
    )
}

/// All that cannot change is named at once, in the order asked.
fn refuse_not_dynamic<'a>(
    resource: &ConfigResource,
    names: impl Iterator<Item = &'a str> + Clone,
) -> Result<(), Refusal> {
    let of = |update: Update| {
        let keys = names.clone().filter_map(table::broker_key).filter(move |key| key.update == update);
        keys.map(|key| key.name).collect::<Vec<_>>().join(", ")
    };
    let refuse = |sentence| Err(Refusal::new(ErrorCode::InvalidRequest, sentence));
    if matches!(resource, ConfigResource::Topic(_) | ConfigResource::Group(_)) {
        return Ok(());
    }
    let read_only = of(Update::ReadOnly);
    if !read_only.is_empty() {
        return refuse(format!(
            "Cannot update these configs dynamically: [{read_only}]; change the file and restart."
        ));
    }
    let per_broker = of(Update::PerBroker);
    if matches!(resource, ConfigResource::DefaultBroker) && !per_broker.is_empty() {
        return refuse(format!(
            "Cannot update these configs for all brokers at once: [{per_broker}]; name a broker's id."
        ));
    }
    Ok(())
}

/// Values that are fine alone and not together.
fn refuse_contradiction(
    resource: &ConfigResource,
    configs: &ConfigMap,
    image: &Image,
    broker: &BrokerConfig,
) -> Result<(), Refusal> {
    match resource {
        ConfigResource::Topic(_) => {
            let topic = TopicConfig::over(Some(configs), image, broker);
            let (min, max) = (topic.min_compaction_lag_ms, topic.max_compaction_lag_ms);
            if min > max {
                let sentence =
                    format!("min.compaction.lag.ms = {min} is above max.compaction.lag.ms = {max}.");
                return Err(Refusal::new(ErrorCode::InvalidConfig, sentence));
            }
            Ok(())
        }
        ConfigResource::Group(_) => refuse_outside_limits(configs, image, broker),
        ConfigResource::Broker(_) | ConfigResource::DefaultBroker => Ok(()),
    }
}

/// The broker sets limits to what a group may be given.
fn refuse_outside_limits(configs: &ConfigMap, image: &Image, broker: &BrokerConfig) -> Result<(), Refusal> {
    let broker = broker.with_dynamic(image);
    macro_rules! within {
        ($($key:literal: $min:ident..=$max:ident;)*) => {$(
            if let Some(value) = configs.get($key).and_then(|text| text.trim().parse::<i32>().ok())
                && !(broker.$min..=broker.$max).contains(&value)
            {
                let (min, max) = (field::key_name(stringify!($min)), field::key_name(stringify!($max)));
                let sentence = format!(
                    "{} = {value} must lie from {min} = {} to {max} = {}.", $key, broker.$min, broker.$max
                );
                return Err(Refusal::new(ErrorCode::InvalidConfig, sentence));
            }
        )*};
    }
    within! {
        "consumer.session.timeout.ms":
            group_consumer_min_session_timeout_ms..=group_consumer_max_session_timeout_ms;
        "consumer.heartbeat.interval.ms":
            group_consumer_min_heartbeat_interval_ms..=group_consumer_max_heartbeat_interval_ms;
        "consumer.assignment.interval.ms":
            group_consumer_min_assignment_interval_ms..=group_consumer_max_assignment_interval_ms;
        "share.session.timeout.ms": group_share_min_session_timeout_ms..=group_share_max_session_timeout_ms;
        "share.heartbeat.interval.ms": group_share_min_heartbeat_interval_ms..=group_share_max_heartbeat_interval_ms;
        "share.record.lock.duration.ms":
            group_share_min_record_lock_duration_ms..=group_share_max_record_lock_duration_ms;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
