//! Snapshots of the metadata, under Kafka's name beside the log: `END-EPOCH.checkpoint` has everything below offset END,
//! the last of it written in EPOCH. A file is replaced as a whole and durable before anything it stands for is dropped.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use coordinator::{
    controller::names::METADATA_TOPIC,
    metadata::snapshot_file::{self, Snapshot},
    raft::Position,
};
use engine::properties::names::dir_name;
use model::{LeaderEpoch, Offset, TopicPartition};

const SUFFIX: &str = ".checkpoint";

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
        let snapshot = snapshot_file::decode(&bytes, end, cluster_id);
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

#[cfg(test)]
mod tests {
    use coordinator::{
        Image, MetadataRecord,
        metadata::{TopicRecord, snapshot_file::encode},
        raft::Voters,
    };
    use model::{BrokerId, Timestamp, TopicId};

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
}
