//! One rule at a time, each in the words of the paper or thesis where it has some.

use model::{BrokerId, LeaderEpoch, Millis, Offset};

use super::world::{ELECTION_MS, World, id};
use crate::raft::{
    Action, Body, Context, Entry, Message, Node, Payload, Position, ProposeError, RaftConfig, Round, Stored,
    codec::BATCH_BYTES_MAX,
};

fn another_than(broker: BrokerId) -> BrokerId {
    if broker == id(1) { id(2) } else { id(1) }
}

#[test]
fn a_broker_alone_is_a_quorum_of_one() {
    let mut world = World::new(1, 1, 1);
    world.run_for(20);
    assert!(world.node(id(1)).is_leader());
    let offset = world.propose(id(1), "a").unwrap();
    assert!(offset >= Offset(1), "the epoch's own entry is the first");
    world.run_for(10);
    assert_eq!(world.node(id(1)).high_watermark(), world.node(id(1)).log().end().offset);
    assert_eq!(world.read(id(1)), Ok(()));
    assert_eq!(world.reads_ready, 1);
}

#[test]
fn what_a_majority_has_survives_its_leader() {
    let mut world = World::new(3, 3, 2);
    let leader = world.leader();
    let offset = world.propose(leader, "kept").unwrap();
    world.run_for(20);
    assert!(world.node(leader).high_watermark() > offset);
    world.crash(leader);
    let next = world.leader();
    assert_ne!(next, leader);
    world.propose(next, "after").unwrap();
    world.start(leader);
    world.run_for(500);
    assert_eq!(world.node(leader).leader(), Some(next));
    assert_eq!(world.node(leader).high_watermark(), world.committed_end());
}

/// A controller that is new to it ends the session of the one before by when that was last heard.
#[test]
fn who_leads_knows_when_the_leader_before_was_heard_last() {
    let mut world = World::new(3, 3, 2);
    let old = world.leader();
    assert_eq!(world.node(old).last_leader(), None, "nobody led before");
    world.run_for(ELECTION_MS);
    world.crash(old);
    let silent_since = world.now;
    let new = world.leader();
    let (who, heard) = world.node(new).last_leader().unwrap();
    assert_eq!(who, old);
    assert!(
        heard <= silent_since && silent_since.since(heard).as_millis() < u128::from(ELECTION_MS),
        "{heard:?}"
    );
    // It leads once more, and nobody but itself led in between.
    world.cut_off(new);
    world.run_for(3 * ELECTION_MS);
    assert!(!world.node(new).is_leader());
    assert_eq!(world.node(new).last_leader(), None);
}

#[test]
fn a_leader_without_a_majority_gives_up_and_what_it_wrote_goes() {
    let mut world = World::new(3, 3, 3);
    let old = world.leader();
    world.cut_off(old);
    world.propose(old, "lost").unwrap();
    assert_eq!(world.read(old), Ok(()), "it cannot know yet");
    world.run_for(3 * ELECTION_MS);
    assert!(!world.node(old).is_leader());
    assert_eq!(world.reads_ready, 0);
    let new = world.leader();
    world.propose(new, "kept").unwrap();
    world.cut.clear();
    world.run_for(2000);
    assert_eq!(world.leader(), new, "who comes back disturbs nobody");
    let texts = |payload: &Payload| match payload {
        Payload::Records { bytes, .. } => String::from_utf8_lossy(bytes).into_owned(),
        _ => String::new(),
    };
    let log: Vec<String> = world.node(old).log().entries().map(|entry| texts(&entry.payload)).collect();
    assert!(log.contains(&"kept".to_owned()) && !log.contains(&"lost".to_owned()), "{log:?}");
}

/// Raft thesis, section 9.6: without pre-votes its epoch rises with every election that it holds alone.
#[test]
fn who_is_cut_off_raises_no_epoch() {
    let mut world = World::new(3, 3, 4);
    let leader = world.leader();
    let epoch = world.node(leader).epoch();
    let other = another_than(leader);
    world.cut_off(other);
    world.run_for(30 * ELECTION_MS);
    assert_eq!(world.node(other).epoch(), epoch);
    world.cut.clear();
    world.run_for(3 * ELECTION_MS);
    assert_eq!((world.leader(), world.node(leader).epoch()), (leader, epoch));
}

/// It hears the others, but nobody hears it: it must not lead for ever, nor unseat one who does.
#[test]
fn who_is_not_heard_leads_nobody() {
    let mut world = World::new(3, 3, 5);
    let old = world.leader();
    for other in [1, 2, 3].map(id) {
        world.cut.insert((old, other));
    }
    world.run_for(5 * ELECTION_MS);
    let new = world.leader();
    assert_ne!(new, old);
    let epoch = world.node(new).epoch();
    world.run_for(20 * ELECTION_MS);
    assert_eq!((world.leader(), world.node(new).epoch()), (new, epoch));
}

/// Raft section 5.4.2: an entry of an earlier epoch may be on a majority and still go.
#[test]
fn entries_of_earlier_epochs_are_not_committed_by_counting() {
    let mut world = World::new(3, 3, 6);
    let old = world.leader();
    world.cut_off(old);
    world.propose(old, "not yet").unwrap();
    world.run_for(30);
    world.crash(old);
    world.cut.clear();
    world.start(old);
    // Whoever leads next writes an entry of its own before anything older counts.
    let new = world.leader();
    let first_of_epoch = |world: &World| {
        let epoch = world.node(new).epoch();
        world.node(new).log().entries().find(|entry| entry.epoch == epoch).unwrap().payload.clone()
    };
    assert_eq!(first_of_epoch(&world), Payload::LeaderChange);
}

#[test]
fn an_observer_follows_and_does_not_vote() {
    let mut world = World::new(3, 4, 7);
    let leader = world.leader();
    world.propose(leader, "a").unwrap();
    world.run_for(3 * ELECTION_MS);
    assert_eq!(world.node(id(4)).high_watermark(), world.committed_end());
    // Two of three voters are gone: the observer is no replacement.
    let voters: Vec<_> = [1, 2, 3].map(id).into_iter().filter(|&voter| voter != leader).collect();
    for &voter in &voters {
        world.crash(voter);
    }
    let end = world.committed_end();
    let _ = world.propose(leader, "b");
    world.run_for(5 * ELECTION_MS);
    assert_eq!(world.committed_end(), end);
    assert!(world.up().into_iter().all(|broker| !world.node(broker).is_leader()));
}

#[test]
fn voters_come_and_go_one_at_a_time() {
    let mut world = World::new(1, 3, 8);
    let leader = world.leader();
    world.run_for(3 * ELECTION_MS);
    assert_eq!(world.add_voter(leader, leader), Err(ProposeError::IsVoter));
    assert_eq!(world.remove_voter(leader, leader), Err(ProposeError::VoterCount));
    assert_eq!(world.remove_voter(leader, id(2)), Err(ProposeError::NoVoter));
    assert_eq!(world.add_voter(leader, id(9)), Err(ProposeError::Behind));
    assert_eq!(world.add_voter(leader, id(2)), Ok(()));
    assert_eq!(world.add_voter(leader, id(3)), Err(ProposeError::ChangeUnderWay));
    world.run_for(100);
    assert_eq!(world.add_voter(leader, id(3)), Ok(()));
    world.run_for(100);
    assert_eq!(world.node(id(3)).voters().count(), 3);
    // The leader itself: it leads until that is committed, then one of the others does.
    assert_eq!(world.remove_voter(leader, leader), Ok(()));
    assert!(world.node(leader).is_leader());
    world.run_for(100);
    assert!(!world.node(leader).is_leader());
    let next = world.leader();
    assert_ne!(next, leader);
    world.propose(next, "a").unwrap();
    world.run_for(3 * ELECTION_MS);
    assert_eq!(world.node(leader).high_watermark(), world.committed_end(), "it goes on as an observer");
}

#[test]
fn leadership_moves_without_waiting_for_a_timeout() {
    let mut world = World::new(3, 3, 9);
    let leader = world.leader();
    let to = another_than(leader);
    world.propose(leader, "a").unwrap();
    world.run_for(50);
    assert_eq!(world.transfer(leader, leader), Err(ProposeError::IsVoter));
    assert_eq!(world.transfer(leader, id(9)), Err(ProposeError::NoVoter));
    assert_eq!(world.transfer(leader, to), Ok(()));
    assert_eq!(world.propose(leader, "b"), Err(ProposeError::Transferring));
    world.run_for(50);
    assert_eq!(world.leader(), to);
}

#[test]
fn a_transfer_to_who_does_not_answer_is_given_up() {
    let mut world = World::new(3, 3, 10);
    let leader = world.leader();
    let to = another_than(leader);
    world.run_for(50);
    world.cut_off(to);
    assert_eq!(world.transfer(leader, to), Ok(()));
    world.run_for(2 * ELECTION_MS);
    assert!(world.propose(leader, "a").is_ok());
}

/// A snapshot was asked for and came late: by then another leader had brought the log there, and beyond, and counted on
/// it. It was installed all the same, and took from the disk what was committed with its help.
#[test]
fn a_snapshot_takes_nothing_from_a_log_that_got_there_by_itself() {
    let cx = Context { now: Millis(1), random: 1 };
    let voters = [1, 2, 3].map(id).into_iter().collect();
    let mut node = Node::new(RaftConfig::new(id(3)), Stored { voters, ..Stored::default() }, cx);
    let epoch = LeaderEpoch(1);
    let entry = |base| Entry { base: Offset(base), epoch, payload: Payload::LeaderChange };
    let hear = |node: &mut Node, body| node.receive(Message { from: id(1), to: id(3), epoch, body }, cx);
    let (round, high_watermark) = (Round(1), Offset::ZERO);
    let entries = (0..5).map(entry).collect();
    let append = Body::Append { before: Position::default(), entries, high_watermark, round };
    let actions = hear(&mut node, append);
    let persisted = actions.iter().find_map(|action| match action {
        Action::Append { id, .. } => Some(*id),
        _ => None,
    });
    let _ = node.persisted(persisted.expect("it appends"), cx);
    let end = |offset, epoch| Position { offset: Offset(offset), epoch: LeaderEpoch(epoch) };
    assert!(node.wants_snapshot(end(3, 2)), "another past");
    assert!(node.wants_snapshot(end(7, 1)), "it lacks something");
    assert!(!node.wants_snapshot(end(3, 1)), "it is in the log, committed or not");
    let actions = hear(&mut node, Body::Snapshot { id: end(3, 1), round });
    assert!(actions.contains(&Action::Commit(Offset(3))), "what a snapshot has is committed");
    let answer = Body::Appended { matched: Offset(5), round };
    assert!(actions.iter().any(|action| matches!(action, Action::Send(message) if message.body == answer)));
}

/// A follower had entries of an earlier epoch up to where the leader's log begins, in which others were committed there.
/// The leader asked for that very place again and again, and the follower stayed behind for good.
#[test]
fn who_has_another_past_before_the_leaders_snapshot_gets_it() {
    let cx = Context { now: Millis(10_000), random: 1 };
    let start = Position { offset: Offset(16), epoch: LeaderEpoch(4) };
    let voters = [1, 2, 3].map(id).into_iter().collect();
    let stored = Stored { start, voters, ..Stored::default() };
    let mut node = Node::new(RaftConfig::new(id(2)), stored, Context { now: Millis(1), random: 1 });
    let _ = node.tick(cx);
    let hear = |node: &mut Node, from, epoch, body| {
        node.receive(Message { from: id(from), to: id(2), epoch: LeaderEpoch(epoch), body }, cx)
    };
    let _ = hear(&mut node, 1, 4, Body::PreVoteAnswer { epoch: LeaderEpoch(4), granted: true });
    let _ = hear(&mut node, 1, 5, Body::VoteAnswer { granted: true });
    assert!(node.is_leader());
    let agree = Position { offset: start.offset, epoch: LeaderEpoch(3) };
    let diverged = Body::Diverged { before: start.offset + 1, agree, round: Round::default() };
    let actions = hear(&mut node, 3, 5, diverged);
    let snapshot = Body::Snapshot { id: start, round: Round::default() };
    assert!(actions.iter().any(|action| matches!(action, Action::Send(message) if message.body == snapshot)));
}

#[test]
fn who_was_away_for_long_gets_a_snapshot() {
    let mut world = World::new(3, 3, 11);
    let leader = world.leader();
    let away = another_than(leader);
    world.crash(away);
    for n in 0..20 {
        world.propose(leader, &format!("{n}")).unwrap();
        world.run_for(20);
    }
    world.compact(leader);
    world.start(away);
    world.run_for(1000);
    assert_eq!(world.snapshots_installed, 1);
    world.propose(leader, "after").unwrap();
    world.run_for(100);
    assert_eq!(world.node(away).high_watermark(), world.committed_end());
}

#[test]
fn a_stream_does_not_wait_and_is_bounded() {
    let mut world = World::new(3, 3, 12);
    let leader = world.leader();
    world.run_for(500);
    world.delivered.clear();
    let mut accepted = 0;
    while world.propose(leader, "0123456789").is_ok() {
        accepted += 1;
    }
    assert!((15..=60).contains(&accepted), "{accepted}");
    assert_eq!(world.propose(leader, "x"), Err(ProposeError::Busy));
    world.run_for(200);
    assert_eq!(world.node(leader).high_watermark(), world.node(leader).log().end().offset);
    let appends = world.count_delivered(|body| matches!(body, Body::Append { .. }));
    assert!(appends < 4 * accepted, "{appends} messages for {accepted} entries to two followers");
}

#[test]
fn a_follower_with_a_long_tail_of_others_is_mended_in_few_steps() {
    let mut world = World::new(3, 3, 13);
    let old = world.leader();
    world.cut_off(old);
    for _ in 0..10 {
        let _ = world.propose(old, "lost");
    }
    world.run_for(4 * ELECTION_MS);
    let new = world.leader();
    for n in 0..20 {
        world.propose(new, &format!("{n}")).unwrap();
        world.run_for(20);
    }
    world.delivered.clear();
    world.cut.clear();
    world.run_for(2 * ELECTION_MS);
    assert_eq!(world.node(old).log().end(), world.node(new).log().end());
    assert!(world.count_delivered(|body| matches!(body, Body::Diverged { .. })) <= 3);
}

#[test]
fn old_messages_do_no_harm() {
    let mut world = World::new(3, 3, 14);
    let leader = world.leader();
    for n in 0..5 {
        world.propose(leader, &format!("{n}")).unwrap();
        world.run_for(20);
    }
    let old: Vec<Message> = world.delivered.clone();
    world.crash(leader);
    let next = world.leader();
    world.start(leader);
    world.propose(next, "after").unwrap();
    world.run_for(1000);
    for message in old {
        world.hear(message);
    }
    world.run_for(1000);
    assert_eq!(world.leader(), next);
}

/// A vote for one epoch that arrives in the next must not count there: who gave it may vote for another now.
#[test]
fn votes_of_an_earlier_epoch_do_not_count() {
    let mut world = World::new(3, 3, 16);
    let leader = world.leader();
    world.cut_off(leader);
    for other in [1, 2, 3].map(id) {
        world.cut_off(other);
    }
    let candidate = another_than(leader);
    let epoch = world.node(candidate).epoch();
    world.make_candidate(candidate);
    assert_eq!(world.node(candidate).epoch(), LeaderEpoch(epoch.0 + 1));
    let late = Message { from: leader, to: candidate, epoch, body: Body::VoteAnswer { granted: true } };
    world.hear(late);
    assert!(!world.node(candidate).is_leader());
    let epoch = LeaderEpoch(epoch.0 + 1);
    world.hear(Message { from: leader, to: candidate, epoch, body: Body::VoteAnswer { granted: true } });
    assert!(world.node(candidate).is_leader(), "and one of this epoch does");
}

/// The tail that one leader sent may not be the next one's, though both logs share what is before it.
#[test]
fn what_was_seen_to_be_one_leaders_is_not_the_next_ones() {
    let mut world = World::new(3, 3, 17);
    [1, 2, 3].map(id).into_iter().for_each(|broker| world.cut_off(broker));
    let entry = |n| Entry { base: Offset(n), epoch: LeaderEpoch(1), payload: Payload::LeaderChange };
    let append = |epoch, offset, entries: Vec<Entry>| Message {
        from: id(epoch + 1),
        to: id(1),
        epoch: LeaderEpoch(epoch),
        body: Body::Append {
            before: Position { offset: Offset(offset), epoch: LeaderEpoch(i32::from(offset > 0)) },
            entries,
            high_watermark: Offset(0),
            round: Default::default(),
        },
    };
    world.hear(append(1, 0, vec![entry(0), entry(1), entry(2)]));
    world.run_for(20);
    assert_eq!(world.node(id(1)).log().durable(), Offset(3));
    let cx = world.context();
    let heard = world.hosts.get_mut(&id(1)).unwrap().node.as_mut().unwrap().receive(append(2, 1, vec![]), cx);
    let matched: Vec<Offset> = heard
        .iter()
        .filter_map(|action| match action {
            Action::Send(Message { body: Body::Appended { matched, .. }, .. }) => Some(*matched),
            _ => None,
        })
        .collect();
    assert_eq!(matched, [Offset(1)]);
}

/// Whatever a stranger of the cluster says, it is answered or passed over.
#[test]
fn what_makes_no_sense_is_passed_over() {
    let mut world = World::new(3, 3, 15);
    let leader = world.leader();
    let epoch = world.node(leader).epoch();
    let far = Position { offset: Offset(1_000_000), epoch: LeaderEpoch(0) };
    let entry = Entry { base: Offset(5), epoch, payload: Payload::LeaderChange };
    let bodies = [
        Body::Appended { matched: Offset(1_000_000), round: Default::default() },
        Body::Diverged { before: Offset(7), agree: far, round: Default::default() },
        Body::Append {
            before: Position { offset: Offset(1), epoch },
            entries: vec![entry],
            high_watermark: Offset(1_000_000),
            round: Default::default(),
        },
        Body::VoteAnswer { granted: true },
    ];
    for body in bodies {
        for to in [1, 2, 3].map(id) {
            let from = if leader == to { id(7) } else { leader };
            world.hear(Message { from, to, epoch, body: body.clone() });
        }
    }
}

/// It could be sent to nobody, and nothing behind it either.
#[test]
fn records_that_no_message_holds_are_refused() {
    let mut world = World::new(1, 1, 1);
    world.run_for(20);
    let large = |bytes: usize| "x".repeat(bytes);
    assert_eq!(world.propose(id(1), &large(BATCH_BYTES_MAX + 1)), Err(ProposeError::TooLarge));
    assert!(world.propose(id(1), &large(BATCH_BYTES_MAX)).is_ok());
}
