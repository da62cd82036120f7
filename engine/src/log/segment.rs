//! One segment of a log: how far it is in memory, in its file, and on stable storage.

use model::{Offset, Timestamp};

use crate::index::{IndexLimits, SegmentIndexes};

pub(crate) struct Segment<F> {
    pub(crate) base: Offset,
    /// Bytes appended: what a reader may see.
    pub(crate) bytes: u64,
    /// Bytes that are in the file.
    pub(crate) written: u64,
    /// Bytes that are in the file and on stable storage.
    pub(crate) flushed: u64,
    /// Size of the file: beyond `bytes` it is zeros.
    pub(crate) allocated: u64,
    pub(crate) file: Option<F>,
    /// The file's name, and its folder's, would survive a power cut.
    pub(crate) named: bool,
    /// `None` until a reader wants them: closed segments load theirs on demand.
    pub(crate) indexes: Option<SegmentIndexes>,
    pub(crate) first_timestamp: Option<Timestamp>,
    /// Of a closed segment, once somebody has looked; where no record has a timestamp, -1 or when it was written last.
    pub(crate) largest_timestamp: Option<Timestamp>,
    /// When it began, or was found: the age of a segment whose first record has no timestamp.
    pub(crate) created: Timestamp,
    /// The file has its exact length and its index files are there.
    pub(crate) finished: bool,
    /// Bytes that the index files of an active segment cover: see `Log::write_active_indexes`.
    pub(crate) indexed: u64,
    /// A length that was cut would survive a power cut.
    pub(crate) length_flushed: bool,
    /// Which file of this base it is: compaction puts another one into its place, and what was read of one says nothing of
    /// the other.
    pub(crate) edition: u64,
    /// Compaction is giving it its name: it cannot be opened again, so nobody may let go of the file and the indexes.
    pub(crate) replacing: bool,
}

impl<F> Segment<F> {
    pub(crate) fn empty(base: Offset, limits: IndexLimits, now: Timestamp) -> Self {
        Self {
            base,
            bytes: 0,
            written: 0,
            flushed: 0,
            allocated: 0,
            file: None,
            named: false,
            indexes: Some(SegmentIndexes::new(base, limits)),
            first_timestamp: None,
            largest_timestamp: None,
            created: now,
            finished: false,
            indexed: 0,
            length_flushed: true,
            edition: 0,
            replacing: false,
        }
    }
}
