//! Produce. 3 brings batches of magic 2, 5 the log start offset, 7 allows zstd, 8 adds errors per record, 10 the current
//! leader, 12 is for transactions of the second kind, 13 names topics by id. 0 to 2 are listed and refused.
//!
//! Two stages. In the first, which runs before the next request of the connection is read, each batch is checked and
//! handed to its owner, one message a shard; so its place in the log is settled. In the second the answers come in,
//! when the bytes are safe, while later requests are under way. Batches for topics with a codec of their own take longer
//! in the first stage (`recompress`).
//!
//! Unlike Apache Kafka, acks=1 is answered when the record is on stable storage here, not when it is in memory.

mod answer;
mod recompress;

use std::{rc::Rc, time::Duration};

use coordinator::TopicConfig;
use engine::{
    Disk,
    records::{Codec, ProduceError, ProduceRules, validate_produce},
};
use model::{BatchHeader, Compression, ErrorCode, Millis, Timestamp, TopicId};

use self::answer::{Part, Refused, Topic, answer, node_endpoint};
use super::{
    Handled, Step,
    leaders::Leaders,
    topics::{Named, find_partition, is_internal, too_many},
};
use crate::{
    ask::{Acks, Answer, Ask, ProduceAsk, ProducePart, Produced},
    errors::Code,
    mesh::Asked,
    request::{Head, Peer, Request},
    scatter::{Places, Scatter},
    shard::Shard,
    wire::messages::produce::RequestView,
};

/// A compressed batch may unfold to this much where its records are looked at (compacted topics, topics with a codec of
/// their own), or to the largest batch that the topic takes if that is more.
const UNFOLDED_BYTES_MAX: usize = 64 << 20;
/// zstd came with this version: older clients could not read it back.
const ZSTD_FROM: i16 = 7;
const IDS_FROM: i16 = 13;

pub(super) fn handle<D: Disk>(shard: &Rc<Shard<D>>, request: Request) -> Handled {
    let view = RequestView::decode(request.body(), request.version)?;
    if let Some(refused) = too_many(view.topic_data.iter().map(|topic| topic.partition_data.len())) {
        return Ok(refused);
    }
    let acks = match view.acks {
        0 => Acks::None,
        1 => Acks::Leader,
        -1 => Acks::All,
        _ => return Ok(refuse_acks(&request, &view)),
    };
    let terms = Terms {
        head: request.head(),
        peer: request.peer.clone(),
        acks,
        transactional: view.transactional_id.is_some(),
        deadline: shard.clock().now() + Duration::from_millis(view.timeout_ms.max(0) as u64),
        now: shard.clock().wall(),
    };
    let (topics, batches) = Stage { shard, request: &request, terms: &terms }.check(&view);
    if batches.iter().any(|batch| batch.repack.is_some()) {
        return Ok(Step::wait(recompress::run(shard.clone(), terms, topics, batches)));
    }
    let asked = terms.send(shard, batches);
    // The frame, with its records, is let go of here; they are in pages, or on their way to them.
    let ended = finish(shard.clone(), terms, topics, asked);
    Ok(Step::Ordered(Box::pin(ended)))
}

fn refuse_acks(request: &Request, view: &RequestView<'_>) -> Step {
    let refused = || Part::Refused(Refused::code(ErrorCode::InvalidRequiredAcks));
    let topics: Vec<Topic> =
        view.topic_data.iter().map(|topic| Topic::of(&topic, |_, _| refused())).collect();
    let parts = topics.iter().flat_map(|topic| &topic.parts);
    let produced: Vec<Produced> = parts.map(|(_, part)| part.produced_at_once()).collect();
    Step::answer(request, &answer(&topics, &produced, |_| None))
}

/// What a request says of all its batches, and who sent it.
struct Terms {
    head: Head,
    peer: Rc<Peer>,
    acks: Acks,
    transactional: bool,
    deadline: Millis,
    now: Timestamp,
}

/// The first stage.
struct Stage<'a, D: Disk> {
    shard: &'a Rc<Shard<D>>,
    request: &'a Request,
    terms: &'a Terms,
}

/// A batch for its owner.
struct Batch {
    /// In the request.
    place: usize,
    part: ProducePart,
    /// What is still to be done to it, the checks included.
    repack: Option<Repack>,
}

/// For a topic that has a codec of its own.
struct Repack {
    rules: ProduceRules,
    codec: Codec,
}

impl<D: Disk> Stage<'_, D> {
    fn check(&self, view: &RequestView<'_>) -> (Vec<Topic>, Vec<Batch>) {
        let (mut topics, mut batches) = (Vec::with_capacity(view.topic_data.len()), Vec::new());
        let mut place = 0;
        for topic in view.topic_data {
            let named = match self.request.version {
                IDS_FROM.. => Named::Id(TopicId(topic.topic_id)),
                _ => Named::Name(topic.name),
            };
            topics.push(Topic::of(&topic, |index, records| {
                self.shard.metrics().records_bytes_in.add(records.len() as u64);
                let part = match self.check_part(named, index, records) {
                    Ok((part, repack)) => {
                        let id = part.id;
                        batches.push(Batch { place, part, repack });
                        Part::Sent(id)
                    }
                    Err(refused) => Part::Refused(refused),
                };
                place += 1;
                part
            }));
        }
        (topics, batches)
    }

    fn check_part(
        &self,
        named: Named<'_>,
        index: i32,
        records: &[u8],
    ) -> Result<(ProducePart, Option<Repack>), Refused> {
        let image = self.shard.local_image();
        let topic = named.find(&image).map_err(Refused::code)?;
        let (id, _) = find_partition(topic, index).map_err(Refused::code)?;
        if is_internal(&topic.name) {
            return Err(Refused::code(ErrorCode::InvalidTopicException));
        }
        let config = self.shard.topic_config(topic);
        let rules = rules(&config);
        let repack = recompress::codec(&config).map(|codec| Repack { rules, codec });
        if repack.is_none() {
            let header =
                validate_produce(records, &rules, self.terms.now).map_err(|e| Refused::of_batch(&e))?;
            self.terms.admit(&header)?;
        }
        let isr_min =
            if self.terms.acks == Acks::All { config.min_insync_replicas.max(0) as usize } else { 0 };
        Ok((ProducePart { id, batch: self.request.share(records), isr_min }, repack))
    }
}

impl Terms {
    /// What the request says of a batch that is good by itself.
    fn admit(&self, header: &BatchHeader) -> Result<(), Refused> {
        if header.compression() == Ok(Compression::Zstd) && self.head.version < ZSTD_FROM {
            return Err(Refused::code(ErrorCode::UnsupportedCompressionType));
        }
        if header.is_transactional() || self.transactional {
            // No transactional id is known here: InitProducerId hands none out.
            return Err(Refused::code(ErrorCode::InvalidProducerIdMapping));
        }
        Ok(())
    }

    /// One message to each owner, in the order of the request.
    fn send<D: Disk>(&self, shard: &Shard<D>, batches: Vec<Batch>) -> Vec<(Asked<D>, Places)> {
        let ask = |(owner, parts, places)| {
            let ask = Ask::Produce(ProduceAsk { acks: self.acks, deadline: self.deadline, parts });
            (shard.asks().ask(owner, ask), places)
        };
        let batches = batches.into_iter().map(|batch| (batch.place, batch.part.id, batch.part));
        Scatter::new(shard.count(), batches).into_groups().map(ask).collect()
    }
}

/// The second stage.
async fn finish<D: Disk>(
    shard: Rc<Shard<D>>,
    terms: Terms,
    topics: Vec<Topic>,
    asked: Vec<(Asked<D>, Places)>,
) -> Step {
    let mut produced: Vec<Option<Produced>> = vec![None; topics.iter().map(|topic| topic.parts.len()).sum()];
    for (asked, places) in asked {
        if let Some(Answer::Produce(answers)) = asked.await {
            places.gather(answers, &mut produced);
        }
    }
    let parts = topics.iter().flat_map(|topic| &topic.parts);
    let ended = |((_, part), produced): (&(i32, Part), Option<Produced>)| {
        produced.unwrap_or_else(|| part.produced_at_once())
    };
    let produced: Vec<Produced> = parts.zip(produced).map(ended).collect();
    if terms.acks == Acks::None {
        // A producer that waits for no answer learns of an error by the end of the connection.
        return match produced.iter().find(|p| p.code != ErrorCode::None) {
            Some(failed) => Step::Close(format!("a produce with acks=0 failed: {:?}", failed.code)),
            None => Step::Silent,
        };
    }
    let image = shard.local_image();
    let mut leaders = Leaders::default();
    let mut body =
        answer(&topics, &produced, |id| Some(leaders.name(image.partition(id.topic, id.partition)?)));
    body.node_endpoints = leaders.endpoints(&shard, &terms.peer).into_iter().map(node_endpoint).collect();
    Step::answer(terms.head, &body)
}

fn rules(config: &TopicConfig) -> ProduceRules {
    ProduceRules {
        message_bytes_max: config.max_message_bytes.max(0) as usize,
        segment_bytes_max: config.segment_bytes.max(0) as usize,
        timestamp_type: config.message_timestamp_type,
        timestamp_before_max_ms: config.message_timestamp_before_max_ms,
        timestamp_after_max_ms: config.message_timestamp_after_max_ms,
        compacted: config.cleanup_policy.compact,
        walk_records: false,
        decompressed_bytes_max: UNFOLDED_BYTES_MAX.max(config.max_message_bytes.max(0) as usize),
    }
}

impl Refused {
    fn of_batch(error: &ProduceError) -> Self {
        let records = error.record_errors().iter().map(|e| (e.batch_index, e.problem.to_string())).collect();
        Self { code: Code::code(error), message: Some(error.to_string()), records }
    }
}
