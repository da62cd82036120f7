//! The little files beside a log, as a disk that others write too may hold them: indexes, producer snapshots,
//! checkpoints, properties, names. What is believed can be asked anything, and written again it reads the same.
//!
//! Byte 0 chooses the file, the rest is its content.

use engine::{
    checkpoint::OffsetCheckpoint,
    epochs::{EpochCache, EpochEnd},
    index::{OffsetIndex, TimeIndex},
    producers::{ProducerLimits, ProducerStates},
    properties::{
        MetaProperties, PartitionMetadata, Properties,
        names::{PartitionDir, SegmentFileName, dir_name},
    },
};
use model::{LeaderEpoch, Offset, Timestamp, batch::crc32c};

use super::input::Input;

const BASE: Offset = Offset(1000);
const SEGMENT_BYTES: u32 = 1 << 20;
const INDEX_BYTES_MAX: u32 = 4096;

pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let kind = input.u8();
    let bytes = input.rest();
    match kind % 8 {
        0 => offset_index(bytes),
        1 => time_index(bytes),
        2 => snapshot(bytes),
        3 => snapshot(&sealed_snapshot(bytes)),
        4 => checkpoint(bytes),
        5 => epochs(bytes),
        6 => properties(bytes),
        _ => names(bytes),
    }
}

fn offset_index(bytes: &[u8]) {
    let Ok(mut index) = OffsetIndex::from_bytes(BASE, INDEX_BYTES_MAX, bytes, SEGMENT_BYTES) else { return };
    assert!(bytes.starts_with(index.as_bytes()), "what is believed is what was there");
    let again = OffsetIndex::from_bytes(BASE, INDEX_BYTES_MAX, index.as_bytes(), SEGMENT_BYTES);
    assert_eq!(again.as_ref(), Ok(&index));
    for offset in [i64::MIN, 0, BASE.0, BASE.0 + 7, BASE.0 + (1 << 31), i64::MAX] {
        let found = index.lookup(Offset(offset));
        assert!(found.position < SEGMENT_BYTES && (found.offset <= Offset(offset) || found.position == 0));
        let _ = index.fits(Offset(offset));
    }
    if let Some(last) = index.last_entry() {
        let before = index.entry_count();
        index.truncate_to(last.offset);
        assert_eq!(index.entry_count(), before - 1);
        index.append(last.offset, last.position);
        assert_eq!(index.entry_count(), before.min(index.entry_count().max(before - 1)));
    }
    index.truncate_to(Offset(i64::MIN));
    assert_eq!(index.entry_count(), 0);
}

fn time_index(bytes: &[u8]) {
    let Ok(mut index) = TimeIndex::from_bytes(BASE, INDEX_BYTES_MAX, bytes) else { return };
    assert!(bytes.starts_with(index.as_bytes()), "what is believed is what was there");
    assert_eq!(TimeIndex::from_bytes(BASE, INDEX_BYTES_MAX, index.as_bytes()).as_ref(), Ok(&index));
    for timestamp in [i64::MIN, -1, 0, 1000, i64::MAX] {
        let found = index.lookup(Timestamp(timestamp));
        assert!(found.timestamp <= Timestamp(timestamp) || found.offset == BASE);
    }
    let max = index.max();
    index.observe(
        Timestamp(max.timestamp.0.saturating_add(1)),
        Offset(max.offset.0.max(BASE.0).saturating_add(1)),
    );
    index.append();
    index.seal();
    index.truncate_to(BASE);
}

/// A snapshot whose head is right: version 1 and the checksum of what follows.
pub fn sealed_snapshot(bytes: &[u8]) -> Vec<u8> {
    let mut sealed = vec![0, 1, 0, 0, 0, 0];
    sealed.extend_from_slice(bytes);
    let crc = crc32c(&sealed[6..]);
    sealed[2..6].copy_from_slice(&crc.to_be_bytes());
    sealed
}

fn snapshot(bytes: &[u8]) {
    let limits = ProducerLimits { producers_max: 50, ..ProducerLimits::default() };
    let Ok(mut states) = ProducerStates::from_snapshot(bytes, BASE, limits, Timestamp(5)) else { return };
    let open = states.first_open_offset();
    let written = states.snapshot();
    let again = ProducerStates::from_snapshot(&written, BASE, limits, Timestamp(5))
        .expect("what we write can be read");
    assert_eq!(again.producer_count(), states.producer_count());
    assert_eq!(again.first_open_offset(), open);
    assert_eq!(again.snapshot(), written);
    let before = states.producer_count();
    assert!(states.expire(Timestamp(i64::MAX)) <= before);
    assert_eq!(states.first_open_offset(), open, "a transaction keeps its producer");
}

fn checkpoint(bytes: &[u8]) {
    let Ok(points) = OffsetCheckpoint::read(bytes) else { return };
    let written = points.write();
    let again = OffsetCheckpoint::read(&written).expect("what we write can be read");
    assert!(again.iter().eq(points.iter()));
    for (topic, partition, offset) in points.iter() {
        assert_eq!(points.get(topic, partition), Some(offset));
        assert!(offset >= Offset::ZERO);
    }
}

fn epochs(bytes: &[u8]) {
    let Ok(mut cache) = EpochCache::read(bytes) else { return };
    assert_eq!(EpochCache::read(&cache.write()).as_ref(), Ok(&cache));
    assert!(
        cache.entries().windows(2).all(|w| w[0].epoch < w[1].epoch && w[0].start_offset < w[1].start_offset)
    );
    for epoch in [i32::MIN, -1, 0, 1, 5, i32::MAX] {
        let end = cache.end_offset_for(LeaderEpoch(epoch), Offset(i64::MAX));
        assert!(end == EpochEnd::UNKNOWN || end.epoch <= LeaderEpoch(epoch), "{end:?}");
        let _ = cache.epoch_for(Offset(i64::from(epoch)));
    }
    cache.truncate_from_start(Offset(10));
    cache.truncate_from_end(Offset(20));
    cache.assign(LeaderEpoch(9), Offset(15));
    assert_eq!(cache.latest().map(|e| e.epoch), Some(LeaderEpoch(9)));
}

fn properties(bytes: &[u8]) {
    if let Ok(properties) = Properties::read(bytes) {
        let written = properties.write();
        let again = Properties::read(&written);
        // Escapes make a file longer, so only one near the limit may not come back.
        assert!(again.as_ref() == Ok(&properties) || written.len() > 60 << 10, "{properties:?}");
    }
    if let Ok(meta) = MetaProperties::read(bytes) {
        assert_eq!(MetaProperties::read(&meta.write()), Ok(meta));
    }
    if let Ok(metadata) = PartitionMetadata::read(bytes) {
        assert_eq!(PartitionMetadata::read(&metadata.write()), Ok(metadata));
    }
}

fn names(bytes: &[u8]) {
    let Ok(name) = std::str::from_utf8(bytes) else { return };
    if let Some(found) = SegmentFileName::parse(name) {
        assert_eq!(found.to_string(), name, "a name is parsed as it is written");
    }
    if let Some(dir) = PartitionDir::parse(name) {
        let live = dir_name(&dir.topic, dir.partition);
        assert!(name.starts_with(&live), "{name} is no folder of {live}");
    }
}
