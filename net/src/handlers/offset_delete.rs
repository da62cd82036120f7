//! OffsetDelete: what a group has committed for topics that nobody in it reads.

use std::rc::Rc;

use coordinator::group::{Answer, OffsetDeleteAnswer};
use engine::Disk;
use model::ErrorCode;

use super::{
    Handled, Step,
    groups::{ask, error_of},
    topics::{find_by_name, too_many},
};
use crate::{
    groups::GroupCommand,
    request::{Head, Request},
    shard::Shard,
    wire::messages::offset_delete::{
        OffsetDeleteResponsePartition, OffsetDeleteResponseTopic, RequestView, Response,
    },
};

/// A topic's name, and of its partitions the index and what is wrong with it, if anything is.
type Topic = (String, Vec<(i32, ErrorCode)>);

pub(super) fn handle<D: Disk>(shard: &Rc<Shard<D>>, request: Request) -> Handled {
    let view = RequestView::decode(request.body(), request.version)?;
    if let Some(refused) = too_many(view.topics.iter().map(|topic| topic.partitions.len())) {
        return Ok(refused);
    }
    let image = shard.local_image();
    let mut partitions = vec![];
    let mut topics: Vec<Topic> = vec![];
    for topic in view.topics {
        let mut found = vec![];
        for partition in topic.partitions {
            let index = partition.partition_index;
            let code = find_by_name(&image, topic.name, index).err().unwrap_or(ErrorCode::None);
            if code == ErrorCode::None {
                partitions.push((topic.name.to_owned(), index));
            }
            found.push((index, code));
        }
        topics.push((topic.name.to_owned(), found));
    }
    let group_id = view.group_id.to_owned();
    let asked = ask(shard, view.group_id, GroupCommand::DeleteOffsets { group_id, partitions });
    let head = request.head();
    Ok(Step::wait(async move {
        match asked.done().await {
            Ok(Answer::OffsetDelete(deleted)) => respond(head, topics, deleted),
            Ok(_) => refuse(head, ErrorCode::UnknownServerError),
            Err(code) => refuse(head, code),
        }
    }))
}

fn refuse(head: Head, code: ErrorCode) -> Step {
    Step::answer(head, &Response { error_code: code.code(), ..Response::default() })
}

fn respond(head: Head, topics: Vec<Topic>, deleted: OffsetDeleteAnswer) -> Step {
    if deleted.error != ErrorCode::None {
        return refuse(head, deleted.error);
    }
    let mut errors = deleted.errors.into_iter();
    let mut partition = |(partition_index, found): (i32, ErrorCode)| OffsetDeleteResponsePartition {
        partition_index,
        error_code: error_of(found, &mut errors),
    };
    let topics = topics.into_iter().map(|(name, partitions)| OffsetDeleteResponseTopic {
        name: name.into(),
        partitions: partitions.into_iter().map(&mut partition).collect(),
    });
    Step::answer(head, &Response { topics: topics.collect(), ..Response::default() })
}
