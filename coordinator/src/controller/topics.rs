//! Topics are created and deleted.

use std::collections::{BTreeMap, BTreeSet};

use model::{BrokerId, ErrorCode, LeaderEpoch, PartitionIndex, TopicId};

use super::{
    Controller, Decision, PARTITIONS_MAX, PARTITIONS_PER_REQUEST_MAX, Refusal,
    election::Standing,
    named_twice,
    names::{METADATA_TOPIC, check_name},
};
use crate::{
    config::{ConfigEntry, alter, describe, value::shorten},
    metadata::{
        ConfigResource, MetadataRecord, Partition,
        image::ConfigMap,
        record::{ConfigRecord, RemoveTopicRecord, TopicRecord},
    },
};

/// A generator that gives this many ids that are taken is broken, not unlucky.
const ID_TRIES_MAX: usize = 32;

/// One topic of a CreateTopics request.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CreateTopic {
    pub name: String,
    /// -1: the broker's default, and the only value allowed beside assignments.
    pub partitions: i32,
    /// As `partitions`.
    pub replication_factor: i16,
    /// Replicas of each partition, the preferred leader first; empty: the controller places them.
    pub assignments: Vec<(PartitionIndex, Vec<BrokerId>)>,
    pub configs: Vec<(String, Option<String>)>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreatedTopic {
    pub name: String,
    /// `TopicId::ZERO` when the request only asked for validation.
    pub id: TopicId,
    pub partitions: i32,
    pub replication_factor: i16,
    /// As DescribeConfigs would give them.
    pub configs: Vec<ConfigEntry>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum TopicRef {
    Name(String),
    Id(TopicId),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeletedTopic {
    pub name: String,
    pub id: TopicId,
}

/// What the topics before it in the same request have taken already.
#[derive(Default)]
struct Taken {
    /// With '_' for every '.': names that read the same there collide.
    names: BTreeMap<String, String>,
    ids: BTreeSet<TopicId>,
    partitions: usize,
}

/// A topic that may be created.
struct Plan {
    replicas: Vec<Vec<BrokerId>>,
    configs: ConfigMap,
}

impl Controller<'_> {
    /// One result a topic, in the order asked. `new_id` gives random 128-bit values. With `validate_only` the same is
    /// checked, and there are no ids and no records.
    pub fn create_topics(
        &self,
        topics: &[CreateTopic],
        validate_only: bool,
        new_id: &mut dyn FnMut() -> TopicId,
    ) -> Decision<Vec<Result<CreatedTopic, Refusal>>> {
        let twice = named_twice(topics.iter().map(|topic| &topic.name));
        let mut taken = Taken::default();
        let mut records = vec![];
        let mut create = |topic: &CreateTopic, twice: bool| {
            if twice {
                let sentence =
                    format!("The request names topic '{}' twice; name it once.", shorten(&topic.name));
                return Err(Refusal::new(ErrorCode::InvalidRequest, sentence));
            }
            let plan = self.plan(topic, &taken)?;
            let id = if validate_only { TopicId::ZERO } else { self.fresh_id(&taken, new_id)? };
            taken.names.insert(topic.name.replace('.', "_"), topic.name.clone());
            taken.ids.insert(id);
            taken.partitions += plan.replicas.len();
            let created = self.created(&topic.name, id, &plan);
            if !validate_only {
                self.push_records(&topic.name, id, plan, &mut records);
            }
            Ok(created)
        };
        let answer = topics.iter().zip(twice).map(|(topic, twice)| create(topic, twice)).collect();
        Decision { answer, records }
    }

    /// What Metadata does for a topic that is not there: a topic with the broker's defaults, and for the topics of the
    /// broker itself with theirs.
    pub fn auto_create(
        &self,
        name: &str,
        new_id: &mut dyn FnMut() -> TopicId,
    ) -> Decision<Result<CreatedTopic, Refusal>> {
        let topic = match self.internal_topic(name) {
            Some(topic) => topic,
            None if !self.config.auto_create_topics_enable => {
                let sentence =
                    format!("There is no topic '{}', and auto.create.topics.enable is false.", shorten(name));
                let refusal = Refusal::new(ErrorCode::UnknownTopicOrPartition, sentence);
                return Decision { answer: Err(refusal), records: vec![] };
            }
            None => CreateTopic {
                name: name.to_owned(),
                partitions: -1,
                replication_factor: -1,
                ..CreateTopic::default()
            },
        };
        let Decision { mut answer, records } = self.create_topics(&[topic], false, new_id);
        Decision { answer: answer.pop().expect("one answer for one topic"), records }
    }

    /// One result a topic, in the order asked.
    pub fn delete_topics(&self, topics: &[TopicRef]) -> Decision<Vec<Result<DeletedTopic, Refusal>>> {
        let found: Vec<_> = topics.iter().map(|topic| self.find(topic)).collect();
        // A name and an id can mean one topic, so what counts is what was found.
        let twice = named_twice(found.iter().zip(topics).map(|(found, asked)| match found {
            Ok(topic) => TopicRef::Id(topic.id),
            Err(_) => asked.clone(),
        }));
        let mut records = vec![];
        let delete = |(found, twice): (Result<DeletedTopic, Refusal>, bool)| {
            if twice {
                let sentence = "The request names this topic twice; name it once, by name or by id.";
                return Err(Refusal::new(ErrorCode::InvalidRequest, sentence));
            }
            let topic = found?;
            if !self.config.delete_topic_enable {
                let sentence = "Topics cannot be deleted: delete.topic.enable is false.";
                return Err(Refusal::new(ErrorCode::TopicDeletionDisabled, sentence));
            }
            records.push(MetadataRecord::RemoveTopic(RemoveTopicRecord { id: topic.id }));
            Ok(topic)
        };
        let answer = found.into_iter().zip(twice).map(delete).collect();
        Decision { answer, records }
    }

    fn find(&self, topic: &TopicRef) -> Result<DeletedTopic, Refusal> {
        let found = match topic {
            TopicRef::Name(name) => self.image.topic(name).ok_or_else(|| {
                let sentence = format!("There is no topic '{}'.", shorten(name));
                Refusal::new(ErrorCode::UnknownTopicOrPartition, sentence)
            }),
            TopicRef::Id(TopicId::ZERO) => {
                let sentence = "Neither a topic's name nor its id is given; give one of them.";
                Err(Refusal::new(ErrorCode::InvalidRequest, sentence))
            }
            TopicRef::Id(id) => self.image.topic_by_id(*id).ok_or_else(|| {
                Refusal::new(ErrorCode::UnknownTopicId, format!("There is no topic with the id {id}."))
            }),
        }?;
        Ok(DeletedTopic { name: found.name.to_string(), id: found.id })
    }

    fn plan(&self, topic: &CreateTopic, taken: &Taken) -> Result<Plan, Refusal> {
        self.check_new_name(&topic.name, taken)?;
        if let Some((key, _)) = topic.configs.iter().find(|(_, value)| value.is_none()) {
            let sentence =
                format!("{} has the value null; leave the key out to have the default.", shorten(key));
            return Err(Refusal::new(ErrorCode::InvalidConfig, sentence));
        }
        let resource = ConfigResource::Topic(topic.name.clone());
        let configs = alter::replaced(&resource, &topic.configs, self.image, self.config)?;
        let replicas =
            if topic.assignments.is_empty() { self.placed(topic, taken)? } else { self.assigned(topic)? };
        self.check_partition_count(taken.partitions, replicas.len())?;
        Ok(Plan { replicas, configs })
    }

    fn check_new_name(&self, name: &str, taken: &Taken) -> Result<(), Refusal> {
        check_name(name)?;
        if name == METADATA_TOPIC {
            let sentence = format!("{METADATA_TOPIC} is the log of the cluster itself; choose another name.");
            return Err(Refusal::new(ErrorCode::InvalidRequest, sentence));
        }
        if self.image.topic(name).is_some() {
            let sentence = format!("Topic '{name}' already exists.");
            return Err(Refusal::new(ErrorCode::TopicAlreadyExists, sentence));
        }
        let in_request = taken.names.get(&name.replace('.', "_")).map(String::as_str);
        if let Some(other) = self.image.colliding_topic(name).or(in_request) {
            let sentence =
                format!("The name '{name}' differs from '{other}' only in '.' and '_'; choose another.");
            return Err(Refusal::new(ErrorCode::InvalidTopicException, sentence));
        }
        Ok(())
    }

    /// `before` were asked for earlier in the same request.
    pub(super) fn check_partition_count(&self, before: usize, more: usize) -> Result<(), Refusal> {
        let too_many = |count, max, whose| {
            let sentence = format!("{count} partitions are more than {max}, the most that {whose} may have.");
            Err(Refusal::new(ErrorCode::PolicyViolation, sentence))
        };
        let (asked, in_all) = (before + more, self.image.partition_count() + before + more);
        if asked > PARTITIONS_PER_REQUEST_MAX {
            return too_many(asked, PARTITIONS_PER_REQUEST_MAX, "one request");
        }
        if in_all > PARTITIONS_MAX {
            return too_many(in_all, PARTITIONS_MAX, "the cluster");
        }
        Ok(())
    }

    fn placed(&self, topic: &CreateTopic, taken: &Taken) -> Result<Vec<Vec<BrokerId>>, Refusal> {
        let partitions = match topic.partitions {
            -1 => self.config.num_partitions,
            count if count > 0 => count,
            count => {
                let sentence =
                    format!("{count} is no number of partitions; ask for at least 1, or -1 for the default.");
                return Err(Refusal::new(ErrorCode::InvalidPartitions, sentence));
            }
        };
        let factor = match topic.replication_factor {
            -1 => self.config.default_replication_factor,
            factor => factor,
        };
        // Before anything is placed: the count comes from outside.
        let partitions = usize::try_from(partitions).expect("positive");
        self.check_partition_count(taken.partitions, partitions)?;
        self.place(partitions, 0, factor, placement_seed(&topic.name))
    }

    fn assigned(&self, topic: &CreateTopic) -> Result<Vec<Vec<BrokerId>>, Refusal> {
        if topic.partitions != -1 || topic.replication_factor != -1 {
            let sentence = "Beside an assignment of replicas, partitions and replication factor must be -1.";
            return Err(Refusal::new(ErrorCode::InvalidRequest, sentence));
        }
        let mut sorted: Vec<_> = topic.assignments.iter().collect();
        sorted.sort_by_key(|(index, _)| *index);
        if !sorted.iter().map(|(index, _)| index.0).eq(0..sorted.len() as i32) {
            let sentence = "The assignment must name each partition once, from 0 without holes.";
            return Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, sentence));
        }
        let replicas: Vec<_> = sorted.into_iter().map(|(_, replicas)| replicas.clone()).collect();
        self.check_assignments(&replicas, replicas[0].len())?;
        Ok(replicas)
    }

    /// An id that no topic has and that Kafka does not reserve. Ids whose text would begin with '-' are left out as Kafka
    /// leaves them out: its tools would take them for options.
    fn fresh_id(&self, taken: &Taken, new_id: &mut dyn FnMut() -> TopicId) -> Result<TopicId, Refusal> {
        let reserved = |id: TopicId| id == TopicId::ZERO || id == TopicId::METADATA || id.0[0] >> 2 == DASH;
        let free =
            |id: &TopicId| !reserved(*id) && self.image.topic_by_id(*id).is_none() && !taken.ids.contains(id);
        std::iter::repeat_with(new_id).take(ID_TRIES_MAX).find(free).ok_or_else(|| {
            let sentence = format!("{ID_TRIES_MAX} random topic ids in a row were taken; try again.");
            Refusal::new(ErrorCode::UnknownServerError, sentence)
        })
    }

    fn created(&self, name: &str, id: TopicId, plan: &Plan) -> CreatedTopic {
        let own = Some(&plan.configs);
        CreatedTopic {
            name: name.to_owned(),
            id,
            partitions: plan.replicas.len() as i32,
            replication_factor: plan.replicas[0].len() as i16,
            configs: describe::describe_topic(own, self.image, self.config),
        }
    }

    fn push_records(&self, name: &str, id: TopicId, plan: Plan, records: &mut Vec<MetadataRecord>) {
        records.push(MetadataRecord::Topic(TopicRecord { id, name: name.to_owned() }));
        for (index, replicas) in plan.replicas.into_iter().enumerate() {
            records.push(self.new_partition(id, PartitionIndex(index as i32), replicas));
        }
        for (key, value) in plan.configs {
            let resource = ConfigResource::Topic(name.to_owned());
            records.push(MetadataRecord::Config(ConfigRecord { resource, key, value: Some(value) }));
        }
    }

    /// A partition begins with every usable replica in sync, and the first of them leads.
    pub(super) fn new_partition(
        &self,
        topic: TopicId,
        index: PartitionIndex,
        replicas: Vec<BrokerId>,
    ) -> MetadataRecord {
        let usable = |id: &BrokerId| self.standing(*id) == Standing::Active;
        let isr: Vec<_> = replicas.iter().copied().filter(usable).collect();
        let leader = isr.first().copied();
        assert!(leader.is_some(), "placement and assignment both see to a usable replica");
        let partition = Partition {
            leader,
            leader_epoch: LeaderEpoch(0),
            replicas,
            isr,
            adding_replicas: vec![],
            removing_replicas: vec![],
            elr: vec![],
            last_known_leader: None,
            partition_epoch: 0,
            unclean_epoch: None,
        };
        partition.to_record(topic, index)
    }
}

/// The digit '-' of Kafka's base64.
const DASH: u8 = 62;

/// Where a topic's placement begins: anywhere, but the same for every controller that decides it.
pub(super) fn placement_seed(name: &str) -> usize {
    name.bytes().fold(0_u32, |seed, b| seed.wrapping_mul(31).wrapping_add(u32::from(b))) as usize
}
