//! A log holds a prefix of what was appended to it, all that was promised among it, byte for byte and without holes.

use engine::{Ends, ReadError, ReadRange, SharedLog, Store};
use model::{BatchView, Offset};

use super::compacted;
use crate::{
    disk::{SimDisk, SimFile},
    ghost::GhostLog,
    random::Random,
};

/// All batches from the log's start on, read in steps of any size.
pub async fn read_all(
    store: &Store<SimDisk>,
    log: &SharedLog<SimFile>,
    random: &mut Random,
) -> Result<Vec<Vec<u8>>, ReadError> {
    let mut batches = vec![];
    let Ends { start, end, .. } = log.ends();
    let mut from = start;
    while from < end {
        let bytes_max = random.pick(&[1, 700, 10_000, 1 << 20]);
        let range = ReadRange { from, until: end, bytes_max, at_least_one: true };
        let read = store.read(log, range).await?;
        let found = split(&read.slices.iter().flat_map(|s| s.to_vec()).collect::<Vec<u8>>());
        let last =
            found.last().unwrap_or_else(|| panic!("nothing is read at {from}, and the log ends at {end}"));
        from = BatchView::frame(last).expect("framed before").header().next_offset();
        batches.extend(found);
    }
    Ok(batches)
}

/// Whole batches, each with a good checksum.
pub fn split(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut batches = vec![];
    let mut rest = bytes;
    while !rest.is_empty() {
        let view = BatchView::check(rest).unwrap_or_else(|why| panic!("a reader got no whole batch: {why}"));
        batches.push(view.bytes().to_vec());
        rest = &rest[view.bytes().len()..];
    }
    batches
}

/// What was found after a start against what is known.
pub fn check(what: &str, ghost: &GhostLog, found: &[Vec<u8>], ends: &Ends) {
    let promised = ghost.durable;
    // Of a log with nothing safe in it a power cut may leave what was last, whose segment had a name sooner.
    let start_max = ghost.start_max.max(ghost.retained_max);
    let start_is_free = promised <= start_max && ends.start <= ghost.end;
    assert!(
        ghost.start_min <= ends.start && (start_is_free || ends.start <= start_max.max(ghost.start_min)),
        "{what}: the log starts at {}, and deletions say {} to {}",
        ends.start,
        ghost.start_min,
        start_max
    );
    assert!(
        ends.end >= promised,
        "{what}: the log ends at {}, and everything below {promised} was promised",
        ends.end
    );
    assert_eq!((ends.durable, ends.written, ends.acknowledged), (ends.end, ends.end, ends.end), "{what}");
    if ghost.compacted {
        compacted::check(what, ghost, ends.start, ends.end, found);
        let last = found.last().map(|b| BatchView::frame(b).expect("framed before").header().next_offset());
        let last = last.unwrap_or(ends.start);
        return assert_eq!(last, ends.end, "{what}: the batches end there, the log says otherwise");
    }
    let expected = ghost.from(ends.start);
    assert!(
        found.len() <= expected.len(),
        "{what}: {} batches from {} on, of which {} were appended",
        found.len(),
        ends.start,
        expected.len()
    );
    for (n, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!(**found == *expected.bytes, "{what}: batch {n}, at offset {}, is another one", expected.base);
    }
    let last = expected[..found.len()].last().map_or(ends.start, |b| b.next);
    assert_eq!(last, ends.end, "{what}: the batches end there, the log says otherwise");
}

/// What a reader of a running log got from `from` on.
pub fn check_read(what: &str, ghost: &GhostLog, from: Offset, until: Offset, found: &[Vec<u8>]) {
    if ghost.compacted {
        compacted::check(what, ghost, from, until, found);
        return;
    }
    let expected = ghost.from(from);
    for (n, found) in found.iter().enumerate() {
        let expected =
            expected.get(n).unwrap_or_else(|| panic!("{what}: batch {n} from {from} on was never appended"));
        assert!(**found == *expected.bytes, "{what}: batch {n} from {from} on is another one");
        assert!(
            expected.next <= until,
            "{what}: a reader saw offset {}, and {until} was its limit",
            expected.next
        );
    }
}
