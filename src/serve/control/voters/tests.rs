use std::time::Duration;

use coordinator::{
    BrokerConfig, Controller,
    controller::RegisterBroker,
    raft::{Action, Body, Context, Message, RaftConfig, Round, Stored},
};
use model::BrokerId;

use super::*;
use crate::serve::metadata_log;

const LEADER: BrokerId = BrokerId(1);
const OTHER: BrokerId = BrokerId(2);

fn cx(now: u64) -> Context {
    Context { now: Millis(now), random: 7 }
}

/// The only voter, which leads and has everything on its disk.
fn leader() -> Node {
    let stored = Stored { voters: [LEADER].into_iter().collect(), ..Stored::default() };
    let mut node = Node::new(RaftConfig::new(LEADER), stored, cx(0));
    let actions = node.tick(cx(0));
    let appended = actions.iter().find_map(|action| match action {
        Action::Append { id, .. } => Some(*id),
        _ => None,
    });
    let _ = node.persisted(appended.expect("a leader begins with an entry"), cx(0));
    node
}

fn hears(node: &mut Node, body: Body, now: u64) {
    let epoch = node.epoch();
    let _ = node.receive(Message { from: OTHER, to: LEADER, epoch, body }, cx(now));
}

#[test]
fn times_of_the_quorum_are_wall_clock_times() {
    let mut node = leader();
    hears(&mut node, Body::Observe, 1000);
    let unheard = quorum_state(&node, Millis(1500), Timestamp(1_001_500));
    assert_eq!(unheard.voters.iter().map(|voter| voter.id).collect::<Vec<_>>(), [LEADER]);
    assert_eq!(unheard.voters[0].last_caught_up, Some(Timestamp(1_001_500)));
    assert_eq!(unheard.high_watermark, node.log().end().offset);
    let expected = QuorumReplica { id: OTHER, end: Offset::NONE, last_fetch: None, last_caught_up: None };
    assert_eq!(unheard.observers, [expected]);
    let matched = node.log().end().offset;
    hears(&mut node, Body::Appended { matched, round: Round::default() }, 2000);
    let heard = quorum_state(&node, Millis(2400), Timestamp(1_002_400));
    let then = Some(Timestamp(1_002_000));
    let expected = QuorumReplica { id: OTHER, end: matched, last_fetch: then, last_caught_up: then };
    assert_eq!(heard.observers, [expected]);
}

fn image() -> Image {
    let (image, config) = (Image::new("c"), BrokerConfig::default());
    let mut asked = RegisterBroker::from_config(&config, [1; 16], "there");
    (asked.id, asked.directory_id) = (OTHER, [2; 16]);
    let records = Controller::new(&image, &config).register_broker(&asked, false).records;
    metadata_log::applied(&image, Offset(0), &records)
}

#[test]
fn a_voter_is_who_it_says_it_is() {
    let image = image();
    let check = |change, id: BrokerId, directory_id, votes| {
        let (timeout, until_committed) = (Duration::ZERO, true);
        let asked = ChangeVoters { change, id, directory_id, timeout, until_committed };
        check(&asked, votes, &image).err().map(|refusal| refusal.code)
    };
    use VoterChange::{Add, Remove};
    let unknown = BrokerId(9);
    assert_eq!(check(Add, OTHER, None, false), None);
    assert_eq!(check(Add, OTHER, Some([2; 16]), false), None);
    assert_eq!(check(Add, OTHER, Some([3; 16]), false), Some(ErrorCode::InvalidVoterKey));
    assert_eq!(check(Add, OTHER, None, true), Some(ErrorCode::DuplicateVoter));
    assert_eq!(check(Add, unknown, None, false), Some(ErrorCode::BrokerIdNotRegistered));
    assert_eq!(check(Remove, OTHER, None, true), None);
    assert_eq!(check(Remove, OTHER, Some([3; 16]), true), Some(ErrorCode::VoterNotFound));
    assert_eq!(check(Remove, OTHER, None, false), Some(ErrorCode::VoterNotFound));
    assert_eq!(check(Remove, unknown, None, true), None, "who was forgotten can still be removed");
}
