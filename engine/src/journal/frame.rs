//! The journal's frame: what one group commit writes. Pure.
//!
//! ```text
//! header, 64 bytes                              entry, 64 bytes, then `bytes` of batches if inline
//!   0  magic            8  "TAILRACE"             0  kind             1  1 inline, 2 extent
//!   8  salt             8  one per incarnation    1  reserved         3
//!  16  sequence         8  +1 per frame           4  partition        4
//!  24  durable sequence 8  see below              8  topic id        16
//!  32  frame bytes      4  a multiple of 4096    24  leader epoch     4  of the run's last batch
//!  36  body bytes       4                        28  bytes            4
//!  40  entry count      4                        32  base offset      8
//!  44  previous crc     4  the chain             40  next offset      8
//!  48  crc              4  header (with 0 here)  48  segment base     8
//!  52  reserved        12  and body              56  position         4  in the segment file
//!  64  entries ...                               60  crc              4  CRC-32C of the run's bytes
//! ```
//! A *run* is one partition's batches of one commit, side by side in one segment. An *inline* run carries its bytes; an
//! *extent* was written straight to its segment in the same round and is only described.
//!
//! `durable sequence`: every frame up to it was on stable storage before this one was written. A frame that does not
//! parse although a later valid frame vouches for it is therefore corruption; without such a witness it is a torn tail.
//! The salt keeps frames of an earlier life of the file, whose checksums are right, from being taken for new ones.

use model::{LeaderEpoch, Offset, PartitionIndex, TopicId, TopicPartition, batch::Crc32c};
use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    big_endian::{I32, I64, U32, U64},
};

pub const MAGIC: [u8; 8] = *b"TAILRACE";
pub const HEADER_BYTES: usize = 64;
pub const ENTRY_BYTES: usize = 64;
pub const BLOCK: usize = rt::pages::BLOCK;

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy, Debug)]
#[repr(C)]
pub struct FrameHeader {
    pub magic: [u8; 8],
    pub salt: U64,
    pub sequence: U64,
    pub durable_sequence: U64,
    pub frame_bytes: U32,
    pub body_bytes: U32,
    pub entry_count: U32,
    pub previous_crc: U32,
    pub crc: U32,
    reserved: [u8; 12],
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy, Debug)]
#[repr(C)]
pub struct EntryHeader {
    pub kind: u8,
    reserved: [u8; 3],
    partition: I32,
    topic: [u8; 16],
    leader_epoch: I32,
    pub bytes: U32,
    base_offset: I64,
    next_offset: I64,
    segment_base: I64,
    pub position: U32,
    pub crc: U32,
}

const _: () = assert!(size_of::<FrameHeader>() == HEADER_BYTES);
const _: () = assert!(size_of::<EntryHeader>() == ENTRY_BYTES);

const KIND_INLINE: u8 = 1;
const KIND_EXTENT: u8 = 2;

/// Where a run's bytes are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RunKind {
    Inline,
    Extent,
}

/// One partition's part of a commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Run {
    pub kind: RunKind,
    pub log: TopicPartition,
    pub leader_epoch: LeaderEpoch,
    /// Where the log ended before the run. Its first batch may begin above: a replica of a compacted log has gaps.
    pub base_offset: Offset,
    pub next_offset: Offset,
    pub segment_base: Offset,
    pub position: u32,
    pub bytes: u32,
    pub crc: u32,
}

impl Run {
    /// What the run adds to a frame's body.
    pub fn body_bytes(&self) -> usize {
        ENTRY_BYTES + if self.kind == RunKind::Inline { self.bytes as usize } else { 0 }
    }

    pub fn header(&self) -> EntryHeader {
        EntryHeader {
            kind: if self.kind == RunKind::Inline { KIND_INLINE } else { KIND_EXTENT },
            reserved: [0; 3],
            partition: self.log.partition.0.into(),
            topic: self.log.topic.0,
            leader_epoch: self.leader_epoch.0.into(),
            bytes: self.bytes.into(),
            base_offset: self.base_offset.0.into(),
            next_offset: self.next_offset.0.into(),
            segment_base: self.segment_base.0.into(),
            position: self.position.into(),
            crc: self.crc.into(),
        }
    }

    fn from_header(entry: &EntryHeader) -> Option<Self> {
        let kind = match entry.kind {
            KIND_INLINE => RunKind::Inline,
            KIND_EXTENT => RunKind::Extent,
            _ => return None,
        };
        let run = Self {
            kind,
            log: TopicPartition::new(TopicId(entry.topic), PartitionIndex(entry.partition.get())),
            leader_epoch: LeaderEpoch(entry.leader_epoch.get()),
            base_offset: Offset(entry.base_offset.get()),
            next_offset: Offset(entry.next_offset.get()),
            segment_base: Offset(entry.segment_base.get()),
            position: entry.position.get(),
            bytes: entry.bytes.get(),
            crc: entry.crc.get(),
        };
        let ordered = run.segment_base.0 >= 0
            && run.segment_base <= run.base_offset
            && run.base_offset < run.next_offset
            && run.position.checked_add(run.bytes).is_some();
        ordered.then_some(run)
    }
}

/// What ties a frame to its place in the chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Link {
    pub salt: u64,
    pub sequence: u64,
    pub previous_crc: u32,
}

/// Rounds a body up to whole blocks, header included.
pub fn frame_bytes(body_bytes: usize) -> usize {
    (HEADER_BYTES + body_bytes).next_multiple_of(BLOCK)
}

/// The header of a frame, its checksum still zero: `checksum` wants it so.
pub fn header(link: Link, durable_sequence: u64, body_bytes: usize, entry_count: usize) -> FrameHeader {
    FrameHeader {
        magic: MAGIC,
        salt: link.salt.into(),
        sequence: link.sequence.into(),
        durable_sequence: durable_sequence.into(),
        frame_bytes: (frame_bytes(body_bytes) as u32).into(),
        body_bytes: (body_bytes as u32).into(),
        entry_count: (entry_count as u32).into(),
        previous_crc: link.previous_crc.into(),
        crc: 0.into(),
        reserved: [0; 12],
    }
}

/// Checksum of a frame: the header with a zero in the crc field, then the body's parts in order.
pub fn checksum<'a>(header: &FrameHeader, body: impl IntoIterator<Item = &'a [u8]>) -> u32 {
    let mut bare = *header;
    bare.crc = 0.into();
    let mut crc = Crc32c::default();
    crc.update(bare.as_bytes());
    for part in body {
        crc.update(part);
    }
    crc.finish()
}

/// A header whose own fields make sense and that belongs to this life of the journal; its body is not yet checked.
pub fn plausible_header(block: &[u8], salt: u64) -> Option<FrameHeader> {
    let (header, _) = FrameHeader::read_from_prefix(block).ok()?;
    let body = header.body_bytes.get() as usize;
    let fits = header.frame_bytes.get() as usize
        == body.checked_add(HEADER_BYTES)?.checked_next_multiple_of(BLOCK)?;
    (header.magic == MAGIC && header.salt.get() == salt && fits).then_some(header)
}

/// A frame found whole and right: its header and, per run, where an inline run's bytes begin within `bytes`.
pub struct Frame {
    pub header: FrameHeader,
    pub runs: Vec<(Run, usize)>,
}

/// Parses a whole frame. `None` says only that these bytes are not one: torn, stale or foreign.
pub fn parse(bytes: &[u8], salt: u64) -> Option<Frame> {
    let header = plausible_header(bytes, salt)?;
    let body_end = HEADER_BYTES.checked_add(header.body_bytes.get() as usize)?;
    let body = bytes.get(HEADER_BYTES..body_end)?;
    if checksum(&header, [body]) != header.crc.get() {
        return None;
    }
    let mut runs = Vec::new();
    let mut at = HEADER_BYTES;
    for _ in 0..header.entry_count.get() {
        let (entry, _) = EntryHeader::read_from_prefix(bytes.get(at..body_end)?).ok()?;
        let run = Run::from_header(&entry)?;
        at += ENTRY_BYTES;
        runs.push((run, at));
        if run.kind == RunKind::Inline {
            at = at.checked_add(run.bytes as usize).filter(|&end| end <= body_end)?;
        }
    }
    (at == body_end).then_some(Frame { header, runs })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(kind: RunKind, bytes: u32) -> Run {
        Run {
            kind,
            log: TopicPartition::new(TopicId([7; 16]), PartitionIndex(3)),
            leader_epoch: LeaderEpoch(2),
            base_offset: Offset(10),
            next_offset: Offset(12),
            segment_base: Offset(5),
            position: 100,
            bytes,
            crc: 9,
        }
    }

    fn whole(link: Link, runs: &[(Run, Vec<u8>)]) -> Vec<u8> {
        let mut body = vec![];
        for (run, bytes) in runs {
            body.extend_from_slice(run.header().as_bytes());
            body.extend_from_slice(bytes);
        }
        let mut head = header(link, link.sequence - 1, body.len(), runs.len());
        head.crc = checksum(&head, [&body[..]]).into();
        let mut frame = head.as_bytes().to_vec();
        frame.extend(body);
        frame.resize(head.frame_bytes.get() as usize, 0);
        frame
    }

    const LINK: Link = Link { salt: 77, sequence: 4, previous_crc: 1 };

    #[test]
    fn a_frame_comes_back() {
        let inline = run(RunKind::Inline, 3);
        let extent = run(RunKind::Extent, 1 << 20);
        let bytes = whole(LINK, &[(inline, b"abc".to_vec()), (extent, vec![])]);
        let frame = parse(&bytes, 77).unwrap();
        assert_eq!(frame.runs[0].0, inline);
        assert_eq!(&bytes[frame.runs[0].1..][..3], b"abc");
        assert_eq!(frame.runs[1].0, extent);
    }

    #[test]
    fn another_life_of_the_file_is_no_frame() {
        assert!(parse(&whole(LINK, &[(run(RunKind::Inline, 3), b"abc".to_vec())]), 78).is_none());
    }

    #[test]
    fn every_flipped_bit_of_the_used_bytes_is_seen() {
        let bytes = whole(LINK, &[(run(RunKind::Inline, 3), b"abc".to_vec())]);
        for bit in 0..(HEADER_BYTES + ENTRY_BYTES + 3) * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(parse(&bad, 77).is_none(), "bit {bit}");
        }
    }

    proptest! {
        #[test]
        fn foreign_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..9000), tail in any::<[u8; 56]>()) {
            let _ = parse(&bytes, 77);
            let mut with_magic = MAGIC.to_vec();
            with_magic.extend(tail);
            with_magic.extend(&bytes);
            let _ = parse(&with_magic, 0);
        }
    }
}
