use engine::compression::{compress, decompress};
use model::{
    BatchHeader, BrokerId, Compression, ErrorCode, Millis, TimestampType,
    batch::{
        BatchView,
        record::{BatchMeta, Producer, build_batch, write_record},
    },
};

use replication::PartitionState;

use super::world::{Seen, Started, WALL, World, batch, batch_by, code};
use crate::wire::{
    ApiKey,
    messages::produce::{
        BatchIndexAndErrorMessage, PartitionProduceData, PartitionProduceResponse, Request, Response,
        ResponseView, TopicProduceData,
    },
};

fn start(
    world: &World,
    version: i16,
    acks: i16,
    topic: Topic<'_>,
    partitions: &[(i32, Option<&[u8]>)],
) -> Started {
    let data = |(index, records): &(i32, Option<&[u8]>)| PartitionProduceData {
        index: *index,
        records: records.map(|records| records.to_vec().into()),
    };
    let (name, topic_id) = match topic {
        Topic::Name(name) => (name, [0; 16]),
        Topic::Id(id) => ("", id),
    };
    let partition_data = partitions.iter().map(data).collect();
    let topic = TopicProduceData { name: name.into(), topic_id, partition_data };
    world.start(version, &Request { acks, timeout_ms: 1000, topic_data: vec![topic], ..Request::default() })
}

#[derive(Clone, Copy)]
pub(super) enum Topic<'a> {
    Name(&'a str),
    Id([u8; 16]),
}

pub(super) fn produce(world: &mut World, topic: &str, partition: i32, batch: &[u8]) -> i64 {
    let entry = &send(world, 7, -1, Topic::Name(topic), &[(partition, Some(batch))])[0];
    assert_eq!(code(entry.error_code), ErrorCode::None, "{:?}", entry.error_message);
    entry.base_offset
}

fn send(
    world: &mut World,
    version: i16,
    acks: i16,
    topic: Topic<'_>,
    partitions: &[(i32, Option<&[u8]>)],
) -> Vec<PartitionProduceResponse<'static>> {
    let mut started = start(world, version, acks, topic, partitions);
    let seen = world.look(&mut started).expect("an answer");
    entries(&seen, version)
}

fn entries(seen: &Seen, version: i16) -> Vec<PartitionProduceResponse<'static>> {
    let view = ResponseView::decode(seen.body(ApiKey::Produce, version), version).unwrap();
    let response = Response::from(view);
    response.responses.iter().flat_map(|topic| topic.partition_responses.iter().map(owned)).collect()
}

fn owned(entry: &PartitionProduceResponse<'_>) -> PartitionProduceResponse<'static> {
    let text = |text: &Option<std::borrow::Cow<'_, str>>| text.as_ref().map(|text| text.to_string().into());
    let record_error = |error: &BatchIndexAndErrorMessage<'_>| BatchIndexAndErrorMessage {
        batch_index: error.batch_index,
        batch_index_error_message: text(&error.batch_index_error_message),
    };
    PartitionProduceResponse {
        index: entry.index,
        error_code: entry.error_code,
        base_offset: entry.base_offset,
        log_append_time_ms: entry.log_append_time_ms,
        log_start_offset: entry.log_start_offset,
        record_errors: entry.record_errors.iter().map(record_error).collect(),
        error_message: text(&entry.error_message),
        current_leader: entry.current_leader.clone(),
    }
}

#[derive(Clone, Copy)]
struct Shape {
    attributes: i16,
    count: i32,
    timestamp: i64,
    producer: Producer,
}

const PLAIN: Shape = Shape { attributes: 0, count: 1, timestamp: WALL.0, producer: Producer::NONE };

fn shaped(shape: Shape) -> Vec<u8> {
    let mut payload = vec![];
    write_record(&mut payload, 0, 0, None, Some(b"value"), &[]);
    let meta = BatchMeta {
        base_offset: 0,
        leader_epoch: 0,
        attributes: shape.attributes,
        base_timestamp: shape.timestamp,
        max_timestamp: shape.timestamp,
        record_count: shape.count,
        producer: shape.producer,
    };
    build_batch(meta, &payload)
}

#[test]
fn batches_land_one_after_another_in_every_version() {
    for shards in [1, 3] {
        let mut world = World::of(shards);
        let id = world.topic("t", 4, &[]);
        for (n, version) in (3..=13).enumerate() {
            let topic = if version >= 13 { Topic::Id(id.0) } else { Topic::Name("t") };
            let (one, two) = (batch(&["a", "b"]), batch(&["c"]));
            let entries = send(&mut world, version, -1, topic, &[(0, Some(&one)), (3, Some(&two))]);
            let offsets: Vec<_> = entries.iter().map(|e| (e.index, e.error_code, e.base_offset)).collect();
            assert_eq!(offsets, [(0, 0, 2 * n as i64), (3, 0, n as i64)], "version {version}");
            assert_eq!(entries[0].log_append_time_ms, -1);
        }
        assert_eq!(world.partition("t", 0).watermarks().high.0, 22);
    }
}

#[test]
fn what_no_batch_may_be_is_refused() {
    let good = batch(&["a"]);
    let mut flipped = good.clone();
    flipped[68] ^= 1;
    let mut old_magic = good.clone();
    old_magic[16] = 1;
    let keyless = Shape { ..PLAIN };
    let hour = 3_600_000;
    let table: Vec<(&str, Option<Vec<u8>>, ErrorCode)> = vec![
        ("null", None, ErrorCode::InvalidRecord),
        ("none", Some(vec![]), ErrorCode::InvalidRecord),
        ("two", Some([good.clone(), good.clone()].concat()), ErrorCode::InvalidRecord),
        ("old magic", Some(old_magic), ErrorCode::InvalidRecord),
        ("bad checksum", Some(flipped), ErrorCode::CorruptMessage),
        ("cut", Some(good[..good.len() - 1].to_vec()), ErrorCode::CorruptMessage),
        ("cut head", Some(good[..40].to_vec()), ErrorCode::CorruptMessage),
        ("count", Some(shaped(Shape { count: 0, ..PLAIN })), ErrorCode::InvalidRecord),
        ("control", Some(shaped(Shape { attributes: 0x20, ..PLAIN })), ErrorCode::InvalidRecord),
        (
            "sequence",
            Some(shaped(Shape { producer: Producer { id: 5, epoch: 0, base_sequence: -1 }, ..PLAIN })),
            ErrorCode::InvalidRecord,
        ),
        (
            "future",
            Some(shaped(Shape { timestamp: WALL.0 + hour + 1, ..PLAIN })),
            ErrorCode::InvalidTimestamp,
        ),
        ("log append time", Some(shaped(Shape { attributes: 0x08, ..PLAIN })), ErrorCode::InvalidTimestamp),
        (
            "compression 7",
            Some(shaped(Shape { attributes: 7, ..PLAIN })),
            ErrorCode::UnsupportedCompressionType,
        ),
        (
            "transactional",
            Some(shaped(Shape { attributes: 0x10, ..PLAIN })),
            ErrorCode::InvalidProducerIdMapping,
        ),
        ("good", Some(shaped(keyless)), ErrorCode::None),
    ];
    let mut world = World::of(2);
    world.topic("t", 2, &[]);
    for (what, records, expected) in table {
        let entry = &send(&mut world, 8, -1, Topic::Name("t"), &[(1, records.as_deref())])[0];
        assert_eq!(code(entry.error_code), expected, "{what}: {:?}", entry.error_message);
    }
}

#[test]
fn limits_of_the_topic_hold() {
    let mut world = World::of(1);
    world.topic("small", 1, &[("max.message.bytes", "100")]);
    world.topic("compacted", 1, &[("cleanup.policy", "compact")]);
    let entry =
        &send(&mut world, 8, -1, Topic::Name("small"), &[(0, Some(&batch(&["x".repeat(99).as_str()])))])[0];
    assert_eq!(code(entry.error_code), ErrorCode::MessageTooLarge);
    let entry = &send(&mut world, 8, -1, Topic::Name("compacted"), &[(0, Some(&batch(&["a", "b"])))])[0];
    assert_eq!(code(entry.error_code), ErrorCode::InvalidRecord);
    assert_eq!(entry.record_errors.iter().map(|e| e.batch_index).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn zstd_needs_version_7() {
    let mut world = World::of(1);
    world.topic("t", 1, &[]);
    let zstd = shaped(Shape { attributes: 4, ..PLAIN });
    for (version, expected) in [
        (3, ErrorCode::UnsupportedCompressionType),
        (6, ErrorCode::UnsupportedCompressionType),
        (7, ErrorCode::None),
    ] {
        let entry = &send(&mut world, version, -1, Topic::Name("t"), &[(0, Some(&zstd))])[0];
        assert_eq!(code(entry.error_code), expected, "version {version}");
    }
}

#[test]
fn unknown_topics_are_errors_of_their_partition_only() {
    let mut world = World::of(2);
    world.topic("t", 2, &[]);
    let good = batch(&["a"]);
    let entries = send(
        &mut world,
        9,
        1,
        Topic::Name("t"),
        &[(0, Some(&good)), (9, Some(&good)), (-1, Some(&good)), (1, Some(&good))],
    );
    let codes: Vec<_> = entries.iter().map(|e| code(e.error_code)).collect();
    let unknown = ErrorCode::UnknownTopicOrPartition;
    assert_eq!(codes, [ErrorCode::None, unknown, unknown, ErrorCode::None]);
    let entry = &send(&mut world, 9, 1, Topic::Name("other"), &[(0, Some(&good))])[0];
    assert_eq!(code(entry.error_code), unknown);
    let entry = &send(&mut world, 13, 1, Topic::Id([3; 16]), &[(0, Some(&good))])[0];
    assert_eq!(code(entry.error_code), ErrorCode::UnknownTopicId);
}

#[test]
fn no_acks_means_no_answer_and_an_error_ends_the_connection() {
    for shards in [1, 3] {
        let mut world = World::of(shards);
        world.topic("t", 3, &[]);
        let good = batch(&["a"]);
        let mut started = start(&world, 7, 0, Topic::Name("t"), &[(0, Some(&good)), (1, Some(&good))]);
        assert!(matches!(world.look(&mut started), Some(Seen::Silent)));
        world.settle();
        assert_eq!(world.partition("t", 1).watermarks().high.0, 1);
        let mut started = start(&world, 7, 0, Topic::Name("nowhere"), &[(0, Some(&good))]);
        assert!(matches!(world.look(&mut started), Some(Seen::Closed(_))));
    }
}

#[test]
fn other_acks_are_refused() {
    let mut world = World::of(1);
    world.topic("t", 1, &[]);
    for acks in [2, -2, 100] {
        let entry = &send(&mut world, 7, acks, Topic::Name("t"), &[(0, Some(&batch(&["a"])))])[0];
        assert_eq!(code(entry.error_code), ErrorCode::InvalidRequiredAcks);
    }
    assert_eq!(world.partition("t", 0).watermarks().log_end.0, 0);
}

#[test]
fn the_order_is_settled_before_anything_is_safe() {
    let mut world = World::of(3);
    world.topic("t", 6, &[]);
    for partition in 0..6 {
        let (one, two) = (batch(&["a", "b"]), batch(&["c"]));
        let mut first = start(&world, 7, -1, Topic::Name("t"), &[(partition, Some(&one))]);
        assert!(first.lets_the_next_begin());
        let mut second = start(&world, 7, -1, Topic::Name("t"), &[(partition, Some(&two))]);
        // Whichever is looked at first.
        let second = entries(&world.look(&mut second).unwrap(), 7);
        let first = entries(&world.look(&mut first).unwrap(), 7);
        assert_eq!((first[0].base_offset, second[0].base_offset), (0, 2));
    }
}

#[test]
fn a_retry_gets_its_first_offset_and_a_gap_an_error() {
    let mut world = World::of(1);
    world.topic("t", 1, &[]);
    let by = |base_sequence| batch_by(Producer { id: 40, epoch: 0, base_sequence }, &["x", "y"]);
    let send_one = |world: &mut World, records: &[u8]| {
        let entry = send(world, 7, -1, Topic::Name("t"), &[(0, Some(records))]).remove(0);
        (code(entry.error_code), entry.base_offset)
    };
    for n in 0..5 {
        assert_eq!(send_one(&mut world, &by(2 * n)), (ErrorCode::None, i64::from(2 * n)));
    }
    for n in 0..5 {
        assert_eq!(send_one(&mut world, &by(2 * n)), (ErrorCode::None, i64::from(2 * n)), "a retry");
    }
    assert_eq!(send_one(&mut world, &by(14)).0, ErrorCode::OutOfOrderSequenceNumber);
    let older = batch_by(Producer { id: 40, epoch: 1, base_sequence: 0 }, &["z"]);
    assert_eq!(send_one(&mut world, &older), (ErrorCode::None, 10));
    assert_eq!(send_one(&mut world, &by(10)).0, ErrorCode::InvalidProducerEpoch);
}

#[test]
fn a_topic_with_its_own_time_stamps_batches_and_says_so() {
    let mut world = World::of(1);
    world.topic("t", 1, &[("message.timestamp.type", "LogAppendTime")]);
    let old = shaped(Shape { timestamp: 5, ..PLAIN });
    let entry = &send(&mut world, 8, -1, Topic::Name("t"), &[(0, Some(&old))])[0];
    assert_eq!((entry.error_code, entry.log_append_time_ms), (0, WALL.0));
    let stored = super::fetch::records(&mut world, "t", 0, 0);
    let view = BatchView::check(&stored).expect("the checksum is that of the stamped batch");
    assert_eq!(view.header().timestamp_type(), TimestampType::LogAppendTime);
    assert_eq!(view.header().max_timestamp(), WALL);
}

/// `count` records that pack well, by a codec of the client's.
fn packed(codec: Compression, count: i32, producer: Producer) -> Vec<u8> {
    let mut payload = vec![];
    for n in 0..count {
        let value = format!("record {n} {}", "of the wheel ".repeat(20));
        write_record(&mut payload, n, i64::from(n), Some(b"k"), Some(value.as_bytes()), &[(b"h", None)]);
    }
    let meta = BatchMeta {
        base_offset: 0,
        leader_epoch: -1,
        attributes: codec.id(),
        base_timestamp: WALL.0 - 1000,
        max_timestamp: WALL.0 - 1000 + i64::from(count) - 1,
        record_count: count,
        producer,
    };
    build_batch(meta, &compress(codec, None, &payload))
}

const CODECS: [(&str, Compression); 5] = [
    ("uncompressed", Compression::None),
    ("gzip", Compression::Gzip),
    ("snappy", Compression::Snappy),
    ("lz4", Compression::Lz4),
    ("zstd", Compression::Zstd),
];

fn unpacked(batch: &[u8]) -> Vec<u8> {
    let view = BatchView::check(batch).unwrap();
    decompress(view.header().compression().unwrap(), view.payload(), 1 << 24).unwrap().into_owned()
}

#[test]
fn a_topic_with_a_codec_of_its_own_packs_batches_anew() {
    for shards in [1, 3] {
        let mut world = World::of(shards);
        let producer = Producer { id: 40, epoch: 0, base_sequence: 0 };
        for (name, to) in CODECS {
            world.topic(name, 5, &[("compression.type", name)]);
            for (partition, (_, from)) in CODECS.into_iter().enumerate() {
                let sent = packed(from, 100, producer);
                for retry in [false, true] {
                    let offset = produce(&mut world, name, partition as i32, &sent);
                    assert_eq!(offset, 0, "a retry: {retry}");
                }
                let stored = super::fetch::records(&mut world, name, partition as i32, 0);
                let header = *BatchView::check(&stored).unwrap().header();
                assert_eq!(header.compression(), Ok(to), "from {from:?}");
                assert_eq!(unpacked(&stored), unpacked(&sent), "{from:?} {to:?}");
                if from == to {
                    assert_eq!(stored[16..], sent[16..], "what has the codec already stays as it is");
                }
                let sequence =
                    (header.producer_id.get(), header.producer_epoch.get(), header.base_sequence.get());
                assert_eq!(sequence, (40, 0, 0));
                assert_eq!(header.max_timestamp().0, WALL.0 - 1000 + 99);
            }
        }
    }
}

#[test]
fn a_broker_may_have_a_codec_for_all_topics() {
    let mut world = World::with(2, &[("compression.type", "zstd")]);
    for (topic, configs, expected) in [
        ("theirs", &[][..], Compression::Zstd),
        ("own", &[("compression.type", "producer")], Compression::Gzip),
    ] {
        world.topic(topic, 1, configs);
        produce(&mut world, topic, 0, &packed(Compression::Gzip, 50, Producer::NONE));
        let stored = super::fetch::records(&mut world, topic, 0, 0);
        assert_eq!(BatchHeader::read(&stored).unwrap().compression(), Ok(expected), "{topic}");
    }
}

#[test]
fn a_batch_may_be_packed_anew_and_get_the_brokers_time() {
    let mut world = World::of(1);
    world.topic("t", 1, &[("message.timestamp.type", "LogAppendTime"), ("compression.type", "lz4")]);
    let sent = packed(Compression::Zstd, 10, Producer { id: 40, epoch: 0, base_sequence: 0 });
    for _retry in [false, true] {
        let entry = &send(&mut world, 8, -1, Topic::Name("t"), &[(0, Some(&sent))])[0];
        assert_eq!((entry.error_code, entry.base_offset, entry.log_append_time_ms), (0, 0, WALL.0));
    }
    let stored = super::fetch::records(&mut world, "t", 0, 0);
    let header = *BatchView::check(&stored).expect("the checksum is good").header();
    assert_eq!(header.compression(), Ok(Compression::Lz4));
    assert_eq!((header.timestamp_type(), header.max_timestamp()), (TimestampType::LogAppendTime, WALL));
    assert_eq!(unpacked(&stored), unpacked(&sent));
}

#[test]
fn what_comes_of_a_batch_has_its_limits_and_the_others_of_the_request_go_on() {
    let mut world = World::of(2);
    world.topic("t", 4, &[("compression.type", "uncompressed"), ("max.message.bytes", "5000")]);
    let (large, small) =
        (packed(Compression::Gzip, 100, Producer::NONE), packed(Compression::Gzip, 3, Producer::NONE));
    assert!(large.len() < 5000 && unpacked(&large).len() > 5000);
    let mut broken = small.clone();
    broken[70] ^= 1;
    let parts = [(0, &small), (1, &large), (2, &small), (3, &broken)].map(|(n, b)| (n, Some(&b[..])));
    let entries = send(&mut world, 8, -1, Topic::Name("t"), &parts);
    let codes: Vec<_> = entries.iter().map(|e| code(e.error_code)).collect();
    let expected = [ErrorCode::None, ErrorCode::MessageTooLarge, ErrorCode::None, ErrorCode::CorruptMessage];
    assert_eq!(codes, expected);
    assert_eq!(world.partition("t", 1).watermarks().log_end.0, 0);
    assert_eq!(world.partition("t", 2).watermarks().high.0, 3);
}

/// zstd that a client of an old version sends is refused, whatever the topic makes of it; what the topic packs by zstd
/// is the business of who reads it.
#[test]
fn the_codec_of_the_topic_does_not_change_what_a_version_may_send() {
    let mut world = World::of(1);
    world.topic("gzip", 1, &[("compression.type", "gzip")]);
    world.topic("zstd", 1, &[("compression.type", "zstd")]);
    let sent = |codec| packed(codec, 5, Producer::NONE);
    let mut check = |topic, codec, version, expected| {
        let entry = &send(&mut world, version, -1, Topic::Name(topic), &[(0, Some(&sent(codec)))])[0];
        assert_eq!(code(entry.error_code), expected, "{topic} {codec:?} {version}");
    };
    check("gzip", Compression::Zstd, 6, ErrorCode::UnsupportedCompressionType);
    check("gzip", Compression::Zstd, 7, ErrorCode::None);
    check("zstd", Compression::Gzip, 6, ErrorCode::None);
}

/// The next request of a connection starts when the first stage of this one has ended: the reader waits for it.
#[test]
fn packing_anew_keeps_the_order_of_a_connection() {
    for shards in [1, 3] {
        let mut world = World::of(shards);
        world.topic("t", 6, &[("compression.type", "lz4")]);
        for partition in 0..6 {
            let (one, two) =
                (packed(Compression::Gzip, 2, Producer::NONE), packed(Compression::None, 1, Producer::NONE));
            let mut first = start(&world, 7, -1, Topic::Name("t"), &[(partition, Some(&one))]);
            assert!(!first.lets_the_next_begin());
            first.poll_first_stage();
            assert!(first.lets_the_next_begin());
            let mut second = start(&world, 7, -1, Topic::Name("t"), &[(partition, Some(&two))]);
            second.poll_first_stage();
            // Whichever is looked at first.
            let second = entries(&world.look(&mut second).unwrap(), 7);
            let first = entries(&world.look(&mut first).unwrap(), 7);
            assert_eq!((first[0].base_offset, second[0].base_offset), (0, 2));
        }
    }
}

/// A few bytes unfold to many. They are sent to their owners in pieces, and each piece waits for room.
#[test]
fn what_a_request_unfolds_to_goes_out_in_pieces() {
    let mut world = World::of(3);
    world.topic("t", 40, &[("compression.type", "uncompressed"), ("durability", "memory")]);
    let large = packed(Compression::Zstd, 3000, Producer::NONE);
    let unfolded = unpacked(&large).len();
    assert!(large.len() * 20 < unfolded && unfolded * 40 > 32 << 20, "{} {unfolded}", large.len());
    let parts: Vec<_> = (0..40).map(|n| (n, Some(&large[..]))).collect();
    let before = world.crossed;
    let entries = send(&mut world, 7, -1, Topic::Name("t"), &parts);
    assert!(entries.iter().all(|e| (e.error_code, e.base_offset) == (0, 0)), "{entries:?}");
    assert!(world.crossed - before > 8, "{} messages", world.crossed - before);
}

#[test]
fn too_few_in_sync_replicas_refuse_acks_all_and_no_other() {
    let mut world = World::of(1);
    world.topic("t", 1, &[("min.insync.replicas", "2")]);
    let two = [world.owner("t", 0).broker(), BrokerId(99)];
    // A topic of one replica cannot have two in sync: Kafka asks for no more than there are.
    for (replicas, acks, expected) in [
        (&two[..1], -1, ErrorCode::None),
        (&two, -1, ErrorCode::NotEnoughReplicas),
        (&two, 1, ErrorCode::None),
    ] {
        let leader_epoch = world.partition("t", 0).leader_epoch();
        let state = PartitionState {
            replicas: replicas.to_vec(),
            isr_min: 2,
            partition_epoch: 5,
            ..PartitionState::alone(two[0], leader_epoch)
        };
        world.partition("t", 0).set_state(&state, Millis(0));
        let entry = &send(&mut world, 7, acks, Topic::Name("t"), &[(0, Some(&batch(&["a"])))])[0];
        assert_eq!(code(entry.error_code), expected, "acks {acks}, {} replicas", replicas.len());
    }
}

#[test]
fn a_refused_batch_moves_nothing() {
    let mut world = World::of(1);
    world.topic("t", 1, &[]);
    let partition = world.partition("t", 0);
    let by = |base_sequence| batch_by(Producer { id: 40, epoch: 0, base_sequence }, &["x"]);
    produce(&mut world, "t", 0, &by(0));
    for (base_sequence, expected, stirs) in
        [(7, ErrorCode::OutOfOrderSequenceNumber, false), (1, ErrorCode::None, true)]
    {
        let mut moves = std::pin::pin!(partition.progress().wait());
        assert!(world.drive_alone(moves.as_mut()).is_none());
        let entry = &send(&mut world, 7, 1, Topic::Name("t"), &[(0, Some(&by(base_sequence)))])[0];
        assert_eq!(code(entry.error_code), expected);
        assert_eq!(world.drive_alone(moves.as_mut()).is_some(), stirs, "{expected:?}");
    }
}

#[test]
fn a_failed_write_is_told_at_once_and_nothing_is_acknowledged_after_it() {
    for shards in [1, 2] {
        let mut world = World::of(shards);
        world.topic("t", 1, &[]);
        produce(&mut world, "t", 0, &batch(&["safe"]));
        world.disk.fail_at(Some(world.disk.operations() + 1));
        let good = batch(&["lost"]);
        for _ in 0..3 {
            let entry = &send(&mut world, 7, -1, Topic::Name("t"), &[(0, Some(&good))])[0];
            assert_eq!(code(entry.error_code), ErrorCode::KafkaStorageError);
        }
        assert_eq!(super::fetch::values(&mut world, "t", 0, 0), ["safe"], "reads go on");
    }
}

#[test]
fn a_deleted_topic_lets_nobody_wait() {
    let mut world = World::of(1);
    let id = world.topic("t", 1, &[]);
    let mut started = start(&world, 7, -1, Topic::Name("t"), &[(0, Some(&batch(&["a"])))]);
    // Before the commit pump gets to it.
    world.shards[0].table().remove(model::TopicPartition::new(id, model::PartitionIndex(0)));
    let entry = &entries(&world.look(&mut started).unwrap(), 7)[0];
    assert_eq!(code(entry.error_code), ErrorCode::NotLeaderOrFollower);
    assert_eq!(world.shards[0].owner().parked_count(), 0);
}

/// Once a topic that was deleted refused the batches of all others in the request too, though they were committed a
/// moment later: a plain producer sent them twice.
#[test]
fn a_deleted_topic_refuses_its_own_batches_only() {
    let mut world = World::of(1);
    let ids = [world.topic("goes", 1, &[]), world.topic("stays", 1, &[])];
    let records = batch(&["a"]);
    let topic = |name: &'static str| TopicProduceData {
        name: name.into(),
        partition_data: vec![PartitionProduceData { index: 0, records: Some(records.clone().into()) }],
        ..TopicProduceData::default()
    };
    let topic_data = vec![topic("goes"), topic("stays")];
    let mut started =
        world.start(7, &Request { acks: -1, timeout_ms: 1000, topic_data, ..Request::default() });
    world.shards[0].table().remove(model::TopicPartition::new(ids[0], model::PartitionIndex(0)));
    let entries = entries(&world.look(&mut started).unwrap(), 7);
    let told: Vec<_> = entries.iter().map(|entry| (code(entry.error_code), entry.base_offset)).collect();
    assert_eq!(told, [(ErrorCode::NotLeaderOrFollower, -1), (ErrorCode::None, 0)]);
    assert_eq!(world.shards[0].owner().parked_count(), 0);
}

#[test]
fn the_head_of_a_stored_batch_is_ours_and_the_rest_the_clients() {
    let mut world = World::of(2);
    world.topic("t", 1, &[]);
    produce(&mut world, "t", 0, &batch(&["a"]));
    let sent = batch(&["b"]);
    produce(&mut world, "t", 0, &sent);
    let stored = super::fetch::records(&mut world, "t", 0, 1);
    let header = BatchHeader::read(&stored).unwrap();
    assert_eq!(header.base_offset().0, 1);
    assert_eq!(stored[16..], sent[16..]);
}
