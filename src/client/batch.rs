//! Lines become record batches: one open batch a partition, closed when it is large enough or has waited long enough.
//! Pure: the time is an argument.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use model::{
    Compression,
    batch::record::{BatchMeta, Producer, build_batch, write_record},
};

/// Who sends, for idempotence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    pub producer_id: i64,
    pub producer_epoch: i16,
}

/// A finished batch: what is sent, and sent again, byte for byte.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Batch {
    pub partition: i32,
    pub bytes: Vec<u8>,
    pub records: u64,
    /// Keys and values, as they came.
    pub payload_bytes: u64,
    /// Position in the order of all batches: a retry keeps to it.
    pub serial: u64,
}

#[derive(Clone, Copy, Debug)]
pub struct BatchOptions {
    pub bytes_max: usize,
    pub linger: Duration,
    pub compression: Compression,
    pub identity: Option<Identity>,
}

pub struct Batcher {
    options: BatchOptions,
    open: BTreeMap<i32, Open>,
    sequences: BTreeMap<i32, i32>,
    next_serial: u64,
}

struct Open {
    payload: Vec<u8>,
    count: i32,
    payload_bytes: u64,
    base_timestamp: i64,
    max_timestamp: i64,
    since: Instant,
}

impl Batcher {
    pub fn new(options: BatchOptions) -> Self {
        Self { options, open: BTreeMap::new(), sequences: BTreeMap::new(), next_serial: 0 }
    }

    /// Adds a record; the batch of its partition comes back once it is full.
    pub fn push(
        &mut self,
        partition: i32,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        timestamp: i64,
        now: Instant,
    ) -> Option<Batch> {
        let open =
            self.open.entry(partition).or_insert_with(|| Open::new(self.options.bytes_max, timestamp, now));
        write_record(&mut open.payload, open.count, timestamp - open.base_timestamp, key, value, &[]);
        open.count += 1;
        open.payload_bytes += (key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len)) as u64;
        open.max_timestamp = open.max_timestamp.max(timestamp);
        if open.payload.len() < self.options.bytes_max { None } else { self.close(partition) }
    }

    /// When the oldest open batch has waited long enough.
    pub fn due_at(&self) -> Option<Instant> {
        self.open.values().map(|open| open.since + self.options.linger).min()
    }

    /// Every batch that has waited long enough.
    pub fn take_due(&mut self, now: Instant) -> Vec<Batch> {
        let due = |open: &Open| now.saturating_duration_since(open.since) >= self.options.linger;
        let partitions: Vec<i32> = self.open.iter().filter(|(_, open)| due(open)).map(|(&p, _)| p).collect();
        partitions.into_iter().filter_map(|p| self.close(p)).collect()
    }

    pub fn take_all(&mut self) -> Vec<Batch> {
        let partitions: Vec<i32> = self.open.keys().copied().collect();
        partitions.into_iter().filter_map(|p| self.close(p)).collect()
    }

    fn close(&mut self, partition: i32) -> Option<Batch> {
        let open = self.open.remove(&partition)?;
        let sequence = self.sequences.entry(partition).or_insert(0);
        let producer = self.options.identity.map_or(Producer::NONE, |identity| Producer {
            id: identity.producer_id,
            epoch: identity.producer_epoch,
            base_sequence: *sequence,
        });
        *sequence = next_sequence(*sequence, open.count);
        let serial = self.next_serial;
        self.next_serial += 1;
        Some(Batch {
            partition,
            bytes: open.build(self.options.compression, producer),
            records: open.count as u64,
            payload_bytes: open.payload_bytes,
            serial,
        })
    }
}

impl Open {
    fn new(bytes_max: usize, timestamp: i64, now: Instant) -> Self {
        Self {
            payload: Vec::with_capacity(bytes_max + bytes_max / 8),
            count: 0,
            payload_bytes: 0,
            base_timestamp: timestamp,
            max_timestamp: timestamp,
            since: now,
        }
    }

    fn build(&self, compression: Compression, producer: Producer) -> Vec<u8> {
        let meta = BatchMeta {
            base_offset: 0,
            leader_epoch: -1,
            attributes: compression.id(),
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            record_count: self.count,
            producer,
        };
        match compression {
            Compression::None => build_batch(meta, &self.payload),
            codec => build_batch(meta, &engine::compression::compress(codec, None, &self.payload)),
        }
    }
}

/// Sequences count records and wrap from the largest 32-bit number to 0.
fn next_sequence(sequence: i32, records: i32) -> i32 {
    sequence.wrapping_add(records) & i32::MAX
}

#[cfg(test)]
mod tests {
    use model::{BatchView, batch::record::Records};

    use super::*;

    const IDENTITY: Identity = Identity { producer_id: 9, producer_epoch: 2 };

    fn batcher(bytes_max: usize, compression: Compression) -> Batcher {
        let linger = Duration::from_millis(5);
        Batcher::new(BatchOptions { bytes_max, linger, compression, identity: Some(IDENTITY) })
    }

    #[test]
    fn a_full_batch_comes_back_with_its_records_in_order() {
        let mut batcher = batcher(40, Compression::None);
        let now = Instant::now();
        assert_eq!(batcher.push(3, None, Some(b"0123456789"), 1000, now), None);
        assert_eq!(batcher.push(3, Some(b"k"), None, 1007, now), None);
        let batch = batcher.push(3, None, Some(b"0123456789"), 1005, now).unwrap();
        assert_eq!((batch.partition, batch.records, batch.payload_bytes, batch.serial), (3, 3, 21, 0));
        let view = BatchView::check(&batch.bytes).unwrap();
        view.check_dense().unwrap();
        assert_eq!(view.header().base_timestamp().0, 1000);
        assert_eq!(view.header().max_timestamp().0, 1007);
        let records: Vec<_> = Records::new(view.payload(), 3).map(Result::unwrap).collect();
        assert_eq!(records[1].key, Some(&b"k"[..]));
        assert_eq!(records[1].value, None);
        assert_eq!(records.iter().map(|r| r.timestamp_delta).collect::<Vec<_>>(), [0, 7, 5]);
        assert!(batcher.take_all().is_empty());
    }

    #[test]
    fn sequences_follow_each_other_within_a_partition() {
        let mut batcher = batcher(1, Compression::None);
        let now = Instant::now();
        let mut sequences = vec![];
        for partition in [0, 0, 1, 0] {
            let batch = batcher.push(partition, None, Some(b"x"), 0, now).unwrap();
            let header = *BatchView::check(&batch.bytes).unwrap().header();
            assert_eq!((header.producer_id.get(), header.producer_epoch.get()), (9, 2));
            sequences.push((partition, header.base_sequence.get(), batch.serial));
        }
        assert_eq!(sequences, [(0, 0, 0), (0, 1, 1), (1, 0, 2), (0, 2, 3)]);
        assert_eq!(next_sequence(i32::MAX, 1), 0);
        assert_eq!(next_sequence(i32::MAX - 1, 3), 1);
    }

    #[test]
    fn a_batch_is_due_once_it_has_lingered() {
        let mut batcher = batcher(1000, Compression::None);
        let start = Instant::now();
        assert_eq!(batcher.due_at(), None);
        batcher.push(0, None, Some(b"a"), 0, start);
        batcher.push(1, None, Some(b"b"), 0, start + Duration::from_millis(3));
        batcher.push(0, None, Some(b"c"), 0, start + Duration::from_millis(4));
        assert_eq!(batcher.due_at(), Some(start + Duration::from_millis(5)));
        assert!(batcher.take_due(start + Duration::from_millis(4)).is_empty());
        let due = batcher.take_due(start + Duration::from_millis(6));
        assert_eq!(due.iter().map(|b| (b.partition, b.records)).collect::<Vec<_>>(), [(0, 2)]);
        assert_eq!(batcher.take_all().len(), 1);
    }

    #[test]
    fn compressed_batches_say_how() {
        for (codec, bits) in
            [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd].into_iter().zip(1..)
        {
            let mut batcher = batcher(1000, codec);
            batcher.push(0, None, Some(&[b'x'; 900]), 0, Instant::now());
            let batch = batcher.take_all().pop().unwrap();
            let view = BatchView::check(&batch.bytes).unwrap();
            assert_eq!(view.header().attributes.get(), bits);
            assert_eq!(view.header().compression(), Ok(codec));
            assert!(batch.bytes.len() < 300, "{codec:?}");
        }
    }
}
