//! Kafka's APIs, a file each, and the one table that says which versions of which are served. ApiVersions answers from
//! the table and from nothing else, so a client never turns on what does not work.
//!
//! A handler is called on the connection's shard with the whole request and answers a `Step`. It decodes, asks the
//! owners of partitions (`mesh::Asks`) or the controller (`control`), and builds the answer; it knows no socket.

use std::rc::Rc;

use engine::Disk;

use crate::{
    control::{Forwarded, Outcome, Proposal},
    jobs::LocalFuture,
    quotas::metered,
    request::{Head, Request},
    response::Response,
    shard::Shard,
    wire::{ApiKey, Malformed, ResponseBody},
};

mod add_raft_voter;
mod alter_client_quotas;
mod alter_configs;
mod alter_partition_reassignments;
mod alter_replica_log_dirs;
mod api_versions;
mod configs;
mod consumer_group_describe;
mod consumer_group_heartbeat;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_client_quotas;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_producers;
mod describe_quorum;
mod describe_topic_partitions;
mod elect_leaders;
mod fetch;
mod find_coordinator;
mod groups;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leaders;
mod leave_group;
mod list_config_resources;
mod list_groups;
mod list_offsets;
mod list_partition_reassignments;
mod loggers;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod operations;
mod produce;
mod remove_raft_voter;
mod sync_group;
mod topics;
mod unregister_broker;
mod update_features;
mod voters;

#[cfg(test)]
pub(crate) mod tests;

/// What comes of a request.
pub enum Step {
    Answer(Response),
    /// There is no answer, by the protocol (acks=0).
    Silent,
    /// The connection must end; why, for the log.
    Close(String),
    /// Not done yet, and the next request of the connection starts only when it is.
    Wait(LocalFuture<Step>),
    /// What must be ordered is done: the next request may start while this one waits.
    Ordered(LocalFuture<Step>),
}

impl Step {
    pub fn answer<B: ResponseBody>(to: impl Into<Head>, body: &B) -> Self {
        Self::Answer(Response::new(to, body))
    }

    pub fn wait(future: impl Future<Output = Step> + 'static) -> Self {
        Self::Wait(Box::pin(future))
    }
}

type Handled = Result<Step, Malformed>;

/// One API as this broker serves it.
pub struct Api<D: Disk> {
    pub key: ApiKey,
    /// The lowest version listed.
    pub min: i16,
    pub max: i16,
    run: fn(&Rc<Shard<D>>, Request) -> Handled,
}

/// Carries the table: a constant for each kind of disk.
pub struct Apis<D>(std::marker::PhantomData<D>);

impl<D: Disk> Apis<D> {
    /// By key. Never raise a minimum: the oldest clients that live pin exactly these. Transactions are not
    /// served yet, so they are not here.
    pub const TABLE: &'static [Api<D>] = &[
        // Listed from 0, refused below 3, as Apache Kafka 4 does: librdkafka up to 2.11 drops compression otherwise.
        Api { key: ApiKey::Produce, min: 0, max: 13, run: produce::handle },
        Api { key: ApiKey::Fetch, min: 4, max: 17, run: fetch::handle },
        // 8, 9 and 11 are for tiered storage.
        Api { key: ApiKey::ListOffsets, min: 1, max: 7, run: list_offsets::handle },
        Api { key: ApiKey::Metadata, min: 0, max: 13, run: metadata::handle },
        // 5 is for transactions of the second kind, 6 for share groups.
        Api { key: ApiKey::OffsetCommit, min: 2, max: 10, run: offset_commit::handle },
        Api { key: ApiKey::OffsetFetch, min: 1, max: 10, run: offset_fetch::handle },
        Api { key: ApiKey::FindCoordinator, min: 0, max: 4, run: find_coordinator::handle },
        Api { key: ApiKey::JoinGroup, min: 0, max: 9, run: join_group::handle },
        Api { key: ApiKey::Heartbeat, min: 0, max: 4, run: heartbeat::handle },
        Api { key: ApiKey::LeaveGroup, min: 0, max: 5, run: leave_group::handle },
        Api { key: ApiKey::SyncGroup, min: 0, max: 5, run: sync_group::handle },
        Api { key: ApiKey::DescribeGroups, min: 0, max: 6, run: describe_groups::handle },
        Api { key: ApiKey::ListGroups, min: 0, max: 5, run: list_groups::handle },
        Api { key: ApiKey::ApiVersions, min: 0, max: 4, run: api_versions::handle },
        Api { key: ApiKey::CreateTopics, min: 2, max: 7, run: create_topics::handle },
        Api { key: ApiKey::DeleteTopics, min: 1, max: 6, run: delete_topics::handle },
        Api { key: ApiKey::DeleteRecords, min: 0, max: 2, run: delete_records::handle },
        Api { key: ApiKey::InitProducerId, min: 0, max: 5, run: init_producer_id::handle },
        Api { key: ApiKey::OffsetForLeaderEpoch, min: 2, max: 4, run: offset_for_leader_epoch::handle },
        Api { key: ApiKey::DescribeConfigs, min: 1, max: 4, run: describe_configs::handle },
        Api { key: ApiKey::AlterConfigs, min: 0, max: 2, run: alter_configs::handle },
        Api { key: ApiKey::AlterReplicaLogDirs, min: 1, max: 2, run: alter_replica_log_dirs::handle },
        Api { key: ApiKey::DescribeLogDirs, min: 1, max: 4, run: describe_log_dirs::handle },
        Api { key: ApiKey::CreatePartitions, min: 0, max: 3, run: create_partitions::handle },
        Api { key: ApiKey::DeleteGroups, min: 0, max: 2, run: delete_groups::handle },
        Api { key: ApiKey::ElectLeaders, min: 0, max: 2, run: elect_leaders::handle },
        Api { key: ApiKey::IncrementalAlterConfigs, min: 0, max: 1, run: incremental_alter_configs::handle },
        Api {
            key: ApiKey::AlterPartitionReassignments,
            min: 0,
            max: 1,
            run: alter_partition_reassignments::handle,
        },
        Api {
            key: ApiKey::ListPartitionReassignments,
            min: 0,
            max: 0,
            run: list_partition_reassignments::handle,
        },
        Api { key: ApiKey::OffsetDelete, min: 0, max: 0, run: offset_delete::handle },
        Api { key: ApiKey::DescribeClientQuotas, min: 0, max: 1, run: describe_client_quotas::handle },
        Api { key: ApiKey::AlterClientQuotas, min: 0, max: 1, run: alter_client_quotas::handle },
        Api { key: ApiKey::DescribeQuorum, min: 0, max: 2, run: describe_quorum::handle },
        Api { key: ApiKey::UpdateFeatures, min: 0, max: 2, run: update_features::handle },
        Api { key: ApiKey::DescribeCluster, min: 0, max: 2, run: describe_cluster::handle },
        Api { key: ApiKey::DescribeProducers, min: 0, max: 0, run: describe_producers::handle },
        Api { key: ApiKey::UnregisterBroker, min: 0, max: 0, run: unregister_broker::handle },
        Api { key: ApiKey::ConsumerGroupHeartbeat, min: 0, max: 1, run: consumer_group_heartbeat::handle },
        Api { key: ApiKey::ConsumerGroupDescribe, min: 0, max: 1, run: consumer_group_describe::handle },
        Api { key: ApiKey::ListConfigResources, min: 0, max: 1, run: list_config_resources::handle },
        Api { key: ApiKey::DescribeTopicPartitions, min: 0, max: 0, run: describe_topic_partitions::handle },
        Api { key: ApiKey::AddRaftVoter, min: 0, max: 1, run: add_raft_voter::handle },
        Api { key: ApiKey::RemoveRaftVoter, min: 0, max: 0, run: remove_raft_voter::handle },
    ];

    fn find(key: i16) -> Option<&'static Api<D>> {
        Self::TABLE.iter().find(|api| api.key.code() == key)
    }
}

/// Starts a request. An API or version that is not served closes the connection, as Apache Kafka does: a client that
/// reads the list never gets here, and the place of an error field in an unknown version is unknown.
pub fn dispatch<D: Disk>(shard: &Rc<Shard<D>>, request: Request) -> Step {
    let (key, version, api_name) = (request.key, request.version, request.api_name());
    let Some(api) = Apis::<D>::find(key) else {
        return Step::Close(format!("API {api_name} (key {key}) is not served"));
    };
    shard.metrics().request(api.key);
    let readable =
        crate::wire::messages::facts(api.key).is_some_and(|facts| facts.versions.contains(&version));
    if !readable || version > api.max {
        return match api.key {
            ApiKey::ApiVersions => api_versions::answer_unsupported::<D>(&request),
            _ => Step::Close(format!("{api_name} version {version} is not served")),
        };
    }
    let own =
        api.key == ApiKey::IncrementalAlterConfigs && incremental_alter_configs::is_for_loggers(&request);
    if shard.forwards() && is_of_controller(api.key) && !own {
        return forward(shard, api, request);
    }
    run_here(shard, api, request)
}

/// Requests that only the controller's broker can answer (KIP-590): in a cluster each of them goes there as it came.
fn is_of_controller(key: ApiKey) -> bool {
    matches!(
        key,
        ApiKey::CreateTopics
            | ApiKey::DeleteTopics
            | ApiKey::CreatePartitions
            | ApiKey::AlterConfigs
            | ApiKey::IncrementalAlterConfigs
            | ApiKey::AlterClientQuotas
            | ApiKey::ElectLeaders
            | ApiKey::AlterPartitionReassignments
            | ApiKey::DescribeQuorum
            | ApiKey::UpdateFeatures
            | ApiKey::UnregisterBroker
            | ApiKey::AddRaftVoter
            | ApiKey::RemoveRaftVoter
    )
}

/// If nobody decides about it, the handler answers with that: it knows where the errors of its answer stand.
fn forward<D: Disk>(shard: &Rc<Shard<D>>, api: &'static Api<D>, request: Request) -> Step {
    let (shard, forwarded) = (shard.clone(), Forwarded::new(&request));
    let api_name = request.api_name();
    Step::wait(async move {
        match shard.control().propose(Proposal::Forward(forwarded)).await {
            Outcome::Forward(Some(frame)) => Step::Answer(Response::of_frame(frame)),
            Outcome::Forward(None) => Step::Close(format!("{api_name}: the controller would not answer it")),
            other => run_here(&shard, api, request.refused(other.refusal())),
        }
    })
}

/// What the controller decides about something that this request asks for.
async fn propose<D: Disk>(shard: &Rc<Shard<D>>, request: &Request, proposal: Proposal) -> Outcome {
    match request.refusal() {
        Some(refusal) => Outcome::Failed(refusal.clone()),
        None => shard.control().propose(proposal).await,
    }
}

/// What another broker forwarded is answered here. `None`: its connection is to end.
pub async fn answer_forwarded<D: Disk>(shard: &Rc<Shard<D>>, forwarded: Forwarded) -> Option<Vec<u8>> {
    let request = forwarded.request().ok()?;
    let api = Apis::<D>::find(request.key).filter(|api| is_of_controller(api.key))?;
    let readable =
        crate::wire::messages::facts(api.key).is_some_and(|facts| facts.versions.contains(&request.version));
    if !readable || request.version > api.max {
        return None;
    }
    let mut step = run_here(shard, api, request);
    loop {
        step = match step {
            Step::Answer(response) => return Some(response.bytes().to_vec()),
            Step::Wait(future) | Step::Ordered(future) => future.await,
            Step::Silent => return None,
            Step::Close(why) => {
                tracing::debug!("a forwarded request is not answered: {why}");
                return None;
            }
        };
    }
}

fn run_here<D: Disk>(shard: &Rc<Shard<D>>, api: &'static Api<D>, request: Request) -> Step {
    let (version, api_name) = (request.version, request.api_name());
    let run = |request: Request| {
        (api.run)(shard, request)
            .unwrap_or_else(|malformed| Step::Close(format!("{api_name} version {version}: {malformed}")))
    };
    match shard.quotas().limits_of(&request) {
        None => run(request),
        Some(limits) => metered(shard, api.key, limits, request, run),
    }
}
