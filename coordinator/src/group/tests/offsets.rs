use model::{ErrorCode, TopicId};

use super::world::{RETENTION_MS, World, commit, join};
use crate::group::Answer;

const DAY_MS: u64 = 24 * 3600 * 1000;

#[test]
fn a_commit_is_seen_when_it_is_durable() {
    let mut world = World::new();
    world.settles_at_once = false;
    let ticket = world.ask_commit(&commit("", -1, &[("t", 0, 5), ("t", 1, 6)]));
    assert_eq!((world.answer(ticket), world.offset("t", 0)), (None, -1));
    world.settle();
    assert_eq!(world.committed_errors(ticket), [ErrorCode::None; 2]);
    assert_eq!((world.offset("t", 0), world.offset("t", 1), world.offset("t", 2)), (5, 6, -1));
    let committed = world.coordinator.committed("g", "t", 0).unwrap();
    assert_eq!((committed.metadata.as_str(), committed.leader_epoch), ("m", 3));
    assert_eq!(world.coordinator.all_committed("g").count(), 2);
}

#[test]
fn a_commit_that_the_log_refuses_never_was() {
    for (append, expected) in [
        (ErrorCode::NotEnoughReplicas, ErrorCode::CoordinatorNotAvailable),
        (ErrorCode::NotLeaderOrFollower, ErrorCode::NotCoordinator),
        (ErrorCode::KafkaStorageError, ErrorCode::NotCoordinator),
        (ErrorCode::MessageTooLarge, ErrorCode::InvalidCommitOffsetSize),
    ] {
        let mut world = World::new();
        let first = world.ask_commit(&commit("", -1, &[("t", 0, 5)]));
        assert_eq!(world.committed_errors(first), [ErrorCode::None]);
        world.settles_at_once = false;
        let ticket = world.ask_commit(&commit("", -1, &[("t", 0, 9)]));
        assert!(world.refuse(append));
        assert_eq!(world.committed_errors(ticket), [expected], "{append:?}");
        assert_eq!(world.offset("t", 0), 5);
    }
}

#[test]
fn a_refused_first_commit_leaves_no_group() {
    let mut world = World::new();
    world.settles_at_once = false;
    world.ask_commit(&commit("", -1, &[("t", 0, 9)]));
    assert_eq!(world.coordinator.group_count(), 1);
    assert!(world.refuse(ErrorCode::NotEnoughReplicas));
    assert_eq!(world.coordinator.group_count(), 0);
}

#[test]
fn too_much_metadata_fails_its_own_partition_only() {
    let mut world = World::new();
    let mut request = commit("", -1, &[("t", 0, 5), ("t", 1, 6)]);
    request.offsets[0].metadata = "x".repeat(17);
    request.offsets[1].metadata = "x".repeat(16);
    let ticket = world.ask_commit(&request);
    assert_eq!(world.committed_errors(ticket), [ErrorCode::OffsetMetadataTooLarge, ErrorCode::None]);
    assert_eq!((world.offset("t", 0), world.offset("t", 1)), (-1, 6));
}

/// Members and strangers, by what state the group is in.
#[test]
fn who_may_commit() {
    use ErrorCode::{
        FencedInstanceId, GroupIdNotFound, IllegalGeneration, None as Fine, RebalanceInProgress,
        UnknownMemberId,
    };
    #[track_caller]
    fn check(world: &mut World, member: &str, generation: i32, expected: ErrorCode) {
        let before = world.offset("t", 3);
        let offset = before + 1;
        let ticket = world.ask_commit(&commit(member, generation, &[("t", 3, offset)]));
        assert_eq!(world.committed_errors(ticket), [expected], "{member} {generation}");
        let after = if expected == Fine { offset } else { before };
        assert_eq!(world.offset("t", 3), after, "an error changes nothing");
    }
    let mut world = World::new();
    check(&mut world, "m", 3, IllegalGeneration);
    let mut of_member = commit("m", 3, &[("t", 3, 1)]);
    of_member.version = 9;
    let ticket = world.ask_commit(&of_member);
    assert_eq!(world.committed_errors(ticket), [GroupIdNotFound]);
    check(&mut world, "", -1, Fine);
    check(&mut world, "anyone", -1, Fine);
    check(&mut world, "anyone", 0, UnknownMemberId);

    let (ids, generation) = world.stable(2);
    check(&mut world, &ids[0], generation, Fine);
    check(&mut world, &ids[0], generation - 1, IllegalGeneration);
    check(&mut world, "stranger", generation, UnknownMemberId);
    check(&mut world, "", -1, UnknownMemberId);
    let mut fenced = commit(&ids[0], generation, &[("t", 3, 1)]);
    fenced.group_instance_id = Some("nobody".into());
    let ticket = world.ask_commit(&fenced);
    assert_eq!(world.committed_errors(ticket), [UnknownMemberId]);

    // While the group gathers again, what the last generation has read may be committed.
    let again: Vec<_> = ids[..1].iter().map(|id| world.ask_join(&join(id, None))).collect();
    check(&mut world, &ids[1], generation, Fine);
    let last = world.ask_join(&join(&ids[1], None));
    assert_eq!(world.joined(again[0]).generation, generation + 1);
    assert_eq!(world.joined(last).generation, generation + 1);
    check(&mut world, &ids[1], generation + 1, RebalanceInProgress);
    check(&mut world, &ids[1], generation, IllegalGeneration);

    let static_join = world.ask_join(&join("", Some("i")));
    for id in &ids {
        world.ask_join(&join(id, None));
    }
    let static_id = world.joined(static_join).member_id;
    let generation = generation + 2;
    let mut all = ids;
    all.push(static_id.clone());
    let leader = world.joined(static_join).leader;
    all.sort_by_key(|id| *id != leader);
    world.sync_all(&all, generation);
    let mut request = commit("someone else", generation, &[("t", 3, 1)]);
    request.group_instance_id = Some("i".into());
    let ticket = world.ask_commit(&request);
    assert_eq!(world.committed_errors(ticket), [FencedInstanceId]);
}

#[test]
fn a_group_is_deleted_with_its_offsets() {
    let mut world = World::new();
    let ticket = world.delete_group();
    assert_eq!(world.answer(ticket), Some(&Answer::DeleteGroup(ErrorCode::GroupIdNotFound)));
    let (ids, generation) = world.stable(1);
    world.ask_commit(&commit(&ids[0], generation, &[("t", 0, 5)]));
    let ticket = world.delete_group();
    assert_eq!(world.answer(ticket), Some(&Answer::DeleteGroup(ErrorCode::NonEmptyGroup)));
    world.leave(&[(&ids[0], None)]);
    assert_eq!(world.describe().state, "Empty");
    world.settles_at_once = false;
    let ticket = world.delete_group();
    assert_eq!((world.answer(ticket), world.offset("t", 0)), (None, 5));
    world.settle();
    assert_eq!(world.answer(ticket), Some(&Answer::DeleteGroup(ErrorCode::None)));
    assert_eq!((world.offset("t", 0), world.coordinator.group_count()), (-1, 0));
    assert_eq!(world.replayed().group_count(), 0, "the log says so too");
}

#[test]
fn a_commit_on_its_way_does_not_outlive_the_group() {
    let mut world = World::new();
    world.settles_at_once = false;
    let commit = world.ask_commit(&commit("", -1, &[("t", 0, 5)]));
    let delete = world.delete_group();
    world.settle();
    assert_eq!(world.committed_errors(commit), [ErrorCode::None]);
    assert_eq!(world.answer(delete), Some(&Answer::DeleteGroup(ErrorCode::None)));
    assert_eq!((world.coordinator.group_count(), world.replayed().group_count()), (0, 0));
}

#[test]
fn a_deletion_that_the_log_refuses_leaves_the_group() {
    let mut world = World::new();
    let (ids, generation) = world.stable(1);
    world.ask_commit(&commit(&ids[0], generation, &[("t", 0, 5)]));
    world.leave(&[(&ids[0], None)]);
    world.settles_at_once = false;
    let ticket = world.delete_group();
    assert!(world.refuse(ErrorCode::NotEnoughReplicas));
    assert_eq!(world.answer(ticket), Some(&Answer::DeleteGroup(ErrorCode::CoordinatorNotAvailable)));
    assert_eq!((world.offset("t", 0), world.describe().state), (5, "Empty"));
    world.settles_at_once = true;
    world.delete_group();
    assert_eq!((world.coordinator.group_count(), world.replayed().group_count()), (0, 0));
}

#[test]
fn offsets_of_topics_that_are_read_are_not_deleted() {
    let mut world = World::new();
    let (ids, generation) = world.stable(1);
    world.ask_commit(&commit(&ids[0], generation, &[("t", 0, 5), ("other", 0, 6)]));
    let ticket = world.delete_offsets(&[("t", 0), ("other", 0), ("other", 9)]);
    let Some(Answer::OffsetDelete(answer)) = world.answer(ticket) else { panic!() };
    let subscribed = ErrorCode::GroupSubscribedToTopic;
    assert_eq!(answer.errors, [subscribed, ErrorCode::None, ErrorCode::None]);
    assert_eq!((world.offset("t", 0), world.offset("other", 0)), (5, -1));
    world.leave(&[(&ids[0], None)]);
    world.delete_offsets(&[("t", 0)]);
    assert_eq!(world.offset("t", 0), -1);
}

#[test]
fn offsets_of_deleted_topics_go() {
    let mut world = World::new();
    world.ask_commit(&commit("", -1, &[("t", 0, 5), ("u", 0, 6)]));
    world.delete_topics(&["t"]);
    assert_eq!((world.offset("t", 0), world.offset("u", 0)), (-1, 6));
    assert_eq!(world.replayed().all_committed("g").count(), 1);
}

#[test]
fn offsets_of_an_empty_group_age_from_when_it_became_empty() {
    let mut world = World::new();
    let (ids, generation) = world.stable(1);
    world.ask_commit(&commit(&ids[0], generation, &[("t", 0, 5)]));
    for _ in 0..8 * 24 * 3600 / 5 {
        world.advance(5000);
        assert_eq!(world.heartbeat(&ids[0], None, generation), ErrorCode::None);
    }
    assert_eq!(world.offset("t", 0), 5, "the group lives");
    world.leave(&[(&ids[0], None)]);
    world.advance(6 * DAY_MS);
    assert_eq!(world.offset("t", 0), 5);
    world.advance(2 * DAY_MS);
    assert_eq!((world.offset("t", 0), world.coordinator.group_count()), (-1, 0));
    assert_eq!(world.replayed().group_count(), 0);
}

#[test]
fn offsets_without_a_group_age_from_their_commit() {
    let mut world = World::new();
    world.ask_commit(&commit("", -1, &[("t", 0, 5), ("t", 1, 6)]));
    world.advance(6 * DAY_MS);
    world.ask_commit(&commit("", -1, &[("t", 1, 7)]));
    world.advance(2 * DAY_MS);
    assert_eq!((world.offset("t", 0), world.offset("t", 1)), (-1, 7));
    world.advance(RETENTION_MS as u64);
    assert_eq!((world.coordinator.group_count(), world.replayed().group_count()), (0, 0));
}

#[test]
fn topics_that_a_live_group_no_longer_reads_lose_their_offsets() {
    let mut world = World::new();
    let (ids, generation) = world.stable(1);
    world.ask_commit(&commit(&ids[0], generation, &[("t", 0, 5), ("other", 0, 6)]));
    for _ in 0..8 * 24 * 3600 / 5 {
        world.advance(5000);
        world.heartbeat(&ids[0], None, generation);
    }
    assert_eq!((world.offset("t", 0), world.offset("other", 0)), (5, -1));
}

#[test]
fn a_retention_of_the_clients_own_counts() {
    let mut world = World::new();
    let mut request = commit("", -1, &[("t", 0, 5)]);
    request.retention_time_ms = Some(3_600_000);
    world.ask_commit(&request);
    assert_eq!(
        world.coordinator.committed("g", "t", 0).unwrap().topic_id,
        TopicId::ZERO,
        "as the log has it"
    );
    world.advance(3_000_000);
    assert_eq!(world.offset("t", 0), 5);
    world.advance(1_300_000);
    assert_eq!(world.offset("t", 0), -1);
}
