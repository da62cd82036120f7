use model::batch::record::{Producer, batch_of};
use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp(5000);
const TRANSACTIONAL: i16 = 0x10;

#[derive(Clone, Copy, Debug)]
struct Sent {
    id: i64,
    epoch: i16,
    sequence: i32,
    count: i32,
}

fn sent(epoch: i16, sequence: i32, count: i32) -> Sent {
    Sent { id: 1, epoch, sequence, count }
}

fn header(sent: Sent) -> BatchHeader {
    let producer = Producer { id: sent.id, epoch: sent.epoch, base_sequence: sent.sequence };
    let mut header = BatchHeader::read(&batch_of(0, 100, producer, &[b"v"])).unwrap();
    header.record_count = sent.count.into();
    header.last_offset_delta = (sent.count - 1).into();
    header
}

fn transactional(sent: Sent) -> BatchHeader {
    BatchHeader { attributes: TRANSACTIONAL.into(), ..header(sent) }
}

fn states() -> ProducerStates {
    ProducerStates::new(ProducerLimits::default(), Offset(0))
}

/// Appends where the log ends.
fn append(states: &mut ProducerStates, header: &BatchHeader) -> Offset {
    let base = states.map_end();
    states.applied(header, base, NOW);
    base
}

fn marker(committed: bool, coordinator_epoch: i32) -> EndMarker {
    EndMarker { committed, coordinator_epoch }
}

fn duplicate(base: i64, last: i64) -> Verdict {
    Verdict::Duplicate { base_offset: Offset(base), last_offset: Offset(last), timestamp: Timestamp(100) }
}

#[test]
fn sequences_are_judged_as_kafka_judges_them() {
    fn check(next: Sent, expected: Verdict) {
        let mut states = states();
        append(&mut states, &header(sent(3, 0, 10)));
        append(&mut states, &header(sent(3, 10, 5)));
        assert_eq!(states.check(&header(next)), expected, "{next:?}");
    }
    check(sent(3, 15, 1), Verdict::Append);
    check(sent(3, 16, 1), Verdict::OutOfOrder { expected: 15 });
    check(sent(3, 10, 5), duplicate(10, 14));
    check(sent(3, 0, 10), duplicate(0, 9));
    // Neither a retry nor the next: a client that cut its batches anew.
    check(sent(3, 10, 4), Verdict::OutOfOrder { expected: 15 });
    check(sent(3, 11, 4), Verdict::OutOfOrder { expected: 15 });
    check(sent(4, 0, 1), Verdict::Append);
    check(sent(4, 15, 1), Verdict::OutOfOrder { expected: 0 });
    check(sent(2, 0, 1), Verdict::StaleEpoch { current: ProducerEpoch(3) });
    check(sent(2, 15, 1), Verdict::StaleEpoch { current: ProducerEpoch(3) });
    // A coordinator's offsets carry no sequence.
    check(sent(3, -1, 1), Verdict::Append);
    check(sent(2, -1, 1), Verdict::StaleEpoch { current: ProducerEpoch(3) });
    check(Sent { id: 2, ..sent(0, 77, 1) }, Verdict::Append);
    check(Sent { id: -1, ..sent(-1, -1, 1) }, Verdict::Append);
}

#[test]
fn sequences_wrap_to_zero() {
    fn check(first: Sent, next: Sent, expected: Verdict) {
        let mut states = states();
        append(&mut states, &header(first));
        assert_eq!(states.check(&header(next)), expected, "{first:?} {next:?}");
    }
    check(sent(0, i32::MAX, 1), sent(0, 0, 1), Verdict::Append);
    check(sent(0, i32::MAX - 1, 1), sent(0, 0, 1), Verdict::OutOfOrder { expected: i32::MAX });
    check(sent(0, i32::MAX - 1, 4), sent(0, 2, 1), Verdict::Append);
    check(sent(0, i32::MAX - 1, 4), sent(0, i32::MAX - 1, 4), duplicate(0, 3));
    check(sent(0, i32::MAX - 1, 4), sent(0, 1, 1), Verdict::OutOfOrder { expected: 2 });
}

#[test]
fn five_batches_are_remembered() {
    let mut states = states();
    for n in 0..6 {
        append(&mut states, &header(sent(0, n, 1)));
    }
    assert_eq!(states.check(&header(sent(0, 0, 1))), Verdict::OutOfOrder { expected: 6 });
    for n in 1..6 {
        assert_eq!(states.check(&header(sent(0, n, 1))), duplicate(i64::from(n), i64::from(n)));
    }
}

#[test]
fn a_new_epoch_forgets_the_batches_of_the_old() {
    let mut states = states();
    append(&mut states, &header(sent(0, 0, 1)));
    append(&mut states, &header(sent(1, 0, 3)));
    assert_eq!(states.check(&header(sent(0, 0, 1))), Verdict::StaleEpoch { current: ProducerEpoch(1) });
    assert_eq!(states.check(&header(sent(1, 0, 1))), Verdict::OutOfOrder { expected: 3 });
}

#[test]
fn a_marker_ends_a_transaction_and_may_raise_the_epoch() {
    let mut states = states();
    append(&mut states, &header(Sent { id: 2, ..sent(0, 0, 5) }));
    append(&mut states, &transactional(sent(3, 0, 2)));
    append(&mut states, &transactional(Sent { id: 9, ..sent(0, 0, 2) }));
    append(&mut states, &transactional(sent(3, 2, 2)));
    assert_eq!(states.first_open_offset(), Some(Offset(5)));
    assert_eq!(states.check(&header(sent(3, 4, 1))), Verdict::InTransaction);
    assert_eq!(states.check(&transactional(sent(3, 4, 1))), Verdict::Append);

    let control = transactional(sent(4, -1, 1));
    let completed = states.marked(&control, Offset(11), marker(false, 6), NOW).unwrap();
    assert_eq!(
        completed,
        CompletedTransaction {
            producer_id: ProducerId(1),
            first_offset: Offset(5),
            last_offset: Offset(11),
            committed: false,
            last_stable_offset: Offset(7),
        }
    );
    assert_eq!(states.first_open_offset(), Some(Offset(7)));
    assert_eq!(states.map_end(), Offset(12));
    assert_eq!(
        states.check(&transactional(sent(3, 4, 1))),
        Verdict::StaleEpoch { current: ProducerEpoch(4) }
    );
    assert_eq!(states.check(&transactional(sent(4, 0, 1))), Verdict::Append);
    // A second marker for the same transaction ends nothing.
    assert_eq!(states.marked(&control, Offset(12), marker(false, 6), NOW), None);
}

#[test]
fn idle_producers_expire_and_open_transactions_do_not() {
    let limits = ProducerLimits { expiration_ms: 100, producers_max: 10 };
    let mut states = ProducerStates::new(limits, Offset(0));
    states.applied(&header(Sent { id: 1, ..sent(0, 0, 1) }), Offset(0), Timestamp(1000));
    states.applied(&header(Sent { id: 2, ..sent(0, 0, 1) }), Offset(1), Timestamp(1050));
    states.applied(&transactional(Sent { id: 3, ..sent(0, 0, 1) }), Offset(2), Timestamp(900));
    assert_eq!(states.expire(Timestamp(1099)), 0);
    assert_eq!(states.expire(Timestamp(1100)), 1);
    assert_eq!(states.expire(Timestamp(9999)), 1);
    assert_eq!(states.producer_count(), 1);
    assert_eq!(states.check(&header(Sent { id: 1, ..sent(0, 44, 1) })), Verdict::Append);
}

#[test]
fn the_longest_unseen_goes_when_there_are_too_many() {
    let limits = ProducerLimits { expiration_ms: 100, producers_max: 2 };
    let mut states = ProducerStates::new(limits, Offset(0));
    states.applied(&header(Sent { id: 1, ..sent(0, 0, 1) }), Offset(0), Timestamp(10));
    states.applied(&header(Sent { id: 2, ..sent(0, 0, 1) }), Offset(1), Timestamp(11));
    states.applied(&header(Sent { id: 1, ..sent(0, 1, 1) }), Offset(2), Timestamp(12));
    states.applied(&header(Sent { id: 3, ..sent(0, 0, 1) }), Offset(3), Timestamp(13));
    assert_eq!(states.producer_count(), 2);
    assert_eq!(states.check(&header(Sent { id: 2, ..sent(0, 9, 1) })), Verdict::Append);
    assert_eq!(states.check(&header(Sent { id: 1, ..sent(0, 9, 1) })), Verdict::OutOfOrder { expected: 2 });
}

#[test]
fn with_nothing_but_open_transactions_a_new_producer_is_refused() {
    let limits = ProducerLimits { expiration_ms: 100, producers_max: 1 };
    let mut states = ProducerStates::new(limits, Offset(0));
    append(&mut states, &transactional(Sent { id: 1, ..sent(0, 0, 1) }));
    let other = header(Sent { id: 2, ..sent(0, 0, 1) });
    assert_eq!(states.check(&other), Verdict::TooManyProducers);
    // What stands in the log is taken all the same.
    append(&mut states, &other);
    assert_eq!(states.producer_count(), 2);
}

#[test]
fn a_snapshot_keeps_the_last_batch_and_the_open_transaction() {
    let mut states = states();
    append(&mut states, &header(sent(0, 0, 1)));
    append(&mut states, &header(sent(0, 1, 3)));
    append(&mut states, &transactional(Sent { id: 5, ..sent(2, 0, 2) }));
    let bytes = states.snapshot();
    let later = Timestamp(9000);
    let again = ProducerStates::from_snapshot(&bytes, Offset(6), ProducerLimits::default(), later).unwrap();
    assert_eq!(again.map_end(), Offset(6));
    assert_eq!(again.first_open_offset(), Some(Offset(4)));
    assert_eq!(again.check(&header(sent(0, 1, 3))), duplicate(1, 3));
    assert_eq!(again.check(&header(sent(0, 0, 1))), Verdict::OutOfOrder { expected: 4 });
    assert_eq!(again.check(&header(sent(0, 4, 1))), Verdict::Append);
    assert_eq!(again.snapshot(), bytes);
}

#[test]
fn of_a_larger_snapshot_the_newest_producers_are_kept() {
    let mut many = states();
    for id in 0..10 {
        let mut header = header(Sent { id, ..sent(0, 0, 1) });
        header.max_timestamp = (100 - id).into();
        append(&mut many, &header);
    }
    let limits = ProducerLimits { expiration_ms: 1, producers_max: 3 };
    let few = ProducerStates::from_snapshot(&many.snapshot(), Offset(10), limits, NOW).unwrap();
    assert_eq!(few.producers.keys().map(|id| id.0).collect::<Vec<_>>(), [0, 1, 2]);
}

/// All that was ever appended, and the rules read off the protocol's description.
#[derive(Default)]
struct Oracle {
    appended: Vec<(Sent, i64)>,
    end: i64,
}

impl Oracle {
    fn check(&self, sent: Sent) -> Verdict {
        let own: Vec<_> = self.appended.iter().filter(|(s, _)| s.id == sent.id).collect();
        let Some(epoch) = own.last().map(|(s, _)| s.epoch) else { return Verdict::Append };
        let of_epoch = own.iter().rev().take_while(|(s, _)| s.epoch == epoch);
        if sent.epoch == epoch {
            for (s, base) in of_epoch.take(5) {
                if (s.sequence, s.count) == (sent.sequence, sent.count) {
                    return duplicate(*base, base + i64::from(s.count) - 1);
                }
            }
        }
        let last = own.last().unwrap().0;
        let next = (i64::from(last.sequence) + i64::from(last.count)) % (1 << 31);
        let expected = if sent.epoch == epoch { next as i32 } else { 0 };
        match () {
            _ if sent.epoch < epoch => Verdict::StaleEpoch { current: ProducerEpoch(epoch) },
            _ if sent.sequence != expected => Verdict::OutOfOrder { expected },
            _ => Verdict::Append,
        }
    }
}

/// Mostly the next batch or a retry, now and then anything; sequences start near the wrap.
fn step() -> impl Strategy<Value = (u8, i64, i16, i32, i32)> {
    (0u8..10, 0i64..3, 0i16..3, prop_oneof![0i32..4, i32::MAX - 4..=i32::MAX], 1i32..4)
}

proptest! {
    #[test]
    fn verdicts_agree_with_the_whole_history(steps in proptest::collection::vec(step(), 1..80)) {
        let (mut states, mut oracle) = (states(), Oracle::default());
        for (kind, id, epoch, sequence, count) in steps {
            let own: Vec<Sent> = oracle.appended.iter().map(|a| a.0).filter(|s| s.id == id).collect();
            let sent = match (kind, own.last()) {
                (0..6, Some(last)) => {
                    let next = (i64::from(last.sequence) + i64::from(last.count)) % (1 << 31);
                    Sent { sequence: next as i32, count, ..*last }
                }
                (6..8, Some(_)) => own[own.len().saturating_sub(1 + count as usize * 2)],
                _ => Sent { id, epoch, sequence, count },
            };
            let verdict = states.check(&header(sent));
            prop_assert_eq!(verdict, oracle.check(sent), "{:?}", sent);
            if verdict == Verdict::Append {
                states.applied(&header(sent), Offset(oracle.end), NOW);
                oracle.appended.push((sent, oracle.end));
                oracle.end += i64::from(sent.count);
            }
        }

        // A snapshot and a replay of the whole log end in the same file.
        let mut replayed = ProducerStates::new(ProducerLimits::default(), Offset(0));
        for &(sent, base) in &oracle.appended {
            let mut header = header(sent);
            header.base_offset = base.into();
            replayed.replay(&header, &[], NOW).unwrap();
        }
        prop_assert_eq!(&replayed, &states);
        let loaded = ProducerStates::from_snapshot(
            &states.snapshot(), states.map_end(), ProducerLimits::default(), NOW).unwrap();
        prop_assert_eq!(loaded.snapshot(), states.snapshot());
    }

    #[test]
    fn no_header_and_no_snapshot_panics(
        headers in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 61), 1..20),
        body in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let limits = ProducerLimits { expiration_ms: 10, producers_max: 3 };
        let mut states = ProducerStates::new(limits, Offset(0));
        for bytes in headers {
            let mut header = BatchHeader::read(&bytes).unwrap();
            // A few producers, so that states meet.
            header.producer_id = (header.producer_id.get() % 4).into();
            states.check(&header);
            states.applied(&header, Offset(header.base_offset.get()), Timestamp(header.base_timestamp.get()));
            let _ = states.replay(&header, &body, Timestamp(header.max_timestamp.get()));
            states.expire(Timestamp(header.max_timestamp.get()));
        }
        let mut bytes = snapshot::write([].into_iter());
        bytes.extend(&body[..body.len() / 46 * 46]);
        let _ = ProducerStates::from_snapshot(&bytes, Offset(0), limits, NOW);
    }
}
