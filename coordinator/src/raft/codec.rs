//! Messages as bytes, for the stream from one broker to another.
//!
//! ```text
//!   0  format version  1   1
//!   1  archive         n   rkyv, validated before anything of it is used
//! ```
//! The archived types are frozen: a change of any of them is another format version, and the old one is still read, so
//! that the brokers of a cluster may be replaced one by one.

use model::{BrokerId, LeaderEpoch, Offset};
use rkyv::{Archive, Deserialize, Serialize, rancor::Error};

use super::{
    log::{Entry, Payload, Position},
    message::{self, Round},
    quorum::VOTERS_MAX,
};

pub const FORMAT_VERSION: u8 = 1;
/// A message with one entry as large as a node takes, and far below what a stream holds.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// Of the records of one proposal. A larger one could never be sent to anybody.
pub const BATCH_BYTES_MAX: usize = MESSAGE_BYTES_MAX - (1 << 20);

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadMessage {
    #[error("the message is empty")]
    Empty,
    #[error("the message has {0} bytes, more than one may have")]
    TooLarge(usize),
    #[error("format version {0} is not known here: a newer broker wrote this message")]
    UnknownVersion(u8),
    #[error("the archive of the message is damaged")]
    Damaged,
    #[error("the message names {0} voters, more than there may be")]
    TooManyVoters(usize),
}

#[derive(Archive, Serialize, Deserialize)]
struct Message {
    from: i32,
    to: i32,
    epoch: i32,
    body: Body,
}

/// An offset and an epoch.
type Place = (i64, i32);

#[derive(Archive, Serialize, Deserialize)]
enum Body {
    PreVote { end: Place },
    PreVoteAnswer { epoch: i32, granted: bool },
    Vote { end: Place, transfer: bool },
    VoteAnswer { granted: bool },
    Append { before: Place, entries: Vec<Item>, high_watermark: i64, round: u64 },
    Appended { matched: i64, round: u64 },
    Diverged { before: i64, agree: Place, round: u64 },
    Snapshot { id: Place, round: u64 },
    Installing { round: u64 },
    Observe,
    NotLeader { leader: Option<i32> },
    TimeoutNow,
}

#[derive(Archive, Serialize, Deserialize)]
struct Item {
    base: i64,
    epoch: i32,
    what: What,
}

#[derive(Archive, Serialize, Deserialize)]
enum What {
    Records { bytes: Vec<u8>, count: u32 },
    LeaderChange,
    Voters(Vec<i32>),
}

pub fn encode(message: &message::Message) -> Vec<u8> {
    let archived = Message {
        from: message.from.0,
        to: message.to.0,
        epoch: message.epoch.0,
        body: archived_body(&message.body),
    };
    let archive = rkyv::to_bytes::<Error>(&archived).expect("an archive in memory cannot fail");
    let mut bytes = Vec::with_capacity(1 + archive.len());
    bytes.push(FORMAT_VERSION);
    bytes.extend_from_slice(&archive);
    bytes
}

pub fn decode(bytes: &[u8]) -> Result<message::Message, BadMessage> {
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(BadMessage::TooLarge(bytes.len()));
    }
    match bytes {
        [FORMAT_VERSION, archive @ ..] => {
            let read = rkyv::from_bytes::<Message, Error>(archive).map_err(|_| BadMessage::Damaged)?;
            Ok(message::Message {
                from: BrokerId(read.from),
                to: BrokerId(read.to),
                epoch: LeaderEpoch(read.epoch),
                body: body(read.body)?,
            })
        }
        [version, ..] => Err(BadMessage::UnknownVersion(*version)),
        [] => Err(BadMessage::Empty),
    }
}

fn place(position: Position) -> Place {
    (position.offset.0, position.epoch.0)
}

fn position((offset, epoch): Place) -> Position {
    Position { offset: Offset(offset), epoch: LeaderEpoch(epoch) }
}

fn archived_body(body: &message::Body) -> Body {
    use message::Body as From;
    match body {
        From::PreVote { end } => Body::PreVote { end: place(*end) },
        From::PreVoteAnswer { epoch, granted } => Body::PreVoteAnswer { epoch: epoch.0, granted: *granted },
        From::Vote { end, transfer } => Body::Vote { end: place(*end), transfer: *transfer },
        From::VoteAnswer { granted } => Body::VoteAnswer { granted: *granted },
        From::Append { before, entries, high_watermark, round } => Body::Append {
            before: place(*before),
            entries: entries.iter().map(archived_entry).collect(),
            high_watermark: high_watermark.0,
            round: round.0,
        },
        From::Appended { matched, round } => Body::Appended { matched: matched.0, round: round.0 },
        From::Diverged { before, agree, round } => {
            Body::Diverged { before: before.0, agree: place(*agree), round: round.0 }
        }
        From::Snapshot { id, round } => Body::Snapshot { id: place(*id), round: round.0 },
        From::Installing { round } => Body::Installing { round: round.0 },
        From::Observe => Body::Observe,
        From::NotLeader { leader } => Body::NotLeader { leader: leader.map(|id| id.0) },
        From::TimeoutNow => Body::TimeoutNow,
    }
}

fn body(body: Body) -> Result<message::Body, BadMessage> {
    use message::Body as Into;
    Ok(match body {
        Body::PreVote { end } => Into::PreVote { end: position(end) },
        Body::PreVoteAnswer { epoch, granted } => Into::PreVoteAnswer { epoch: LeaderEpoch(epoch), granted },
        Body::Vote { end, transfer } => Into::Vote { end: position(end), transfer },
        Body::VoteAnswer { granted } => Into::VoteAnswer { granted },
        Body::Append { before, entries, high_watermark, round } => Into::Append {
            before: position(before),
            entries: entries.into_iter().map(entry).collect::<Result<_, _>>()?,
            high_watermark: Offset(high_watermark),
            round: Round(round),
        },
        Body::Appended { matched, round } => Into::Appended { matched: Offset(matched), round: Round(round) },
        Body::Diverged { before, agree, round } => {
            Into::Diverged { before: Offset(before), agree: position(agree), round: Round(round) }
        }
        Body::Snapshot { id, round } => Into::Snapshot { id: position(id), round: Round(round) },
        Body::Installing { round } => Into::Installing { round: Round(round) },
        Body::Observe => Into::Observe,
        Body::NotLeader { leader } => Into::NotLeader { leader: leader.map(BrokerId) },
        Body::TimeoutNow => Into::TimeoutNow,
    })
}

fn archived_entry(entry: &Entry) -> Item {
    let what = match &entry.payload {
        Payload::Records { bytes, count } => What::Records { bytes: bytes.to_vec(), count: *count },
        Payload::LeaderChange => What::LeaderChange,
        Payload::Voters(voters) => What::Voters(voters.iter().map(|id| id.0).collect()),
    };
    Item { base: entry.base.0, epoch: entry.epoch.0, what }
}

fn entry(item: Item) -> Result<Entry, BadMessage> {
    let payload = match item.what {
        What::Records { bytes, count } => Payload::Records { bytes: bytes.into(), count },
        What::LeaderChange => Payload::LeaderChange,
        What::Voters(ids) if ids.len() > VOTERS_MAX => return Err(BadMessage::TooManyVoters(ids.len())),
        What::Voters(ids) => Payload::Voters(ids.into_iter().map(BrokerId).collect()),
    };
    Ok(Entry { base: Offset(item.base), epoch: LeaderEpoch(item.epoch), payload })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_place() -> impl Strategy<Value = Position> {
        (any::<i64>(), any::<i32>()).prop_map(position)
    }

    fn any_entry() -> impl Strategy<Value = Entry> {
        let payload = prop_oneof![
            (prop::collection::vec(any::<u8>(), 0..40), any::<u32>())
                .prop_map(|(bytes, count)| Payload::Records { bytes: bytes.into(), count }),
            Just(Payload::LeaderChange),
            prop::collection::btree_set(any::<i32>(), 0..VOTERS_MAX)
                .prop_map(|ids| Payload::Voters(ids.into_iter().map(BrokerId).collect())),
        ];
        (any_place(), payload).prop_map(|(at, payload)| Entry { base: at.offset, epoch: at.epoch, payload })
    }

    fn any_body() -> impl Strategy<Value = message::Body> {
        use message::Body::*;
        let round = || any::<u64>().prop_map(Round);
        let offset = || any::<i64>().prop_map(Offset);
        prop_oneof![
            any_place().prop_map(|end| PreVote { end }),
            (any::<i32>(), any::<bool>())
                .prop_map(|(epoch, granted)| PreVoteAnswer { epoch: LeaderEpoch(epoch), granted }),
            (any_place(), any::<bool>()).prop_map(|(end, transfer)| Vote { end, transfer }),
            any::<bool>().prop_map(|granted| VoteAnswer { granted }),
            (any_place(), prop::collection::vec(any_entry(), 0..4), offset(), round()).prop_map(
                |(before, entries, high_watermark, round)| Append { before, entries, high_watermark, round }
            ),
            (offset(), round()).prop_map(|(matched, round)| Appended { matched, round }),
            (offset(), any_place(), round()).prop_map(|(before, agree, round)| Diverged {
                before,
                agree,
                round
            }),
            (any_place(), round()).prop_map(|(id, round)| Snapshot { id, round }),
            round().prop_map(|round| Installing { round }),
            Just(Observe),
            any::<Option<i32>>().prop_map(|id| NotLeader { leader: id.map(BrokerId) }),
            Just(TimeoutNow),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(from: i32, to: i32, epoch: i32, body in any_body()) {
            let message = message::Message {
                from: BrokerId(from),
                to: BrokerId(to),
                epoch: LeaderEpoch(epoch),
                body,
            };
            prop_assert_eq!(decode(&encode(&message)), Ok(message));
        }

        /// Damage gives an error or another message, never a panic; nor does the node that gets it.
        #[test]
        fn damage_is_no_panic(body in any_body(), at: prop::sample::Index, bit in 0..8u8, cut: prop::sample::Index) {
            let from = BrokerId(1);
            let message = message::Message { from, to: BrokerId(2), epoch: LeaderEpoch(3), body };
            let mut bytes = encode(&message);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let _ = decode(&bytes);
            let _ = decode(&bytes[..cut.index(bytes.len())]);
        }
    }

    #[test]
    fn what_is_not_known_is_named() {
        assert_eq!(decode(&[]), Err(BadMessage::Empty));
        assert_eq!(decode(&[9, 1, 2]), Err(BadMessage::UnknownVersion(9)));
        assert_eq!(decode(&[FORMAT_VERSION, 1, 2]), Err(BadMessage::Damaged));
        assert_eq!(decode(&vec![1; MESSAGE_BYTES_MAX + 1]), Err(BadMessage::TooLarge(MESSAGE_BYTES_MAX + 1)));
    }
}
