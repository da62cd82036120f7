//! What strangers send: frames that are none, requests that lie, batches that break a rule. The connection may end, the
//! answer may be an error; the broker lives on, and serves the next client as if nothing had happened.

mod broker;

use std::net::Shutdown;

use broker::{Broker, Client, Random, batch::batch_by, batch_of, client, client::view, patched};
use model::{
    ErrorCode,
    batch::{
        HEADER_BYTES,
        record::{BatchMeta, Producer, build_batch},
    },
};
use net::wire::{ApiKey, ResponseHeader, messages::api_versions, messages::metadata, messages::produce};

const LAST_OFFSET_DELTA_AT: usize = 23;
const RECORD_COUNT_AT: usize = 57;
const ATTRIBUTES_AT: usize = 21;
const MAGIC_AT: usize = 16;
const PRODUCER_ID_AT: usize = 43;
/// `socket.request.max.bytes` by default.
const FRAME_BYTES_MAX: i32 = 104_857_600;

/// A client that comes after whatever happened is served, by the same process.
fn assert_lives_on(broker: &mut Broker) {
    assert!(broker.is_running(), "the broker ended:\n{}", broker.said());
    let mut client = broker.client();
    client.topic_at(12, "after", true).expect("a topic can be made");
    client.must_produce("after", 0, &batch_of(&["still here"]));
}

/// Sends bytes on a fresh connection, which must end without an answer.
fn assert_refused(broker: &Broker, bytes: &[u8], why: &str) {
    let mut client = broker.client();
    // The connection may end while the rest is on its way.
    let _ = client.send_bytes(bytes);
    client.assert_closed(why);
}

/// A request with a head that is right and a body that is not.
fn request(key: ApiKey, version: i16, flexible: bool, body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    frame.extend(key.code().to_be_bytes());
    frame.extend(version.to_be_bytes());
    frame.extend(7_i32.to_be_bytes());
    frame.extend([0, 1, b'x']);
    if flexible {
        frame.push(0);
    }
    frame.extend(body);
    [&(frame.len() as i32).to_be_bytes()[..], &frame].concat()
}

#[test]
fn a_frame_length_that_makes_no_frame_ends_the_connection() {
    let mut broker = Broker::start();
    for length in [0, -1, i32::MIN, FRAME_BYTES_MAX + 1, i32::MAX] {
        assert_refused(&broker, &length.to_be_bytes(), &format!("a frame of {length} bytes"));
        let with_more = [&length.to_be_bytes()[..], &[0x5a; 300]].concat();
        assert_refused(&broker, &with_more, &format!("a frame of {length} bytes and some"));
    }
    assert_lives_on(&mut broker);
}

#[test]
fn a_promised_frame_costs_no_memory() {
    let mut broker = Broker::start();
    let before = broker.rss_bytes();
    let mut waiting = Vec::new();
    for _ in 0..100 {
        let mut client = broker.client();
        client.send_bytes(&FRAME_BYTES_MAX.to_be_bytes()).expect("the length is taken");
        client.send_bytes(&[0; 10]).expect("so are a few bytes");
        waiting.push(client);
    }
    assert_lives_on(&mut broker);
    let grown = broker.rss_bytes().saturating_sub(before);
    assert!(grown < 64 << 20, "100 clients that promised 100 MB each took {} MiB", grown >> 20);
    drop(waiting);
}

#[test]
fn an_array_larger_than_its_frame_ends_the_connection() {
    let mut broker = Broker::start();
    let before = broker.rss_bytes();
    for count in [1, 1_000_000, i32::MAX, -2, i32::MIN] {
        let plain = request(ApiKey::Metadata, 1, false, &count.to_be_bytes());
        assert_refused(&broker, &plain, &format!("{count} topics in no bytes"));
    }
    // Compact: the count plus one, as a varint.
    for count in [&[0xff, 0xff, 0xff, 0x7f][..], &[0xff, 0xff, 0xff, 0xff, 0x0f], &[9]] {
        let compact = request(ApiKey::Metadata, 12, true, count);
        assert_refused(&broker, &compact, &format!("{count:x?} topics in no bytes"));
    }
    // Inner arrays: one topic with many partitions, a batch longer than the frame.
    let partitions =
        [&[0xff, 0xff][..], &[0xff, 0xff], &[0, 0, 0x75, 0x30], &[0, 0, 0, 1], &[0, 1, b't'], &[0x7f; 4]];
    assert_refused(
        &broker,
        &request(ApiKey::Produce, 3, false, &partitions.concat()),
        "two billion partitions",
    );
    let batch =
        [&partitions[..5].concat()[..], &[0, 0, 0, 1], &[0, 0, 0, 0], &[0x7f; 4], &[1, 2, 3]].concat();
    assert_refused(&broker, &request(ApiKey::Produce, 3, false, &batch), "a batch of two gigabytes");
    assert_lives_on(&mut broker);
    let grown = broker.rss_bytes().saturating_sub(before);
    assert!(grown < 32 << 20, "what was only declared took {} MiB", grown >> 20);
}

#[test]
fn a_varint_that_never_ends_ends_the_connection() {
    let mut broker = Broker::start();
    for fill in [0xff, 0x80] {
        for bytes in [1, 5, 10, 1000] {
            let endless = vec![fill; bytes];
            let body = request(ApiKey::Metadata, 12, true, &endless);
            assert_refused(&broker, &body, &format!("{bytes} bytes {fill:#x} as a count"));
            let head = request(ApiKey::Metadata, 12, false, &endless);
            assert_refused(&broker, &head, &format!("{bytes} bytes {fill:#x} as a count of tags"));
        }
    }
    assert_lives_on(&mut broker);
}

/// librdkafka 2.15 ends Metadata 13 with a byte too many, and Apache Kafka never looks behind the last field.
#[test]
fn a_request_with_bytes_left_over_is_answered() {
    let mut broker = Broker::start();
    let mut client = broker.client();
    let (sent, mut frame) =
        client.frame(1, &metadata::Request { topics: Some(vec![]), ..Default::default() });
    frame.extend([0; 5]);
    let length = frame.len() as i32 - 4;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    client.send_bytes(&frame).expect("the broker reads");
    assert!(!client.receive(sent).body().is_empty());
    assert_lives_on(&mut broker);
}

#[test]
fn text_that_is_not_utf_8_ends_the_connection() {
    let mut broker = Broker::start();
    let body = [&1_i32.to_be_bytes()[..], &[0, 2, 0xc3, 0x28]].concat();
    assert_refused(&broker, &request(ApiKey::Metadata, 1, false, &body), "a topic called c3 28");
    assert_lives_on(&mut broker);
}

#[test]
fn a_frame_cut_at_any_place_ends_with_its_connection() {
    let mut broker = Broker::start();
    broker.client().create_topic("t", 1);
    let mut template = broker.client();
    let batch = batch_of(&["never whole"]);
    let (_, frame) = template.frame(client::PRODUCE, &client::produce_request("t", 0, -1, Some(&batch)));
    for cut in (0..frame.len()).step_by(3) {
        let mut client = broker.client();
        client.send_bytes(&frame[..cut]).expect("a part of a frame is taken");
        client.stream().shutdown(Shutdown::Write).expect("a socket");
        client.assert_closed("the client has nothing more to say");
    }
    assert_lives_on(&mut broker);
    assert_eq!(broker.client().list_offset("t", 0, -1).0, 0, "half a request wrote something");
}

/// Half of the connections send noise, half a request that was right before some of its bytes changed.
#[test]
fn random_bytes_harm_nobody() {
    let mut broker = Broker::start();
    let mut random = Random(0x5eed);
    broker.client().create_topic("t", 3);
    let mut template = broker.client();
    let batch = batch_of(&["a", "b", "c"]);
    let (_, produce) = template.frame(client::PRODUCE, &client::produce_request("t", 0, -1, Some(&batch)));
    let (_, metadata) = template.frame(12, &metadata::Request { topics: Some(vec![]), ..Default::default() });
    let (_, fetch) = template.frame(client::FETCH, &broker::FetchAt::new("t", 0, 0).request());
    for round in 0..400 {
        let bytes = if round % 2 == 0 {
            let count = 1 + random.below(2000) as usize;
            random.bytes(count)
        } else {
            let mut bytes = [&produce, &metadata, &fetch][random.below(3) as usize].clone();
            for _ in 0..=random.below(4) {
                // Behind the length, so that the frame is read.
                let at = 4 + random.below(bytes.len() as u64 - 4) as usize;
                bytes[at] = random.number() as u8;
            }
            bytes
        };
        let mut client = broker.client();
        let _ = client.send_bytes(&bytes);
        let _ = client.stream().shutdown(Shutdown::Write);
        // Answered or not: in the end the connection is over.
        while client.read_frame().is_ok() {}
    }
    assert_lives_on(&mut broker);
    // What got through is sound all the same.
    for partition in 0..3 {
        broker.client().read_from("t", partition, 0);
    }
}

/// One bad batch for a fresh topic; nothing of it may be in the log afterwards.
#[track_caller]
fn check_batch(configs: &[(&str, &str)], records: Option<&[u8]>, expected: ErrorCode) {
    let mut broker = Broker::start();
    let mut client = broker.client();
    client.create_topic_with("t", 1, configs).expect("the topic is made");
    let answer = client.call(client::PRODUCE, &client::produce_request("t", 0, -1, records));
    let produced = client::produced(&answer);
    assert_eq!(produced.code, expected);
    assert_eq!(produced.base_offset, -1);
    assert_eq!(client.list_offset("t", 0, -1).0, 0, "it was written all the same");
    assert_eq!(client.must_produce("t", 0, &batch_of(&["good"])), 0);
    assert_lives_on(&mut broker);
}

#[test]
fn a_batch_with_a_bad_checksum_is_corrupt() {
    let mut batch = batch_of(&["some value"]);
    *batch.last_mut().expect("a batch has bytes") ^= 1;
    check_batch(&[], Some(&batch), ErrorCode::CorruptMessage);
}

#[test]
fn a_batch_shorter_than_it_says_is_corrupt() {
    let batch = batch_of(&["some value"]);
    check_batch(&[], Some(&batch[..batch.len() - 1]), ErrorCode::CorruptMessage);
}

#[test]
fn a_batch_whose_count_and_offsets_disagree_is_invalid() {
    let batch = batch_of(&["one", "two"]);
    let more_offsets = patched(&batch, LAST_OFFSET_DELTA_AT, &5_i32.to_be_bytes());
    check_batch(&[], Some(&more_offsets), ErrorCode::InvalidRecord);
}

#[test]
fn a_batch_with_more_records_than_offsets_is_invalid() {
    let batch = batch_of(&["one", "two"]);
    let more_records = patched(&batch, RECORD_COUNT_AT, &3_i32.to_be_bytes());
    check_batch(&[], Some(&more_records), ErrorCode::InvalidRecord);
}

#[test]
fn an_empty_batch_is_invalid() {
    let batch = patched(&batch_of(&["one"])[..HEADER_BYTES], RECORD_COUNT_AT, &0_i32.to_be_bytes());
    let batch = patched(&batch, LAST_OFFSET_DELTA_AT, &(-1_i32).to_be_bytes());
    let length = (batch.len() - 12) as i32;
    check_batch(&[], Some(&patched(&batch, 8, &length.to_be_bytes())), ErrorCode::InvalidRecord);
}

#[test]
fn a_batch_of_an_older_format_is_invalid() {
    let batch = patched(&batch_of(&["one"]), MAGIC_AT, &[1]);
    check_batch(&[], Some(&batch), ErrorCode::InvalidRecord);
}

#[test]
fn a_control_batch_of_a_client_is_invalid() {
    let batch = patched(&batch_of(&["one"]), ATTRIBUTES_AT, &0x20_i16.to_be_bytes());
    check_batch(&[], Some(&batch), ErrorCode::InvalidRecord);
}

#[test]
fn a_producer_id_without_a_sequence_is_invalid() {
    let batch = patched(&batch_of(&["one"]), PRODUCER_ID_AT, &5_i64.to_be_bytes());
    check_batch(&[], Some(&batch), ErrorCode::InvalidRecord);
}

#[test]
fn two_batches_in_one_produce_are_invalid() {
    let two = [batch_of(&["one"]), batch_of(&["two"])].concat();
    check_batch(&[], Some(&two), ErrorCode::InvalidRecord);
}

#[test]
fn no_batch_in_a_produce_is_invalid() {
    check_batch(&[], Some(&[]), ErrorCode::InvalidRecord);
}

#[test]
fn null_for_a_batch_is_invalid() {
    check_batch(&[], None, ErrorCode::InvalidRecord);
}

#[test]
fn a_batch_over_the_topic_s_limit_is_too_large() {
    let batch = batch_of(&["x".repeat(2000)]);
    check_batch(&[("max.message.bytes", "1000")], Some(&batch), ErrorCode::MessageTooLarge);
}

#[test]
fn a_batch_over_the_broker_s_limit_is_too_large() {
    let batch = batch_of(&["x".repeat(1_048_588)]);
    check_batch(&[], Some(&batch), ErrorCode::MessageTooLarge);
}

/// Nobody looks at the records of an ordinary topic on their way in, so whoever looks later must not take what a producer has
/// made for damage of the disk: the partition would be offline for everyone.
#[test]
fn records_that_do_not_parse_take_no_partition_offline() {
    let broker = Broker::start();
    let mut client = broker.client();
    client.create_topic("t", 1);
    let no_records = |attributes, time| {
        let meta = BatchMeta {
            base_offset: 0,
            leader_epoch: -1,
            attributes,
            base_timestamp: time,
            max_timestamp: time,
            record_count: 3,
            producer: Producer::NONE,
        };
        build_batch(meta, &[0xee; 100])
    };
    let (plain, packed) = (0, 4);
    client.must_produce("t", 0, &no_records(plain, 1_700_000_000_000));
    client.must_produce("t", 0, &no_records(packed, 1_700_000_005_000));
    client.must_produce("t", 0, &batch_of(&["good"]));
    // The batch as a whole is the answer.
    assert_eq!(client.list_offset("t", 0, 1_699_999_999_999), (0, 1_700_000_000_000));
    assert_eq!(client.list_offset("t", 0, 1_700_000_000_001), (3, 1_700_000_005_000));
    assert_eq!(client.list_offset("t", 0, -3), (3, 1_700_000_005_000));
    assert_eq!(client.must_produce("t", 0, &batch_of(&["better"])), 7);
    let fetched = client.fetch(broker::FetchAt::new("t", 0, 0));
    assert_eq!((fetched.code, fetched.high_watermark), (ErrorCode::None, 8));
}

#[test]
fn a_batch_as_large_as_allowed_is_taken() {
    let mut broker = Broker::start();
    let mut client = broker.client();
    let overhead = batch_of(&["x".repeat(4000)]).len() - 4000;
    let batch = batch_of(&["x".repeat(4000)]);
    let limit = (4000 + overhead).to_string();
    client.create_topic_with("t", 1, &[("max.message.bytes", &limit)]).expect("the topic is made");
    assert_eq!(client.must_produce("t", 0, &batch), 0);
    let larger = batch_of(&["x".repeat(4001)]);
    assert_eq!(client.produce("t", 0, &larger).code, ErrorCode::MessageTooLarge);
    assert_lives_on(&mut broker);
}

#[test]
fn a_sequence_gap_is_out_of_order() {
    let broker = Broker::start();
    let mut client = broker.client();
    client.create_topic("t", 1);
    let producer = client.init_producer_id();
    client.must_produce("t", 0, &batch_by(producer, &["0"]));
    let gap = batch_by(Producer { base_sequence: 2, ..producer }, &["2"]);
    assert_eq!(client.produce("t", 0, &gap).code, ErrorCode::OutOfOrderSequenceNumber);
    let next = batch_by(Producer { base_sequence: 1, ..producer }, &["1"]);
    assert_eq!(client.must_produce("t", 0, &next), 1);
}

#[test]
fn an_unknown_topic_is_told_and_not_made() {
    let broker = Broker::start();
    let mut client = broker.client();
    assert_eq!(client.produce("nobody", 0, &batch_of(&["x"])).code, ErrorCode::UnknownTopicOrPartition);
    let fetched = client.fetch(broker::FetchAt::new("nobody", 0, 0));
    assert_eq!(fetched.code, ErrorCode::UnknownTopicOrPartition);
    assert_eq!(client.topic("nobody"), Err(ErrorCode::UnknownTopicOrPartition));
}

#[test]
fn acks_7_are_no_acks() {
    let broker = Broker::start();
    let mut client = broker.client();
    client.create_topic("t", 1);
    let batch = batch_of(&["x"]);
    for acks in [7, -2, 2] {
        let answer = client.call(client::PRODUCE, &client::produce_request("t", 0, acks, Some(&batch)));
        assert_eq!(client::produced(&answer).code, ErrorCode::InvalidRequiredAcks, "acks {acks}");
    }
    assert_eq!(client.list_offset("t", 0, -1).0, 0);
}

#[test]
fn acks_0_has_no_answer_and_writes() {
    let broker = Broker::start();
    let mut client = broker.client();
    client.create_topic("t", 1);
    let batch = batch_of(&["unanswered"]);
    for _ in 0..3 {
        client.send(client::PRODUCE, &client::produce_request("t", 0, 0, Some(&batch)));
    }
    // The next answer is that of the next request.
    client.api_versions().expect("the connection goes on");
    client.wait_for_end("t", 0, 3);
    assert_eq!(client.values("t", 0), ["unanswered"; 3]);
}

#[test]
fn a_bad_batch_with_acks_0_ends_the_connection() {
    let mut broker = Broker::start();
    let mut client = broker.client();
    client.create_topic("t", 1);
    let mut batch = batch_of(&["x"]);
    *batch.last_mut().expect("a batch has bytes") ^= 1;
    client.send(client::PRODUCE, &client::produce_request("t", 0, 0, Some(&batch)));
    client.assert_closed("how else would the producer learn of it");
    assert_lives_on(&mut broker);
}

#[test]
fn an_unknown_version_of_api_versions_is_answered_with_the_list() {
    let broker = Broker::start();
    let mut client = broker.client();
    let listed = client.api_versions().expect("a list");
    client.send_bytes(&request(ApiKey::ApiVersions, 99, true, &[0xde, 0xad])).expect("the connection stands");
    let frame = client.read_frame().expect("an answer");
    let (header, body) = ResponseHeader::decode(&frame, ApiKey::ApiVersions, 0).expect("a head");
    assert_eq!(header.correlation_id, 7);
    let view = api_versions::ResponseView::decode(body, 0).expect("the form of version 0");
    assert_eq!(view.error_code, ErrorCode::UnsupportedVersion.code());
    let again = view.api_keys.iter().map(|api| (api.api_key, (api.min_version, api.max_version))).collect();
    assert_eq!(listed, again);
    assert_eq!(client.api_versions().expect("the connection goes on"), listed);
}

#[test]
fn an_unknown_api_or_version_ends_the_connection() {
    let mut broker = Broker::start();
    let listed = broker.client().api_versions().expect("a list");
    for key in [4_i16, 5, 27, 52, 99, 12_345, -1, i16::MIN] {
        assert!(!listed.contains_key(&key), "{key} is listed");
        let mut frame = request(ApiKey::Metadata, 0, false, &[0; 4]);
        frame[4..6].copy_from_slice(&key.to_be_bytes());
        assert_refused(&broker, &frame, &format!("API {key}"));
    }
    for (key, version) in
        [(ApiKey::Metadata, 99), (ApiKey::Metadata, -1), (ApiKey::Fetch, 3), (ApiKey::Fetch, 99)]
    {
        let frame = request(key, version, false, &[0; 4]);
        assert_refused(&broker, &frame, &format!("{} version {version}", key.name()));
    }
    // Listed for the sake of old clients, and refused.
    for version in 0..3 {
        assert_eq!(listed[&ApiKey::Produce.code()].0, 0);
        assert_refused(&broker, &request(ApiKey::Produce, version, false, &[0; 10]), "produce below 3");
    }
    assert_lives_on(&mut broker);
}

#[test]
fn a_client_s_software_has_a_plain_name() {
    let broker = Broker::start();
    for (name, expected) in [
        ("good-1.x", ErrorCode::None),
        ("bad name", ErrorCode::InvalidRequest),
        ("", ErrorCode::InvalidRequest),
    ] {
        let mut client = broker.client();
        let request =
            api_versions::Request { client_software_name: name.into(), client_software_version: "1".into() };
        let answer = client.call(3, &request);
        assert_eq!(client::code(view!(api_versions, answer).error_code), expected, "{name:?}");
    }
}

/// KIP-584: `kafka-features.sh describe` shows nothing without them.
#[test]
fn features_are_told_to_who_can_read_them() {
    let broker = Broker::start();
    let mut client = broker.client();
    for (version, told) in [(0, false), (2, false), (3, true), (4, true)] {
        let request =
            api_versions::Request { client_software_name: "a".into(), client_software_version: "1".into() };
        let answer = client.call(version, &request);
        let view = view!(api_versions, answer);
        let finalized: Vec<_> =
            view.finalized_features.iter().map(|f| (f.name, f.max_version_level)).collect();
        assert_eq!(finalized.contains(&("metadata.version", 30)), told, "version {version}");
        let supported = view.supported_features.iter().map(|f| (f.name, f.max_version));
        assert!(supported.eq(finalized.iter().copied()));
        assert_eq!(view.finalized_features_epoch >= 0, told);
    }
}

/// A request for several partitions of which some are bad: each has its own answer, and the good ones are written.
#[test]
fn one_bad_batch_does_not_spoil_the_others() {
    let broker = Broker::start();
    let mut client = broker.client();
    client.create_topic("t", 4);
    let good = batch_of(&["good"]);
    let mut bad = good.clone();
    *bad.last_mut().expect("a batch has bytes") ^= 1;
    let data = |index, records: &[u8]| produce::PartitionProduceData {
        index,
        records: Some(records.to_vec().into()),
    };
    let partitions = vec![data(0, &good), data(1, &bad), data(9, &good), data(3, &good)];
    let topic =
        produce::TopicProduceData { name: "t".into(), partition_data: partitions, ..Default::default() };
    let request =
        produce::Request { acks: -1, timeout_ms: 30_000, topic_data: vec![topic], ..Default::default() };
    let answer = client.call(client::PRODUCE, &request);
    let view = view!(produce, answer);
    let topic = view.responses.iter().next().expect("one topic");
    let codes: Vec<_> =
        topic.partition_responses.iter().map(|p| (p.index, client::code(p.error_code))).collect();
    let expected = [
        (0, ErrorCode::None),
        (1, ErrorCode::CorruptMessage),
        (9, ErrorCode::UnknownTopicOrPartition),
        (3, ErrorCode::None),
    ];
    assert_eq!(codes, expected);
    assert_eq!([0, 1, 3].map(|p| client.list_offset("t", p, -1).0), [1, 0, 1]);
}

/// A second connection of the same client is not held up by one that sends its request byte by byte.
#[test]
fn a_request_in_small_pieces_is_a_request() {
    let broker = Broker::start();
    let mut slow = broker.client();
    let (sent, frame) = slow.frame(12, &metadata::Request { topics: Some(vec![]), ..Default::default() });
    for (place, byte) in frame.iter().enumerate() {
        slow.send_bytes(&[*byte]).expect("the connection stands");
        if place % 8 == 0 {
            Client::connect(&broker.address()).api_versions().expect("others are served meanwhile");
        }
    }
    slow.receive(sent);
}
