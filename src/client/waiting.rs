//! Since when the first record that a group has not read is there: it is fetched, with as little around it as the
//! protocol allows (one batch). Offsets may have holes, so the answer may begin later than what was asked for.

use std::{collections::BTreeMap, ops::ControlFlow};

use model::BatchHeader;
use net::wire::{ApiKey, messages::fetch};

use super::{
    Cluster,
    error::{ClientError, Result},
    records::for_each_record,
};

/// Above this topics are named by id.
const FETCH_VERSION_MAX: i16 = 12;
/// Requests on their way to one broker: small, so that they never fill a socket whose answers nobody reads yet.
const AHEAD_MAX: usize = 16;
const FETCH_WAIT_MS: i32 = 500;
/// A fetch always brings one batch, however large.
const FETCH_BYTES: i32 = 1;
/// Batches looked into until one shows a record: aborted transactions and their markers show none.
const BATCHES_MAX: usize = 32;

/// A place up to which a group has read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    pub topic: String,
    pub partition: i32,
    pub leader: i32,
    /// The first offset not read, and not below the log's start.
    pub from: i64,
    /// The log's end.
    pub end: i64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Waiting {
    /// The timestamp of the first record, in milliseconds since 1970.
    Since(i64),
    /// There is no record, though there are offsets.
    Nothing,
    Unknown,
}

impl Cluster {
    /// One answer for each place, in order.
    pub fn waiting(&mut self, places: &[Place]) -> Result<Vec<Waiting>> {
        let mut found = vec![Waiting::Unknown; places.len()];
        let mut from: Vec<i64> = places.iter().map(|place| place.from).collect();
        let mut open: Vec<usize> = (0..places.len()).collect();
        for _ in 0..BATCHES_MAX {
            if open.is_empty() {
                break;
            }
            let mut by_leader: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
            for &n in &open {
                by_leader.entry(places[n].leader).or_default().push(n);
            }
            open.clear();
            for (leader, numbers) in by_leader {
                for numbers in numbers.chunks(AHEAD_MAX) {
                    let looked = self.look(leader, numbers, places, &from)?;
                    for (&n, look) in numbers.iter().zip(looked) {
                        match look {
                            Look::Seen(waiting) => found[n] = waiting,
                            Look::Further(next) if next >= places[n].end => found[n] = Waiting::Nothing,
                            Look::Further(next) => {
                                from[n] = next;
                                open.push(n);
                            }
                        }
                    }
                }
            }
        }
        Ok(found)
    }

    fn look(&mut self, leader: i32, numbers: &[usize], places: &[Place], from: &[i64]) -> Result<Vec<Look>> {
        let connection = self.connection(leader)?;
        let mut sent = Vec::with_capacity(numbers.len());
        for &n in numbers {
            sent.push(connection.send(FETCH_VERSION_MAX, &request(&places[n], from[n]))?);
        }
        let mut looked = Vec::with_capacity(numbers.len());
        for (sent, &n) in sent.into_iter().zip(numbers) {
            let answer = connection.receive(sent)?;
            let malformed = ClientError::malformed(connection.address(), ApiKey::Fetch);
            let view = fetch::ResponseView::decode(answer.body(), answer.version).map_err(malformed)?;
            let partition = view.responses.iter().flat_map(|topic| topic.partitions.iter()).next();
            looked.push(match partition {
                Some(partition) if view.error_code == 0 && partition.error_code == 0 => {
                    read(&partition, from[n])
                }
                _ => Look::Seen(Waiting::Unknown),
            });
        }
        Ok(looked)
    }
}

enum Look {
    Seen(Waiting),
    /// Nothing is shown before this offset.
    Further(i64),
}

fn read(partition: &fetch::PartitionDataView<'_>, from: i64) -> Look {
    let mut first = None;
    let walked = for_each_record(partition, from, |message| {
        first = Some(message.timestamp);
        ControlFlow::Break(())
    });
    let next = BatchHeader::read(partition.records.unwrap_or_default()).map(|header| header.next_offset().0);
    match (walked, first, next) {
        (Ok(()), Some(timestamp), _) if timestamp >= 0 => Look::Seen(Waiting::Since(timestamp)),
        (Ok(()), None, Ok(next)) if next > from => Look::Further(next),
        _ => Look::Seen(Waiting::Unknown),
    }
}

fn request(place: &Place, fetch_offset: i64) -> fetch::Request<'static> {
    let partition = fetch::FetchPartition {
        partition: place.partition,
        fetch_offset,
        partition_max_bytes: FETCH_BYTES,
        ..Default::default()
    };
    let topic = fetch::FetchTopic {
        topic: place.topic.clone().into(),
        partitions: vec![partition],
        ..Default::default()
    };
    fetch::Request {
        max_wait_ms: FETCH_WAIT_MS,
        min_bytes: 1,
        max_bytes: FETCH_BYTES,
        topics: vec![topic],
        ..Default::default()
    }
}
