//! The judge: what producers were told, and what is there at the end. A pure function over both, so that it can be shown
//! to notice what it is for.

use std::collections::{BTreeMap, BTreeSet};

/// Complaints of one kind beyond these say nothing new.
const COMPLAINTS_MAX: usize = 10;

/// One record of one writer: where and what.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Value {
    pub(crate) writer: u32,
    pub(crate) sequence: u64,
}

impl Value {
    pub(crate) fn text(self) -> String {
        format!("{}:{}", self.writer, self.sequence)
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (writer, sequence) = text.split_once(':')?;
        Some(Self { writer: writer.parse().ok()?, sequence: sequence.parse().ok()? })
    }
}

/// An answer to a writer: these of its sequences are written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Acknowledged {
    pub(crate) partition: i32,
    pub(crate) first: Value,
    pub(crate) count: u64,
    /// None: a duplicate, of which the broker did not know any more where it is.
    pub(crate) base_offset: Option<i64>,
    /// It was sent before, and nobody knows what became of that: without a producer id it may be there twice.
    pub(crate) sent_before: bool,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct History {
    pub(crate) acknowledged: Vec<Acknowledged>,
    /// Writers with a producer id.
    pub(crate) idempotent: BTreeSet<u32>,
}

/// What a partition holds, by offset.
pub(crate) type Contents = BTreeMap<i32, Vec<(i64, Value)>>;

/// Everything that is wrong, one sentence each.
pub(crate) fn judge(history: &History, contents: &Contents) -> Vec<String> {
    let mut complaints = Vec::new();
    for (&partition, records) in contents {
        complaints.extend(limited(holes(partition, records)));
        complaints.extend(limited(losses(partition, records, history)));
        complaints.extend(limited(duplicates(partition, records, history)));
        complaints.extend(limited(disorder(partition, records, history)));
    }
    let unread = |ack: &&Acknowledged| !contents.contains_key(&ack.partition);
    complaints.extend(limited(
        history
            .acknowledged
            .iter()
            .filter(unread)
            .map(|ack| format!("partition {} was written and not read", ack.partition))
            .collect(),
    ));
    complaints
}

fn limited(mut complaints: Vec<String>) -> Vec<String> {
    let count = complaints.len();
    if count > COMPLAINTS_MAX {
        complaints.truncate(COMPLAINTS_MAX);
        complaints.push(format!("... and {} more like it", count - COMPLAINTS_MAX));
    }
    complaints
}

/// Nothing is compacted or deleted here, so offsets count records.
fn holes(partition: i32, records: &[(i64, Value)]) -> Vec<String> {
    let misplaced = (0i64..).zip(records).find(|(expected, (offset, _))| expected != offset);
    let told = |(expected, (offset, _)): (i64, &(i64, Value))| {
        format!("partition {partition}: offset {offset} comes where {expected} is due")
    };
    misplaced.map(told).into_iter().collect()
}

/// An acknowledged record is where it was said to be.
fn losses(partition: i32, records: &[(i64, Value)], history: &History) -> Vec<String> {
    let by_offset: BTreeMap<i64, Value> = records.iter().copied().collect();
    let values: BTreeSet<Value> = by_offset.values().copied().collect();
    let mut complaints = Vec::new();
    for ack in history.acknowledged.iter().filter(|ack| ack.partition == partition) {
        for n in 0..ack.count {
            let expected = Value { sequence: ack.first.sequence + n, ..ack.first };
            match ack.base_offset.map(|base| (base + n as i64, by_offset.get(&(base + n as i64)))) {
                Some((_, Some(found))) if *found == expected => {}
                Some((offset, Some(found))) => complaints.push(format!(
                    "partition {partition}: {} was acknowledged at offset {offset}, where {} is now",
                    expected.text(),
                    found.text()
                )),
                Some((offset, None)) => complaints.push(format!(
                    "partition {partition}: {} was acknowledged at offset {offset}, and nothing is there",
                    expected.text()
                )),
                None if values.contains(&expected) => {}
                None => complaints.push(format!(
                    "partition {partition}: {} was acknowledged and is nowhere",
                    expected.text()
                )),
            }
        }
    }
    complaints
}

/// A record is there once; twice only if its writer had to guess, and had no producer id.
fn duplicates(partition: i32, records: &[(i64, Value)], history: &History) -> Vec<String> {
    let mut guessed = BTreeSet::new();
    for ack in history.acknowledged.iter().filter(|ack| ack.partition == partition && ack.sent_before) {
        guessed.extend((0..ack.count).map(|n| Value { sequence: ack.first.sequence + n, ..ack.first }));
    }
    let mut seen = BTreeMap::new();
    let mut complaints = Vec::new();
    for &(offset, value) in records {
        let Some(before) = seen.insert(value, offset) else { continue };
        if history.idempotent.contains(&value.writer) || !guessed.contains(&value) {
            complaints.push(format!(
                "partition {partition}: {} is there twice, at {before} and at {offset}",
                value.text()
            ));
        }
    }
    complaints
}

/// A writer's records are in its order. One without a producer id may come again, with what was behind it.
fn disorder(partition: i32, records: &[(i64, Value)], history: &History) -> Vec<String> {
    let mut next: BTreeMap<u32, u64> = BTreeMap::new();
    let mut complaints = Vec::new();
    for &(offset, value) in records {
        let due = next.entry(value.writer).or_default();
        if value.sequence == *due {
            *due += 1;
        } else if value.sequence > *due || history.idempotent.contains(&value.writer) {
            complaints.push(format!(
                "partition {partition}: {} at {offset} is out of order, {due} is due",
                value.text()
            ));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(writer: u32, sequence: u64) -> Value {
        Value { writer, sequence }
    }

    /// Writer 1 has a producer id and wrote 0, 1, 2; writer 2 has none and wrote 0, 1, the latter perhaps twice.
    fn history() -> History {
        let ack = |first, count, base_offset, sent_before| Acknowledged {
            partition: 0,
            first,
            count,
            base_offset,
            sent_before,
        };
        History {
            acknowledged: vec![
                ack(value(1, 0), 2, Some(0), false),
                ack(value(2, 0), 1, Some(2), false),
                ack(value(1, 2), 1, None, true),
                ack(value(2, 1), 1, Some(5), true),
            ],
            idempotent: [1].into(),
        }
    }

    fn contents(records: &[(u32, u64)]) -> Contents {
        let at = (0..).zip(records).map(|(offset, &(writer, sequence))| (offset, value(writer, sequence)));
        [(0, at.collect())].into()
    }

    #[track_caller]
    fn check(records: &[(u32, u64)], expected: &[&str]) {
        assert_eq!(judge(&history(), &contents(records)), expected);
    }

    #[test]
    fn a_log_as_it_was_told_is_right() {
        check(&[(1, 0), (1, 1), (2, 0), (1, 2), (2, 1), (2, 1)], &[]);
    }

    #[test]
    fn a_loss_is_noticed() {
        let expected = "partition 0: 2:1 was acknowledged at offset 5, and nothing is there";
        check(&[(1, 0), (1, 1), (2, 0), (1, 2), (2, 1)], &[expected]);
        check(
            &[(1, 0), (1, 1), (2, 0), (2, 1), (2, 1), (2, 1)],
            &["partition 0: 1:2 was acknowledged and is nowhere"],
        );
        let missing = judge(&history(), &Contents::new());
        assert_eq!(missing[0], "partition 0 was written and not read");
    }

    #[test]
    fn another_value_at_the_place_is_noticed() {
        let expected = [
            "partition 0: 1:1 was acknowledged at offset 1, where 2:0 is now",
            "partition 0: 2:0 was acknowledged at offset 2, where 1:1 is now",
        ];
        check(&[(1, 0), (2, 0), (1, 1), (1, 2), (2, 1), (2, 1)], &expected);
    }

    #[test]
    fn a_duplicate_is_noticed_where_it_must_not_be() {
        let found = judge(&history(), &contents(&[(1, 0), (1, 1), (2, 0), (1, 2), (1, 2), (2, 1)]));
        assert_eq!(found[0], "partition 0: 1:2 is there twice, at 3 and at 4");
        let found = judge(&history(), &contents(&[(1, 0), (1, 1), (2, 0), (1, 2), (2, 0), (2, 1)]));
        assert_eq!(found, ["partition 0: 2:0 is there twice, at 2 and at 4"]);
    }

    #[test]
    fn disorder_is_noticed() {
        let found = judge(&history(), &contents(&[(1, 1), (1, 0), (2, 0), (1, 2), (2, 1), (2, 1)]));
        assert!(found.contains(&"partition 0: 1:1 at 0 is out of order, 0 is due".to_owned()), "{found:?}");
    }

    #[test]
    fn a_hole_is_noticed() {
        let mut contents = contents(&[(1, 0), (1, 1), (2, 0), (1, 2), (2, 1), (2, 1)]);
        let records = contents.get_mut(&0).expect("the partition");
        records.push((7, value(1, 3)));
        assert_eq!(judge(&history(), &contents), ["partition 0: offset 7 comes where 6 is due"]);
    }
}
