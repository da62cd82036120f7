//! The answer to a fetch: topics and partitions in the request's order, records as holes in the frame.

use engine::Disk;

use super::{Asker, named};
use crate::{
    ask::Fetched,
    handlers::{
        Step,
        leaders::{LeaderEndpoint, Leaders},
        topics::find_partition,
    },
    response::{self, Slots},
    sessions::{Context, Told, TopicKey, Want},
    shard::Shard,
    wire::messages::fetch::{
        EpochEndOffset, FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint, PartitionData, Response,
    },
};

pub(super) fn respond<D: Disk>(
    shard: &Shard<D>,
    asker: &Asker,
    context: &Context,
    told: &Told,
    fetched: Vec<Fetched>,
) -> Step {
    let mut slots = Slots::default();
    let mut leaders = Leaders::default();
    let mut responses: Vec<FetchableTopicResponse<'_>> = Vec::new();
    let mut last: Option<&TopicKey> = None;
    let named = context.wants.iter().zip(fetched).zip(&told.named).filter(|(_, named)| **named);
    for ((want, part), _) in named {
        // Partitions of one topic side by side share an entry.
        if last != Some(&want.topic) {
            responses.push(topic_entry(&want.topic));
            last = Some(&want.topic);
        }
        let partition = partition_entry(shard, want, part, &mut leaders, &mut slots);
        responses.last_mut().expect("pushed above").partitions.push(partition);
    }
    let node_endpoints = leaders.endpoints(shard, &asker.peer).into_iter().map(node_endpoint).collect();
    let body = Response { session_id: told.session_id, responses, node_endpoints, ..Response::default() };
    Step::Answer(response::Response::with_records(asker.head, &body, slots))
}

fn topic_entry(topic: &TopicKey) -> FetchableTopicResponse<'_> {
    match topic {
        TopicKey::Name(name) => FetchableTopicResponse { topic: (&**name).into(), ..Default::default() },
        TopicKey::Id(id) => FetchableTopicResponse { topic_id: id.0, ..Default::default() },
    }
}

fn partition_entry<D: Disk>(
    shard: &Shard<D>,
    want: &Want,
    part: Fetched,
    leaders: &mut Leaders,
    slots: &mut Slots,
) -> PartitionData {
    let diverging_epoch =
        part.diverging.map(|end| EpochEndOffset { epoch: end.epoch.0, end_offset: end.end_offset.0 });
    let leader = if Leaders::are_wanted(part.code) { current_leader(shard, want, leaders) } else { None };
    PartitionData {
        partition_index: want.partition,
        error_code: part.code.code(),
        high_watermark: part.high.0,
        last_stable_offset: part.last_stable.0,
        log_start_offset: part.log_start.0,
        diverging_epoch: diverging_epoch.unwrap_or_default(),
        current_leader: leader.unwrap_or_default(),
        preferred_read_replica: part.preferred.map_or(-1, |broker| broker.0),
        // Null where transactions do not matter; while there are none, there are no aborted ones either.
        aborted_transactions: None,
        records: Some(slots.put(part.slices)),
        ..Default::default()
    }
}

fn current_leader<D: Disk>(shard: &Shard<D>, want: &Want, leaders: &mut Leaders) -> Option<LeaderIdAndEpoch> {
    let image = shard.local_image();
    let (_, partition) = find_partition(named(&want.topic).find(&image).ok()?, want.partition).ok()?;
    let (leader_id, leader_epoch) = leaders.name(partition);
    Some(LeaderIdAndEpoch { leader_id, leader_epoch })
}

fn node_endpoint(leader: LeaderEndpoint) -> NodeEndpoint<'static> {
    let LeaderEndpoint { id, host, port, rack } = leader;
    NodeEndpoint { node_id: id, host: host.into(), port, rack: rack.map(Into::into) }
}
