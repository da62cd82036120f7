//! The start after a stop that was not in order: what the journals hold goes into the segments, torn tails are cut, and
//! the directory is as after a stop in order. On shard 0, alone, before any store starts.
//!
//! The metadata log comes first: it names the topics, and without names nobody finds their folders.

use std::{collections::BTreeMap, fs, path::Path, time::Instant};

use anyhow::Context;
use coordinator::{controller::names::METADATA_TOPIC, metadata::Topic};
use engine::{
    disk::ring::RingDisk,
    recovery::{Recovery, RecoveryError},
    store::JOURNAL_DIR,
};
use model::{BrokerId, Offset, PartitionIndex, TopicPartition};
use rt::pages::PagePool;

use super::{
    checkpoints::{CleanerOffsets, LogStarts},
    metadata_log::{self, Loaded},
    stray,
};
use crate::status_line::StatusLine;

/// What the rest of the start needs to know.
pub struct Recovered {
    pub loaded: Loaded,
    pub log_starts: LogStarts,
    pub cleaned: CleanerOffsets,
    /// Logs that were refused, and the first segment of each that is corrupt.
    pub damaged: BTreeMap<TopicPartition, Offset>,
}

pub async fn run(
    disk: RingDisk,
    pages: PagePool,
    data_dir: &Path,
    cluster_id: &str,
    broker: BrokerId,
    committed: Offset,
) -> anyhow::Result<Recovered> {
    let started = Instant::now();
    let recovery = Recovery::scan(disk, pages, data_dir).await?;
    recovery.restore(TopicPartition::METADATA, METADATA_TOPIC).await?;
    let loaded = metadata_log::load(data_dir, cluster_id, committed)?;
    let perhaps = loaded.perhaps_removed.iter().map(|topic| topic.id).collect();
    stray::sort_out(data_dir, &loaded.image, &loaded.removed, &perhaps)?;
    let mut logs: Vec<_> = loaded.image.topics().flat_map(|topic| hosted(topic, broker)).collect();
    logs.extend(loaded.perhaps_removed.iter().flat_map(|topic| hosted(topic, broker)));
    let (mut applied, mut damaged) = (0, BTreeMap::new());
    let mut status = StatusLine::new(true);
    let count = logs.len();
    let restored = recovery
        .restore_all(&logs, |done| status.show(|| format!("recovering: {done} partitions of {count}")))
        .await;
    for ((id, topic), restored) in logs.iter().zip(restored) {
        match restored {
            Ok(restored) => applied += restored.runs_applied,
            Err(error @ RecoveryError::Corrupt { .. }) => {
                tracing::error!("{error}");
                damaged.insert(*id, error.damaged_segment().unwrap_or(Offset::ZERO));
            }
            Err(error) => return Err(error).with_context(|| format!("recovering {topic}-{}", id.partition)),
        }
    }
    let log_starts = logs.iter().filter_map(|(id, _)| Some((*id, recovery.log_start(*id)?))).collect();
    let cleaned = logs.iter().filter_map(|(id, _)| Some((*id, recovery.cleaned_until(*id)?))).collect();
    if !damaged.is_empty() {
        keep_journals(data_dir).context("keeping the journals of damaged partitions")?;
    }
    recovery.finish().await?;
    if applied > 0 || !damaged.is_empty() {
        tracing::info!(
            logs = logs.len(),
            runs = applied,
            corrupt = damaged.len(),
            ms = started.elapsed().as_millis() as u64,
            "recovered after a stop that was not in order"
        );
    }
    Ok(Recovered { loaded, log_starts, cleaned, damaged })
}

/// The partitions of a topic that this broker keeps, with the topic's name.
fn hosted(topic: &Topic, broker: BrokerId) -> Vec<(TopicPartition, String)> {
    let indexes = (0i32..).map(PartitionIndex).zip(&topic.partitions);
    let here = indexes.filter(|(_, placed)| placed.replicas.contains(&broker));
    here.map(|(index, _)| (TopicPartition::new(topic.id, index), topic.name.to_string())).collect()
}

/// The only copy of what a damaged partition lacks may be in a journal: a second name keeps each of them for whoever
/// repairs the partition.
fn keep_journals(data_dir: &Path) -> anyhow::Result<()> {
    let dir = data_dir.join(JOURNAL_DIR);
    let suffix = rt::timer::wall().0;
    for entry in fs::read_dir(&dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "journal") {
            let kept = path.with_extension(format!("journal.kept-{suffix}"));
            fs::hard_link(&path, &kept)?;
            tracing::warn!("{} is kept for the repair of damaged partitions", kept.display());
        }
    }
    Ok(())
}
