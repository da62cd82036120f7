//! Requests that go to the controller's broker, and come to nothing there.

use model::ErrorCode;

use super::world::{World, code};
use crate::wire::{
    ApiKey,
    messages::{
        add_raft_voter, alter_client_quotas, alter_configs, alter_partition_reassignments as reassign,
        create_partitions, create_topics, delete_topics, describe_quorum, elect_leaders,
        incremental_alter_configs, remove_raft_voter, unregister_broker, update_features,
    },
};

/// One of several, whose controller never answers.
fn world() -> World {
    World::with(
        2,
        &[("controller.quorum.voters", "7@127.0.0.1:1,8@127.0.0.1:2"), ("cluster.certificates", "c")],
    )
}

/// Once such a request closed its connection, so a client could not tell it from a broker that died.
#[test]
fn whatever_comes_to_nothing_is_answered_where_its_answer_has_errors() {
    let mut world = world();
    macro_rules! check {
        ($api:ident, $module:ident, $versions:expr, $request:expr, |$view:ident| $codes:expr) => {
            for version in $versions {
                let seen = world.call(version, &$request);
                let $view = $module::ResponseView::decode(seen.body(ApiKey::$api, version), version).unwrap();
                let codes: Vec<i16> = $codes;
                let told = codes.iter().all(|&told| code(told) == ErrorCode::RequestTimedOut);
                assert!(told && !codes.is_empty(), "{:?} {version}: {codes:?}", ApiKey::$api);
            }
        };
    }
    let named = || create_topics::CreatableTopic {
        name: "t".into(),
        num_partitions: 1,
        replication_factor: 1,
        ..Default::default()
    };
    let request = || create_topics::Request { topics: vec![named()], ..Default::default() };
    check!(CreateTopics, create_topics, 2..=7, request(), |view| {
        view.topics.iter().map(|topic| topic.error_code).collect()
    });

    let by_id = || delete_topics::DeleteTopicState { name: Some("t".into()), ..Default::default() };
    let request = || delete_topics::Request {
        topics: vec![by_id()],
        topic_names: vec!["t".into()],
        ..Default::default()
    };
    check!(DeleteTopics, delete_topics, 1..=6, request(), |view| {
        view.responses.iter().map(|topic| topic.error_code).collect()
    });

    let grown = || create_partitions::CreatePartitionsTopic { name: "t".into(), count: 9, assignments: None };
    let request = || create_partitions::Request { topics: vec![grown()], ..Default::default() };
    check!(CreatePartitions, create_partitions, 0..=3, request(), |view| {
        view.results.iter().map(|topic| topic.error_code).collect()
    });

    let resource = || alter_configs::AlterConfigsResource {
        resource_type: 2,
        resource_name: "t".into(),
        configs: vec![],
    };
    let request = || alter_configs::Request { resources: vec![resource()], validate_only: false };
    check!(AlterConfigs, alter_configs, 0..=2, request(), |view| {
        view.responses.iter().map(|resource| resource.error_code).collect()
    });

    let resource = || incremental_alter_configs::AlterConfigsResource {
        resource_type: 4,
        resource_name: "8".into(),
        configs: vec![],
    };
    let request = || incremental_alter_configs::Request { resources: vec![resource()], validate_only: false };
    check!(IncrementalAlterConfigs, incremental_alter_configs, 0..=1, request(), |view| {
        view.responses.iter().map(|resource| resource.error_code).collect()
    });

    let request = || alter_client_quotas::Request { entries: vec![Default::default()], validate_only: false };
    check!(AlterClientQuotas, alter_client_quotas, 0..=1, request(), |view| {
        view.entries.iter().map(|entry| entry.error_code).collect()
    });

    let named = || elect_leaders::TopicPartitions { topic: "t".into(), partitions: vec![0] };
    let request = || elect_leaders::Request { topic_partitions: Some(vec![named()]), ..Default::default() };
    check!(ElectLeaders, elect_leaders, 0..=2, request(), |view| {
        let results = view.replica_election_results.iter();
        results.flat_map(|topic| topic.partition_result.iter()).map(|result| result.error_code).collect()
    });

    let moved = || reassign::ReassignableTopic { name: "t".into(), partitions: vec![Default::default()] };
    let request = || reassign::Request { topics: vec![moved()], ..Default::default() };
    check!(AlterPartitionReassignments, reassign, 0..=1, request(), |view| vec![view.error_code]);

    let request = || {
        let partitions = vec![describe_quorum::RequestPartition { partition_index: 0 }];
        let topic = describe_quorum::RequestTopic { topic_name: "__cluster_metadata".into(), partitions };
        describe_quorum::Request { topics: vec![topic] }
    };
    check!(DescribeQuorum, describe_quorum, 0..=2, request(), |view| vec![view.error_code]);

    let request = || update_features::Request::default();
    check!(UpdateFeatures, update_features, 0..=2, request(), |view| vec![view.error_code]);

    let request = || unregister_broker::Request { broker_id: 8 };
    check!(UnregisterBroker, unregister_broker, 0..=0, request(), |view| vec![view.error_code]);

    let request = || add_raft_voter::Request::default();
    check!(AddRaftVoter, add_raft_voter, 0..=1, request(), |view| vec![view.error_code]);

    let request = || remove_raft_voter::Request::default();
    check!(RemoveRaftVoter, remove_raft_voter, 0..=0, request(), |view| vec![view.error_code]);
}
