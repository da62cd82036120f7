//! DescribeTopicPartitions: topics and their partitions, a page at a time. The cursor says where the next page begins.
//!
//! A cursor at a negative partition, or at a topic that is not among those named, is refused in the entry of every topic
//! that was named. No topic named means all of them, by name. Names are answered in order and once each; a page is full after so many
//! partitions, and a topic that does not fit goes on in the next one.

use std::rc::Rc;

use coordinator::{
    Image,
    metadata::{Partition, Topic},
};
use engine::Disk;
use model::ErrorCode;

use super::{
    Handled, Step,
    metadata::{PartitionFacts, ids},
    operations,
    topics::{is_internal, is_legal_name},
};
use crate::{
    request::Request,
    shard::Shard,
    wire::messages::describe_topic_partitions::{
        Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic, RequestView,
        Response,
    },
};

pub(super) fn handle<D: Disk>(shard: &Rc<Shard<D>>, request: Request) -> Handled {
    let view = RequestView::decode(request.body(), request.version)?;
    let image = shard.local_image();
    let limit = shard.config().max_request_partition_size_limit.max(1);
    let limit = view.response_partition_limit.clamp(1, limit) as usize;
    let (start_name, start_partition) = match &view.cursor {
        Some(cursor) => (cursor.topic_name, cursor.partition_index),
        None => ("", 0),
    };
    let is_named = view.topics.is_empty() || view.topics.iter().any(|topic| topic.name == start_name);
    if start_partition < 0 || (view.cursor.is_some() && !is_named) {
        return Ok(refuse(&request, &view));
    }
    let mut page = Page { shard, limit, topics: Vec::new(), next: None };
    for name in names(&image, &view).into_iter().filter(|&name| name >= start_name) {
        let from = if name == start_name { start_partition as usize } else { 0 };
        if !page.add(&image, name, from) {
            break;
        }
    }
    let body = Response { topics: page.topics, next_cursor: page.next, ..Response::default() };
    Ok(Step::answer(&request, &body))
}

fn refuse(request: &Request, view: &RequestView<'_>) -> Step {
    let error_code = ErrorCode::InvalidRequest.code();
    let topics = view.topics.iter().map(|topic| DescribeTopicPartitionsResponseTopic {
        error_code,
        name: Some(topic.name.into()),
        ..Default::default()
    });
    Step::answer(request, &Response { topics: topics.collect(), ..Response::default() })
}

fn names<'a>(image: &'a Image, view: &RequestView<'a>) -> Vec<&'a str> {
    if view.topics.is_empty() {
        return image.topics().map(|topic| &*topic.name).collect();
    }
    let mut names: Vec<&str> = view.topics.iter().map(|topic| topic.name).collect();
    names.sort_unstable();
    names.dedup();
    names
}

struct Page<'s, 'a, D: Disk> {
    shard: &'s Shard<D>,
    /// Partitions that still fit.
    limit: usize,
    topics: Vec<DescribeTopicPartitionsResponseTopic<'a>>,
    next: Option<Cursor<'a>>,
}

impl<'a, D: Disk> Page<'_, 'a, D> {
    /// `false`: the page is full.
    fn add(&mut self, image: &'a Image, name: &'a str, from: usize) -> bool {
        let Some(topic) = image.topic(name) else {
            let legal = is_legal_name(name);
            let code =
                if legal { ErrorCode::UnknownTopicOrPartition } else { ErrorCode::InvalidTopicException };
            let (error_code, name) = (code.code(), Some(name.into()));
            let topic_authorized_operations = operations::TOPIC;
            self.topics.push(DescribeTopicPartitionsResponseTopic {
                error_code,
                name,
                topic_authorized_operations,
                ..Default::default()
            });
            return true;
        };
        let end = topic.partitions.len().min(from.saturating_add(self.limit));
        let shown = from.min(end)..end;
        self.limit -= shown.len();
        if end < topic.partitions.len() {
            self.next = Some(Cursor { topic_name: name.into(), partition_index: end as i32 });
        }
        if shown.is_empty() && self.next.is_some() {
            return false;
        }
        let partitions = shown.map(|index| partition_entry(self.shard, topic, index)).collect();
        self.topics.push(DescribeTopicPartitionsResponseTopic {
            name: Some(name.into()),
            topic_id: topic.id.0,
            is_internal: is_internal(name),
            partitions,
            topic_authorized_operations: operations::TOPIC,
            ..Default::default()
        });
        self.next.is_none()
    }
}

fn partition_entry<D: Disk>(
    shard: &Shard<D>,
    topic: &Topic,
    index: usize,
) -> DescribeTopicPartitionsResponsePartition {
    let partition: &Partition = &topic.partitions[index];
    let facts = PartitionFacts::of(shard, &shard.local_image(), partition);
    DescribeTopicPartitionsResponsePartition {
        error_code: facts.code.code(),
        partition_index: index as i32,
        leader_id: facts.leader,
        leader_epoch: partition.leader_epoch.0,
        replica_nodes: ids(&partition.replicas),
        isr_nodes: ids(&partition.isr),
        eligible_leader_replicas: Some(Vec::new()),
        last_known_elr: Some(Vec::new()),
        offline_replicas: facts.offline,
    }
}
