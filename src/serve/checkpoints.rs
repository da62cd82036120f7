//! Kafka's four checkpoint files at the root of the data directory. Written by a stop in order and read by the start
//! after it; while the broker runs, the engine keeps its own in `journal/`.

use std::{collections::BTreeMap, fs, io, path::Path};

use anyhow::Context;
use coordinator::Image;
use engine::checkpoint::{
    CLEANER_OFFSET_FILE, LOG_START_OFFSET_FILE, OffsetCheckpoint, RECOVERY_POINT_FILE,
    REPLICATION_OFFSET_FILE,
};
use model::{Offset, TopicPartition};

use super::process::ClosedLog;
use crate::data_dir::{DataDir, DataDirError};

/// Where logs begin that lost their first records.
pub type LogStarts = BTreeMap<TopicPartition, Offset>;
/// How far logs are compacted, of those that were at all.
pub type CleanerOffsets = BTreeMap<TopicPartition, Offset>;

pub fn write(dir: &DataDir, logs: &[ClosedLog]) -> Result<(), DataDirError> {
    let file = |offset: fn(&ClosedLog) -> Option<Offset>| {
        let mut checkpoint = OffsetCheckpoint::default();
        for log in logs {
            if let Some(offset) = offset(log) {
                checkpoint.set(&log.topic, log.partition, offset);
            }
        }
        checkpoint.write()
    };
    dir.replace(RECOVERY_POINT_FILE, &file(|log| log.end))?;
    dir.replace(REPLICATION_OFFSET_FILE, &file(|log| log.high))?;
    dir.replace(CLEANER_OFFSET_FILE, &file(|log| log.cleaned))?;
    // Kafka names only those that do not begin where their first segment does; 0 is where all others begin.
    dir.replace(LOG_START_OFFSET_FILE, &file(|log| log.start.filter(|start| *start > Offset::ZERO)))
}

pub fn read_log_starts(dir: &Path, image: &Image) -> anyhow::Result<LogStarts> {
    read(dir, LOG_START_OFFSET_FILE, image)
}

pub fn read_cleaner_offsets(dir: &Path, image: &Image) -> anyhow::Result<CleanerOffsets> {
    read(dir, CLEANER_OFFSET_FILE, image)
}

/// Only after a stop in order: the file names topics, not their ids, so after a crash it may mean a topic that was
/// deleted and is another one by now.
fn read(dir: &Path, name: &str, image: &Image) -> anyhow::Result<BTreeMap<TopicPartition, Offset>> {
    let path = dir.join(name);
    let checkpoint = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        bytes => bytes.map_err(anyhow::Error::from).and_then(|b| Ok(OffsetCheckpoint::read(&b)?)),
    };
    let checkpoint =
        checkpoint.with_context(|| format!("{} cannot be used; restore it or delete it", path.display()))?;
    let known = |(topic, partition, offset): (&str, _, _)| {
        Some((TopicPartition::new(image.topic(topic)?.id, partition), offset))
    };
    Ok(checkpoint.iter().filter_map(known).collect())
}
