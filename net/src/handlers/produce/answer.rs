//! The answer to a produce: one entry for each partition of the request, in its order.

use model::{ErrorCode, Offset, Timestamp, TopicPartition};

use crate::{
    ask::Produced,
    handlers::leaders::{LeaderEndpoint, Leaders},
    wire::{
        Uuid,
        messages::produce::{
            BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceDataView,
            PartitionProduceResponse, Response, TopicProduceDataView, TopicProduceResponse,
        },
    },
};

/// One topic of the request, as it is named in the answer, and its partitions by index.
#[derive(Debug)]
pub(super) struct Topic {
    name: String,
    id: Uuid,
    pub(super) parts: Vec<(i32, Part)>,
}

impl Topic {
    /// `check` says what becomes of the records of a partition.
    pub(super) fn of(asked: &TopicProduceDataView<'_>, mut check: impl FnMut(i32, &[u8]) -> Part) -> Self {
        let part = |partition: PartitionProduceDataView<'_>| {
            (partition.index, check(partition.index, partition.records.unwrap_or_default()))
        };
        let parts = asked.partition_data.iter().map(part).collect();
        Self { name: asked.name.to_owned(), id: asked.topic_id, parts }
    }
}

/// One partition of the request.
#[derive(Clone, Debug)]
pub(super) enum Part {
    Refused(Refused),
    /// Its owner answers.
    Sent(TopicPartition),
}

/// Why a batch did not even reach its owner.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    pub(super) code: ErrorCode,
    pub(super) message: Option<String>,
    /// Records by their place in the batch, and what is wrong with each.
    pub(super) records: Vec<(i32, String)>,
}

impl Refused {
    pub(super) fn code(code: ErrorCode) -> Self {
        Self { code, message: None, records: Vec::new() }
    }
}

impl Part {
    /// What the answer says without a word from an owner. One that never answers is gone, and so is the process soon.
    pub(super) fn produced_at_once(&self) -> Produced {
        let code = match self {
            Self::Refused(refused) => refused.code,
            Self::Sent(_) => ErrorCode::NotLeaderOrFollower,
        };
        let (base_offset, log_append_time, log_start) = (Offset::NONE, Timestamp::NONE, Offset::NONE);
        Produced { code, base_offset, log_append_time, log_start }
    }
}

/// `leader_of` gives leader and epoch as the metadata has them, for clients that asked the wrong broker.
pub(super) fn answer<'a>(
    topics: &'a [Topic],
    produced: &[Produced],
    mut leader_of: impl FnMut(TopicPartition) -> Option<(i32, i32)>,
) -> Response<'a> {
    let mut produced = produced.iter();
    let mut responses = Vec::with_capacity(topics.len());
    for topic in topics {
        let entries = topic.parts.iter().zip(&mut produced);
        let partition_responses =
            entries.map(|((index, part), produced)| entry(*index, part, produced, &mut leader_of)).collect();
        let (name, topic_id) = ((&*topic.name).into(), topic.id);
        responses.push(TopicProduceResponse { name, topic_id, partition_responses });
    }
    Response { responses, ..Response::default() }
}

fn entry<'a>(
    index: i32,
    part: &'a Part,
    produced: &Produced,
    leader_of: &mut impl FnMut(TopicPartition) -> Option<(i32, i32)>,
) -> PartitionProduceResponse<'a> {
    let mut entry = PartitionProduceResponse {
        index,
        error_code: produced.code.code(),
        base_offset: produced.base_offset.0,
        log_append_time_ms: produced.log_append_time.0,
        log_start_offset: produced.log_start.0,
        ..Default::default()
    };
    match part {
        Part::Refused(refused) => {
            entry.error_message = refused.message.as_deref().map(Into::into);
            entry.record_errors = refused.records.iter().map(record_error).collect();
        }
        Part::Sent(id) if Leaders::are_wanted(produced.code) => {
            let leader =
                leader_of(*id).map(|(leader_id, leader_epoch)| LeaderIdAndEpoch { leader_id, leader_epoch });
            entry.current_leader = leader.unwrap_or_default();
        }
        Part::Sent(_) => {}
    }
    entry
}

fn record_error((batch_index, text): &(i32, String)) -> BatchIndexAndErrorMessage<'_> {
    BatchIndexAndErrorMessage { batch_index: *batch_index, batch_index_error_message: Some(text.into()) }
}

pub(super) fn node_endpoint(leader: LeaderEndpoint) -> NodeEndpoint<'static> {
    let LeaderEndpoint { id, host, port, rack } = leader;
    NodeEndpoint { node_id: id, host: host.into(), port, rack: rack.map(Into::into) }
}
