//! Who leads by now, for clients that asked the wrong broker: they go to the right one at once, without a question for
//! metadata in between (KIP-951).

use std::collections::BTreeSet;

use coordinator::metadata::Partition;
use engine::Disk;
use model::{BrokerId, ErrorCode};

use super::metadata::known_brokers;
use crate::{request::Peer, shard::Shard};

/// The leaders that one answer names.
#[derive(Default, Debug)]
pub(super) struct Leaders(BTreeSet<BrokerId>);

/// Where a client reaches one of them.
#[derive(Debug)]
pub(super) struct LeaderEndpoint {
    pub(super) id: i32,
    pub(super) host: String,
    pub(super) port: i32,
    pub(super) rack: Option<String>,
}

impl Leaders {
    /// Does a client that is told this look for another leader?
    pub(super) fn are_wanted(code: ErrorCode) -> bool {
        matches!(code, ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch)
    }

    /// Leader and epoch of a partition, as the metadata has them. Where that is no newer than what the client knows it
    /// takes no notice, so this broker may be behind without harm.
    pub(super) fn name(&mut self, partition: &Partition) -> (i32, i32) {
        self.0.extend(partition.leader);
        (partition.leader.map_or(-1, |leader| leader.0), partition.leader_epoch.0)
    }

    /// Each once. Those that metadata would not show to this client are left out: it then asks for metadata.
    pub(super) fn endpoints<D: Disk>(self, shard: &Shard<D>, peer: &Peer) -> Vec<LeaderEndpoint> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let named = known_brokers(shard).into_iter().filter(|(id, _)| self.0.contains(id));
        let endpoint = |(id, rack): (BrokerId, Option<String>)| {
            let (host, port) = shard.endpoint_of(id, peer).ok()?;
            Some(LeaderEndpoint { id: id.0, host, port: port.into(), rack })
        };
        named.filter_map(endpoint).collect()
    }
}
