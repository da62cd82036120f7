//! The metadata log `__cluster_metadata-0`: record batches whose values are metadata records, and between them control
//! batches that say who led from there on, and who the voters are. Read from its segments at the start, when they are
//! whole and no store has it open yet; written by `consensus`.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use coordinator::{
    Image, MetadataRecord,
    controller::names::METADATA_TOPIC,
    metadata::{LogTail, Topic, batches},
    raft::{Entry, Payload, Position, Voters},
};
use engine::{
    Disk, LogConfig, SharedLog, Store,
    index::IndexLimits,
    properties::names::{FileState, SegmentFile, SegmentFileName, dir_name},
};
use model::{BatchView, Offset, TopicId, TopicPartition};

use super::metadata_snapshot::Snapshots;

/// Small segments, because the log is read as a whole.
const SEGMENT_BYTES: u64 = 64 << 20;

/// The log as its writer, the consensus, has it.
pub async fn open<D: Disk>(store: &Store<D>) -> anyhow::Result<SharedLog<D::File>> {
    let index = IndexLimits { interval_bytes: 4096, index_bytes_max: 10 << 20 };
    let config = LogConfig { segment_bytes: SEGMENT_BYTES, index, ..LogConfig::default() };
    let opened =
        store.open_log(TopicPartition::METADATA, METADATA_TOPIC, config, None, rt::timer::wall()).await;
    opened.context("the metadata log cannot be opened")
}

/// Everything the log says, committed or not.
#[derive(Debug)]
pub struct Loaded {
    /// For the names of topics: the last records may turn out not to hold.
    pub image: Image,
    /// Topics that were deleted for certain; their folders may still be there.
    pub removed: BTreeSet<TopicId>,
    /// Topics of which that is not certain, as they were.
    pub perhaps_removed: Vec<Arc<Topic>>,
    /// Where the last snapshot ends, and who voted there.
    pub start: Position,
    pub voters: Option<Voters>,
    /// Everything below `start`.
    pub snapshot: Image,
    pub entries: Vec<Entry>,
    /// Says whether all of the log is to go.
    pub tail: LogTail,
    committed: Offset,
}

/// Everything below `committed` holds for certain.
pub fn load(data_dir: &Path, cluster_id: &str, committed: Offset) -> anyhow::Result<Loaded> {
    let dir = data_dir.join(dir_name(METADATA_TOPIC, TopicPartition::METADATA.partition));
    let mut loaded = Loaded::new(cluster_id, committed);
    if let Some(snapshot) = Snapshots::new(data_dir).load(cluster_id)? {
        (loaded.start, loaded.tail) = (snapshot.end, LogTail::new(snapshot.end));
        loaded.voters = Some(snapshot.voters);
        loaded.image = snapshot.image.clone();
        loaded.snapshot = snapshot.image;
    }
    for path in segments(&dir)? {
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        loaded.take(&bytes).with_context(|| {
            format!("the metadata log cannot be read: {} (restore the file from a backup)", path.display())
        })?;
    }
    Ok(loaded)
}

fn segments(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("cannot read {}", dir.display()))?,
    };
    let mut segments = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot read {}", dir.display()))?;
        let name = entry.file_name().to_str().and_then(SegmentFileName::parse);
        if let Some(SegmentFileName { base_offset, file: SegmentFile::Log, state: FileState::Live }) = name {
            segments.push((base_offset, entry.path()));
        }
    }
    segments.sort();
    Ok(segments.into_iter().map(|(_, path)| path).collect())
}

impl Loaded {
    fn new(cluster_id: &str, committed: Offset) -> Self {
        Self {
            image: Image::new(cluster_id),
            snapshot: Image::new(cluster_id),
            start: Position::default(),
            voters: None,
            removed: BTreeSet::new(),
            perhaps_removed: Vec::new(),
            entries: Vec::new(),
            tail: LogTail::new(Position::default()),
            committed,
        }
    }

    fn take(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        for batch in BatchView::check_all(bytes) {
            let batch = batch?;
            let entry = batches::entry(&batch)?;
            if !self.tail.takes(&entry)? {
                continue;
            }
            if let Payload::Records { bytes, .. } = &entry.payload {
                for (offset, record) in batches::records(entry.base, bytes)? {
                    self.apply(offset, &record)?;
                }
            }
            self.entries.push(entry);
        }
        Ok(())
    }

    fn apply(&mut self, offset: Offset, record: &MetadataRecord) -> anyhow::Result<()> {
        if let MetadataRecord::RemoveTopic(removed) = record {
            if offset < self.committed {
                self.removed.insert(removed.id);
            } else {
                self.perhaps_removed.extend(self.image.topic_by_id(removed.id).cloned());
            }
        }
        Ok(self.image.apply(offset, record)?)
    }
}

/// The image with `records`, of which the first has offset `base`.
pub fn applied(image: &Image, base: Offset, records: &[MetadataRecord]) -> Image {
    let mut next = image.clone();
    for (delta, record) in (0i64..).zip(records) {
        next.apply(base + delta, record).expect("the controller decided over this very image");
    }
    next
}

#[cfg(test)]
mod tests {
    use coordinator::metadata::{RemoveTopicRecord, TopicRecord};
    use model::{
        Timestamp,
        batch::record::{Producer, batch_of},
    };

    use super::*;
    use crate::scratch::Scratch;

    fn topic(n: u8) -> MetadataRecord {
        MetadataRecord::Topic(TopicRecord { id: TopicId([n; 16]), name: format!("topic-{n}") })
    }

    fn stamped(base: i64, records: &[MetadataRecord]) -> Vec<u8> {
        let mut bytes = batches::batch(records, Timestamp(1000));
        bytes[..8].copy_from_slice(&base.to_be_bytes());
        bytes
    }

    #[test]
    fn what_was_written_is_read_back() {
        let dir = Scratch::new();
        let log = dir.join("__cluster_metadata-0");
        fs::create_dir_all(&log).unwrap();
        assert_eq!(load(&dir, "c", Offset(i64::MAX)).unwrap().image, Image::new("c"));
        fs::write(log.join("00000000000000000000.log"), stamped(0, &[topic(1), topic(2)])).unwrap();
        let removal = MetadataRecord::RemoveTopic(RemoveTopicRecord { id: TopicId([1; 16]) });
        fs::write(log.join("00000000000000000002.log"), stamped(2, &[removal])).unwrap();
        fs::write(log.join("leader-epoch-checkpoint"), "0\n0\n").unwrap();
        let loaded = load(&dir, "c", Offset(i64::MAX)).unwrap();
        assert_eq!(loaded.image.offset(), Offset(2));
        assert_eq!(loaded.image.topics().map(|t| &*t.name).collect::<Vec<_>>(), ["topic-2"]);
        assert_eq!(loaded.removed, BTreeSet::from([TopicId([1; 16])]));
    }

    #[test]
    fn a_log_that_is_not_ours_is_refused() {
        let mut loaded = Loaded::new("c", Offset(i64::MAX));
        let error = loaded.take(&stamped(0, &[topic(1)])[..40]).unwrap_err();
        assert!(error.to_string().starts_with("the batch is cut short"), "{error}");
        let twice = loaded.take(&stamped(0, &[topic(1), topic(1)])).unwrap_err();
        assert!(twice.to_string().starts_with("topic topic-1 "), "{twice}");
        let foreign = batch_of(0, 0, Producer::NONE, &[b"\x01\x03\x00"]);
        assert!(loaded.take(&foreign).is_err());
    }

    #[test]
    fn records_are_applied_from_their_offset_on() {
        let image = applied(&Image::new("c"), Offset(7), &[topic(1), topic(2)]);
        assert_eq!(image.offset(), Offset(8));
        assert!(image.topic("topic-2").is_some());
    }
}
