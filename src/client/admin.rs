//! Topics and their configuration: created, deleted, grown, altered, described.

use net::wire::{
    ApiKey,
    messages::{
        create_partitions, create_topics, delete_topics, describe_configs, incremental_alter_configs,
    },
};

use super::{
    Cluster,
    error::{ClientError, Result, check},
};

const TIMEOUT_MS: i32 = 30_000;
/// Up to here topics are named, not given by id.
const DELETE_TOPICS_VERSION_MAX: i16 = 5;
const LATEST: i16 = i16::MAX;
const RESOURCE_TOPIC: i8 = 2;

/// What a topic shall be like; `None` is the broker's default.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewTopic<'a> {
    pub name: &'a str,
    pub partitions: Option<i32>,
    pub replicas: Option<i16>,
    pub configs: &'a [(String, String)],
}

/// One configuration value as the broker describes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigValue {
    pub name: String,
    /// None: null, or kept secret.
    pub value: Option<String>,
    pub source: i8,
}

/// A source number that means: set on the topic itself.
pub const SOURCE_TOPIC: i8 = 1;
/// A source number that means: nobody has set it.
pub const SOURCE_DEFAULT: i8 = 5;

impl Cluster {
    pub fn create_topic(&mut self, topic: &NewTopic<'_>) -> Result<()> {
        let creatable = create_topics::CreatableTopic {
            name: topic.name.into(),
            num_partitions: topic.partitions.unwrap_or(-1),
            replication_factor: topic.replicas.unwrap_or(-1),
            configs: topic.configs.iter().map(creatable_config).collect(),
            ..Default::default()
        };
        let request =
            create_topics::Request { topics: vec![creatable], timeout_ms: TIMEOUT_MS, ..Default::default() };
        let controller = self.controller()?;
        let answer = controller.call(LATEST, &request)?;
        let malformed = ClientError::malformed(controller.address(), ApiKey::CreateTopics);
        let view = create_topics::ResponseView::decode(answer.body(), answer.version).map_err(malformed)?;
        view.topics
            .iter()
            .try_for_each(|t| check(&format!("topic {}", t.name), t.error_code, t.error_message))
    }

    /// One result a topic, in the order of the answer.
    pub fn delete_topics(&mut self, names: &[String]) -> Result<Vec<(String, Result<()>)>> {
        let request = delete_topics::Request {
            topic_names: names.iter().map(Into::into).collect(),
            timeout_ms: TIMEOUT_MS,
            ..Default::default()
        };
        let controller = self.controller()?;
        let answer = controller.call(DELETE_TOPICS_VERSION_MAX, &request)?;
        let malformed = ClientError::malformed(controller.address(), ApiKey::DeleteTopics);
        let view = delete_topics::ResponseView::decode(answer.body(), answer.version).map_err(malformed)?;
        let result = |t: delete_topics::DeletableTopicResultView<'_>| {
            let name = t.name.unwrap_or_default().to_owned();
            let result = check(&format!("topic {name}"), t.error_code, t.error_message);
            (name, result)
        };
        Ok(view.responses.iter().map(result).collect())
    }

    /// So many partitions in all.
    pub fn create_partitions(&mut self, topic: &str, count: i32) -> Result<()> {
        let grown = create_partitions::CreatePartitionsTopic { name: topic.into(), count, assignments: None };
        let request =
            create_partitions::Request { topics: vec![grown], timeout_ms: TIMEOUT_MS, validate_only: false };
        let controller = self.controller()?;
        let answer = controller.call(LATEST, &request)?;
        let malformed = ClientError::malformed(controller.address(), ApiKey::CreatePartitions);
        let view =
            create_partitions::ResponseView::decode(answer.body(), answer.version).map_err(malformed)?;
        view.results
            .iter()
            .try_for_each(|t| check(&format!("topic {}", t.name), t.error_code, t.error_message))
    }

    /// Sets some values and lets others go back to the broker's.
    pub fn alter_configs(&mut self, topic: &str, set: &[(String, String)], unset: &[String]) -> Result<()> {
        const SET: i8 = 0;
        const DELETE: i8 = 1;
        let sets = set.iter().map(|(name, value)| (name, SET, Some(value.into())));
        let unsets = unset.iter().map(|name| (name, DELETE, None));
        let configs = sets.chain(unsets).map(|(name, config_operation, value)| {
            incremental_alter_configs::AlterableConfig { name: name.into(), config_operation, value }
        });
        let resource = incremental_alter_configs::AlterConfigsResource {
            resource_type: RESOURCE_TOPIC,
            resource_name: topic.into(),
            configs: configs.collect(),
        };
        let request = incremental_alter_configs::Request { resources: vec![resource], validate_only: false };
        let controller = self.controller()?;
        let answer = controller.call(LATEST, &request)?;
        let malformed = ClientError::malformed(controller.address(), ApiKey::IncrementalAlterConfigs);
        let view = incremental_alter_configs::ResponseView::decode(answer.body(), answer.version)
            .map_err(malformed)?;
        view.responses.iter().try_for_each(|r| {
            check(&format!("configuration of {}", r.resource_name), r.error_code, r.error_message)
        })
    }

    pub fn describe_configs(&mut self, topic: &str) -> Result<Vec<ConfigValue>> {
        let resource = describe_configs::DescribeConfigsResource {
            resource_type: RESOURCE_TOPIC,
            resource_name: topic.into(),
            configuration_keys: None,
        };
        let request = describe_configs::Request { resources: vec![resource], ..Default::default() };
        let broker = self.any()?;
        let answer = broker.call(LATEST, &request)?;
        let malformed = ClientError::malformed(broker.address(), ApiKey::DescribeConfigs);
        let view =
            describe_configs::ResponseView::decode(answer.body(), answer.version).map_err(malformed)?;
        let mut values = Vec::new();
        for result in view.results.iter() {
            check(
                &format!("configuration of {}", result.resource_name),
                result.error_code,
                result.error_message,
            )?;
            values.extend(result.configs.iter().map(|c| ConfigValue {
                name: c.name.to_owned(),
                value: c.value.map(str::to_owned),
                source: c.config_source,
            }));
        }
        Ok(values)
    }
}

fn creatable_config((name, value): &(String, String)) -> create_topics::CreatableTopicConfig<'_> {
    create_topics::CreatableTopicConfig { name: name.into(), value: Some(value.into()) }
}
