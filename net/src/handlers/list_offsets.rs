//! ListOffsets. 2 adds isolation, 4 leader epochs, 7 the largest timestamp (-3). 8, 9 and 11 are for tiered storage.
//!
//! -1 is the end of what the client may see, -2 the start of the log. A time means the first record that is not older,
//! wherever in a batch it stands; none is offset -1 and no error.

use std::rc::Rc;

use engine::Disk;
use model::{ErrorCode, LeaderEpoch, Timestamp};
use replication::Isolation;

use super::{
    Handled, Step,
    topics::{find_by_name, too_many},
};
use crate::{
    ask::{Answer, Ask, FoundOffset, OffsetAt, OffsetPart, OffsetsAsk},
    request::Request,
    scatter::Scatter,
    shard::Shard,
    wire::messages::list_offsets::{
        ListOffsetsPartitionResponse, ListOffsetsTopicResponse, RequestView, Response,
    },
};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const MAX_TIMESTAMP_FROM: i16 = 7;

pub(super) fn handle<D: Disk>(shard: &Rc<Shard<D>>, request: Request) -> Handled {
    let view = RequestView::decode(request.body(), request.version)?;
    if let Some(refused) = too_many(view.topics.iter().map(|topic| topic.partitions.len())) {
        return Ok(refused);
    }
    let isolation = if view.isolation_level == 1 { Isolation::Committed } else { Isolation::Uncommitted };
    let mut found: Vec<Option<FoundOffset>> = Vec::new();
    let mut parts = Vec::new();
    let image = shard.local_image();
    for topic in view.topics {
        for partition in topic.partitions {
            let part = find_by_name(&image, topic.name, partition.partition_index).and_then(|id| {
                let at = offset_at(partition.timestamp, request.version)?;
                Ok(OffsetPart { id, leader_epoch: LeaderEpoch(partition.current_leader_epoch), at })
            });
            match part {
                Ok(part) => {
                    parts.push((found.len(), part.id, part));
                    found.push(None);
                }
                Err(code) => found.push(Some(FoundOffset::error(code))),
            }
        }
    }
    let ask = |(owner, parts, places)| {
        (shard.asks().ask(owner, Ask::Offsets(OffsetsAsk { isolation, parts })), places)
    };
    let asked: Vec<_> = Scatter::new(shard.count(), parts).into_groups().map(ask).collect();
    Ok(Step::wait(async move {
        for (asked, places) in asked {
            if let Some(Answer::Offsets(answers)) = asked.await {
                places.gather(answers, &mut found);
            }
        }
        respond(&request, found)
    }))
}

fn offset_at(timestamp: i64, version: i16) -> Result<OffsetAt, ErrorCode> {
    match timestamp {
        LATEST => Ok(OffsetAt::Latest),
        EARLIEST => Ok(OffsetAt::Earliest),
        MAX_TIMESTAMP if version >= MAX_TIMESTAMP_FROM => Ok(OffsetAt::MaxTimestamp),
        time if time >= 0 => Ok(OffsetAt::Timestamp(Timestamp(time))),
        _ => Err(ErrorCode::UnsupportedVersion),
    }
}

fn respond(request: &Request, found: Vec<Option<FoundOffset>>) -> Step {
    let view = RequestView::decode(request.body(), request.version).expect("decoded before");
    let mut found = found.into_iter();
    let mut topics = Vec::with_capacity(view.topics.len());
    for topic in view.topics {
        let entries = topic.partitions.iter().zip(&mut found);
        let partitions = entries.map(|(asked, found)| entry(asked.partition_index, found)).collect();
        topics.push(ListOffsetsTopicResponse { name: topic.name.into(), partitions });
    }
    Step::answer(request, &Response { topics, ..Response::default() })
}

fn entry(partition_index: i32, found: Option<FoundOffset>) -> ListOffsetsPartitionResponse {
    let found = found.unwrap_or_else(|| FoundOffset::error(ErrorCode::NotLeaderOrFollower));
    ListOffsetsPartitionResponse {
        partition_index,
        error_code: found.code.code(),
        timestamp: found.timestamp.0,
        offset: found.offset.0,
        leader_epoch: found.leader_epoch.0,
    }
}
