//! What a classic consumer was assigned, as its leader wrote it: Kafka's ConsumerProtocolAssignment, which brokers pass on
//! unread.
//!
//! ```text
//!   version i16 | topics i32 | (name length i16, name | partitions i32 | partition i32 *) * | user data
//! ```

use std::collections::BTreeMap;

/// Partitions by topic. Of what does not parse, the part before.
pub(super) fn read(bytes: &[u8]) -> BTreeMap<String, Vec<i32>> {
    let mut assigned = BTreeMap::new();
    let _ = read_into(bytes, &mut assigned);
    assigned
}

fn read_into(bytes: &[u8], assigned: &mut BTreeMap<String, Vec<i32>>) -> Option<()> {
    let (_version, rest) = bytes.split_first_chunk::<2>()?;
    let (count, mut rest) = int32(rest)?;
    for _ in 0..count {
        let (length, after) = rest.split_first_chunk::<2>()?;
        let length = usize::try_from(i16::from_be_bytes(*length)).ok()?;
        let (name, after) = after.split_at_checked(length)?;
        let (partitions, after) = int32(after)?;
        let bytes = usize::try_from(partitions).ok()?.checked_mul(4)?;
        let (partitions, after) = after.split_at_checked(bytes)?;
        let partitions = partitions.chunks_exact(4).filter_map(|p| int32(p)).map(|(p, _)| p);
        let name = std::str::from_utf8(name).ok()?.to_owned();
        assigned.entry(name).or_default().extend(partitions);
        rest = after;
    }
    Some(())
}

fn int32(bytes: &[u8]) -> Option<(i32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    Some((i32::from_be_bytes(*number), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written() -> Vec<u8> {
        let mut bytes = vec![0, 1, 0, 0, 0, 2];
        bytes.extend(b"\x00\x01a\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x07");
        bytes.extend(b"\x00\x02bc\x00\x00\x00\x01\x00\x00\x00\x03");
        bytes.extend(b"\xff\xff\xff\xff");
        bytes
    }

    #[test]
    fn an_assignment_is_read() {
        let expected = [("a".to_owned(), vec![0, 7]), ("bc".to_owned(), vec![3])];
        assert_eq!(read(&written()).into_iter().collect::<Vec<_>>(), expected);
        assert!(read(&[]).is_empty());
    }

    #[test]
    fn foreign_bytes_are_read_as_far_as_they_make_sense() {
        let written = written();
        for cut in 0..written.len() {
            assert!(read(&written[..cut]).len() <= 2);
        }
        assert!(read(b"\0\0\x7f\xff\xff\xff\0\x01a\x7f\xff\xff\xff").is_empty());
    }
}
