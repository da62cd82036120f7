//! What the APIs that change the voters of the metadata log share.

use std::rc::Rc;

use coordinator::Refusal;
use engine::Disk;
use model::ErrorCode;

use super::propose;
use crate::{
    control::{Outcome, Proposal},
    quorum::ChangeVoters,
    request::Request,
    shard::Shard,
};

/// No id at all is that of any cluster, as in Apache Kafka.
pub(super) fn check_cluster<D: Disk>(shard: &Shard<D>, named: Option<&str>) -> Result<(), Refusal> {
    let image = shard.local_image();
    let own = image.cluster_id();
    if named.is_none_or(|named| named == own) {
        return Ok(());
    }
    let sentence = format!("This is cluster {own}; the request is meant for another one.");
    Err(Refusal::new(ErrorCode::InconsistentClusterId, sentence))
}

/// Zero is whichever the voter has.
pub(super) fn directory(id: [u8; 16]) -> Option<[u8; 16]> {
    (id != [0; 16]).then_some(id)
}

pub(super) async fn change<D: Disk>(
    shard: &Rc<Shard<D>>,
    request: &Request,
    change: ChangeVoters,
) -> Result<(), Refusal> {
    match propose(shard, request, Proposal::ChangeVoters(change)).await {
        Outcome::ChangeVoters(outcome) => outcome,
        other => Err(other.refusal()),
    }
}
