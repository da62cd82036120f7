//! What is told and asked of replicas, their leaders, their folders and their producers.

use model::{BrokerId, ErrorCode, batch::record::Producer};

use super::{
    produce::produce,
    world::{BROKER, DIRECTORY, WALL, World, batch, batch_by, code},
};
use crate::wire::{
    ApiKey,
    messages::{
        add_raft_voter, alter_partition_reassignments as reassign, alter_replica_log_dirs as log_dirs,
        describe_log_dirs, describe_producers, describe_quorum, elect_leaders, list_partition_reassignments,
        remove_raft_voter, unregister_broker, update_features,
    },
};

/// Another one in the same quorum; it registers where a test says so.
const OTHER: BrokerId = BrokerId(BROKER.0 + 1);

#[test]
fn producers_of_a_partition_are_told_by_its_owner() {
    for shards in [1, 3] {
        let mut world = World::of(shards);
        world.topic("t", 4, &[]);
        let producer = |id, base_sequence| Producer { id, epoch: 2, base_sequence };
        produce(&mut world, "t", 1, &batch_by(producer(70, 0), &["a", "b"]));
        produce(&mut world, "t", 1, &batch_by(producer(70, 2), &["c"]));
        produce(&mut world, "t", 1, &batch_by(producer(60, 0), &["d"]));
        produce(&mut world, "t", 2, &batch(&["without"]));
        let topic = |name: &'static str, partition_indexes| describe_producers::TopicRequest {
            name: name.into(),
            partition_indexes,
        };
        let topics = vec![topic("t", vec![2, 1, 9, 1]), topic("u", vec![0]), topic("a b", vec![0])];
        let before = world.crossed;
        let seen = world.call(0, &describe_producers::Request { topics });
        assert!(world.crossed - before <= 2 * usize::from(shards), "one message a shard, and one back");
        let view =
            describe_producers::ResponseView::decode(seen.body(ApiKey::DescribeProducers, 0), 0).unwrap();
        let told: Vec<_> = view
            .topics
            .iter()
            .flat_map(|t| t.partitions.iter().map(move |p| (t.name, p.partition_index, code(p.error_code))))
            .collect();
        use ErrorCode::*;
        assert_eq!(
            told,
            [
                ("t", 2, None),
                ("t", 1, None),
                ("t", 9, UnknownTopicOrPartition),
                ("u", 0, UnknownTopicOrPartition),
                ("a b", 0, InvalidTopicException),
            ]
        );
        let first = view.topics.iter().next().unwrap();
        let active: Vec<Vec<_>> = first
            .partitions
            .iter()
            .map(|p| {
                p.active_producers
                    .iter()
                    .map(|p| (p.producer_id, p.producer_epoch, p.last_sequence, p.last_timestamp))
                    .collect()
            })
            .collect();
        assert_eq!(active[0], []);
        assert_eq!(active[1], [(60, 2, 0, WALL.0), (70, 2, 2, WALL.0)]);
        let one = first.partitions.iter().nth(1).unwrap().active_producers.iter().next().unwrap();
        assert_eq!((one.coordinator_epoch, one.current_txn_start_offset), (-1, -1));
    }
}

fn quorum(world: &mut World, version: i16, asked: &[(&'static str, &[i32])]) -> Vec<u8> {
    let partition = |&partition_index: &i32| describe_quorum::RequestPartition { partition_index };
    let topics = asked
        .iter()
        .map(|&(topic, partitions)| describe_quorum::RequestTopic {
            topic_name: topic.into(),
            partitions: partitions.iter().map(partition).collect(),
        })
        .collect();
    let seen = world.call(version, &describe_quorum::Request { topics });
    seen.body(ApiKey::DescribeQuorum, version).to_vec()
}

#[test]
fn only_the_metadata_log_has_a_quorum() {
    let mut world = World::of(2);
    let of = "__cluster_metadata";
    let others: [Vec<(&'static str, &[i32])>; 4] =
        [vec![("t", &[0])], vec![(of, &[1])], vec![(of, &[0, 0])], vec![(of, &[0]), ("t", &[0])]];
    for asked in &others {
        let body = quorum(&mut world, 2, asked);
        let view = describe_quorum::ResponseView::decode(&body, 2).unwrap();
        assert_eq!((view.error_code, view.nodes.len()), (0, 0));
        let mut partitions = view.topics.iter().flat_map(|topic| topic.partitions.iter());
        assert!(partitions.all(|p| code(p.error_code) == ErrorCode::UnknownTopicOrPartition), "{asked:?}");
    }
    let body = quorum(&mut world, 2, &[]);
    assert_eq!(describe_quorum::ResponseView::decode(&body, 2).unwrap().topics.len(), 0);
}

#[test]
fn the_controller_tells_of_its_quorum() {
    for shards in [1, 2] {
        let mut world = World::of(shards);
        world.broker(OTHER);
        for version in 0..=2 {
            let body = quorum(&mut world, version, &[("__cluster_metadata", &[0])]);
            let view = describe_quorum::ResponseView::decode(&body, version).unwrap();
            let partition = view.topics.iter().next().unwrap().partitions.iter().next().unwrap();
            assert_eq!((view.error_code, partition.error_code), (0, 0));
            assert_eq!((partition.leader_id, partition.leader_epoch), (BROKER.0, 5));
            assert_eq!(partition.high_watermark, 40);
            let told = |replica: describe_quorum::ReplicaStateView| {
                let at = (replica.last_fetch_timestamp, replica.last_caught_up_timestamp);
                (replica.replica_id, replica.log_end_offset, at, replica.replica_directory_id)
            };
            let replicas = partition.current_voters.iter().chain(partition.observers.iter());
            let mut expected = [
                (BROKER.0, 42, (WALL.0, WALL.0), DIRECTORY),
                (OTHER.0, 40, (WALL.0 - 250, WALL.0 - 250), [0xd2; 16]),
                (OTHER.0 + 1, -1, (-1, -1), [0; 16]),
            ];
            for replica in &mut expected {
                (replica.2, replica.3) = match version {
                    0 => ((-1, -1), [0; 16]),
                    1 => (replica.2, [0; 16]),
                    _ => (replica.2, replica.3),
                };
            }
            assert_eq!(replicas.map(told).collect::<Vec<_>>(), expected, "version {version}");
            assert_eq!(partition.observers.len(), 1);
            if version == 2 {
                let listeners: Vec<_> = view
                    .nodes
                    .iter()
                    .flat_map(|n| n.listeners.iter().map(move |l| (n.node_id, l.name, l.host, l.port)))
                    .collect();
                let own = |name, host, port| (BROKER.0, name, host, port);
                let others = |name, host, port| (OTHER.0, name, host, port);
                let expected = [
                    own("PLAINTEXT", "broker", 9092),
                    own("OTHER", "elsewhere", 9093),
                    others("PLAINTEXT", "broker", 9092),
                    others("OTHER", "elsewhere", 9093),
                ];
                assert_eq!(listeners, expected);
            }
        }
    }
}

fn add_voter(world: &mut World, version: i16, request: &add_raft_voter::Request<'_>) -> ErrorCode {
    let seen = world.call(version, request);
    let body = seen.body(ApiKey::AddRaftVoter, version);
    let view = add_raft_voter::ResponseView::decode(body, version).unwrap();
    assert_eq!(view.error_code == 0, view.error_message.is_none());
    code(view.error_code)
}

fn remove_voter(world: &mut World, cluster_id: Option<&'static str>, voter_id: i32) -> ErrorCode {
    let cluster_id = cluster_id.map(Into::into);
    let seen = world.call(0, &remove_raft_voter::Request { cluster_id, voter_id, ..Default::default() });
    let body = seen.body(ApiKey::RemoveRaftVoter, 0);
    let view = remove_raft_voter::ResponseView::decode(body, 0).unwrap();
    assert_eq!(view.error_code == 0, view.error_message.is_none());
    code(view.error_code)
}

#[test]
fn voters_come_and_go() {
    use ErrorCode::*;
    let mut world = World::of(2);
    for version in 0..=1 {
        let request = |voter_id, cluster_id: Option<&'static str>| add_raft_voter::Request {
            cluster_id: cluster_id.map(Into::into),
            timeout_ms: 1000,
            voter_id,
            ..Default::default()
        };
        let observer = OTHER.0 + 1;
        assert_eq!(add_voter(&mut world, version, &request(observer, Some("cluster-1"))), None);
        assert_eq!(add_voter(&mut world, version, &request(observer, Option::None)), None);
        assert_eq!(add_voter(&mut world, version, &request(observer, Some("c"))), InconsistentClusterId);
        assert_eq!(add_voter(&mut world, version, &request(OTHER.0, Option::None)), DuplicateVoter);
        let hurried = add_raft_voter::Request { timeout_ms: -1, ..request(observer, Option::None) };
        assert_eq!(add_voter(&mut world, version, &hurried), RequestTimedOut);
    }
    assert_eq!(remove_voter(&mut world, Some("cluster-1"), OTHER.0), None);
    assert_eq!(remove_voter(&mut world, Some(""), OTHER.0), InconsistentClusterId);
    assert_eq!(remove_voter(&mut world, Option::None, OTHER.0 + 1), VoterNotFound);
}

#[test]
fn a_broker_is_forgotten_once() {
    let mut world = World::of(2);
    world.broker(OTHER);
    let mut unregister = || {
        let seen = world.call(0, &unregister_broker::Request { broker_id: OTHER.0 });
        let body = seen.body(ApiKey::UnregisterBroker, 0);
        let view = unregister_broker::ResponseView::decode(body, 0).unwrap();
        (code(view.error_code), view.error_message.is_some())
    };
    assert_eq!(unregister(), (ErrorCode::None, false));
    assert_eq!(unregister(), (ErrorCode::BrokerIdNotRegistered, true));
    assert!(world.image().broker(OTHER).is_none());
}

#[test]
fn features_have_one_level() {
    use ErrorCode::*;
    let mut world = World::of(1);
    let mut update = |version: i16, max_version_level, allow_downgrade, upgrade_type| {
        let feature = update_features::FeatureUpdateKey {
            feature: "group.version".into(),
            max_version_level,
            allow_downgrade,
            upgrade_type,
        };
        let request = update_features::Request { feature_updates: vec![feature], ..Default::default() };
        let seen = world.call(version, &request);
        let body = seen.body(ApiKey::UpdateFeatures, version);
        let view = update_features::ResponseView::decode(body, version).unwrap();
        let results = view.results.iter().map(|result| (result.feature.to_owned(), code(result.error_code)));
        (code(view.error_code), results.collect::<Vec<_>>())
    };
    let each = vec![("group.version".to_owned(), None)];
    assert_eq!(update(0, 1, false, 1), (None, each.clone()));
    assert_eq!(update(1, 1, false, 1), (None, each));
    assert_eq!(update(2, 1, false, 1), (None, vec![]));
    assert_eq!(update(0, 0, true, 1), (InvalidUpdateVersion, vec![]));
    assert_eq!(update(2, 2, false, 1), (InvalidUpdateVersion, vec![]));
    assert_eq!(update(1, 1, false, 9), (InvalidUpdateVersion, vec![]));
}

type Elected = Vec<(String, Vec<(i32, ErrorCode)>)>;

fn elect(
    world: &mut World,
    version: i16,
    election_type: i8,
    asked: Option<&[(&'static str, &[i32])]>,
) -> (i16, Elected) {
    let topic = |&(topic, partitions): &(&'static str, &[i32])| elect_leaders::TopicPartitions {
        topic: topic.into(),
        partitions: partitions.to_vec(),
    };
    let topic_partitions = asked.map(|asked| asked.iter().map(topic).collect());
    let request = elect_leaders::Request { election_type, topic_partitions, ..Default::default() };
    let seen = world.call(version, &request);
    let view =
        elect_leaders::ResponseView::decode(seen.body(ApiKey::ElectLeaders, version), version).unwrap();
    let results = view.replica_election_results.iter().map(|result| {
        let partitions = result.partition_result.iter().map(|p| (p.partition_id, code(p.error_code)));
        (result.topic.to_owned(), partitions.collect())
    });
    (view.error_code, results.collect())
}

#[test]
fn nothing_is_elected_where_everything_is_led() {
    use ErrorCode::*;
    let mut world = World::of(1);
    world.topic("t", 2, &[]);
    let unknown = UnknownTopicOrPartition;
    for version in 0..=2 {
        let (error, results) = elect(&mut world, version, 0, Some(&[("t", &[1, 9]), ("u", &[0])]));
        let expected = [
            ("t".to_owned(), vec![(1, ElectionNotNeeded), (9, unknown)]),
            ("u".to_owned(), vec![(0, unknown)]),
        ];
        assert_eq!((error, results), (0, expected.to_vec()));
        let all = elect(&mut world, version, 0, Option::None);
        assert_eq!(all, (0, vec![("t".to_owned(), vec![])]), "what needs none is left out");
        assert_eq!(elect(&mut world, version, 0, Some(&[])), (0, vec![]));
    }
    assert_eq!(elect(&mut world, 2, 1, Some(&[("t", &[0])])).1[0].1, [(0, ElectionNotNeeded)]);
    let (error, results) = elect(&mut world, 2, 9, Some(&[("t", &[0])]));
    assert_eq!((code(error), results[0].1[0].1), (InvalidRequest, InvalidRequest));
}

fn reassigned(world: &mut World, version: i16, index: i32, replicas: Option<&[i32]>) -> ErrorCode {
    let replicas = replicas.map(<[i32]>::to_vec);
    let partitions = vec![reassign::ReassignablePartition { partition_index: index, replicas }];
    let topics = vec![reassign::ReassignableTopic { name: "t".into(), partitions }];
    let seen = world.call(version, &reassign::Request { topics, ..Default::default() });
    let body = seen.body(ApiKey::AlterPartitionReassignments, version);
    let view = reassign::ResponseView::decode(body, version).unwrap();
    assert_eq!((view.error_code, view.allow_replication_factor_change), (0, true));
    let partition = view.responses.iter().next().unwrap().partitions.iter().next().unwrap();
    assert_eq!(
        (partition.partition_index, partition.error_code == 0),
        (index, partition.error_message.is_none())
    );
    code(partition.error_code)
}

/// Topic, partition, replicas, adding, removing.
type Moves = Vec<(String, i32, Vec<i32>, Vec<i32>, Vec<i32>)>;

fn moves(world: &mut World, asked: Option<&[(&'static str, &[i32])]>) -> Moves {
    let topic = |&(name, indexes): &(&'static str, &[i32])| {
        list_partition_reassignments::ListPartitionReassignmentsTopics {
            name: name.into(),
            partition_indexes: indexes.to_vec(),
        }
    };
    let topics = asked.map(|asked| asked.iter().map(topic).collect());
    let seen = world.call(0, &list_partition_reassignments::Request { topics, ..Default::default() });
    let body = seen.body(ApiKey::ListPartitionReassignments, 0);
    let view = list_partition_reassignments::ResponseView::decode(body, 0).unwrap();
    assert_eq!(view.error_code, 0);
    let mut moves = Moves::new();
    for topic in view.topics {
        moves.extend(topic.partitions.iter().map(|p| {
            let (adding, removing) = (p.adding_replicas.iter(), p.removing_replicas.iter());
            let (name, replicas) = (topic.name.to_owned(), p.replicas.iter().collect());
            (name, p.partition_index, replicas, adding.collect(), removing.collect())
        }));
    }
    moves
}

#[test]
fn replicas_move_and_the_move_can_be_called_off() {
    use ErrorCode::*;
    let mut world = World::of(2);
    world.topic("t", 2, &[]);
    let (here, there) = (BROKER.0, OTHER.0);
    for version in [0, 1] {
        assert_eq!(reassigned(&mut world, version, 0, Some(&[here])), None, "it is there already");
        assert_eq!(reassigned(&mut world, version, 0, Some(&[there])), InvalidReplicaAssignment);
        assert_eq!(reassigned(&mut world, version, 0, Option::None), NoReassignmentInProgress);
        assert_eq!(reassigned(&mut world, version, 9, Option::None), UnknownTopicOrPartition);
    }
    world.broker(OTHER);
    assert_eq!(moves(&mut world, Option::None), []);
    assert_eq!(reassigned(&mut world, 1, 1, Some(&[there])), None);
    let under_way = [("t".to_owned(), 1, vec![there, here], vec![there], vec![here])];
    assert_eq!(moves(&mut world, Option::None), under_way);
    assert_eq!(moves(&mut world, Some(&[("t", &[0, 1, 9]), ("u", &[0])])), under_way);
    assert_eq!(moves(&mut world, Some(&[("t", &[0])])), []);
    assert_eq!(moves(&mut world, Some(&[])), []);
    assert!(
        world.shards.iter().all(|shard| shard.image().topic("t").unwrap().partitions[1].is_reassigning())
    );
    assert_eq!(reassigned(&mut world, 1, 1, Option::None), None);
    assert_eq!(moves(&mut world, Option::None), []);
    assert_eq!(world.image().topic("t").unwrap().partitions[1].replicas, [BROKER]);
}

#[test]
fn a_request_for_too_many_changes_is_refused_as_a_whole() {
    let mut world = World::of(1);
    world.topic("t", 1, &[]);
    let partition = |partition_index| reassign::ReassignablePartition { partition_index, replicas: None };
    let partitions = (0..10_001).map(partition).collect();
    let topics = vec![reassign::ReassignableTopic { name: "t".into(), partitions }];
    let seen = world.call(1, &reassign::Request { topics, ..Default::default() });
    let body = seen.body(ApiKey::AlterPartitionReassignments, 1);
    let view = reassign::ResponseView::decode(body, 1).unwrap();
    assert_eq!((code(view.error_code), view.responses.len()), (ErrorCode::PolicyViolation, 0));
    let indexes: Vec<i32> = (0..10_001).collect();
    let (error, results) = elect(&mut world, 1, 0, Some(&[("t", &indexes)]));
    assert_eq!((code(error), results[0].1.len()), (ErrorCode::PolicyViolation, 10_001));
}

#[test]
fn there_is_one_log_directory_to_be_in() {
    use ErrorCode::*;
    let mut world = World::of(2);
    world.topic("t", 2, &[]);
    let mut alter = |version, dirs: &[(&'static str, &'static str, i32)]| {
        let dirs = dirs
            .iter()
            .map(|&(path, topic, partition)| {
                let partitions = vec![partition];
                let topics = vec![log_dirs::AlterReplicaLogDirTopic { name: topic.into(), partitions }];
                log_dirs::AlterReplicaLogDir { path: path.into(), topics }
            })
            .collect();
        let seen = world.call(version, &log_dirs::Request { dirs });
        let body = seen.body(ApiKey::AlterReplicaLogDirs, version);
        let view = log_dirs::ResponseView::decode(body, version).unwrap();
        let results = view.results.iter().flat_map(|t| {
            t.partitions.iter().map(move |p| (t.topic_name.to_owned(), p.partition_index, code(p.error_code)))
        });
        results.collect::<Vec<_>>()
    };
    let t = |index, code| ("t".to_owned(), index, code);
    for version in [1, 2] {
        assert_eq!(alter(version, &[("/data", "t", 0), ("/data", "t", 1)]), [t(0, None), t(1, None)]);
        assert_eq!(alter(version, &[("/other", "t", 0)]), [t(0, LogDirNotFound)]);
        assert_eq!(alter(version, &[("/data", "t", 9)]), [t(9, UnknownTopicOrPartition)]);
        assert_eq!(alter(version, &[("/other", "t", 0), ("/data", "t", 0)]), [t(0, None)]);
    }
    let told = |world: &mut World, version: i16| {
        let seen = world.call(version, &describe_log_dirs::Request::default());
        let body = seen.body(ApiKey::DescribeLogDirs, version);
        let view = describe_log_dirs::ResponseView::decode(body, version).unwrap();
        let dir = view.results.iter().next().unwrap();
        (dir.log_dir.to_owned(), dir.total_bytes, dir.usable_bytes)
    };
    world.disk.set_capacity(1 << 40);
    let (name, total, usable) = told(&mut world, 4);
    assert_eq!((name.as_str(), total), ("/data", 1 << 40));
    assert!(0 < usable && usable < total, "the journals take their part: {usable}");
    assert_eq!(told(&mut world, 3).1, -1);
}
