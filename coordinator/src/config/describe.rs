//! What DescribeConfigs answers.

use super::{broker::BrokerConfig, value::ValueType};
use crate::{
    controller::Refusal,
    metadata::{ConfigResource, Image},
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
    /// In order of precedence, the one in force first.
    pub synonyms: Vec<ConfigSynonym>,
    pub kind: ValueType,
    pub documentation: String,
}

impl ConfigEntry {
    pub fn is_default(&self) -> bool {
        self.source == ConfigSource::Default
    }
}

/// Every key of the resource, in order of name.
pub fn describe(
    resource: &ConfigResource,
    image: &Image,
    broker: &BrokerConfig,
) -> Result<Vec<ConfigEntry>, Refusal> {
    let _ = (resource, image, broker);
    todo!()
}
