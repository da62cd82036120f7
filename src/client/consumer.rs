//! Reads partitions from given offsets on. One thread a leader keeps a fetch on its way while the caller still prints
//! the one before; what they carry over are whole answers, looked into only where they are printed.

use std::{
    collections::BTreeMap,
    str::FromStr,
    sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel},
    thread,
    time::{Duration, Instant},
};

use model::{BatchHeader, ErrorCode};
use net::wire::{ApiKey, messages::fetch};

use super::{
    Cluster, Connection,
    cluster::{ANSWER_TIMEOUT, Topic},
    connection::Answer,
    error::{ClientError, Result, check},
    offsets,
};

/// Above this topics are named by id.
const FETCH_VERSION_MAX: i16 = 12;
const FETCH_BYTES_MAX: i32 = 32 << 20;
const PARTITION_BYTES_MAX: i32 = 4 << 20;
const FETCH_WAIT_MS: i32 = 500;
/// Answers that wait to be printed.
const AHEAD_MAX: usize = 2;
/// How long leaders may be gone before the tool gives up.
const PATIENCE: Duration = Duration::from_secs(60);
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// Next offset to read, by partition.
pub type Positions = BTreeMap<i32, i64>;

/// Where reading begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StartAt {
    Beginning,
    End,
    Offset(i64),
    /// So many before the end.
    Last(i64),
    /// The first record at or after this time, in milliseconds since 1970.
    Timestamp(i64),
}

impl FromStr for StartAt {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let refused =
            || "say beginning, end, an offset, -N for the last N records, or s@MILLISECONDS".to_owned();
        let number = |digits: &str| {
            let is_plain = digits.bytes().all(|b| b.is_ascii_digit());
            digits.parse::<i64>().ok().filter(|_| is_plain).ok_or_else(refused)
        };
        match text {
            "beginning" | "earliest" => Ok(Self::Beginning),
            "end" | "latest" => Ok(Self::End),
            _ => match (text.strip_prefix('-'), text.strip_prefix("s@")) {
                (Some(last), _) => number(last).map(Self::Last),
                (_, Some(time)) => number(time).map(Self::Timestamp),
                _ => number(text).map(Self::Offset),
            },
        }
    }
}

impl Cluster {
    /// Where each partition is to be read from.
    pub fn positions(
        &mut self,
        topic: &Topic,
        partitions: &[i32],
        start: StartAt,
        committed_only: bool,
    ) -> Result<Positions> {
        let mut list = |timestamp| self.list_offsets(topic, partitions, timestamp, committed_only);
        match start {
            StartAt::Beginning => list(offsets::EARLIEST),
            StartAt::End => list(offsets::LATEST),
            StartAt::Offset(offset) => Ok(partitions.iter().map(|&p| (p, offset)).collect()),
            StartAt::Last(count) => {
                let (starts, ends) = (list(offsets::EARLIEST)?, list(offsets::LATEST)?);
                let start_of = |partition: &i32| starts.get(partition).copied().unwrap_or(0);
                Ok(ends
                    .into_iter()
                    .map(|(p, end)| (p, end.saturating_sub(count).max(start_of(&p))))
                    .collect())
            }
            StartAt::Timestamp(time) => {
                let (found, ends) = (list(time)?, list(offsets::LATEST)?);
                let or_end = |(p, offset)| (p, if offset == offsets::NO_OFFSET { ends[&p] } else { offset });
                Ok(found.into_iter().map(or_end).collect())
            }
        }
    }
}

/// One answer to a fetch without errors, and where each of its partitions was read from.
pub struct Fetched {
    answer: Answer,
    from: Positions,
}

impl Fetched {
    pub fn view(&self) -> fetch::ResponseView<'_> {
        fetch::ResponseView::decode(self.answer.body(), self.answer.version)
            .expect("decoded before it was handed over")
    }

    /// The offset asked for.
    pub fn from(&self, partition: i32) -> i64 {
        self.from.get(&partition).copied().unwrap_or(0)
    }
}

pub struct Consumer<'a> {
    cluster: &'a mut Cluster,
    topic: Topic,
    committed_only: bool,
    /// Behind everything that was handed out.
    positions: Positions,
    fetchers: Receiver<Result<Fetched>>,
}

impl<'a> Consumer<'a> {
    pub fn start(
        cluster: &'a mut Cluster,
        topic: Topic,
        positions: Positions,
        committed_only: bool,
    ) -> Result<Self> {
        let fetchers = start_fetchers(cluster, &topic, &positions, committed_only)?;
        Ok(Self { cluster, topic, committed_only, positions, fetchers })
    }

    pub fn positions(&self) -> &Positions {
        &self.positions
    }

    /// An answer that is here already.
    pub fn ready(&mut self) -> Result<Option<Fetched>> {
        match self.fetchers.try_recv() {
            Ok(Ok(fetched)) => self.hand_out(fetched).map(Some),
            Ok(Err(error)) => self.restart(error).map(|()| None),
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => Ok(None),
        }
    }

    /// The next answer, whenever it comes.
    pub fn wait(&mut self) -> Result<Fetched> {
        loop {
            match self.fetchers.recv() {
                Ok(Ok(fetched)) => return self.hand_out(fetched),
                Ok(Err(error)) => self.restart(error)?,
                Err(_) => return Err(ClientError::Other("nothing is left to read from".to_owned())),
            }
        }
    }

    fn hand_out(&mut self, fetched: Fetched) -> Result<Fetched> {
        advance(&mut self.positions, &fetched.view());
        Ok(fetched)
    }

    /// A leader moved or went away: asks who leads now and goes on where it stopped.
    fn restart(&mut self, error: ClientError) -> Result<()> {
        if !error.is_retriable() || error.has_code(ErrorCode::UnknownTopicOrPartition) {
            return Err(error);
        }
        tracing::warn!("{error}");
        let deadline = Instant::now() + PATIENCE;
        loop {
            thread::sleep(RETRY_PAUSE);
            let again = self.cluster.topic(&self.topic.name, false).and_then(|topic| {
                self.topic = topic;
                start_fetchers(self.cluster, &self.topic, &self.positions, self.committed_only)
            });
            match again {
                Ok(fetchers) => {
                    self.fetchers = fetchers;
                    return Ok(());
                }
                Err(error) if error.is_retriable() && Instant::now() < deadline => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn start_fetchers(
    cluster: &mut Cluster,
    topic: &Topic,
    positions: &Positions,
    committed_only: bool,
) -> Result<Receiver<Result<Fetched>>> {
    let mut by_leader: BTreeMap<i32, Positions> = BTreeMap::new();
    for (&partition, &offset) in positions {
        by_leader.entry(topic.leader(partition)?).or_default().insert(partition, offset);
    }
    let (to, fetchers) = sync_channel(AHEAD_MAX);
    for (leader, positions) in by_leader {
        let connection = Connection::open(&cluster.address(leader)?, ANSWER_TIMEOUT)?;
        let fetcher = Fetcher { connection, topic: topic.name.clone(), committed_only, positions };
        let to = to.clone();
        thread::spawn(move || fetcher.run(&to));
    }
    Ok(fetchers)
}

/// Fetches from one leader until somebody stops listening or something is wrong.
struct Fetcher {
    connection: Connection,
    topic: String,
    committed_only: bool,
    positions: Positions,
}

impl Fetcher {
    fn run(mut self, to: &SyncSender<Result<Fetched>>) {
        loop {
            let from = self.positions.clone();
            let answer = self.fetch();
            let failed = answer.is_err();
            let handed_over = to.send(answer.map(|answer| Fetched { answer, from }));
            if failed || handed_over.is_err() {
                return;
            }
        }
    }

    fn fetch(&mut self) -> Result<Answer> {
        let request = request(&self.topic, &self.positions, self.committed_only);
        let answer = self.connection.call(FETCH_VERSION_MAX, &request)?;
        let malformed = ClientError::malformed(self.connection.address(), ApiKey::Fetch);
        let view = fetch::ResponseView::decode(answer.body(), answer.version).map_err(malformed)?;
        check("fetch", view.error_code, None)?;
        for partition in view.responses.iter().flat_map(|t| t.partitions.iter()) {
            self.check_partition(&partition)?;
        }
        advance(&mut self.positions, &view);
        Ok(answer)
    }

    fn check_partition(&self, partition: &fetch::PartitionDataView<'_>) -> Result<()> {
        let (index, topic) = (partition.partition_index, &self.topic);
        if partition.error_code == ErrorCode::OffsetOutOfRange.code() {
            let offset = self.positions.get(&index).copied().unwrap_or(0);
            return Err(ClientError::Other(format!(
                "partition {index} of {topic} has no offset {offset}: use -o beginning, -o end, or an offset in between"
            )));
        }
        check(&format!("partition {index} of {topic}"), partition.error_code, None)
    }
}

fn request(topic: &str, positions: &Positions, committed_only: bool) -> fetch::Request<'static> {
    let partition = |(&partition, &fetch_offset): (&i32, &i64)| fetch::FetchPartition {
        partition,
        fetch_offset,
        partition_max_bytes: PARTITION_BYTES_MAX,
        ..Default::default()
    };
    let topic = fetch::FetchTopic {
        topic: topic.to_owned().into(),
        partitions: positions.iter().map(partition).collect(),
        ..Default::default()
    };
    fetch::Request {
        max_wait_ms: FETCH_WAIT_MS,
        min_bytes: 1,
        max_bytes: FETCH_BYTES_MAX,
        isolation_level: i8::from(committed_only),
        topics: vec![topic],
        ..Default::default()
    }
}

/// Moves each position behind the last whole batch of the answer.
fn advance(positions: &mut Positions, view: &fetch::ResponseView<'_>) {
    for partition in view.responses.iter().flat_map(|t| t.partitions.iter()) {
        let next = whole_batches(partition.records.unwrap_or_default()).last().map(|h| h.next_offset().0);
        if let (Some(next), Some(position)) = (next, positions.get_mut(&partition.partition_index)) {
            *position = (*position).max(next);
        }
    }
}

fn whole_batches(mut bytes: &[u8]) -> impl Iterator<Item = BatchHeader> {
    std::iter::from_fn(move || {
        let header = BatchHeader::read(bytes).ok()?;
        bytes = bytes.get(header.total_bytes().ok()?..)?;
        Some(header)
    })
}

#[cfg(test)]
mod tests {
    use model::batch::record::{Producer, batch_of};

    use super::*;

    #[test]
    fn a_start_is_read_as_kcat_reads_it() {
        fn check(text: &str, expected: Option<StartAt>) {
            assert_eq!(text.parse().ok(), expected, "{text}");
        }
        check("beginning", Some(StartAt::Beginning));
        check("end", Some(StartAt::End));
        check("17", Some(StartAt::Offset(17)));
        check("-17", Some(StartAt::Last(17)));
        check("s@1700000000000", Some(StartAt::Timestamp(1_700_000_000_000)));
        for bad in ["", "-", "--1", "-+1", "+1", "start", "s@", "s@-1", "99999999999999999999"] {
            check(bad, None);
        }
    }

    #[test]
    fn a_batch_cut_short_ends_the_walk() {
        let mut bytes = batch_of(10, 0, Producer::NONE, &[b"a", b"b"]);
        bytes.extend(batch_of(12, 0, Producer::NONE, &[b"c"]));
        let whole = bytes.len();
        bytes.extend(batch_of(13, 0, Producer::NONE, &[b"d"]));
        let next = |bytes: &[u8]| whole_batches(bytes).map(|h| h.next_offset().0).collect::<Vec<_>>();
        assert_eq!(next(&bytes), [12, 13, 14]);
        assert_eq!(next(&bytes[..bytes.len() - 1]), [12, 13]);
        assert_eq!(next(&bytes[..whole + 20]), [12, 13]);
        assert!(next(&[]).is_empty());
    }
}
