//! A frame from a stranger: its header, then the body as a request and as an answer of every API and version that has a
//! schema. A view that was accepted can be walked to its end, written again, and says the same when it is read again.

use std::fmt::Write as _;

use net::wire::{
    ApiKey, RequestHeader, ResponseHeader, Writer,
    messages::{self, APIS},
};

/// A frame without its length, as a connection hands it on.
pub fn run(frame: &[u8]) {
    let Ok((header, body)) = RequestHeader::decode(frame) else { return };
    assert!(frame.ends_with(body), "the body is the end of the frame");
    let Some(key) = ApiKey::from_code(header.api_key) else { return };
    request(key, body, header.api_version);
    if let Ok((_, body)) = ResponseHeader::decode(frame, key, header.api_version) {
        response(key, body, header.api_version);
    }
    response(key, body, header.api_version);
}

/// Does `run` reach this API? A new one wants a line below.
pub fn knows(key: ApiKey) -> bool {
    MODULES.contains(&key)
}

/// Every API with a schema.
pub fn keys() -> impl Iterator<Item = ApiKey> {
    APIS.iter().map(|facts| facts.key)
}

macro_rules! bodies {
    ($($key:ident $module:ident;)*) => {
        const MODULES: &[ApiKey] = &[$(ApiKey::$key,)*];

        fn request(key: ApiKey, body: &[u8], version: i16) {
            match key {
                $(ApiKey::$key => {
                    let Ok(view) = messages::$module::RequestView::decode(body, version) else { return };
                    let mut writer = Writer::new();
                    messages::$module::Request::from(view).encode(version, &mut writer);
                    let (again, holes) = writer.into_parts();
                    // Record data is a hole when written: only a message without any can be read again as it is.
                    if holes.is_empty() {
                        let reread = messages::$module::RequestView::decode(&again, version);
                        same(&view, &reread.expect("what we write can be read"));
                    }
                })*
                _ => {}
            }
        }

        fn response(key: ApiKey, body: &[u8], version: i16) {
            match key {
                $(ApiKey::$key => {
                    let Ok(view) = messages::$module::ResponseView::decode(body, version) else { return };
                    let mut writer = Writer::new();
                    messages::$module::Response::from(view).encode(version, &mut writer);
                    let (again, holes) = writer.into_parts();
                    if holes.is_empty() {
                        let reread = messages::$module::ResponseView::decode(&again, version);
                        same(&view, &reread.expect("what we write can be read"));
                    }
                })*
                _ => {}
            }
        }
    };
}

bodies! {
    Produce produce;
    Fetch fetch;
    ListOffsets list_offsets;
    Metadata metadata;
    OffsetCommit offset_commit;
    OffsetFetch offset_fetch;
    FindCoordinator find_coordinator;
    JoinGroup join_group;
    Heartbeat heartbeat;
    LeaveGroup leave_group;
    SyncGroup sync_group;
    DescribeGroups describe_groups;
    ListGroups list_groups;
    ApiVersions api_versions;
    CreateTopics create_topics;
    DeleteTopics delete_topics;
    DeleteRecords delete_records;
    InitProducerId init_producer_id;
    OffsetForLeaderEpoch offset_for_leader_epoch;
    DescribeConfigs describe_configs;
    AlterConfigs alter_configs;
    DescribeLogDirs describe_log_dirs;
    CreatePartitions create_partitions;
    DeleteGroups delete_groups;
    ElectLeaders elect_leaders;
    IncrementalAlterConfigs incremental_alter_configs;
    AlterPartitionReassignments alter_partition_reassignments;
    AlterReplicaLogDirs alter_replica_log_dirs;
    ListPartitionReassignments list_partition_reassignments;
    OffsetDelete offset_delete;
    DescribeClientQuotas describe_client_quotas;
    AlterClientQuotas alter_client_quotas;
    DescribeQuorum describe_quorum;
    DescribeCluster describe_cluster;
    DescribeProducers describe_producers;
    ConsumerGroupHeartbeat consumer_group_heartbeat;
    ConsumerGroupDescribe consumer_group_describe;
    ListConfigResources list_config_resources;
    DescribeTopicPartitions describe_topic_partitions;
    AddRaftVoter add_raft_voter;
    RemoveRaftVoter remove_raft_voter;
    UnregisterBroker unregister_broker;
    UpdateFeatures update_features;
}

/// Two views of one message show the same. A NaN differs from itself, its text does not.
fn same<T: std::fmt::Debug>(one: &T, other: &T) {
    let (mut shown, mut again) = (String::new(), String::new());
    write!(shown, "{one:?}").expect("to memory");
    write!(again, "{other:?}").expect("to memory");
    assert!(shown == again, "read, written and read again:\n{shown}\n{again}");
}
