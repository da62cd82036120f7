//! Topics grow.

use model::{BrokerId, ErrorCode, PartitionIndex};

use super::{Controller, Decision, Refusal, named_twice, topics::placement_seed};
use crate::{
    config::value::shorten,
    metadata::{MetadataRecord, Topic},
};

/// One topic of a CreatePartitions request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreatePartitions {
    pub topic: String,
    /// How many partitions there shall be in all.
    pub count: i32,
    /// Replicas of each new partition, when the client places them itself.
    pub assignments: Option<Vec<Vec<BrokerId>>>,
}

impl Controller<'_> {
    /// One result a topic, in the order asked.
    pub fn create_partitions(
        &self,
        topics: &[CreatePartitions],
        validate_only: bool,
    ) -> Decision<Vec<Result<(), Refusal>>> {
        let twice = named_twice(topics.iter().map(|topic| &topic.topic));
        let mut records = vec![];
        let mut before = 0;
        let mut grow = |asked: &CreatePartitions, twice: bool| {
            if twice {
                let sentence =
                    format!("The request names topic '{}' twice; name it once.", shorten(&asked.topic));
                return Err(Refusal::new(ErrorCode::InvalidRequest, sentence));
            }
            let new = self.grow(asked, before)?;
            before += new.len();
            if !validate_only {
                records.extend(new);
            }
            Ok(())
        };
        let answer = topics.iter().zip(twice).map(|(asked, twice)| grow(asked, twice)).collect();
        Decision { answer, records }
    }

    /// The records of the new partitions; `before` of them were asked for earlier in the same request.
    fn grow(&self, asked: &CreatePartitions, before: usize) -> Result<Vec<MetadataRecord>, Refusal> {
        let topic = self.image.topic(&asked.topic).ok_or_else(|| {
            let sentence = format!("There is no topic '{}'.", shorten(&asked.topic));
            Refusal::new(ErrorCode::UnknownTopicOrPartition, sentence)
        })?;
        let count = topic.partitions.len();
        let more = match usize::try_from(asked.count) {
            Ok(wanted) if wanted > count => wanted - count,
            _ => {
                let sentence =
                    format!("The topic has {count} partitions, so {} would not be more.", asked.count);
                return Err(Refusal::new(ErrorCode::InvalidPartitions, sentence));
            }
        };
        self.check_partition_count(before, more)?;
        let replicas = self.new_replicas(topic, asked, more)?;
        let indexes = count..;
        Ok(indexes
            .zip(replicas)
            .map(|(i, r)| self.new_partition(topic.id, PartitionIndex(i as i32), r))
            .collect())
    }

    fn new_replicas(
        &self,
        topic: &Topic,
        asked: &CreatePartitions,
        more: usize,
    ) -> Result<Vec<Vec<BrokerId>>, Refusal> {
        let factor = topic.partitions.first().map_or(1, |partition| partition.replicas.len());
        let Some(assignments) = &asked.assignments else {
            let factor = i16::try_from(factor).expect("a factor was an i16 when the topic was made");
            return self.place(more, topic.partitions.len(), factor, placement_seed(&topic.name));
        };
        if assignments.len() != more {
            let sentence =
                format!("{more} partitions are new and {} assignments are given.", assignments.len());
            return Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, sentence));
        }
        self.check_assignments(assignments, factor)?;
        Ok(assignments.clone())
    }
}
