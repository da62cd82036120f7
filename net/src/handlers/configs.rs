//! What the APIs that change, show or list configurations share.

use std::borrow::Cow;

use coordinator::{ConfigResource, Refusal, controller::configs};
use engine::Disk;
use model::ErrorCode;

use crate::shard::Shard;

/// Kafka's numbers of resource types.
pub(super) const TOPIC: i8 = 2;
pub(super) const BROKER: i8 = 4;
pub(super) const BROKER_LOGGER: i8 = 8;
pub(super) const CLIENT_METRICS: i8 = 16;
pub(super) const GROUP: i8 = 32;
pub(super) const TYPES: [i8; 5] = [TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP];

/// What a request wants to alter: Kafka's number of a type and a name. A broker is altered at that broker.
pub(super) fn altered<D: Disk>(
    shard: &Shard<D>,
    type_code: i8,
    name: &str,
) -> Result<ConfigResource, Refusal> {
    if type_code == CLIENT_METRICS {
        let sentence = "Clients cannot push their metrics here, so there is nothing to configure.";
        return Err(Refusal::new(ErrorCode::InvalidRequest, sentence));
    }
    let resource = configs::config_resource(type_code, name)?;
    match resource {
        // In a cluster the controller answers for all of them.
        ConfigResource::Broker(id) if id != shard.broker() && !shard.forwards() => {
            let sentence = format!("This is broker {}; send what concerns {id} there.", shard.broker());
            Err(Refusal::new(ErrorCode::InvalidRequest, sentence))
        }
        resource => Ok(resource),
    }
}

/// The loggers of this broker are named by its id.
pub(super) fn check_logger_broker<D: Disk>(shard: &Shard<D>, name: &str) -> Result<(), Refusal> {
    if name == shard.broker().to_string() {
        return Ok(());
    }
    let sentence = format!("Loggers are named by their broker's id; this is broker {}.", shard.broker());
    Err(Refusal::new(ErrorCode::InvalidRequest, sentence))
}

/// Code and text of one result.
pub(super) fn outcome_of(outcome: &Result<(), Refusal>) -> (i16, Option<Cow<'_, str>>) {
    match outcome {
        Ok(()) => (0, None),
        Err(refusal) => (refusal.code.code(), Some((&*refusal.message).into())),
    }
}

/// Puts the controller's results, which are only for what it was asked (`Some`), among those that were known before.
pub(super) fn merge<T>(
    read: impl IntoIterator<Item = Result<Option<T>, Refusal>>,
    decided: Vec<Result<(), Refusal>>,
) -> Vec<Result<(), Refusal>> {
    let mut decided = decided.into_iter();
    let unanswered = || {
        let sentence = "The controller gave no answer for this resource.";
        Err(Refusal::new(ErrorCode::UnknownServerError, sentence))
    };
    let outcome = |read: Result<Option<T>, Refusal>| match read {
        Ok(Some(_)) => decided.next().unwrap_or_else(unanswered),
        Ok(None) => Ok(()),
        Err(refusal) => Err(refusal),
    };
    read.into_iter().map(outcome).collect()
}
