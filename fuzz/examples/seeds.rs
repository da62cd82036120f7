//! Writes the seeds of the corpus: inputs that get far, from which a fuzzer goes on. Everything is deterministic, so a
//! run without a change leaves no difference: `cargo run --example seeds`. Inputs with other names were found by fuzzers
//! and stay.

use std::{fs, path::Path};

use coordinator::{
    ConfigResource, MetadataRecord,
    raft::{Body, Message, Position, codec},
    metadata::{
        BrokerRecord, ClientQuotaRecord, ConfigRecord, Endpoint, FeatureLevelRecord, PartitionRecord,
        ProducerIdsRecord, QuotaEntity, QuotaName, RemoveTopicRecord, SecurityProtocol, TopicRecord,
        record::NoOpRecord,
    },
};
use model::{BatchView, BrokerId, LeaderEpoch, PartitionIndex, ProducerId, TopicId};
use tailrace_fuzz::{index_files, recovery::image as op};
use wire_support::{Random, SIDES, sample::Sampler, schema};

#[path = "../../net/tests/wire_support/mod.rs"]
mod wire_support;

fn main() {
    requests();
    batches();
    directories();
    files();
    metadata();
    consensus();
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn seed(target: &str, name: &str, bytes: &[u8]) {
    let dir = root().join("corpus").join(target);
    fs::create_dir_all(&dir).expect("the corpus can be written");
    fs::write(dir.join(format!("seed-{name}")), bytes).expect("the corpus can be written");
}

fn golden(path: &str) -> Vec<u8> {
    let path = root().join("../engine/tests/golden").join(path);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Of each API the first and the last version, and the first with compact lengths: requests, and answers behind the
/// header of a request.
fn requests() {
    let mut names: Vec<_> = fs::read_dir(root().join("../net/schema"))
        .expect("the schemas are there")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "schema"))
        .collect();
    names.sort();
    for path in names {
        let module = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).expect("a readable schema");
        let api = schema::parse(&module, &text).expect("a schema that makes sense");
        let mut versions = vec![api.versions.from, api.versions.to, api.flexible_from];
        versions.retain(|v| (api.versions.from..=api.versions.to).contains(v));
        versions.sort();
        versions.dedup();
        for version in versions {
            let flexible = version >= api.flexible_from;
            let mut frame = vec![];
            frame.extend(api.key.to_be_bytes());
            frame.extend(version.to_be_bytes());
            frame.extend([0, 0, 0, 7, 0, 1, b'c']);
            frame.extend(flexible.then_some(0));
            for side in SIDES {
                let random = Random(api.key as u64 * 1000 + version as u64);
                let mut sampler = Sampler { api: &api, version, random, unknown_tags: true };
                let body = sampler.message(side).bytes;
                if body.len() < 1500 {
                    seed(
                        "request_decoder",
                        &format!("{module}-{version}-{side:?}").to_lowercase(),
                        &[frame.clone(), body].concat(),
                    );
                }
            }
        }
    }
}

fn batches() {
    let clients = ["java", "kcat", "python"];
    let codecs = ["none", "gzip", "snappy", "lz4", "zstd"];
    for (client, codec) in clients.iter().flat_map(|client| codecs.map(|codec| (client, codec))) {
        first_batches(
            "record_batch",
            &format!("{client}-{codec}"),
            &golden(&format!("{client}-{codec}-0/00000000000000000000.log")),
            1,
        );
    }
    first_batches("record_batch", "transactional", &golden("txn-0/00000000000000000000.log"), 4);
    first_batches("record_batch", "idempotent", &golden("idempotent-0/00000000000000000000.log"), 2);
    first_batches("record_batch", "stamped", &golden("stamped-0/00000000000000000000.log"), 1);
}

/// Each of the first batches under the flags that lead to different rules.
fn first_batches(target: &str, name: &str, log: &[u8], count: usize) {
    let mut rest = log;
    for n in 0..count {
        let Ok(view) = BatchView::check(rest) else { return };
        let mut batch = view.bytes().to_vec();
        rest = &rest[batch.len()..];
        // As a client sends it.
        batch[..8].fill(0);
        if batch.len() < 3000 {
            for flags in [0x00, 0x0b] {
                seed(target, &format!("{name}-{n}-{flags:02x}"), &[&[flags], &batch[..]].concat());
            }
            // A bare payload for the decompressors.
            seed(target, &format!("{name}-{n}-payload"), &[&[1], view.payload()].concat());
        }
    }
}

fn files() {
    let segment = "idempotent-0/00000000000000000012";
    let plain = "plain-0/00000000000000000000";
    seed("index_files", "index", &kind(0, &golden(&format!("{plain}.index"))));
    seed(
        "index_files",
        "index-preallocated",
        &kind(0, &[&golden(&format!("{plain}.index"))[..], &[0; 32]].concat()),
    );
    seed("index_files", "timeindex", &kind(1, &golden(&format!("{plain}.timeindex"))));
    seed("index_files", "snapshot", &kind(2, &golden(&format!("{segment}.snapshot"))));
    let snapshot = golden("txn-0/00000000000000000003.snapshot");
    assert_eq!(index_files::sealed_snapshot(&snapshot[6..]), snapshot);
    seed("index_files", "snapshot-sealed", &kind(3, &snapshot[6..]));
    for name in
        ["recovery-point-offset-checkpoint", "replication-offset-checkpoint", "log-start-offset-checkpoint"]
    {
        seed("index_files", name, &kind(4, &golden(name)));
    }
    seed("index_files", "epochs", &kind(5, &golden("epochs-0/leader-epoch-checkpoint")));
    seed("index_files", "meta-properties", &kind(6, &golden("meta.properties")));
    seed("index_files", "partition-metadata", &kind(6, &golden("plain-0/partition.metadata")));
    seed("index_files", "escapes", &kind(6, b"a\\u00e9\\\n  b = \\t\\uD83D\\uDE00\n! no\r\nc:d e\nf\n"));
    for name in [
        "00000000000000000012.log",
        "00000000000000000012.timeindex.cleaned",
        "my-logs-12",
        "a.b-3.0a1b2c3d4e5f60718293a4b5c6d7e8f9-delete",
    ] {
        seed("index_files", &format!("name-{}", name.len()), &kind(7, name.as_bytes()));
    }
}

fn kind(kind: u8, bytes: &[u8]) -> Vec<u8> {
    [&[kind], bytes].concat()
}

/// Programs for `recovery::image`: a history each that a broker may have had, and some that none has.
fn directories() {
    const BATCH: [u8; 5] = [op::BATCH, 0, 1, 20, 0];
    const PLAIN_FRAME: [u8; 4] = [op::FRAME, 0, 0, 0];
    let tail = [op::SUPERBLOCK, 0, 0, op::HERE];
    let commit = |how: u8| [&BATCH[..], &[op::INLINE, 0, how], &PLAIN_FRAME].concat();
    let batch = BATCH.to_vec();
    let run = |parts: &[&[u8]]| parts.concat();
    seed("recovery", "empty", &[]);
    seed("recovery", "journal-only", &run(&[&tail, &commit(0), &commit(0), &commit(0)]));
    seed(
        "recovery",
        "destaged-in-part",
        &run(&[&tail, &commit(op::OTHER_PLACE), &commit(op::OTHER_PLACE), &commit(0)]),
    );
    seed(
        "recovery",
        "torn-tail",
        &run(&[&tail, &commit(0), &batch, &[op::INLINE, 0, 0, op::FRAME, 0, 0, op::TORN]]),
    );
    seed(
        "recovery",
        "wound",
        &run(&[&tail, &commit(0), &batch, &[op::INLINE, 0, 0, op::FRAME, 0, 0, op::BAD_CRC], &commit(0)]),
    );
    seed(
        "recovery",
        "missing-frame",
        &run(&[&tail, &commit(0), &batch, &[op::INLINE, 0, 0, op::FRAME, 0, 0, op::MISSING], &commit(0)]),
    );
    seed(
        "recovery",
        "old-life",
        &run(&[&batch, &[op::INLINE, 0, 0, op::FRAME, 0, 0, op::BAD_SALT], &tail, &commit(0)]),
    );
    let extent = |how: u8| [&BATCH[..], &BATCH, &BATCH, &[op::EXTENT, 0, how], &PLAIN_FRAME].concat();
    seed("recovery", "extent", &run(&[&tail, &commit(0), &extent(0), &commit(0)]));
    seed("recovery", "extent-never-came", &run(&[&tail, &commit(0), &extent(op::OTHER_PLACE)]));
    seed("recovery", "extent-lost", &run(&[&tail, &commit(0), &extent(op::OTHER_PLACE), &commit(0)]));
    let stored = [&BATCH[..], &BATCH, &BATCH, &[op::STORE]].concat();
    seed(
        "recovery",
        "recovery-point",
        &run(&[&stored, &[op::POINT, 0], &tail, &commit(0), &[op::ZEROS, 64]]),
    );
    seed("recovery", "point-beyond-the-end", &run(&[&stored, &[op::POINT, 4], &tail, &commit(0)]));
    seed(
        "recovery",
        "point-within-a-run",
        &run(&[&stored, &tail, &commit(op::OTHER_PLACE), &[op::POINT, 254]]),
    );
    seed(
        "recovery",
        "rolled",
        &run(&[&stored, &[op::ROLL, 0], &tail, &commit(0), &[op::ROLL, 0], &commit(0), &commit(0)]),
    );
    seed("recovery", "gap-between-segments", &run(&[&stored, &[op::ROLL, 5], &stored, &tail]));
    seed(
        "recovery",
        "log-start",
        &run(&[&stored, &[op::ROLL, 0], &stored, &[op::START, 253], &tail, &commit(0)]),
    );
    seed(
        "recovery",
        "two-logs",
        &run(&[
            &tail,
            &batch,
            &[op::INLINE, 0, 0, op::PARTITION, 1],
            &batch,
            &[op::INLINE, 0, 0],
            &PLAIN_FRAME,
            &commit(0),
        ]),
    );
    seed("recovery", "two-journals", &run(&[&tail, &commit(0), &[op::JOURNAL, 1], &tail, &commit(0)]));
    let wrapped = [&BATCH[..], &[op::INLINE, 0, 0, op::FRAME, 0, 0, op::WRAP]].concat();
    seed("recovery", "wrapped", &run(&[&tail, &commit(0), &commit(0), &tail, &commit(0), &wrapped]));
    seed("recovery", "bad-superblock", &run(&[&commit(0), &[op::SUPERBLOCK, 0, 0, op::HERE | op::BAD_CRC]]));
    seed("recovery", "bad-batch", &run(&[&stored, &[op::BATCH, 0, 1, 20, op::BAD_CRC, op::STORE], &tail]));
    seed("recovery", "offsets-go-back", &run(&[&stored, &[op::BATCH, 250, 1, 20, 0, op::STORE], &tail]));
    seed(
        "recovery",
        "producers",
        &run(&[
            &tail,
            &[op::BATCH, 0, 1, 0, op::OTHER_PLACE, op::BATCH, 0, 1, 2, op::OTHER_PLACE],
            &[op::INLINE, 0, 0],
            &PLAIN_FRAME,
        ]),
    );
    let put = |file: u8, bytes: &[u8]| {
        [&[op::PUT, file, 0, 0, 0, 0, (bytes.len() >> 8) as u8, bytes.len() as u8], bytes].concat()
    };
    let index = golden("plain-0/00000000000000000000.index");
    let times = golden("plain-0/00000000000000000000.timeindex");
    seed(
        "recovery",
        "foreign-indexes",
        &run(&[&stored, &put(1, &index), &put(2, &times), &put(4, b"0\n1\n0 0\n"), &tail, &commit(0)]),
    );
    let log = golden("plain-0/00000000000000000000.log");
    seed(
        "recovery",
        "kafkas-own",
        &run(&[&put(0, &log[..log.len().min(2000)]), &put(1, &index), &put(2, &times)]),
    );
    let last = i64::MAX - 3;
    seed(
        "recovery",
        "end-of-offsets",
        &run(&[&[op::NEXT], &last.to_be_bytes(), &[op::ROLL, 0], &stored, &tail, &commit(0)]),
    );
}

/// What happens to one node of three: an election that it wins, one that it loses, entries that follow, and as bytes.
fn consensus() {
    const TICK: [u8; 2] = [0, 255];
    const PERSISTED: [u8; 2] = [3, 0];
    const PROPOSE: [u8; 3] = [2, 0, 1];
    // kind, random, from, epoch, round, body, and what that has
    let vote_answers: &[u8] = &[4, 0, 2, 0, 0, 1, 4, 0, 2, 0, 0, 3];
    let appended: &[u8] = &[4, 0, 2, 0, 1, 6, 3, 0];
    let wins = [&TICK, &TICK, vote_answers, &PROPOSE, &PERSISTED, &PERSISTED, appended, &PROPOSE].concat();
    seed("consensus_messages", "wins", &wins);
    let append: &[u8] = &[4, 0, 2, 1, 1, 4, 0, 0, 2, 1, 0, 1, 20, 1];
    let follows = [append, &PERSISTED, append, &[4, 0, 3, 1, 1, 4, 0, 0, 1, 2, 0, 1], &PERSISTED].concat();
    seed("consensus_messages", "follows", &follows);
    let message = codec::encode(&Message {
        from: BrokerId(2),
        to: BrokerId(1),
        epoch: LeaderEpoch(1),
        body: Body::Vote { end: Position::default(), transfer: true },
    });
    let length = u16::try_from(message.len()).expect("it is small").to_be_bytes();
    seed("consensus_messages", "bytes", &[&[1, 0], &length[..], &message].concat());
}

fn metadata() {
    let id = TopicId([7; 16]);
    let partition = |index: i32, leader_epoch: i32| {
        MetadataRecord::Partition(PartitionRecord {
            topic: id,
            index: PartitionIndex(index),
            leader: (leader_epoch > 0).then_some(BrokerId(1)),
            leader_epoch: LeaderEpoch(leader_epoch),
            replicas: vec![BrokerId(1), BrokerId(2)],
            isr: vec![BrokerId(1)],
            partition_epoch: leader_epoch,
        })
    };
    let config = |resource: ConfigResource, value: Option<&str>| {
        MetadataRecord::Config(ConfigRecord {
            resource,
            key: "retention.ms".into(),
            value: value.map(Into::into),
        })
    };
    let quota = |entity: QuotaEntity, value: Option<f64>| {
        let (key, value) = ("producer_byte_rate".into(), value.map(f64::to_bits));
        MetadataRecord::ClientQuota(ClientQuotaRecord { entity, key, value })
    };
    let topic = MetadataRecord::Topic(TopicRecord { id, name: "my.logs".into() });
    let endpoint = Endpoint {
        listener: "PLAINTEXT".into(),
        protocol: SecurityProtocol::Plaintext,
        host: "a.example".into(),
        port: 9092,
    };
    let broker = |fenced| {
        let (rack, endpoints) = (Some("r1".into()), vec![endpoint.clone()]);
        MetadataRecord::Broker(BrokerRecord {
            id: BrokerId(1),
            incarnation: [3; 16],
            rack,
            endpoints,
            fenced,
        })
    };
    let all = [
        MetadataRecord::NoOp(NoOpRecord {}),
        broker(true),
        broker(false),
        MetadataRecord::FeatureLevel(FeatureLevelRecord { name: "metadata.version".into(), level: 25 }),
        topic.clone(),
        partition(0, 1),
        partition(1, 0),
        partition(0, 2),
        config(ConfigResource::Topic("my.logs".into()), Some("1000")),
        config(ConfigResource::DefaultBroker, Some("2000")),
        config(ConfigResource::Broker(BrokerId(1)), None),
        config(ConfigResource::Group("g".into()), Some("3")),
        MetadataRecord::ProducerIds(ProducerIdsRecord { next: ProducerId(1000) }),
        MetadataRecord::RemoveTopic(RemoveTopicRecord { id }),
        quota(QuotaEntity::User(QuotaName::Default), Some(2048.0)),
        quota(QuotaEntity::UserClientId(QuotaName::Named("u".into()), QuotaName::Default), Some(1024.0)),
        quota(QuotaEntity::User(QuotaName::Default), None),
    ];
    for (n, record) in all.iter().enumerate() {
        seed(
            "metadata_records",
            &format!("{n:02}-kind-{}", record.kind()),
            &row(std::slice::from_ref(record)),
        );
    }
    seed("metadata_records", "life", &row(&all));
    seed("metadata_records", "topic-twice", &row(&[topic.clone(), topic, partition(1, 1), partition(0, 1)]));
}

fn row(records: &[MetadataRecord]) -> Vec<u8> {
    let mut row = vec![];
    for record in records {
        let bytes = record.encode();
        row.extend((bytes.len() as u16).to_be_bytes());
        row.extend(bytes);
    }
    row
}
