//! AlterReplicaLogDirs. There is one log directory, so a replica is where it shall be, or shall go where no directory is.
//!
//! As in Apache Kafka the directory is looked at before the partition, and of a partition that is named under several
//! directories one of them counts, here the last.

use std::{collections::BTreeMap, rc::Rc};

use engine::Disk;
use model::ErrorCode;

use super::{
    Handled, Step,
    topics::{find_by_name, too_many},
};
use crate::{
    request::Request,
    shard::Shard,
    wire::messages::alter_replica_log_dirs::{
        AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult, RequestView, Response,
    },
};

pub(super) fn handle<D: Disk>(shard: &Rc<Shard<D>>, request: Request) -> Handled {
    let view = RequestView::decode(request.body(), request.version)?;
    let counts = view.dirs.iter().flat_map(|dir| dir.topics.iter().map(|topic| topic.partitions.len()));
    if let Some(refused) = too_many(counts) {
        return Ok(refused);
    }
    let image = shard.local_image();
    let here = shard.store().data_dir().to_string_lossy();
    let mut outcomes: BTreeMap<&str, BTreeMap<i32, ErrorCode>> = BTreeMap::new();
    for dir in view.dirs {
        for topic in dir.topics {
            let of_topic = outcomes.entry(topic.name).or_default();
            for index in topic.partitions.iter() {
                let outcome = match find_by_name(&image, topic.name, index) {
                    _ if dir.path != here => ErrorCode::LogDirNotFound,
                    Ok(_) => ErrorCode::None,
                    Err(code) => code,
                };
                of_topic.insert(index, outcome);
            }
        }
    }
    let results = outcomes.into_iter().map(|(topic, partitions)| AlterReplicaLogDirTopicResult {
        topic_name: topic.into(),
        partitions: partitions.into_iter().map(entry).collect(),
    });
    Ok(Step::answer(&request, &Response { results: results.collect(), ..Response::default() }))
}

fn entry((partition_index, code): (i32, ErrorCode)) -> AlterReplicaLogDirPartitionResult {
    AlterReplicaLogDirPartitionResult { partition_index, error_code: code.code() }
}
