//! Kafka's three checkpoint files at the root of the data directory. Written by a stop in order and read by the start
//! after it; while the broker runs, the engine keeps its own in `journal/`.

use std::{collections::BTreeMap, fs, io, path::Path};

use anyhow::Context;
use coordinator::Image;
use engine::checkpoint::{
    LOG_START_OFFSET_FILE, OffsetCheckpoint, RECOVERY_POINT_FILE, REPLICATION_OFFSET_FILE,
};
use model::{Offset, TopicPartition};

use super::process::ClosedLog;
use crate::data_dir::{DataDir, DataDirError};

/// Where logs begin that lost their first records.
pub type LogStarts = BTreeMap<TopicPartition, Offset>;

pub fn write(dir: &DataDir, logs: &[ClosedLog]) -> Result<(), DataDirError> {
    let file = |offset: fn(&ClosedLog) -> Offset, keep: fn(&ClosedLog) -> bool| {
        let mut checkpoint = OffsetCheckpoint::default();
        for log in logs.iter().filter(|log| keep(log)) {
            checkpoint.set(&log.topic, log.partition, offset(log));
        }
        checkpoint.write()
    };
    dir.replace(RECOVERY_POINT_FILE, &file(|log| log.end, |_| true))?;
    dir.replace(REPLICATION_OFFSET_FILE, &file(|log| log.high, |_| true))?;
    // Kafka names only those that do not begin where their first segment does; 0 is where all others begin.
    dir.replace(LOG_START_OFFSET_FILE, &file(|log| log.start, |log| log.start > Offset::ZERO))
}

/// Only after a stop in order: the file names topics, not their ids, so after a crash it may mean a topic that was
/// deleted and is another one by now.
pub fn read_log_starts(dir: &Path, image: &Image) -> anyhow::Result<LogStarts> {
    let path = dir.join(LOG_START_OFFSET_FILE);
    let checkpoint = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(LogStarts::new()),
        bytes => bytes.map_err(anyhow::Error::from).and_then(|b| Ok(OffsetCheckpoint::read(&b)?)),
    };
    let checkpoint =
        checkpoint.with_context(|| format!("{} cannot be used; restore it or delete it", path.display()))?;
    let known = |(topic, partition, offset): (&str, _, _)| {
        Some((TopicPartition::new(image.topic(topic)?.id, partition), offset))
    };
    Ok(checkpoint.iter().filter_map(known).collect())
}
