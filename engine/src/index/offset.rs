//! From an offset to a place in the segment not far before it. In memory as on disk: eight big-endian bytes an entry.
//! Holds no file and knows nothing of the log; positions are in bytes from the segment's start.

use model::Offset;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned, big_endian::U32};

use super::{CorruptIndex, RELATIVE_OFFSET_MAX, relative_offset};

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
struct Entry {
    relative_offset: U32,
    position: U32,
}

const ENTRY_BYTES: usize = 8;
const _: () = assert!(size_of::<Entry>() == ENTRY_BYTES);

/// Where a batch begins, and its last offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OffsetPosition {
    pub offset: Offset,
    pub position: u32,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OffsetIndex {
    base_offset: Offset,
    entries_max: usize,
    entries: Vec<Entry>,
}

impl OffsetIndex {
    pub fn new(base_offset: Offset, index_bytes_max: u32) -> Self {
        Self { base_offset, entries_max: index_bytes_max as usize / ENTRY_BYTES, entries: vec![] }
    }

    /// Believes the bytes of an index file only where each entry could have been written by `append`. Zeros at the
    /// end are preallocated space: no entry names position 0, because the first batch never gets one.
    pub fn from_bytes(
        base_offset: Offset,
        index_bytes_max: u32,
        bytes: &[u8],
        segment_bytes: u32,
    ) -> Result<Self, CorruptIndex> {
        let size = CorruptIndex::Size { bytes: bytes.len(), entry_bytes: ENTRY_BYTES };
        let entries = <[Entry]>::ref_from_bytes(bytes).map_err(|_| size)?;
        let used = entries.iter().rposition(|e| e.as_bytes() != [0; ENTRY_BYTES]).map_or(0, |last| last + 1);
        let entries = &entries[..used];
        let mut before = (None, 0);
        for (entry, e) in entries.iter().enumerate() {
            let (offset, position) = (e.relative_offset.get(), e.position.get());
            if i64::from(offset) > RELATIVE_OFFSET_MAX || position >= segment_bytes {
                return Err(CorruptIndex::Outside { entry });
            }
            if before.0.is_some_and(|o| offset <= o) || position <= before.1 {
                return Err(CorruptIndex::Order { entry });
            }
            before = (Some(offset), position);
        }
        Ok(Self { entries: entries.to_vec(), ..Self::new(base_offset, index_bytes_max) })
    }

    /// Adds the batch that begins at `position` and ends with `offset`. A full index stays as it is: the entry is
    /// only a hint, and `is_full` has asked for a roll before.
    pub fn append(&mut self, offset: Offset, position: u32) {
        if self.is_full() {
            return;
        }
        let relative =
            relative_offset(self.base_offset, offset).expect("the log rolls before offsets overflow");
        assert!(position > 0, "the first batch of a segment needs no entry");
        if let Some(last) = self.entries.last() {
            assert!(relative > last.relative_offset.get(), "{relative} after {last:?}");
            assert!(position > last.position.get(), "{position} after {last:?}");
        }
        self.entries.push(Entry { relative_offset: relative.into(), position: position.into() });
    }

    /// The last entry at or below `offset`, or the segment's start: a scan from there meets `offset` if it exists.
    pub fn lookup(&self, offset: Offset) -> OffsetPosition {
        match self.count_through(offset).checked_sub(1) {
            Some(i) => self.entry(i),
            None => OffsetPosition { offset: self.base_offset, position: 0 },
        }
    }

    /// The last entry that names a batch at or before a place, or the segment's start.
    pub fn lookup_position(&self, position: u64) -> OffsetPosition {
        let count = self.entries.partition_point(|e| u64::from(e.position.get()) <= position);
        let start = OffsetPosition { offset: self.base_offset, position: 0 };
        count.checked_sub(1).map_or(start, |i| self.entry(i))
    }

    /// Forgets every entry at or above `offset`.
    pub fn truncate_to(&mut self, offset: Offset) {
        let keep = if offset.0 == i64::MIN { 0 } else { self.count_through(Offset(offset.0 - 1)) };
        self.entries.truncate(keep);
    }

    /// May this segment hold `offset` at all?
    pub fn fits(&self, offset: Offset) -> bool {
        relative_offset(self.base_offset, offset).is_some()
    }

    pub fn is_full(&self) -> bool {
        self.entries.len() >= self.entries_max
    }

    pub fn base_offset(&self) -> Offset {
        self.base_offset
    }

    pub fn last_entry(&self) -> Option<OffsetPosition> {
        self.entries.len().checked_sub(1).map(|i| self.entry(i))
    }

    pub fn entry_count(&self) -> usize {
        self.entries.len()
    }

    /// The file's bytes. New entries are at the end, so a file may be extended by what it lacks.
    pub fn as_bytes(&self) -> &[u8] {
        self.entries.as_bytes()
    }

    fn entry(&self, i: usize) -> OffsetPosition {
        let e = self.entries[i];
        let offset = self.base_offset + i64::from(e.relative_offset.get());
        OffsetPosition { offset, position: e.position.get() }
    }

    /// How many entries lie at or below `offset`.
    fn count_through(&self, offset: Offset) -> usize {
        let relative = offset.0.saturating_sub(self.base_offset.0);
        self.entries.partition_point(|e| i64::from(e.relative_offset.get()) <= relative)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn index(base: i64, entries: &[(i64, u32)]) -> OffsetIndex {
        let mut index = OffsetIndex::new(Offset(base), 4096);
        for &(offset, position) in entries {
            index.append(Offset(offset), position);
        }
        index
    }

    #[test]
    fn lookup_finds_the_entry_at_or_below() {
        fn check(offset: i64, expected: (i64, u32)) {
            let found = index(100, &[(105, 4100), (120, 8300)]).lookup(Offset(offset));
            assert_eq!((found.offset.0, found.position), expected, "{offset}");
        }
        check(0, (100, 0));
        check(100, (100, 0));
        check(104, (100, 0));
        check(105, (105, 4100));
        check(119, (105, 4100));
        check(120, (120, 8300));
        check(i64::MAX, (120, 8300));
        check(i64::MIN, (100, 0));
    }

    #[test]
    fn truncation_keeps_what_lies_below() {
        fn check(offset: i64, left: usize) {
            let mut index = index(100, &[(105, 4100), (120, 8300)]);
            index.truncate_to(Offset(offset));
            assert_eq!(index.entry_count(), left, "{offset}");
        }
        check(i64::MIN, 0);
        check(100, 0);
        check(105, 0);
        check(106, 1);
        check(120, 1);
        check(121, 2);
        check(i64::MAX, 2);
    }

    #[test]
    fn a_full_index_asks_for_a_roll_and_takes_no_more() {
        let mut index = OffsetIndex::new(Offset(0), 17);
        index.append(Offset(1), 10);
        assert!(!index.is_full());
        index.append(Offset(2), 20);
        assert!(index.is_full());
        index.append(Offset(3), 30);
        assert_eq!(index.as_bytes().len(), 16);
    }

    #[test]
    fn the_bytes_are_kafkas() {
        assert_eq!(index(100, &[(105, 4100)]).as_bytes(), [0, 0, 0, 5, 0, 0, 0x10, 0x04]);
    }

    #[test]
    fn files_are_believed_only_when_they_could_be_ours() {
        fn check(entries: &[[u32; 2]], expected: Result<usize, CorruptIndex>) {
            let bytes: Vec<u8> = entries.iter().flatten().flat_map(|n| n.to_be_bytes()).collect();
            let got = OffsetIndex::from_bytes(Offset(7), 4096, &bytes, 1000).map(|i| i.entry_count());
            assert_eq!(got, expected, "{entries:?}");
        }
        check(&[], Ok(0));
        check(&[[5, 10], [6, 999]], Ok(2));
        check(&[[0, 10]], Ok(1));
        check(&[[5, 10], [6, 1000]], Err(CorruptIndex::Outside { entry: 1 }));
        check(&[[0x8000_0000, 10]], Err(CorruptIndex::Outside { entry: 0 }));
        check(&[[5, 10], [5, 20]], Err(CorruptIndex::Order { entry: 1 }));
        check(&[[5, 10], [6, 10]], Err(CorruptIndex::Order { entry: 1 }));
        check(&[[5, 0]], Err(CorruptIndex::Order { entry: 0 }));
        check(&[[5, 10], [0, 0], [0, 0]], Ok(1));
        check(&[[0, 0], [0, 0]], Ok(0));
        check(&[[5, 10], [0, 0], [6, 20]], Err(CorruptIndex::Order { entry: 1 }));
        check(&[[0, 0], [6, 20]], Err(CorruptIndex::Order { entry: 0 }));
        let odd = OffsetIndex::from_bytes(Offset(7), 4096, &[0; 9], 1000);
        assert_eq!(odd, Err(CorruptIndex::Size { bytes: 9, entry_bytes: 8 }));
    }

    proptest! {
        #[test]
        fn lookup_and_truncation_agree_with_a_walk(
            base in -5i64..1000, steps in proptest::collection::vec((1i64..50, 1u32..5000), 0..40),
            target in -10i64..3000,
        ) {
            let (mut offset, mut position, mut entries) = (base, 0, vec![]);
            for (o, p) in steps { offset += o; position += p; entries.push((offset, position)); }
            let mut index = index(base, &entries);
            let naive = entries.iter().rev().find(|e| e.0 <= target).copied().unwrap_or((base, 0));
            let found = index.lookup(Offset(target));
            prop_assert_eq!((found.offset.0, found.position), naive);

            let again = OffsetIndex::from_bytes(Offset(base), 4096, index.as_bytes(), position + 1).unwrap();
            prop_assert_eq!(&again, &index);

            index.truncate_to(Offset(target));
            prop_assert_eq!(index.entry_count(), entries.iter().filter(|e| e.0 < target).count());
        }

        #[test]
        fn foreign_bytes_never_panic(
            base in any::<i64>(), bytes in proptest::collection::vec(any::<u8>(), 0..200), target in any::<i64>(),
        ) {
            if let Ok(mut index) = OffsetIndex::from_bytes(Offset(base / 2), 4096, &bytes, u32::MAX) {
                index.lookup(Offset(target));
                index.truncate_to(Offset(target));
            }
        }
    }
}
