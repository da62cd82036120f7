//! The four codecs of record batches. Used where a batch must be looked into (a time lookup, a compacted topic, tools),
//! never on the way of a plain produce or fetch. Payloads are foreign: output has a limit, errors are values.
//!
//! ```text
//!   gzip    RFC 1952, members one after another
//!   snappy  xerial framing: 82 'SNAPPY' 00 | version 4 | compatible 4 | (length 4, raw block)*; or one bare raw block
//!   lz4     frame format, independent blocks of 64 KiB, no checksums but the header's
//!   zstd    RFC 8878
//! ```

use std::{
    borrow::Cow,
    io::{self, Read, Write},
};

use flate2::{Compression as GzipLevel, bufread::MultiGzDecoder, write::GzEncoder};
use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};
use model::Compression;

/// Java's snappy streams cut here; their readers would take other sizes too.
const SNAPPY_BLOCK_BYTES: usize = 32 * 1024;
const XERIAL_MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const XERIAL_HEADER_BYTES: usize = 16;
const XERIAL_VERSION: u32 = 1;
const LZ4_MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];
/// 128 MiB, the largest window that any level of zstd asks for and the largest that Kafka's clients read.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecompressError {
    #[error("the payload is not valid {0:?}")]
    Corrupt(Compression),
    #[error("the payload holds more than {bytes_max} bytes")]
    TooLarge { bytes_max: usize },
}

/// The records behind a batch header as they were before compression, `bytes_max` of them at most.
pub fn decompress(
    compression: Compression,
    payload: &[u8],
    bytes_max: usize,
) -> Result<Cow<'_, [u8]>, DecompressError> {
    match compression {
        Compression::None => return Ok(Cow::Borrowed(payload)),
        Compression::Gzip => read_all(MultiGzDecoder::new(payload), bytes_max),
        Compression::Snappy => snappy_decompress(payload, bytes_max),
        Compression::Lz4 if !payload.starts_with(&LZ4_MAGIC) => Err(None),
        Compression::Lz4 => read_all(FrameDecoder::new(WithoutEnd(payload)), bytes_max),
        Compression::Zstd => zstd_decompress(payload, bytes_max),
    }
    .map(Cow::Owned)
    .map_err(|too_large| too_large.unwrap_or(DecompressError::Corrupt(compression)))
}

/// Compresses as Kafka's clients and broker do. `level` is the codec's own and clamped to its range; `None` is Kafka's default.
/// Snappy has no levels, and of lz4 only the fast one is here.
pub fn compress(compression: Compression, level: Option<i32>, payload: &[u8]) -> Vec<u8> {
    const IN_MEMORY: &str = "writing to memory does not fail";
    match compression {
        Compression::None => payload.to_vec(),
        Compression::Gzip => {
            let level = level.map_or(GzipLevel::default(), |l| GzipLevel::new(l.clamp(1, 9) as u32));
            let mut encoder = GzEncoder::new(vec![], level);
            encoder.write_all(payload).expect(IN_MEMORY);
            encoder.finish().expect(IN_MEMORY)
        }
        Compression::Snappy => snappy_compress(payload),
        Compression::Lz4 => {
            let info = FrameInfo::new().block_size(BlockSize::Max64KB).block_mode(BlockMode::Independent);
            let mut encoder = FrameEncoder::with_frame_info(info, vec![]);
            encoder.write_all(payload).expect(IN_MEMORY);
            encoder.finish().expect(IN_MEMORY)
        }
        Compression::Zstd => {
            let range = zstd::compression_level_range();
            let level = level.unwrap_or(zstd::DEFAULT_COMPRESSION_LEVEL).clamp(*range.start(), *range.end());
            // In one piece: the size is known then, and high levels take no more memory than it calls for.
            zstd::bulk::compress(payload, level).expect("the level is in range and the output has its bound")
        }
    }
}

/// `None`: the bytes are corrupt, of whatever codec.
type Decompressed = Result<Vec<u8>, Option<DecompressError>>;

/// Reads to the end, or one byte past the limit, whatever the stream may announce.
fn read_all(reader: impl Read, bytes_max: usize) -> Decompressed {
    let mut out = vec![];
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    reader.take(limit).read_to_end(&mut out).map_err(|_| None)?;
    if out.len() > bytes_max { Err(Some(DecompressError::TooLarge { bytes_max })) } else { Ok(out) }
}

fn zstd_decompress(payload: &[u8], bytes_max: usize) -> Decompressed {
    let mut decoder = zstd::Decoder::with_buffer(payload).map_err(|_| None)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(|_| None)?;
    read_all(decoder, bytes_max)
}

/// An lz4 frame says where it ends. The decoder takes the end of its input for that as well, which would pass a
/// payload cut between two blocks: so the input ends with an error instead.
struct WithoutEnd<'a>(&'a [u8]);

impl Read for WithoutEnd<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() && !out.is_empty() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.0.read(out)
    }
}

fn snappy_compress(payload: &[u8]) -> Vec<u8> {
    let mut out = XERIAL_MAGIC.to_vec();
    out.extend(XERIAL_VERSION.to_be_bytes());
    out.extend(XERIAL_VERSION.to_be_bytes());
    let mut encoder = snap::raw::Encoder::new();
    for block in payload.chunks(SNAPPY_BLOCK_BYTES) {
        let block = encoder.compress_vec(block).expect("a block of 32 KiB is not too large");
        out.extend((block.len() as u32).to_be_bytes());
        out.extend(block);
    }
    out
}

fn snappy_decompress(payload: &[u8], bytes_max: usize) -> Decompressed {
    let mut out = vec![];
    if !payload.starts_with(&XERIAL_MAGIC) {
        snappy_block(payload, bytes_max, &mut out)?;
        return Ok(out);
    }
    let mut rest = payload;
    while !rest.is_empty() {
        // Streams may follow one another, each with its header.
        if rest.starts_with(&XERIAL_MAGIC) {
            rest = rest.get(XERIAL_HEADER_BYTES..).ok_or(None)?;
            continue;
        }
        let (length, after) = rest.split_first_chunk::<4>().ok_or(None)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| None)?;
        let (block, after) = after.split_at_checked(length).ok_or(None)?;
        snappy_block(block, bytes_max, &mut out)?;
        rest = after;
    }
    Ok(out)
}

/// A raw block announces its size: believed only within the limit, and within what its own bytes can say.
fn snappy_block(block: &[u8], bytes_max: usize, out: &mut Vec<u8>) -> Result<(), Option<DecompressError>> {
    // Three bytes copy at most 64.
    const EXPANSION_MAX: usize = 22;
    let length = snap::raw::decompress_len(block).map_err(|_| None)?;
    if length > block.len().saturating_mul(EXPANSION_MAX) {
        return Err(None);
    }
    if length > bytes_max.saturating_sub(out.len()) {
        return Err(Some(DecompressError::TooLarge { bytes_max }));
    }
    let from = out.len();
    out.resize(from + length, 0);
    let written = snap::raw::Decoder::new().decompress(block, &mut out[from..]).map_err(|_| None)?;
    if written == length { Ok(()) } else { Err(None) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CODECS: [Compression; 4] =
        [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

    fn text(bytes: usize) -> Vec<u8> {
        (0..bytes).map(|i| b"the channel that carries the water away from the wheel "[i * i % 55]).collect()
    }

    fn noise(bytes: usize) -> Vec<u8> {
        let mut z = 1u64;
        let next = |_| {
            z = z.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (z >> 56) as u8
        };
        (0..bytes).map(next).collect()
    }

    #[test]
    fn payloads_come_back() {
        for codec in CODECS {
            for payload in [text(0), text(1), text(40_000), text(200_000), noise(200_000)] {
                let packed = compress(codec, None, &payload);
                assert_eq!(decompress(codec, &packed, payload.len()).unwrap(), payload, "{codec:?}");
            }
        }
        assert_eq!(decompress(Compression::None, b"abc", 1).unwrap(), &b"abc"[..]);
    }

    #[test]
    fn levels_outside_a_codecs_range_are_clamped() {
        for codec in CODECS {
            for level in [i32::MIN, -1, 0, 1, 9, 22, i32::MAX] {
                let packed = compress(codec, Some(level), &text(3000));
                assert_eq!(decompress(codec, &packed, 3000).unwrap(), text(3000), "{codec:?} {level}");
            }
        }
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let payload = vec![0; 10_000_000];
        for codec in CODECS {
            let packed = compress(codec, None, &payload);
            assert!(packed.len() < payload.len() / 20, "{codec:?}");
            for bytes_max in [0, 1, 70_000, payload.len() - 1] {
                let got = decompress(codec, &packed, bytes_max);
                assert_eq!(got, Err(DecompressError::TooLarge { bytes_max }), "{codec:?} {bytes_max}");
            }
        }
    }

    #[test]
    fn a_block_that_announces_too_much_allocates_nothing() {
        // The length 2^32 - 1, and nothing behind it.
        let claim = [0xff, 0xff, 0xff, 0xff, 0x0f];
        let got = decompress(Compression::Snappy, &claim, usize::MAX);
        assert_eq!(got, Err(DecompressError::Corrupt(Compression::Snappy)));
    }

    #[test]
    fn every_cut_is_seen() {
        for codec in CODECS {
            let payload = text(100_000);
            let packed = compress(codec, None, &payload);
            for cut in (0..packed.len()).step_by(packed.len() / 300 + 1).chain(packed.len() - 9..packed.len())
            {
                let got = decompress(codec, &packed[..cut], payload.len());
                // Snappy frames do not say how many blocks follow: a cut between two is not seen here, but by the
                // records' count.
                let between =
                    codec == Compression::Snappy && got.as_ref().is_ok_and(|g| payload.starts_with(g));
                assert!(got.is_err() || between, "{codec:?} cut at {cut} of {}", packed.len());
            }
        }
    }

    #[test]
    fn an_lz4_frame_cut_between_blocks_is_refused() {
        // The decoder alone takes this for a complete frame.
        let packed = compress(Compression::Lz4, None, &noise(100_000));
        let first = u32::from_be_bytes([packed[10], packed[9], packed[8], packed[7]]) & 0x7fff_ffff;
        let got = decompress(Compression::Lz4, &packed[..11 + first as usize], 1 << 20);
        assert_eq!(got, Err(DecompressError::Corrupt(Compression::Lz4)));
    }

    #[test]
    fn an_lz4_frame_begins_as_kafkas_does() {
        let packed = compress(Compression::Lz4, None, &text(10));
        assert_eq!(packed[..7], [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82]);
        assert_eq!(packed[packed.len() - 4..], [0; 4]);
    }

    #[test]
    fn snappy_is_read_framed_bare_and_repeated() {
        let bare = snap::raw::Encoder::new().compress_vec(&text(90_000)).unwrap();
        assert_eq!(decompress(Compression::Snappy, &bare, 90_000).unwrap(), text(90_000));
        let framed = compress(Compression::Snappy, None, &text(40_000));
        assert_eq!(framed[..16], *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01");
        let twice = [&framed[..], &framed].concat();
        assert_eq!(
            decompress(Compression::Snappy, &twice, 80_000).unwrap(),
            [text(40_000), text(40_000)].concat()
        );
    }

    #[test]
    fn gzip_members_may_follow_one_another() {
        let one = compress(Compression::Gzip, Some(9), &text(5000));
        let twice = [&one[..], &one].concat();
        assert_eq!(decompress(Compression::Gzip, &twice, 10_000).unwrap(), [text(5000), text(5000)].concat());
    }

    proptest! {
        #[test]
        fn any_payload_comes_back(payload in proptest::collection::vec(any::<u8>(), 0..3000)) {
            for codec in CODECS {
                let packed = compress(codec, None, &payload);
                prop_assert_eq!(&*decompress(codec, &packed, payload.len()).unwrap(), &payload[..]);
            }
        }

        #[test]
        fn foreign_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), bytes_max in 0usize..5000) {
            for codec in CODECS {
                let _ = decompress(codec, &bytes, bytes_max);
                // Behind a good beginning decoders go further.
                let packed = compress(codec, None, &bytes);
                let begun = [&packed[..packed.len().min(16)], &bytes].concat();
                let _ = decompress(codec, &begun, bytes_max);
            }
        }

        #[test]
        fn damage_never_panics_nor_exceeds_the_limit(
            seed in 0usize..200, hits in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..6),
        ) {
            let payload = [text(seed * 100), noise(seed)].concat();
            for codec in CODECS {
                let mut packed = compress(codec, None, &payload);
                for &(at, value) in &hits {
                    let at = usize::from(at) % packed.len().max(1);
                    if let Some(b) = packed.get_mut(at) { *b = value; }
                }
                if let Ok(out) = decompress(codec, &packed, 30_000) {
                    prop_assert!(out.len() <= 30_000);
                }
            }
        }
    }
}
