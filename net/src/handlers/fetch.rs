//! Fetch. 4 adds isolation, 5 the log start offset, 7 sessions, 9 the leader epoch check, 10 allows zstd, 11 reads from
//! a replica near by, 12 finds divergence by epoch, 13 names topics by id, 15 to 18 are for followers and new leaders.
//!
//! The partitions are read where they live, one message a shard, and put together in the request's order. While there
//! is less than `min_bytes` one waiter a shard waits for a watermark; there is one deadline, and no polling. Records
//! leave as slices of pages and are never looked at, but for their compression where the client is too old for zstd.
//!
//! A client over its quota gets nothing and is told how long to wait; what was read for it is not counted.
//!
//! Followers do not fetch here: replication has a protocol of its own, so the replica id is not looked at. A follower that
//! is asked answers as far as it knows what is committed, and a leader sends away who stands in the rack of a follower that
//! has what is asked for, if the broker is told to look at racks (KIP-392).

mod answer;
mod gather;
mod near;
mod zstd;

use std::{rc::Rc, time::Duration};

use coordinator::{
    config::CompressionType,
    quotas::{QuotaKind, Rule},
};
use engine::Disk;
use model::{ErrorCode, LeaderEpoch, Offset, TopicId, TopicPartition};
use replication::{Isolation, Serves};

use self::{answer::respond, gather::Gather};
use super::{
    Handled, Step,
    topics::{Named, find_partition, too_many},
};
use crate::{
    ask::{FetchPart, Fetched, Reader},
    quotas::{ClientLimits, charge, charged},
    request::{Head, Peer, Request},
    sessions::{Context, Seen, SessionAsk, TopicKey, Want},
    shard::Shard,
    wire::messages::fetch::{RequestView, Response},
};

/// Bytes of records in one answer, whatever is configured: a frame's length has 31 bits.
const ANSWER_BYTES_MAX: usize = 1 << 30;
/// No long poll lasts longer, whatever the client asks: its connection may be gone, and nobody looks meanwhile.
const WAIT_MAX: Duration = Duration::from_secs(60);
const IDS_FROM: i16 = 13;
/// zstd came with this version: older clients cannot read it.
const ZSTD_FROM: i16 = 10;
/// Who sends less has never heard of replicas that are no leaders.
const ANY_REPLICA_FROM: i16 = 11;

pub(super) fn handle<D: Disk>(shard: &Rc<Shard<D>>, request: Request) -> Handled {
    let view = RequestView::decode(request.body(), request.version)?;
    if let Some(refused) = too_many(view.topics.iter().map(|topic| topic.partitions.len())) {
        return Ok(refused);
    }
    let ask = session_ask(&request, &view);
    let begun = shard.sessions.borrow_mut().begin(ask, shard.clock().now());
    let context = match begun {
        Ok(context) => context,
        Err(code) => {
            let body = Response { error_code: code.code(), ..Response::default() };
            return Ok(Step::answer(&request, &body));
        }
    };
    let quotas = shard.quotas().limits_of(&request);
    let limits = Limits::of(shard, &view, quotas.as_deref());
    let serves = if request.version >= ANY_REPLICA_FROM { Serves::AnyReplica } else { Serves::Leader };
    let reader = Reader { serves, near: near::brokers(shard, &request.peer, view.rack_id) };
    let shard = shard.clone();
    let asker = Asker { head: request.head(), peer: request.peer.clone() };
    // A long poll keeps nothing of the frame.
    drop(request);
    Ok(Step::wait(async move {
        let fetched = fetch(&shard, asker.head, &context, limits, reader).await;
        let limit = quotas.as_ref().and_then(|quotas| quotas.of(QuotaKind::Fetch));
        let Some(limit) = limit.filter(|_| fetched.iter().any(|part| part.bytes > 0)) else {
            return finish(&shard, &asker, &context, fetched);
        };
        let bytes: usize = fetched.iter().map(|part| part.bytes).sum();
        let charged = charged(charge(&shard, limit, bytes as f64, Rule::Withhold)).await;
        let mut step = match charged.granted {
            true => finish(&shard, &asker, &context, fetched),
            false => withhold(&shard, asker.head, &context),
        };
        if let Step::Answer(response) = &mut step {
            response.set_throttle(charged.wait);
        }
        step
    }))
}

/// What of a request is needed up to its end.
struct Asker {
    head: Head,
    peer: Rc<Peer>,
}

/// The client has had too much: nothing, but in its session, which stays as it is (KIP-219).
fn withhold<D: Disk>(shard: &Shard<D>, head: Head, context: &Context) -> Step {
    let body = match shard.sessions.borrow().withhold(context) {
        Ok(session_id) => Response { session_id, ..Response::default() },
        Err(code) => Response { error_code: code.code(), ..Response::default() },
    };
    Step::answer(head, &body)
}

/// How much, how long, and up to where.
#[derive(Clone, Copy, Debug)]
struct Limits {
    bytes_min: usize,
    bytes_max: usize,
    wait: Duration,
    isolation: Isolation,
}

impl Limits {
    fn of<D: Disk>(shard: &Shard<D>, view: &RequestView<'_>, quotas: Option<&ClientLimits>) -> Self {
        let positive = |n: i32| usize::try_from(n).unwrap_or(0);
        let mut bytes_max =
            positive(view.max_bytes).min(positive(shard.config().fetch_max_bytes)).min(ANSWER_BYTES_MAX);
        if let Some(limit) = quotas.and_then(|quotas| quotas.of(QuotaKind::Fetch)) {
            // More would never be within the quota.
            bytes_max = bytes_max.min(limit.terms.at_once() as usize);
        }
        Self {
            // More than fits is never there.
            bytes_min: positive(view.min_bytes).min(bytes_max),
            bytes_max,
            wait: Duration::from_millis(positive(view.max_wait_ms) as u64).min(WAIT_MAX),
            isolation: if view.isolation_level == 1 { Isolation::Committed } else { Isolation::Uncommitted },
        }
    }
}

fn session_ask(request: &Request, view: &RequestView<'_>) -> SessionAsk {
    let uses_ids = request.version >= IDS_FROM;
    let key = |name: &str, id| if uses_ids { TopicKey::Id(TopicId(id)) } else { TopicKey::Name(name.into()) };
    let mut wants = Vec::new();
    for topic in view.topics {
        let topic_key = key(topic.topic, topic.topic_id);
        wants.extend(topic.partitions.iter().map(|partition| Want {
            topic: topic_key.clone(),
            partition: partition.partition,
            leader_epoch: LeaderEpoch(partition.current_leader_epoch),
            offset: Offset(partition.fetch_offset),
            last_epoch: LeaderEpoch(partition.last_fetched_epoch),
            bytes_max: partition.partition_max_bytes,
        }));
    }
    let mut forgotten = Vec::new();
    for topic in view.forgotten_topics_data {
        let topic_key = key(topic.topic, topic.topic_id);
        forgotten.extend(topic.partitions.iter().map(|partition| (topic_key.clone(), partition)));
    }
    SessionAsk { id: view.session_id, epoch: view.session_epoch, uses_ids, wants, forgotten }
}

/// One answer for each want, in order.
async fn fetch<D: Disk>(
    shard: &Rc<Shard<D>>,
    head: Head,
    context: &Context,
    limits: Limits,
    reader: Reader,
) -> Vec<Fetched> {
    let mut fetched: Vec<Option<Fetched>> = Vec::with_capacity(context.wants.len());
    let mut parts: Vec<(usize, TopicPartition, FetchPart)> = Vec::new();
    for (place, want) in context.wants.iter().enumerate() {
        match resolve(shard, head.version, want) {
            Ok(part) => {
                parts.push((place, part.id, part));
                fetched.push(None);
            }
            Err(code) => fetched.push(Some(Fetched::error(code))),
        }
    }
    let hurry = fetched.iter().any(Option::is_some);
    Gather { shard, limits, reader, hurry }.run(parts, &mut fetched).await;
    let gone = || Fetched::error(ErrorCode::NotLeaderOrFollower);
    let mut fetched: Vec<Fetched> = fetched.into_iter().map(|f| f.unwrap_or_else(gone)).collect();
    fit(&mut fetched, limits.bytes_max);
    if head.version < ZSTD_FROM {
        fetched.iter_mut().for_each(zstd::leave_out);
    }
    fetched
}

fn resolve<D: Disk>(shard: &Shard<D>, version: i16, want: &Want) -> Result<FetchPart, ErrorCode> {
    let image = shard.local_image();
    let topic = named(&want.topic).find(&image)?;
    let (id, _) = find_partition(topic, want.partition)?;
    // Told before the first such batch is there, as Apache Kafka does: this client will never get on.
    if version < ZSTD_FROM && shard.topic_config(topic).compression_type == CompressionType::Zstd {
        return Err(ErrorCode::UnsupportedCompressionType);
    }
    Ok(FetchPart {
        id,
        leader_epoch: want.leader_epoch,
        offset: want.offset,
        last_epoch: want.last_epoch,
        bytes_max: usize::try_from(want.bytes_max).unwrap_or(0),
    })
}

fn named(topic: &TopicKey) -> Named<'_> {
    match topic {
        TopicKey::Name(name) => Named::Name(name),
        TopicKey::Id(id) => Named::Id(*id),
    }
}

/// Each shard was given its share of `bytes_max` and one batch in any case. Together that may be too much: later
/// partitions of the request then give way and come with the next fetch. The first that has data always goes out.
fn fit(fetched: &mut [Fetched], bytes_max: usize) {
    let mut bytes = 0;
    for part in fetched {
        if bytes > 0 && bytes + part.bytes > bytes_max {
            part.slices.clear();
            part.bytes = 0;
        }
        bytes += part.bytes;
    }
}

fn finish<D: Disk>(shard: &Shard<D>, asker: &Asker, context: &Context, fetched: Vec<Fetched>) -> Step {
    let seen: Vec<Seen> = fetched
        .iter()
        .map(|part| Seen {
            high: part.high,
            log_start: part.log_start,
            has_records: part.bytes > 0,
            is_urgent: part.is_urgent(),
            is_error: part.code != ErrorCode::None,
        })
        .collect();
    let told = shard.sessions.borrow_mut().finish(context, &seen, shard.clock().now());
    match told {
        Ok(told) => {
            count(shard, context, &fetched);
            respond(shard, asker, context, &told, fetched)
        }
        Err(code) => Step::answer(asker.head, &Response { error_code: code.code(), ..Response::default() }),
    }
}

/// Records count when they leave: what was read and thrown away, or read again after a wait, went to nobody.
fn count<D: Disk>(shard: &Shard<D>, context: &Context, fetched: &[Fetched]) {
    let image = shard.local_image();
    let mut found: Option<(&TopicKey, Option<TopicId>)> = None;
    for (want, part) in context.wants.iter().zip(fetched).filter(|(_, part)| part.bytes > 0) {
        let id = match found {
            Some((key, id)) if *key == want.topic => id,
            _ => named(&want.topic).find(&image).ok().map(|topic| topic.id),
        };
        found = Some((&want.topic, id));
        shard.metrics().records_out(id, part.bytes as u64);
    }
}
