//! Sends batches to the leaders of their partitions, several requests in flight, and sends again what a broken
//! connection or a moved leader swallowed.
//!
//! ```text
//!   lane (one a leader)   | sent | sent | sent |  <- next        at most 5, answered in order
//! ```
//! Batches carry sequences, so the broker knows a batch that comes twice. After any trouble nothing new is sent until
//! all that was in flight is settled: what succeeded is counted, the rest is sent again in its old order, one request
//! at a time. That keeps the order of records within a partition without thinking about which answer came first.

use std::{
    collections::{BTreeMap, VecDeque},
    thread,
    time::{Duration, Instant},
};

use model::ErrorCode;
use net::wire::{
    ApiKey,
    messages::{init_producer_id, produce},
};

use super::{
    Cluster,
    batch::{Batch, Identity},
    cluster::Topic,
    connection::Sent,
    error::{ClientError, Result, check},
};

/// What the broker remembers of each producer, so no more may be in flight.
const IN_FLIGHT_MAX: usize = 5;
/// 12 is for transactions, 13 names topics by id.
const PRODUCE_VERSION_MAX: i16 = 11;
const INIT_PRODUCER_ID_VERSION_MAX: i16 = 4;
/// How long the broker may wait for its replicas.
const ACK_TIMEOUT_MS: i32 = 30_000;
/// How long a batch is tried again before the tool gives up.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(120);
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// What has been acknowledged (with acks=0: sent).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Progress {
    pub records: u64,
    pub payload_bytes: u64,
}

pub struct Sender<'a> {
    cluster: &'a mut Cluster,
    topic: Topic,
    acks: i16,
    lanes: BTreeMap<i32, Lane>,
    progress: Progress,
}

/// Requests to one leader that have no answer yet, oldest first.
type Lane = VecDeque<(Sent, Vec<Batch>)>;

/// A producer id, so that retries do not write anything twice.
pub fn identify(cluster: &mut Cluster) -> Result<Identity> {
    let request = init_producer_id::Request {
        transaction_timeout_ms: 60_000,
        producer_id: -1,
        producer_epoch: -1,
        ..Default::default()
    };
    let connection = cluster.any()?;
    let deadline = Instant::now() + DELIVERY_TIMEOUT;
    loop {
        let answer = connection.call(INIT_PRODUCER_ID_VERSION_MAX, &request)?;
        let malformed = ClientError::malformed(connection.address(), ApiKey::InitProducerId);
        let view =
            init_producer_id::ResponseView::decode(answer.body(), answer.version).map_err(malformed)?;
        match check("asking for a producer id", view.error_code, None) {
            Ok(()) => {
                return Ok(Identity { producer_id: view.producer_id, producer_epoch: view.producer_epoch });
            }
            Err(error) if error.is_retriable() && Instant::now() < deadline => thread::sleep(RETRY_PAUSE),
            Err(error) => return Err(error),
        }
    }
}

impl<'a> Sender<'a> {
    pub fn new(cluster: &'a mut Cluster, topic: Topic, acks: i16) -> Self {
        Self { cluster, topic, acks, lanes: BTreeMap::new(), progress: Progress::default() }
    }

    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// Sends batches of different partitions; waits only when a leader has enough to answer already.
    pub fn send(&mut self, batches: Vec<Batch>) -> Result<()> {
        let mut by_leader: BTreeMap<i32, Vec<Batch>> = BTreeMap::new();
        for batch in batches {
            by_leader.entry(self.topic.leader(batch.partition)?).or_default().push(batch);
        }
        for (leader, batches) in by_leader {
            while self.lanes.get(&leader).is_some_and(|lane| lane.len() >= IN_FLIGHT_MAX) {
                self.take_answer(leader)?;
            }
            if let Err(unsent) = self.post(leader, batches) {
                self.recover(unsent)?;
            }
        }
        Ok(())
    }

    /// Takes one answer if any is due. `false`: nothing is in flight.
    pub fn settle_one(&mut self) -> Result<bool> {
        let leader = self.lanes.iter().find(|(_, lane)| !lane.is_empty()).map(|(&leader, _)| leader);
        leader.map_or(Ok(false), |leader| self.take_answer(leader).map(|()| true))
    }

    /// Returns once everything is acknowledged.
    pub fn flush(&mut self) -> Result<()> {
        while self.settle_one()? {}
        Ok(())
    }

    /// Puts one request on the wire, or gives the batches back.
    fn post(&mut self, leader: i32, batches: Vec<Batch>) -> std::result::Result<(), Vec<Batch>> {
        let request = request(&self.topic.name, self.acks, &batches);
        let sent = self.cluster.connection(leader).and_then(|c| c.send(PRODUCE_VERSION_MAX, &request));
        match sent {
            // Nothing is answered, so this is all there is to know.
            Ok(_) if self.acks == 0 => batches.iter().for_each(|batch| self.progress.count(batch)),
            Ok(sent) => self.lanes.entry(leader).or_default().push_back((sent, batches)),
            Err(error) => {
                tracing::warn!("{error}");
                return Err(batches);
            }
        }
        Ok(())
    }

    fn take_answer(&mut self, leader: i32) -> Result<()> {
        let failed = self.settle_oldest(leader)?;
        if failed.is_empty() { Ok(()) } else { self.recover(failed) }
    }

    /// The answer to the oldest request of a lane: what must be sent again.
    fn settle_oldest(&mut self, leader: i32) -> Result<Vec<Batch>> {
        let Some((sent, batches)) = self.lanes.get_mut(&leader).and_then(VecDeque::pop_front) else {
            return Ok(Vec::new());
        };
        let answer = match self.cluster.connection(leader).and_then(|c| c.receive(sent)) {
            Ok(answer) => answer,
            Err(error) => {
                tracing::warn!("{error}");
                self.cluster.drop_connection(leader);
                let behind = self.lanes.remove(&leader).unwrap_or_default();
                return Ok(batches.into_iter().chain(behind.into_iter().flat_map(|(_, b)| b)).collect());
            }
        };
        let address = self.cluster.address(leader)?;
        let malformed = ClientError::malformed(&address, ApiKey::Produce);
        let view = produce::ResponseView::decode(answer.body(), answer.version).map_err(malformed)?;
        let verdicts = view.responses.iter().flat_map(|t| t.partition_responses.iter());
        let verdicts: BTreeMap<i32, _> =
            verdicts.map(|p| (p.index, (p.error_code, p.error_message))).collect();
        let mut failed = Vec::new();
        for batch in batches {
            let missing =
                (ErrorCode::UnknownServerError.code(), Some("the broker did not answer for this partition"));
            let (code, message) = verdicts.get(&batch.partition).copied().unwrap_or(missing);
            match verdict(code) {
                Verdict::Written => self.progress.count(&batch),
                Verdict::Again => failed.push(batch),
                Verdict::Refused => {
                    return check(
                        &format!("partition {} of {}", batch.partition, self.topic.name),
                        code,
                        message,
                    )
                    .map(|()| failed);
                }
            }
        }
        Ok(failed)
    }

    /// Settles everything in flight, then sends what failed again, in order, one request at a time.
    fn recover(&mut self, mut failed: Vec<Batch>) -> Result<()> {
        let leaders: Vec<i32> = self.lanes.keys().copied().collect();
        for leader in leaders {
            while self.lanes.get(&leader).is_some_and(|lane| !lane.is_empty()) {
                failed.extend(self.settle_oldest(leader)?);
            }
        }
        failed.sort_by_key(|batch| batch.serial);
        let deadline = Instant::now() + DELIVERY_TIMEOUT;
        let mut queue = VecDeque::from(failed);
        while let Some(batch) = queue.pop_front() {
            if let Some(batch) = self.try_once(batch)? {
                if Instant::now() >= deadline {
                    let sentence = format!(
                        "topic {}: no leader took the records within {} s",
                        self.topic.name,
                        DELIVERY_TIMEOUT.as_secs()
                    );
                    return Err(ClientError::Other(sentence));
                }
                queue.push_front(batch);
                thread::sleep(RETRY_PAUSE);
            }
        }
        Ok(())
    }

    /// `Some`: not yet.
    fn try_once(&mut self, batch: Batch) -> Result<Option<Batch>> {
        let topic = self.cluster.topics(Some(&[&self.topic.name]), false).map(|mut topics| topics.pop());
        let leader = match topic {
            Ok(Some(topic)) if topic.error_code == 0 => {
                self.topic = topic;
                self.topic.leader(batch.partition).ok()
            }
            Ok(_) => None,
            Err(error) if error.is_retriable() => None,
            Err(error) => return Err(error),
        };
        let Some(leader) = leader else { return Ok(Some(batch)) };
        let mut failed = match self.post(leader, vec![batch]) {
            Ok(()) if self.acks == 0 => Vec::new(),
            Ok(()) => self.settle_oldest(leader)?,
            Err(unsent) => {
                self.cluster.drop_connection(leader);
                unsent
            }
        };
        Ok(failed.pop())
    }
}

impl Progress {
    fn count(&mut self, batch: &Batch) {
        self.records += batch.records;
        self.payload_bytes += batch.payload_bytes;
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    Written,
    Again,
    Refused,
}

/// A batch behind one that failed is out of order and comes again with it; a duplicate was written before.
fn verdict(code: i16) -> Verdict {
    match ErrorCode::from_code(code) {
        Some(ErrorCode::None | ErrorCode::DuplicateSequenceNumber) => Verdict::Written,
        Some(ErrorCode::OutOfOrderSequenceNumber) => Verdict::Again,
        Some(code) if code.is_retriable() => Verdict::Again,
        _ => Verdict::Refused,
    }
}

fn request<'t>(topic: &'t str, acks: i16, batches: &'t [Batch]) -> produce::Request<'t> {
    let partition = |batch: &'t Batch| produce::PartitionProduceData {
        index: batch.partition,
        records: Some(batch.bytes.as_slice().into()),
    };
    let topic = produce::TopicProduceData {
        name: topic.into(),
        partition_data: batches.iter().map(partition).collect(),
        ..Default::default()
    };
    produce::Request { transactional_id: None, acks, timeout_ms: ACK_TIMEOUT_MS, topic_data: vec![topic] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_has_its_verdict() {
        fn check(code: ErrorCode, expected: Verdict) {
            assert_eq!(verdict(code.code()), expected, "{code:?}");
        }
        check(ErrorCode::None, Verdict::Written);
        check(ErrorCode::DuplicateSequenceNumber, Verdict::Written);
        check(ErrorCode::NotLeaderOrFollower, Verdict::Again);
        check(ErrorCode::KafkaStorageError, Verdict::Again);
        check(ErrorCode::OutOfOrderSequenceNumber, Verdict::Again);
        check(ErrorCode::MessageTooLarge, Verdict::Refused);
        check(ErrorCode::TopicAuthorizationFailed, Verdict::Refused);
        assert_eq!(verdict(999), Verdict::Refused);
    }
}
