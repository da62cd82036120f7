//! Snapshots of the metadata, under Kafka's name beside the log: `END-EPOCH.checkpoint` has everything below offset END,
//! the last of it written in EPOCH.
//!
//! ```text
//!   control batch: snapshot header | control batch: voters | batches of records ... | control batch: snapshot footer
//! ```
//! The values are metadata records as in the log; the key of a broker's is its epoch (8 bytes). A file is replaced as a
//! whole and durable before anything it stands for is dropped; one without its footer is not whole and is not read.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use coordinator::{
    Image, MetadataRecord,
    controller::names::METADATA_TOPIC,
    metadata::SnapshotRecord,
    raft::{Payload, Position, Voters},
};
use engine::properties::names::dir_name;
use model::{
    BatchView, LeaderEpoch, Offset, Timestamp, TopicPartition,
    batch::record::{BatchMeta, Producer, Records, build_batch, write_record},
};

use super::control_records;

const SUFFIX: &str = ".checkpoint";
const RECORDS_PER_BATCH: usize = 500;

#[derive(Debug)]
pub struct Snapshot {
    pub end: Position,
    pub voters: Voters,
    pub image: Image,
}

/// Where snapshots of a data directory are.
#[derive(Clone)]
pub struct Snapshots(PathBuf);

impl Snapshots {
    pub fn new(data_dir: &Path) -> Self {
        Self(data_dir.join(dir_name(METADATA_TOPIC, TopicPartition::METADATA.partition)))
    }

    /// The latest, if there is one.
    pub fn latest(&self) -> io::Result<Option<(Position, PathBuf)>> {
        let mut found: Vec<_> = self.all()?;
        found.sort_by_key(|(end, _)| (end.offset, end.epoch));
        Ok(found.pop())
    }

    pub fn load(&self, cluster_id: &str) -> anyhow::Result<Option<Snapshot>> {
        let Some((end, path)) = self.latest()? else { return Ok(None) };
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let snapshot = decode(&bytes, end, cluster_id);
        snapshot.map(Some).with_context(|| {
            format!("{} is damaged; restore the file from a backup or from another broker", path.display())
        })
    }

    /// Durable on return; older ones are gone then.
    pub fn write(&self, end: Position, bytes: &[u8]) -> io::Result<()> {
        fs::create_dir_all(&self.0)?;
        let next = self.0.join("snapshot.tmp");
        let mut file = File::create(&next)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&next, self.0.join(file_name(end)))?;
        File::open(&self.0)?.sync_all()?;
        for (older, path) in self.all()? {
            if older.offset < end.offset {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    fn all(&self) -> io::Result<Vec<(Position, PathBuf)>> {
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry?;
            if let Some(end) = entry.file_name().to_str().and_then(parse_name) {
                found.push((end, entry.path()));
            }
        }
        Ok(found)
    }
}

fn file_name(end: Position) -> String {
    format!("{:020}-{:010}{SUFFIX}", end.offset.0, end.epoch.0)
}

fn parse_name(name: &str) -> Option<Position> {
    let (offset, epoch) = name.strip_suffix(SUFFIX)?.split_once('-')?;
    let (offset, epoch) = (offset.parse().ok()?, epoch.parse().ok()?);
    Some(Position { offset: Offset(offset), epoch: LeaderEpoch(epoch) })
}

pub fn encode(image: &Image, voters: &Voters, end: Position, now: Timestamp) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut next = Offset::ZERO;
    let mut push = |mut batch: Vec<u8>, count: usize| {
        model::batch::stamp(&mut batch, next, end.epoch);
        next = next + i64::try_from(count).expect("a snapshot fits in memory");
        bytes.extend_from_slice(&batch);
    };
    push(control_records::snapshot_header(now), 1);
    push(control_records::voters(voters, now), 1);
    for records in image.to_snapshot().chunks(RECORDS_PER_BATCH) {
        push(batch(records, now), records.len());
    }
    push(control_records::snapshot_footer(now), 1);
    bytes
}

fn batch(records: &[SnapshotRecord], now: Timestamp) -> Vec<u8> {
    let mut payload = Vec::new();
    for (delta, SnapshotRecord { record, broker_epoch }) in (0..).zip(records) {
        let key = broker_epoch.map(i64::to_be_bytes);
        let key = key.as_ref().map(|key| &key[..]);
        write_record(&mut payload, delta, 0, key, Some(&record.encode()), &[]);
    }
    let meta = BatchMeta {
        base_offset: 0,
        leader_epoch: 0,
        attributes: 0,
        base_timestamp: now.0,
        max_timestamp: now.0,
        record_count: i32::try_from(records.len()).expect("a batch is small"),
        producer: Producer::NONE,
    };
    build_batch(meta, &payload)
}

/// What came from a disk or a network is trusted in nothing.
pub fn decode(bytes: &[u8], end: Position, cluster_id: &str) -> anyhow::Result<Snapshot> {
    let mut voters = None;
    let mut records = Vec::new();
    let mut whole = false;
    for batch in BatchView::check_all(bytes) {
        let batch = batch?;
        if batch.header().is_control() {
            match control_records::read_any(&batch)? {
                control_records::Control::Log(Payload::Voters(named)) => voters = Some(named),
                control_records::Control::SnapshotFooter => whole = true,
                control_records::Control::SnapshotHeader | control_records::Control::Log(_) => {}
            }
        } else {
            for record in Records::new(batch.payload(), batch.header().record_count()) {
                let record = record?;
                let broker_epoch = record.key.map(|key| {
                    key.try_into().map(i64::from_be_bytes).context("the epoch of a broker has 8 bytes")
                });
                let value = record.value.context("a record has no value")?;
                let record = MetadataRecord::decode(value)?;
                records.push(SnapshotRecord { record, broker_epoch: broker_epoch.transpose()? });
            }
        }
    }
    if !whole {
        bail!("the snapshot has no end");
    }
    let voters = voters.context("the snapshot names no voters")?;
    let image = Image::of_snapshot(cluster_id, end.offset, records)?;
    Ok(Snapshot { end, voters, image })
}

#[cfg(test)]
mod tests {
    use coordinator::metadata::TopicRecord;
    use model::{BrokerId, TopicId};

    use super::*;
    use crate::scratch::Scratch;

    fn image(topics: u8) -> Image {
        let mut image = Image::new("c");
        for n in 0..topics {
            let topic = TopicRecord { id: TopicId([n + 1; 16]), name: format!("topic-{n}") };
            image.apply(Offset(i64::from(n)), &MetadataRecord::Topic(topic)).unwrap();
        }
        image
    }

    fn at(offset: i64) -> Position {
        Position { offset: Offset(offset), epoch: LeaderEpoch(2) }
    }

    #[test]
    fn what_was_written_is_read_back_and_older_ones_go() {
        let scratch = Scratch::new();
        let snapshots = Snapshots::new(&scratch);
        assert!(snapshots.load("c").unwrap().is_none());
        let voters: Voters = [1, 2, 3].into_iter().map(BrokerId).collect();
        for topics in [3, 200] {
            let (image, end) = (image(topics), at(i64::from(topics)));
            snapshots.write(end, &encode(&image, &voters, end, Timestamp(5))).unwrap();
            let loaded = snapshots.load("c").unwrap().unwrap();
            assert_eq!((loaded.end, &loaded.voters, &loaded.image), (end, &voters, &image));
        }
        assert_eq!(snapshots.all().unwrap().len(), 1);
        assert!(scratch.join("__cluster_metadata-0/00000000000000000200-0000000002.checkpoint").exists());
    }

    #[test]
    fn a_snapshot_that_is_not_whole_is_refused() {
        let voters: Voters = [BrokerId(1)].into_iter().collect();
        let bytes = encode(&image(3), &voters, at(3), Timestamp(5));
        assert!(decode(&bytes, at(3), "c").is_ok());
        for cut in 0..bytes.len() {
            assert!(decode(&bytes[..cut], at(3), "c").is_err(), "{cut}");
        }
        for bit in (17 * 8..bytes.len() * 8).step_by(7) {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            // Bits of a header that lie outside the checksum change nothing here.
            drop(decode(&bad, at(3), "c"));
        }
    }
}
