//! OffsetFetch. 2 asks for everything with no topics and has an error of its own, 5 adds leader epochs, 8 asks of many
//! groups, 9 says which member asks, 10 names topics by id.

use std::rc::Rc;

use coordinator::{Image, group::OffsetReader};
use engine::Disk;
use model::{ErrorCode, TopicId};

use super::{
    Handled, Step,
    groups::{AskedGroup, ask, owned},
    topics::too_many,
};
use crate::{
    groups::{GroupAnswer, GroupQuery, KnownOffset},
    request::{Head, Request},
    shard::{LocalImage, Shard},
    wire::messages::offset_fetch::{
        OffsetFetchRequestGroupView, OffsetFetchRequestTopicView, OffsetFetchResponseGroup,
        OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
        OffsetFetchResponseTopics, RequestView, Response,
    },
};

/// Before it the error of the group stands at each partition.
const ERROR_FROM: i16 = 2;
const GROUPS_FROM: i16 = 8;
const IDS_FROM: i16 = 10;

/// A topic as it is wanted. One named by an id that nobody knows has no name.
struct Wanted {
    name: Option<String>,
    id: TopicId,
    partitions: Vec<i32>,
}

/// What one group is asked, and what comes of it.
struct Group<D: Disk> {
    id: String,
    /// `None`: everything.
    wanted: Option<Vec<Wanted>>,
    asked: AskedGroup<D>,
}

struct Found {
    name: String,
    id: TopicId,
    partitions: Vec<Partition>,
}

struct Partition {
    index: i32,
    offset: i64,
    leader_epoch: i32,
    metadata: String,
    error: ErrorCode,
}

pub(super) fn handle<D: Disk>(shard: &Rc<Shard<D>>, request: Request) -> Handled {
    let view = RequestView::decode(request.body(), request.version)?;
    if let Some(refused) = too_many(partition_counts(&view)) {
        return Ok(refused);
    }
    let image = shard.local_image();
    let groups: Vec<Group<D>> = match request.version {
        GROUPS_FROM.. => {
            view.groups.iter().map(|group| begin_group(shard, &image, request.version, &group)).collect()
        }
        _ => {
            let wanted = view.topics.map(|topics| topics.iter().map(|topic| by_name(&topic)).collect());
            vec![begin(shard, view.group_id, OffsetReader::anyone(), wanted)]
        }
    };
    let head = request.head();
    drop(request);
    Ok(Step::wait(async move {
        let mut answers = Vec::with_capacity(groups.len());
        for group in groups {
            let Group { id, wanted, asked } = group;
            let known = match asked.answer().await {
                Ok(GroupAnswer::Offsets(known)) => Ok(known),
                Ok(_) => Err(ErrorCode::UnknownServerError),
                Err(code) => Err(code),
            };
            answers.push((id, found(&image, wanted, known, head.version)));
        }
        respond(head, answers)
    }))
}

fn partition_counts(view: &RequestView<'_>) -> Vec<usize> {
    let groups = view.groups.iter().flat_map(|group| group.topics.into_iter().flatten());
    let topics = view.topics.into_iter().flatten().map(|topic| topic.partition_indexes.len());
    groups.map(|topic| topic.partition_indexes.len()).chain(topics).collect()
}

fn by_name(topic: &OffsetFetchRequestTopicView<'_>) -> Wanted {
    Wanted {
        name: Some(topic.name.to_owned()),
        id: TopicId::ZERO,
        partitions: topic.partition_indexes.iter().collect(),
    }
}

fn begin_group<D: Disk>(
    shard: &Rc<Shard<D>>,
    image: &Image,
    version: i16,
    group: &OffsetFetchRequestGroupView<'_>,
) -> Group<D> {
    let wanted = group.topics.map(|topics| {
        let topics = topics.iter().map(|topic| {
            let id = TopicId(topic.topic_id);
            let name = match version {
                IDS_FROM.. => image.topic_by_id(id).map(|topic| topic.name.to_string()),
                _ => Some(topic.name.to_owned()),
            };
            Wanted { name, id, partitions: topic.partition_indexes.iter().collect() }
        });
        topics.collect()
    });
    let reader = OffsetReader { member_id: owned(group.member_id), member_epoch: group.member_epoch };
    begin(shard, group.group_id, reader, wanted)
}

fn begin<D: Disk>(
    shard: &Rc<Shard<D>>,
    group_id: &str,
    reader: OffsetReader,
    wanted: Option<Vec<Wanted>>,
) -> Group<D> {
    let named = |topic: &Wanted| {
        let name = topic.name.clone();
        let partitions = topic.partitions.clone();
        name.into_iter().flat_map(move |name| partitions.clone().into_iter().map(move |p| (name.clone(), p)))
    };
    let flat = wanted.as_ref().map(|topics| topics.iter().flat_map(named).collect());
    let id = group_id.to_owned();
    let request = GroupQuery::FetchOffsets { group_id: id.clone(), reader, wanted: flat };
    Group { id, wanted, asked: ask(shard, group_id, request) }
}

/// Puts the offsets, which come in the order asked, to the topics.
fn found(
    image: &LocalImage,
    wanted: Option<Vec<Wanted>>,
    known: Result<Vec<KnownOffset>, ErrorCode>,
    version: i16,
) -> Result<Vec<Found>, (ErrorCode, Vec<Found>)> {
    match (wanted, known) {
        (Some(wanted), Ok(known)) => {
            let mut known = known.into_iter();
            let topics = wanted.into_iter().map(|topic| {
                let is_known = topic.name.is_some();
                let partitions = topic.partitions.iter().map(|&index| match is_known {
                    true => known
                        .next()
                        .map_or_else(|| none(index, ErrorCode::UnknownServerError), |k| partition(image, k)),
                    false => none(index, ErrorCode::UnknownTopicId),
                });
                Found { partitions: partitions.collect(), name: topic.name.unwrap_or_default(), id: topic.id }
            });
            Ok(topics.collect())
        }
        (None, Ok(known)) => Ok(all(image, known, version)),
        (wanted, Err(code)) => {
            let topics = wanted.unwrap_or_default().into_iter().map(|topic| Found {
                partitions: topic.partitions.iter().map(|&index| none(index, code)).collect(),
                name: topic.name.unwrap_or_default(),
                id: topic.id,
            });
            Err((code, topics.collect()))
        }
    }
}

/// Everything a group has committed, a topic at a time. A topic that is gone has no id to be named by.
fn all(image: &LocalImage, known: Vec<KnownOffset>, version: i16) -> Vec<Found> {
    let mut topics: Vec<Found> = vec![];
    for offset in known {
        let id = image.topic(&offset.topic).map(|topic| topic.id);
        if id.is_none() && version >= IDS_FROM {
            continue;
        }
        if topics.last().is_none_or(|last| last.name != offset.topic) {
            topics.push(Found { name: offset.topic.clone(), id: id.unwrap_or_default(), partitions: vec![] });
        }
        if let Some(topic) = topics.last_mut() {
            topic.partitions.push(partition(image, offset));
        }
    }
    topics
}

/// An offset that was committed for another topic of the same name, which is gone, says nothing of this one.
fn partition(image: &LocalImage, known: KnownOffset) -> Partition {
    let present = image.topic(&known.topic).map(|topic| topic.id);
    let is_of = |id: TopicId| id == TopicId::ZERO || present.is_none_or(|present| present == id);
    match known.committed.filter(|committed| is_of(committed.topic_id)) {
        None => none(known.partition, ErrorCode::None),
        Some(committed) => Partition {
            index: known.partition,
            offset: committed.offset,
            leader_epoch: committed.leader_epoch,
            metadata: committed.metadata,
            error: ErrorCode::None,
        },
    }
}

fn none(index: i32, error: ErrorCode) -> Partition {
    Partition { index, offset: -1, leader_epoch: -1, metadata: String::new(), error }
}

type Answered = (String, Result<Vec<Found>, (ErrorCode, Vec<Found>)>);

fn respond(head: Head, answers: Vec<Answered>) -> Step {
    if head.version >= GROUPS_FROM {
        let groups = answers.into_iter().map(|(group_id, found)| {
            let (error, topics) =
                found.map_or_else(|(code, _)| (code, vec![]), |topics| (ErrorCode::None, topics));
            OffsetFetchResponseGroup {
                group_id: group_id.into(),
                topics: topics.into_iter().map(topic_of_group).collect(),
                error_code: error.code(),
            }
        });
        return Step::answer(head, &Response { groups: groups.collect(), ..Response::default() });
    }
    let only = answers.into_iter().next().map(|(_, found)| found);
    let (error, topics) = match only {
        Some(Ok(topics)) => (ErrorCode::None, topics),
        Some(Err((code, topics))) => (code, if head.version < ERROR_FROM { topics } else { vec![] }),
        None => (ErrorCode::UnknownServerError, vec![]),
    };
    let topics = topics.into_iter().map(topic_alone).collect();
    Step::answer(head, &Response { topics, error_code: error.code(), ..Response::default() })
}

fn topic_of_group(found: Found) -> OffsetFetchResponseTopics<'static> {
    let partition = |p: Partition| OffsetFetchResponsePartitions {
        partition_index: p.index,
        committed_offset: p.offset,
        committed_leader_epoch: p.leader_epoch,
        metadata: Some(p.metadata.into()),
        error_code: p.error.code(),
    };
    OffsetFetchResponseTopics {
        name: found.name.into(),
        topic_id: found.id.0,
        partitions: found.partitions.into_iter().map(partition).collect(),
    }
}

fn topic_alone(found: Found) -> OffsetFetchResponseTopic<'static> {
    let partition = |p: Partition| OffsetFetchResponsePartition {
        partition_index: p.index,
        committed_offset: p.offset,
        committed_leader_epoch: p.leader_epoch,
        metadata: Some(p.metadata.into()),
        error_code: p.error.code(),
    };
    OffsetFetchResponseTopic {
        name: found.name.into(),
        partitions: found.partitions.into_iter().map(partition).collect(),
    }
}
