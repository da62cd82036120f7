//! Records as a consumer gets them: by offset, by time, by long poll, in a session.

mod broker;

use std::time::{Duration, Instant};

use broker::{
    Broker, Client, FetchAt, PATIENCE,
    batch::{batch_at, records},
    batch_of, client,
    client::{code, view},
};
use model::ErrorCode;
use net::wire::messages::fetch;

const NOON: i64 = 1_700_000_000_000;

#[test]
fn offsets_are_found_by_time_wherever_in_a_batch() {
    let mut broker = Broker::start();
    let mut client = broker.client();
    client.create_topic("t", 1);
    assert_eq!(client.list_offset("t", 0, -1), (0, -1));
    assert_eq!(client.list_offset("t", 0, -2), (0, -1));
    assert_eq!(client.list_offset("t", 0, -3), (-1, -1));
    assert_eq!(client.list_offset("t", 0, NOON), (-1, -1));
    // The largest time stands in the middle of a batch in the middle.
    let times = [[10, 20, 30], [40, 90, 50], [60, 70, 80]];
    for batch in times {
        client.must_produce("t", 0, &batch_at(&batch.map(|time| (NOON + time, "x"))));
    }
    for restart in ["not yet", "a stop", "a crash"] {
        let mut client = broker.client();
        assert_eq!(client.list_offset("t", 0, -1), (9, -1), "{restart}");
        assert_eq!(client.list_offset("t", 0, -2), (0, -1), "{restart}");
        assert_eq!(client.list_offset("t", 0, -3), (4, NOON + 90), "{restart}");
        for (time, offset, found) in [
            (0, 0, 10),
            (10, 0, 10),
            (11, 1, 20),
            (30, 2, 30),
            (31, 3, 40),
            (41, 4, 90),
            (55, 4, 90),
            (90, 4, 90),
        ] {
            assert_eq!(client.list_offset("t", 0, NOON + time), (offset, NOON + found), "{time} {restart}");
        }
        assert_eq!(client.list_offset("t", 0, NOON + 91), (-1, -1), "{restart}");
        match restart {
            "not yet" => broker.stop(),
            "a stop" => broker.kill(),
            _ => return,
        }
        broker.restart();
    }
}

#[test]
fn the_broker_s_clock_stamps_where_a_topic_wants_it() {
    let broker = Broker::start();
    let mut client = broker.client();
    client
        .create_topic_with("t", 1, &[("message.timestamp.type", "LogAppendTime")])
        .expect("the topic is made");
    let produced = client.produce("t", 0, &batch_at(&[(NOON, "a"), (NOON + 5, "b")]));
    assert_eq!(produced.code, ErrorCode::None);
    assert!(produced.log_append_time > NOON + 1_000_000, "{produced:?}");
    let there = client.read_from("t", 0, 0);
    assert!(there.iter().all(|record| record.timestamp == produced.log_append_time), "{there:?}");
    client.create_topic("created", 1);
    assert_eq!(client.produce("created", 0, &batch_at(&[(NOON, "a")])).log_append_time, -1);
    assert_eq!(client.read_from("created", 0, 0)[0].timestamp, NOON);
}

#[test]
fn deleted_records_stay_deleted() {
    let mut broker = Broker::start();
    let mut client = broker.client();
    client.create_topic("t", 1);
    for n in 0..10 {
        client.must_produce("t", 0, &batch_of(&[format!("{n}a"), format!("{n}b")]));
    }
    assert_eq!(client.delete_records("t", 0, 21), Err(ErrorCode::OffsetOutOfRange));
    assert_eq!(client.delete_records("t", 0, -2), Err(ErrorCode::OffsetOutOfRange));
    assert_eq!(client.delete_records("t", 7, 1), Err(ErrorCode::UnknownTopicOrPartition));
    // In the middle of a batch.
    assert_eq!(client.delete_records("t", 0, 7), Ok(7));
    // Never back.
    assert_eq!(client.delete_records("t", 0, 3), Ok(7));
    for restart in ["not yet", "a crash", "a stop", "a crash again"] {
        let mut client = broker.client();
        assert_eq!(client.list_offset("t", 0, -2).0, 7, "{restart}");
        assert_eq!(client.list_offset("t", 0, -1).0, 20, "{restart}");
        assert_eq!(client.fetch(FetchAt::new("t", 0, 6)).code, ErrorCode::OffsetOutOfRange, "{restart}");
        let there = client.read_from("t", 0, 7);
        assert_eq!((there.len(), there[0].text()), (13, "3b"), "{restart}");
        assert_eq!(client.fetch(FetchAt::new("t", 0, 7)).log_start, 7, "{restart}");
        match restart {
            "a crash" => broker.stop(),
            _ => broker.kill(),
        }
        broker.restart();
    }
    let mut client = broker.client();
    assert_eq!(client.delete_records("t", 0, -1), Ok(20), "-1 is the high watermark");
    broker.stop();
    broker.restart();
    let mut client = broker.client();
    assert_eq!((client.list_offset("t", 0, -2).0, client.list_offset("t", 0, -1).0), (20, 20));
    assert_eq!(client.must_produce("t", 0, &batch_of(&["next"])), 20);
}

#[test]
fn deleting_records_frees_segments() {
    let broker = Broker::start();
    let mut client = broker.client();
    client.create_topic_with("t", 1, &[("segment.bytes", "1048576")]).expect("the topic is made");
    for n in 0..50 {
        client.must_produce("t", 0, &batch_of(&["0".repeat(100_000) + &n.to_string()]));
    }
    let folder = broker.folder("t", 0);
    broker::wait_for("several segments are on the disk", PATIENCE, || {
        (folder.exists() && broker::scratch::files_with(&folder, "log").len() >= 4).then_some(())
    });
    assert_eq!(client.delete_records("t", 0, 45), Ok(45));
    broker::wait_for("whole segments below the new start go", PATIENCE, || {
        (broker::scratch::files_with(&folder, "log").len() <= 2).then_some(())
    });
    assert_eq!(client.read_from("t", 0, 45).len(), 5);
}

#[test]
fn an_epoch_ends_where_the_next_begins() {
    let broker = Broker::start();
    let mut client = broker.client();
    client.create_topic("t", 1);
    for n in 0..5 {
        client.must_produce("t", 0, &batch_of(&[format!("{n}")]));
    }
    let answer = client.call(client::FETCH, &FetchAt::new("t", 0, 0).request());
    let epoch = broker::batch::batches(&client::fetched(&answer).bytes)[0].header().leader_epoch().0;
    assert_eq!(client.epoch_end("t", 0, epoch, epoch), Ok((epoch, 5)));
    assert_eq!(client.epoch_end("t", 0, -1, epoch), Ok((epoch, 5)));
    assert_eq!(client.epoch_end("t", 0, -1, epoch + 5), Ok((-1, -1)), "an epoch that never was");
    assert_eq!(client.epoch_end("t", 0, epoch + 5, epoch), Err(ErrorCode::UnknownLeaderEpoch));
    assert_eq!(client.epoch_end("nobody", 0, -1, 0), Err(ErrorCode::UnknownTopicOrPartition));
}

#[test]
fn a_fetch_with_another_leader_epoch_is_fenced() {
    let broker = Broker::start();
    let mut client = broker.client();
    client.create_topic("t", 1);
    client.must_produce("t", 0, &batch_of(&["x"]));
    let mut request = FetchAt::new("t", 0, 0).request();
    request.topics[0].partitions[0].current_leader_epoch = 99;
    let answer = client.call(client::FETCH, &request);
    assert_eq!(client::fetched(&answer).code, ErrorCode::UnknownLeaderEpoch);
}

#[test]
fn a_fetch_outside_the_log_is_out_of_range_and_at_its_end_is_empty() {
    let broker = Broker::start();
    let mut client = broker.client();
    client.create_topic("t", 1);
    client.must_produce("t", 0, &batch_of(&["0", "1", "2"]));
    for (offset, expected) in
        [(-1, ErrorCode::OffsetOutOfRange), (4, ErrorCode::OffsetOutOfRange), (3, ErrorCode::None)]
    {
        let fetched = client.fetch(FetchAt::new("t", 0, offset));
        assert_eq!(fetched.code, expected, "{offset}");
        assert!(fetched.bytes.is_empty());
    }
    // In the middle of a batch: all of it.
    let fetched = client.fetch(FetchAt::new("t", 0, 2));
    assert_eq!(records(&fetched.bytes, 0).len(), 3);
}

#[test]
fn a_batch_larger_than_the_fetch_s_limit_comes_all_the_same() {
    let broker = Broker::start();
    let mut client = broker.client();
    client.create_topic("t", 1);
    for _ in 0..3 {
        client.must_produce("t", 0, &batch_of(&["x".repeat(50_000)]));
    }
    let at = |max_bytes| FetchAt { max_bytes, ..FetchAt::new("t", 0, 0) };
    for (max_bytes, expected) in [(1, 1), (50_000, 1), (100_000, 1), (110_000, 2), (1 << 20, 3)] {
        let fetched = client.fetch(at(max_bytes));
        assert_eq!(records(&fetched.bytes, 0).len(), expected, "{max_bytes}");
    }
}

#[test]
fn a_long_poll_wakes_when_something_comes() {
    let broker = Broker::start();
    let mut client = broker.client();
    client.create_topic("t", 4);
    let mut consumer = broker.client();
    let mut waits = Vec::new();
    for n in 0..40 {
        let partition = n % 4;
        let offset = i64::from(n / 4);
        let at = FetchAt { max_wait_ms: 20_000, min_bytes: 1, ..FetchAt::new("t", partition, offset) };
        let sent = consumer.send(client::FETCH, &at.request());
        // So that the fetch waits: it was started before a later request of another connection is answered.
        client.list_offset("t", partition, -1);
        client.must_produce("t", partition, &batch_of(&[format!("{n}")]));
        let produced = Instant::now();
        let fetched = client::fetched(&consumer.receive(sent));
        waits.push(produced.elapsed());
        assert_eq!(records(&fetched.bytes, offset)[0].text(), n.to_string());
    }
    waits.sort();
    let median = waits[waits.len() / 2];
    assert!(median < Duration::from_millis(10), "a consumer wakes after {median:?}, all: {waits:?}");
    assert!(waits[waits.len() - 1] < Duration::from_secs(2), "{waits:?}");
}

#[test]
fn a_long_poll_over_several_shards_wakes_for_any_partition() {
    const PARTITIONS: i32 = 8;
    let broker = Broker::start();
    let mut client = broker.client();
    client.create_topic("t", PARTITIONS);
    let mut consumer = broker.client();
    for round in 0..PARTITIONS {
        let partitions = (0..PARTITIONS).map(|partition| fetch::FetchPartition {
            partition,
            fetch_offset: i64::from(partition < round),
            partition_max_bytes: 1 << 20,
            ..Default::default()
        });
        let topic =
            fetch::FetchTopic { topic: "t".into(), partitions: partitions.collect(), ..Default::default() };
        let request = fetch::Request {
            max_wait_ms: 20_000,
            min_bytes: 1,
            max_bytes: 1 << 20,
            session_epoch: -1,
            topics: vec![topic],
            ..Default::default()
        };
        let sent = consumer.send(client::FETCH, &request);
        let begun = Instant::now();
        client.must_produce("t", round, &batch_of(&["news"]));
        let answer = consumer.receive(sent);
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        let view = view!(fetch, answer);
        let with_records: Vec<i32> = view
            .responses
            .iter()
            .flat_map(|topic| topic.partitions.iter())
            .filter(|partition| partition.records.is_some_and(|records| !records.is_empty()))
            .map(|partition| partition.partition_index)
            .collect();
        assert_eq!(with_records, [round]);
    }
}

#[test]
fn a_long_poll_ends_at_its_time_with_nothing() {
    let broker = Broker::start();
    let mut client = broker.client();
    client.create_topic("t", 2);
    client.must_produce("t", 0, &batch_of(&["x"]));
    for max_wait_ms in [0, 1, 200, 700] {
        let at = FetchAt { max_wait_ms, min_bytes: 1, ..FetchAt::new("t", 0, 1) };
        let begun = Instant::now();
        let fetched = client.fetch(at);
        let took = begun.elapsed();
        assert_eq!((fetched.code, fetched.bytes.len()), (ErrorCode::None, 0));
        let wait = Duration::from_millis(max_wait_ms as u64);
        // The clock of the broker counts whole milliseconds.
        assert!(took + Duration::from_millis(2) >= wait, "{took:?} for {wait:?}");
        assert!(took < wait + Duration::from_secs(2), "{took:?} for {wait:?}");
    }
    // Less than was asked for is better than nothing, once the time is over.
    let at = FetchAt { max_wait_ms: 100, min_bytes: 1 << 20, ..FetchAt::new("t", 0, 0) };
    assert_eq!(records(&client.fetch(at).bytes, 0).len(), 1);
}

#[test]
fn a_long_poll_ends_when_its_topic_goes() {
    let broker = Broker::start();
    let mut client = broker.client();
    client.create_topic("t", 1);
    let mut consumer = broker.client();
    let at = FetchAt { max_wait_ms: 25_000, min_bytes: 1, ..FetchAt::new("t", 0, 0) };
    let sent = consumer.send(client::FETCH, &at.request());
    client.list_offset("t", 0, -1);
    let begun = Instant::now();
    assert_eq!(client.delete_topic("t"), ErrorCode::None);
    let fetched = client::fetched(&consumer.receive(sent));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let expected = [ErrorCode::NotLeaderOrFollower, ErrorCode::UnknownTopicOrPartition];
    assert!(expected.contains(&fetched.code), "{:?}", fetched.code);
}

/// What a client knows of a fetch session, driven by hand.
struct Session<'a> {
    client: &'a mut Client,
    id: i32,
    epoch: i32,
}

impl Session<'_> {
    /// Names partitions of topic `t` with their offsets, and others to forget; answers those that came back with their
    /// records.
    fn fetch(&mut self, wants: &[(i32, i64)], forgotten: &[i32]) -> Result<Vec<(i32, usize)>, ErrorCode> {
        let partitions = wants.iter().map(|&(partition, fetch_offset)| fetch::FetchPartition {
            partition,
            fetch_offset,
            partition_max_bytes: 1 << 20,
            ..Default::default()
        });
        let topic =
            fetch::FetchTopic { topic: "t".into(), partitions: partitions.collect(), ..Default::default() };
        let forget =
            fetch::ForgottenTopic { topic: "t".into(), partitions: forgotten.to_vec(), ..Default::default() };
        let request = fetch::Request {
            max_bytes: 8 << 20,
            session_id: self.id,
            session_epoch: self.epoch,
            topics: if wants.is_empty() { vec![] } else { vec![topic] },
            forgotten_topics_data: if forgotten.is_empty() { vec![] } else { vec![forget] },
            ..Default::default()
        };
        let answer = self.client.call(client::FETCH, &request);
        let view = view!(fetch, answer);
        match code(view.error_code) {
            ErrorCode::None => {}
            code => return Err(code),
        }
        self.id = view.session_id;
        self.epoch = if view.session_id == 0 { 0 } else { self.epoch + 1 };
        let partition = |p: fetch::PartitionDataView<'_>| {
            assert_eq!(code(p.error_code), ErrorCode::None);
            (p.partition_index, records(p.records.unwrap_or_default(), 0).len())
        };
        Ok(view.responses.iter().flat_map(|topic| topic.partitions.iter()).map(partition).collect())
    }
}

#[test]
fn a_fetch_session_tells_only_what_changed() {
    let broker = Broker::start();
    let mut client = broker.client();
    client.create_topic("t", 3);
    let mut consumer = broker.client();
    let mut session = Session { client: &mut consumer, id: 0, epoch: 0 };
    assert_eq!(session.fetch(&[(0, 0), (1, 0), (2, 0)], &[]), Ok(vec![(0, 0), (1, 0), (2, 0)]));
    assert_ne!(session.id, 0, "there is room for a session");
    assert_eq!(session.fetch(&[], &[]), Ok(vec![]));
    client.must_produce("t", 1, &batch_of(&["x"]));
    assert_eq!(session.fetch(&[], &[]), Ok(vec![(1, 1)]));
    // As long as the client does not move on it is told again.
    assert_eq!(session.fetch(&[], &[]), Ok(vec![(1, 1)]));
    assert_eq!(session.fetch(&[(1, 1)], &[]), Ok(vec![]));
    client.must_produce("t", 0, &batch_of(&["x"]));
    client.must_produce("t", 2, &batch_of(&["x"]));
    assert_eq!(session.fetch(&[], &[0]), Ok(vec![(2, 1)]), "partition 0 is forgotten");
    let (id, epoch) = (session.id, session.epoch);
    session.epoch = epoch + 7;
    assert_eq!(session.fetch(&[], &[]), Err(ErrorCode::InvalidFetchSessionEpoch));
    session.id = id + 1_000_000;
    session.epoch = 1;
    assert_eq!(session.fetch(&[], &[]), Err(ErrorCode::FetchSessionIdNotFound));
    (session.id, session.epoch) = (id, epoch);
    assert_eq!(session.fetch(&[(2, 1)], &[]), Ok(vec![]), "neither mistake harmed the session");
    session.epoch = -1;
    assert_eq!(session.fetch(&[(1, 0)], &[]), Ok(vec![(1, 1)]));
    assert_eq!(session.id, 0, "the session is over");
    (session.id, session.epoch) = (id, epoch + 1);
    assert_eq!(session.fetch(&[], &[]), Err(ErrorCode::FetchSessionIdNotFound));
}

#[test]
fn without_slots_there_are_no_sessions_and_fetches_all_the_same() {
    let broker = Broker::start_with(|launch| launch.option("max.incremental.fetch.session.cache.slots=0"));
    let mut client = broker.client();
    client.create_topic("t", 1);
    client.must_produce("t", 0, &batch_of(&["x"]));
    let mut session = Session { client: &mut client, id: 0, epoch: 0 };
    assert_eq!(session.fetch(&[(0, 0)], &[]), Ok(vec![(0, 1)]));
    assert_eq!(session.id, 0);
}

#[test]
fn a_producer_s_compression_is_kept() {
    use model::{
        Compression,
        batch::record::{BatchMeta, Producer, build_batch, write_record},
    };
    let broker = Broker::start();
    let mut client = broker.client();
    client.create_topic("t", 1);
    let codecs =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
    for (attributes, codec) in (0..).zip(codecs) {
        let mut payload = Vec::new();
        write_record(&mut payload, 0, 0, None, Some("squeeze ".repeat(500).as_bytes()), &[]);
        let payload = if codec == Compression::None {
            payload
        } else {
            engine::compression::compress(codec, None, &payload)
        };
        let meta = BatchMeta {
            base_offset: 0,
            leader_epoch: -1,
            attributes,
            base_timestamp: NOON,
            max_timestamp: NOON,
            record_count: 1,
            producer: Producer::NONE,
        };
        client.must_produce("t", 0, &build_batch(meta, &payload));
    }
    let fetched = client.fetch(FetchAt::new("t", 0, 0));
    let there: Vec<_> =
        broker::batch::batches(&fetched.bytes).iter().map(|b| b.header().compression()).collect();
    assert_eq!(there, codecs.map(Ok));
    assert!(records(&fetched.bytes, 0).iter().all(|record| record.text() == "squeeze ".repeat(500)));
    // A client from before zstd sees everything up to it, and then an error that says why.
    let old = |client: &mut Client, offset| {
        client::fetched(&client.call(9, &FetchAt::new("t", 0, offset).request()))
    };
    let before = old(&mut client, 0);
    assert_eq!((before.code, broker::batch::batches(&before.bytes).len()), (ErrorCode::None, 4));
    assert_eq!(old(&mut client, 4).code, ErrorCode::UnsupportedCompressionType);
}
