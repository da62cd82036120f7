//! The control batches of the metadata log, in Kafka's layout (KIP-595, KIP-853): who leads from here on, and who votes.
//! One record a batch.
//!
//! ```text
//!   key    version i16 = 0 | type i16: 2 leader change, 3 snapshot header, 4 snapshot footer, 6 voters
//!   2      version i16 = 0 | leader i32 | voters [] | granting voters [] | no tags
//!   3      version i16 = 0 | timestamp i64 | no tags
//!   4      version i16 = 0 | no tags
//!   6      version i16 = 0 | voters [ id i32 | directory 16 | endpoints [] | versions i16 i16 | no tags ] | no tags
//! ```
//! Lists are compact: their length plus one, as an unsigned varint. A voter's endpoints are told by its registration, so
//! there are none here.

use model::{
    BatchView, BrokerId, Timestamp,
    batch::record::{BatchMeta, Producer, Records, build_batch, write_record},
};

use super::batches::BadBatch;
use crate::raft::{Payload, VOTERS_MAX, Voters};

const CONTROL: i16 = 0x20;
const LEADER_CHANGE: i16 = 2;
const SNAPSHOT_HEADER: i16 = 3;
const SNAPSHOT_FOOTER: i16 = 4;
const VOTERS: i16 = 6;
const VERSION: [u8; 2] = [0, 0];
const NO_TAGS: u8 = 0;
const EMPTY_LIST: u8 = 1;

pub fn leader_change(leader: BrokerId, now: Timestamp) -> Vec<u8> {
    let mut value = VERSION.to_vec();
    value.extend_from_slice(&leader.0.to_be_bytes());
    value.extend_from_slice(&[EMPTY_LIST, EMPTY_LIST, NO_TAGS]);
    batch(LEADER_CHANGE, &value, now)
}

pub fn voters(voters: &Voters, now: Timestamp) -> Vec<u8> {
    let mut value = VERSION.to_vec();
    // Below 128: one byte of a varint.
    value.push(u8::try_from(voters.count() + 1).expect("voters are few"));
    for voter in voters.iter() {
        value.extend_from_slice(&voter.0.to_be_bytes());
        value.extend_from_slice(&[0; 16]);
        value.push(EMPTY_LIST);
        value.extend_from_slice(&[0, 0, 0, 1, NO_TAGS, NO_TAGS]);
    }
    value.push(NO_TAGS);
    batch(VOTERS, &value, now)
}

fn batch(kind: i16, value: &[u8], now: Timestamp) -> Vec<u8> {
    let mut key = VERSION.to_vec();
    key.extend_from_slice(&kind.to_be_bytes());
    let mut payload = Vec::new();
    write_record(&mut payload, 0, 0, Some(&key), Some(value), &[]);
    let meta = BatchMeta {
        base_offset: 0,
        leader_epoch: 0,
        attributes: CONTROL,
        base_timestamp: now.0,
        max_timestamp: now.0,
        record_count: 1,
        producer: Producer::NONE,
    };
    build_batch(meta, &payload)
}

pub fn snapshot_header(now: Timestamp) -> Vec<u8> {
    let value = [&VERSION[..], &now.0.to_be_bytes(), &[NO_TAGS]].concat();
    batch(SNAPSHOT_HEADER, &value, now)
}

pub fn snapshot_footer(now: Timestamp) -> Vec<u8> {
    batch(SNAPSHOT_FOOTER, &[VERSION[0], VERSION[1], NO_TAGS], now)
}

/// What a control batch says, in the log or in a snapshot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Control {
    Log(Payload),
    SnapshotHeader,
    SnapshotFooter,
}

/// What a control batch of the log says.
pub fn read(batch: &BatchView<'_>) -> Result<Payload, BadBatch> {
    match read_any(batch)? {
        Control::Log(payload) => Ok(payload),
        _ => Err(BadBatch::SnapshotInLog),
    }
}

pub fn read_any(batch: &BatchView<'_>) -> Result<Control, BadBatch> {
    let record = Records::new(batch.payload(), batch.header().record_count()).next();
    let record = record.ok_or(BadBatch::Control("has no record"))??;
    let kind = record.key.and_then(|key| key.get(2..4)).ok_or(BadBatch::Control("has no type"))?;
    match i16::from_be_bytes([kind[0], kind[1]]) {
        LEADER_CHANGE => Ok(Control::Log(Payload::LeaderChange)),
        SNAPSHOT_HEADER => Ok(Control::SnapshotHeader),
        SNAPSHOT_FOOTER => Ok(Control::SnapshotFooter),
        VOTERS => {
            let named = record.value.and_then(read_voters);
            named
                .map(|named| Control::Log(Payload::Voters(named)))
                .ok_or(BadBatch::Control("names no voters"))
        }
        other => Err(BadBatch::UnknownControl(other)),
    }
}

fn read_voters(value: &[u8]) -> Option<Voters> {
    let (count, mut rest) = value.get(2..)?.split_first()?;
    let count = usize::from(*count).checked_sub(1).filter(|&count| count <= VOTERS_MAX)?;
    let mut voters = Voters::default();
    for _ in 0..count {
        let (voter, after) = rest.split_at_checked(4 + 16 + 1 + 6)?;
        voters = voters.with(BrokerId(i32::from_be_bytes(voter[..4].try_into().ok()?)));
        rest = after;
    }
    Some(voters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_back() {
        let check = |bytes: Vec<u8>, expected: Payload| {
            let batch = BatchView::check(&bytes).unwrap();
            assert!(batch.header().is_control());
            assert_eq!(read(&batch).unwrap(), expected);
        };
        check(leader_change(BrokerId(3), Timestamp(5)), Payload::LeaderChange);
        for ids in [vec![], vec![7], vec![1, 2, 3]] {
            let expected: Voters = ids.into_iter().map(BrokerId).collect();
            check(voters(&expected, Timestamp(5)), Payload::Voters(expected));
        }
    }

    #[test]
    fn damaged_voters_are_refused() {
        let whole = [&VERSION[..], &[3], &[0; 27], &[0; 27], &[0]].concat();
        assert!(read_voters(&whole).is_some());
        (0..whole.len() - 1).for_each(|end| assert!(read_voters(&whole[..end]).is_none(), "{end}"));
        assert!(read_voters(&[0, 0, 200]).is_none());
    }
}
