//! Batches for the workload: of any size, with keys, timestamps that jump back now and then, and a producer or none.

use engine::records;
use model::{
    BatchView, LeaderEpoch, Offset, Timestamp,
    batch::record::{BatchMeta, Producer, build_batch, write_record},
};

use crate::{
    ghost::{GhostBatch, Sent},
    random::Random,
};

/// Keys of a compacted log: few, so that there is something to compact.
const KEYS: u64 = 6;

/// A batch as a client sends it.
#[derive(Clone)]
pub struct Draft {
    pub bytes: Vec<u8>,
    pub timestamps: Vec<Timestamp>,
    pub producer: Option<Sent>,
}

pub fn draw(
    random: &mut Random,
    now: Timestamp,
    value_bytes: u64,
    producer: Option<(i64, i16, i32)>,
    compacted: bool,
) -> Draft {
    let count = 1 + random.below(4) as i32;
    // Never below zero, which Kafka keeps for "none".
    let base = 100 + now.0 - random.below(50) as i64;
    let mut payload = vec![];
    let mut timestamps = vec![];
    for n in 0..count {
        let delta = random.below(30) as i64 - if random.one_in(4) { 15 } else { 0 };
        let drawn = random.next();
        let key = if compacted { drawn % KEYS } else { drawn }.to_be_bytes();
        let tombstone = compacted && drawn >> 32 & 7 == 0;
        // Few different bytes, so that a misplaced piece is not hidden by noise, and all of them drawn anew.
        let value = vec![random.next() as u8; random.below(value_bytes + 1) as usize];
        write_record(&mut payload, n, delta, Some(&key), (!tombstone).then_some(&value[..]), &[]);
        timestamps.push(Timestamp(base + delta));
    }
    let sent = producer.map(|(id, epoch, base_sequence)| Sent { id, epoch, base_sequence, count });
    let bytes = build_batch(
        BatchMeta {
            base_offset: 0,
            leader_epoch: -1,
            attributes: 0,
            base_timestamp: base,
            max_timestamp: timestamps.iter().map(|t| t.0).max().unwrap_or(base),
            record_count: count,
            producer: sent.map_or(Producer::NONE, |s| Producer {
                id: s.id,
                epoch: s.epoch,
                base_sequence: s.base_sequence,
            }),
        },
        &payload,
    );
    Draft { bytes, timestamps, producer: sent }
}

impl Draft {
    /// As it stands in the log.
    pub fn placed(mut self, base: Offset, epoch: LeaderEpoch) -> GhostBatch {
        records::stamp(&mut self.bytes, base, epoch);
        let view = BatchView::check(&self.bytes).expect("a batch of ours");
        let next = view.header().next_offset();
        GhostBatch {
            base,
            next,
            epoch,
            timestamps: self.timestamps,
            producer: self.producer,
            bytes: self.bytes.into(),
        }
    }
}
