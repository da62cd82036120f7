//! DeleteTopics. 5 adds the error's text and may answer that a quota throttles, 6 names topics by id or by name.
//!
//! The answer leaves when the topic's partitions are closed on every shard: nothing of it can be written or read then.

use std::{collections::BTreeSet, rc::Rc};

use coordinator::{
    Refusal,
    controller::{DeletedTopic, TopicRef},
};
use engine::Disk;
use model::{ErrorCode, TopicId};

use super::{Handled, Step, propose};
use crate::{
    control::{Outcome, Proposal},
    quotas::mutations::mutate,
    request::Request,
    shard::Shard,
    wire::messages::delete_topics::{DeletableTopicResult, DeleteTopicStateView, RequestView, Response},
};

const THROTTLED_FROM: i16 = 5;

pub(super) fn handle<D: Disk>(shard: &Rc<Shard<D>>, request: Request) -> Handled {
    let view = RequestView::decode(request.body(), request.version)?;
    let asked: Vec<Result<TopicRef, Refusal>> = match request.version {
        6.. => view.topics.iter().map(read).collect(),
        _ => view.topic_names.iter().map(|name| Ok(TopicRef::Name(name.to_owned()))).collect(),
    };
    let quotas = shard.quotas().limits_of(&request);
    let shard = shard.clone();
    Ok(Step::wait(async move {
        let topics: Vec<TopicRef> = asked.iter().flatten().cloned().collect();
        let partitions: Vec<usize> = topics.iter().map(|topic| old_partitions(&shard, topic)).collect();
        let strict = request.version >= THROTTLED_FROM;
        let granted = mutate(&shard, quotas.as_deref(), strict, &partitions).await;
        let topics = granted.only(topics);
        let count = topics.len();
        let deleted = match propose(&shard, &request, Proposal::DeleteTopics(topics)).await {
            Outcome::DeleteTopics(deleted) => deleted,
            other => vec![Err(other.refusal()); count],
        };
        granted.tell(respond(&request, &asked, granted.merge(deleted)))
    }))
}

/// What a topic counts for its client's quota.
fn old_partitions<D: Disk>(shard: &Shard<D>, topic: &TopicRef) -> usize {
    let image = shard.local_image();
    let found = match topic {
        TopicRef::Name(name) => image.topic(name),
        TopicRef::Id(id) => image.topic_by_id(*id),
    };
    found.map_or(0, |topic| topic.partitions.len())
}

/// Either a name or an id. With both, nobody knows which is meant.
fn read(topic: DeleteTopicStateView<'_>) -> Result<TopicRef, Refusal> {
    let id = TopicId(topic.topic_id);
    match topic.name {
        Some(name) if id == TopicId::ZERO => Ok(TopicRef::Name(name.to_owned())),
        None if id != TopicId::ZERO => Ok(TopicRef::Id(id)),
        _ => Err(Refusal::new(
            ErrorCode::InvalidRequest,
            "Name a topic by its name or by its id, not by both.",
        )),
    }
}

fn respond(
    request: &Request,
    asked: &[Result<TopicRef, Refusal>],
    deleted: Vec<Result<DeletedTopic, Refusal>>,
) -> Step {
    let view = RequestView::decode(request.body(), request.version).expect("decoded before");
    let mut states = view.topics.iter();
    let mut deleted = deleted.into_iter();
    let entries = asked.iter().map(|asked| {
        let state = states.next();
        match asked {
            Ok(topic) => entry(topic, deleted.next().unwrap_or_else(|| Err(unanswered()))),
            Err(refusal) => {
                let id = state.map_or(TopicId::ZERO, |state| TopicId(state.topic_id));
                refused(refusal, state.and_then(|state| state.name), id)
            }
        }
    });
    let mut responses: Vec<DeletableTopicResult<'_>> = entries.collect();
    let mut seen = BTreeSet::new();
    // A topic that comes twice is refused, and that is told once.
    responses.retain(|topic| seen.insert((topic.name.clone(), topic.topic_id)));
    Step::answer(request, &Response { responses, ..Response::default() })
}

fn unanswered() -> Refusal {
    Refusal::new(ErrorCode::UnknownServerError, "The controller gave no answer for this topic.")
}

fn entry(asked: &TopicRef, deleted: Result<DeletedTopic, Refusal>) -> DeletableTopicResult<'static> {
    match (asked, deleted) {
        (_, Ok(topic)) => {
            DeletableTopicResult { name: Some(topic.name.into()), topic_id: topic.id.0, ..Default::default() }
        }
        (TopicRef::Name(name), Err(refusal)) => refused(&refusal, Some(name), TopicId::ZERO),
        (TopicRef::Id(id), Err(refusal)) => refused(&refusal, None, *id),
    }
}

fn refused(refusal: &Refusal, name: Option<&str>, id: TopicId) -> DeletableTopicResult<'static> {
    DeletableTopicResult {
        name: name.map(|name| name.to_owned().into()),
        topic_id: id.0,
        error_code: refusal.code.code(),
        error_message: Some(refusal.message.clone().into()),
    }
}
