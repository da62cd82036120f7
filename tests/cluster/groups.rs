//! Groups of consumers when their coordinator dies.

use std::io;

use model::ErrorCode;
use net::wire::messages::{find_coordinator, offset_commit, offset_fetch};

use crate::{
    broker::{Client, PATIENCE, batch_of, client::code, client::view, wait_for},
    cluster::{Cluster, must_produce, try_client},
};

const GROUP: &str = "readers";
const TOPIC: &str = "t";

/// As any broker that answers says.
fn coordinator(cluster: &Cluster) -> i32 {
    let asked = find_coordinator::Request { coordinator_keys: vec![GROUP.into()], ..Default::default() };
    wait_for("a coordinator", PATIENCE, || {
        let answer = cluster.client().call(4, &asked);
        let view = view!(find_coordinator, answer);
        let found = view.coordinators.iter().next()?;
        (found.error_code == 0 && cluster.running().contains(&found.node_id)).then_some(found.node_id)
    })
}

/// One call to whoever coordinates by then, until it is neither lost nor to be made again.
fn at_coordinator<T>(
    cluster: &Cluster,
    what: &str,
    mut call: impl FnMut(&mut Client) -> io::Result<(ErrorCode, T)>,
) -> T {
    wait_for(what, PATIENCE, || {
        let address = &cluster.addresses()[&coordinator(cluster)];
        match call(&mut try_client(address)?) {
            Ok((ErrorCode::None, value)) => Some(value),
            Ok((code, _)) if code.is_retriable() => None,
            Ok((code, _)) => panic!("{what}: {code:?}"),
            Err(_) => None,
        }
    })
}

fn commit(cluster: &Cluster, offset: i64) {
    let partition = offset_commit::OffsetCommitRequestPartition {
        partition_index: 0,
        committed_offset: offset,
        committed_metadata: Some("".into()),
        ..Default::default()
    };
    let topic = offset_commit::OffsetCommitRequestTopic {
        name: TOPIC.into(),
        partitions: vec![partition],
        ..Default::default()
    };
    let asked = offset_commit::Request { group_id: GROUP.into(), topics: vec![topic], ..Default::default() };
    at_coordinator(cluster, "an offset is committed", |client| {
        let sent = client.try_send(8, &asked)?;
        let answer = client.try_receive(sent)?;
        let view = view!(offset_commit, answer);
        let topic = view.topics.iter().next().expect("one topic");
        Ok((code(topic.partitions.iter().next().expect("one partition").error_code), ()))
    });
}

fn committed(cluster: &Cluster) -> i64 {
    let topic = offset_fetch::OffsetFetchRequestTopics {
        name: TOPIC.into(),
        partition_indexes: vec![0],
        ..Default::default()
    };
    let group = offset_fetch::OffsetFetchRequestGroup {
        group_id: GROUP.into(),
        topics: Some(vec![topic]),
        ..Default::default()
    };
    let asked = offset_fetch::Request { groups: vec![group], ..Default::default() };
    at_coordinator(cluster, "the offset is told", |client| {
        let sent = client.try_send(8, &asked)?;
        let answer = client.try_receive(sent)?;
        let view = view!(offset_fetch, answer);
        let group = view.groups.iter().next().expect("one group");
        let partition = group.topics.iter().flat_map(|topic| topic.partitions.iter()).next();
        Ok((code(group.error_code), partition.map_or(-1, |partition| partition.committed_offset)))
    })
}

#[test]
fn committed_offsets_survive_their_coordinator() {
    let mut cluster = Cluster::start();
    cluster.create_topic(TOPIC, 1, 3);
    let leader = cluster.wait_for_isr(TOPIC, 3)[0].leader.expect("it has one");
    must_produce(&cluster, leader, TOPIC, 0, &batch_of(&["a", "b", "c"]));
    for offset in 1..=3 {
        commit(&cluster, offset);
        let coordinator = coordinator(&cluster);
        cluster.kill(coordinator);
        assert_eq!(committed(&cluster), offset, "broker {coordinator} was the coordinator");
        cluster.restart(coordinator);
        cluster.wait_for_isr("__consumer_offsets", 3);
    }
}
