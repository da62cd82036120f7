//! What the three APIs that change or show configurations share.

use std::borrow::Cow;

use coordinator::{ConfigResource, Refusal, controller::configs};

/// Kafka's numbers for resource types come with names; this is what both mean, or why they mean nothing.
pub(super) fn resource(type_code: i8, name: &str) -> Result<ConfigResource, Refusal> {
    configs::config_resource(type_code, name)
}

/// Code and text of one result.
pub(super) fn outcome_of(outcome: &Result<(), Refusal>) -> (i16, Option<Cow<'_, str>>) {
    match outcome {
        Ok(()) => (0, None),
        Err(refusal) => (refusal.code.code(), Some((&*refusal.message).into())),
    }
}

/// Puts the controller's results, which are only for what could be read, among the refusals of what could not.
pub(super) fn merge<T>(
    read: impl IntoIterator<Item = Result<T, Refusal>>,
    decided: Vec<Result<(), Refusal>>,
) -> Vec<Result<(), Refusal>> {
    let mut decided = decided.into_iter();
    let unanswered = || {
        let sentence = "The controller gave no answer for this resource.";
        Err(Refusal::new(model::ErrorCode::UnknownServerError, sentence))
    };
    read.into_iter().map(|read| read.and_then(|_| decided.next().unwrap_or_else(unanswered))).collect()
}
