//! Whole frames as they must be on the wire, byte by byte, written down from the protocol: the generator and its
//! tests share the schemas, these frames share nothing with them.
#![expect(clippy::unwrap_used, reason = "the checks are shared by tests, which may unwrap")]

use net::wire::messages::{api_versions, fetch, metadata, produce};
use net::wire::{ApiKey, Hole, RecordsRef, RequestBody, RequestHeader, ResponseBody, ResponseHeader};
use net::wire::{Writer, write_request, write_response};

/// Hexadecimal digits and quoted text, blanks between; the frame's length is put before them.
fn frame(text: &str) -> Vec<u8> {
    let mut frame = vec![0; 4];
    for word in text.split_whitespace() {
        match word.strip_prefix('\'').and_then(|word| word.strip_suffix('\'')) {
            Some(text) => frame.extend(text.as_bytes()),
            None => {
                let digits = (0..word.len()).step_by(2).map(|i| u8::from_str_radix(&word[i..i + 2], 16));
                frame.extend(digits.map(|byte| byte.expect("hexadecimal digits")));
            }
        }
    }
    let length = frame.len() as u32 - 4;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    frame
}

const CORRELATION_ID: i32 = 7;

fn request_frame(body: &impl RequestBody, version: i16) -> Vec<u8> {
    let mut writer = Writer::new();
    write_request(body, version, CORRELATION_ID, Some("me"), &mut writer);
    writer.into_parts().0
}

fn response_frame(body: &impl ResponseBody, version: i16) -> (Vec<u8>, Vec<Hole>) {
    let mut writer = Writer::new();
    write_response(body, version, CORRELATION_ID, &mut writer);
    writer.into_parts()
}

/// The body of a request's frame, after its head was looked at.
fn request_body(frame: &[u8], key: ApiKey, version: i16) -> &[u8] {
    let (header, body) = RequestHeader::decode(&frame[4..]).expect("a whole head");
    assert_eq!(ApiKey::from_code(header.api_key), Some(key));
    assert_eq!(header.api_version, version);
    assert_eq!((header.correlation_id, header.client_id), (CORRELATION_ID, Some("me")));
    body
}

fn response_body(frame: &[u8], key: ApiKey, version: i16) -> &[u8] {
    let (header, body) = ResponseHeader::decode(&frame[4..], key, version).expect("a whole head");
    assert_eq!(header.correlation_id, CORRELATION_ID);
    body
}

fn produce_request() -> produce::Request<'static> {
    let partition = produce::PartitionProduceData { index: 2, records: Some((&[1, 2, 3][..]).into()) };
    let topic = produce::TopicProduceData {
        name: "logs".into(),
        partition_data: vec![partition],
        ..Default::default()
    };
    produce::Request { transactional_id: None, acks: -1, timeout_ms: 1500, topic_data: vec![topic] }
}

fn check_produce_request(version: i16, expected: &[u8]) {
    assert_eq!(request_frame(&produce_request(), version), expected);
    let body = request_body(expected, ApiKey::Produce, version);
    let view = produce::RequestView::decode(body, version).unwrap();
    let records =
        view.topic_data.iter().next().unwrap().partition_data.iter().next().unwrap().records.unwrap();
    assert!(body.as_ptr_range().contains(&records.as_ptr()), "record data is borrowed from the frame");
    assert_eq!(produce::Request::from(view), produce_request());
}

#[test]
fn produce_3_and_7_request() {
    for version in [3, 7] {
        let expected = frame(&format!(
            "0000 00{version:02} 00000007 0002 'me'
             ffff ffff 000005dc
             00000001 0004 'logs'
             00000001 00000002 00000003 010203"
        ));
        check_produce_request(version, &expected);
    }
}

#[test]
fn produce_9_request() {
    let expected = frame(
        "0000 0009 00000007 0002 'me' 00
         00 ffff 000005dc
         02 05 'logs'
         02 00000002 04 010203 00
         00 00",
    );
    check_produce_request(9, &expected);
}

fn produce_response() -> produce::Response<'static> {
    let partition = produce::PartitionProduceResponse {
        index: 2,
        base_offset: 40,
        log_start_offset: 5,
        ..Default::default()
    };
    let topic = produce::TopicProduceResponse {
        name: "logs".into(),
        partition_responses: vec![partition],
        ..Default::default()
    };
    produce::Response { responses: vec![topic], ..Default::default() }
}

fn check_produce_response(version: i16, expected: &[u8]) {
    assert_eq!(response_frame(&produce_response(), version).0, expected);
    let body = response_body(expected, ApiKey::Produce, version);
    let view = produce::ResponseView::decode(body, version).unwrap();
    let partition = view.responses.iter().next().unwrap().partition_responses.iter().next().unwrap();
    assert_eq!((partition.index, partition.base_offset, partition.log_append_time_ms), (2, 40, -1));
    assert_eq!(partition.log_start_offset, if version >= 5 { 5 } else { -1 });
}

#[test]
fn produce_3_response() {
    let expected = frame(
        "00000007
         00000001 0004 'logs'
         00000001 00000002 0000 0000000000000028 ffffffffffffffff
         00000000",
    );
    check_produce_response(3, &expected);
}

#[test]
fn produce_7_response() {
    let expected = frame(
        "00000007
         00000001 0004 'logs'
         00000001 00000002 0000 0000000000000028 ffffffffffffffff 0000000000000005
         00000000",
    );
    check_produce_response(7, &expected);
}

#[test]
fn produce_9_response() {
    let expected = frame(
        "00000007 00
         02 05 'logs'
         02 00000002 0000 0000000000000028 ffffffffffffffff 0000000000000005 01 00 00
         00
         00000000 00",
    );
    check_produce_response(9, &expected);
}

fn fetch_request() -> fetch::Request<'static> {
    let partition = fetch::FetchPartition {
        partition: 2,
        fetch_offset: 40,
        partition_max_bytes: 0x10_0000,
        ..Default::default()
    };
    let topic = fetch::FetchTopic { topic: "logs".into(), partitions: vec![partition], ..Default::default() };
    fetch::Request {
        max_wait_ms: 500,
        min_bytes: 1,
        max_bytes: 0x320_0000,
        isolation_level: 1,
        topics: vec![topic],
        ..Default::default()
    }
}

fn check_fetch_request(version: i16, expected: &[u8]) {
    assert_eq!(request_frame(&fetch_request(), version), expected);
    let view = fetch::RequestView::decode(request_body(expected, ApiKey::Fetch, version), version).unwrap();
    assert_eq!(fetch::Request::from(view), fetch_request());
}

#[test]
fn fetch_4_request() {
    let expected = frame(
        "0001 0004 00000007 0002 'me'
         ffffffff 000001f4 00000001 03200000 01
         00000001 0004 'logs'
         00000001 00000002 0000000000000028 00100000",
    );
    check_fetch_request(4, &expected);
}

#[test]
fn fetch_11_request() {
    let expected = frame(
        "0001 000b 00000007 0002 'me'
         ffffffff 000001f4 00000001 03200000 01 00000000 ffffffff
         00000001 0004 'logs'
         00000001 00000002 ffffffff 0000000000000028 ffffffffffffffff 00100000
         00000000 0000",
    );
    check_fetch_request(11, &expected);
}

#[test]
fn fetch_12_request() {
    let expected = frame(
        "0001 000c 00000007 0002 'me' 00
         ffffffff 000001f4 00000001 03200000 01 00000000 ffffffff
         02 05 'logs'
         02 00000002 ffffffff 0000000000000028 ffffffff ffffffffffffffff 00100000 00
         00
         01 01 00",
    );
    check_fetch_request(12, &expected);
}

fn fetch_response() -> fetch::Response<'static> {
    let partition = fetch::PartitionData {
        partition_index: 2,
        high_watermark: 41,
        last_stable_offset: 40,
        records: Some(RecordsRef { bytes: 3, slot: 9 }),
        current_leader: fetch::LeaderIdAndEpoch { leader_id: 1, leader_epoch: 6 },
        ..Default::default()
    };
    let topic = fetch::FetchableTopicResponse {
        topic: "logs".into(),
        partitions: vec![partition],
        ..Default::default()
    };
    fetch::Response { responses: vec![topic], ..Default::default() }
}

/// The frame is whole once the three bytes of record data stand before what follows them.
fn check_fetch_response(version: i16, after_records: usize, expected: &[u8]) {
    let (mut written, holes) = response_frame(&fetch_response(), version);
    let position = written.len() - after_records;
    assert_eq!(holes, [Hole { position, bytes: 3, slot: 9 }]);
    written.splice(position..position, [1, 2, 3]);
    assert_eq!(written, expected);
    let view = fetch::ResponseView::decode(response_body(expected, ApiKey::Fetch, version), version).unwrap();
    let partition = view.responses.iter().next().unwrap().partitions.iter().next().unwrap();
    assert_eq!(partition.records, Some(&[1, 2, 3][..]));
    assert!(partition.aborted_transactions.is_none());
    assert_eq!(partition.current_leader.leader_epoch, if version >= 12 { 6 } else { -1 });
}

#[test]
fn fetch_4_response() {
    let expected = frame(
        "00000007 00000000
         00000001 0004 'logs'
         00000001 00000002 0000 0000000000000029 0000000000000028 ffffffff 00000003 010203",
    );
    check_fetch_response(4, 0, &expected);
}

#[test]
fn fetch_11_response() {
    let expected = frame(
        "00000007 00000000 0000 00000000
         00000001 0004 'logs'
         00000001 00000002 0000 0000000000000029 0000000000000028 ffffffffffffffff
         ffffffff ffffffff 00000003 010203",
    );
    check_fetch_response(11, 0, &expected);
}

#[test]
fn fetch_12_response() {
    let expected = frame(
        "00000007 00 00000000 0000 00000000
         02 05 'logs'
         02 00000002 0000 0000000000000029 0000000000000028 ffffffffffffffff
         00 ffffffff 04 010203
         01 01 09 00000001 00000006 00
         00 00",
    );
    check_fetch_response(12, 12 + 2, &expected);
}

#[test]
fn api_versions_request() {
    let request =
        api_versions::Request { client_software_name: "cat".into(), client_software_version: "1.0".into() };
    let old = frame("0012 0000 00000007 0002 'me'");
    assert_eq!(request_frame(&request, 0), old);
    assert!(api_versions::RequestView::decode(request_body(&old, ApiKey::ApiVersions, 0), 0).is_ok());
    let new = frame("0012 0003 00000007 0002 'me' 00 04 'cat' 04 '1.0' 00");
    assert_eq!(request_frame(&request, 3), new);
    let body = request_body(&new, ApiKey::ApiVersions, 3);
    let view = api_versions::RequestView::decode(body, 3).unwrap();
    assert_eq!((view.client_software_name, view.client_software_version), ("cat", "1.0"));
}

#[test]
fn api_versions_response() {
    let response = api_versions::Response {
        error_code: 35,
        api_keys: vec![api_versions::ApiVersion { api_key: 1, min_version: 4, max_version: 12 }],
        finalized_features_epoch: 5,
        ..Default::default()
    };
    let old = frame("00000007 0023 00000001 0001 0004 000c");
    assert_eq!(response_frame(&response, 0).0, old);
    let new = frame(
        "00000007 0023
         02 0001 0004 000c 00
         00000000
         01 01 08 0000000000000005",
    );
    assert_eq!(response_frame(&response, 3).0, new);
    let body = response_body(&new, ApiKey::ApiVersions, 3);
    let view = api_versions::ResponseView::decode(body, 3).unwrap();
    assert_eq!(api_versions::Response::from(view), response);
}

#[test]
fn metadata_1_request_for_all_topics_and_for_none() {
    for (topics, text) in [(None, "ffffffff"), (Some(Vec::new()), "00000000")] {
        let expected = frame(&format!("0003 0001 00000007 0002 'me' {text}"));
        let request = metadata::Request { topics, ..Default::default() };
        assert_eq!(request_frame(&request, 1), expected);
        let body = request_body(&expected, ApiKey::Metadata, 1);
        assert_eq!(metadata::Request::from(metadata::RequestView::decode(body, 1).unwrap()), request);
    }
}

#[test]
fn metadata_0_has_no_null() {
    assert!(metadata::RequestView::decode(&[255; 4], 0).is_err());
    assert!(metadata::RequestView::decode(&[255; 4], 1).unwrap().topics.is_none());
}

#[test]
fn metadata_12_request() {
    let topic = metadata::MetadataRequestTopic { topic_id: [0x11; 16], name: None };
    let request = metadata::Request {
        topics: Some(vec![topic]),
        allow_auto_topic_creation: false,
        include_topic_authorized_operations: true,
        ..Default::default()
    };
    let expected = frame(
        "0003 000c 00000007 0002 'me' 00
         02 11111111111111111111111111111111 00 00
         00 01 00",
    );
    assert_eq!(request_frame(&request, 12), expected);
    let body = request_body(&expected, ApiKey::Metadata, 12);
    assert_eq!(metadata::Request::from(metadata::RequestView::decode(body, 12).unwrap()), request);
}

fn metadata_response() -> metadata::Response<'static> {
    let partition = metadata::MetadataResponsePartition {
        leader_id: 1,
        leader_epoch: 6,
        replica_nodes: vec![1],
        isr_nodes: vec![1],
        ..Default::default()
    };
    let topic = metadata::MetadataResponseTopic {
        name: Some("logs".into()),
        topic_id: [0x11; 16],
        partitions: vec![partition],
        ..Default::default()
    };
    let broker = metadata::MetadataResponseBroker { node_id: 1, host: "::1".into(), port: 9092, rack: None };
    metadata::Response {
        brokers: vec![broker],
        cluster_id: Some("c".into()),
        controller_id: 1,
        topics: vec![topic],
        ..Default::default()
    }
}

#[test]
fn metadata_1_response() {
    let expected = frame(
        "00000007
         00000001 00000001 0003 '::1' 00002384 ffff
         00000001
         00000001 0000 0004 'logs' 00
         00000001 0000 00000000 00000001 00000001 00000001 00000001 00000001",
    );
    assert_eq!(response_frame(&metadata_response(), 1).0, expected);
}

#[test]
fn metadata_12_response() {
    let expected = frame(
        "00000007 00 00000000
         02 00000001 04 '::1' 00002384 00 00
         02 'c' 00000001
         02 0000 05 'logs' 11111111111111111111111111111111 00
         02 0000 00000000 00000001 00000006 02 00000001 02 00000001 01 00
         80000000 00
         00",
    );
    assert_eq!(response_frame(&metadata_response(), 12).0, expected);
    let body = response_body(&expected, ApiKey::Metadata, 12);
    assert_eq!(
        metadata::Response::from(metadata::ResponseView::decode(body, 12).unwrap()),
        metadata_response()
    );
}
