//! DescribeProducers: the idempotent producers that the leader of a partition remembers.
//!
//! Unlike Apache Kafka, a partition that is named twice is answered once: an answer is much larger than its question.

use std::{collections::BTreeSet, rc::Rc};

use engine::{Disk, producers::ActiveProducer};
use model::ErrorCode;

use super::{
    Handled, Step,
    topics::{find_by_name, is_legal_name, too_many},
};
use crate::{
    ask::{Answer, Ask},
    request::Request,
    scatter::Scatter,
    shard::Shard,
    wire::messages::describe_producers::{
        PartitionResponse, ProducerState, RequestView, Response, TopicResponse,
    },
};

type Found = Result<Vec<ActiveProducer>, ErrorCode>;

pub(super) fn handle<D: Disk>(shard: &Rc<Shard<D>>, request: Request) -> Handled {
    let view = RequestView::decode(request.body(), request.version)?;
    if let Some(refused) = too_many(view.topics.iter().map(|topic| topic.partition_indexes.len())) {
        return Ok(refused);
    }
    let image = shard.local_image();
    let mut found: Vec<Option<Found>> = Vec::new();
    let mut parts = Vec::new();
    for (topic, index) in named(&view) {
        match find_by_name(&image, topic, index) {
            Ok(id) => {
                parts.push((found.len(), id, id));
                found.push(None);
            }
            Err(_) if !is_legal_name(topic) => found.push(Some(Err(ErrorCode::InvalidTopicException))),
            Err(code) => found.push(Some(Err(code))),
        }
    }
    let groups = Scatter::new(shard.count(), parts).into_groups();
    let ask = |(owner, ids, places)| (shard.asks().ask(owner, Ask::Producers(ids)), places);
    let asked: Vec<_> = groups.map(ask).collect();
    Ok(Step::wait(async move {
        for (asked, places) in asked {
            if let Some(Answer::Producers(answers)) = asked.await {
                places.gather(answers, &mut found);
            }
        }
        respond(&request, found)
    }))
}

/// Each partition where it is named first.
fn named<'a>(view: &RequestView<'a>) -> Vec<(&'a str, i32)> {
    let mut seen = BTreeSet::new();
    let all = view
        .topics
        .iter()
        .flat_map(|topic| topic.partition_indexes.iter().map(move |index| (topic.name, index)));
    all.filter(|&partition| seen.insert(partition)).collect()
}

fn respond(request: &Request, found: Vec<Option<Found>>) -> Step {
    let view = RequestView::decode(request.body(), request.version).expect("decoded before");
    let mut topics: Vec<TopicResponse<'_>> = Vec::with_capacity(view.topics.len());
    for ((name, index), found) in named(&view).into_iter().zip(found) {
        let partition = entry(index, found.unwrap_or(Err(ErrorCode::NotLeaderOrFollower)));
        match topics.last_mut().filter(|topic| topic.name == name) {
            Some(topic) => topic.partitions.push(partition),
            None => topics.push(TopicResponse { name: name.into(), partitions: vec![partition] }),
        }
    }
    Step::answer(request, &Response { topics, ..Response::default() })
}

fn entry(partition_index: i32, found: Found) -> PartitionResponse<'static> {
    match found {
        Ok(producers) => PartitionResponse {
            partition_index,
            active_producers: producers.iter().map(state).collect(),
            ..PartitionResponse::default()
        },
        Err(code) => PartitionResponse {
            partition_index,
            error_code: code.code(),
            error_message: Some(code.text().into()),
            ..PartitionResponse::default()
        },
    }
}

fn state(producer: &ActiveProducer) -> ProducerState {
    ProducerState {
        producer_id: producer.id.0,
        producer_epoch: producer.epoch.0.into(),
        last_sequence: producer.last_sequence,
        last_timestamp: producer.last_timestamp.0,
        coordinator_epoch: producer.coordinator_epoch,
        current_txn_start_offset: producer.transaction_start.map_or(-1, |offset| offset.0),
    }
}
