//! Consumer groups as a client sees them: members, generations, and offsets that survive.

mod broker;

use broker::{
    Broker, Client, PATIENCE,
    client::{code, view},
    wait_for,
};
use model::ErrorCode;
use net::wire::messages::{
    delete_groups, describe_groups, find_coordinator, heartbeat, join_group, leave_group, list_groups,
    offset_commit, offset_fetch, sync_group,
};

/// Before it, a new member joins at once.
const JOIN_VERSION: i16 = 3;

/// A broker without the pause for more members to come.
fn prompt() -> Broker {
    Broker::start_with(|launch| launch.option("group.initial.rebalance.delay.ms=0"))
}

/// Looks for the coordinator, as every client does; that makes the topic of the offsets.
fn find_coordinator(client: &mut Client, group: &str) {
    wait_for("a coordinator", PATIENCE, || {
        let asked = find_coordinator::Request { coordinator_keys: vec![group.into()], ..Default::default() };
        let answer = client.call(4, &asked);
        let view = view!(find_coordinator, answer);
        let found = view.coordinators.iter().next().expect("one key, one answer");
        (found.error_code == 0).then_some(())
    });
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Joined {
    error: ErrorCode,
    generation: i32,
    leader: String,
    member: String,
    members: usize,
}

fn join_request<'a>(group: &'a str, member: &'a str) -> join_group::Request<'a> {
    let protocol =
        join_group::JoinGroupRequestProtocol { name: "range".into(), metadata: b"topics"[..].into() };
    join_group::Request {
        group_id: group.into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        member_id: member.into(),
        protocol_type: "consumer".into(),
        protocols: vec![protocol],
        ..Default::default()
    }
}

fn joined(answer: &broker::client::Answer) -> Joined {
    let view = view!(join_group, *answer);
    Joined {
        error: code(view.error_code),
        generation: view.generation_id,
        leader: view.leader.to_owned(),
        member: view.member_id.to_owned(),
        members: view.members.len(),
    }
}

fn join(client: &mut Client, group: &str, member: &str) -> Joined {
    joined(&client.call(JOIN_VERSION, &join_request(group, member)))
}

fn sync(
    client: &mut Client,
    group: &str,
    at: &Joined,
    assignments: &[(&str, &[u8])],
) -> (ErrorCode, Vec<u8>) {
    let assignments = assignments.iter().map(|(member, bytes)| sync_group::SyncGroupRequestAssignment {
        member_id: (*member).into(),
        assignment: (*bytes).into(),
    });
    let asked = sync_group::Request {
        group_id: group.into(),
        generation_id: at.generation,
        member_id: at.member.as_str().into(),
        assignments: assignments.collect(),
        ..Default::default()
    };
    let answer = client.call(3, &asked);
    let view = view!(sync_group, answer);
    (code(view.error_code), view.assignment.to_vec())
}

fn beat(client: &mut Client, group: &str, at: &Joined) -> ErrorCode {
    let asked = heartbeat::Request {
        group_id: group.into(),
        generation_id: at.generation,
        member_id: at.member.as_str().into(),
        ..Default::default()
    };
    let answer = client.call(3, &asked);
    code(view!(heartbeat, answer).error_code)
}

/// With generation -1 and no member: a client that assigns itself its partitions.
fn commit(
    client: &mut Client,
    group: &str,
    (generation, member): (i32, &str),
    (topic, partition): (&str, i32),
    offset: i64,
    metadata: &str,
) -> ErrorCode {
    let partition = offset_commit::OffsetCommitRequestPartition {
        partition_index: partition,
        committed_offset: offset,
        committed_leader_epoch: -1,
        committed_metadata: Some(metadata.into()),
    };
    let topic = offset_commit::OffsetCommitRequestTopic {
        name: topic.into(),
        partitions: vec![partition],
        ..Default::default()
    };
    let asked = offset_commit::Request {
        group_id: group.into(),
        generation_id_or_member_epoch: generation,
        member_id: member.into(),
        retention_time_ms: -1,
        topics: vec![topic],
        ..Default::default()
    };
    let answer = client.call(8, &asked);
    let view = view!(offset_commit, answer);
    let topic = view.topics.iter().next().expect("one topic");
    code(topic.partitions.iter().next().expect("one partition").error_code)
}

const NOBODY: (i32, &str) = (-1, "");

/// The offset, -1 for none, and the metadata.
fn committed(client: &mut Client, group: &str, topic: &str, partition: i32) -> (i64, String) {
    wait_for("the coordinator has loaded", PATIENCE, || {
        let topic =
            offset_fetch::OffsetFetchRequestTopic { name: topic.into(), partition_indexes: vec![partition] };
        let asked =
            offset_fetch::Request { group_id: group.into(), topics: Some(vec![topic]), ..Default::default() };
        let answer = client.call(7, &asked);
        let view = view!(offset_fetch, answer);
        match code(view.error_code) {
            ErrorCode::CoordinatorLoadInProgress => return None,
            error => assert_eq!(error, ErrorCode::None),
        }
        let topic = view.topics.iter().next().expect("one topic");
        let partition = topic.partitions.iter().next().expect("one partition");
        assert_eq!(code(partition.error_code), ErrorCode::None);
        Some((partition.committed_offset, partition.metadata.unwrap_or("").to_owned()))
    })
}

fn state_of(client: &mut Client, group: &str) -> (String, usize) {
    let asked = describe_groups::Request { groups: vec![group.into()], ..Default::default() };
    let answer = client.call(5, &asked);
    let view = view!(describe_groups, answer);
    let group = view.groups.iter().next().expect("one group");
    (group.group_state.to_owned(), group.members.len())
}

#[test]
fn a_committed_offset_survives_a_kill_byte_for_byte() {
    let mut broker = prompt();
    let mut client = broker.client();
    client.create_topic("t", 2);
    find_coordinator(&mut client, "g");
    assert_eq!(committed(&mut client, "g", "t", 0), (-1, String::new()));
    let said = "where I was: \u{1f980} and \"quotes\"";
    assert_eq!(commit(&mut client, "g", NOBODY, ("t", 0), 42, said), ErrorCode::None);
    assert_eq!(commit(&mut client, "g", NOBODY, ("t", 1), 7, ""), ErrorCode::None);
    for crash in [true, false] {
        if crash {
            broker.kill();
        } else {
            broker.stop();
        }
        broker.restart();
        let mut client = broker.client();
        assert_eq!(committed(&mut client, "g", "t", 0), (42, said.to_owned()));
        assert_eq!(committed(&mut client, "g", "t", 1), (7, String::new()));
        assert_eq!(state_of(&mut client, "g").0, "Empty");
    }
}

#[test]
fn offsets_of_what_is_not_there_are_refused() {
    let broker = prompt();
    let mut client = broker.client();
    client.create_topic("t", 1);
    find_coordinator(&mut client, "g");
    let unknown = ErrorCode::UnknownTopicOrPartition;
    assert_eq!(commit(&mut client, "g", NOBODY, ("t", 1), 1, ""), unknown);
    assert_eq!(commit(&mut client, "g", NOBODY, ("u", 0), 1, ""), unknown);
    let long = "m".repeat(5000);
    assert_eq!(commit(&mut client, "g", NOBODY, ("t", 0), 1, &long), ErrorCode::OffsetMetadataTooLarge);
    assert_eq!(committed(&mut client, "g", "t", 0).0, -1);
}

/// A topic of the same name is another topic.
#[test]
fn offsets_of_a_deleted_topic_go_with_it() {
    let mut broker = prompt();
    let mut client = broker.client();
    client.create_topic("t", 1);
    find_coordinator(&mut client, "g");
    assert_eq!(commit(&mut client, "g", NOBODY, ("t", 0), 42, ""), ErrorCode::None);
    assert_eq!(client.delete_topic("t"), ErrorCode::None);
    client.create_topic("t", 1);
    assert_eq!(committed(&mut client, "g", "t", 0).0, -1);
    broker.kill();
    broker.restart();
    assert_eq!(committed(&mut broker.client(), "g", "t", 0).0, -1);
}

#[test]
fn two_members_share_a_generation_and_a_third_begins_the_next() {
    let broker = prompt();
    let (mut one, mut two) = (broker.client(), broker.client());
    one.create_topic("t", 1);
    find_coordinator(&mut one, "g");
    let first = join(&mut one, "g", "");
    assert_eq!((first.error, first.generation, &first.leader), (ErrorCode::None, 1, &first.member));
    assert_eq!(sync(&mut one, "g", &first, &[(&first.member, b"all")]), (ErrorCode::None, b"all".to_vec()));
    assert_eq!(state_of(&mut one, "g"), ("Stable".to_owned(), 1));
    // The second waits until the first has come again.
    let waiting = two.send(JOIN_VERSION, &join_request("g", ""));
    wait_for("the first hears of the rebalance", PATIENCE, || {
        (beat(&mut one, "g", &first) == ErrorCode::RebalanceInProgress).then_some(())
    });
    let again = join(&mut one, "g", &first.member);
    let second = joined(&two.receive(waiting));
    assert_eq!((again.generation, second.generation), (2, 2));
    assert_eq!((again.members, second.members, &second.leader), (2, 0, &first.member));
    // A follower waits for what the leader decides.
    let (generation, member) = (second.generation, second.member.clone());
    let follows = std::thread::spawn(move || sync(&mut two, "g", &second, &[]));
    let parts: [(&str, &[u8]); 2] = [(&first.member, b"left"), (&member, b"right")];
    assert_eq!(sync(&mut one, "g", &again, &parts), (ErrorCode::None, b"left".to_vec()));
    assert_eq!(follows.join().expect("no panic"), (ErrorCode::None, b"right".to_vec()));
    // Who is of an older generation commits nothing.
    let late = commit(&mut one, "g", (1, &first.member), ("t", 0), 5, "");
    assert_eq!(late, ErrorCode::IllegalGeneration);
    assert_eq!(commit(&mut one, "g", (generation, &member), ("t", 0), 5, ""), ErrorCode::None);
    assert_eq!(commit(&mut one, "g", NOBODY, ("t", 0), 9, ""), ErrorCode::UnknownMemberId);
    assert_eq!(committed(&mut one, "g", "t", 0).0, 5);
}

#[test]
fn a_group_outlives_a_kill_with_its_members() {
    let mut broker = prompt();
    let mut client = broker.client();
    client.create_topic("t", 1);
    find_coordinator(&mut client, "g");
    let first = join(&mut client, "g", "");
    assert_eq!(sync(&mut client, "g", &first, &[(&first.member, b"all")]).0, ErrorCode::None);
    broker.kill();
    broker.restart();
    let mut client = broker.client();
    committed(&mut client, "g", "t", 0);
    assert_eq!(beat(&mut client, "g", &first), ErrorCode::None);
    assert_eq!(sync(&mut client, "g", &first, &[]), (ErrorCode::None, b"all".to_vec()));
}

#[test]
fn groups_are_listed_and_deleted_when_they_are_empty() {
    let broker = prompt();
    let mut client = broker.client();
    client.create_topic("t", 1);
    for group in ["a", "b", "c", "d"] {
        find_coordinator(&mut client, group);
        assert_eq!(commit(&mut client, group, NOBODY, ("t", 0), 1, ""), ErrorCode::None);
    }
    let member = join(&mut client, "a", "");
    assert_eq!(sync(&mut client, "a", &member, &[(&member.member, b"x")]).0, ErrorCode::None);
    let delete = |client: &mut Client, group: &str| {
        let answer = client.call(2, &delete_groups::Request { groups_names: vec![group.to_owned().into()] });
        let view = view!(delete_groups, answer);
        code(view.results.iter().next().expect("one group").error_code)
    };
    assert_eq!(delete(&mut client, "a"), ErrorCode::NonEmptyGroup);
    assert_eq!(delete(&mut client, "b"), ErrorCode::None);
    assert_eq!(delete(&mut client, "b"), ErrorCode::GroupIdNotFound);
    assert_eq!(committed(&mut client, "b", "t", 0).0, -1);
    let list = |client: &mut Client, states: &[&str]| {
        let states_filter = states.iter().map(|s| (*s).to_owned().into()).collect();
        let answer = client.call(5, &list_groups::Request { states_filter, ..Default::default() });
        let view = view!(list_groups, answer);
        assert_eq!(code(view.error_code), ErrorCode::None);
        let mut ids: Vec<String> = view.groups.iter().map(|group| group.group_id.to_owned()).collect();
        ids.sort();
        ids
    };
    assert_eq!(list(&mut client, &[]), ["a", "c", "d"]);
    assert_eq!(list(&mut client, &["Stable"]), ["a"]);
    let leaving =
        leave_group::MemberIdentity { member_id: member.member.as_str().into(), ..Default::default() };
    let answer = client.call(
        4,
        &leave_group::Request { group_id: "a".into(), members: vec![leaving], ..Default::default() },
    );
    assert_eq!(code(view!(leave_group, answer).error_code), ErrorCode::None);
    assert_eq!(state_of(&mut client, "a"), ("Empty".to_owned(), 0));
    assert_eq!(delete(&mut client, "a"), ErrorCode::None);
}
