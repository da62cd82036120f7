//! What one shard says at a scrape: all its counts, and what it holds. Many partitions take a while, so it yields.

use std::{rc::Rc, sync::Arc};

use coordinator::{Image, metadata::Topic};
use engine::{Disk, DiskFigures, StoreFigures};
use model::{PartitionIndex, TopicPartition};
use replication::{Partition, Traffic};

use super::{
    families::Family,
    samples::{Label, Samples, Snapshot},
};
use crate::shard::Shard;

/// Takes a snapshot whenever shard 0 asks for one, for ever. One pump a shard, in the background.
pub(crate) async fn run_snapshots<D: Disk>(shard: Rc<Shard<D>>) {
    loop {
        let asked = shard.scrapes().asked().await;
        let snapshot = take(&shard).await;
        asked.answer(snapshot);
    }
}

pub(crate) async fn take<D: Disk>(shard: &Shard<D>) -> Snapshot {
    let mut samples = Samples::default();
    requests(shard, &mut samples);
    connections(shard, &mut samples);
    waits(shard, &mut samples);
    store(&shard.store().figures(), &mut samples);
    rt::yield_if_needed().await;
    let tail_bytes = partitions(shard, &mut samples).await;
    memory(shard, tail_bytes, &mut samples);
    shown_partitions(shard, &mut samples).await;
    let most = usize::try_from(shard.config().metrics_group_offsets_max).unwrap_or(0);
    let (committed, committed_left_out) = shard.owner().groups().tell(&mut samples, most).await;
    Snapshot { samples, committed, committed_left_out }
}

fn requests<D: Disk>(shard: &Shard<D>, samples: &mut Samples) {
    let metrics = shard.metrics();
    for (api, count) in metrics.requests() {
        samples.whole(Family::Requests, [api.name().into()], count);
    }
    for (api, spread) in metrics.total_times() {
        samples.spread(Family::TotalTime, [api.name().into()], spread);
    }
    for ((api, code), count) in metrics.errors() {
        samples.whole(Family::Errors, [api.name().into(), Label::Text(error_name(code))], count);
    }
    for (api, spread) in shard.owner().wait_times() {
        samples.spread(Family::RemoteTime, [api.into()], spread);
    }
}

/// As Kafka writes it: `NOT_LEADER_OR_FOLLOWER`.
fn error_name(code: i16) -> Arc<str> {
    let Some(known) = model::ErrorCode::from_code(code) else { return code.to_string().into() };
    let mut name = String::new();
    for c in format!("{known:?}").chars() {
        if c.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(c.to_ascii_uppercase());
    }
    name.into()
}

fn connections<D: Disk>(shard: &Shard<D>, samples: &mut Samples) {
    let metrics = shard.metrics();
    samples.one(Family::Connections, metrics.connections());
    samples.one(Family::ConnectionsOpened, metrics.connections_opened.value());
    samples.one(Family::ConnectionsClosed, metrics.connections_closed.value());
    samples.one(Family::BytesReceived, metrics.bytes_in.value());
    samples.one(Family::BytesSent, metrics.bytes_out.value());
    for (reason, count) in [
        ("limit", &metrics.connections_refused),
        ("malformed", &metrics.connections_malformed),
        ("stuck", &metrics.connections_stuck),
    ] {
        samples.whole(Family::ConnectionsRejected, [reason.into()], count.value());
    }
}

fn waits<D: Disk>(shard: &Shard<D>, samples: &mut Samples) {
    let (produces, fetches) = shard.owner().parked_counts();
    samples.whole(Family::PurgatorySize, ["Produce".into()], produces as u64);
    samples.whole(Family::PurgatorySize, ["Fetch".into()], fetches as u64);
    let sessions = shard.sessions.borrow();
    samples.one(Family::FetchSessions, sessions.len() as u64);
    samples.one(Family::FetchSessionPartitions, sessions.partition_count() as u64);
    samples.one(Family::Shards, 1);
    samples.one(Family::ShardsWithoutRoom, u64::from(!shard.has_room()));
}

fn store(figures: &StoreFigures, samples: &mut Samples) {
    samples.spread(Family::CommitPartitions, [], figures.commit_logs.clone());
    samples.spread(Family::CommitBytes, [], figures.commit_bytes.clone());
    samples.whole(Family::CommittedBytes, ["journal".into()], figures.inline_bytes);
    samples.whole(Family::CommittedBytes, ["segment".into()], figures.extent_bytes);
    samples.whole(Family::SegmentBytes, ["destage".into()], figures.destaged_bytes);
    samples.whole(Family::SegmentBytes, ["commit".into()], figures.bypassed_bytes);
    samples.one(Family::JournalFrames, figures.journal_frames);
    samples.one(Family::JournalLive, figures.journal_live_bytes);
    samples.one(Family::JournalCapacity, figures.journal_capacity_bytes);
    samples.one(Family::Checkpoints, figures.checkpoints);
    samples.one(Family::UnsyncedPartitions, figures.unsynced_logs as u64);
    samples.whole(Family::CacheReads, ["hit".into()], figures.cache_hits);
    samples.whole(Family::CacheReads, ["miss".into()], figures.cache_misses);
    samples.whole(Family::CacheReads, ["ahead".into()], figures.cache_read_ahead);
    samples.one(Family::DiskFull, u64::from(figures.disk_full));
    if let Some(disk_figures) = &figures.disk {
        disk(disk_figures, samples);
    }
}

fn disk(figures: &DiskFigures, samples: &mut Samples) {
    for (operation, spread) in [
        ("read", &figures.reads),
        ("write", &figures.writes),
        ("durable_write", &figures.durable_writes),
        ("flush", &figures.flushes),
    ] {
        samples.spread(Family::DiskOperations, [operation.into()], spread.clone());
    }
    samples.one(Family::DiskReadBytes, figures.read_bytes);
    samples.one(Family::DiskWrittenBytes, figures.written_bytes);
    samples.one(Family::RingSubmits, figures.ring_submits);
    samples.one(Family::RingInFlight, figures.ring_in_flight as u64);
}

/// Counts over all partitions of the shard; answers the memory that their newest bytes take. The metadata log is no
/// partition of Kafka's metrics.
async fn partitions<D: Disk>(shard: &Shard<D>, samples: &mut Samples) -> usize {
    let failed = shard.store().failure().is_some();
    let (mut count, mut leaders, mut offline, mut tail_bytes) = (0, 0, 0, 0);
    let mut traffic = shard.table().departed_traffic();
    for partition in shard.table().all() {
        tail_bytes += partition.log().tail_bytes();
        if partition.id() != TopicPartition::METADATA {
            count += 1;
            leaders += u64::from(partition.leads());
            offline += u64::from(failed || partition.log().is_offline());
            traffic += partition.traffic();
        }
        rt::yield_if_needed().await;
    }
    samples.one(Family::PartitionCount, count);
    samples.one(Family::LeaderCount, leaders);
    samples.one(Family::OfflineReplicas, offline);
    add_traffic(traffic, [], samples);
    samples.one(Family::BytesOut, shard.metrics().records_bytes_out.value());
    tail_bytes
}

fn add_traffic<const N: usize>(traffic: Traffic, labels: [Label; N], samples: &mut Samples) {
    samples.whole(Family::MessagesIn, labels.clone(), traffic.records_in);
    samples.whole(Family::BytesIn, labels, traffic.bytes_in);
}

fn memory<D: Disk>(shard: &Shard<D>, tail_bytes: usize, samples: &mut Samples) {
    let figures = shard.store().figures();
    // What is neither of the log's end nor in the cache: read for an answer that is still on its way, or being read.
    let held = tail_bytes + figures.cache_bytes;
    let by_purpose = [
        ("tail", tail_bytes),
        ("cold_cache", figures.cache_bytes),
        ("sending", figures.page_bytes_in_use.saturating_sub(held)),
        ("journal", figures.journal_page_bytes_mapped),
        ("frames", shard.frames.held_bytes()),
    ];
    for (purpose, bytes) in by_purpose {
        samples.whole(Family::Memory, [purpose.into()], bytes as u64);
    }
    for (state, bytes) in [
        ("in_use", figures.page_bytes_in_use),
        ("mapped", figures.page_bytes_mapped),
        ("max", figures.page_bytes_budget),
    ] {
        samples.whole(Family::PagePool, [state.into()], bytes as u64);
    }
}

/// Topics whose partitions are shown one by one: in order of name, each with all its partitions, as long as there is room
/// for them. All shards choose the same.
pub(super) fn shown_topics(image: &Image, partitions_max: usize) -> impl Iterator<Item = &Arc<Topic>> {
    let mut left = partitions_max;
    image.topics().filter(move |topic| {
        let rest = left.checked_sub(topic.partitions.len());
        left = rest.unwrap_or(left);
        rest.is_some()
    })
}

async fn shown_partitions<D: Disk>(shard: &Shard<D>, samples: &mut Samples) {
    let image = shard.local_image();
    let most = usize::try_from(shard.config().metrics_partitions_max).unwrap_or(0);
    for topic in shown_topics(&image, most) {
        let mut traffic: Option<Traffic> = None;
        for index in (0i32..).take(topic.partitions.len()) {
            let id = TopicPartition::new(topic.id, PartitionIndex(index));
            let Some(partition) = shard.table().find(id) else { continue };
            add_partition(&topic.name, index, &partition, samples);
            *traffic.get_or_insert_default() += partition.traffic();
            rt::yield_if_needed().await;
        }
        // The shard of a connection counts what leaves there, also of partitions that others own.
        let bytes_out = shard.metrics().records_bytes_out_of(topic.id).or(traffic.map(|_| 0));
        if let Some(bytes) = bytes_out {
            samples.whole(Family::BytesOut, [(&topic.name).into()], bytes);
        }
        if let Some(traffic) = traffic {
            add_traffic(traffic, [(&topic.name).into()], samples);
        }
    }
}

fn add_partition<D: Disk>(topic: &Arc<str>, index: i32, partition: &Partition<D>, samples: &mut Samples) {
    let (log, marks) = (partition.log(), partition.watermarks());
    let ends = log.ends();
    for (family, value) in [
        (Family::LogSize, log.bytes()),
        (Family::LogSegments, log.segment_count() as u64),
        (Family::LogStart, ends.start.0.unsigned_abs()),
        (Family::LogEnd, ends.end.0.unsigned_abs()),
        (Family::HighWatermark, marks.high.0.unsigned_abs()),
        (Family::DurableOffset, ends.durable.0.unsigned_abs()),
    ] {
        samples.whole(family, [topic.into(), index.into()], value);
    }
}

#[cfg(test)]
mod tests {
    use coordinator::{
        MetadataRecord,
        metadata::{PartitionRecord, TopicRecord},
    };
    use model::{BrokerId, ErrorCode, LeaderEpoch, Offset, TopicId};

    use super::*;

    #[test]
    fn errors_have_kafkas_names() {
        assert_eq!(&*error_name(ErrorCode::NotLeaderOrFollower.code()), "NOT_LEADER_OR_FOLLOWER");
        assert_eq!(&*error_name(-1), "UNKNOWN_SERVER_ERROR");
        assert_eq!(&*error_name(12_345), "12345");
    }

    fn image(topics: &[(&str, i32)]) -> Image {
        let mut image = Image::new("c");
        for (number, &(name, count)) in (1u8..).zip(topics) {
            let topic = TopicId([number; 16]);
            let mut records = vec![MetadataRecord::Topic(TopicRecord { id: topic, name: name.into() })];
            records.extend((0..count).map(|index| {
                MetadataRecord::Partition(PartitionRecord {
                    topic,
                    index: PartitionIndex(index),
                    leader: Some(BrokerId(1)),
                    leader_epoch: LeaderEpoch(0),
                    replicas: vec![BrokerId(1)],
                    isr: vec![BrokerId(1)],
                    partition_epoch: 0,
                })
            }));
            for record in records {
                let next = Offset(image.offset().0 + 1);
                image.apply(next, &record).unwrap();
            }
        }
        image
    }

    #[test]
    fn topics_are_shown_whole_and_up_to_a_bound() {
        let image = image(&[("d", 1), ("a", 4), ("b", 7), ("c", 2)]);
        let check = |most: usize, expected: &[&str]| {
            let shown: Vec<&str> = shown_topics(&image, most).map(|topic| &*topic.name).collect();
            assert_eq!(shown, expected, "{most}");
        };
        check(14, &["a", "b", "c", "d"]);
        check(13, &["a", "b", "c"]);
        check(10, &["a", "c", "d"]);
        check(4, &["a"]);
        check(1, &["d"]);
        check(0, &[]);
    }
}
