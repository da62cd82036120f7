//! What a coordinator makes of its log after compaction, and of the logs that other brokers wrote.

use model::ProducerId;

use super::{
    migration::mixed,
    world::{Cluster, World, beat, commit, config, facts, owning, replayed},
};
use crate::group::{
    ConsumerGroupHeartbeat, GroupConfig, GroupCoordinator, GroupRecord, Replay,
    record::{OffsetCommitKey, OffsetCommitValue},
};

/// The last record of each key, in the order of the log.
fn compacted(log: &[GroupRecord], keeps_tombstones: bool) -> Vec<GroupRecord> {
    let is_last = |at: usize| log[at + 1..].iter().all(|later| later.encode_key() != log[at].encode_key());
    let stays = |at: &usize| is_last(*at) && (keeps_tombstones || !log[*at].is_tombstone());
    (0..log.len()).filter(stays).map(|at| log[at].clone()).collect()
}

/// A coordinator that had read the target first took the group for one of offsets only and forgot the target: the member
/// kept what it had, waited for ever for the rest, and gave up all of it with its next step.
#[test]
fn a_target_that_comes_before_its_member_is_not_forgotten() {
    let mut world = World::new();
    world.beat(&beat("a", 0));
    world.beat(&beat("b", 0));
    world.beat(&beat("a", 1));
    world.beat(&owning("a", 1, &[2, 3]));
    world.beat(&beat("b", 2));
    // The wishes of the members and the epoch of the group are written anew, the targets are not.
    for (member, epoch) in [("a", 2), ("b", 2)] {
        let topic_names = Some(vec!["t".into(), "not there".into()]);
        world.beat(&ConsumerGroupHeartbeat { topic_names, ..beat(member, epoch) });
    }
    for keeps_tombstones in [true, false] {
        let log = compacted(&world.log, keeps_tombstones);
        let at = |what: fn(&GroupRecord) -> bool| log.iter().position(what).unwrap();
        let target = at(|record| matches!(record, GroupRecord::TargetAssignmentMember { .. }));
        let member = at(|record| matches!(record, GroupRecord::MemberMetadata { .. }));
        assert!(target < member, "the story needs this order: {log:?}");
        let read = replayed(&world.config, &log);
        assert_eq!(facts(&read), facts(&world.coordinator));
        let described = read.describe_consumer("g").unwrap();
        assert!(described.members.iter().all(|member| !member.target_assignment.is_empty()), "{described:?}");
    }
}

#[test]
fn groups_that_changed_their_protocol_are_read_as_they_ended() {
    for ends_classic in [true, false] {
        let mut world = World::new();
        world.ask_commit(&commit("", -1, &[("t", 0, 5)]));
        let (classic, _) = mixed(&mut world);
        if ends_classic {
            world.beat(&beat("n", -1));
        } else {
            world.leave(&[(&classic, None)]);
        }
        assert_eq!(world.coordinator.describe_consumer("g").is_none(), ends_classic);
        for keeps_tombstones in [true, false] {
            let read = replayed(&world.config, &compacted(&world.log, keeps_tombstones));
            assert_eq!(read.describe_consumer("g").is_none(), ends_classic);
            assert_eq!(read.committed("g", "t", 0).map(|committed| committed.offset), Some(5));
        }
    }
}

#[test]
fn what_is_deleted_stays_deleted_without_its_tombstones() {
    let mut world = World::new();
    world.ask_commit(&commit("", -1, &[("t", 0, 5)]));
    let (ids, _) = world.stable(1);
    world.leave(&[(&ids[0], None)]);
    world.delete_group();
    assert_eq!(compacted(&world.log, false), []);
    for keeps_tombstones in [true, false] {
        assert_eq!(replayed(&world.config, &compacted(&world.log, keeps_tombstones)).group_count(), 0);
    }
}

fn offset(partition: i32, offset: i64) -> GroupRecord {
    let key = OffsetCommitKey { group: "g".into(), topic: "t".into(), partition };
    let value = OffsetCommitValue {
        offset,
        leader_epoch: -1,
        metadata: String::new(),
        commit_timestamp: 0,
        expire_timestamp: None,
        topic_id: model::TopicId::ZERO,
    };
    GroupRecord::OffsetCommit { key, value: Some(value) }
}

fn seen(coordinator: &GroupCoordinator, partition: i32) -> i64 {
    coordinator.committed("g", "t", partition).map_or(-1, |committed| committed.offset)
}

/// Other brokers write the offsets of transactions into the same log, as records that count when a marker says so.
#[test]
fn offsets_of_transactions_count_when_they_are_committed() {
    const A: ProducerId = ProducerId(1);
    const B: ProducerId = ProducerId(2);
    let mut replay = Replay::new(config());
    // Aborted, open at the end, committed.
    replay.transactional(A, offset(0, 1));
    replay.end_transaction(A, false);
    replay.transactional(A, offset(1, 1));
    replay.transactional(B, offset(2, 7));
    replay.end_transaction(B, true);
    // What is written later wins, whenever its transaction ends.
    replay.transactional(B, offset(3, 1));
    replay.record(offset(3, 2));
    replay.record(offset(4, 1));
    replay.transactional(B, offset(4, 2));
    replay.transactional(B, offset(5, 1));
    let late = ProducerId(3);
    replay.transactional(late, offset(5, 2));
    replay.end_transaction(late, true);
    replay.end_transaction(B, true);
    // A marker of a transaction that wrote nothing here.
    replay.end_transaction(B, true);
    let coordinator = replay.done();
    let all: Vec<i64> = (0..6).map(|partition| seen(&coordinator, partition)).collect();
    assert_eq!(all, [-1, -1, 7, 2, 2, 2]);
}

/// Many members that come at once are one change of the target and not many.
#[test]
fn the_target_is_computed_once_in_an_interval() {
    let mut world = World::with(GroupConfig { consumer_assignment_interval_ms: 1000, ..config() });
    world.cluster = Cluster::of(&[("t", 4)]);
    let first = world.beat(&beat("a", 0));
    let all = |answer: &crate::group::ConsumerGroupHeartbeatAnswer| {
        answer.assignment.iter().flatten().map(|(_, partitions)| partitions.len()).sum::<usize>()
    };
    assert_eq!(all(&first), 4, "the first member waits for nothing");
    world.advance(999);
    let second = world.beat(&beat("b", 0));
    assert_eq!((second.member_epoch, all(&second)), (first.member_epoch, 0));
    assert_eq!(world.coordinator.describe_consumer("g").unwrap().state, "Assigning");
    world.advance(1);
    let told = world.beat(&beat("a", first.member_epoch));
    assert_eq!(all(&told), 2, "the interval is over: some are to be given up");
    // A clock that was set back keeps nobody waiting: see `is_target_fresh`.
    world.cluster.group_configs.insert("consumer.assignment.interval.ms".into(), 0);
    let third = world.beat(&beat("c", 0));
    assert!(third.member_epoch > first.member_epoch, "the group has an interval of its own");
}
