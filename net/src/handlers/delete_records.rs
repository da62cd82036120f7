//! DeleteRecords: moves the log start offset forward; -1 is the high watermark. On return the new start survives a
//! crash.

use std::rc::Rc;

use engine::Disk;
use model::{ErrorCode, Offset};

use super::{
    Handled, Step,
    topics::{find_by_name, too_many},
};
use crate::{
    ask::{Answer, Ask, DeleteRecordsPart, DeletedRecords},
    request::Request,
    scatter::Scatter,
    shard::Shard,
    wire::messages::delete_records::{
        DeleteRecordsPartitionResult, DeleteRecordsTopicResult, RequestView, Response,
    },
};

pub(super) fn handle<D: Disk>(shard: &Rc<Shard<D>>, request: Request) -> Handled {
    let view = RequestView::decode(request.body(), request.version)?;
    if let Some(refused) = too_many(view.topics.iter().map(|topic| topic.partitions.len())) {
        return Ok(refused);
    }
    let image = shard.local_image();
    let mut deleted: Vec<Option<DeletedRecords>> = Vec::new();
    let mut parts = Vec::new();
    for topic in view.topics {
        for partition in topic.partitions {
            match find_by_name(&image, topic.name, partition.partition_index) {
                Ok(id) => {
                    parts.push((
                        deleted.len(),
                        id,
                        DeleteRecordsPart { id, before: Offset(partition.offset) },
                    ));
                    deleted.push(None);
                }
                Err(code) => deleted.push(Some(refused(code))),
            }
        }
    }
    let groups = Scatter::new(shard.count(), parts).into_groups();
    let ask = |(owner, parts, places)| (shard.asks().ask(owner, Ask::DeleteRecords(parts)), places);
    let asked: Vec<_> = groups.map(ask).collect();
    Ok(Step::wait(async move {
        for (asked, places) in asked {
            if let Some(Answer::DeleteRecords(answers)) = asked.await {
                places.gather(answers, &mut deleted);
            }
        }
        respond(&request, deleted)
    }))
}

fn refused(code: ErrorCode) -> DeletedRecords {
    DeletedRecords { code, log_start: Offset::NONE }
}

fn respond(request: &Request, deleted: Vec<Option<DeletedRecords>>) -> Step {
    let view = RequestView::decode(request.body(), request.version).expect("decoded before");
    let mut deleted = deleted.into_iter();
    let mut topics = Vec::with_capacity(view.topics.len());
    for topic in view.topics {
        let entries = topic.partitions.iter().zip(&mut deleted);
        let partitions = entries.map(|(asked, deleted)| entry(asked.partition_index, deleted)).collect();
        topics.push(DeleteRecordsTopicResult { name: topic.name.into(), partitions });
    }
    Step::answer(request, &Response { topics, ..Response::default() })
}

fn entry(partition_index: i32, deleted: Option<DeletedRecords>) -> DeleteRecordsPartitionResult {
    let deleted = deleted.unwrap_or_else(|| refused(ErrorCode::NotLeaderOrFollower));
    let (low_watermark, error_code) = (deleted.log_start.0, deleted.code.code());
    DeleteRecordsPartitionResult { partition_index, low_watermark, error_code }
}
