//! Configs are altered.

use super::{Controller, Decision, Refusal};
use crate::{config::ConfigAlteration, metadata::ConfigResource};

/// One resource of an AlterConfigs or IncrementalAlterConfigs request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AlterConfigsRequest<T> {
    pub resource: ConfigResource,
    pub configs: Vec<T>,
}

impl Controller<'_> {
    /// AlterConfigs: the given values become the whole set, in the order asked.
    pub fn replace_configs(
        &self,
        requests: &[AlterConfigsRequest<(String, Option<String>)>],
        validate_only: bool,
    ) -> Decision<Vec<Result<(), Refusal>>> {
        let _ = (requests, validate_only);
        todo!()
    }

    /// IncrementalAlterConfigs: what is not named stays.
    pub fn alter_configs(
        &self,
        requests: &[AlterConfigsRequest<ConfigAlteration>],
        validate_only: bool,
    ) -> Decision<Vec<Result<(), Refusal>>> {
        let _ = (requests, validate_only);
        todo!()
    }
}
