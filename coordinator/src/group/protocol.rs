//! The consumer's protocol inside the classic one: what a member writes into JoinGroup's metadata and what its leader
//! writes into SyncGroup's assignment. The broker needs it only to know which topics a group reads, and to take a group
//! over from one protocol to the other. Foreign bytes: what cannot be read is "not known".

/// The only protocol type whose bytes the broker looks into.
pub(super) const CONSUMER: &str = "consumer";

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Subscription {
    pub(super) version: i16,
    pub(super) topics: Vec<String>,
    /// Topic and partitions; from version 1.
    pub(super) owned: Vec<(String, Vec<i32>)>,
    pub(super) rack: Option<String>,
}

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn i16(&mut self) -> Option<i16> {
        self.take(2).map(|b| i16::from_be_bytes([b[0], b[1]]))
    }

    fn i32(&mut self) -> Option<i32> {
        self.take(4).map(|b| i32::from_be_bytes([b[0], b[1], b[2], b[3]]))
    }

    fn string(&mut self) -> Option<Option<String>> {
        match usize::try_from(self.i16()?) {
            Ok(length) => Some(Some(str::from_utf8(self.take(length)?).ok()?.to_owned())),
            Err(_) => Some(None),
        }
    }

    fn array<T>(&mut self, mut element: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = usize::try_from(self.i32()?).unwrap_or(0);
        if count > self.0.len() {
            return None;
        }
        let mut elements = vec![];
        for _ in 0..count {
            elements.push(element(self)?);
        }
        Some(elements)
    }

    fn partitions(&mut self) -> Option<(String, Vec<i32>)> {
        Some((self.string()??, self.array(Self::i32)?))
    }
}

/// version, topics, user data; from 1 the owned partitions; from 2 a generation; from 3 a rack. A higher version than
/// these says at least as much.
pub(super) fn subscription(bytes: &[u8]) -> Option<Subscription> {
    let mut bytes = Bytes(bytes);
    let version = bytes.i16().filter(|version| *version >= 0)?;
    let topics = bytes.array(|b| b.string()?)?;
    let mut read = Subscription { version, topics, ..Subscription::default() };
    let user_data = usize::try_from(bytes.i32()?).unwrap_or(0);
    bytes.take(user_data)?;
    if version >= 1 {
        read.owned = bytes.array(Bytes::partitions)?;
    }
    if version >= 2 {
        bytes.i32()?;
    }
    if version >= 3 {
        read.rack = bytes.string()?;
    }
    Some(read)
}

/// Topic and partitions. No bytes at all is no partitions.
pub(super) fn assignment(bytes: &[u8]) -> Option<Vec<(String, Vec<i32>)>> {
    if bytes.is_empty() {
        return Some(vec![]);
    }
    let mut bytes = Bytes(bytes);
    bytes.i16().filter(|version| *version >= 0)?;
    bytes.array(Bytes::partitions)
}

/// version, partitions by topic, no user data.
pub(super) fn encode_assignment(version: i16, partitions: &[(&str, Vec<i32>)]) -> Vec<u8> {
    let count = |n: usize| i32::try_from(n).expect("bounded by the cluster's partitions").to_be_bytes();
    // What was added up to version 3 is not in the assignment.
    let mut bytes = version.clamp(0, 3).to_be_bytes().to_vec();
    bytes.extend(count(partitions.len()));
    for (topic, indexes) in partitions {
        bytes.extend(i16::try_from(topic.len()).expect("at most 249 bytes").to_be_bytes());
        bytes.extend(topic.as_bytes());
        bytes.extend(count(indexes.len()));
        indexes.iter().for_each(|p| bytes.extend(p.to_be_bytes()));
    }
    bytes.extend((-1i32).to_be_bytes());
    bytes
}

/// As a client writes it; for tests of this crate.
#[cfg(test)]
pub(super) fn encode_subscription(topics: &[&str], owned: &[(&str, Vec<i32>)]) -> Vec<u8> {
    let mut bytes = vec![0, 1];
    bytes.extend(i32::try_from(topics.len()).unwrap().to_be_bytes());
    for topic in topics {
        bytes.extend(i16::try_from(topic.len()).unwrap().to_be_bytes());
        bytes.extend(topic.as_bytes());
    }
    bytes.extend((-1i32).to_be_bytes());
    let owned = encode_assignment(1, owned);
    bytes.extend(&owned[2..owned.len() - 4]);
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_subscription_is_read_as_clients_write_it() {
        // Version 3: topics [ab], no user data, owned [ab: 0, 1], generation 7, rack "r".
        let bytes =
            b"\x00\x03\x00\x00\x00\x01\x00\x02ab\xff\xff\xff\xff\x00\x00\x00\x01\x00\x02ab\x00\x00\x00\x02\
                      \x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x07\x00\x01r";
        let expected = Subscription {
            version: 3,
            topics: vec!["ab".into()],
            owned: vec![("ab".into(), vec![0, 1])],
            rack: Some("r".into()),
        };
        assert_eq!(subscription(bytes), Some(expected));
        assert_eq!(subscription(b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), Some(Subscription::default()));
        assert_eq!(subscription(b""), None);
        assert_eq!(subscription(&bytes[..bytes.len() - 1]), None);
    }

    #[test]
    fn an_assignment_survives_its_bytes() {
        let bytes = encode_assignment(1, &[("a", vec![0, 2]), ("b", vec![])]);
        assert_eq!(bytes, b"\x00\x01\x00\x00\x00\x02\x00\x01a\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01b\x00\x00\x00\x00\xff\xff\xff\xff");
        assert_eq!(assignment(&bytes), Some(vec![("a".into(), vec![0, 2]), ("b".into(), vec![])]));
        assert_eq!(assignment(&[]), Some(vec![]));
    }

    proptest! {
        #[test]
        fn foreign_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let read = subscription(&bytes);
            prop_assert!(read.is_none_or(|s| s.topics.len() <= bytes.len()));
            let read = assignment(&bytes);
            prop_assert!(read.is_none_or(|a| a.len() <= bytes.len()));
        }
    }
}
