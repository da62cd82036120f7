//! The brokers of a cluster, and who of them decides about its metadata.

use net::wire::{
    ApiKey, RequestBody,
    messages::{add_raft_voter, describe_cluster, describe_quorum, remove_raft_voter, unregister_broker},
};

use super::{
    Cluster,
    connection::Answer,
    error::{ClientError, Result, check},
};

const LATEST: i16 = i16::MAX;
const METADATA_TOPIC: &str = "__cluster_metadata";
/// A new voter may have much to catch up with; less than an answer may take.
const VOTER_TIMEOUT_MS: i32 = 20_000;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Description {
    pub cluster_id: String,
    /// In order of their ids.
    pub brokers: Vec<Broker>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broker {
    pub id: i32,
    pub host: String,
    pub port: i32,
    pub rack: Option<String>,
    /// Only brokers of Kafka 4 and later show those that are not alive.
    pub alive: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Quorum {
    pub leader: i32,
    pub epoch: i32,
    pub high_watermark: i64,
    pub voters: Vec<Replica>,
    pub observers: Vec<Replica>,
}

/// Of the metadata.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Replica {
    pub id: i32,
    pub directory_id: [u8; 16],
    /// None: the leader has not heard of it.
    pub end: Option<i64>,
    /// In milliseconds of the leader's clock, which is the leader's own last fetch.
    pub last_fetch: Option<i64>,
    pub last_caught_up: Option<i64>,
}

impl Quorum {
    pub fn replica(&self, id: i32) -> Option<&Replica> {
        self.voters.iter().chain(&self.observers).find(|replica| replica.id == id)
    }

    pub fn votes(&self, id: i32) -> bool {
        self.voters.iter().any(|voter| voter.id == id)
    }
}

impl Cluster {
    pub fn describe_cluster(&mut self) -> Result<Description> {
        let request = describe_cluster::Request { include_fenced_brokers: true, ..Default::default() };
        let (answer, address) = self.ask(&request)?;
        let malformed = ClientError::malformed(&address, ApiKey::DescribeCluster);
        let view =
            describe_cluster::ResponseView::decode(answer.body(), answer.version).map_err(malformed)?;
        check("the cluster", view.error_code, view.error_message)?;
        let mut brokers: Vec<Broker> = view.brokers.iter().map(Broker::from).collect();
        brokers.sort_by_key(|broker| broker.id);
        Ok(Description { cluster_id: view.cluster_id.to_owned(), brokers })
    }

    pub fn describe_quorum(&mut self) -> Result<Quorum> {
        let partition = describe_quorum::RequestPartition { partition_index: 0 };
        let topic =
            describe_quorum::RequestTopic { topic_name: METADATA_TOPIC.into(), partitions: vec![partition] };
        let (answer, address) = self.ask(&describe_quorum::Request { topics: vec![topic] })?;
        let malformed = ClientError::malformed(&address, ApiKey::DescribeQuorum);
        let view = describe_quorum::ResponseView::decode(answer.body(), answer.version).map_err(malformed)?;
        check("the quorum", view.error_code, view.error_message)?;
        let partition = view.topics.iter().flat_map(|topic| topic.partitions.iter()).next();
        let partition = partition.ok_or(ClientError::Malformed { address, api: ApiKey::DescribeQuorum })?;
        check("the quorum", partition.error_code, partition.error_message)?;
        Ok(Quorum {
            leader: partition.leader_id,
            epoch: partition.leader_epoch,
            high_watermark: partition.high_watermark,
            voters: partition.current_voters.iter().map(Replica::from).collect(),
            observers: partition.observers.iter().map(Replica::from).collect(),
        })
    }

    /// Returns when it votes.
    pub fn add_voter(&mut self, id: i32) -> Result<()> {
        let known = self.describe_quorum()?.replica(id).map(|replica| replica.directory_id);
        let request = add_raft_voter::Request {
            timeout_ms: VOTER_TIMEOUT_MS,
            voter_id: id,
            voter_directory_id: known.unwrap_or_default(),
            ..Default::default()
        };
        let (answer, address) = self.ask(&request)?;
        let malformed = ClientError::malformed(&address, ApiKey::AddRaftVoter);
        let view = add_raft_voter::ResponseView::decode(answer.body(), answer.version).map_err(malformed)?;
        check(&format!("voter {id}"), view.error_code, view.error_message)
    }

    /// Returns when it votes no more.
    pub fn remove_voter(&mut self, id: i32) -> Result<()> {
        let known = self.describe_quorum()?.replica(id).map(|replica| replica.directory_id);
        let voter_directory_id = known.unwrap_or_default();
        let request = remove_raft_voter::Request { voter_id: id, voter_directory_id, ..Default::default() };
        let (answer, address) = self.ask(&request)?;
        let malformed = ClientError::malformed(&address, ApiKey::RemoveRaftVoter);
        let view =
            remove_raft_voter::ResponseView::decode(answer.body(), answer.version).map_err(malformed)?;
        check(&format!("voter {id}"), view.error_code, view.error_message)
    }

    pub fn unregister_broker(&mut self, id: i32) -> Result<()> {
        let (answer, address) = self.ask(&unregister_broker::Request { broker_id: id })?;
        let malformed = ClientError::malformed(&address, ApiKey::UnregisterBroker);
        let view =
            unregister_broker::ResponseView::decode(answer.body(), answer.version).map_err(malformed)?;
        check(&format!("broker {id}"), view.error_code, view.error_message)
    }

    /// Any broker, which takes it to the controller where that is needed. Also who was asked.
    pub(super) fn ask<B: RequestBody>(&mut self, request: &B) -> Result<(Answer, String)> {
        let broker = self.any()?;
        let address = broker.address().to_owned();
        Ok((broker.call(LATEST, request)?, address))
    }
}

impl From<describe_cluster::DescribeClusterBrokerView<'_>> for Broker {
    fn from(view: describe_cluster::DescribeClusterBrokerView<'_>) -> Self {
        Self {
            id: view.broker_id,
            host: view.host.to_owned(),
            port: view.port,
            rack: view.rack.map(str::to_owned),
            alive: !view.is_fenced,
        }
    }
}

impl From<describe_quorum::ReplicaStateView> for Replica {
    fn from(view: describe_quorum::ReplicaStateView) -> Self {
        let known = |number: i64| Some(number).filter(|&number| number >= 0);
        Self {
            id: view.replica_id,
            directory_id: view.replica_directory_id,
            end: known(view.log_end_offset),
            last_fetch: known(view.last_fetch_timestamp),
            last_caught_up: known(view.last_caught_up_timestamp),
        }
    }
}
