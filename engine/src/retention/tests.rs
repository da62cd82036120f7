//! The rules as a table, and against an oracle that takes one segment away at a time and asks anew.

use proptest::prelude::*;

use super::*;

/// Segments of ten offsets each, as (bytes, largest timestamp); a negative timestamp is one that nobody knows.
fn facts(segments: &[(u64, i64)]) -> Vec<SegmentFacts> {
    let fact = |(i, &(bytes, largest)): (i64, &(u64, i64))| SegmentFacts {
        next: Offset(10 * (i + 1)),
        bytes,
        largest_timestamp: Some(Timestamp(largest)).filter(|t| t.0 >= 0),
    };
    (0..).zip(segments).map(fact).collect()
}

const DELETE: Retention = Retention { delete: true, ms: None, bytes: None };
const ALL: i64 = 1_000;

#[track_caller]
fn check(rules: Retention, segments: &[(u64, i64)], (start, high): (i64, i64), now: i64, expected: Decision) {
    let facts = facts(segments);
    let decided = rules.decide(facts.iter().copied(), Offset(start), Offset(high), Timestamp(now));
    assert_eq!(decided, expected, "{rules:?} {segments:?} start {start} high {high} now {now}");
}

#[test]
fn by_time_up_to_the_first_that_is_young() {
    use Decision::{Drop, Keep, Look};
    let rules = Retention { ms: Some(100), ..DELETE };
    let three = [(5, 10), (5, 20), (5, 30)];
    check(rules, &three, (0, ALL), 110, Keep);
    check(rules, &three, (0, ALL), 111, Drop(1));
    check(rules, &three, (0, ALL), 125, Drop(2));
    // The active one is as good as any other.
    check(rules, &three, (0, ALL), 131, Drop(3));
    check(rules, &[(5, 10), (5, 500), (5, 20)], (0, ALL), 200, Drop(1));
    check(rules, &[(5, 10), (5, 10), (0, 0)], (0, ALL), 200, Drop(2));
    check(rules, &[(0, 0)], (0, ALL), 200, Keep);
    check(rules, &[], (0, ALL), 200, Keep);
    check(rules, &[(5, 10), (5, -1), (5, 20)], (0, ALL), 200, Look(1));
    check(rules, &[(5, 190), (5, -1), (5, 20)], (0, ALL), 200, Keep);
    check(Retention { ms: Some(0), ..DELETE }, &three, (0, ALL), 30, Drop(2));
    check(rules, &[(5, i64::MAX)], (0, ALL), 0, Keep);
}

#[test]
fn by_size_as_long_as_enough_is_left() {
    use Decision::{Drop, Keep};
    let rules = |bytes| Retention { bytes: Some(bytes), ..DELETE };
    let four = [(10, -1), (20, -1), (10, -1), (5, -1)];
    check(rules(46), &four, (0, ALL), 0, Keep);
    check(rules(36), &four, (0, ALL), 0, Keep);
    check(rules(35), &four, (0, ALL), 0, Drop(1));
    check(rules(16), &four, (0, ALL), 0, Drop(1));
    check(rules(15), &four, (0, ALL), 0, Drop(2));
    check(rules(5), &four, (0, ALL), 0, Drop(3));
    check(rules(1), &four, (0, ALL), 0, Drop(3));
    check(rules(0), &four, (0, ALL), 0, Drop(4));
    check(rules(0), &[(10, -1), (0, -1)], (0, ALL), 0, Drop(1));
    check(rules(0), &[(0, -1)], (0, ALL), 0, Keep);
}

#[test]
fn nothing_above_the_high_watermark() {
    use Decision::{Drop, Keep};
    let rules = Retention { ms: Some(100), bytes: Some(0), ..DELETE };
    let three = [(5, 10), (5, 20), (5, 30)];
    check(rules, &three, (0, 9), 1000, Keep);
    check(rules, &three, (0, 10), 1000, Drop(1));
    check(rules, &three, (0, 29), 1000, Drop(2));
    check(rules, &three, (0, 30), 1000, Drop(3));
}

#[test]
fn below_the_start_whatever_the_policy() {
    use Decision::{Drop, Keep};
    let three = [(5, 10), (5, 20), (5, 30)];
    for rules in [Retention::default(), DELETE, Retention { ms: Some(1), bytes: Some(0), delete: false }] {
        check(rules, &three, (9, ALL), 1000, Keep);
        check(rules, &three, (10, ALL), 1000, Drop(1));
        check(rules, &three, (29, ALL), 1000, Drop(2));
        // The active one waits for its time: a new log would begin where it ends all the same.
        check(rules, &three, (30, ALL), 1000, Drop(2));
    }
    let rules = Retention { bytes: Some(5), ..DELETE };
    check(rules, &three, (10, ALL), 0, Drop(2));
}

#[test]
fn size_first_and_then_time() {
    // The first is young, but goes by size; what follows is looked at by itself.
    let rules = Retention { ms: Some(100), bytes: Some(10), ..DELETE };
    check(rules, &[(5, 1000), (5, 20), (5, 1000)], (0, ALL), 1000, Decision::Drop(2));
}

/// Does the oldest segment go? Asked again and again, that is the whole rule.
fn oldest_goes(rules: Retention, segments: &[SegmentFacts], start: Offset, high: Offset, now: i64) -> bool {
    let Some(oldest) = segments.first() else { return false };
    let is_last = segments.len() == 1;
    if oldest.next > high || is_last && oldest.bytes == 0 {
        return false;
    }
    let below = !is_last && oldest.next <= start;
    let rest: u64 = segments[1..].iter().map(|s| s.bytes).sum();
    let by_size = rules.delete && rules.bytes.is_some_and(|limit| rest >= limit);
    let largest = oldest.largest_timestamp.expect("the oracle knows them all").0;
    let by_time = rules.delete && rules.ms.is_some_and(|limit| now - largest > limit);
    below || by_size || by_time
}

proptest! {
    #[test]
    fn it_is_what_taking_one_at_a_time_comes_to(
        segments in prop::collection::vec((0u64..50, 0i64..100), 0..8),
        (start, high) in (0i64..90, 0i64..90),
        now in 0i64..200,
        delete in any::<bool>(),
        ms in prop::option::of(0i64..150),
        bytes in prop::option::of(0u64..200),
    ) {
        let rules = Retention { delete, ms, bytes };
        let (start, high, facts) = (Offset(start.min(high)), Offset(high), facts(&segments));
        let mut left = &facts[..];
        while oldest_goes(rules, left, start, high, now) {
            left = &left[1..];
        }
        let decided = rules.decide(facts.iter().copied(), start, high, Timestamp(now));
        let dropped = match decided {
            Decision::Keep => 0,
            Decision::Drop(count) => {
                prop_assert!(count > 0);
                count
            }
            Decision::Look(i) => panic!("{i} is known"),
        };
        // Size is looked at before time: what time lets go of is no reason for size to look again.
        prop_assert_eq!(dropped, facts.len() - left.len());
    }

    /// Asked for one timestamp after another, it says in the end what it says when all are known.
    #[test]
    fn what_it_does_not_need_it_does_not_ask_for(
        segments in prop::collection::vec((1u64..50, 0i64..100), 1..8),
        now in 0i64..200,
        ms in 0i64..150,
        bytes in prop::option::of(0u64..200),
    ) {
        let rules = Retention { delete: true, ms: Some(ms), bytes };
        let known = facts(&segments);
        let mut asked = 0;
        let mut seen: Vec<SegmentFacts> =
            known.iter().map(|s| SegmentFacts { largest_timestamp: None, ..*s }).collect();
        let decided = loop {
            match rules.decide(seen.iter().copied(), Offset(0), Offset(ALL), Timestamp(now)) {
                Decision::Look(i) => {
                    prop_assert!(seen[i].largest_timestamp.is_none());
                    seen[i] = known[i];
                    asked += 1;
                }
                decided => break decided,
            }
        };
        prop_assert_eq!(decided, rules.decide(known.iter().copied(), Offset(0), Offset(ALL), Timestamp(now)));
        let dropped = if let Decision::Drop(count) = decided { count } else { 0 };
        prop_assert!(asked <= dropped + 1, "{} timestamps for {} segments", asked, dropped);
    }
}
