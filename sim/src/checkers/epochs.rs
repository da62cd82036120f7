//! An epoch ends where the next one wrote its first batch, or at the log's end: told by looking at every batch.

use std::collections::BTreeMap;

use engine::SharedLog;
use model::{LeaderEpoch, Offset};

use crate::{disk::SimFile, ghost::GhostLog};

pub fn check(what: &str, ghost: &GhostLog, log: &SharedLog<SimFile>) {
    let ends = log.ends();
    let mut first_of: BTreeMap<LeaderEpoch, Offset> = BTreeMap::new();
    for batch in ghost.from(ends.start) {
        first_of.entry(batch.epoch).or_insert(batch.base);
    }
    let Some((&latest, _)) = first_of.last_key_value() else { return };
    assert_eq!(log.latest_epoch(), Some(latest), "{what}: the latest epoch");
    for &epoch in first_of.keys() {
        let next = first_of.range(LeaderEpoch(epoch.0 + 1)..).next().map_or(ends.end, |(_, &base)| base);
        let end = log.end_offset_for(epoch);
        assert_eq!((end.epoch, end.end_offset), (epoch, next), "{what}: the end of epoch {epoch}");
    }
}
