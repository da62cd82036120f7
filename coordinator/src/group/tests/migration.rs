use model::ErrorCode;

use super::world::{DELAY_MS, REBALANCE_MS, World, beat, config, join, owning, sync};
use crate::group::{GroupConfig, JoinGroup, MigrationPolicy, protocol};

fn owning_join(member_id: &str, owned: &[i32]) -> JoinGroup {
    let subscription = protocol::encode_subscription(&["t"], &[("t", owned.to_vec())]);
    JoinGroup { protocols: vec![("range".into(), subscription)], ..join(member_id, None) }
}

fn assigned(bytes: &[u8]) -> Vec<i32> {
    protocol::assignment(bytes).unwrap().into_iter().flat_map(|(_, partitions)| partitions).collect()
}

/// A stable classic group of one member that has all four partitions.
fn classic(world: &mut World) -> (String, i32) {
    let (id, ticket) = world.join_new();
    world.advance(u64::from(DELAY_MS.unsigned_abs()));
    let generation = world.joined(ticket).generation;
    let all = protocol::encode_assignment(1, &[("t", vec![0, 1, 2, 3])]);
    world.ask_sync(&sync(&id, generation, &[(&id, &all)]));
    assert_eq!(world.describe().state, "Stable");
    (id, generation)
}

fn is_consumer(world: &World) -> bool {
    let replayed = world.replayed();
    assert_eq!(
        replayed.describe_consumer("g"),
        world.coordinator.describe_consumer("g"),
        "as the log has it"
    );
    world.coordinator.describe_consumer("g").is_some()
}

/// A classic member with two partitions and a member `n` of the new protocol with the two others.
pub(super) fn mixed(world: &mut World) -> (String, i32) {
    let (id, generation) = classic(world);
    let answer = world.beat(&beat("n", 0));
    assert_eq!((answer.error, answer.member_epoch), (ErrorCode::None, generation + 1));
    assert_eq!(answer.assignment, Some(vec![]), "the classic member has them all");
    assert!(is_consumer(world));

    assert_eq!(world.heartbeat(&id, None, generation), ErrorCode::RebalanceInProgress);
    let ticket = world.ask_join(&owning_join(&id, &[0, 1, 2, 3]));
    let answer = world.joined(ticket);
    assert_eq!((answer.error, answer.generation, answer.leader.as_str()), (ErrorCode::None, generation, ""));
    let ticket = world.ask_sync(&sync(&id, generation, &[]));
    assert_eq!(world.synced(ticket).error, ErrorCode::RebalanceInProgress, "it has yet to give something up");
    let ticket = world.ask_join(&owning_join(&id, &[2, 3]));
    assert_eq!(world.joined(ticket).generation, generation + 1);
    let ticket = world.ask_sync(&sync(&id, generation + 1, &[]));
    assert_eq!(assigned(&world.synced(ticket).assignment), [2, 3]);
    assert_eq!(world.heartbeat(&id, None, generation + 1), ErrorCode::None);
    let answer = world.beat(&beat("n", generation + 1));
    assert_eq!(answer.assignment.map(|topics| topics[0].1.clone()), Some(vec![0, 1]));
    assert_eq!(world.coordinator.describe_consumer("g").unwrap().state, "Stable");
    (id, generation + 1)
}

#[test]
fn a_classic_group_becomes_a_consumer_group_while_it_runs() {
    let mut world = World::new();
    let (id, generation) = mixed(&mut world);
    let described = world.coordinator.describe_consumer("g").unwrap();
    let kinds: Vec<_> =
        described.members.iter().map(|member| (member.is_classic, member.member_epoch)).collect();
    assert!(kinds.contains(&(true, generation)) && kinds.contains(&(false, generation)));
    let commit = super::world::commit(&id, generation, &[("t", 2, 7)]);
    let ticket = world.ask_commit(&commit);
    assert_eq!(world.committed_errors(ticket), [ErrorCode::None]);
    // The generation before is good for what it has had since, and for nothing else.
    let ticket = world.ask_commit(&super::world::commit(&id, generation - 1, &[("t", 2, 8), ("t", 0, 8)]));
    assert_eq!(world.committed_errors(ticket), [ErrorCode::None, ErrorCode::IllegalGeneration]);
}

#[test]
fn it_becomes_a_classic_group_again_when_the_last_new_member_goes() {
    let mut world = World::new();
    let (id, generation) = mixed(&mut world);
    world.beat(&beat("n", -1));
    assert!(!is_consumer(&world));
    assert_eq!(world.describe().state, "PreparingRebalance");
    assert_eq!(world.heartbeat(&id, None, generation + 1), ErrorCode::RebalanceInProgress);
    let ticket = world.ask_join(&join(&id, None));
    let answer = world.joined(ticket);
    assert_eq!((answer.generation, answer.members.len()), (generation + 2, 1));
    assert_eq!(world.beat(&beat("n", generation)).error, ErrorCode::GroupIdNotFound);
}

#[test]
fn a_new_member_that_falls_silent_takes_its_protocol_with_it() {
    let mut world = World::new();
    let (id, generation) = mixed(&mut world);
    for _ in 0..10 {
        world.advance(5000);
        world.heartbeat(&id, None, generation);
    }
    assert!(!is_consumer(&world));
    assert_eq!(world.replayed().describe("g").members.len(), 1, "the log has the classic group");
}

#[test]
fn the_policy_says_which_way_is_open() {
    for (policy, up, down) in [
        (MigrationPolicy::Disabled, false, false),
        (MigrationPolicy::Upgrade, true, false),
        (MigrationPolicy::Downgrade, false, true),
        (MigrationPolicy::Bidirectional, true, true),
    ] {
        let mut world = World::with(GroupConfig { migration_policy: policy, ..config() });
        classic(&mut world);
        let error = world.beat(&beat("n", 0)).error;
        assert_eq!((error == ErrorCode::None, is_consumer(&world)), (up, up), "{policy:?}: {error:?}");
        world.coordinator.reconfigure(config());
        let (_, generation) = if up { (String::new(), 0) } else { mixed_again(&mut world) };
        world.coordinator.reconfigure(GroupConfig { migration_policy: policy, ..config() });
        world.beat(&beat("n", -1));
        assert_eq!(is_consumer(&world), !down, "{policy:?} {generation}");
    }
}

/// The group that is classic takes the member after all.
fn mixed_again(world: &mut World) -> (String, i32) {
    let answer = world.beat(&beat("n", 0));
    assert_eq!(answer.error, ErrorCode::None);
    (String::new(), answer.member_epoch)
}

#[test]
fn members_that_wait_are_told_to_join_again() {
    let mut world = World::new();
    let (id, _) = classic(&mut world);
    let (other, waits) = world.join_new();
    assert_eq!(world.answer(waits), None);
    world.beat(&beat("n", 0));
    assert_eq!(world.joined(waits).error, ErrorCode::RebalanceInProgress);
    let ticket = world.ask_join(&join(&other, None));
    assert_eq!(world.joined(ticket).error, ErrorCode::None);
    let before = world.coordinator.describe_consumer("g").unwrap();
    let holder = before.members.iter().find(|member| member.member_id == id).unwrap();
    assert_eq!(holder.assignment[0].1.len(), 4, "until it says that it gave up, everything is its");
}

#[test]
fn an_empty_group_takes_either_protocol() {
    let mut world = World::new();
    let (id, _) = classic(&mut world);
    world.ask_commit(&super::world::commit(&id, 1, &[("t", 0, 5)]));
    world.leave(&[(&id, None)]);
    assert_eq!(world.beat(&beat("n", 0)).member_epoch, 1);
    assert!(is_consumer(&world));
    world.beat(&beat("n", -1));
    let (_, ticket) = world.join_new();
    world.advance(u64::from(DELAY_MS.unsigned_abs()));
    assert_eq!(world.joined(ticket).error, ErrorCode::None);
    assert!(!is_consumer(&world));
    assert_eq!(world.offset("t", 0), 5, "offsets belong to the group, whatever it speaks");
}

#[test]
fn a_group_whose_bytes_cannot_be_read_stays_classic() {
    let mut world = World::new();
    let request = JoinGroup {
        protocols: vec![("range".into(), vec![0])],
        requires_known_member_id: false,
        ..join("", None)
    };
    world.ask_join(&request);
    assert_eq!(world.beat(&beat("n", 0)).error, ErrorCode::GroupIdNotFound);
    assert!(!is_consumer(&world));
}

#[test]
fn a_classic_member_that_does_not_come_back_falls_out() {
    let mut world = World::new();
    let (id, generation) = classic(&mut world);
    world.beat(&beat("n", 0));
    for _ in 0..REBALANCE_MS / 5000 {
        assert_eq!(world.heartbeat(&id, None, generation), ErrorCode::RebalanceInProgress);
        world.advance(5000);
        world.beat(&owning("n", generation + 1, &[]));
    }
    assert_eq!(world.heartbeat(&id, None, generation), ErrorCode::UnknownMemberId);
    let members = world.coordinator.describe_consumer("g").unwrap().members;
    assert_eq!(members.len(), 1);
}

#[test]
fn a_static_classic_member_replaces_the_last_of_the_new_protocol() {
    let mut world = World::new();
    let (id, _) = classic(&mut world);
    let static_beat = crate::group::ConsumerGroupHeartbeat { instance_id: Some("i".into()), ..beat("n", 0) };
    world.beat(&static_beat);
    let ticket = world.ask_join(&join("", Some("i")));
    assert!(!is_consumer(&world));
    let other = world.ask_join(&join(&id, None));
    assert_eq!((world.joined(ticket).error, world.joined(other).error), (ErrorCode::None, ErrorCode::None));
    assert_eq!(world.beat(&beat("n", 2)).error, ErrorCode::GroupIdNotFound);
}
