//! Requests for the controller, and a controller that dies under them.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use model::ErrorCode;
use net::wire::messages::create_topics;

use crate::{
    broker::{PATIENCE, client::code, client::view, wait_for},
    cluster::{Cluster, try_client},
};

fn request(name: String) -> create_topics::Request<'static> {
    let topic = create_topics::CreatableTopic {
        name: name.into(),
        num_partitions: 1,
        replication_factor: 1,
        ..Default::default()
    };
    create_topics::Request { topics: vec![topic], timeout_ms: 30_000, ..Default::default() }
}

/// Each request of a client of another broker is answered, on the same connection, while controllers die and come back.
#[test]
fn a_controller_that_dies_closes_no_connection_to_another_broker() {
    let mut cluster = Cluster::start();
    let (answered, ended) = (AtomicBool::new(false), AtomicBool::new(false));
    for round in 0..3 {
        let controller = cluster.controller();
        let other = cluster.running().into_iter().find(|&id| id != controller).expect("three are running");
        let mut client = try_client(&cluster.addresses()[&other]).expect("it serves");
        client.set_patience(PATIENCE);
        answered.store(false, Ordering::Relaxed);
        ended.store(false, Ordering::Relaxed);
        let (answered, ended) = (&answered, &ended);
        thread::scope(|scope| {
            let asking = scope.spawn(move || {
                let mut codes = Vec::new();
                while !ended.load(Ordering::Relaxed) {
                    let name = format!("t-{round}-{}", codes.len());
                    let answer = client.call(7, &request(name));
                    let told = view!(create_topics, answer);
                    codes.push(code(told.topics.iter().next().expect("one topic").error_code));
                    answered.store(true, Ordering::Relaxed);
                }
                codes
            });
            let asks = || answered.load(Ordering::Relaxed).then_some(());
            wait_for("the controller decides", PATIENCE, asks);
            cluster.kill(controller);
            answered.store(false, Ordering::Relaxed);
            wait_for("another one decides", PATIENCE, asks);
            ended.store(true, Ordering::Relaxed);
            let codes = asking.join().expect("every request is answered");
            // Nothing, or that nobody knows, or that nobody decides now.
            let fine = |&code: &ErrorCode| code == ErrorCode::None || code.is_retriable();
            assert!(codes.iter().all(fine), "{codes:?}");
            assert_eq!(codes[0], ErrorCode::None);
        });
        cluster.restart(controller);
    }
}

/// Nobody can decide: that is said, and soon enough for a client that waits as long as most do.
#[test]
fn without_a_majority_a_request_is_answered_with_an_error() {
    let mut cluster = Cluster::start();
    cluster.kill(1);
    cluster.kill(2);
    let mut client = try_client(&cluster.addresses()[&3]).expect("it serves");
    client.set_patience(Duration::from_secs(30));
    let answer = client.call(7, &request("t".to_owned()));
    let told = view!(create_topics, answer);
    let told = code(told.topics.iter().next().expect("one topic").error_code);
    assert!(matches!(told, ErrorCode::NotController | ErrorCode::RequestTimedOut), "{told:?}");
}
