use model::ErrorCode;

use super::world::{DELAY_MS, REBALANCE_MS, SESSION_MS, World, config, join, sync};
use crate::group::{GroupConfig, JoinGroup};

const DELAY: u64 = DELAY_MS as u64;
const SESSION: u64 = SESSION_MS as u64;
const REBALANCE: u64 = REBALANCE_MS as u64;

fn protocols(names: &[&str]) -> Vec<(String, Vec<u8>)> {
    names.iter().map(|name| ((*name).to_owned(), name.as_bytes().to_vec())).collect()
}

#[test]
fn a_new_member_gets_an_id_and_joins_with_it() {
    let mut world = World::new();
    let (member_id, ticket) = world.join_new();
    assert!(member_id.starts_with("client-"), "{member_id}");
    assert_eq!(world.describe().state, "PreparingRebalance");
    world.advance(DELAY);
    let answer = world.joined(ticket);
    assert_eq!((answer.error, answer.generation), (ErrorCode::None, 1));
    assert_eq!(
        (answer.leader.as_str(), answer.protocol_name.as_deref()),
        (member_id.as_str(), Some("range"))
    );
    assert_eq!(answer.members.len(), 1);
    assert_eq!(world.describe().state, "CompletingRebalance");
}

#[test]
fn older_clients_join_in_one_round() {
    let mut world = World::new();
    let request = JoinGroup { requires_known_member_id: false, ..join("", None) };
    let ticket = world.ask_join(&request);
    world.advance(DELAY);
    assert_eq!(world.joined(ticket).error, ErrorCode::None);
}

#[test]
fn what_cannot_be_a_member_is_refused() {
    #[track_caller]
    fn check(change: impl FnOnce(&mut JoinGroup), expected: ErrorCode) {
        let mut world = World::new();
        let mut request = join("", None);
        change(&mut request);
        let ticket = world.ask_join(&request);
        assert_eq!(world.joined(ticket).error, expected);
        assert_eq!((world.coordinator.group_count(), world.coordinator.next_deadline().is_some()), (0, true));
    }
    check(|r| r.group_id = String::new(), ErrorCode::InvalidGroupId);
    check(|r| r.session_timeout_ms = 5999, ErrorCode::InvalidSessionTimeout);
    check(|r| r.session_timeout_ms = 1_800_001, ErrorCode::InvalidSessionTimeout);
    check(|r| r.protocols = vec![], ErrorCode::InconsistentGroupProtocol);
    check(|r| r.protocol_type = String::new(), ErrorCode::InconsistentGroupProtocol);
    check(|r| r.member_id = "unheard of".into(), ErrorCode::UnknownMemberId);
    check(|r| r.client_id = "x".repeat(32_768), ErrorCode::InvalidRequest);
    check(|r| r.protocols = vec![("range".into(), vec![0; 1 << 20])], ErrorCode::InvalidRequest);
    check(|r| r.protocols = protocols(&["p"; 33]), ErrorCode::InvalidRequest);
}

#[test]
fn the_first_rebalance_waits_for_those_who_are_about_to_come() {
    let mut world = World::new();
    let (_, first) = world.join_new();
    world.advance(DELAY - 1);
    let (_, second) = world.join_new();
    world.advance(DELAY - 1);
    assert_eq!(world.answer(first), None, "another round, for the second may not be the last");
    world.advance(2);
    assert_eq!(world.joined(first).generation, 1);
    assert_eq!(world.joined(second).generation, 1);
}

#[test]
fn the_first_rebalance_does_not_wait_longer_than_the_rebalance_timeout() {
    let mut world = World::new();
    let (_, first) = world.join_new();
    for _ in 0..REBALANCE / 2000 {
        world.advance(2000);
        if world.answer(first).is_some() {
            break;
        }
        world.join_new();
    }
    world.advance(DELAY);
    assert_eq!(world.joined(first).generation, 1);
    assert!(world.now <= REBALANCE + DELAY, "{}", world.now);
}

#[test]
fn without_a_delay_the_first_member_is_alone_at_once() {
    let mut world = World::with(GroupConfig { initial_rebalance_delay_ms: 0, ..config() });
    let (_, ticket) = world.join_new();
    assert_eq!(world.joined(ticket).generation, 1);
}

#[test]
fn the_assignment_is_handed_out_when_it_is_durable() {
    let mut world = World::new();
    let (a, first) = world.join_new();
    let (b, second) = world.join_new();
    world.advance(2 * DELAY);
    let leader = world.joined(first).leader;
    let follower = if leader == a { b } else { a };
    assert_eq!(
        world.joined(first).members.len() + world.joined(second).members.len(),
        2,
        "the leader's list"
    );
    world.settles_at_once = false;
    let waits = world.ask_sync(&sync(&follower, 1, &[]));
    let leads = world.ask_sync(&sync(&leader, 1, &[(&leader, b"L"), (&follower, b"F"), ("gone", b"?")]));
    assert_eq!((world.answer(waits), world.answer(leads)), (None, None));
    // The leader's client lost patience and asks again; its second assignment is not the one in the log.
    let again = world.ask_sync(&sync(&leader, 1, &[(&leader, b"F"), (&follower, b"L")]));
    assert_eq!(world.synced(leads).error, ErrorCode::RebalanceInProgress);
    assert_eq!(world.under_way.len(), 1);
    world.settle();
    assert_eq!(
        (world.synced(waits).assignment, world.synced(again).assignment),
        (b"F".to_vec(), b"L".to_vec())
    );
    assert_eq!(world.describe().state, "Stable");
    let late = world.ask_sync(&sync(&follower, 1, &[]));
    assert_eq!(world.synced(late).assignment, b"F");
}

/// The group has gone on while the assignment was on its way to the log: members of the next generation must not get it.
#[test]
fn an_assignment_that_is_durable_too_late_is_nobodys() {
    let mut world = World::new();
    let (a, _) = world.join_new();
    world.advance(2 * DELAY);
    world.settles_at_once = false;
    let first = world.ask_sync(&sync(&a, 1, &[(&a, b"1")]));
    let other = JoinGroup { protocols: protocols(&["range", "roundrobin"]), ..join(&a, None) };
    let ticket = world.ask_join(&other);
    assert_eq!(world.joined(ticket).generation, 2);
    assert_eq!(world.synced(first).error, ErrorCode::RebalanceInProgress);
    world.settle();
    assert_eq!(world.describe().state, "CompletingRebalance");
    let second = world.ask_sync(&sync(&a, 2, &[(&a, b"2")]));
    world.settle();
    assert_eq!(world.synced(second).assignment, b"2");
}

#[test]
fn an_assignment_that_the_log_refuses_starts_another_generation() {
    let mut world = World::new();
    let (a, _) = world.join_new();
    world.advance(2 * DELAY);
    world.settles_at_once = false;
    let ticket = world.ask_sync(&sync(&a, 1, &[(&a, b"A")]));
    assert!(world.refuse(ErrorCode::NotEnoughReplicas));
    assert_eq!(world.synced(ticket).error, ErrorCode::CoordinatorNotAvailable);
    assert_eq!(world.describe().state, "PreparingRebalance");
    let ticket = world.ask_join(&join(&a, None));
    assert_eq!(world.joined(ticket).generation, 2);
}

#[test]
fn sync_is_for_members_of_the_generation() {
    let mut world = World::new();
    let (a, _) = world.join_new();
    world.advance(DELAY);
    let mut check = |request, expected| {
        let ticket = world.ask_sync(&request);
        assert_eq!(world.synced(ticket).error, expected, "{request:?}");
    };
    check(sync("stranger", 1, &[]), ErrorCode::UnknownMemberId);
    check(sync(&a, 2, &[]), ErrorCode::IllegalGeneration);
    let mut other = sync(&a, 1, &[]);
    other.protocol_name = Some("roundrobin".into());
    check(other, ErrorCode::InconsistentGroupProtocol);
    let mut other = sync(&a, 1, &[]);
    other.group_id = "nowhere".into();
    check(other, ErrorCode::UnknownMemberId);
}

#[test]
fn heartbeats_tell_of_rebalances() {
    let mut world = World::new();
    let (ids, generation) = world.stable(2);
    assert_eq!(world.heartbeat(&ids[0], None, generation), ErrorCode::None);
    assert_eq!(world.heartbeat("stranger", None, generation), ErrorCode::UnknownMemberId);
    assert_eq!(world.heartbeat(&ids[0], None, generation + 1), ErrorCode::IllegalGeneration);
    world.join_new();
    assert_eq!(world.heartbeat(&ids[0], None, generation), ErrorCode::RebalanceInProgress);
}

#[test]
fn who_falls_silent_falls_out() {
    let mut world = World::new();
    let (ids, generation) = world.stable(2);
    for _ in 0..4 {
        world.advance(SESSION / 3);
        world.heartbeat(&ids[0], None, generation);
    }
    assert_eq!(world.heartbeat(&ids[1], None, generation), ErrorCode::UnknownMemberId);
    let ticket = world.ask_join(&join(&ids[0], None));
    assert_eq!(world.joined(ticket).generation, generation + 1, "the others go on without");
    world.advance(SESSION + REBALANCE);
    assert_eq!(world.describe().members.len(), 0);
    assert_eq!(world.describe().state, "Empty");
}

#[test]
fn who_does_not_join_again_in_time_is_left_behind() {
    let mut world = World::new();
    let (ids, generation) = world.stable(2);
    let ticket = world.ask_join(&join(&ids[0], None));
    for _ in 0..REBALANCE / 5000 {
        assert_eq!(world.answer(ticket), None);
        world.heartbeat(&ids[1], None, generation);
        world.advance(5000);
    }
    let answer = world.joined(ticket);
    assert_eq!((answer.generation, answer.members.len()), (generation + 1, 1));
    assert_eq!(world.heartbeat(&ids[1], None, generation), ErrorCode::UnknownMemberId);
}

#[test]
fn who_does_not_fetch_its_assignment_falls_out() {
    let mut world = World::new();
    let (a, _) = world.join_new();
    let (b, _) = world.join_new();
    world.advance(2 * DELAY);
    for _ in 0..REBALANCE / 5000 + 1 {
        world.heartbeat(&a, None, 1);
        world.heartbeat(&b, None, 1);
        world.advance(5000);
    }
    assert_eq!(world.heartbeat(&a, None, 1), ErrorCode::UnknownMemberId);
}

#[test]
fn a_member_whose_request_waits_is_alive() {
    let mut world = World::new();
    let (ids, generation) = world.stable(2);
    let ticket = world.ask_join(&join(&ids[0], None));
    for _ in 0..5 {
        world.advance(SESSION / 2);
        world.heartbeat(&ids[1], None, generation);
    }
    assert_eq!(world.answer(ticket), None, "longer than its session, and still there");
    let other = world.ask_join(&join(&ids[1], None));
    assert_eq!((world.joined(ticket).error, world.joined(other).error), (ErrorCode::None, ErrorCode::None));
}

#[test]
fn an_id_that_is_not_used_is_forgotten() {
    let mut world = World::new();
    let ticket = world.ask_join(&join("", None));
    let member_id = world.joined(ticket).member_id;
    assert_eq!(world.coordinator.group_count(), 1);
    world.advance(SESSION);
    assert_eq!(world.coordinator.group_count(), 0, "nor is the group of which nothing else is known");
    let ticket = world.ask_join(&join(&member_id, None));
    assert_eq!(world.joined(ticket).error, ErrorCode::UnknownMemberId);
}

#[test]
fn a_rebalance_waits_for_those_who_were_given_an_id() {
    let mut world = World::new();
    let (ids, _) = world.stable(1);
    let promised = world.ask_join(&join("", None));
    let promised = world.joined(promised).member_id;
    let ticket = world.ask_join(&join(&ids[0], None));
    assert_eq!(world.answer(ticket), None);
    let other = world.ask_join(&join(&promised, None));
    assert_eq!((world.joined(ticket).generation, world.joined(other).generation), (2, 2));
}

#[test]
fn a_repeated_join_changes_nothing() {
    let mut world = World::new();
    let (ids, generation) = world.stable(2);
    let ticket = world.ask_join(&join(&ids[1], None));
    let answer = world.joined(ticket);
    assert_eq!((answer.error, answer.generation), (ErrorCode::None, generation));
    assert_eq!(world.describe().state, "Stable");
    let changed = JoinGroup { protocols: vec![("range".into(), vec![9])], ..join(&ids[1], None) };
    world.ask_join(&changed);
    assert_eq!(world.describe().state, "PreparingRebalance", "it wants something else now");
}

#[test]
fn a_leader_that_joins_again_wants_to_assign_anew() {
    let mut world = World::new();
    let (ids, _) = world.stable(2);
    world.ask_join(&join(&ids[0], None));
    assert_eq!(world.describe().state, "PreparingRebalance");
}

#[test]
fn members_vote_for_a_protocol() {
    fn check(members: &[&[&str]], expected: &str) {
        let mut world = World::new();
        let request = |names| JoinGroup {
            protocols: protocols(names),
            requires_known_member_id: false,
            ..join("", None)
        };
        let tickets: Vec<_> = members.iter().map(|names| world.ask_join(&request(names))).collect();
        world.advance(3 * DELAY);
        for ticket in tickets {
            let answer = world.joined(ticket);
            assert_eq!(answer.protocol_name.as_deref(), Some(expected), "{members:?}");
            assert!(answer.members.iter().all(|member| member.metadata == expected.as_bytes()));
        }
    }
    check(&[&["a", "b"]], "a");
    check(&[&["a", "b"], &["b", "a"], &["b", "a"]], "b");
    check(&[&["c", "a", "b"], &["b", "a"]], "a");
    check(&[&["x", "b"], &["b", "y"]], "b");
}

#[test]
fn a_member_without_a_common_protocol_stays_outside() {
    let mut world = World::new();
    world.stable(1);
    let ticket = world.ask_join(&JoinGroup { protocols: protocols(&["sticky"]), ..join("", None) });
    assert_eq!(world.joined(ticket).error, ErrorCode::InconsistentGroupProtocol);
    let ticket = world.ask_join(&JoinGroup { protocol_type: "connect".into(), ..join("", None) });
    assert_eq!(world.joined(ticket).error, ErrorCode::InconsistentGroupProtocol);
    assert_eq!(world.describe().state, "Stable");
}

#[test]
fn a_full_group_takes_nobody() {
    let mut world = World::with(GroupConfig { classic_size_max: 2, ..config() });
    let (ids, generation) = world.stable(2);
    let ticket = world.ask_join(&join("", None));
    assert_eq!(world.joined(ticket).error, ErrorCode::GroupMaxSizeReached);
    assert_eq!(world.heartbeat(&ids[0], None, generation), ErrorCode::None);
    let ticket = world.ask_join(&join(&ids[1], None));
    assert_eq!(world.joined(ticket).error, ErrorCode::None, "members are not new");
}

#[test]
fn what_members_bring_has_its_limit_for_all_of_them_together() {
    let brings = |bytes: usize| {
        let mut request = join("", Some(&format!("i{bytes}")));
        request.protocols = vec![("range".into(), vec![0; bytes])];
        request
    };
    let mut world = World::with(GroupConfig { classic_bytes_max: 1000, ..config() });
    world.ask_join(&brings(600));
    let ticket = world.ask_join(&brings(500));
    assert_eq!(world.joined(ticket).error, ErrorCode::GroupMaxSizeReached);
    let fits = world.ask_join(&brings(300));
    // One that comes again counts once.
    let again = world.ask_join(&brings(600));
    world.advance(3 * DELAY);
    assert_eq!(world.joined(fits).error, ErrorCode::None);
    assert_eq!(world.joined(again).error, ErrorCode::None);
}

#[test]
fn members_leave_together() {
    let mut world = World::new();
    let (ids, generation) = world.stable(3);
    let answer = world.leave(&[(&ids[1], None), ("stranger", None), (&ids[2], None), ("", Some("nobody"))]);
    let errors: Vec<_> = answer.members.iter().map(|member| member.error).collect();
    let unknown = ErrorCode::UnknownMemberId;
    assert_eq!(errors, [ErrorCode::None, unknown, ErrorCode::None, unknown]);
    assert_eq!(world.heartbeat(&ids[0], None, generation), ErrorCode::RebalanceInProgress);
    let ticket = world.ask_join(&join(&ids[0], None));
    assert_eq!(world.joined(ticket).members.len(), 1);
}

#[test]
fn the_last_one_leaves_an_empty_group() {
    let mut world = World::new();
    let (ids, generation) = world.stable(1);
    world.leave(&[(&ids[0], None)]);
    assert_eq!(world.describe().state, "Empty");
    let (_, ticket) = world.join_new();
    world.advance(DELAY);
    assert_eq!(world.joined(ticket).generation, generation + 2, "generations are not used twice");
}

#[test]
fn who_leaves_while_it_waits_is_answered() {
    let mut world = World::new();
    let (ids, _) = world.stable(2);
    let ticket = world.ask_join(&join(&ids[0], None));
    world.leave(&[(&ids[0], None)]);
    assert_eq!(world.joined(ticket).error, ErrorCode::UnknownMemberId);
}

/// A stable group of one static member `i` and one dynamic one.
fn with_static(world: &mut World) -> (String, String, i32) {
    let first = world.ask_join(&join("", Some("i")));
    let (dynamic, _) = world.join_new();
    world.advance(2 * DELAY);
    let answer = world.joined(first);
    let mut ids = vec![answer.member_id.clone(), dynamic.clone()];
    ids.sort_by_key(|id| *id != answer.leader);
    world.sync_all(&ids, answer.generation);
    (answer.member_id, dynamic, answer.generation)
}

#[test]
fn a_static_member_comes_back_without_a_rebalance() {
    let mut world = World::new();
    let (old, dynamic, generation) = with_static(&mut world);
    let ticket = world.ask_join(&join("", Some("i")));
    let answer = world.joined(ticket);
    assert_eq!((answer.error, answer.generation), (ErrorCode::None, generation));
    let new = answer.member_id;
    assert_ne!(new, old);
    assert_eq!(world.describe().state, "Stable");
    assert_eq!(world.heartbeat(&dynamic, None, generation), ErrorCode::None);
    let mut request = sync(&new, generation, &[]);
    request.group_instance_id = Some("i".into());
    let ticket = world.ask_sync(&request);
    assert_eq!(world.synced(ticket).assignment, old.as_bytes(), "what the old one had");

    assert_eq!(world.heartbeat(&old, Some("i"), generation), ErrorCode::FencedInstanceId);
    assert_eq!(world.heartbeat(&old, None, generation), ErrorCode::UnknownMemberId);
    let ticket = world.ask_join(&join(&old, Some("i")));
    assert_eq!(world.joined(ticket).error, ErrorCode::FencedInstanceId);
    request.member_id = old.clone();
    let ticket = world.ask_sync(&request);
    assert_eq!(world.synced(ticket).error, ErrorCode::FencedInstanceId);
    assert_eq!(world.leave(&[(&old, Some("i"))]).members[0].error, ErrorCode::FencedInstanceId);
    let later = world.replayed().describe("g");
    assert_eq!(
        (later.state, later.members),
        ("Stable", world.describe().members),
        "the log knows the new one"
    );
}

#[test]
fn a_static_leader_that_comes_back_need_not_assign() {
    for supports_skipping_assignment in [true, false] {
        let mut world = World::new();
        let first = world.ask_join(&join("", Some("i")));
        world.advance(DELAY);
        let old = world.joined(first).member_id;
        world.sync_all(std::slice::from_ref(&old), 1);
        let ticket = world.ask_join(&JoinGroup { supports_skipping_assignment, ..join("", Some("i")) });
        let answer = world.joined(ticket);
        assert_eq!(answer.skip_assignment, supports_skipping_assignment);
        let expected_leader = if supports_skipping_assignment { &answer.member_id } else { &old };
        assert_eq!(&answer.leader, expected_leader);
        assert_eq!(answer.members.len(), usize::from(supports_skipping_assignment));
    }
}

#[test]
fn a_static_member_replaced_while_it_waits_is_fenced() {
    let mut world = World::new();
    let first = world.ask_join(&join("", Some("i")));
    let second = world.ask_join(&join("", Some("i")));
    assert_eq!(world.joined(first).error, ErrorCode::FencedInstanceId);
    world.advance(2 * DELAY);
    assert_eq!(world.joined(second).members.len(), 1);
}

#[test]
fn a_static_member_that_is_away_keeps_its_place() {
    let mut world = World::new();
    let patient = JoinGroup { session_timeout_ms: 4 * REBALANCE_MS, ..join("", Some("i")) };
    let first = world.ask_join(&patient);
    world.advance(DELAY);
    world.sync_all(&[world.joined(first).member_id], 1);
    let (_, ticket) = world.join_new();
    world.advance(REBALANCE - 1);
    assert_eq!(world.answer(ticket), None);
    world.advance(1);
    let answer = world.joined(ticket);
    assert_eq!(
        (answer.generation, answer.members.len()),
        (2, 2),
        "the one who is here leads, the other is in"
    );
}

#[test]
fn a_group_is_left_by_instance_id() {
    let mut world = World::new();
    let (_, dynamic, generation) = with_static(&mut world);
    let answer = world.leave(&[("", Some("i"))]);
    assert_eq!(answer.members[0].error, ErrorCode::None);
    assert_eq!(world.heartbeat(&dynamic, None, generation), ErrorCode::RebalanceInProgress);
}

#[test]
fn a_loaded_group_goes_on_where_it_was() {
    let mut world = World::new();
    let (ids, generation) = world.stable(2);
    world.advance(SESSION - 1);
    let before = world.describe();
    world.crash();
    assert_eq!(world.describe(), before);
    world.advance(SESSION - 1);
    for id in &ids {
        assert_eq!(world.heartbeat(id, None, generation), ErrorCode::None, "its session began anew");
    }
    world.advance(SESSION);
    assert_eq!(world.heartbeat(&ids[0], None, generation), ErrorCode::UnknownMemberId);
}

/// A member that went while there was no coordinator would keep its partitions for ever.
#[test]
fn who_never_comes_to_the_new_coordinator_falls_out() {
    let mut world = World::new();
    let (ids, generation) = world.stable(2);
    world.crash();
    world.advance(SESSION - 1);
    assert_eq!(world.heartbeat(&ids[0], None, generation), ErrorCode::None);
    world.advance(1);
    assert_eq!(world.describe().state, "PreparingRebalance");
    assert_eq!(world.heartbeat(&ids[1], None, generation), ErrorCode::UnknownMemberId);
}

#[test]
fn whoever_waits_is_sent_to_the_new_coordinator() {
    let mut world = World::new();
    let (ids, _) = world.stable(2);
    let ticket = world.ask_join(&join(&ids[0], None));
    world.crash();
    assert_eq!(world.joined(ticket).error, ErrorCode::NotCoordinator);
}

#[test]
fn groups_are_listed_by_state_and_type() {
    let mut world = World::new();
    world.stable(1);
    let list = |states: &[&str], types: &[&str]| {
        let owned = |filter: &[&str]| filter.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        world.coordinator.list(&owned(states), &owned(types)).len()
    };
    assert_eq!((list(&[], &[]), list(&["stable"], &["Classic"]), list(&["Empty"], &[])), (1, 1, 0));
    assert_eq!(list(&[], &["consumer"]), 0);
    let unknown = world.coordinator.describe("nowhere");
    assert_eq!((unknown.state, unknown.error), ("Dead", ErrorCode::GroupIdNotFound));
}
