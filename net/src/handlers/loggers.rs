//! Levels of this broker's loggers, altered as configs. They are of the process alone, so the controller has no part.

use coordinator::{
    Refusal,
    config::{AlterOp, ConfigAlteration},
};
use engine::Disk;
use model::ErrorCode;

use super::configs::check_logger_broker;
use crate::{
    host::LogLevel,
    shard::Shard,
    wire::messages::describe_configs::{DescribeConfigsResourceResult, DescribeConfigsResourceView},
};

/// Where the value comes from, as DescribeConfigs tells it.
const DYNAMIC_BROKER_LOGGER: i8 = 6;

pub(super) fn alter<D: Disk>(
    shard: &Shard<D>,
    name: &str,
    alterations: &[ConfigAlteration],
    validate_only: bool,
) -> Result<(), Refusal> {
    check_logger_broker(shard, name)?;
    let mut changes: Vec<(String, Option<LogLevel>)> = Vec::with_capacity(alterations.len());
    for ConfigAlteration { key, op, value } in alterations {
        if changes.iter().any(|(name, _)| name == key) {
            return Err(invalid(format!("Logger {key} is named twice; name it once.")));
        }
        let level = match (op, value) {
            (AlterOp::Delete, _) => None,
            (AlterOp::Set, Some(value)) => Some(level(value)?),
            (AlterOp::Set, None) => return Err(invalid(format!("The level of logger {key} is null."))),
            _ => return Err(invalid("The level of a logger is no list; set it.".to_owned())),
        };
        changes.push((key.clone(), level));
    }
    let change = shard.host().loggers.change(&changes, validate_only);
    change.map_err(|(code, sentence)| Refusal::new(code, sentence))
}

fn level(value: &str) -> Result<LogLevel, Refusal> {
    LogLevel::from_name(value).ok_or_else(|| {
        let names = LogLevel::ALL.map(LogLevel::name).join(", ");
        let sentence = format!("'{}' is no level; use one of {names}.", value.escape_debug());
        Refusal::new(ErrorCode::InvalidConfig, sentence)
    })
}

fn invalid(sentence: String) -> Refusal {
    Refusal::new(ErrorCode::InvalidRequest, sentence)
}

pub(super) fn describe<D: Disk>(
    shard: &Shard<D>,
    asked: &DescribeConfigsResourceView<'_>,
) -> Result<Vec<DescribeConfigsResourceResult<'static>>, Refusal> {
    check_logger_broker(shard, asked.resource_name)?;
    let keys = asked.configuration_keys.filter(|keys| !keys.is_empty());
    let is_wanted = |name: &str| keys.is_none_or(|keys| keys.iter().any(|key| key == name));
    let levels = shard.host().loggers.levels().into_iter().filter(|(name, _)| is_wanted(name));
    let entry = |(name, level): (String, LogLevel)| DescribeConfigsResourceResult {
        name: name.into(),
        value: Some(level.name().into()),
        config_source: DYNAMIC_BROKER_LOGGER,
        ..DescribeConfigsResourceResult::default()
    };
    Ok(levels.map(entry).collect())
}
