//! What a peer may say to a node of the consensus, true or not: a row of things that happen to one node of three, among
//! them any bytes as a message and any message that bytes can spell. Nothing panics, and what is committed stays.

use std::{collections::VecDeque, sync::Arc};

use coordinator::raft::{
    Action, Body, Context, Entry, Message, Node, Payload, PersistId, Position, RaftConfig, Round, Stored,
    codec,
};
use model::{BrokerId, LeaderEpoch, Millis, Offset};

use super::input::Input;

const STEPS_MAX: usize = 64;

pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let voters = [1, 2, 3].map(BrokerId).into_iter().collect();
    let stored = Stored { voters, ..Stored::default() };
    let mut now = Millis(1);
    let mut node = Node::new(RaftConfig::new(BrokerId(1)), stored, Context { now, random: 1 });
    let mut persisting: VecDeque<PersistId> = VecDeque::new();
    let mut committed: Vec<Entry> = Vec::new();
    for _ in 0..STEPS_MAX {
        if input.is_empty() {
            break;
        }
        let (kind, random) = (input.u8(), u64::from(input.u8()));
        let cx = Context { now, random };
        let actions = match kind % 8 {
            0 => {
                now.0 += random * 10;
                node.tick(Context { now, random })
            }
            1 => {
                let length = usize::from(input.u16());
                match codec::decode(input.take(length)) {
                    Ok(message) => {
                        assert_eq!(codec::decode(&codec::encode(&message)), Ok(message.clone()));
                        node.receive(message, cx)
                    }
                    Err(error) => {
                        let _ = error.to_string();
                        Vec::new()
                    }
                }
            }
            2 => node.propose(Arc::from([1, 2, 3]), 1 + u32::from(input.u8()), cx).1,
            3 => persisting.pop_front().map_or(Vec::new(), |id| node.persisted(id, cx)),
            _ => {
                let message = message(&mut input, node.epoch());
                assert_eq!(codec::decode(&codec::encode(&message)), Ok(message.clone()));
                node.receive(message, cx)
            }
        };
        for action in actions {
            match action {
                Action::Append { id, .. } => persisting.push_back(id),
                Action::Commit(to) => commit(&mut committed, &node, to),
                _ => {}
            }
        }
    }
}

/// What was committed before is a beginning of what is now.
fn commit(committed: &mut Vec<Entry>, node: &Node, to: Offset) {
    let now: Vec<Entry> = node.log().entries().filter(|entry| entry.next() <= to).cloned().collect();
    assert!(now.starts_with(committed), "what is committed stays");
    *committed = now;
}

fn place(input: &mut Input<'_>) -> Position {
    Position { offset: Offset(i64::from(input.i8())), epoch: LeaderEpoch(i32::from(input.i8())) }
}

fn entry(input: &mut Input<'_>, base: Offset) -> Entry {
    let epoch = LeaderEpoch(i32::from(input.i8()));
    let payload = match input.u8() {
        0 => Payload::LeaderChange,
        count @ 1..16 => Payload::Voters((0..i32::from(count)).map(BrokerId).collect()),
        count => Payload::Records { bytes: Arc::from([count]), count: u32::from(count % 16) },
    };
    Entry { base, epoch, payload }
}

fn message(input: &mut Input<'_>, epoch: LeaderEpoch) -> Message {
    let from = BrokerId(i32::from(input.u8() % 8));
    let epoch = LeaderEpoch(epoch.0.saturating_add(i32::from(input.i8() % 3)));
    let round = Round(u64::from(input.u8()));
    let body = match input.u8() % 12 {
        0 => Body::PreVote { end: place(input) },
        1 => Body::PreVoteAnswer { epoch, granted: true },
        2 => Body::Vote { end: place(input), transfer: input.u8() > 127 },
        3 => Body::VoteAnswer { granted: true },
        4 | 5 => {
            let before = place(input);
            let mut entries: Vec<Entry> = Vec::new();
            for _ in 0..input.u8() % 4 {
                let base = entries.last().map_or(before.offset, Entry::next);
                entries.push(entry(input, base));
            }
            Body::Append { before, entries, high_watermark: Offset(i64::from(input.i8())), round }
        }
        6 => Body::Appended { matched: place(input).offset, round },
        7 => Body::Diverged { before: place(input).offset, agree: place(input), round },
        8 => Body::Snapshot { id: place(input), round },
        9 => Body::Installing { round },
        10 => Body::Observe,
        _ => Body::TimeoutNow,
    };
    Message { from, to: BrokerId(1), epoch, body }
}
