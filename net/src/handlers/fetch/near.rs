//! The brokers that stand where a client does, by their racks (KIP-392).

use std::sync::Arc;

use engine::Disk;
use model::BrokerId;

use crate::{request::Peer, shard::Shard};

/// Where a client in `rack` better reads; nowhere if this broker stands there itself, or if it does not look at racks.
/// Only brokers that are well, and that the client can reach by the listener it used.
pub(super) fn brokers<D: Disk>(shard: &Shard<D>, peer: &Peer, rack: &str) -> Arc<[BrokerId]> {
    let config = shard.config();
    if rack.is_empty() || !config.selects_replica_by_rack() || config.broker_rack.as_deref() == Some(rack) {
        return Arc::default();
    }
    let image = shard.local_image();
    let there = image.brokers().filter(|broker| broker.is_active() && broker.rack.as_deref() == Some(rack));
    there.map(|broker| broker.id).filter(|&id| shard.endpoint_of(id, peer).is_ok()).collect()
}
