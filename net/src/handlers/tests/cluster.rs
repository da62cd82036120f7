//! What is told and asked of replicas, their leaders, their folders and their producers.

use model::{ErrorCode, batch::record::Producer};

use super::{
    produce::produce,
    world::{BROKER, DIRECTORY, WALL, World, batch, batch_by, code},
};
use crate::wire::{
    ApiKey,
    messages::{
        alter_partition_reassignments as reassign, alter_replica_log_dirs as log_dirs, describe_log_dirs,
        describe_producers, describe_quorum, elect_leaders, list_partition_reassignments,
    },
};

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
    // These worlds keep their metadata in no log.
    let body = quorum(&mut world, 2, &[("__cluster_metadata", &[0])]);
    let view = describe_quorum::ResponseView::decode(&body, 2).unwrap();
    assert_eq!(code(view.error_code), ErrorCode::NotLeaderOrFollower);
}

#[test]
fn this_broker_is_the_only_voter() {
    for shards in [1, 2] {
        let mut world = World::of(shards);
        world.open_metadata_log();
        for version in 0..=2 {
            let body = quorum(&mut world, version, &[("__cluster_metadata", &[0])]);
            let view = describe_quorum::ResponseView::decode(&body, version).unwrap();
            let partition = view.topics.iter().next().unwrap().partitions.iter().next().unwrap();
            assert_eq!((view.error_code, partition.error_code), (0, 0));
            assert_eq!((partition.leader_id, partition.leader_epoch), (BROKER.0, 5));
            let voter = partition.current_voters.iter().next().unwrap();
            assert_eq!((partition.current_voters.len(), partition.observers.len()), (1, 0));
            assert_eq!((voter.replica_id, voter.log_end_offset), (BROKER.0, partition.high_watermark));
            if version >= 1 {
                assert_eq!((voter.last_fetch_timestamp, voter.last_caught_up_timestamp), (WALL.0, WALL.0));
            }
            if version == 2 {
                assert_eq!(voter.replica_directory_id, DIRECTORY);
                let node = view.nodes.iter().next().unwrap();
                let listeners: Vec<_> = node.listeners.iter().map(|l| (l.name, l.host, l.port)).collect();
                assert_eq!(node.node_id, BROKER.0);
                assert_eq!(listeners, [("PLAINTEXT", "broker", 9092), ("OTHER", "elsewhere", 9093)]);
            }
        }
    }
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

#[test]
fn replicas_stay_where_they_are() {
    use ErrorCode::*;
    let mut world = World::of(2);
    world.topic("t", 1, &[]);
    let mut alter = |version, partition_index, replicas: Option<Vec<i32>>| {
        let partitions = vec![reassign::ReassignablePartition { partition_index, replicas }];
        let topics = vec![reassign::ReassignableTopic { name: "t".into(), partitions }];
        let seen = world.call(version, &reassign::Request { topics, ..Default::default() });
        let body = seen.body(ApiKey::AlterPartitionReassignments, version);
        let view = reassign::ResponseView::decode(body, version).unwrap();
        assert_eq!((view.error_code, view.allow_replication_factor_change), (0, true));
        let partition = view.responses.iter().next().unwrap().partitions.iter().next().unwrap();
        assert_eq!(partition.error_code == 0, partition.error_message.is_none());
        code(partition.error_code)
    };
    for version in [0, 1] {
        assert_eq!(alter(version, 0, Some(vec![BROKER.0])), None);
        assert_eq!(alter(version, 0, Some(vec![BROKER.0 + 1])), InvalidReplicaAssignment);
        assert_eq!(alter(version, 0, Option::None), NoReassignmentInProgress);
        assert_eq!(alter(version, 1, Option::None), UnknownTopicOrPartition);
    }
    let seen = world.call(0, &list_partition_reassignments::Request::default());
    let body = seen.body(ApiKey::ListPartitionReassignments, 0);
    let view = list_partition_reassignments::ResponseView::decode(body, 0).unwrap();
    assert_eq!((view.error_code, view.topics.len()), (0, 0));
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
