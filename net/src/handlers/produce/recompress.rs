//! The first stage of a produce to topics with a codec of their own: batches are unpacked and packed again, here, on the
//! connection's shard, one at a time. The connection waits, so the order of its requests stays; between two batches the
//! shard does other work. What has been packed goes to its owners as soon as there is much of it, and the rest waits
//! until they have room: what a request unfolds to may be far more than came in.

use std::rc::Rc;

use coordinator::{TopicConfig, config::CompressionType};
use engine::{
    Disk,
    records::{Codec, recompress},
};
use model::Compression;

use super::{
    Batch, Repack, Terms,
    answer::{Part, Refused, Topic},
    finish,
};
use crate::{ask::ProducePart, handlers::Step, shard::Shard};

/// Batches of one request that were packed anew and are not on their way yet. One batch may go beyond.
const UNSENT_BYTES_MAX: usize = 8 << 20;

/// `None`: batches stay as the producer packed them.
pub(super) fn codec(config: &TopicConfig) -> Option<Codec> {
    let (compression, level) = match config.compression_type {
        CompressionType::Producer => return None,
        CompressionType::Uncompressed => (Compression::None, None),
        // -1 is the codec's own default.
        CompressionType::Gzip => {
            (Compression::Gzip, Some(config.compression_gzip_level).filter(|&level| level >= 0))
        }
        CompressionType::Snappy => (Compression::Snappy, None),
        CompressionType::Lz4 => (Compression::Lz4, Some(config.compression_lz4_level)),
        CompressionType::Zstd => (Compression::Zstd, Some(config.compression_zstd_level)),
    };
    Some(Codec { compression, level })
}

pub(super) async fn run<D: Disk>(
    shard: Rc<Shard<D>>,
    terms: Terms,
    mut topics: Vec<Topic>,
    batches: Vec<Batch>,
) -> Step {
    let (mut refused, mut asked) = (Vec::new(), Vec::new());
    let (mut unsent, mut unsent_bytes) = (Vec::new(), 0);
    for mut batch in batches {
        if let Some(repack) = batch.repack.take() {
            match pack(&mut batch.part, &repack, &terms) {
                Ok(()) => unsent_bytes += batch.part.batch.len(),
                Err(why) => {
                    refused.push((batch.place, why));
                    continue;
                }
            }
            rt::yield_if_needed().await;
        }
        unsent.push(batch);
        if unsent_bytes >= UNSENT_BYTES_MAX {
            asked.extend(terms.send(&shard, std::mem::take(&mut unsent)));
            unsent_bytes = 0;
            shard.room().await;
        }
    }
    asked.extend(terms.send(&shard, unsent));
    tell(&mut topics, refused);
    Step::Ordered(Box::pin(finish(shard, terms, topics, asked)))
}

fn pack(part: &mut ProducePart, repack: &Repack, terms: &Terms) -> Result<(), Refused> {
    let (header, packed) = recompress(&part.batch, &repack.rules, repack.codec, terms.now)
        .map_err(|error| Refused::of_batch(&error))?;
    terms.admit(&header)?;
    if let Some(packed) = packed {
        part.batch = packed.into();
    }
    Ok(())
}

/// `refused` by place, in order.
fn tell(topics: &mut [Topic], refused: Vec<(usize, Refused)>) {
    let mut parts = topics.iter_mut().flat_map(|topic| &mut topic.parts).enumerate();
    for (place, why) in refused {
        let found = parts.find(|(n, _)| *n == place);
        let (_, (_, part)) = found.expect("a batch has its place in the request");
        *part = Part::Refused(why);
    }
}
