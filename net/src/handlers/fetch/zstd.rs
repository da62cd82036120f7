//! Clients that are too old for zstd never get a batch of it (KIP-110): they would take it for damage.

use model::{BatchHeader, Compression, ErrorCode, batch::HEADER_BYTES};
use rt::pages::PageSlice;

use crate::ask::Fetched;

/// Cuts the records before the first zstd batch. If that is the first of all, there is an error instead.
pub(super) fn leave_out(fetched: &mut Fetched) {
    let Some(before) = bytes_before_zstd(&fetched.slices) else { return };
    if before == 0 && fetched.code == ErrorCode::None {
        fetched.code = ErrorCode::UnsupportedCompressionType;
    }
    cut(&mut fetched.slices, before);
    fetched.bytes = before;
}

fn bytes_before_zstd(slices: &[PageSlice]) -> Option<usize> {
    let total: usize = slices.iter().map(PageSlice::len).sum();
    let mut at = 0;
    while at + HEADER_BYTES <= total {
        let header = BatchHeader::read(&header_at(slices, at)).ok()?;
        if header.compression() == Ok(Compression::Zstd) {
            return Some(at);
        }
        at += header.total_bytes().ok()?;
    }
    None
}

/// A header may lie across slices.
fn header_at(slices: &[PageSlice], at: usize) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    let mut skip = at;
    let mut filled = 0;
    for slice in slices {
        let from = skip.min(slice.len());
        skip -= from;
        let rest = &slice[from..];
        let count = rest.len().min(HEADER_BYTES - filled);
        header[filled..filled + count].copy_from_slice(&rest[..count]);
        filled += count;
    }
    header
}

fn cut(slices: &mut Vec<PageSlice>, bytes: usize) {
    let mut left = bytes;
    slices.retain_mut(|slice| {
        let keep = slice.len().min(left);
        left -= keep;
        if keep < slice.len() {
            *slice = slice.slice(0..keep);
        }
        keep > 0
    });
}

#[cfg(test)]
mod tests {
    use model::{
        Offset,
        batch::record::{BatchMeta, Producer, build_batch},
    };
    use rt::pages::PagePool;

    use super::*;

    fn batch(compression: i16) -> Vec<u8> {
        let meta = BatchMeta {
            base_offset: 0,
            leader_epoch: 0,
            attributes: compression,
            base_timestamp: 0,
            max_timestamp: 0,
            record_count: 1,
            producer: Producer::NONE,
        };
        build_batch(meta, &[7; 40])
    }

    /// The batches side by side, in slices of `piece` bytes.
    fn fetched(compressions: &[i16], piece: usize) -> Fetched {
        let bytes: Vec<u8> = compressions.iter().flat_map(|&c| batch(c)).collect();
        let pool = PagePool::new(1 << 20);
        let mut page = pool.take(bytes.len().max(1)).unwrap();
        page.append(&bytes);
        let whole = page.slice(0..bytes.len());
        let slices =
            (0..bytes.len()).step_by(piece).map(|at| whole.slice(at..bytes.len().min(at + piece))).collect();
        let (high, last_stable, log_start) = (Offset(9), Offset(9), Offset(0));
        Fetched {
            code: ErrorCode::None,
            high,
            last_stable,
            log_start,
            diverging: None,
            preferred: None,
            slices,
            bytes: bytes.len(),
        }
    }

    #[test]
    fn what_an_old_client_cannot_read_is_left_out() {
        let one = batch(0).len();
        // compressions, bytes kept, error
        let table: &[(&[i16], usize, ErrorCode)] = &[
            (&[], 0, ErrorCode::None),
            (&[0, 1, 2, 3], 4 * one, ErrorCode::None),
            (&[0, 3, 4, 0], 2 * one, ErrorCode::None),
            (&[4, 0], 0, ErrorCode::UnsupportedCompressionType),
        ];
        for &(compressions, kept, code) in table {
            for piece in [7, 61, 100, 10_000] {
                let mut part = fetched(compressions, piece);
                leave_out(&mut part);
                let bytes: usize = part.slices.iter().map(PageSlice::len).sum();
                assert_eq!((part.code, part.bytes, bytes), (code, kept, kept), "{compressions:?} {piece}");
            }
        }
    }
}
