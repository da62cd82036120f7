//! The record batch, magic 2 (Kafka's "Record batch" layout), read in place and never decoded on the data path.
//!
//! ```text
//!   0  base offset            8   patched by the leader, outside the CRC
//!   8  batch length           4   bytes that follow this field
//!  12  partition leader epoch 4   patched by the leader, outside the CRC
//!  16  magic                  1   2
//!  17  crc                    4   CRC-32C of everything from `attributes` on
//!  21  attributes             2   0-2 compression, 3 timestamp type, 4 transactional, 5 control, 6 delete horizon
//!  23  last offset delta      4
//!  27  base timestamp         8
//!  35  max timestamp          8
//!  43  producer id            8
//!  51  producer epoch         2
//!  53  base sequence          4
//!  57  record count           4
//!  61  records
//! ```
//! Base offset, length, leader epoch and magic are not covered by the CRC: whoever stores a batch must protect them
//! by other means (the journal frame does).

use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned,
    big_endian::{I16, I32, I64, U32},
};

use crate::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};

/// Bytes before the first record.
pub const HEADER_BYTES: usize = 61;
/// Base offset and length: what comes before the bytes that `length` counts.
pub const LOG_OVERHEAD: usize = 12;
/// Where the CRC's range begins.
pub const CRC_FROM: usize = 21;

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy, Debug)]
#[repr(C)]
pub struct BatchHeader {
    pub base_offset: I64,
    pub length: I32,
    pub partition_leader_epoch: I32,
    pub magic: i8,
    pub crc: U32,
    pub attributes: I16,
    pub last_offset_delta: I32,
    pub base_timestamp: I64,
    pub max_timestamp: I64,
    pub producer_id: I64,
    pub producer_epoch: I16,
    pub base_sequence: I32,
    pub record_count: I32,
}

const _: () = assert!(size_of::<BatchHeader>() == HEADER_BYTES);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compression {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl Compression {
    /// As it stands in a batch's attributes.
    pub fn id(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimestampType {
    CreateTime,
    LogAppendTime,
}

/// Puts a batch at its place in a log. Both fields lie outside the checksum.
///
/// # Panics
/// If the bytes are shorter than a header.
pub fn stamp(batch: &mut [u8], base: Offset, epoch: LeaderEpoch) {
    let header = BatchHeader::mut_from_prefix(batch).expect("a batch has a header").0;
    header.base_offset = base.0.into();
    header.partition_leader_epoch = epoch.0.into();
}

/// Why bytes are no record batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BatchError {
    #[error("the batch is cut short: {have} of {want} bytes")]
    Truncated { have: usize, want: usize },
    #[error("the batch length {0} is below the header's own size or not plausible")]
    BadLength(i32),
    #[error("magic {0} is not 2")]
    BadMagic(i8),
    #[error("the checksum is {stored:#010x}, the bytes give {computed:#010x}")]
    BadCrc { stored: u32, computed: u32 },
    #[error("record count {count} and last offset delta {last_offset_delta} disagree")]
    BadCount { count: i32, last_offset_delta: i32 },
    #[error("compression type {0} is unknown")]
    BadCompression(i16),
    #[error("the records inside do not parse")]
    BadRecords,
}

impl BatchHeader {
    pub fn read(bytes: &[u8]) -> Result<Self, BatchError> {
        Self::read_from_prefix(bytes)
            .map(|(header, _)| header)
            .map_err(|_| BatchError::Truncated { have: bytes.len(), want: HEADER_BYTES })
    }

    /// Size of the whole batch in bytes, or why the length field cannot be right. Foreign bytes: check before use.
    pub fn total_bytes(&self) -> Result<usize, BatchError> {
        let length = self.length.get();
        match usize::try_from(length) {
            Ok(n) if n >= HEADER_BYTES - LOG_OVERHEAD && n <= i32::MAX as usize - LOG_OVERHEAD => {
                Ok(n + LOG_OVERHEAD)
            }
            _ => Err(BatchError::BadLength(length)),
        }
    }

    pub fn base_offset(&self) -> Offset {
        Offset(self.base_offset.get())
    }
    pub fn last_offset(&self) -> Offset {
        Offset(self.base_offset.get().saturating_add(i64::from(self.last_offset_delta.get())))
    }
    pub fn next_offset(&self) -> Offset {
        Offset(self.last_offset().0.saturating_add(1))
    }
    pub fn leader_epoch(&self) -> LeaderEpoch {
        LeaderEpoch(self.partition_leader_epoch.get())
    }
    pub fn base_timestamp(&self) -> Timestamp {
        Timestamp(self.base_timestamp.get())
    }
    pub fn max_timestamp(&self) -> Timestamp {
        Timestamp(self.max_timestamp.get())
    }
    pub fn producer_id(&self) -> ProducerId {
        ProducerId(self.producer_id.get())
    }
    pub fn producer_epoch(&self) -> ProducerEpoch {
        ProducerEpoch(self.producer_epoch.get())
    }
    pub fn record_count(&self) -> i32 {
        self.record_count.get()
    }
    pub fn has_producer(&self) -> bool {
        self.producer_id.get() >= 0
    }
    pub fn is_transactional(&self) -> bool {
        self.attributes.get() & 0x10 != 0
    }
    pub fn is_control(&self) -> bool {
        self.attributes.get() & 0x20 != 0
    }
    pub fn timestamp_type(&self) -> TimestampType {
        if self.attributes.get() & 0x08 == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }
    pub fn compression(&self) -> Result<Compression, BatchError> {
        match self.attributes.get() & 0x07 {
            0 => Ok(Compression::None),
            1 => Ok(Compression::Gzip),
            2 => Ok(Compression::Snappy),
            3 => Ok(Compression::Lz4),
            4 => Ok(Compression::Zstd),
            other => Err(BatchError::BadCompression(other)),
        }
    }
}

/// One whole batch in foreign bytes, framed and checked.
#[derive(Clone, Copy)]
pub struct BatchView<'a> {
    header: BatchHeader,
    bytes: &'a [u8],
}

impl<'a> BatchView<'a> {
    /// Takes the first batch of `bytes` by its length field; the CRC is not yet looked at.
    pub fn frame(bytes: &'a [u8]) -> Result<Self, BatchError> {
        let header = BatchHeader::read(bytes)?;
        if header.magic != 2 {
            return Err(BatchError::BadMagic(header.magic));
        }
        let want = header.total_bytes()?;
        let bytes = bytes.get(..want).ok_or(BatchError::Truncated { have: bytes.len(), want })?;
        Ok(Self { header, bytes })
    }

    /// `frame`, then the checksum and what the header says of its records.
    pub fn check(bytes: &'a [u8]) -> Result<Self, BatchError> {
        let view = Self::frame(bytes)?;
        view.check_crc()?;
        view.check_header()?;
        Ok(view)
    }

    /// Whole batches, one behind the other, each checked. Ends behind the first that is wrong.
    pub fn check_all(bytes: &'a [u8]) -> impl Iterator<Item = Result<Self, BatchError>> {
        let mut rest = bytes;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let checked = Self::check(rest);
            rest = checked.as_ref().map_or(&[], |batch| &rest[batch.bytes().len()..]);
            Some(checked)
        })
    }

    pub fn check_crc(&self) -> Result<(), BatchError> {
        let stored = self.header.crc.get();
        let computed = crc32c(&self.bytes[CRC_FROM..]);
        if stored == computed { Ok(()) } else { Err(BatchError::BadCrc { stored, computed }) }
    }

    /// The checks that need no look at the records: valid in the log as in a produce request.
    pub fn check_header(&self) -> Result<(), BatchError> {
        self.header.compression()?;
        if self.header.last_offset_delta.get() < 0 {
            let (count, last_offset_delta) =
                (self.header.record_count(), self.header.last_offset_delta.get());
            return Err(BatchError::BadCount { count, last_offset_delta });
        }
        Ok(())
    }

    /// A producer's batch is dense: as many records as offsets. (Compaction may later thin it out.)
    pub fn check_dense(&self) -> Result<(), BatchError> {
        let (count, last_offset_delta) = (self.header.record_count(), self.header.last_offset_delta.get());
        if count > 0 && last_offset_delta == count - 1 {
            Ok(())
        } else {
            Err(BatchError::BadCount { count, last_offset_delta })
        }
    }

    pub fn header(&self) -> &BatchHeader {
        &self.header
    }
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
    /// The records, compressed as the producer left them.
    pub fn payload(&self) -> &'a [u8] {
        &self.bytes[HEADER_BYTES..]
    }
}

/// CRC-32C (Castagnoli), as record batches, index journals and frames use it.
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

/// CRC-32C over parts that do not lie side by side.
pub struct Crc32c(crc_fast::Digest);

impl Default for Crc32c {
    fn default() -> Self {
        Self(crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi))
    }
}

impl Crc32c {
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
    pub fn finish(&self) -> u32 {
        self.0.finalize() as u32
    }
}

pub mod record;
