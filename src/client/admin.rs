//! Topics and their configuration: created, deleted, grown, altered, described.

use net::wire::{
    ApiKey,
    messages::{
        create_partitions, create_topics, delete_topics, describe_configs, incremental_alter_configs,
    },
};

use super::{
    Cluster, Connection,
    error::{ClientError, Result, check},
};

const TIMEOUT_MS: i32 = 30_000;
/// Up to here topics are named, not given by id.
const DELETE_TOPICS_VERSION_MAX: i16 = 5;
const LATEST: i16 = i16::MAX;

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

/// What has configs of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Resource {
    Topic(String),
    Broker(i32),
}

impl Resource {
    fn kind(&self) -> i8 {
        match self {
            Self::Topic(_) => 2,
            Self::Broker(_) => 4,
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Topic(name) => name.clone(),
            Self::Broker(id) => id.to_string(),
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    Set(String),
    /// Back to what holds without it.
    Unset,
    /// To a list.
    Append(String),
}

impl Change {
    fn on_the_wire(&self) -> (i8, Option<&str>) {
        match self {
            Self::Set(value) => (0, Some(value)),
            Self::Unset => (1, None),
            Self::Append(value) => (2, Some(value)),
        }
    }
}

/// Configs of one resource that change, by key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Alteration {
    pub resource: Resource,
    pub changes: Vec<(String, Change)>,
}

/// A source number that means: set on the topic itself.
pub const SOURCE_TOPIC: i8 = 1;
/// A source number that means: set for this broker while it ran.
pub const SOURCE_BROKER: i8 = 2;
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
        let sets = set.iter().map(|(name, value)| (name.clone(), Change::Set(value.clone())));
        let unsets = unset.iter().map(|name| (name.clone(), Change::Unset));
        let resource = Resource::Topic(topic.to_owned());
        self.alter(&[Alteration { resource, changes: sets.chain(unsets).collect() }])
    }

    /// All that is asked, with one request; the first that is refused is the error.
    pub fn alter(&mut self, alterations: &[Alteration]) -> Result<()> {
        let config = |(name, change): &(String, Change)| {
            let (config_operation, value) = change.on_the_wire();
            let (name, value) = (name.clone().into(), value.map(|value| value.to_owned().into()));
            incremental_alter_configs::AlterableConfig { name, config_operation, value }
        };
        let resource = |alteration: &Alteration| incremental_alter_configs::AlterConfigsResource {
            resource_type: alteration.resource.kind(),
            resource_name: alteration.resource.name().into(),
            configs: alteration.changes.iter().map(config).collect(),
        };
        let resources = alterations.iter().map(resource).collect();
        let request = incremental_alter_configs::Request { resources, validate_only: false };
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
        let described = self.any()?.describe_configs(&[Resource::Topic(topic.to_owned())], None)?;
        Ok(described.into_iter().flat_map(|(_, values)| values).collect())
    }
}

impl Connection {
    /// Of the keys named, or of all. What a broker was started with only that broker knows.
    pub fn describe_configs(
        &mut self,
        resources: &[Resource],
        keys: Option<&[&str]>,
    ) -> Result<Vec<(Resource, Vec<ConfigValue>)>> {
        let resource = |resource: &Resource| describe_configs::DescribeConfigsResource {
            resource_type: resource.kind(),
            resource_name: resource.name().into(),
            configuration_keys: keys.map(|keys| keys.iter().map(|&key| key.to_owned().into()).collect()),
        };
        let resources_asked = resources.iter().map(resource).collect();
        let request = describe_configs::Request { resources: resources_asked, ..Default::default() };
        let answer = self.call(LATEST, &request)?;
        let malformed = ClientError::malformed(self.address(), ApiKey::DescribeConfigs);
        let view =
            describe_configs::ResponseView::decode(answer.body(), answer.version).map_err(malformed)?;
        let mut described = Vec::new();
        for (resource, result) in resources.iter().zip(view.results.iter()) {
            let what = format!("configuration of {}", result.resource_name);
            check(&what, result.error_code, result.error_message)?;
            let value = |c: describe_configs::DescribeConfigsResourceResultView<'_>| ConfigValue {
                name: c.name.to_owned(),
                value: c.value.map(str::to_owned),
                source: c.config_source,
            };
            described.push((resource.clone(), result.configs.iter().map(value).collect()));
        }
        Ok(described)
    }
}

fn creatable_config((name, value): &(String, String)) -> create_topics::CreatableTopicConfig<'_> {
    create_topics::CreatableTopicConfig { name: name.into(), value: Some(value.into()) }
}
