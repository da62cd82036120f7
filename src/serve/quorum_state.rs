//! What a voter must not forget: its epoch and for whom it voted there. In `__cluster_metadata-0/quorum-state`, as Kafka
//! keeps it: replaced as a whole, and durable before anything that depends on it is said.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};
use coordinator::{controller::names::METADATA_TOPIC, raft::HardState};
use engine::properties::names::dir_name;
use model::{Offset, TopicPartition};
use rt::file;

const FILE: &str = "quorum-state";
/// The next one, until it takes that name; then the one before it, whose block is written again.
const SPARE_FILE: &str = "quorum-state.tmp";
/// What was known to be committed a moment ago: a hint, for the start.
const COMMITTED_FILE: &str = "committed-offset";

#[derive(Clone)]
pub struct QuorumState(PathBuf);

impl QuorumState {
    pub fn new(data_dir: &Path) -> Self {
        Self(data_dir.join(dir_name(METADATA_TOPIC, TopicPartition::METADATA.partition)))
    }

    /// Epoch 0 and no vote in a new directory.
    pub fn read(&self) -> anyhow::Result<HardState> {
        let path = self.0.join(FILE);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HardState::default()),
            text => text.with_context(|| format!("cannot read {}", path.display()))?,
        };
        HardState::parse(&text).ok_or_else(|| {
            anyhow!(
                "{} is damaged, and without it this broker might vote twice; restore the file from a backup, or remove \
                 this broker from the voters, empty its data directory and add it again",
                path.display()
            )
        })
    }

    /// Everything below was committed, and maybe more.
    pub fn read_committed(&self) -> Offset {
        let text = fs::read_to_string(self.0.join(COMMITTED_FILE)).unwrap_or_default();
        Offset(text.trim().parse().unwrap_or(0))
    }

    pub fn write_committed(&self, to: Offset) -> io::Result<()> {
        fs::create_dir_all(&self.0)?;
        let next = self.0.join("committed-offset.tmp");
        fs::write(&next, to.to_string())?;
        fs::rename(&next, self.0.join(COMMITTED_FILE))
    }

    /// Durable on return. Takes no room on the disk but the first time: on a full one a voter votes all the same.
    pub fn write(&self, state: HardState) -> io::Result<()> {
        fs::create_dir_all(&self.0)?;
        let text = state.to_text();
        let (spare, file) = (self.0.join(SPARE_FILE), self.0.join(FILE));
        overwrite(&spare, &text)?;
        if let Err(error) = file::exchange(&spare, &file) {
            // The first of this directory, or a file system that cannot do it.
            tracing::debug!(%error, "the file of the vote is replaced");
            fs::rename(&spare, &file)?;
            // In time: without it, only a later vote needs room.
            drop(overwrite(&spare, &text));
        }
        File::open(&self.0)?.sync_all()?;
        // The directory itself may be new.
        match self.0.parent() {
            Some(parent) => File::open(parent)?.sync_all(),
            None => Ok(()),
        }
    }
}

/// In the blocks that the file has, if it has any; durable on return.
fn overwrite(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    file.write_all(text.as_bytes())?;
    file.set_len(text.len() as u64)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use model::{BrokerId, LeaderEpoch};

    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn what_was_written_is_read_back() {
        let scratch = Scratch::new();
        let file = QuorumState::new(&scratch);
        assert_eq!(file.read().unwrap(), HardState::default());
        for (epoch, voted_for) in [(3, None), (4, Some(BrokerId(0))), (4, Some(BrokerId(12)))] {
            let state = HardState { epoch: LeaderEpoch(epoch), voted_for };
            file.write(state).unwrap();
            assert_eq!(file.read().unwrap(), state);
        }
    }

    /// Another file than the one that counts, so that a crash in the middle of a write leaves that one whole.
    #[test]
    fn the_file_before_is_kept_for_the_next_vote() {
        let scratch = Scratch::new();
        let file = QuorumState::new(&scratch);
        let inode = |name: &str| fs::metadata(scratch.join("__cluster_metadata-0").join(name)).unwrap().ino();
        file.write(HardState { epoch: LeaderEpoch(1_000_000), voted_for: Some(BrokerId(1)) }).unwrap();
        let (first, second) = (inode(FILE), inode(SPARE_FILE));
        assert_ne!(first, second);
        for epoch in [7, 8] {
            let state = HardState { epoch: LeaderEpoch(epoch), voted_for: None };
            file.write(state).unwrap();
            assert_eq!(file.read().unwrap(), state);
        }
        assert_eq!((inode(FILE), inode(SPARE_FILE)), (first, second));
    }

    #[test]
    fn a_damaged_file_is_no_new_voter() {
        let scratch = Scratch::new();
        let file = QuorumState::new(&scratch);
        file.write(HardState { epoch: LeaderEpoch(3), voted_for: None }).unwrap();
        for text in
            ["", "{}", "{\"leaderEpoch\":3", "{\"leaderEpoch\":x,\"votedId\":1}", "{\"leaderEpoch\":3}"]
        {
            fs::write(scratch.join("__cluster_metadata-0/quorum-state"), text).unwrap();
            assert!(file.read().is_err(), "{text}");
        }
    }
}
