//! Kafka's `.snapshot` file: producer states as of the offset in its name. Layout only; what the fields mean is in
//! `producers`.
//!
//! ```text
//!   0  version        2   1
//!   2  crc            4   CRC-32C of everything behind it
//!   6  entry count    4
//!  10  entries       46   each:
//!        0  producer id          8
//!        8  epoch                2
//!       10  last sequence        4   -1: no batch in this epoch
//!       14  last offset          8   -1: no batch in this epoch
//!       22  offset delta         4   last offset less base offset of that batch
//!       26  timestamp            8
//!       34  coordinator epoch    4   -1: no marker yet
//!       38  first open offset    8   of its transaction; -1: none is open
//! ```

use model::{ProducerId, batch::crc32c};
use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    big_endian::{I16, I32, I64, U32},
};

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct SnapshotEntry {
    pub producer_id: I64,
    pub epoch: I16,
    pub last_sequence: I32,
    pub last_offset: I64,
    pub offset_delta: I32,
    pub timestamp: I64,
    pub coordinator_epoch: I32,
    pub first_open_offset: I64,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy)]
#[repr(C)]
struct Head {
    version: I16,
    crc: U32,
    count: I32,
}

const VERSION: i16 = 1;
const CRC_FROM: usize = 6;
const HEAD_BYTES: usize = 10;
const ENTRY_BYTES: usize = 46;
const _: () = assert!(size_of::<Head>() == HEAD_BYTES);
const _: () = assert!(size_of::<SnapshotEntry>() == ENTRY_BYTES);

/// Why a snapshot is not used. The caller deletes it and folds from the one before, or from the log's start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CorruptSnapshot {
    #[error("{bytes} bytes do not hold the announced entries")]
    Size { bytes: usize },
    #[error("version {0} is not {VERSION}")]
    Version(i16),
    #[error("the checksum is {stored:#010x}, the bytes give {computed:#010x}")]
    Crc { stored: u32, computed: u32 },
    #[error("the entry of producer {producer_id} cannot be right")]
    Entry { producer_id: ProducerId },
    #[error("producer {producer_id} stands there twice")]
    Conflict { producer_id: ProducerId },
}

pub fn write(entries: impl Iterator<Item = SnapshotEntry>) -> Vec<u8> {
    let mut bytes = vec![0; HEAD_BYTES];
    let mut count = 0;
    for entry in entries {
        bytes.extend_from_slice(entry.as_bytes());
        count += 1;
    }
    let mut head = Head { version: VERSION.into(), crc: 0.into(), count: count.into() };
    bytes[..HEAD_BYTES].copy_from_slice(head.as_bytes());
    head.crc = crc32c(&bytes[CRC_FROM..]).into();
    bytes[..HEAD_BYTES].copy_from_slice(head.as_bytes());
    bytes
}

pub fn read(bytes: &[u8]) -> Result<&[SnapshotEntry], CorruptSnapshot> {
    let size = CorruptSnapshot::Size { bytes: bytes.len() };
    let (head, rest) = Head::read_from_prefix(bytes).map_err(|_| size)?;
    if head.version.get() != VERSION {
        return Err(CorruptSnapshot::Version(head.version.get()));
    }
    let (stored, computed) = (head.crc.get(), crc32c(&bytes[CRC_FROM..]));
    if stored != computed {
        return Err(CorruptSnapshot::Crc { stored, computed });
    }
    let entries = <[SnapshotEntry]>::ref_from_bytes(rest).map_err(|_| size)?;
    if usize::try_from(head.count.get()) != Ok(entries.len()) {
        return Err(size);
    }
    match entries.iter().find(|e| !is_plausible(e)) {
        Some(entry) => Err(CorruptSnapshot::Entry { producer_id: ProducerId(entry.producer_id.get()) }),
        None => Ok(entries),
    }
}

fn is_plausible(entry: &SnapshotEntry) -> bool {
    entry.producer_id.get() >= 0
        && entry.last_sequence.get() >= -1
        && entry.last_offset.get() >= -1
        && entry.offset_delta.get() >= 0
        && entry.first_open_offset.get() >= -1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(producer_id: i64) -> SnapshotEntry {
        SnapshotEntry {
            producer_id: producer_id.into(),
            epoch: 3.into(),
            last_sequence: 9.into(),
            last_offset: 109.into(),
            offset_delta: 4.into(),
            timestamp: 1000.into(),
            coordinator_epoch: (-1).into(),
            first_open_offset: (-1).into(),
        }
    }

    #[test]
    fn entries_come_back_in_their_places() {
        let bytes = write([entry(7), entry(8)].into_iter());
        assert_eq!(bytes.len(), 10 + 2 * 46);
        assert_eq!(bytes[..2], [0, 1]);
        assert_eq!(bytes[6..10], [0, 0, 0, 2]);
        assert_eq!(bytes[10..20], [0, 0, 0, 0, 0, 0, 0, 7, 0, 3]);
        assert_eq!(read(&bytes).unwrap(), [entry(7), entry(8)]);
        assert_eq!(read(&write([].into_iter())).unwrap(), []);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_seen() {
        let bytes = write([entry(7), entry(8)].into_iter());
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&bad).is_err(), "bit {bit}");
        }
        for cut in 0..bytes.len() {
            assert!(read(&bytes[..cut]).is_err(), "cut {cut}");
        }
    }

    #[test]
    fn entries_with_a_good_checksum_must_make_sense_too() {
        fn check(change: impl FnOnce(&mut SnapshotEntry)) {
            let mut bad = entry(7);
            change(&mut bad);
            let producer_id = ProducerId(bad.producer_id.get());
            let bytes = write([entry(1), bad].into_iter());
            assert_eq!(read(&bytes), Err(CorruptSnapshot::Entry { producer_id }));
        }
        check(|e| e.producer_id = (-1).into());
        check(|e| e.last_sequence = (-2).into());
        check(|e| e.last_offset = (-2).into());
        check(|e| e.offset_delta = (-1).into());
        check(|e| e.first_open_offset = (-2).into());
    }

    proptest! {
        #[test]
        fn foreign_bytes_never_panic(body in proptest::collection::vec(any::<u8>(), 0..150), seal in any::<bool>()) {
            let mut bytes = vec![0, 1, 0, 0, 0, 0];
            bytes.extend(body);
            if seal {
                let crc = crc32c(&bytes[6..]);
                bytes[2..6].copy_from_slice(&crc.to_be_bytes());
            }
            let _ = read(&bytes);
        }
    }
}
