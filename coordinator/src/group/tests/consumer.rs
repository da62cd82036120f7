use model::ErrorCode;

use super::world::{REBALANCE_MS, World, beat, commit, config, owning, topic_id};
use crate::group::{
    ConsumerGroupHeartbeat, ConsumerGroupHeartbeatAnswer, GroupConfig, OffsetReader, coordinator::Kind,
};

const SESSION: u64 = 45_000;

/// Partitions of `t` in an answer; none if it says nothing new.
fn partitions(answer: &ConsumerGroupHeartbeatAnswer) -> Option<Vec<i32>> {
    let assignment = answer.assignment.as_ref()?;
    assert!(assignment.iter().all(|(topic, _)| *topic == topic_id("t")));
    Some(assignment.iter().flat_map(|(_, partitions)| partitions.clone()).collect())
}

#[track_caller]
fn check(answer: &ConsumerGroupHeartbeatAnswer, epoch: i32, expected: Option<&[i32]>) {
    assert_eq!((answer.error, answer.member_epoch), (ErrorCode::None, epoch), "{:?}", answer.error_message);
    assert_eq!(partitions(answer).as_deref(), expected);
}

fn state(world: &World) -> &'static str {
    world.coordinator.describe_consumer("g").map_or("Dead", |group| group.state)
}

/// `a` and `b` with two partitions each, in epoch 2.
fn two() -> World {
    let mut world = World::new();
    world.beat(&beat("a", 0));
    world.beat(&beat("b", 0));
    world.beat(&beat("a", 1));
    check(&world.beat(&owning("a", 1, &[2, 3])), 2, None);
    check(&world.beat(&beat("b", 2)), 2, Some(&[0, 1]));
    assert_eq!(state(&world), "Stable");
    world
}

#[test]
fn the_first_member_gets_everything_when_that_is_durable() {
    let mut world = World::new();
    world.settles_at_once = false;
    let ticket = world.ask_beat(&beat("a", 0));
    let again = world.ask_beat(&beat("a", 1));
    assert_eq!(
        (world.answer(ticket), world.answer(again)),
        (None, None),
        "nothing is told of what may yet be lost"
    );
    world.settle();
    check(&world.beaten(ticket), 1, Some(&[0, 1, 2, 3]));
    check(&world.beaten(again), 1, None);
    let answer = world.beaten(ticket);
    assert_eq!((answer.member_id.as_deref(), answer.heartbeat_interval_ms), (Some("a"), 5000));
    assert_eq!(state(&world), "Stable");
}

#[test]
fn older_clients_are_given_their_id() {
    let mut world = World::new();
    let answer = world.beat(&ConsumerGroupHeartbeat { makes_member_id: false, ..beat("", 0) });
    let id = answer.member_id.expect("an id");
    assert_eq!(id.len(), 36);
    check(&world.beat(&beat(&id, 1)), 1, None);
}

#[test]
fn partitions_are_given_up_before_others_get_them() {
    let mut world = World::new();
    world.beat(&beat("a", 0));
    check(&world.beat(&beat("b", 0)), 2, Some(&[]));
    assert_eq!(state(&world), "Reconciling");
    check(&world.beat(&beat("a", 1)), 1, Some(&[2, 3]));
    check(&world.beat(&beat("b", 2)), 2, None);
    check(&world.beat(&owning("a", 1, &[0, 2, 3])), 1, None);
    check(&world.beat(&beat("b", 2)), 2, None);
    check(&world.beat(&owning("a", 1, &[2, 3])), 2, None);
    check(&world.beat(&beat("b", 2)), 2, Some(&[0, 1]));
    assert_eq!(state(&world), "Stable");
}

#[test]
fn epochs_that_are_not_the_members_are_fenced() {
    let mut world = two();
    let fenced = ErrorCode::FencedMemberEpoch;
    assert_eq!(world.beat(&beat("a", 3)).error, fenced);
    assert_eq!(world.beat(&beat("a", 1)).error, fenced, "it does not say what it has");
    assert_eq!(world.beat(&owning("a", 1, &[1, 2])).error, fenced, "it has what it was not given");
    check(&world.beat(&owning("a", 1, &[2])), 2, None);
    assert_eq!(world.beat(&beat("c", 2)).error, ErrorCode::UnknownMemberId);
    let elsewhere = ConsumerGroupHeartbeat { group_id: "nowhere".into(), ..beat("a", 2) };
    assert_eq!(world.beat(&elsewhere).error, ErrorCode::GroupIdNotFound);
    check(&world.beat(&beat("a", 0)), 2, Some(&[2, 3]));
}

#[test]
fn who_leaves_leaves_its_partitions() {
    let mut world = two();
    let answer = world.beat(&beat("b", -1));
    assert_eq!((answer.error, answer.member_epoch), (ErrorCode::None, -1));
    assert_eq!(state(&world), "Assigning");
    check(&world.beat(&beat("a", 2)), 3, Some(&[0, 1, 2, 3]));
    assert_eq!(world.beat(&beat("b", 2)).error, ErrorCode::UnknownMemberId);
}

#[test]
fn who_falls_silent_falls_out() {
    let mut world = two();
    world.advance(SESSION - 1);
    check(&world.beat(&beat("a", 2)), 2, None);
    world.advance(1);
    check(&world.beat(&beat("a", 2)), 3, Some(&[0, 1, 2, 3]));
    world.advance(SESSION);
    assert_eq!(state(&world), "Empty");
    world.advance(700_000);
    assert_eq!((world.coordinator.group_count(), world.replayed().group_count()), (0, 0));
}

#[test]
fn who_does_not_give_up_in_time_is_fenced() {
    let mut world = World::new();
    world.beat(&beat("a", 0));
    world.beat(&beat("b", 0));
    world.beat(&beat("a", 1));
    for _ in 0..REBALANCE_MS / 5000 {
        world.advance(5000);
        world.beat(&owning("a", 1, &[0, 1, 2, 3]));
        world.beat(&beat("b", 2));
    }
    assert_eq!(world.beat(&owning("a", 1, &[0, 1, 2, 3])).error, ErrorCode::UnknownMemberId);
    let answer = world.beat(&beat("b", 2));
    assert_eq!(
        world.coordinator.describe_consumer("g").unwrap().members[0].assignment[0].1.len(),
        4,
        "{answer:?}"
    );
}

#[test]
fn a_static_member_comes_back_to_what_it_had() {
    let with_instance = |request| ConsumerGroupHeartbeat { instance_id: Some("i".into()), ..request };
    let mut world = World::new();
    check(&world.beat(&with_instance(beat("a", 0))), 1, Some(&[0, 1, 2, 3]));
    assert_eq!(world.beat(&with_instance(beat("b", 0))).error, ErrorCode::UnreleasedInstanceId);
    check(&world.beat(&beat("a", 1)), 1, None);
    check(&world.beat(&with_instance(beat("a", -2))), -2, None);
    check(&world.beat(&beat("c", 0)), 2, Some(&[]));
    check(&world.beat(&with_instance(beat("b", 0))), 2, Some(&[2, 3]));
    check(&world.beat(&beat("c", 2)), 2, Some(&[0, 1]));
    assert_eq!(world.beat(&with_instance(beat("a", 1))).error, ErrorCode::FencedInstanceId);
    assert_eq!(world.beat(&beat("a", 1)).error, ErrorCode::UnknownMemberId);
    assert_eq!(world.beat(&with_instance(beat("a", -1))).error, ErrorCode::FencedInstanceId);
}

#[test]
fn a_static_member_that_does_not_come_back_is_given_up() {
    let mut world = World::new();
    world.beat(&ConsumerGroupHeartbeat { instance_id: Some("i".into()), ..beat("a", 0) });
    world.beat(&ConsumerGroupHeartbeat { instance_id: Some("i".into()), ..beat("a", -2) });
    world.advance(SESSION);
    assert_eq!(state(&world), "Empty");
}

#[test]
fn requests_that_contradict_themselves_are_refused() {
    #[track_caller]
    fn check(change: impl FnOnce(&mut ConsumerGroupHeartbeat), expected: ErrorCode) {
        let mut world = World::new();
        let mut request = beat("a", 0);
        change(&mut request);
        let answer = world.beat(&request);
        assert_eq!(answer.error, expected);
        assert!(answer.error_message.is_some_and(|sentence| sentence.ends_with('.')));
        assert_eq!(world.coordinator.group_count(), 0);
    }
    let invalid = ErrorCode::InvalidRequest;
    check(|r| r.group_id = String::new(), invalid);
    check(|r| r.member_id = String::new(), invalid);
    check(|r| r.member_epoch = -3, invalid);
    check(|r| r.member_epoch = -2, invalid);
    check(|r| r.instance_id = Some(String::new()), invalid);
    check(|r| r.rack_id = Some(String::new()), invalid);
    check(|r| r.rebalance_timeout_ms = -1, invalid);
    check(|r| r.owned = None, invalid);
    check(|r| r.owned = Some(vec![(topic_id("t"), vec![0])]), invalid);
    check(|r| r.topic_names = None, invalid);
    check(|r| r.client_id = "x".repeat(40_000), invalid);
    check(|r| r.server_assignor = Some("sticky".into()), ErrorCode::UnsupportedAssignor);
    check(|r| r.topic_regex = Some("(".into()), ErrorCode::InvalidRegularExpression);
    check(|r| r.topic_regex = Some("(a{1000}){1000}".into()), ErrorCode::InvalidRegularExpression);
}

#[test]
fn a_pattern_stands_for_the_topics_that_are_there() {
    let mut world = World::new();
    world.cluster.set("orders-eu", 1);
    world.cluster.set("old-orders-eu", 1);
    let pattern =
        ConsumerGroupHeartbeat { topic_names: None, topic_regex: Some("orders-.*|x".into()), ..beat("a", 0) };
    let topics = |answer: &ConsumerGroupHeartbeatAnswer| answer.assignment.as_ref().map(Vec::len);
    assert_eq!(topics(&world.beat(&pattern)), Some(1), "the whole name has to match");
    world.cluster.set("orders-us", 2);
    let answer = world.beat(&beat("a", 1));
    assert_eq!((answer.member_epoch, topics(&answer)), (2, Some(2)));
    world.crash();
    let answer = world.beat(&beat("a", 2));
    assert_eq!((answer.member_epoch, topics(&answer)), (2, None), "the log knows what it stood for");
    world.cluster.topics.remove("orders-eu");
    world.cluster.set("unrelated", 2);
    let answer = world.beat(&ConsumerGroupHeartbeat { topic_regex: Some("unrel.*".into()), ..beat("a", 2) });
    assert_eq!(topics(&answer), Some(0), "first it gives up the others");
    let answer = world.beat(&ConsumerGroupHeartbeat { owned: Some(vec![]), ..beat("a", 2) });
    assert_eq!((answer.member_epoch, topics(&answer)), (3, Some(1)));
}

#[test]
fn partitions_that_are_added_are_assigned() {
    let mut world = World::new();
    world.beat(&beat("a", 0));
    world.cluster.set("t", 6);
    check(&world.beat(&beat("a", 1)), 2, Some(&[0, 1, 2, 3, 4, 5]));
    world.cluster.set("other", 3);
    check(&world.beat(&beat("a", 2)), 2, None);
}

#[test]
fn members_choose_the_assignor() {
    let mut world = World::new();
    let ranged = |id| ConsumerGroupHeartbeat { server_assignor: Some("range".into()), ..beat(id, 0) };
    world.beat(&ranged("b"));
    world.beat(&ranged("a"));
    check(&world.beat(&beat("b", 1)), 1, Some(&[2, 3]));
    assert_eq!(world.coordinator.describe_consumer("g").unwrap().assignor, "range");
}

#[test]
fn members_commit_in_their_epoch() {
    let mut world = two();
    let mut check = |member: &str, epoch, version, expected| {
        let request = crate::group::OffsetCommit { version, ..commit(member, epoch, &[("t", 0, 5)]) };
        let ticket = world.ask_commit(&request);
        assert_eq!(world.committed_errors(ticket), [expected], "{member} {epoch} {version}");
    };
    // Partition 0 is the other's: in its epoch a member is trusted, before it only for what it has had since.
    check("a", 2, 9, ErrorCode::None);
    check("a", 1, 9, ErrorCode::StaleMemberEpoch);
    check("a", 3, 9, ErrorCode::StaleMemberEpoch);
    check("a", 2, 8, ErrorCode::UnsupportedVersion);
    check("c", 2, 9, ErrorCode::UnknownMemberId);
    check("", -1, 9, ErrorCode::UnknownMemberId);
    let reads = |member: Option<&str>, member_epoch| {
        let reader = OffsetReader { member_id: member.map(str::to_owned), member_epoch };
        world.coordinator.admit_fetch("g", &reader)
    };
    assert_eq!(reads(None, -1), Ok(()));
    assert_eq!(reads(Some("a"), 2), Ok(()));
    assert_eq!(reads(Some("a"), 1), Err(ErrorCode::StaleMemberEpoch));
    assert_eq!(reads(Some("c"), 1), Err(ErrorCode::UnknownMemberId));
    world.beat(&beat("a", -1));
    world.beat(&beat("b", -1));
    let ticket = world.ask_commit(&commit("", -1, &[("t", 0, 6)]));
    assert_eq!(world.committed_errors(ticket), [ErrorCode::None], "an empty group takes offsets from anyone");
}

#[test]
fn a_full_group_takes_nobody() {
    let mut world = World::with(GroupConfig { consumer_size_max: 1, ..config() });
    world.beat(&beat("a", 0));
    assert_eq!(world.beat(&beat("b", 0)).error, ErrorCode::GroupMaxSizeReached);
    check(&world.beat(&beat("a", 1)), 1, None);
}

#[test]
fn a_group_may_have_its_own_times() {
    let mut world = World::new();
    world.cluster.group_configs.insert("consumer.session.timeout.ms".into(), 50_000);
    world.cluster.group_configs.insert("consumer.heartbeat.interval.ms".into(), 7000);
    assert_eq!(world.beat(&beat("a", 0)).heartbeat_interval_ms, 7000);
    world.advance(49_999);
    assert_eq!(state(&world), "Stable");
    world.advance(1);
    assert_eq!(state(&world), "Empty");
}

#[test]
fn a_loaded_group_goes_on_where_it_was() {
    let mut world = World::new();
    world.beat(&beat("a", 0));
    world.beat(&beat("b", 0));
    world.beat(&beat("a", 1));
    let before = world.coordinator.describe_consumer("g");
    world.crash();
    assert_eq!(world.coordinator.describe_consumer("g"), before);
    world.advance(u64::from(REBALANCE_MS.unsigned_abs()) - 1);
    assert_eq!(world.coordinator.describe_consumer("g"), before, "time to give up begins anew");
    check(&world.beat(&owning("a", 1, &[2, 3])), 2, None);
    check(&world.beat(&beat("b", 2)), 2, Some(&[0, 1]));
}

#[test]
fn what_the_log_refuses_is_written_again() {
    let mut world = two();
    world.settles_at_once = false;
    let ticket = world.ask_beat(&beat("c", 0));
    let leaves = world.ask_beat(&beat("b", -1));
    assert!(world.refuse(ErrorCode::NotEnoughReplicas));
    for ticket in [ticket, leaves] {
        assert_eq!(world.beaten(ticket).error, ErrorCode::CoordinatorNotAvailable);
    }
    assert_eq!(world.replayed().describe_consumer("g").unwrap().members.len(), 2);
    world.settles_at_once = true;
    world.advance(1000);
    assert_eq!(world.replayed().describe_consumer("g"), world.coordinator.describe_consumer("g"));
    let members = world.coordinator.describe_consumer("g").unwrap().members;
    assert_eq!(members.iter().map(|member| member.member_id.as_str()).collect::<Vec<_>>(), ["a", "c"]);
}

/// A heartbeat that changed nothing was answered at once, from a state that only an append refused before had held. After
/// a crash the member read partitions that the next coordinator gave to others.
#[test]
fn nothing_is_told_of_what_the_log_has_refused() {
    let mut world = World::new();
    world.beat(&beat("a", 0));
    world.cluster.set("t", 6);
    world.settles_at_once = false;
    world.ask_beat(&beat("a", 1));
    assert!(world.refuse(ErrorCode::NotEnoughReplicas));
    let again = world.ask_beat(&owning("a", 1, &[0, 1, 2, 3]));
    assert_eq!(world.answer(again), None, "it waits for the log to know");
    world.settle();
    assert_eq!(world.beaten(again).member_epoch, 2);
    assert_eq!(world.replayed().describe_consumer("g"), world.coordinator.describe_consumer("g"));
}

#[test]
fn groups_are_told_apart() {
    let world = two();
    assert_eq!(
        world.describe().error,
        ErrorCode::GroupIdNotFound,
        "DescribeGroups is for the classic protocol"
    );
    let listed = world.coordinator.list(&["stable".into()], &["Consumer".into()]);
    assert_eq!((listed[0].group_type, listed[0].protocol_type.as_str()), ("consumer", "consumer"));
    let described = world.coordinator.describe_consumer("g").unwrap();
    assert_eq!(
        (described.group_epoch, described.assignment_epoch, described.assignor.as_str()),
        (2, 2, "uniform")
    );
    assert_eq!(described.members[0].assignment, described.members[0].target_assignment);
    assert!(matches!(world.coordinator.groups["g"].kind, Kind::Consumer(_)));
}
