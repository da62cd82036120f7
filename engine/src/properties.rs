//! The two small files that say whose a folder is: `meta.properties` of a data directory, `partition.metadata` of a
//! partition. Text in Java's properties syntax, read with every form that syntax allows and written in the one that
//! Kafka writes. Names of folders and segment files are in `names`. Used at start, at topic creation and by tools.

use std::{collections::BTreeMap, fmt::Write as _};

use model::{BrokerId, TopicId};

pub mod names;

pub const META_PROPERTIES_FILE: &str = "meta.properties";
pub const PARTITION_METADATA_FILE: &str = "partition.metadata";
/// Both files are a few lines; a larger one is something else.
pub const PROPERTIES_BYTES_MAX: usize = 64 * 1024;

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PropertiesError {
    #[error("{bytes} bytes are too many for such a file")]
    TooLarge { bytes: usize },
    #[error("line {line}: the escape is not complete")]
    BadEscape { line: usize },
    #[error("{key} is missing")]
    Missing { key: &'static str },
    #[error("{key} cannot be '{value}'")]
    BadValue { key: &'static str, value: String },
}

/// Keys and values of a properties file, by key.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Properties {
    pub values: BTreeMap<String, String>,
}

impl Properties {
    /// Reads Java's syntax: `#` and `!` comments, `=`, `:` or blanks between key and value, lines continued by a
    /// backslash, escapes. Bytes that are not UTF-8 are Latin-1, as Java reads them. A later value of a key wins.
    pub fn read(bytes: &[u8]) -> Result<Self, PropertiesError> {
        if bytes.len() > PROPERTIES_BYTES_MAX {
            return Err(PropertiesError::TooLarge { bytes: bytes.len() });
        }
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => bytes.iter().map(|&b| char::from(b)).collect(),
        };
        let mut properties = Self::default();
        for (line, text) in logical_lines(&text) {
            let (key, value) = split_key(&text);
            let bad = PropertiesError::BadEscape { line };
            let key = unescape(key).ok_or(bad.clone())?;
            let value = unescape(value).ok_or(bad)?;
            properties.values.insert(key, value);
        }
        Ok(properties)
    }

    /// An empty comment and the keys in order, as Kafka's tool leaves them but for the date.
    pub fn write(&self) -> Vec<u8> {
        let mut text = String::from("#\n");
        for (key, value) in &self.values {
            escape(&mut text, key, true);
            text.push('=');
            escape(&mut text, value, false);
            text.push('\n');
        }
        text.into_bytes()
    }

    pub fn get(&self, key: &'static str) -> Result<&str, PropertiesError> {
        self.values.get(key).map(String::as_str).ok_or(PropertiesError::Missing { key })
    }

    fn expect_version(&self, version: i32) -> Result<(), PropertiesError> {
        let key = "version";
        if self.number(key)? == version {
            return Ok(());
        }
        Err(PropertiesError::BadValue { key, value: self.get(key)?.to_owned() })
    }

    fn number(&self, key: &'static str) -> Result<i32, PropertiesError> {
        let value = self.get(key)?;
        let bad = || PropertiesError::BadValue { key, value: value.to_owned() };
        value.trim().parse::<i32>().ok().filter(|n| *n >= 0).ok_or_else(bad)
    }
}

/// Natural lines joined over their backslashes, without comments, blank lines and leading blanks; each with the number
/// of its first line.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = vec![];
    let mut continued = false;
    let text = text.replace("\r\n", "\n");
    for (number, natural) in (1..).zip(text.split(['\n', '\r'])) {
        let natural = natural.trim_start_matches(BLANKS);
        if !continued && (natural.is_empty() || natural.starts_with(['#', '!'])) {
            continue;
        }
        let backslashes = natural.bytes().rev().take_while(|&b| b == b'\\').count();
        let continues = backslashes % 2 == 1;
        let kept = if continues { &natural[..natural.len() - 1] } else { natural };
        match lines.last_mut() {
            Some((_, line)) if continued => line.push_str(kept),
            _ => lines.push((number, kept.to_owned())),
        }
        continued = continues;
    }
    lines
}

const BLANKS: [char; 3] = [' ', '\t', '\x0c'];

/// The key ends before the first `=`, `:` or blank without a backslash; one separator and the blanks around it go.
fn split_key(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line.find(|c: char| {
        let ends = !escaped && (c == '=' || c == ':' || BLANKS.contains(&c));
        escaped = c == '\\' && !escaped;
        ends
    });
    let (key, rest) = line.split_at(end.unwrap_or(line.len()));
    let rest = rest.trim_start_matches(BLANKS);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (key, rest.trim_start_matches(BLANKS))
}

fn unescape(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    // Java writes characters above U+FFFF as two escapes: UTF-16 units are gathered until they make sense.
    let mut units: Vec<u16> = vec![];
    while let Some(c) = rest.next() {
        let escaped = if c == '\\' { Some(rest.next().unwrap_or('\\')) } else { None };
        if escaped == Some('u') {
            let digits: String = rest.by_ref().take(4).collect();
            if digits.len() != 4 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
                return None;
            }
            units.push(u16::from_str_radix(&digits, 16).ok()?);
            continue;
        }
        out.extend(char::decode_utf16(units.drain(..)).map(|u| u.unwrap_or(char::REPLACEMENT_CHARACTER)));
        out.push(match escaped {
            None => c,
            Some('t') => '\t',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('f') => '\x0c',
            Some(other) => other,
        });
    }
    out.extend(char::decode_utf16(units.drain(..)).map(|u| u.unwrap_or(char::REPLACEMENT_CHARACTER)));
    Some(out)
}

fn escape(out: &mut String, text: &str, is_key: bool) {
    let mut leading = true;
    for c in text.chars() {
        let blank = c == ' ' && (is_key || leading);
        leading &= c == ' ';
        match c {
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\x0c' => out.push_str("\\f"),
            '\\' | '=' | ':' | '#' | '!' => out.extend(['\\', c]),
            ' ' if blank => out.push_str("\\ "),
            ' '..='~' => out.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04X}");
                }
            }
        }
    }
}

/// `meta.properties`: which broker of which cluster owns a data directory. A broker that finds another's refuses it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MetaProperties {
    pub cluster_id: String,
    pub node_id: BrokerId,
    /// Tells the directories of one broker apart; 22 characters of base64, as topic ids are written.
    pub directory_id: Option<String>,
}

impl MetaProperties {
    pub fn read(bytes: &[u8]) -> Result<Self, PropertiesError> {
        let properties = Properties::read(bytes)?;
        // Version 0 was ZooKeeper's; Kafka 4 migrates from it only by way of 3.9.
        properties.expect_version(1)?;
        let directory_id = properties.values.get("directory.id").cloned();
        if let Some(value) = directory_id.as_ref().filter(|id| TopicId::from_base64(id).is_none()) {
            return Err(PropertiesError::BadValue { key: "directory.id", value: value.clone() });
        }
        let cluster_id = properties.get("cluster.id")?.to_owned();
        Ok(Self { cluster_id, node_id: BrokerId(properties.number("node.id")?), directory_id })
    }

    pub fn write(&self) -> Vec<u8> {
        let mut properties = Properties::default();
        let mut set = |key: &str, value: String| properties.values.insert(key.to_owned(), value);
        set("version", "1".to_owned());
        set("cluster.id", self.cluster_id.clone());
        set("node.id", self.node_id.to_string());
        if let Some(id) = &self.directory_id {
            set("directory.id", id.clone());
        }
        properties.write()
    }
}

/// `partition.metadata`: the topic id of a partition's folder. Without it a re-created topic would wake up with the
/// records of the old one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PartitionMetadata {
    pub topic_id: TopicId,
}

impl PartitionMetadata {
    pub fn read(bytes: &[u8]) -> Result<Self, PropertiesError> {
        let properties = Properties::read(bytes)?;
        properties.expect_version(0)?;
        let id = properties.get("topic_id")?;
        let bad = || PropertiesError::BadValue { key: "topic_id", value: id.to_owned() };
        let topic_id = TopicId::from_base64(id).filter(|id| *id != TopicId::ZERO).ok_or_else(bad)?;
        Ok(Self { topic_id })
    }

    pub fn write(&self) -> Vec<u8> {
        format!("version: 0\ntopic_id: {}", self.topic_id).into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn javas_syntax_is_read() {
        fn check(text: &str, expected: &[(&str, &str)]) {
            let got = Properties::read(text.as_bytes()).unwrap().values;
            let expected = expected.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
            assert_eq!(got, expected, "{text:?}");
        }
        check("", &[]);
        check("#c\n!c\n  # c\n\n \t\n", &[]);
        check("a=1\nb:2\nc 3\n", &[("a", "1"), ("b", "2"), ("c", "3")]);
        check("a = 1\n  b\t:\t2 \n", &[("a", "1"), ("b", "2 ")]);
        check("a==1\nb= :2\nc\n", &[("a", "=1"), ("b", ":2"), ("c", "")]);
        check("a=1\r\nb=2\rc=3", &[("a", "1"), ("b", "2"), ("c", "3")]);
        check("a=1\\\n   2\\\n\\\n3\n", &[("a", "123")]);
        check("a=1\\\\\nb=2\n", &[("a", "1\\"), ("b", "2")]);
        check("a=1\\\n# no comment\n", &[("a", "1# no comment")]);
        check("a\\=\\:\\ b=\\t\\n\\q\\u00e9\n", &[("a=: b", "\t\nq\u{e9}")]);
        check("a=\\uD83D\\uDE00!\n", &[("a", "\u{1f600}!")]);
        check("a=1\na=2\n", &[("a", "2")]);
        check("=1\n", &[("", "1")]);
        assert_eq!(Properties::read(b"a=\xe9").unwrap().values["a"], "\u{e9}");
    }

    #[test]
    fn a_broken_escape_names_its_line() {
        fn check(text: &str, line: usize) {
            assert_eq!(
                Properties::read(text.as_bytes()),
                Err(PropertiesError::BadEscape { line }),
                "{text:?}"
            );
        }
        check("a=\\u12", 1);
        check("#\n\na=\\u12xy\n", 3);
        check("a=1\nb\\u+123=3", 2);
        let bytes = PROPERTIES_BYTES_MAX + 1;
        assert_eq!(Properties::read(&vec![b'a'; bytes]), Err(PropertiesError::TooLarge { bytes }));
    }

    #[test]
    fn meta_properties_are_read_and_written() {
        let text = "#\n#Sun Nov 23 18:09:51 UTC 2025\ncluster.id=MkU3OEVBNTcwNTJENDM2Qg\n\
                    directory.id=AAAAAAAAAAAAAAAAAAAAAQ\nnode.id=3\nversion=1\n";
        let meta = MetaProperties::read(text.as_bytes()).unwrap();
        assert_eq!(meta.cluster_id, "MkU3OEVBNTcwNTJENDM2Qg");
        assert_eq!(meta.node_id, BrokerId(3));
        assert_eq!(meta.directory_id.as_deref(), Some("AAAAAAAAAAAAAAAAAAAAAQ"));
        let written = String::from_utf8(meta.write()).unwrap();
        assert_eq!(written, text.replace("#Sun Nov 23 18:09:51 UTC 2025\n", ""));
        assert_eq!(MetaProperties::read(written.as_bytes()), Ok(meta));
    }

    #[test]
    fn a_wrong_meta_properties_says_what_is_wrong() {
        fn check(text: &str, expected: &str) {
            assert_eq!(MetaProperties::read(text.as_bytes()).unwrap_err().to_string(), expected, "{text:?}");
        }
        check("", "version is missing");
        check("version=2", "version cannot be '2'");
        check("version=0\nbroker.id=1", "version cannot be '0'");
        check("version=1\nnode.id=1", "cluster.id is missing");
        check("version=1\ncluster.id=x", "node.id is missing");
        check("version=1\ncluster.id=x\nnode.id=-1", "node.id cannot be '-1'");
        check("version=1\ncluster.id=x\nnode.id=1\ndirectory.id=y", "directory.id cannot be 'y'");
    }

    #[test]
    fn partition_metadata_is_read_and_written() {
        let topic_id = TopicId([7; 16]);
        let text = format!("version: 0\ntopic_id: {topic_id}");
        assert_eq!(PartitionMetadata { topic_id }.write(), text.as_bytes());
        assert_eq!(PartitionMetadata::read(text.as_bytes()), Ok(PartitionMetadata { topic_id }));
        assert_eq!(
            PartitionMetadata::read(format!("{text}\n").as_bytes()),
            Ok(PartitionMetadata { topic_id })
        );
        for bad in
            ["", "version: 0\n", "version: 1\ntopic_id: x", "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA"]
        {
            assert!(PartitionMetadata::read(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_survives(values in proptest::collection::btree_map(any::<String>(), any::<String>(), 0..6)) {
            let properties = Properties { values };
            let bytes = properties.write();
            prop_assert!(bytes.is_ascii());
            prop_assert_eq!(Properties::read(&bytes).unwrap(), properties);
        }

        #[test]
        fn foreign_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Properties::read(&bytes);
            let _ = MetaProperties::read(&bytes);
            let _ = PartitionMetadata::read(&bytes);
        }

        #[test]
        fn foreign_text_never_panics(text in "[=: \\\\u0d#!ab\n\r]{0,60}") {
            let _ = Properties::read(text.as_bytes());
        }
    }
}
