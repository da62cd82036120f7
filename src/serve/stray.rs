//! Folders that belong to no partition of this broker. A crash between the record that deletes a topic and the removal of
//! its folders leaves such; so does whoever copies a folder in. The first are removed, the second are set aside for a
//! person, and neither is ever opened. Sorted out only after a stop that was not in order; on shard 0, before any log is
//! opened.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context;
use coordinator::{Image, controller::names::METADATA_TOPIC};
use engine::properties::{
    PARTITION_METADATA_FILE, PartitionMetadata,
    names::{DirState, PartitionDir, dir_name_as},
};
use model::TopicId;

/// What becomes of a folder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Keep,
    Delete,
    SetAside,
}

/// Folders under the name of deleted ones, however the last stop was: they wait for their delay to be over.
pub fn deleted(data_dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(data_dir)? {
        let entry = entry?;
        let dir = entry.file_name().to_str().and_then(PartitionDir::parse);
        if dir.is_some_and(|dir| dir.state == DirState::Delete) {
            folders.push(entry.path());
        }
    }
    Ok(folders)
}

/// Gives every folder that is not to be kept the name that says so.
pub fn sort_out(
    data_dir: &Path,
    image: &Image,
    removed: &BTreeSet<TopicId>,
    perhaps_removed: &BTreeSet<TopicId>,
) -> anyhow::Result<()> {
    let cannot = || format!("cannot read {}", data_dir.display());
    let mut deleted = 0;
    for entry in fs::read_dir(data_dir).with_context(cannot)? {
        let entry = entry.with_context(cannot)?;
        let parsed = entry.file_name().to_str().and_then(PartitionDir::parse);
        let Some(dir) = parsed.filter(|dir| dir.state == DirState::Live && dir.topic != METADATA_TOPIC)
        else {
            continue;
        };
        let id = topic_id(&entry.path());
        let state = match fate(&dir, id, image, removed) {
            _ if id.is_some_and(|id| perhaps_removed.contains(&id)) => continue,
            Fate::Keep => continue,
            Fate::Delete => DirState::Delete,
            Fate::SetAside => DirState::Stray,
        };
        let unique = *uuid::Uuid::new_v4().as_bytes();
        let aside = data_dir.join(dir_name_as(&dir.topic, dir.partition, state, unique));
        if state == DirState::Delete {
            deleted += 1;
        } else {
            warn_of_stray(&entry.path(), &aside);
        }
        fs::rename(entry.path(), &aside)
            .with_context(|| format!("cannot rename {}", entry.path().display()))?;
    }
    if deleted > 0 {
        tracing::info!("{deleted} folders belong to topics that were deleted, and go");
    }
    Ok(())
}

fn warn_of_stray(from: &Path, to: &Path) {
    tracing::warn!(
        "{} belongs to no partition of this broker and is now {}; delete it once you know that nobody needs it",
        from.display(),
        to.display()
    );
}

fn topic_id(folder: &Path) -> Option<TopicId> {
    let bytes = fs::read(folder.join(PARTITION_METADATA_FILE)).ok()?;
    PartitionMetadata::read(&bytes).ok().map(|metadata| metadata.topic_id)
}

fn fate(dir: &PartitionDir, id: Option<TopicId>, image: &Image, removed: &BTreeSet<TopicId>) -> Fate {
    let topic = image.topic(&dir.topic).filter(|topic| topic.partition(dir.partition).is_some());
    match (topic, id) {
        // A crash may have left `partition.metadata` empty; then the name has to do.
        (Some(topic), id) if id.is_none_or(|id| id == topic.id) => Fate::Keep,
        (_, Some(id)) if removed.contains(&id) => Fate::Delete,
        _ => Fate::SetAside,
    }
}

#[cfg(test)]
mod tests {
    use coordinator::{
        MetadataRecord,
        metadata::{PartitionRecord, TopicRecord},
    };
    use model::{BrokerId, LeaderEpoch, Offset, PartitionIndex};

    use super::*;
    use crate::scratch::Scratch;

    const LIVE: TopicId = TopicId([1; 16]);
    const GONE: TopicId = TopicId([2; 16]);
    const MAYBE: TopicId = TopicId([4; 16]);

    /// One topic of one partition.
    fn image() -> Image {
        let mut image = Image::new("c");
        let topic = MetadataRecord::Topic(TopicRecord { id: LIVE, name: "logs".into() });
        image.apply(Offset(0), &topic).unwrap();
        let partition = PartitionRecord {
            topic: LIVE,
            index: PartitionIndex(0),
            leader: Some(BrokerId(1)),
            leader_epoch: LeaderEpoch(0),
            replicas: vec![BrokerId(1)],
            isr: vec![BrokerId(1)],
            partition_epoch: 0,
        };
        image.apply(Offset(1), &MetadataRecord::Partition(partition)).unwrap();
        image
    }

    #[test]
    fn only_what_the_metadata_knows_is_kept() {
        fn check(name: &str, id: Option<TopicId>, expected: Fate) {
            let dir = PartitionDir::parse(name).unwrap();
            assert_eq!(fate(&dir, id, &image(), &BTreeSet::from([GONE])), expected, "{name} {id:?}");
        }
        check("logs-0", Some(LIVE), Fate::Keep);
        check("logs-0", None, Fate::Keep);
        check("logs-0", Some(GONE), Fate::Delete);
        check("logs-0", Some(TopicId([3; 16])), Fate::SetAside);
        check("logs-1", Some(LIVE), Fate::SetAside);
        check("other-0", Some(GONE), Fate::Delete);
        check("other-0", None, Fate::SetAside);
    }

    #[test]
    fn folders_are_renamed_and_nothing_else_is_touched() {
        let dir = Scratch::new();
        for (name, id) in
            [("logs-0", LIVE), ("gone-3", GONE), ("maybe-0", MAYBE), ("copied-0", TopicId([3; 16]))]
        {
            fs::create_dir_all(dir.join(name)).unwrap();
            fs::write(dir.join(name).join("partition.metadata"), PartitionMetadata { topic_id: id }.write())
                .unwrap();
        }
        fs::create_dir_all(dir.join("journal")).unwrap();
        fs::create_dir_all(dir.join("__cluster_metadata-0")).unwrap();
        sort_out(&dir, &image(), &BTreeSet::from([GONE]), &BTreeSet::from([MAYBE])).unwrap();
        let mut names: Vec<String> =
            fs::read_dir(&*dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names.len(), 6);
        assert_eq!(
            (names[0].as_str(), names[3].as_str(), names[4].as_str(), names[5].as_str()),
            ("__cluster_metadata-0", "journal", "logs-0", "maybe-0")
        );
        assert!(names[1].starts_with("copied-0.") && names[1].ends_with("-stray"), "{}", names[1]);
        assert_eq!(deleted(&dir).unwrap(), [dir.join(&names[2])]);
        assert!(names[2].starts_with("gone-3.") && names[2].ends_with("-delete"), "{}", names[2]);
    }
}
