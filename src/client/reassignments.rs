//! Replicas that move to other brokers, and leadership that goes to other replicas.

use std::collections::BTreeMap;

use net::wire::{
    ApiKey,
    messages::{alter_partition_reassignments, elect_leaders, list_partition_reassignments},
};

use super::{
    Cluster,
    error::{ClientError, Result, check},
};

const TIMEOUT_MS: i32 = 20_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Election {
    Preferred,
    /// Records may be lost.
    Unclean,
}

impl Election {
    fn code(self) -> i8 {
        match self {
            Self::Preferred => 0,
            Self::Unclean => 1,
        }
    }
}

/// A move under way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Move {
    pub topic: String,
    pub partition: i32,
    pub replicas: Vec<i32>,
    pub adding: Vec<i32>,
    pub removing: Vec<i32>,
}

/// One partition, and whether it has a new leader.
pub type Elected = ((String, i32), Result<()>);

impl Cluster {
    /// Begins a move, or ends the one under way (`None`).
    pub fn reassign(&mut self, topic: &str, partition_index: i32, replicas: Option<Vec<i32>>) -> Result<()> {
        let partition = alter_partition_reassignments::ReassignablePartition { partition_index, replicas };
        let named = alter_partition_reassignments::ReassignableTopic {
            name: topic.into(),
            partitions: vec![partition],
        };
        let request = alter_partition_reassignments::Request {
            topics: vec![named],
            timeout_ms: TIMEOUT_MS,
            ..Default::default()
        };
        let (answer, address) = self.ask(&request)?;
        let malformed = ClientError::malformed(&address, ApiKey::AlterPartitionReassignments);
        let view = alter_partition_reassignments::ResponseView::decode(answer.body(), answer.version)
            .map_err(malformed)?;
        let what = format!("{topic}-{partition_index}");
        check(&what, view.error_code, view.error_message)?;
        let mut results = view.responses.iter().flat_map(|topic| topic.partitions.iter());
        results.try_for_each(|result| check(&what, result.error_code, result.error_message))
    }

    /// All moves under way, by topic and partition.
    pub fn reassignments(&mut self) -> Result<Vec<Move>> {
        let request = list_partition_reassignments::Request { topics: None, timeout_ms: TIMEOUT_MS };
        let (answer, address) = self.ask(&request)?;
        let malformed = ClientError::malformed(&address, ApiKey::ListPartitionReassignments);
        let view = list_partition_reassignments::ResponseView::decode(answer.body(), answer.version)
            .map_err(malformed)?;
        check("the moves under way", view.error_code, view.error_message)?;
        let mut moves = Vec::new();
        for topic in view.topics {
            moves.extend(topic.partitions.iter().map(|partition| Move {
                topic: topic.name.to_owned(),
                partition: partition.partition_index,
                replicas: partition.replicas.iter().collect(),
                adding: partition.adding_replicas.iter().collect(),
                removing: partition.removing_replicas.iter().collect(),
            }));
        }
        moves.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        Ok(moves)
    }

    /// Of the partitions named, or of all that need it.
    pub fn elect(
        &mut self,
        election: Election,
        partitions: Option<&BTreeMap<String, Vec<i32>>>,
    ) -> Result<Vec<Elected>> {
        let topic = |(topic, partitions): (&String, &Vec<i32>)| elect_leaders::TopicPartitions {
            topic: topic.clone().into(),
            partitions: partitions.clone(),
        };
        let request = elect_leaders::Request {
            election_type: election.code(),
            topic_partitions: partitions.map(|topics| topics.iter().map(topic).collect()),
            timeout_ms: TIMEOUT_MS,
        };
        let (answer, address) = self.ask(&request)?;
        let malformed = ClientError::malformed(&address, ApiKey::ElectLeaders);
        let view = elect_leaders::ResponseView::decode(answer.body(), answer.version).map_err(malformed)?;
        check("the election", view.error_code, None)?;
        let mut elected = Vec::new();
        for topic in view.replica_election_results {
            elected.extend(topic.partition_result.iter().map(|result| {
                let (name, index) = (topic.topic.to_owned(), result.partition_id);
                let outcome = check(&format!("{name}-{index}"), result.error_code, result.error_message);
                ((name, index), outcome)
            }));
        }
        Ok(elected)
    }
}
