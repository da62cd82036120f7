//! The brokers of a cluster as one client sees them: who leads what, and an open connection to each broker in use.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use model::{ErrorCode, TopicId};
use net::wire::{ApiKey, messages::metadata};

use super::{
    Connection,
    error::{ClientError, Result, check},
};

/// Highest version used; 13 brings nothing a tool needs.
const METADATA_VERSION_MAX: i16 = 12;
/// How long an answer may take.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a new topic may take to get its leaders.
const TOPIC_TIMEOUT: Duration = Duration::from_secs(30);
const RETRY_PAUSE: Duration = Duration::from_millis(100);

pub struct Cluster {
    bootstrap: String,
    /// Addresses by node id, from the latest metadata.
    brokers: BTreeMap<i32, String>,
    controller: Option<i32>,
    connections: BTreeMap<i32, Connection>,
    /// To whatever broker was named on the command line.
    first: Option<Connection>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Topic {
    pub name: String,
    pub id: TopicId,
    pub is_internal: bool,
    pub error_code: i16,
    /// In order of their index.
    pub partitions: Vec<Partition>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Partition {
    pub index: i32,
    pub leader: Option<i32>,
    pub replicas: Vec<i32>,
    pub isr: Vec<i32>,
    pub error_code: i16,
}

impl Topic {
    /// The first thing that keeps the topic from being used.
    fn problem(&self) -> Option<i16> {
        let codes = [self.error_code].into_iter().chain(self.partitions.iter().map(|p| p.error_code));
        codes.into_iter().find(|&code| code != 0 && code != ErrorCode::ReplicaNotAvailable.code())
    }

    pub fn leader(&self, partition: i32) -> Result<i32> {
        let found = self.partitions.iter().find(|p| p.index == partition);
        let unknown = || {
            let (name, count) = (&self.name, self.partitions.len());
            ClientError::Other(format!(
                "topic {name} has partitions 0 to {}, and none of number {partition}",
                count.saturating_sub(1)
            ))
        };
        found.ok_or_else(unknown)?.leader.ok_or_else(|| {
            ClientError::refused(
                format!("partition {partition} of {}", self.name),
                ErrorCode::LeaderNotAvailable.code(),
                None,
            )
        })
    }
}

impl Cluster {
    /// Connects to the broker named on the command line.
    pub fn connect(bootstrap: &str) -> Result<Self> {
        let address = with_port(bootstrap);
        let first = Connection::open(&address, ANSWER_TIMEOUT)?;
        let (brokers, connections) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { bootstrap: address, brokers, controller: None, connections, first: Some(first) })
    }

    /// All topics, or those named. With `create`, a topic that is not there is made if the broker allows it.
    pub fn topics(&mut self, names: Option<&[&str]>, create: bool) -> Result<Vec<Topic>> {
        let topic = |name: &&str| metadata::MetadataRequestTopic {
            name: Some((*name).to_owned().into()),
            ..Default::default()
        };
        let request = metadata::Request {
            topics: names.map(|names| names.iter().map(topic).collect()),
            allow_auto_topic_creation: create,
            ..Default::default()
        };
        let connection = self.any()?;
        let answer = connection.call(METADATA_VERSION_MAX, &request);
        let answer = answer.inspect_err(|_| self.first = None)?;
        let malformed = ClientError::malformed(&self.bootstrap, ApiKey::Metadata);
        let view = metadata::ResponseView::decode(answer.body(), answer.version).map_err(malformed)?;
        self.brokers = view.brokers.iter().map(|b| (b.node_id, join(b.host, b.port))).collect();
        self.controller = Some(view.controller_id).filter(|id| self.brokers.contains_key(id));
        Ok(view.topics.iter().map(Topic::from).collect())
    }

    /// One topic once it has its leaders, which a new one gets after a moment.
    pub fn topic(&mut self, name: &str, create: bool) -> Result<Topic> {
        let deadline = Instant::now() + TOPIC_TIMEOUT;
        loop {
            let topic = self.topics(Some(&[name]), create)?.into_iter().next();
            let missing = ErrorCode::UnknownTopicOrPartition.code();
            let code = topic.as_ref().map_or(Some(missing), Topic::problem);
            let (Some(code), what) = (code, format!("topic {name}")) else {
                return Ok(topic.expect("a topic without a problem is there"));
            };
            let passes = ErrorCode::from_code(code).is_some_and(ErrorCode::is_retriable);
            if !passes || (code == missing && !create) || Instant::now() >= deadline {
                return check(&what, code, None).map(|()| unreachable!("the code is not 0"));
            }
            thread::sleep(RETRY_PAUSE);
        }
    }

    /// The connection to one broker, opened when it is first asked for.
    pub fn connection(&mut self, node: i32) -> Result<&mut Connection> {
        if !self.connections.contains_key(&node) {
            let connection = Connection::open(&self.address(node)?, ANSWER_TIMEOUT)?;
            self.connections.insert(node, connection);
        }
        Ok(self.connections.get_mut(&node).expect("just put there"))
    }

    /// The brokers that the latest metadata named.
    pub fn nodes(&self) -> Vec<i32> {
        self.brokers.keys().copied().collect()
    }

    pub fn address(&self, node: i32) -> Result<String> {
        let unknown = || {
            ClientError::Other(format!(
                "the cluster names no address of broker {node}: check advertised.listeners"
            ))
        };
        self.brokers.get(&node).cloned().ok_or_else(unknown)
    }

    /// Forgets a connection that broke.
    pub fn drop_connection(&mut self, node: i32) {
        self.connections.remove(&node);
    }

    /// Where topics are changed: the controller, where the cluster names one.
    pub fn controller(&mut self) -> Result<&mut Connection> {
        self.topics(Some(&[]), false)?;
        match self.controller {
            Some(node) => self.connection(node),
            None => self.any(),
        }
    }

    /// Any broker that answers: the one named on the command line, or else one that it told of.
    pub fn any(&mut self) -> Result<&mut Connection> {
        if self.first.is_none() {
            let others = self.brokers.values().cloned();
            let mut opened = Connection::open(&self.bootstrap, ANSWER_TIMEOUT);
            for address in others {
                opened = opened.or_else(|_| Connection::open(&address, ANSWER_TIMEOUT));
            }
            self.first = Some(opened?);
        }
        Ok(self.first.as_mut().expect("just put there"))
    }
}

impl From<metadata::MetadataResponseTopicView<'_>> for Topic {
    fn from(view: metadata::MetadataResponseTopicView<'_>) -> Self {
        let mut partitions: Vec<Partition> = view.partitions.iter().map(Partition::from).collect();
        partitions.sort_by_key(|p| p.index);
        Self {
            name: view.name.unwrap_or_default().to_owned(),
            id: TopicId(view.topic_id),
            is_internal: view.is_internal,
            error_code: view.error_code,
            partitions,
        }
    }
}

impl From<metadata::MetadataResponsePartitionView<'_>> for Partition {
    fn from(view: metadata::MetadataResponsePartitionView<'_>) -> Self {
        Self {
            index: view.partition_index,
            leader: Some(view.leader_id).filter(|&id| id >= 0),
            replicas: view.replica_nodes.iter().collect(),
            isr: view.isr_nodes.iter().collect(),
            error_code: view.error_code,
        }
    }
}

/// Kafka's port where none is given.
fn with_port(address: &str) -> String {
    let has_port = address.rsplit_once(':').is_some_and(|(host, port)| {
        port.parse::<u16>().is_ok() && (!host.contains(':') || host.ends_with(']'))
    });
    if has_port { address.to_owned() } else { join(address.trim_matches(['[', ']']), 9092) }
}

fn join(host: &str, port: i32) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_port_gets_kafkas() {
        fn check(address: &str, expected: &str) {
            assert_eq!(with_port(address), expected);
        }
        check("host", "host:9092");
        check("host:19092", "host:19092");
        check("127.0.0.1", "127.0.0.1:9092");
        check("::1", "[::1]:9092");
        check("[::1]", "[::1]:9092");
        check("[::1]:19092", "[::1]:19092");
    }

    #[test]
    fn a_partition_that_is_not_there_is_named() {
        let partition = Partition { index: 0, leader: None, replicas: vec![], isr: vec![], error_code: 5 };
        let topic = Topic {
            name: "t".into(),
            id: TopicId::ZERO,
            is_internal: false,
            error_code: 0,
            partitions: vec![partition],
        };
        assert_eq!(topic.problem(), Some(5));
        assert!(topic.leader(0).unwrap_err().is_retriable());
        let error = topic.leader(1).unwrap_err().to_string();
        assert_eq!(error, "topic t has partitions 0 to 0, and none of number 1");
    }
}
