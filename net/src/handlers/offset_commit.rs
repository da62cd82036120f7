//! OffsetCommit. 2 to 4 may ask for a retention of their own, 6 adds leader epochs, 7 static members, 9 member epochs, 10
//! names topics by id.
//!
//! Answered when the offsets are durable: an offset that was acknowledged is there after any crash.

use std::rc::Rc;

use coordinator::{
    Image,
    group::{Answer, OffsetCommit, OffsetToCommit},
};
use engine::Disk;
use model::{ErrorCode, TopicId};

use super::{
    Handled, Step,
    groups::{ask, error_of, owned},
    topics::{Named, find_partition, too_many},
};
use crate::{
    groups::GroupCommand,
    request::{Head, Request},
    shard::Shard,
    wire::messages::offset_commit::{
        OffsetCommitRequestPartitionView, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
        RequestView, Response,
    },
};

const IDS_FROM: i16 = 10;

struct Topic {
    name: String,
    id: TopicId,
    /// A partition's index, and what is wrong with it, if anything is.
    partitions: Vec<(i32, ErrorCode)>,
}

pub(super) fn handle<D: Disk>(shard: &Rc<Shard<D>>, request: Request) -> Handled {
    let view = RequestView::decode(request.body(), request.version)?;
    if let Some(refused) = too_many(view.topics.iter().map(|topic| topic.partitions.len())) {
        return Ok(refused);
    }
    let image = shard.local_image();
    let mut offsets = vec![];
    let topics = view.topics.iter().map(|topic| {
        let id = TopicId(topic.topic_id);
        let named = if request.version >= IDS_FROM { Named::Id(id) } else { Named::Name(topic.name) };
        let partitions = topic.partitions.iter().map(|partition| {
            let found = find(&image, named, &partition);
            let code = found.as_ref().err().copied().unwrap_or(ErrorCode::None);
            offsets.extend(found);
            (partition.partition_index, code)
        });
        Topic { name: topic.name.to_owned(), id, partitions: partitions.collect() }
    });
    let topics: Vec<Topic> = topics.collect();
    let commit = OffsetCommit {
        group_id: view.group_id.to_owned(),
        generation_or_member_epoch: view.generation_id_or_member_epoch,
        member_id: view.member_id.to_owned(),
        group_instance_id: owned(view.group_instance_id),
        retention_time_ms: (view.retention_time_ms >= 0).then_some(view.retention_time_ms),
        version: request.version,
        offsets,
    };
    let head = request.head();
    let asked = ask(shard, view.group_id, GroupCommand::CommitOffsets(commit));
    drop(request);
    Ok(Step::wait(async move {
        match asked.done().await {
            Ok(Answer::OffsetCommit(committed)) => respond(head, topics, committed.errors),
            Ok(_) => respond_all(head, topics, ErrorCode::UnknownServerError),
            Err(code) => respond_all(head, topics, code),
        }
    }))
}

fn find(
    image: &Image,
    named: Named<'_>,
    partition: &OffsetCommitRequestPartitionView<'_>,
) -> Result<OffsetToCommit, ErrorCode> {
    let topic = named.find(image)?;
    find_partition(topic, partition.partition_index)?;
    Ok(OffsetToCommit {
        topic: topic.name.to_string(),
        topic_id: topic.id,
        partition: partition.partition_index,
        offset: partition.committed_offset,
        leader_epoch: partition.committed_leader_epoch,
        metadata: partition.committed_metadata.unwrap_or("").to_owned(),
    })
}

fn respond_all(head: Head, topics: Vec<Topic>, code: ErrorCode) -> Step {
    let sent = topics
        .iter()
        .flat_map(|topic| &topic.partitions)
        .filter(|(_, found)| *found == ErrorCode::None)
        .count();
    respond(head, topics, vec![code; sent])
}

/// `errors` are of the partitions that were found, in their order.
fn respond(head: Head, topics: Vec<Topic>, errors: Vec<ErrorCode>) -> Step {
    let mut errors = errors.into_iter();
    let mut partition = |(partition_index, found): (i32, ErrorCode)| OffsetCommitResponsePartition {
        partition_index,
        error_code: error_of(found, &mut errors),
    };
    let topics = topics.into_iter().map(|topic| OffsetCommitResponseTopic {
        name: topic.name.into(),
        topic_id: topic.id.0,
        partitions: topic.partitions.into_iter().map(&mut partition).collect(),
    });
    Step::answer(head, &Response { topics: topics.collect(), ..Response::default() })
}
