//! Names in a data directory: `topic-partition` folders with what may hang on them, and segment files by their base
//! offset. Names come from a disk that others write too, so parsing accepts exactly what writing makes.
//!
//! ```text
//!   logs-3                                             live
//!   logs-3.0a1b2c3d4e5f60718293a4b5c6d7e8f9-delete     being removed
//!   logs-3.0a1b2c3d4e5f60718293a4b5c6d7e8f9-future     being filled, to replace the live one in another directory
//!   logs-3.0a1b2c3d4e5f60718293a4b5c6d7e8f9-stray      belongs to no partition of this broker; left for a person
//! ```

use std::fmt;

use model::{Offset, PartitionIndex};

pub const TOPIC_BYTES_MAX: usize = 249;
/// What file systems allow.
pub const FILE_NAME_BYTES_MAX: usize = 255;

/// What a partition's folder is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DirState {
    Live,
    Delete,
    Future,
    Stray,
}

impl DirState {
    const SUFFIXED: [(Self, &'static str); 3] =
        [(Self::Delete, "-delete"), (Self::Future, "-future"), (Self::Stray, "-stray")];
}

/// A partition's folder. Of a folder under deletion or a stray one the topic may be cut short.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionDir {
    pub topic: String,
    pub partition: PartitionIndex,
    pub state: DirState,
}

/// `logs-3`
pub fn dir_name(topic: &str, partition: PartitionIndex) -> String {
    format!("{topic}-{partition}")
}

/// The name under which a live folder goes on as `state`. `unique` keeps two folders of one partition apart. A name
/// that would be too long loses the end of its topic, never its partition.
pub fn dir_name_as(topic: &str, partition: PartitionIndex, state: DirState, unique: [u8; 16]) -> String {
    let Some((_, suffix)) = DirState::SUFFIXED.iter().find(|(s, _)| *s == state) else {
        return dir_name(topic, partition);
    };
    let tail = format!("-{partition}.{:032x}{suffix}", u128::from_be_bytes(unique));
    let room = FILE_NAME_BYTES_MAX - tail.len();
    let topic = topic.get(..room.min(topic.len())).unwrap_or("");
    format!("{topic}{tail}")
}

impl PartitionDir {
    /// `None`: no folder of a partition.
    pub fn parse(name: &str) -> Option<Self> {
        let suffixed = DirState::SUFFIXED
            .iter()
            .find_map(|&(state, suffix)| Some((state, name.strip_suffix(suffix)?)))
            .and_then(|(state, rest)| {
                // A topic may itself be called `a.b-delete`: only a unique id makes it a suffix.
                let (rest, unique) = rest.rsplit_once('.')?;
                is_unique(unique).then_some((state, rest))
            });
        let (state, rest) = suffixed.unwrap_or((DirState::Live, name));
        let (topic, partition) = rest.rsplit_once('-')?;
        let partition = parse_canonical(partition)?;
        is_topic(topic).then(|| Self { topic: topic.to_owned(), partition: PartitionIndex(partition), state })
    }
}

/// Kafka's rule for topic names.
pub fn is_topic(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= TOPIC_BYTES_MAX
        && name != "."
        && name != ".."
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// A UUID's digits without its dashes, as Kafka writes them.
fn is_unique(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// A number in the one way that it is written: no sign, no leading zero.
fn parse_canonical(text: &str) -> Option<i32> {
    let canonical = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if canonical { text.parse().ok() } else { None }
}

/// What hangs on the name of a segment's file that was found corrupt and is kept for a person: no file of a segment any more.
pub const DAMAGED_SUFFIX: &str = ".damaged";

pub fn is_damaged(name: &str) -> bool {
    name.strip_suffix(DAMAGED_SUFFIX).is_some_and(|name| SegmentFileName::parse(name).is_some())
}

/// What a segment keeps in a file of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum SegmentFile {
    Log,
    OffsetIndex,
    TimeIndex,
    TransactionIndex,
    Snapshot,
}

impl SegmentFile {
    pub const ALL: [Self; 5] =
        [Self::Log, Self::OffsetIndex, Self::TimeIndex, Self::TransactionIndex, Self::Snapshot];

    pub fn suffix(self) -> &'static str {
        match self {
            Self::Log => ".log",
            Self::OffsetIndex => ".index",
            Self::TimeIndex => ".timeindex",
            Self::TransactionIndex => ".txnindex",
            Self::Snapshot => ".snapshot",
        }
    }
}

/// In which step of its life a segment file is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileState {
    Live,
    /// `.deleted`: no reader finds it any more.
    Deleted,
    /// `.cleaned`: compaction was writing it; worthless after a crash.
    Cleaned,
    /// `.swap`: complete, about to take the place of older ones; after a crash it does.
    Swap,
}

impl FileState {
    pub const ALL: [Self; 4] = [Self::Live, Self::Deleted, Self::Cleaned, Self::Swap];

    pub fn suffix(self) -> &'static str {
        match self {
            Self::Live => "",
            Self::Deleted => ".deleted",
            Self::Cleaned => ".cleaned",
            Self::Swap => ".swap",
        }
    }
}

/// `00000000000000001712.log`. For a snapshot the offset is the one behind its last batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentFileName {
    pub base_offset: Offset,
    pub file: SegmentFile,
    pub state: FileState,
}

impl SegmentFileName {
    pub fn live(base_offset: Offset, file: SegmentFile) -> Self {
        Self { base_offset, file, state: FileState::Live }
    }

    /// `None`: no file of a segment.
    pub fn parse(name: &str) -> Option<Self> {
        let (digits, rest) = name.split_at_checked(20)?;
        let base_offset = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())??;
        SegmentFile::ALL.iter().find_map(|&file| {
            let end = rest.strip_prefix(file.suffix())?;
            let state = FileState::ALL.into_iter().find(|s| s.suffix() == end)?;
            Some(Self { base_offset: Offset(base_offset), file, state })
        })
    }
}

impl fmt::Display for SegmentFileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:020}{}{}", self.base_offset.0, self.file.suffix(), self.state.suffix())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const UNIQUE: &str = "0a1b2c3d4e5f60718293a4b5c6d7e8f9";

    #[test]
    fn folders_are_recognised() {
        fn check(name: &str, expected: Option<(&str, i32, DirState)>) {
            let got = PartitionDir::parse(name);
            let expected = expected.map(|(topic, partition, state)| PartitionDir {
                topic: topic.to_owned(),
                partition: PartitionIndex(partition),
                state,
            });
            assert_eq!(got, expected, "{name}");
        }
        check("logs-0", Some(("logs", 0, DirState::Live)));
        check("my-logs-12", Some(("my-logs", 12, DirState::Live)));
        check("a.b-3", Some(("a.b", 3, DirState::Live)));
        check("__consumer_offsets-49", Some(("__consumer_offsets", 49, DirState::Live)));
        check("a--1", Some(("a-", 1, DirState::Live)));
        check(&format!("logs-3.{UNIQUE}-delete"), Some(("logs", 3, DirState::Delete)));
        check(&format!("a-b-3.{UNIQUE}-future"), Some(("a-b", 3, DirState::Future)));
        check(&format!("a.b-3.{UNIQUE}-stray"), Some(("a.b", 3, DirState::Stray)));
        check("x-delete-3", Some(("x-delete", 3, DirState::Live)));
        check("logs", None);
        check("logs-", None);
        check("-3", None);
        check("..-3", None);
        check("logs--3x", None);
        check("logs-03", None);
        check("logs-+3", None);
        check("logs-99999999999", None);
        check("lo gs-3", None);
        check("logs-3-delete", None);
        check("logs-3.12ab-delete", None);
        check("logs-3.deleted", None);
        check("lost+found", None);
        check("", None);
        check("journal", None);
    }

    #[test]
    fn a_long_topic_is_cut_to_make_room() {
        let topic = "t".repeat(TOPIC_BYTES_MAX);
        let name = dir_name_as(&topic, PartitionIndex(123), DirState::Delete, [0xab; 16]);
        assert_eq!(name.len(), FILE_NAME_BYTES_MAX);
        let dir = PartitionDir::parse(&name).unwrap();
        assert_eq!((dir.partition, dir.state), (PartitionIndex(123), DirState::Delete));
        assert!(topic.starts_with(&dir.topic));
    }

    #[test]
    fn segment_files_are_recognised() {
        fn check(name: &str, expected: Option<(i64, SegmentFile, FileState)>) {
            let got = SegmentFileName::parse(name).map(|n| (n.base_offset.0, n.file, n.state));
            assert_eq!(got, expected, "{name}");
        }
        check("00000000000000000000.log", Some((0, SegmentFile::Log, FileState::Live)));
        check("00000000000000001712.timeindex", Some((1712, SegmentFile::TimeIndex, FileState::Live)));
        check(
            "00000000000000001712.index.deleted",
            Some((1712, SegmentFile::OffsetIndex, FileState::Deleted)),
        );
        check(
            "00000000000000001712.txnindex.cleaned",
            Some((1712, SegmentFile::TransactionIndex, FileState::Cleaned)),
        );
        check("09223372036854775807.snapshot", Some((i64::MAX, SegmentFile::Snapshot, FileState::Live)));
        check("00000000000000000001.log.swap", Some((1, SegmentFile::Log, FileState::Swap)));
        check("09223372036854775808.log", None);
        check("0000000000000000000.log", None);
        check("000000000000000000000.log", None);
        check("+0000000000000000001.log", None);
        check("00000000000000000001.logs", None);
        check("00000000000000000001", None);
        check("leader-epoch-checkpoint", None);
        check("\u{e9}0000000000000000001.log", None);
    }

    proptest! {
        #[test]
        fn names_come_back(
            topic in "[a-zA-Z0-9._-]{1,249}", partition in 0i32.., unique in any::<[u8; 16]>(),
            state in prop_oneof![Just(DirState::Live), Just(DirState::Delete), Just(DirState::Future), Just(DirState::Stray)],
        ) {
            prop_assume!(is_topic(&topic));
            let name = dir_name_as(&topic, PartitionIndex(partition), state, unique);
            // A topic of 249 characters and a large partition number are longer than a file name may be, in Kafka too.
            let dir = PartitionDir::parse(&name).unwrap();
            prop_assert!(topic.starts_with(&dir.topic));
            prop_assert!(dir.topic == topic || name.len() == FILE_NAME_BYTES_MAX);
            prop_assert_eq!((dir.partition, dir.state), (PartitionIndex(partition), state));
        }

        #[test]
        fn segment_names_come_back(base_offset in 0i64.., file in 0usize..5, state in 0usize..4) {
            let name = SegmentFileName {
                base_offset: Offset(base_offset), file: SegmentFile::ALL[file], state: FileState::ALL[state],
            };
            prop_assert_eq!(SegmentFileName::parse(&name.to_string()), Some(name));
        }

        #[test]
        fn what_parses_is_what_is_written(name in any::<String>()) {
            if let Some(dir) = PartitionDir::parse(&name) && dir.state == DirState::Live {
                prop_assert_eq!(dir_name(&dir.topic, dir.partition), name.clone());
            }
            if let Some(file) = SegmentFileName::parse(&name) {
                prop_assert_eq!(file.to_string(), name);
            }
        }
    }
}
