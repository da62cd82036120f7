//! Configs are altered.

use model::{BrokerId, ErrorCode};

use super::{
    CONFIGURED_GROUPS_MAX, Controller, Decision, Refusal,
    change::{Changes, Target},
    named_twice,
    names::check_name,
};
use crate::{
    config::{ConfigAlteration, alter, value::shorten},
    metadata::{ConfigResource, MetadataRecord, image::ConfigMap, record::ConfigRecord},
};

/// One resource of an AlterConfigs or IncrementalAlterConfigs request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AlterConfigsRequest<T> {
    pub resource: ConfigResource,
    pub configs: Vec<T>,
}

/// The resource that a request means by Kafka's type code and a name. For DescribeConfigs as for the alterations.
pub fn config_resource(type_code: i8, name: &str) -> Result<ConfigResource, Refusal> {
    let refuse = |sentence: String| Err(Refusal::new(ErrorCode::InvalidRequest, sentence));
    match type_code {
        2 if name.is_empty() => refuse("The topic's name is empty; name a topic.".to_owned()),
        2 => check_name(name).map(|()| ConfigResource::Topic(name.to_owned())),
        4 if name.is_empty() => Ok(ConfigResource::DefaultBroker),
        4 => match name.parse() {
            Ok(id) if id >= 0 => Ok(ConfigResource::Broker(BrokerId(id))),
            _ => refuse(format!("'{}' is no broker id.", shorten(name))),
        },
        32 => check_group_name(name).map(|()| ConfigResource::Group(name.to_owned())),
        other => refuse(format!("Resources of type {other} have no configs here.")),
    }
}

/// As long as a Kafka string can be.
const GROUP_BYTES_MAX: usize = 32_767;

fn check_group_name(name: &str) -> Result<(), Refusal> {
    let sentence = match name.len() {
        0 => "The group's name is empty; name a group.".to_owned(),
        bytes if bytes > GROUP_BYTES_MAX => {
            format!("A group's name has at most {GROUP_BYTES_MAX} bytes, this one has {bytes}.")
        }
        _ => return Ok(()),
    };
    Err(Refusal::new(ErrorCode::InvalidRequest, sentence))
}

impl Controller<'_> {
    /// AlterConfigs: the given values become the whole set. One result a resource, in the order asked.
    pub fn replace_configs(
        &self,
        requests: &[AlterConfigsRequest<(String, Option<String>)>],
        validate_only: bool,
    ) -> Decision<Vec<Result<(), Refusal>>> {
        self.alter_each(requests, validate_only, |request| {
            alter::replaced(&request.resource, &request.configs, self.image, self.config)
        })
    }

    /// IncrementalAlterConfigs: what is not named stays. One result a resource, in the order asked.
    pub fn alter_configs(
        &self,
        requests: &[AlterConfigsRequest<ConfigAlteration>],
        validate_only: bool,
    ) -> Decision<Vec<Result<(), Refusal>>> {
        self.alter_each(requests, validate_only, |request| {
            alter::altered(&request.resource, &request.configs, self.image, self.config)
        })
    }

    fn alter_each<T>(
        &self,
        requests: &[AlterConfigsRequest<T>],
        validate_only: bool,
        after: impl Fn(&AlterConfigsRequest<T>) -> Result<ConfigMap, Refusal>,
    ) -> Decision<Vec<Result<(), Refusal>>> {
        let twice = named_twice(requests.iter().map(|request| &request.resource));
        let mut records = vec![];
        let mut new_groups = 0;
        let mut alter = |request: &AlterConfigsRequest<T>, twice: bool| {
            if twice {
                let sentence = "The request names this resource twice; name it once.";
                return Err(Refusal::new(ErrorCode::InvalidRequest, sentence));
            }
            self.check_resource(&request.resource)?;
            let after = after(request)?;
            if self.begins_a_group(&request.resource, &after) {
                new_groups += 1;
                self.check_group_count(new_groups)?;
            }
            if !validate_only {
                self.push_differences(&request.resource, after, &mut records);
            }
            Ok(())
        };
        let answer = requests.iter().zip(twice).map(|(request, twice)| alter(request, twice)).collect();
        let of_partitions = self.partitions_after(&records);
        records.extend(of_partitions);
        Decision { answer, records }
    }

    /// What configs say of leadership holds with the records that say it. With fewer replicas needed in sync, what is
    /// committed may leave behind those that were eligible to lead, so they stop being so. Where unclean elections become
    /// allowed, partitions without a leader get one.
    fn partitions_after(&self, records: &[MetadataRecord]) -> Vec<MetadataRecord> {
        let alters = |key: &str| {
            records.iter().any(|record| matches!(record, MetadataRecord::Config(config) if config.key == key))
        };
        let (of_isr, of_unclean) = (alters("min.insync.replicas"), alters("unclean.leader.election.enable"));
        if !of_isr && !of_unclean {
            return vec![];
        }
        let mut after = self.image.clone();
        for record in records {
            let applied = after.apply(after.offset() + 1, record);
            assert!(applied.is_ok(), "a config applies to any image");
        }
        let mut changes = Changes::new(Controller::new(&after, self.config));
        for (topic, index, partition) in self.all_partitions() {
            if (of_isr && !partition.elr.is_empty()) || (of_unclean && partition.leader.is_none()) {
                changes.push(topic, index, partition, Target::of(partition));
            }
        }
        changes.records
    }

    fn check_resource(&self, resource: &ConfigResource) -> Result<(), Refusal> {
        match resource {
            ConfigResource::Topic(name) if self.image.topic(name).is_none() => {
                let sentence = format!("There is no topic '{}'.", shorten(name));
                Err(Refusal::new(ErrorCode::UnknownTopicOrPartition, sentence))
            }
            ConfigResource::Broker(id) if self.image.broker(*id).is_none() => {
                Err(Refusal::new(ErrorCode::BrokerIdNotRegistered, format!("Broker {id} is not registered.")))
            }
            ConfigResource::Group(name) => check_group_name(name),
            _ => Ok(()),
        }
    }

    fn begins_a_group(&self, resource: &ConfigResource, after: &ConfigMap) -> bool {
        matches!(resource, ConfigResource::Group(_))
            && !after.is_empty()
            && self.image.configs(resource).is_none()
    }

    fn check_group_count(&self, new_groups: usize) -> Result<(), Refusal> {
        let groups = self.image.config_resources().filter(|r| matches!(r, ConfigResource::Group(_))).count();
        if groups + new_groups > CONFIGURED_GROUPS_MAX {
            let sentence =
                format!("{CONFIGURED_GROUPS_MAX} groups have configs, which is the most there may be.");
            return Err(Refusal::new(ErrorCode::PolicyViolation, sentence));
        }
        Ok(())
    }

    /// A record for each key that is other than before, and none for the rest.
    fn push_differences(
        &self,
        resource: &ConfigResource,
        after: ConfigMap,
        records: &mut Vec<MetadataRecord>,
    ) {
        let nothing = ConfigMap::new();
        let before = self.image.configs(resource).unwrap_or(&nothing);
        let mut push = |key: String, value| {
            let resource = resource.clone();
            records.push(MetadataRecord::Config(ConfigRecord { resource, key, value }));
        };
        for key in before.keys().filter(|key| !after.contains_key(*key)) {
            push(key.clone(), None);
        }
        for (key, value) in after {
            if before.get(&key) != Some(&value) {
                push(key, Some(value));
            }
        }
    }
}
