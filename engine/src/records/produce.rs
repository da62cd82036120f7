//! What a client may send to one partition: one batch of today's format, dense, honest about itself and within the
//! topic's limits. Sequences are `producers`' business; versions of the request are the handler's.
//!
//! Records are walked only where a rule needs it: a compacted topic, a lower limit on timestamps, or `walk_records`.
//! Unlike Apache Kafka, which walks every record of every batch, the header's largest timestamp is believed otherwise,
//! and a batch that calls itself LogAppendTime is refused on every topic.

use std::borrow::Cow;

use model::{
    BatchError, BatchHeader, BatchView, Compression, ErrorCode, Timestamp, TimestampType, batch::CRC_FROM,
};

use super::{RecordsError, Walk, payload_of, timestamp_of};
use crate::compression::DecompressError;

/// Records of one batch that an answer names; more are wrong in the same way.
pub const RECORD_ERRORS_MAX: usize = 64;

/// A topic's limits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProduceRules {
    /// `max.message.bytes`
    pub message_bytes_max: usize,
    /// `segment.bytes`
    pub segment_bytes_max: usize,
    /// `message.timestamp.type`
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`
    pub timestamp_after_max_ms: i64,
    /// `cleanup.policy` has `compact`.
    pub compacted: bool,
    /// Look at each record, at the price of a pass and of decompression, whether a rule needs it or not.
    pub walk_records: bool,
    /// What a compressed batch may grow to when it is walked.
    pub decompressed_bytes_max: usize,
}

/// Why a batch is refused; each maps to one error code.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProduceError {
    #[error("{0}")]
    Corrupt(BatchError),
    #[error("the batch has {bytes} bytes, more than {bytes_max}")]
    MessageTooLarge { bytes: usize, bytes_max: usize },
    #[error("the batch has {bytes} bytes, more than a segment of {bytes_max}")]
    LargerThanSegment { bytes: usize, bytes_max: usize },
    #[error("compression type {0} is unknown")]
    UnsupportedCompression(i16),
    #[error("{0}")]
    InvalidRecord(&'static str),
    #[error("{0}")]
    BadPayload(DecompressError),
    #[error("timestamps are out of range")]
    InvalidTimestamp(Vec<RecordError>),
    #[error("records without key on a compacted topic")]
    KeylessRecords(Vec<RecordError>),
}

/// One record that is wrong, for `record_errors` of the answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordError {
    /// Position of the record within its batch.
    pub batch_index: i32,
    pub problem: RecordProblem,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RecordProblem {
    #[error("a compacted topic takes no record without a key")]
    NoKey,
    #[error("the timestamp {} is outside the topic's limits", .0.0)]
    Timestamp(Timestamp),
}

impl ProduceError {
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Corrupt(_) => ErrorCode::CorruptMessage,
            // A producer splits a batch that is refused with this code, so it comes through in parts.
            Self::MessageTooLarge { .. } | Self::BadPayload(DecompressError::TooLarge { .. }) => {
                ErrorCode::MessageTooLarge
            }
            Self::LargerThanSegment { .. } => ErrorCode::RecordListTooLarge,
            Self::UnsupportedCompression(_) => ErrorCode::UnsupportedCompressionType,
            Self::InvalidRecord(_) | Self::BadPayload(_) | Self::KeylessRecords(_) => {
                ErrorCode::InvalidRecord
            }
            Self::InvalidTimestamp(_) => ErrorCode::InvalidTimestamp,
        }
    }

    pub fn record_errors(&self) -> &[RecordError] {
        match self {
            Self::InvalidTimestamp(errors) | Self::KeylessRecords(errors) => errors,
            _ => &[],
        }
    }
}

/// Checks all that can be wrong with the records sent to one partition.
pub fn validate_produce(
    bytes: &[u8],
    rules: &ProduceRules,
    now: Timestamp,
) -> Result<BatchHeader, ProduceError> {
    let view = frame_one(bytes, rules)?;
    view.check_crc().map_err(ProduceError::Corrupt)?;
    validate(&view, rules, now)?;
    Ok(*view.header())
}

/// The same for a caller that checks the CRC over `CRC_FROM..` in the pass in which it copies the bytes, before
/// anything counts. A bad checksum may show as another error here.
pub fn validate_but_crc(
    bytes: &[u8],
    rules: &ProduceRules,
    now: Timestamp,
) -> Result<BatchHeader, ProduceError> {
    let view = frame_one(bytes, rules)?;
    validate(&view, rules, now)?;
    Ok(*view.header())
}

const MAGIC_AT: usize = 16;
const _: () = assert!(MAGIC_AT < CRC_FROM);

/// Exactly one batch of magic 2, of a size that the topic takes.
pub(super) fn frame_one<'a>(bytes: &'a [u8], rules: &ProduceRules) -> Result<BatchView<'a>, ProduceError> {
    if bytes.is_empty() {
        return Err(ProduceError::InvalidRecord("exactly one record batch is wanted, there is none"));
    }
    // Older formats have their magic in the same place, behind other fields.
    if let Some(0 | 1) = bytes.get(MAGIC_AT) {
        return Err(ProduceError::InvalidRecord("the record batch has a magic below 2"));
    }
    let view = BatchView::frame(bytes).map_err(ProduceError::Corrupt)?;
    if view.bytes().len() != bytes.len() {
        return Err(ProduceError::InvalidRecord("exactly one record batch is wanted, there is more"));
    }
    if view.header().base_offset.get() != 0 {
        return Err(ProduceError::InvalidRecord("the base offset is not 0"));
    }
    fits_a_batch(bytes.len(), rules)?;
    Ok(view)
}

pub(super) fn validate(
    view: &BatchView<'_>,
    rules: &ProduceRules,
    now: Timestamp,
) -> Result<(), ProduceError> {
    let header = view.header();
    validate_header(view)?;
    let suspect = rules.timestamp_type == TimestampType::CreateTime
        && is_out_of_range(header.max_timestamp(), rules, now);
    let compressed = header.compression() != Ok(Compression::None);
    let lower_limit =
        rules.timestamp_type == TimestampType::CreateTime && rules.timestamp_before_max_ms < i64::MAX;
    if rules.walk_records || rules.compacted || (!compressed && (suspect || lower_limit)) {
        walk(header, &unfold(view, rules)?, rules, now)?;
    }
    if suspect {
        // Compressed, or the header says what no record does.
        return Err(ProduceError::InvalidTimestamp(vec![]));
    }
    fits_a_segment(view.bytes().len(), rules)
}

pub(super) fn fits_a_batch(bytes: usize, rules: &ProduceRules) -> Result<(), ProduceError> {
    let bytes_max = rules.message_bytes_max;
    if bytes > bytes_max { Err(ProduceError::MessageTooLarge { bytes, bytes_max }) } else { Ok(()) }
}

pub(super) fn fits_a_segment(bytes: usize, rules: &ProduceRules) -> Result<(), ProduceError> {
    let bytes_max = rules.segment_bytes_max;
    if bytes > bytes_max { Err(ProduceError::LargerThanSegment { bytes, bytes_max }) } else { Ok(()) }
}

pub(super) fn validate_header(view: &BatchView<'_>) -> Result<(), ProduceError> {
    let header = view.header();
    if view.check_dense().is_err() {
        return Err(ProduceError::InvalidRecord("record count and last offset delta disagree"));
    }
    if header.is_control() {
        return Err(ProduceError::InvalidRecord("clients may not write control records"));
    }
    if header.has_producer() && header.base_sequence.get() < 0 {
        return Err(ProduceError::InvalidRecord("a producer id wants a base sequence"));
    }
    if let Err(BatchError::BadCompression(id)) = header.compression() {
        return Err(ProduceError::UnsupportedCompression(id));
    }
    if header.timestamp_type() == TimestampType::LogAppendTime {
        return Err(ProduceError::InvalidTimestamp(vec![]));
    }
    Ok(())
}

const MALFORMED: ProduceError = ProduceError::InvalidRecord("the records do not parse");

/// The records as they were before the producer compressed them.
pub(super) fn unfold<'a>(view: &BatchView<'a>, rules: &ProduceRules) -> Result<Cow<'a, [u8]>, ProduceError> {
    payload_of(view, rules.decompressed_bytes_max).map_err(|error| match error {
        RecordsError::Decompress(error) => ProduceError::BadPayload(error),
        RecordsError::Batch(_) => MALFORMED,
    })
}

/// Looks at each record. Answers the largest timestamp.
pub(super) fn walk(
    header: &BatchHeader,
    payload: &[u8],
    rules: &ProduceRules,
    now: Timestamp,
) -> Result<Timestamp, ProduceError> {
    let mut errors = vec![];
    let mut max_timestamp = Timestamp::NONE;
    for (record, batch_index) in Walk::new(payload, header.record_count()).zip(0..) {
        let record = record.map_err(|_| MALFORMED)?;
        if record.offset_delta != batch_index {
            return Err(ProduceError::InvalidRecord("the records' offsets are not consecutive"));
        }
        let timestamp = timestamp_of(header, &record);
        max_timestamp = max_timestamp.max(timestamp);
        let problem = if rules.compacted && record.key.is_none() {
            RecordProblem::NoKey
        } else if rules.timestamp_type == TimestampType::CreateTime && is_out_of_range(timestamp, rules, now)
        {
            RecordProblem::Timestamp(timestamp)
        } else {
            continue;
        };
        if errors.len() < RECORD_ERRORS_MAX {
            errors.push(RecordError { batch_index, problem });
        }
    }
    match errors.iter().any(|e| e.problem != RecordProblem::NoKey) {
        true => Err(ProduceError::InvalidTimestamp(errors)),
        false if !errors.is_empty() => Err(ProduceError::KeylessRecords(errors)),
        false => Ok(max_timestamp),
    }
}

/// A record without timestamp is never out of range.
fn is_out_of_range(timestamp: Timestamp, rules: &ProduceRules, now: Timestamp) -> bool {
    timestamp != Timestamp::NONE
        && (now.0.saturating_sub(timestamp.0) > rules.timestamp_before_max_ms
            || timestamp.0.saturating_sub(now.0) > rules.timestamp_after_max_ms)
}
