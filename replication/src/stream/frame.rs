//! What stands in one frame of a lane. Pure.
//!
//! ```text
//!   0  kind          1            17  partition     4
//!   1  topic id     16            21  leader epoch  4
//!  25  first         8            33  second        8
//!  41  third         8            49  record batches as they stand in the log (Batches only)
//!
//!                    first                second                                       third
//!   1 Follow         end of the log       epoch of its last batch, -1: there is none
//!   2 Acknowledged   everything below     log start
//!   3 Leave          -                    -
//!   4 Batches        high watermark       log start                                    end of the log before them
//!   5 Diverged       end of that epoch    the leader's last epoch that is no later than the follower's
//!   6 Restart        log start            -
//!   7 Refused        Kafka's error code   -
//! ```
//! Numbers are big-endian, as in the batches. Every partition has its own epoch in every frame, so that a late one is
//! told from a fresh one.

use model::{LeaderEpoch, Offset, PartitionIndex, TopicId, TopicPartition};
use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    big_endian::{I32, I64},
};

use crate::Held;

/// Beside its records a frame has only this.
pub const HEADER_BYTES: usize = 49;
/// One batch as large as a topic may allow, or several up to what a turn reads.
pub const FRAME_BYTES_MAX: usize = (100 << 20) + HEADER_BYTES;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Follow,
    Acknowledged,
    Leave,
    Batches,
    Diverged,
    Restart,
    Refused,
}

impl Kind {
    const ALL: [Self; 7] = [
        Self::Follow,
        Self::Acknowledged,
        Self::Leave,
        Self::Batches,
        Self::Diverged,
        Self::Restart,
        Self::Refused,
    ];

    fn code(self) -> u8 {
        let at = Self::ALL.iter().position(|&kind| kind == self).expect("all are listed");
        at as u8 + 1
    }

    fn of_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code).checked_sub(1)?).copied()
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame {
    pub kind: Kind,
    pub id: TopicPartition,
    pub epoch: LeaderEpoch,
    pub first: i64,
    pub second: i64,
    pub third: i64,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Layout {
    kind: u8,
    topic: [u8; 16],
    partition: I32,
    epoch: I32,
    first: I64,
    second: I64,
    third: I64,
}

const _: () = assert!(size_of::<Layout>() == HEADER_BYTES);

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadFrame {
    #[error("a frame of {0} bytes is too short")]
    Truncated(usize),
    #[error("frames of kind {0} are not known here: a newer broker sent it")]
    UnknownKind(u8),
}

impl Frame {
    pub fn new(kind: Kind, id: TopicPartition, epoch: LeaderEpoch) -> Self {
        Self { kind, id, epoch, first: 0, second: 0, third: 0 }
    }

    pub fn follow(id: TopicPartition, epoch: LeaderEpoch, end: Offset, last_epoch: LeaderEpoch) -> Self {
        Self { first: end.0, second: i64::from(last_epoch.0), ..Self::new(Kind::Follow, id, epoch) }
    }

    pub fn acknowledged(id: TopicPartition, epoch: LeaderEpoch, held: Held) -> Self {
        Self { first: held.end.0, second: held.start.0, ..Self::new(Kind::Acknowledged, id, epoch) }
    }

    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let layout = Layout {
            kind: self.kind.code(),
            topic: self.id.topic.0,
            partition: self.id.partition.0.into(),
            epoch: self.epoch.0.into(),
            first: self.first.into(),
            second: self.second.into(),
            third: self.third.into(),
        };
        zerocopy::transmute!(layout)
    }

    /// And the records that follow it.
    pub fn decode(bytes: &[u8]) -> Result<(Self, &[u8]), BadFrame> {
        let (layout, records) =
            Layout::ref_from_prefix(bytes).map_err(|_| BadFrame::Truncated(bytes.len()))?;
        let kind = Kind::of_code(layout.kind).ok_or(BadFrame::UnknownKind(layout.kind))?;
        let id = TopicPartition::new(TopicId(layout.topic), PartitionIndex(layout.partition.get()));
        let epoch = LeaderEpoch(layout.epoch.get());
        let (first, second, third) = (layout.first.get(), layout.second.get(), layout.third.get());
        Ok((Self { kind, id, epoch, first, second, third }, records))
    }

    /// `second` of a Follow or a Diverged.
    pub fn second_epoch(&self) -> LeaderEpoch {
        LeaderEpoch(i32::try_from(self.second).unwrap_or(-1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_as_they_went() {
        for kind in Kind::ALL {
            let id = TopicPartition::new(TopicId([7; 16]), PartitionIndex(3));
            let frame = Frame { kind, id, epoch: LeaderEpoch(5), first: 1 << 40, second: -1, third: 7 };
            let bytes = [&frame.encode()[..], b"records"].concat();
            assert_eq!(Frame::decode(&bytes), Ok((frame, &b"records"[..])));
        }
    }

    #[test]
    fn foreign_bytes_are_refused() {
        assert_eq!(Frame::decode(&[1; 48]), Err(BadFrame::Truncated(48)));
        assert_eq!(Frame::decode(&[0; 49]), Err(BadFrame::UnknownKind(0)));
        assert_eq!(Frame::decode(&[8; 49]), Err(BadFrame::UnknownKind(8)));
    }
}
