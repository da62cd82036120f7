//! The codec: requests read as a handler reads them, with a walk over every partition, and answers written into a
//! buffer that is used again. Requests and answers are of the newest version.
//!
//! A request's records are borrowed and an answer's are holes, so a Produce may well be faster than a copy of it.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use net::wire::{
    RecordsRef, RequestHeader, ResponseBody, Writer,
    messages::{fetch, metadata, produce},
    write_request, write_response,
};

use crate::{ceiling, record_batch::batch};

const PRODUCE_PARTITIONS: usize = 16;
const FETCH_PARTITIONS: usize = 100;
const TOPICS: usize = 100;
const CLIENT: Option<&str> = Some("bench");

pub(crate) fn benches(criterion: &mut Criterion) {
    decode(criterion, "produce", &produce_frame(), walk_produce);
    decode(criterion, "fetch", &fetch_frame(), walk_fetch);
    encode(criterion, "metadata", &metadata_response());
    encode(criterion, "fetch", &fetch_response());
}

fn decode(criterion: &mut Criterion, name: &str, frame: &[u8], walk: impl Fn(&[u8]) -> usize) {
    assert!(walk(frame) > 0);
    let mut group = criterion.benchmark_group("wire_decode");
    group.throughput(Throughput::Bytes(frame.len() as u64));
    group.bench_function(BenchmarkId::new("decode", name), |b| b.iter(|| walk(black_box(frame))));
    ceiling::memcpy(&mut group, name, frame);
    group.finish();
}

fn encode<B: ResponseBody>(criterion: &mut Criterion, name: &str, body: &B) {
    let mut writer = Writer::new();
    let mut write = || {
        writer.clear();
        write_response(black_box(body), *B::VERSIONS.end(), 7, &mut writer);
        black_box(writer.bytes()).len()
    };
    let bytes = write();
    let mut group = criterion.benchmark_group("wire_encode");
    group.throughput(Throughput::Bytes(bytes as u64));
    group.bench_function(BenchmarkId::new("encode", name), |b| b.iter(&mut write));
    ceiling::memcpy(&mut group, name, writer.bytes());
    group.finish();
}

fn walk_produce(frame: &[u8]) -> usize {
    let (header, body) = RequestHeader::decode(frame).expect("a good request");
    let request = produce::RequestView::decode(body, header.api_version).expect("a good request");
    let partitions = request.topic_data.iter().flat_map(|topic| topic.partition_data.iter());
    partitions.map(|partition| partition.records.map_or(0, <[u8]>::len)).sum()
}

fn walk_fetch(frame: &[u8]) -> usize {
    let (header, body) = RequestHeader::decode(frame).expect("a good request");
    let request = fetch::RequestView::decode(body, header.api_version).expect("a good request");
    let partitions = request.topics.iter().flat_map(|topic| topic.partitions.iter());
    partitions.map(|partition| partition.fetch_offset as usize).sum()
}

/// A request without its length, as the connection hands it on.
fn without_length(writer: &Writer) -> Vec<u8> {
    writer.bytes()[4..].to_vec()
}

fn produce_frame() -> Vec<u8> {
    let records = batch(1 << 10);
    let partition = |n| produce::PartitionProduceData { index: n, records: Some(records[..].into()) };
    let topic = produce::TopicProduceData {
        topic_id: [1; 16],
        partition_data: (0..PRODUCE_PARTITIONS as i32).map(partition).collect(),
        ..Default::default()
    };
    let request = produce::Request { acks: -1, topic_data: vec![topic], ..Default::default() };
    let mut writer = Writer::new();
    write_request(&request, *produce::VERSIONS.end(), 7, CLIENT, &mut writer);
    without_length(&writer)
}

fn fetch_frame() -> Vec<u8> {
    let partition = |n| fetch::FetchPartition { partition: n, fetch_offset: 1, ..Default::default() };
    let topic = fetch::FetchTopic {
        topic_id: [1; 16],
        partitions: (0..FETCH_PARTITIONS as i32).map(partition).collect(),
        ..Default::default()
    };
    let request = fetch::Request { topics: vec![topic], ..Default::default() };
    let mut writer = Writer::new();
    write_request(&request, *fetch::VERSIONS.end(), 7, CLIENT, &mut writer);
    without_length(&writer)
}

/// Three partitions a topic, on one of three brokers each.
fn metadata_response() -> metadata::Response<'static> {
    let broker = |n| metadata::MetadataResponseBroker {
        node_id: n,
        host: format!("broker-{n}.example").into(),
        port: 9092,
        rack: None,
    };
    let partition = |n| metadata::MetadataResponsePartition {
        partition_index: n,
        leader_id: n,
        leader_epoch: 1,
        replica_nodes: vec![0, 1, 2],
        isr_nodes: vec![0, 1, 2],
        ..Default::default()
    };
    let topic = |n| metadata::MetadataResponseTopic {
        name: Some(format!("topic-{n}").into()),
        topic_id: [1; 16],
        partitions: (0..3).map(partition).collect(),
        ..Default::default()
    };
    metadata::Response {
        brokers: (0..3).map(broker).collect(),
        cluster_id: Some("cluster".into()),
        controller_id: 1,
        topics: (0..TOPICS).map(topic).collect(),
        ..Default::default()
    }
}

/// All that a fetch answer says besides the records themselves.
fn fetch_response() -> fetch::Response<'static> {
    let partition = |n| fetch::PartitionData {
        partition_index: n,
        high_watermark: 100,
        last_stable_offset: 100,
        log_start_offset: 0,
        records: Some(RecordsRef { bytes: 1 << 20, slot: n as usize }),
        ..Default::default()
    };
    let topic = fetch::FetchableTopicResponse {
        topic_id: [1; 16],
        partitions: (0..FETCH_PARTITIONS as i32).map(partition).collect(),
        ..Default::default()
    };
    fetch::Response { responses: vec![topic], ..Default::default() }
}
