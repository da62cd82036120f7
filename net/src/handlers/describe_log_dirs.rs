//! DescribeLogDirs. 3 adds an error for the whole answer, 4 the size of the disk.
//!
//! There is one log directory. Topics null means all; partitions that are named and not here are left out, as in Apache
//! Kafka. A disk whose size cannot be read has -1. The durable offset is ours: Kafka has no such field.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use engine::{Disk, disk::Space};
use model::{ErrorCode, PartitionIndex, ShardId, TopicPartition};

use super::{Handled, Step, topics::too_many};
use crate::{
    ask::{Answer, Ask, Size},
    mesh::Asked,
    request::Request,
    scatter::Scatter,
    shard::Shard,
    wire::messages::describe_log_dirs::{
        DescribableLogDirTopicView, DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
        RequestView, Response,
    },
};

pub(super) fn handle<D: Disk>(shard: &Rc<Shard<D>>, request: Request) -> Handled {
    let view = RequestView::decode(request.body(), request.version)?;
    if let Some(refused) = too_many(view.topics.into_iter().flatten().map(|topic| topic.partitions.len())) {
        return Ok(refused);
    }
    let asked: Vec<Asked<D>> = match view.topics {
        None => (0..shard.count()).map(|owner| shard.asks().ask(ShardId(owner), Ask::Sizes(None))).collect(),
        Some(topics) => {
            let ids: BTreeSet<_> = topics.iter().flat_map(|topic| ids_of(shard, topic)).collect();
            let ids = ids.into_iter().enumerate().map(|(place, id)| (place, id, id));
            let groups = Scatter::new(shard.count(), ids).into_groups();
            groups.map(|(owner, ids, _)| shard.asks().ask(owner, Ask::Sizes(Some(ids)))).collect()
        }
    };
    let shard = shard.clone();
    Ok(Step::wait(async move {
        let mut sizes = Vec::new();
        for asked in asked {
            if let Some(Answer::Sizes(more)) = asked.await {
                sizes.extend(more);
            }
        }
        let space = match request.version {
            4.. => shard.store().space().await.ok(),
            _ => None,
        };
        respond(&shard, &request, sizes, space)
    }))
}

fn ids_of<D: Disk>(shard: &Shard<D>, asked: DescribableLogDirTopicView<'_>) -> Vec<TopicPartition> {
    let image = shard.local_image();
    let Some(topic) = image.topic(asked.topic) else { return Vec::new() };
    let known = asked.partitions.iter().map(PartitionIndex).filter(|&index| topic.partition(index).is_some());
    known.map(|index| TopicPartition::new(topic.id, index)).collect()
}

fn respond<D: Disk>(shard: &Shard<D>, request: &Request, sizes: Vec<Size>, space: Option<Space>) -> Step {
    let image = shard.local_image();
    let mut topics: BTreeMap<&str, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for Size { id, bytes, durable } in sizes {
        let Some(topic) = image.topic_by_id(id.topic) else { continue };
        topics.entry(&topic.name).or_default().push(DescribeLogDirsPartition {
            partition_index: id.partition.0,
            partition_size: i64::try_from(bytes).unwrap_or(i64::MAX),
            durable_offset: durable.0,
            ..Default::default()
        });
    }
    let topic = |(name, mut partitions): (&str, Vec<DescribeLogDirsPartition>)| {
        partitions.sort_unstable_by_key(|partition| partition.partition_index);
        DescribeLogDirsTopic { name: name.to_owned().into(), partitions }
    };
    let bytes = |bytes: Option<u64>| bytes.map_or(-1, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
    let failed = shard.store().failure().is_some();
    let dir = DescribeLogDirsResult {
        error_code: if failed { ErrorCode::KafkaStorageError } else { ErrorCode::None }.code(),
        log_dir: shard.store().data_dir().to_string_lossy(),
        topics: topics.into_iter().map(topic).collect(),
        total_bytes: bytes(space.map(|space| space.total_bytes)),
        usable_bytes: bytes(space.map(|space| space.usable_bytes)),
    };
    Step::answer(request, &Response { results: vec![dir], ..Response::default() })
}
