//! `compression.type` other than `producer`: a batch on its way into a topic with a codec of its own.
//!
//! A batch that has that codec stays byte for byte. Of any other the records are unfolded, walked as a produce walks
//! them, and packed again; they are the same bytes, in a batch whose header differs in codec, length, largest timestamp
//! (that of the records, whatever the producer said) and checksum. Offsets, epoch and LogAppendTime come later, from the
//! partition's owner.

use model::{
    BatchHeader, Compression, Timestamp,
    batch::{CRC_FROM, HEADER_BYTES, LOG_OVERHEAD, crc32c},
};
use zerocopy::IntoBytes;

use super::{
    header_of,
    produce::{
        ProduceError, ProduceRules, fits_a_batch, fits_a_segment, frame_one, unfold, validate,
        validate_header, walk,
    },
};
use crate::compression::compress;

/// Of the attributes only these pass; the codec is set anew, and nobody has a say in what Kafka has not defined.
const KEPT_ATTRIBUTES: i16 = 0x10;

/// How a topic wants its batches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Codec {
    pub compression: Compression,
    /// As for `compression::compress`.
    pub level: Option<i32>,
}

/// Checks what was sent to one partition as `validate_produce` does, and packs it by the topic's codec. Answers the
/// header as it was sent, and the new batch, or `None` if the one that was sent is what the topic wants.
pub fn recompress(
    bytes: &[u8],
    rules: &ProduceRules,
    codec: Codec,
    now: Timestamp,
) -> Result<(BatchHeader, Option<Vec<u8>>), ProduceError> {
    let view = frame_one(bytes, rules)?;
    view.check_crc().map_err(ProduceError::Corrupt)?;
    let header = *view.header();
    if header.compression() == Ok(codec.compression) {
        validate(&view, rules, now)?;
        return Ok((header, None));
    }
    validate_header(&view)?;
    let payload = unfold(&view, rules)?;
    let max_timestamp = walk(&header, &payload, rules, now)?;
    let packed = compress(codec.compression, codec.level, &payload);
    // What was sent fitted; what comes of it must fit as well.
    let total_bytes = HEADER_BYTES + packed.len();
    fits_a_batch(total_bytes, rules)?;
    fits_a_segment(total_bytes, rules)?;
    Ok((header, Some(batch_of(header, codec.compression, max_timestamp, &packed))))
}

fn batch_of(
    mut header: BatchHeader,
    compression: Compression,
    max_timestamp: Timestamp,
    packed: &[u8],
) -> Vec<u8> {
    let length = HEADER_BYTES - LOG_OVERHEAD + packed.len();
    header.length = i32::try_from(length).expect("a batch within a topic's limit").into();
    header.attributes = (header.attributes.get() & KEPT_ATTRIBUTES | compression.id()).into();
    header.max_timestamp = max_timestamp.0.into();
    let mut batch = Vec::with_capacity(HEADER_BYTES + packed.len());
    batch.extend_from_slice(header.as_bytes());
    batch.extend_from_slice(packed);
    let crc = crc32c(&batch[CRC_FROM..]);
    header_of(&mut batch).crc = crc.into();
    batch
}

#[cfg(test)]
mod tests;
