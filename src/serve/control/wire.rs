//! Proposals between brokers, and what became of them, as bytes.
//!
//! ```text
//!   0  format version  1   1
//!   1  archive         n   rkyv, validated before anything of it is used
//! ```
//! Only what a broker proposes on its own goes this way; what clients ask is forwarded as it came, in Kafka's own format.
//! The archived types are frozen: a change of any of them is another format version. A kind more, behind the others and no
//! larger than they are, leaves their bytes as they were (a test): a broker that does not know it hangs up.

use std::net::{IpAddr, SocketAddr};

use coordinator::{
    Refusal,
    controller::{
        AlterPartition, Heartbeat, HeartbeatAnswer, IsrMember, PartitionIsr, ProducerIdBlock, RegisterBroker,
        ReportDamage,
    },
    metadata::{Endpoint, PeerAddress},
};
use model::{BrokerId, ErrorCode, LeaderEpoch, Offset, PartitionIndex, ProducerId, TopicId};
use net::{Forwarded, Outcome, Proposal};
use rkyv::{Archive, Deserialize, Serialize, rancor::Error};

use super::Decided;

const FORMAT_VERSION: u8 = 1;

#[derive(Archive, Serialize, Deserialize)]
enum Asked {
    ProducerIds,
    AutoCreate(Vec<String>),
    Register {
        id: i32,
        incarnation: [u8; 16],
        rack: Option<String>,
        endpoints: Vec<Endpoint>,
        peer: Option<PeerAddress>,
        directory: [u8; 16],
        fenced: bool,
    },
    Heartbeat {
        broker: i32,
        epoch: i64,
        offset: i64,
        want_fence: bool,
        want_shut_down: bool,
    },
    AlterPartition {
        broker: i32,
        epoch: i64,
        parts: Vec<Part>,
    },
    Forward {
        frame: Vec<u8>,
        address: String,
        listener: String,
        local: String,
    },
    Damage {
        broker: i32,
        epoch: i64,
        parts: Vec<([u8; 16], i32)>,
    },
}

#[derive(Archive, Serialize, Deserialize)]
struct Part {
    topic: [u8; 16],
    index: i32,
    leader_epoch: i32,
    partition_epoch: i32,
    /// And in which life each of them was seen, -1: not told.
    isr: Vec<(i32, i64)>,
}

/// Kafka's code and a sentence.
type No = (i16, String);

#[derive(Archive, Serialize, Deserialize)]
enum Answered {
    ProducerIds(Result<(i64, i64), No>),
    AutoCreate(Vec<Result<(), No>>),
    Register(Result<(), No>),
    Heartbeat(Result<(bool, bool, bool), No>),
    AlterPartition(Result<Vec<i16>, No>),
    Forward(Option<Vec<u8>>),
    Failed(No),
    Damage(Result<Vec<i16>, No>),
}

/// The outcome, and the offset from which on it holds; `None`: not by this broker.
type Answer = Option<(Answered, i64)>;

/// `None`: it is no proposal that a broker makes on its own.
pub fn encode_proposal(proposal: &Proposal) -> Option<Vec<u8>> {
    let asked = match proposal {
        Proposal::ProducerIds => Asked::ProducerIds,
        Proposal::AutoCreate(names) => Asked::AutoCreate(names.clone()),
        Proposal::RegisterBroker(asked) => Asked::Register {
            id: asked.id.0,
            incarnation: asked.incarnation,
            rack: asked.rack.clone(),
            endpoints: asked.endpoints.clone(),
            peer: asked.peer.clone(),
            directory: asked.directory_id,
            fenced: asked.fenced,
        },
        Proposal::Heartbeat(heartbeat) => Asked::Heartbeat {
            broker: heartbeat.broker.0,
            epoch: heartbeat.broker_epoch,
            offset: heartbeat.metadata_offset.0,
            want_fence: heartbeat.want_fence,
            want_shut_down: heartbeat.want_shut_down,
        },
        Proposal::AlterPartition(asked) => Asked::AlterPartition {
            broker: asked.broker.0,
            epoch: asked.broker_epoch,
            parts: asked.parts.iter().map(part).collect(),
        },
        Proposal::Forward(forwarded) => Asked::Forward {
            frame: forwarded.frame.to_vec(),
            address: forwarded.address.to_string(),
            listener: forwarded.listener.clone(),
            local: forwarded.local.to_string(),
        },
        Proposal::ReportDamage(asked) => Asked::Damage {
            broker: asked.broker.0,
            epoch: asked.broker_epoch,
            parts: asked.parts.iter().map(|(topic, index)| (topic.0, index.0)).collect(),
        },
        _ => return None,
    };
    Some(encode(&rkyv::to_bytes::<Error>(&asked).expect("an archive in memory cannot fail")))
}

pub fn decode_proposal(bytes: &[u8]) -> Option<Proposal> {
    let asked = rkyv::from_bytes::<Asked, Error>(archive(bytes)?).ok()?;
    Some(match asked {
        Asked::ProducerIds => Proposal::ProducerIds,
        Asked::AutoCreate(names) => Proposal::AutoCreate(names),
        Asked::Register { id, incarnation, rack, endpoints, peer, directory, fenced } => {
            let (id, directory_id) = (BrokerId(id), directory);
            let asked = RegisterBroker { id, incarnation, rack, endpoints, peer, directory_id, fenced };
            Proposal::RegisterBroker(asked)
        }
        Asked::Heartbeat { broker, epoch, offset, want_fence, want_shut_down } => {
            Proposal::Heartbeat(Heartbeat {
                broker: BrokerId(broker),
                broker_epoch: epoch,
                metadata_offset: Offset(offset),
                want_fence,
                want_shut_down,
            })
        }
        Asked::AlterPartition { broker, epoch, parts } => Proposal::AlterPartition(AlterPartition {
            broker: BrokerId(broker),
            broker_epoch: epoch,
            parts: parts.into_iter().map(of_part).collect(),
        }),
        Asked::Forward { frame, address, listener, local } => {
            let (address, local): (SocketAddr, IpAddr) = (address.parse().ok()?, local.parse().ok()?);
            Proposal::Forward(Forwarded { frame: frame.into(), address, listener, local })
        }
        Asked::Damage { broker, epoch, parts } => {
            let part = |(topic, index)| (TopicId(topic), PartitionIndex(index));
            let parts = parts.into_iter().map(part).collect();
            Proposal::ReportDamage(ReportDamage { broker: BrokerId(broker), broker_epoch: epoch, parts })
        }
    })
}

/// # Panics
/// If it is no answer to a proposal that a broker makes on its own.
pub fn encode_answer(decided: Option<&Decided>) -> Vec<u8> {
    let answer: Answer = decided.map(|(outcome, offset)| (answered(outcome), offset.0));
    encode(&rkyv::to_bytes::<Error>(&answer).expect("an archive in memory cannot fail"))
}

/// `Some(None)`: the other broker is not the controller.
pub fn decode_answer(bytes: &[u8]) -> Option<Option<Decided>> {
    let answer = rkyv::from_bytes::<Answer, Error>(archive(bytes)?).ok()?;
    Some(answer.map(|(answered, offset)| (of_answered(answered), Offset(offset))))
}

fn encode(archive: &[u8]) -> Vec<u8> {
    [&[FORMAT_VERSION], archive].concat()
}

fn archive(bytes: &[u8]) -> Option<&[u8]> {
    bytes.split_first().filter(|(version, _)| **version == FORMAT_VERSION).map(|(_, archive)| archive)
}

fn part(part: &PartitionIsr) -> Part {
    Part {
        topic: part.topic.0,
        index: part.index.0,
        leader_epoch: part.leader_epoch.0,
        partition_epoch: part.partition_epoch,
        isr: part.isr.iter().map(|member| (member.broker.0, member.broker_epoch.unwrap_or(-1))).collect(),
    }
}

fn of_part(part: Part) -> PartitionIsr {
    let member = |(broker, life): (i32, i64)| IsrMember {
        broker: BrokerId(broker),
        broker_epoch: (life >= 0).then_some(life),
    };
    PartitionIsr {
        topic: TopicId(part.topic),
        index: PartitionIndex(part.index),
        leader_epoch: LeaderEpoch(part.leader_epoch),
        partition_epoch: part.partition_epoch,
        isr: part.isr.into_iter().map(member).collect(),
    }
}

fn numbers(codes: &Result<Vec<ErrorCode>, Refusal>) -> Result<Vec<i16>, No> {
    let codes = codes.as_ref().map(|codes| codes.iter().map(|&code| code as i16).collect());
    codes.map_err(no)
}

fn of_numbers(codes: Result<Vec<i16>, No>) -> Result<Vec<ErrorCode>, Refusal> {
    let code = |code| ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError);
    codes.map(|codes| codes.into_iter().map(code).collect()).map_err(of_no)
}

fn no(refusal: &Refusal) -> No {
    (refusal.code as i16, refusal.message.clone())
}

fn of_no((code, message): No) -> Refusal {
    Refusal::new(ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError), message)
}

fn answered(outcome: &Outcome) -> Answered {
    match outcome {
        Outcome::ProducerIds(block) => {
            Answered::ProducerIds(block.as_ref().map(|block| (block.first.0, block.count)).map_err(no))
        }
        Outcome::AutoCreate(results) => {
            let result = |result: &Result<(), Refusal>| result.clone().map_err(|refusal| no(&refusal));
            Answered::AutoCreate(results.iter().map(result).collect())
        }
        Outcome::RegisterBroker(result) => Answered::Register(result.clone().map_err(|refusal| no(&refusal))),
        Outcome::Heartbeat(answer) => {
            let flags = |a: &HeartbeatAnswer| (a.fenced, a.should_shut_down, a.is_caught_up);
            Answered::Heartbeat(answer.as_ref().map(flags).map_err(no))
        }
        Outcome::AlterPartition(codes) => Answered::AlterPartition(numbers(codes)),
        Outcome::ReportDamage(codes) => Answered::Damage(numbers(codes)),
        Outcome::Forward(frame) => Answered::Forward(frame.clone()),
        Outcome::Failed(refusal) => Answered::Failed(no(refusal)),
        other => unreachable!("{other:?} answers a client's own proposal"),
    }
}

fn of_answered(answered: Answered) -> Outcome {
    match answered {
        Answered::ProducerIds(block) => Outcome::ProducerIds(
            block.map(|(first, count)| ProducerIdBlock { first: ProducerId(first), count }).map_err(of_no),
        ),
        Answered::AutoCreate(results) => {
            Outcome::AutoCreate(results.into_iter().map(|result| result.map_err(of_no)).collect())
        }
        Answered::Register(result) => Outcome::RegisterBroker(result.map_err(of_no)),
        Answered::Heartbeat(answer) => {
            let answer = answer.map(|(fenced, should_shut_down, is_caught_up)| HeartbeatAnswer {
                fenced,
                should_shut_down,
                is_caught_up,
            });
            Outcome::Heartbeat(answer.map_err(of_no))
        }
        Answered::AlterPartition(codes) => Outcome::AlterPartition(of_numbers(codes)),
        Answered::Damage(codes) => Outcome::ReportDamage(of_numbers(codes)),
        Answered::Forward(frame) => Outcome::Forward(frame),
        Answered::Failed(refusal) => Outcome::Failed(of_no(refusal)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proposals_come_back_as_they_went() {
        let forwarded = Forwarded {
            frame: b"request"[..].into(),
            address: "10.0.0.1:5".parse().unwrap(),
            listener: "PLAINTEXT".into(),
            local: "::1".parse().unwrap(),
        };
        let part = PartitionIsr {
            topic: TopicId([3; 16]),
            index: PartitionIndex(4),
            leader_epoch: LeaderEpoch(5),
            partition_epoch: 6,
            isr: vec![BrokerId(7).into(), IsrMember { broker: BrokerId(8), broker_epoch: Some(5) }],
        };
        let heartbeat = Heartbeat {
            broker: BrokerId(1),
            broker_epoch: 2,
            metadata_offset: Offset(3),
            want_fence: false,
            want_shut_down: true,
        };
        for proposal in [
            Proposal::ProducerIds,
            Proposal::AutoCreate(vec!["a".into(), "b".into()]),
            Proposal::Forward(forwarded),
            Proposal::Heartbeat(heartbeat),
            Proposal::AlterPartition(AlterPartition {
                broker: BrokerId(1),
                broker_epoch: 2,
                parts: vec![part],
            }),
            Proposal::ReportDamage(ReportDamage {
                broker: BrokerId(1),
                broker_epoch: 2,
                parts: vec![(TopicId([3; 16]), PartitionIndex(4))],
            }),
        ] {
            assert_eq!(decode_proposal(&encode_proposal(&proposal).unwrap()), Some(proposal));
        }
    }

    #[test]
    fn answers_come_back_as_they_went() {
        let refusal = || Refusal::new(ErrorCode::StaleBrokerEpoch, "old");
        for outcome in [
            Outcome::AutoCreate(vec![Ok(()), Err(refusal())]),
            Outcome::Heartbeat(Err(refusal())),
            Outcome::AlterPartition(Ok(vec![ErrorCode::None, ErrorCode::FencedLeaderEpoch])),
            Outcome::ReportDamage(Ok(vec![ErrorCode::None, ErrorCode::EligibleLeadersNotAvailable])),
            Outcome::Forward(None),
            Outcome::Failed(refusal()),
        ] {
            let decided = (outcome, Offset(9));
            assert_eq!(decode_answer(&encode_answer(Some(&decided))), Some(Some(decided)));
        }
        assert_eq!(decode_answer(&encode_answer(None)), Some(None));
    }

    /// Of a broker that does not know what came later.
    #[test]
    fn the_bytes_of_a_kind_stay_what_they_were() {
        #[derive(Archive, Serialize)]
        enum Before {
            ProducerIds,
            #[expect(dead_code, reason = "it takes its place, and its size, among the others")]
            AutoCreate(Vec<String>),
            #[expect(dead_code, reason = "as before")]
            Register {
                id: i32,
                incarnation: [u8; 16],
                rack: Option<String>,
                endpoints: Vec<Endpoint>,
                peer: Option<PeerAddress>,
                directory: [u8; 16],
                fenced: bool,
            },
            Heartbeat {
                broker: i32,
                epoch: i64,
                offset: i64,
                want_fence: bool,
                want_shut_down: bool,
            },
        }
        let bytes = |before: &Before| encode(&rkyv::to_bytes::<Error>(before).unwrap());
        let heartbeat = Heartbeat {
            broker: BrokerId(1),
            broker_epoch: 2,
            metadata_offset: Offset(3),
            want_fence: true,
            want_shut_down: false,
        };
        let before =
            Before::Heartbeat { broker: 1, epoch: 2, offset: 3, want_fence: true, want_shut_down: false };
        assert_eq!(encode_proposal(&Proposal::Heartbeat(heartbeat)).unwrap(), bytes(&before));
        assert_eq!(encode_proposal(&Proposal::ProducerIds).unwrap(), bytes(&Before::ProducerIds));
    }

    #[test]
    fn foreign_bytes_are_refused() {
        for bytes in [&b""[..], b"\x01", b"\x02abc", &[1; 64]] {
            assert!(decode_proposal(bytes).is_none() && decode_answer(bytes).is_none(), "{bytes:?}");
        }
    }
}
