//! Kafka's offset checkpoint files, text for people and machines: recovery points, high watermarks, log starts. One
//! of each for a data directory, written whole; the control pump writes them, any shard may have given the values.
//!
//! ```text
//!   0                    version
//!   2                    entries that follow
//!   orders 0 1712        topic, partition, offset
//!   orders 1 88
//! ```
//! A file that does not parse is refused with its line. What is lost then is time, not records: recovery scans more.

use std::{collections::BTreeMap, fmt::Write as _};

use model::{Offset, PartitionIndex, TopicId, TopicPartition};

/// Everything below is on stable storage in its segment.
pub const RECOVERY_POINT_FILE: &str = "recovery-point-offset-checkpoint";
/// High watermarks.
pub const REPLICATION_OFFSET_FILE: &str = "replication-offset-checkpoint";
/// Where compaction goes on.
pub const CLEANER_OFFSET_FILE: &str = "cleaner-offset-checkpoint";
pub const LOG_START_OFFSET_FILE: &str = "log-start-offset-checkpoint";

/// More entries than any broker has partitions.
pub const ENTRIES_MAX: usize = 1 << 20;
/// The longest line that can be right: a topic name of 249 characters and two numbers.
const LINE_BYTES_MAX: usize = 512;
const VERSION: &str = "0";
const NO_TOPIC: TopicId = TopicId([0; 16]);

/// Which line is wrong, counted from 1, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct MalformedCheckpoint {
    pub line: usize,
    pub problem: CheckpointProblem,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CheckpointProblem {
    #[error("the version is not {VERSION}")]
    Version,
    #[error("the number of entries is missing or not plausible")]
    Count,
    #[error("the file ends before its last entry")]
    Truncated,
    #[error("there are more entries than announced")]
    Surplus,
    #[error("this is not an entry")]
    Entry,
    #[error("this entry contradicts one before it")]
    Conflict,
}

/// One offset for each partition, by topic name as the folders are.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OffsetCheckpoint {
    topics: BTreeMap<String, BTreeMap<PartitionIndex, Offset>>,
}

impl OffsetCheckpoint {
    pub fn read(bytes: &[u8]) -> Result<Self, MalformedCheckpoint> {
        let mut checkpoint = Self::default();
        read_entries(bytes, ENTRIES_MAX, |fields| {
            let [topic, partition, offset] = fields else { return Err(CheckpointProblem::Entry) };
            let partition =
                partition.parse::<i32>().ok().filter(|p| *p >= 0).ok_or(CheckpointProblem::Entry)?;
            let offset = offset.parse::<i64>().ok().filter(|o| *o >= 0).ok_or(CheckpointProblem::Entry)?;
            match checkpoint.set(topic, PartitionIndex(partition), Offset(offset)) {
                None => Ok(()),
                Some(_) => Err(CheckpointProblem::Conflict),
            }
        })?;
        Ok(checkpoint)
    }

    pub fn write(&self) -> Vec<u8> {
        let lines = self.iter().map(|(topic, partition, offset)| format!("{topic} {partition} {offset}"));
        write_entries(lines)
    }

    /// In which life of the data directory the file was written; 0 if it does not say. A topic of all zeros stands for it.
    pub fn life(&self) -> i64 {
        self.get(&NO_TOPIC.to_string(), PartitionIndex(0)).map_or(0, |life| life.0)
    }

    pub fn set_life(&mut self, life: i64) {
        self.set(&NO_TOPIC.to_string(), PartitionIndex(0), Offset(life));
    }

    /// The entries of a file that goes by topic id; what is no id is the error.
    pub fn by_id(&self) -> Result<Vec<(TopicPartition, Offset)>, String> {
        let mut entries = Vec::new();
        for (topic, partition, offset) in self.iter() {
            let id = TopicId::from_base64(topic).ok_or_else(|| format!("{topic} is no topic id"))?;
            if id != NO_TOPIC {
                entries.push((TopicPartition::new(id, partition), offset));
            }
        }
        Ok(entries)
    }

    pub fn get(&self, topic: &str, partition: PartitionIndex) -> Option<Offset> {
        self.topics.get(topic)?.get(&partition).copied()
    }

    /// Returns what stood there before.
    pub fn set(&mut self, topic: &str, partition: PartitionIndex, offset: Offset) -> Option<Offset> {
        match self.topics.get_mut(topic) {
            Some(partitions) => partitions.insert(partition, offset),
            None => {
                self.topics.insert(topic.to_owned(), BTreeMap::from([(partition, offset)]));
                None
            }
        }
    }

    pub fn remove(&mut self, topic: &str, partition: PartitionIndex) -> Option<Offset> {
        let partitions = self.topics.get_mut(topic)?;
        let removed = partitions.remove(&partition);
        if partitions.is_empty() {
            self.topics.remove(topic);
        }
        removed
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, PartitionIndex, Offset)> {
        self.topics
            .iter()
            .flat_map(|(topic, partitions)| partitions.iter().map(move |(&p, &o)| (topic.as_str(), p, o)))
    }
}

/// Walks a file of this kind: `entry` gets the fields of each line and says what is wrong with it.
pub(crate) fn read_entries(
    bytes: &[u8],
    entries_max: usize,
    mut entry: impl FnMut(&[&str]) -> Result<(), CheckpointProblem>,
) -> Result<(), MalformedCheckpoint> {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let mut lines = bytes.split(|&b| b == b'\n').zip(1usize..);
    let mut next = |problem| match lines.next() {
        Some((text, line)) => (line, text_of(text)),
        None => (0, Err(problem)),
    };
    let (_, version) = next(CheckpointProblem::Version);
    if version != Ok(VERSION) {
        return Err(MalformedCheckpoint { line: 1, problem: CheckpointProblem::Version });
    }
    let (_, count) = next(CheckpointProblem::Count);
    let count = count.ok().and_then(|c| c.parse::<usize>().ok()).filter(|c| *c <= entries_max);
    let count = count.ok_or(MalformedCheckpoint { line: 2, problem: CheckpointProblem::Count })?;
    for line in 3..3 + count {
        let fail = |problem| MalformedCheckpoint { line, problem };
        let text = next(CheckpointProblem::Truncated).1.map_err(fail)?;
        let mut fields = [""; 3];
        let mut fields_count = 0;
        for field in text.split_ascii_whitespace() {
            *fields.get_mut(fields_count).ok_or(fail(CheckpointProblem::Entry))? = field;
            fields_count += 1;
        }
        entry(&fields[..fields_count]).map_err(fail)?;
    }
    match next(CheckpointProblem::Surplus) {
        (0, _) => Ok(()),
        (line, _) => Err(MalformedCheckpoint { line, problem: CheckpointProblem::Surplus }),
    }
}

fn text_of(line: &[u8]) -> Result<&str, CheckpointProblem> {
    if line.len() > LINE_BYTES_MAX {
        return Err(CheckpointProblem::Entry);
    }
    std::str::from_utf8(line).map(str::trim_ascii).map_err(|_| CheckpointProblem::Entry)
}

pub(crate) fn write_entries(entries: impl Iterator<Item = String>) -> Vec<u8> {
    let (mut body, mut count) = (String::new(), 0);
    for entry in entries {
        body.push_str(&entry);
        body.push('\n');
        count += 1;
    }
    let mut text = String::with_capacity(body.len() + 16);
    let _ = writeln!(text, "{VERSION}\n{count}");
    text.push_str(&body);
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn kafkas_text_is_read_and_written() {
        let text = b"0\n3\na-b 11 9223372036854775807\nlogs 0 0\nlogs 2 17\n";
        let checkpoint = OffsetCheckpoint::read(text).unwrap();
        assert_eq!(checkpoint.get("logs", PartitionIndex(2)), Some(Offset(17)));
        assert_eq!(checkpoint.get("logs", PartitionIndex(1)), None);
        assert_eq!(checkpoint.iter().count(), 3);
        assert_eq!(checkpoint.write(), text);
        assert_eq!(OffsetCheckpoint::default().write(), b"0\n0\n");
    }

    #[test]
    fn a_malformed_file_names_its_line() {
        use CheckpointProblem::*;
        fn check(text: &str, expected: (usize, CheckpointProblem)) {
            let error = OffsetCheckpoint::read(text.as_bytes()).unwrap_err();
            assert_eq!((error.line, error.problem), expected, "{text:?}");
        }
        check("", (1, Version));
        check("1\n0\n", (1, Version));
        check("0\n", (2, Count));
        check("0\n-1\n", (2, Count));
        check("0\n99999999999999999999\n", (2, Count));
        check("0\n1048577\n", (2, Count));
        check("0\n1\n", (3, Truncated));
        check("0\n2\na 0 1\n", (4, Truncated));
        check("0\n1\na 0\n", (3, Entry));
        check("0\n1\na 0 1 2\n", (3, Entry));
        check("0\n1\na x 1\n", (3, Entry));
        check("0\n1\na -1 1\n", (3, Entry));
        check("0\n1\na 0 -1\n", (3, Entry));
        check("0\n2\na 0 1\n\n", (4, Entry));
        check("0\n0\na 0 1\n", (3, Surplus));
        check("0\n2\na 0 1\na 0 2\n", (4, Conflict));
    }

    #[test]
    fn foreign_line_ends_and_spaces_are_forgiven() {
        let checkpoint = OffsetCheckpoint::read(b"0\r\n1\r\na  0\t5\r\n").unwrap();
        assert_eq!(checkpoint.get("a", PartitionIndex(0)), Some(Offset(5)));
        assert!(OffsetCheckpoint::read(b"0\n1\na 0 5").is_ok());
    }

    #[test]
    fn removal_leaves_no_empty_topic() {
        let mut checkpoint = OffsetCheckpoint::default();
        checkpoint.set("a", PartitionIndex(3), Offset(5));
        assert_eq!(checkpoint.remove("a", PartitionIndex(4)), None);
        assert_eq!(checkpoint.remove("a", PartitionIndex(3)), Some(Offset(5)));
        assert_eq!(checkpoint, OffsetCheckpoint::default());
    }

    proptest! {
        #[test]
        fn files_come_back(
            entries in proptest::collection::btree_map(("[a-zA-Z0-9._-]{1,9}", 0i32..9), 0i64.., 0..40),
        ) {
            let mut checkpoint = OffsetCheckpoint::default();
            for ((topic, partition), offset) in &entries {
                checkpoint.set(topic, PartitionIndex(*partition), Offset(*offset));
            }
            prop_assert_eq!(checkpoint.iter().count(), entries.len());
            prop_assert_eq!(OffsetCheckpoint::read(&checkpoint.write()).unwrap(), checkpoint);
        }

        #[test]
        fn foreign_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = OffsetCheckpoint::read(&bytes);
            let mut file = b"0\n2\n".to_vec();
            file.extend(&bytes);
            let _ = OffsetCheckpoint::read(&file);
        }

        #[test]
        fn a_file_cut_short_is_refused_or_whole(cut in 0usize..40) {
            let whole = b"0\n3\na 0 1\na 1 2\nb 0 31\n";
            let cut = cut.min(whole.len());
            // Only the last line's end may be lost without a trace; a shorter number there is why files are
            // replaced by rename and never in place.
            let read = OffsetCheckpoint::read(&whole[..cut]);
            prop_assert_eq!(read.is_ok(), cut >= whole.len() - 2);
        }
    }
}
