//! The messages, a module per API. Generated from `net/schema`; edit that.

pub mod add_raft_voter;
pub mod alter_client_quotas;
pub mod alter_configs;
pub mod alter_partition_reassignments;
pub mod alter_replica_log_dirs;
pub mod api_versions;
pub mod consumer_group_describe;
pub mod consumer_group_heartbeat;
pub mod create_partitions;
pub mod create_topics;
pub mod delete_groups;
pub mod delete_records;
pub mod delete_topics;
pub mod describe_client_quotas;
pub mod describe_cluster;
pub mod describe_configs;
pub mod describe_groups;
pub mod describe_log_dirs;
pub mod describe_producers;
pub mod describe_quorum;
pub mod describe_topic_partitions;
pub mod elect_leaders;
pub mod fetch;
pub mod find_coordinator;
pub mod heartbeat;
pub mod incremental_alter_configs;
pub mod init_producer_id;
pub mod join_group;
pub mod leave_group;
pub mod list_config_resources;
pub mod list_groups;
pub mod list_offsets;
pub mod list_partition_reassignments;
pub mod metadata;
pub mod offset_commit;
pub mod offset_delete;
pub mod offset_fetch;
pub mod offset_for_leader_epoch;
pub mod produce;
pub mod remove_raft_voter;
pub mod sync_group;
pub mod unregister_broker;
pub mod update_features;

use super::api_key::ApiKey;
use super::body::ApiFacts;

/// Every API that has messages, by key.
pub const APIS: &[ApiFacts] = &[
    ApiFacts {
        key: ApiKey::Produce,
        versions: produce::VERSIONS,
        listed_from: produce::LISTED_FROM,
        flexible_from: produce::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::Fetch,
        versions: fetch::VERSIONS,
        listed_from: fetch::LISTED_FROM,
        flexible_from: fetch::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::ListOffsets,
        versions: list_offsets::VERSIONS,
        listed_from: list_offsets::LISTED_FROM,
        flexible_from: list_offsets::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::Metadata,
        versions: metadata::VERSIONS,
        listed_from: metadata::LISTED_FROM,
        flexible_from: metadata::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::OffsetCommit,
        versions: offset_commit::VERSIONS,
        listed_from: offset_commit::LISTED_FROM,
        flexible_from: offset_commit::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::OffsetFetch,
        versions: offset_fetch::VERSIONS,
        listed_from: offset_fetch::LISTED_FROM,
        flexible_from: offset_fetch::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::FindCoordinator,
        versions: find_coordinator::VERSIONS,
        listed_from: find_coordinator::LISTED_FROM,
        flexible_from: find_coordinator::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::JoinGroup,
        versions: join_group::VERSIONS,
        listed_from: join_group::LISTED_FROM,
        flexible_from: join_group::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::Heartbeat,
        versions: heartbeat::VERSIONS,
        listed_from: heartbeat::LISTED_FROM,
        flexible_from: heartbeat::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::LeaveGroup,
        versions: leave_group::VERSIONS,
        listed_from: leave_group::LISTED_FROM,
        flexible_from: leave_group::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::SyncGroup,
        versions: sync_group::VERSIONS,
        listed_from: sync_group::LISTED_FROM,
        flexible_from: sync_group::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::DescribeGroups,
        versions: describe_groups::VERSIONS,
        listed_from: describe_groups::LISTED_FROM,
        flexible_from: describe_groups::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::ListGroups,
        versions: list_groups::VERSIONS,
        listed_from: list_groups::LISTED_FROM,
        flexible_from: list_groups::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::ApiVersions,
        versions: api_versions::VERSIONS,
        listed_from: api_versions::LISTED_FROM,
        flexible_from: api_versions::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::CreateTopics,
        versions: create_topics::VERSIONS,
        listed_from: create_topics::LISTED_FROM,
        flexible_from: create_topics::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::DeleteTopics,
        versions: delete_topics::VERSIONS,
        listed_from: delete_topics::LISTED_FROM,
        flexible_from: delete_topics::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::DeleteRecords,
        versions: delete_records::VERSIONS,
        listed_from: delete_records::LISTED_FROM,
        flexible_from: delete_records::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::InitProducerId,
        versions: init_producer_id::VERSIONS,
        listed_from: init_producer_id::LISTED_FROM,
        flexible_from: init_producer_id::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::OffsetForLeaderEpoch,
        versions: offset_for_leader_epoch::VERSIONS,
        listed_from: offset_for_leader_epoch::LISTED_FROM,
        flexible_from: offset_for_leader_epoch::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::DescribeConfigs,
        versions: describe_configs::VERSIONS,
        listed_from: describe_configs::LISTED_FROM,
        flexible_from: describe_configs::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::AlterConfigs,
        versions: alter_configs::VERSIONS,
        listed_from: alter_configs::LISTED_FROM,
        flexible_from: alter_configs::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::AlterReplicaLogDirs,
        versions: alter_replica_log_dirs::VERSIONS,
        listed_from: alter_replica_log_dirs::LISTED_FROM,
        flexible_from: alter_replica_log_dirs::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::DescribeLogDirs,
        versions: describe_log_dirs::VERSIONS,
        listed_from: describe_log_dirs::LISTED_FROM,
        flexible_from: describe_log_dirs::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::CreatePartitions,
        versions: create_partitions::VERSIONS,
        listed_from: create_partitions::LISTED_FROM,
        flexible_from: create_partitions::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::DeleteGroups,
        versions: delete_groups::VERSIONS,
        listed_from: delete_groups::LISTED_FROM,
        flexible_from: delete_groups::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::ElectLeaders,
        versions: elect_leaders::VERSIONS,
        listed_from: elect_leaders::LISTED_FROM,
        flexible_from: elect_leaders::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::IncrementalAlterConfigs,
        versions: incremental_alter_configs::VERSIONS,
        listed_from: incremental_alter_configs::LISTED_FROM,
        flexible_from: incremental_alter_configs::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::AlterPartitionReassignments,
        versions: alter_partition_reassignments::VERSIONS,
        listed_from: alter_partition_reassignments::LISTED_FROM,
        flexible_from: alter_partition_reassignments::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::ListPartitionReassignments,
        versions: list_partition_reassignments::VERSIONS,
        listed_from: list_partition_reassignments::LISTED_FROM,
        flexible_from: list_partition_reassignments::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::OffsetDelete,
        versions: offset_delete::VERSIONS,
        listed_from: offset_delete::LISTED_FROM,
        flexible_from: offset_delete::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::DescribeClientQuotas,
        versions: describe_client_quotas::VERSIONS,
        listed_from: describe_client_quotas::LISTED_FROM,
        flexible_from: describe_client_quotas::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::AlterClientQuotas,
        versions: alter_client_quotas::VERSIONS,
        listed_from: alter_client_quotas::LISTED_FROM,
        flexible_from: alter_client_quotas::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::DescribeQuorum,
        versions: describe_quorum::VERSIONS,
        listed_from: describe_quorum::LISTED_FROM,
        flexible_from: describe_quorum::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::UpdateFeatures,
        versions: update_features::VERSIONS,
        listed_from: update_features::LISTED_FROM,
        flexible_from: update_features::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::DescribeCluster,
        versions: describe_cluster::VERSIONS,
        listed_from: describe_cluster::LISTED_FROM,
        flexible_from: describe_cluster::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::DescribeProducers,
        versions: describe_producers::VERSIONS,
        listed_from: describe_producers::LISTED_FROM,
        flexible_from: describe_producers::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::UnregisterBroker,
        versions: unregister_broker::VERSIONS,
        listed_from: unregister_broker::LISTED_FROM,
        flexible_from: unregister_broker::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::ConsumerGroupHeartbeat,
        versions: consumer_group_heartbeat::VERSIONS,
        listed_from: consumer_group_heartbeat::LISTED_FROM,
        flexible_from: consumer_group_heartbeat::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::ConsumerGroupDescribe,
        versions: consumer_group_describe::VERSIONS,
        listed_from: consumer_group_describe::LISTED_FROM,
        flexible_from: consumer_group_describe::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::ListConfigResources,
        versions: list_config_resources::VERSIONS,
        listed_from: list_config_resources::LISTED_FROM,
        flexible_from: list_config_resources::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::DescribeTopicPartitions,
        versions: describe_topic_partitions::VERSIONS,
        listed_from: describe_topic_partitions::LISTED_FROM,
        flexible_from: describe_topic_partitions::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::AddRaftVoter,
        versions: add_raft_voter::VERSIONS,
        listed_from: add_raft_voter::LISTED_FROM,
        flexible_from: add_raft_voter::FLEXIBLE_FROM,
    },
    ApiFacts {
        key: ApiKey::RemoveRaftVoter,
        versions: remove_raft_voter::VERSIONS,
        listed_from: remove_raft_voter::LISTED_FROM,
        flexible_from: remove_raft_voter::FLEXIBLE_FROM,
    },
];

/// What the schema says of an API, if it has one.
pub fn facts(key: ApiKey) -> Option<&'static ApiFacts> {
    APIS.binary_search_by_key(&key, |facts| facts.key).ok().map(|i| &APIS[i])
}
