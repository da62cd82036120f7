//! Where metadata is decided, on shard 0: one proposal at a time is judged over the present image, its records are
//! appended to the metadata log like any produce, and once they are durable the next image goes to every shard.
//!
//! ```text
//!   proposal -> Controller (pure) -> records -> __cluster_metadata-0 -> durable -> image -> every shard -> answer
//! ```
//! Nobody else appends to that log, and nobody else assumes who does.

use std::{rc::Rc, sync::Arc};

use anyhow::{Context, anyhow};
use coordinator::{
    BrokerConfig, Controller, Image, MetadataRecord, Refusal,
    controller::{RegisterBroker, names::METADATA_TOPIC},
};
use engine::{Disk, LogConfig, SharedLog, Store, index::IndexLimits};
use model::{BrokerId, ErrorCode, LeaderEpoch, Millis, Offset, TopicId, TopicPartition};
use net::{
    Outcome, Proposal, Shard,
    ask::{Acks, Answer, Ask, ProduceAsk, ProducePart},
    control::CONTROL_SHARD,
};
use replication::{Partition, PartitionState};

use super::metadata_log;

/// Opens the metadata log for its new leader, this process.
pub async fn open_log<D: Disk>(store: &Store<D>) -> anyhow::Result<SharedLog<D::File>> {
    let index = IndexLimits { interval_bytes: 4096, index_bytes_max: 10 << 20 };
    let config = LogConfig { segment_bytes: metadata_log::SEGMENT_BYTES, index, ..LogConfig::default() };
    let opened =
        store.open_log(TopicPartition::METADATA, METADATA_TOPIC, config, None, rt::timer::wall()).await;
    let log = opened.context("the metadata log cannot be opened")?;
    log.lead(LeaderEpoch(log.latest_epoch().map_or(0, |epoch| epoch.0 + 1)));
    Ok(log)
}

/// The metadata log as a partition of this shard, so that appending to it and waiting for it is what it is everywhere.
pub fn partition<D: Disk>(broker: BrokerId, log: SharedLog<D::File>) -> Partition<D> {
    let leader_epoch = log.latest_epoch().unwrap_or(LeaderEpoch(0));
    Partition::new(broker, log, &PartitionState { leader: Some(broker), leader_epoch, isr: vec![broker] })
}

/// This broker enters the cluster, under a new incarnation. Before the pumps of the shard run, so it commits by itself.
pub async fn register<D: Disk>(
    store: &Store<D>,
    log: &SharedLog<D::File>,
    image: &Image,
    config: &BrokerConfig,
) -> anyhow::Result<Image> {
    let asked = RegisterBroker::from_config(config, *uuid::Uuid::new_v4().as_bytes(), &host_name());
    let decision = Controller::new(image, &config.with_dynamic(image)).register_broker(&asked);
    decision.answer.map_err(|refusal| anyhow!("this broker cannot register: {}", refusal.message))?;
    if decision.records.is_empty() {
        return Ok(image.clone());
    }
    let now = rt::timer::wall();
    let epoch = log.latest_epoch().unwrap_or(LeaderEpoch(0));
    let batch = metadata_log::batch(&decision.records, now);
    let appended = store.append(log, &batch, epoch, now).context("the metadata log takes no records")?;
    while log.ends().acknowledged < appended.next_offset {
        store.commit().await.map_err(|failed| anyhow!("the metadata log takes no records: {failed}"))?;
    }
    Ok(metadata_log::applied(image, appended.base_offset, &decision.records))
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "localhost".to_owned() } else { name.to_owned() }
}

/// Decides, for ever. One task, on shard 0.
pub async fn run<D: Disk>(shard: Rc<Shard<D>>) {
    let inbox = shard.control().inbox().expect("the control shard has it");
    loop {
        let (proposal, responder) = inbox.next().await;
        responder.answer(carry_out(&shard, proposal).await);
    }
}

async fn carry_out<D: Disk>(shard: &Rc<Shard<D>>, proposal: Proposal) -> Outcome {
    let image = shard.image();
    let (outcome, records) = decide(&image, &shard.config(), proposal, &mut random_id);
    if records.is_empty() {
        return outcome;
    }
    match append(shard, &records).await {
        Err(refusal) => Outcome::Failed(refusal),
        Ok(base) => {
            let next = metadata_log::applied(&image, base, &records);
            shard.images().publish(Arc::new(next)).await;
            outcome
        }
    }
}

/// Returns when the records are durable. There is no deadline: once they are appended they may hold after a restart,
/// so to go on without them would be to decide over an image that is not so.
async fn append<D: Disk>(shard: &Rc<Shard<D>>, records: &[MetadataRecord]) -> Result<Offset, Refusal> {
    let batch = metadata_log::batch(records, shard.clock().wall()).into();
    let part = ProducePart { id: TopicPartition::METADATA, batch, isr_min: 0 };
    let ask = ProduceAsk { acks: Acks::All, deadline: Millis(u64::MAX), parts: vec![part] };
    let code = match shard.asks().ask(CONTROL_SHARD, Ask::Produce(ask)).await {
        Some(Answer::Produce(produced)) => match produced.first() {
            Some(produced) if produced.code == ErrorCode::None => return Ok(produced.base_offset),
            Some(produced) => produced.code,
            None => ErrorCode::UnknownServerError,
        },
        _ => ErrorCode::UnknownServerError,
    };
    tracing::error!(?code, "the metadata log takes no records");
    Err(Refusal::new(code, "The metadata log takes no records now; see the broker's log."))
}

fn random_id() -> TopicId {
    TopicId(*uuid::Uuid::new_v4().as_bytes())
}

/// Pure: the answer, and the records that make it true.
fn decide(
    image: &Image,
    config: &BrokerConfig,
    proposal: Proposal,
    new_id: &mut dyn FnMut() -> TopicId,
) -> (Outcome, Vec<MetadataRecord>) {
    let controller = Controller::new(image, config);
    macro_rules! decided {
        ($outcome:path, $decision:expr) => {{
            let decision = $decision;
            ($outcome(decision.answer), decision.records)
        }};
    }
    match proposal {
        Proposal::CreateTopics { topics, validate_only } => {
            decided!(Outcome::CreateTopics, controller.create_topics(&topics, validate_only, new_id))
        }
        Proposal::DeleteTopics(topics) => decided!(Outcome::DeleteTopics, controller.delete_topics(&topics)),
        Proposal::CreatePartitions { topics, validate_only } => {
            decided!(Outcome::CreatePartitions, controller.create_partitions(&topics, validate_only))
        }
        Proposal::AlterConfigs { requests, validate_only } => {
            decided!(Outcome::AlterConfigs, controller.alter_configs(&requests, validate_only))
        }
        Proposal::ReplaceConfigs { requests, validate_only } => {
            decided!(Outcome::ReplaceConfigs, controller.replace_configs(&requests, validate_only))
        }
        Proposal::AlterClientQuotas { requests, validate_only } => {
            decided!(Outcome::AlterClientQuotas, controller.alter_client_quotas(&requests, validate_only))
        }
        Proposal::ProducerIds => decided!(Outcome::ProducerIds, controller.allocate_producer_ids()),
        Proposal::AutoCreate(names) => auto_create(image, config, &names, new_id),
    }
}

/// Topics one by one, each over an image that has those before it: two names may collide with each other.
fn auto_create(
    image: &Image,
    config: &BrokerConfig,
    names: &[String],
    new_id: &mut dyn FnMut() -> TopicId,
) -> (Outcome, Vec<MetadataRecord>) {
    let mut working = image.clone();
    let (mut answers, mut records) = (Vec::new(), Vec::new());
    for name in names {
        let decision = Controller::new(&working, config).auto_create(name, new_id);
        working = metadata_log::applied(&working, working.offset() + 1, &decision.records);
        answers.push(decision.answer);
        records.extend(decision.records);
    }
    (Outcome::AutoCreate(answers), records)
}

#[cfg(test)]
mod tests {
    use coordinator::controller::{CreateTopic, TopicRef};

    use super::*;

    fn world() -> (Image, BrokerConfig) {
        let config = BrokerConfig::default();
        let asked = RegisterBroker::from_config(&config, [1; 16], "here");
        let image = Image::new("c");
        let records = Controller::new(&image, &config).register_broker(&asked).records;
        (metadata_log::applied(&image, Offset(0), &records), config)
    }

    fn ids() -> impl FnMut() -> TopicId {
        let mut next = 0;
        move || {
            next += 1;
            TopicId([next; 16])
        }
    }

    #[test]
    fn what_is_decided_can_be_applied() {
        let (image, config) = world();
        let mut new_id = ids();
        let topic =
            CreateTopic { name: "a".into(), partitions: 2, replication_factor: 1, ..Default::default() };
        let create = Proposal::CreateTopics { topics: vec![topic], validate_only: false };
        let (outcome, records) = decide(&image, &config, create, &mut new_id);
        let Outcome::CreateTopics(answers) = outcome else { panic!("{outcome:?}") };
        assert_eq!(answers[0].as_ref().unwrap().id, TopicId([1; 16]));
        let image = metadata_log::applied(&image, Offset(10), &records);
        assert_eq!(image.topic("a").unwrap().partitions.len(), 2);
        let delete = Proposal::DeleteTopics(vec![TopicRef::Name("a".into()), TopicRef::Name("b".into())]);
        let (outcome, records) = decide(&image, &config, delete, &mut new_id);
        let Outcome::DeleteTopics(answers) = outcome else { panic!("{outcome:?}") };
        assert!(answers[0].is_ok() && answers[1].is_err());
        let image = metadata_log::applied(&image, Offset(20), &records);
        assert!(image.topic("a").is_none());
    }

    #[test]
    fn topics_that_collide_with_each_other_are_not_both_created() {
        let (image, config) = world();
        let names = ["a.b", "a_b", "c", "c"].map(str::to_owned).to_vec();
        let (outcome, records) = decide(&image, &config, Proposal::AutoCreate(names), &mut ids());
        let Outcome::AutoCreate(answers) = outcome else { panic!("{outcome:?}") };
        assert_eq!(answers.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true, false]);
        let image = metadata_log::applied(&image, Offset(5), &records);
        assert_eq!(image.topics().len(), 2);
    }

    #[test]
    fn producer_ids_never_come_twice() {
        let (image, config) = world();
        let (first, records) = decide(&image, &config, Proposal::ProducerIds, &mut ids());
        let image = metadata_log::applied(&image, Offset(1), &records);
        let (second, _) = decide(&image, &config, Proposal::ProducerIds, &mut ids());
        assert_ne!(first, second);
    }
}
