//! Client quotas as clients feel them: what goes through over time, over many connections, and over a restart.

mod broker;

use std::{
    thread,
    time::{Duration, Instant},
};

use broker::{
    Broker, Client, FetchAt, batch_of,
    client::{FETCH, PRODUCE, code, produce_request, view},
};
use model::ErrorCode;
use net::wire::messages::{alter_client_quotas, describe_client_quotas, fetch, produce};

/// The client id of every client of these tests.
const CLIENT_ID: &str = "black-box";

fn alter(client: &mut Client, key: &str, value: Option<f64>) -> ErrorCode {
    let entity = alter_client_quotas::EntityData {
        entity_type: "client-id".into(),
        entity_name: Some(CLIENT_ID.into()),
    };
    let op = alter_client_quotas::OpData {
        key: key.to_owned().into(),
        value: value.unwrap_or_default(),
        remove: value.is_none(),
    };
    let entries = vec![alter_client_quotas::RequestEntry { entity: vec![entity], ops: vec![op] }];
    let answer = client.call(1, &alter_client_quotas::Request { entries, validate_only: false });
    let view = view!(alter_client_quotas, answer);
    code(view.entries.iter().next().expect("one entity").error_code)
}

fn described(client: &mut Client) -> Vec<(String, f64)> {
    let answer = client.call(1, &describe_client_quotas::Request::default());
    let view = view!(describe_client_quotas, answer);
    let entries = view.entries.expect("no error").iter().flat_map(|entry| entry.values.iter());
    entries.map(|value| (value.key.to_owned(), value.value)).collect()
}

/// Bytes of the request, and how long to wait.
fn produce_some(client: &mut Client, partition: i32, batch: &[u8]) -> (usize, Duration) {
    let request = produce_request("t", partition, -1, Some(batch));
    let (_, frame) = client.frame(PRODUCE, &request);
    let answer = client.call(PRODUCE, &request);
    let view = view!(produce, answer);
    let told = view.throttle_time_ms.try_into().expect("a time");
    (frame.len() - 4, Duration::from_millis(told))
}

/// Four connections that wait as told. At the end of its wait each has paid for what it sent, so together they sent no
/// more than the quota, the window's worth, and what the others had under way.
#[test]
fn producers_of_one_client_share_its_byte_rate() {
    const QUOTA: f64 = 200_000.0;
    // One window beside the present one: what goes through at once is a second's worth.
    let broker = Broker::start_with(|launch| launch.option("quota.window.num=2"));
    let mut client = broker.client();
    client.create_topic("t", 4);
    assert_eq!(alter(&mut client, "producer_byte_rate", Some(QUOTA)), ErrorCode::None);
    let batch = batch_of(&[&"x".repeat(20_000)]);
    let began = Instant::now();
    let producers: Vec<_> = (0..4)
        .map(|partition| {
            let (mut client, batch) = (broker.client(), batch.clone());
            thread::spawn(move || {
                let (mut sum, mut waits) = (0, 0);
                while waits < 6 {
                    let (bytes, wait) = produce_some(&mut client, partition, &batch);
                    sum += bytes;
                    waits += usize::from(!wait.is_zero());
                    // The broker does not read meanwhile in any case; this is what a good client does.
                    thread::sleep(wait);
                }
                sum
            })
        })
        .collect();
    let sum: usize = producers.into_iter().map(|producer| producer.join().expect("it ends")).sum();
    let seconds = began.elapsed().as_secs_f64();
    let allowed = QUOTA * (seconds + 1.0) + 4.0 * 21_000.0;
    assert!((sum as f64) < allowed, "{sum} bytes in {seconds} s");
    assert!(sum as f64 > QUOTA, "{sum} bytes in {seconds} s: they were held back too much");
}

#[test]
fn a_consumer_is_held_to_its_byte_rate_and_gets_everything() {
    const QUOTA: f64 = 100_000.0;
    let broker = Broker::start_with(|launch| launch.option("quota.window.num=2"));
    let mut client = broker.client();
    client.create_topic("t", 1);
    let batch = batch_of(&[&"x".repeat(20_000)]);
    for _ in 0..15 {
        client.must_produce("t", 0, &batch);
    }
    assert_eq!(alter(&mut client, "consumer_byte_rate", Some(QUOTA)), ErrorCode::None);
    let (mut next, mut bytes, mut empty) = (0, 0, 0);
    let began = Instant::now();
    while next < 15 {
        let answer = client.call(FETCH, &FetchAt::new("t", 0, next).request());
        let view = view!(fetch, answer);
        if view.throttle_time_ms > 0 && view.responses.is_empty() {
            empty += 1;
            thread::sleep(Duration::from_millis(view.throttle_time_ms as u64));
            continue;
        }
        let fetched = broker::client::fetched(&answer);
        assert_eq!(fetched.code, ErrorCode::None);
        bytes += fetched.bytes.len();
        next += broker::batch::records(&fetched.bytes, next).len() as i64;
    }
    let seconds = began.elapsed().as_secs_f64();
    assert!(empty > 0, "it was never told to wait");
    assert!(bytes as f64 <= QUOTA * (seconds + 1.0), "{bytes} bytes in {seconds} s");
}

#[test]
fn quotas_survive_a_kill() {
    let mut broker = Broker::start();
    let mut client = broker.client();
    assert_eq!(alter(&mut client, "producer_byte_rate", Some(1024.0)), ErrorCode::None);
    assert_eq!(alter(&mut client, "consumer_byte_rate", Some(2048.0)), ErrorCode::None);
    assert_eq!(alter(&mut client, "consumer_byte_rate", None), ErrorCode::None);
    assert_eq!(alter(&mut client, "producer_byte_rate", Some(-1.0)), ErrorCode::InvalidRequest);
    let expected = [("producer_byte_rate".to_owned(), 1024.0)];
    assert_eq!(described(&mut client), expected);
    broker.kill();
    broker.restart();
    assert_eq!(described(&mut broker.client()), expected);
}
