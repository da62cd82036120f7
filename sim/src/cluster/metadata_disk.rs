//! What a voter keeps on its disk, as `src/serve` keeps it: its vote, snapshots of the metadata, and the segments of the
//! metadata log, which are read once at the start, when recovery has made them whole.

use std::{
    io,
    path::{Path, PathBuf},
};

use coordinator::{
    Image,
    controller::names::METADATA_TOPIC,
    metadata::{
        LogTail, batches,
        snapshot_file::{self, Snapshot},
    },
    raft::{Entry, HardState, Payload, Position, Voters},
};
use engine::{
    Disk,
    properties::names::{FileState, SegmentFile, SegmentFileName, dir_name},
};
use model::{BatchView, LeaderEpoch, Offset, TopicPartition};

use super::broker::{CLUSTER_ID, DATA};
use crate::disk::SimDisk;

const VOTE: &str = "quorum-state";
const SNAPSHOT_SUFFIX: &str = ".checkpoint";

/// Of one disk.
#[derive(Clone)]
pub struct MetadataDisk(pub SimDisk);

/// Everything the disk says, committed or not.
pub struct Loaded {
    /// For the names of topics: the last records may turn out not to hold.
    pub image: Image,
    pub start: Position,
    pub voters: Option<Voters>,
    /// Everything below `start`.
    pub snapshot: Image,
    pub entries: Vec<Entry>,
    /// Says whether all of the log is to go.
    pub tail: LogTail,
}

impl MetadataDisk {
    fn dir() -> PathBuf {
        Path::new(DATA).join(dir_name(METADATA_TOPIC, TopicPartition::METADATA.partition))
    }

    fn live_files(&self) -> impl Iterator<Item = PathBuf> {
        let dir = Self::dir();
        self.0.mem().files().into_iter().filter(move |path| path.parent() == Some(&dir))
    }

    pub fn read_vote(&self) -> Result<HardState, String> {
        let Some(bytes) = self.0.mem().contents(&Self::dir().join(VOTE)) else {
            return Ok(HardState::default());
        };
        let text = String::from_utf8_lossy(&bytes);
        HardState::parse(&text).ok_or_else(|| format!("its vote is damaged: {text:?}"))
    }

    /// Durable on return.
    pub async fn write_vote(&self, state: HardState) -> io::Result<()> {
        self.make_dir().await?;
        self.0.replace_small(&Self::dir().join(VOTE), state.to_text().into_bytes()).await
    }

    async fn make_dir(&self) -> io::Result<()> {
        match self.0.create_dir(&Self::dir()).await {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
            made => made?,
        }
        self.0.flush_dir(Path::new(DATA)).await
    }

    pub fn latest_snapshot(&self) -> Option<(Position, Vec<u8>)> {
        let named = self.live_files().filter_map(|path| Some((snapshot_end(&path)?, path)));
        let (end, path) = named.max_by_key(|(end, _)| (end.offset, end.epoch))?;
        Some((end, self.0.mem().contents(&path)?))
    }

    /// Durable on return; older ones are gone then.
    pub async fn write_snapshot(&self, end: Position, bytes: Vec<u8>) -> io::Result<()> {
        self.make_dir().await?;
        let name = format!("{:020}-{:010}{SNAPSHOT_SUFFIX}", end.offset.0, end.epoch.0);
        self.0.replace_small(&Self::dir().join(name), bytes).await?;
        let is_older = |path: &PathBuf| snapshot_end(path).is_some_and(|other| other.offset < end.offset);
        for older in self.live_files().filter(is_older).collect::<Vec<_>>() {
            self.0.remove(&older).await?;
        }
        Ok(())
    }

    pub fn load(&self) -> Result<Loaded, String> {
        let nothing = || Image::new(CLUSTER_ID);
        let mut loaded = Loaded {
            image: nothing(),
            start: Position::default(),
            voters: None,
            snapshot: nothing(),
            entries: vec![],
            tail: LogTail::new(Position::default()),
        };
        if let Some((end, bytes)) = self.latest_snapshot() {
            let Snapshot { end, voters, image } =
                snapshot_file::decode(&bytes, end, CLUSTER_ID).map_err(|why| why.to_string())?;
            loaded = Loaded {
                image: image.clone(),
                start: end,
                voters: Some(voters),
                snapshot: image,
                entries: vec![],
                tail: LogTail::new(end),
            };
        }
        let mut segments: Vec<_> = self
            .live_files()
            .filter_map(|path| {
                let name = path.file_name()?.to_str().and_then(SegmentFileName::parse)?;
                let is_log = name.file == SegmentFile::Log && name.state == FileState::Live;
                is_log.then_some((name.base_offset, path))
            })
            .collect();
        segments.sort();
        for (_, path) in segments {
            let bytes = self.0.mem().contents(&path).expect("listed above");
            loaded.take(&bytes).map_err(|why| format!("{}: {why}", path.display()))?;
        }
        Ok(loaded)
    }
}

impl Loaded {
    fn take(&mut self, bytes: &[u8]) -> Result<(), String> {
        for batch in BatchView::check_all(bytes) {
            let entry =
                batches::entry(&batch.map_err(|why| why.to_string())?).map_err(|why| why.to_string())?;
            if !self.tail.takes(&entry).map_err(|why| why.to_string())? {
                continue;
            }
            if let Payload::Records { bytes, .. } = &entry.payload {
                for (offset, record) in batches::records(entry.base, bytes).map_err(|why| why.to_string())? {
                    self.image.apply(offset, &record).map_err(|why| why.to_string())?;
                }
            }
            self.entries.push(entry);
        }
        Ok(())
    }
}

fn snapshot_end(path: &Path) -> Option<Position> {
    let (offset, epoch) = path.file_name()?.to_str()?.strip_suffix(SNAPSHOT_SUFFIX)?.split_once('-')?;
    Some(Position { offset: Offset(offset.parse().ok()?), epoch: LeaderEpoch(epoch.parse().ok()?) })
}
