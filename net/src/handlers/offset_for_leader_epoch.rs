//! OffsetForLeaderEpoch: where a leader epoch ends in this log, so that a client finds where its past and ours part.
//! 3 adds the replica id, which is not looked at: followers replicate by another protocol.

use std::rc::Rc;

use engine::{Disk, epochs};
use model::{ErrorCode, LeaderEpoch};

use super::{
    Handled, Step,
    topics::{find_by_name, too_many},
};
use crate::{
    ask::{Answer, Ask, EpochEndPart, FoundEpochEnd},
    request::Request,
    scatter::Scatter,
    shard::Shard,
    wire::messages::offset_for_leader_epoch::{
        EpochEndOffset, OffsetForLeaderTopicResult, RequestView, Response,
    },
};

pub(super) fn handle<D: Disk>(shard: &Rc<Shard<D>>, request: Request) -> Handled {
    let view = RequestView::decode(request.body(), request.version)?;
    if let Some(refused) = too_many(view.topics.iter().map(|topic| topic.partitions.len())) {
        return Ok(refused);
    }
    let image = shard.local_image();
    let mut found: Vec<Option<FoundEpochEnd>> = Vec::new();
    let mut parts = Vec::new();
    for topic in view.topics {
        for partition in topic.partitions {
            match find_by_name(&image, topic.topic, partition.partition) {
                Ok(id) => {
                    let current_epoch = LeaderEpoch(partition.current_leader_epoch);
                    let epoch = LeaderEpoch(partition.leader_epoch);
                    parts.push((found.len(), id, EpochEndPart { id, current_epoch, epoch }));
                    found.push(None);
                }
                Err(code) => found.push(Some(refused(code))),
            }
        }
    }
    let groups = Scatter::new(shard.count(), parts).into_groups();
    let ask = |(owner, parts, places)| (shard.asks().ask(owner, Ask::EpochEnds(parts)), places);
    let asked: Vec<_> = groups.map(ask).collect();
    Ok(Step::wait(async move {
        for (asked, places) in asked {
            if let Some(Answer::EpochEnds(answers)) = asked.await {
                places.gather(answers, &mut found);
            }
        }
        respond(&request, found)
    }))
}

fn refused(code: ErrorCode) -> FoundEpochEnd {
    FoundEpochEnd { code, end: epochs::EpochEnd::UNKNOWN }
}

fn respond(request: &Request, found: Vec<Option<FoundEpochEnd>>) -> Step {
    let view = RequestView::decode(request.body(), request.version).expect("decoded before");
    let mut found = found.into_iter();
    let mut topics = Vec::with_capacity(view.topics.len());
    for topic in view.topics {
        let entries = topic.partitions.iter().zip(&mut found);
        let partitions = entries.map(|(asked, found)| entry(asked.partition, found)).collect();
        topics.push(OffsetForLeaderTopicResult { topic: topic.topic.into(), partitions });
    }
    Step::answer(request, &Response { topics, ..Response::default() })
}

fn entry(partition: i32, found: Option<FoundEpochEnd>) -> EpochEndOffset {
    let found = found.unwrap_or_else(|| refused(ErrorCode::NotLeaderOrFollower));
    EpochEndOffset {
        error_code: found.code.code(),
        partition,
        leader_epoch: found.end.epoch.0,
        end_offset: found.end.end_offset.0,
    }
}
