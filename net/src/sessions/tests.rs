use proptest::prelude::*;

use super::*;

fn want(partition: i32, offset: i64) -> Want {
    Want {
        topic: TopicKey::Name("t".into()),
        partition,
        leader_epoch: LeaderEpoch::NONE,
        offset: Offset(offset),
        last_epoch: LeaderEpoch::NONE,
        bytes_max: 1000,
    }
}

fn ask(id: i32, epoch: i32, wants: &[i32]) -> SessionAsk {
    let wants = wants.iter().map(|&partition| want(partition, 0)).collect();
    SessionAsk { id, epoch, uses_ids: false, wants, forgotten: vec![] }
}

fn quiet(high: i64) -> Seen {
    Seen { high: Offset(high), log_start: Offset(0), has_records: false, is_urgent: false, is_error: false }
}

fn sessions(slots: usize) -> FetchSessions {
    FetchSessions::new(ShardId(1), 4, slots, 99)
}

fn partitions(context: &Context) -> Vec<i32> {
    context.wants.iter().map(|want| want.partition).collect()
}

/// Starts a session and answers its id.
fn start(sessions: &mut FetchSessions, wants: &[i32], now: u64) -> i32 {
    let context = sessions.begin(ask(0, 0, wants), Millis(now)).unwrap();
    sessions.finish(&context, &vec![quiet(5); wants.len()], Millis(now)).unwrap().session_id
}

#[test]
fn an_incremental_answer_names_what_changed() {
    let mut sessions = sessions(10);
    let id = start(&mut sessions, &[0, 1, 2, 3], 0);
    assert!(id > 0);
    let context = sessions.begin(ask(id, 1, &[]), Millis(1)).unwrap();
    assert_eq!(partitions(&context), [0, 1, 2, 3]);
    let records = Seen { has_records: true, ..quiet(5) };
    let error = Seen { is_urgent: true, is_error: true, ..quiet(5) };
    let told = sessions.finish(&context, &[quiet(5), records, quiet(6), error], Millis(1)).unwrap();
    assert_eq!(told, Told { session_id: id, named: vec![false, true, true, true] });
    // The one that gave records is last now, and the one in error is told again once it is well.
    let context = sessions.begin(ask(id, 2, &[]), Millis(2)).unwrap();
    assert_eq!(partitions(&context), [0, 2, 3, 1]);
    let told = sessions.finish(&context, &[quiet(5), quiet(6), quiet(5), quiet(5)], Millis(2)).unwrap();
    assert_eq!(told.named, [false, false, true, false]);
}

#[test]
fn a_session_changes_with_what_is_sent_and_forgotten() {
    let mut sessions = sessions(10);
    let id = start(&mut sessions, &[0, 1], 0);
    let mut change = ask(id, 1, &[2]);
    change.wants.push(want(1, 77));
    change.forgotten.push((TopicKey::Name("t".into()), 0));
    let context = sessions.begin(change, Millis(1)).unwrap();
    assert_eq!(context.wants, [want(1, 77), want(2, 0)]);
}

#[test]
fn what_does_not_fit_a_session_is_refused() {
    let mut sessions = sessions(10);
    let id = start(&mut sessions, &[0], 0);
    let mut by_id = ask(id, 1, &[]);
    by_id.uses_ids = true;
    for (ask, code) in [
        (ask(id + 1, 1, &[]), ErrorCode::FetchSessionIdNotFound),
        (ask(0, 1, &[]), ErrorCode::FetchSessionIdNotFound),
        (ask(id, 2, &[]), ErrorCode::InvalidFetchSessionEpoch),
        (ask(id, -7, &[]), ErrorCode::InvalidFetchSessionEpoch),
        (by_id, ErrorCode::FetchSessionTopicIdError),
    ] {
        assert_eq!(sessions.begin(ask, Millis(1)), Err(code));
    }
    assert!(sessions.begin(ask(id, 1, &[]), Millis(1)).is_ok());
}

#[test]
fn a_session_that_is_ended_or_emptied_is_gone() {
    let mut sessions = sessions(10);
    let id = start(&mut sessions, &[0], 0);
    let context = sessions.begin(ask(id, -1, &[0]), Millis(1)).unwrap();
    assert_eq!(sessions.finish(&context, &[quiet(5)], Millis(1)).unwrap().session_id, 0);
    assert!(sessions.is_empty());

    let id = start(&mut sessions, &[0], 0);
    let mut forget = ask(id, 1, &[]);
    forget.forgotten.push((TopicKey::Name("t".into()), 0));
    assert_eq!(sessions.begin(forget, Millis(1)).unwrap().wants, []);
    assert!(sessions.is_empty() && sessions.by_use.is_empty());
}

#[test]
fn an_answer_to_a_session_that_moved_on_is_an_error() {
    let mut sessions = sessions(10);
    let id = start(&mut sessions, &[0], 0);
    let late = sessions.begin(ask(id, 1, &[]), Millis(1)).unwrap();
    sessions.begin(ask(id, 2, &[]), Millis(1)).unwrap();
    assert_eq!(sessions.finish(&late, &[quiet(5)], Millis(1)), Err(ErrorCode::InvalidFetchSessionEpoch));
}

#[test]
fn a_full_cache_evicts_the_stale_and_the_small_and_else_says_no() {
    let mut sessions = sessions(2);
    let (a, b) = (start(&mut sessions, &[0], 0), start(&mut sessions, &[0, 1], 0));
    assert_eq!(start(&mut sessions, &[0, 1, 2], 1000), 0, "both are young");
    // b is used, a is not: after two minutes a is stale.
    sessions.begin(ask(b, 1, &[]), Millis(100_000)).unwrap();
    let c = start(&mut sessions, &[0], 120_001);
    assert!(c > 0 && !sessions.sessions.contains_key(&a));
    // Both in use: b is old, and a larger session takes its place; one of its size does not.
    assert_eq!(start(&mut sessions, &[0, 1], 121_000), 0);
    assert!(start(&mut sessions, &[0, 1, 2], 121_000) > 0);
    assert!(!sessions.sessions.contains_key(&b));
}

#[test]
fn shards_never_share_an_id() {
    let mut one = FetchSessions::new(ShardId(0), 2, 100, 5);
    let mut two = FetchSessions::new(ShardId(1), 2, 100, 5);
    let ids: Vec<i32> = (0..50).flat_map(|_| [start(&mut one, &[0], 0), start(&mut two, &[0], 0)]).collect();
    let distinct: BTreeSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len());
}

#[test]
fn epochs_wrap_to_one() {
    assert_eq!(next_epoch(i32::MAX), 1);
}

proptest! {
    /// Whatever is asked, the books agree, and a session fetches exactly what a naive set would.
    #[test]
    fn books_agree(steps in proptest::collection::vec(
        (0..4usize, proptest::collection::vec(0..6i32, 0..4), proptest::collection::vec(0..6i32, 0..3), any::<bool>()),
        0..40,
    )) {
        let mut sessions = sessions(3);
        let mut known: Vec<(i32, i32, BTreeSet<i32>)> = vec![];
        for (now, (which, wants, forget, records)) in steps.into_iter().enumerate() {
            let now = Millis(now as u64 * 30_000);
            let mut ask = match known.get(which) {
                Some((id, epoch, _)) => ask(*id, *epoch, &wants),
                None => ask(0, 0, &wants),
            };
            ask.forgotten = forget.iter().map(|&p| (TopicKey::Name("t".into()), p)).collect();
            let is_new = ask.epoch == 0;
            let Ok(context) = sessions.begin(ask, now) else {
                known.remove(which);
                continue;
            };
            let seen = vec![Seen { has_records: records, ..quiet(1) }; context.wants.len()];
            let told = sessions.finish(&context, &seen, now).unwrap();
            if is_new {
                if told.session_id != 0 {
                    known.push((told.session_id, 1, wants.iter().copied().collect()));
                }
            } else {
                let (_, epoch, set) = &mut known[which];
                *epoch += 1;
                set.extend(&wants);
                forget.iter().for_each(|p| { set.remove(p); });
                if set.is_empty() {
                    known.remove(which);
                } else {
                    let fetched: BTreeSet<i32> = context.wants.iter().map(|w| w.partition).collect();
                    prop_assert_eq!(&fetched, &*set);
                    prop_assert_eq!(context.wants.len(), set.len());
                }
            }
            prop_assert!(sessions.len() <= 3);
            prop_assert_eq!(sessions.by_use.len(), sessions.len());
            let cached: usize = sessions.sessions.values().map(|s| s.cached.len()).sum();
            prop_assert_eq!(sessions.partitions, cached);
            prop_assert!(sessions.sessions.values().all(|s| s.turns.len() == s.cached.len()));
        }
    }
}
