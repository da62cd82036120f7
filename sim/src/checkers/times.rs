//! Looking a time up finds what a walk over all records finds, whatever the indexes have been through.

use engine::{ReadError, SharedLog, Store};
use model::{Offset, Timestamp};

use super::{compacted, contents};
use crate::{
    disk::{SimDisk, SimFile},
    ghost::GhostLog,
    random::Random,
};

/// Every record from `start` on.
fn records(ghost: &GhostLog, start: Offset) -> impl Iterator<Item = (Offset, Timestamp)> + '_ {
    ghost.from(start).iter().flat_map(move |batch| {
        let places = batch.timestamps.iter().enumerate().map(move |(n, &t)| (batch.base + n as i64, t));
        places.filter(move |&(offset, _)| offset >= start)
    })
}

pub async fn check(
    what: &str,
    ghost: &GhostLog,
    store: &Store<SimDisk>,
    log: &SharedLog<SimFile>,
    random: &mut Random,
) -> Result<(), ReadError> {
    let ends = log.ends();
    if ghost.compacted {
        let found = contents::read_all(store, log, random).await?;
        let seen = compacted::check(what, ghost, ends.start, ends.end, &found);
        let all: Vec<_> = seen.iter().map(|record| (record.offset, record.time)).collect();
        return search(what, &all, store, log, random).await;
    }
    let all: Vec<_> = records(ghost, ends.start).collect();
    search(what, &all, store, log, random).await?;
    let newest = records(ghost, Offset::ZERO).map(|(_, time)| time).max();
    let expected = all.iter().find(|(_, time)| Some(*time) == newest);
    // The newest record may be among those that were deleted; then the log may say that there is none.
    if let Some(&(offset, _)) = expected.filter(|_| ends.start == Offset::ZERO) {
        let found = store.find_max_timestamp(log, ends.end).await?;
        assert_eq!(found.map(|f| f.offset), Some(offset), "{what}: the newest record");
    }
    Ok(())
}

async fn search(
    what: &str,
    all: &[(Offset, Timestamp)],
    store: &Store<SimDisk>,
    log: &SharedLog<SimFile>,
    random: &mut Random,
) -> Result<(), ReadError> {
    let ends = log.ends();
    let Some(&(_, some)) = all.get(random.index(all.len().max(1))) else { return Ok(()) };
    for target in [Timestamp(0), some, Timestamp(some.0 + 1), Timestamp(some.0 + 40)] {
        let expected = all.iter().find(|(_, time)| *time >= target).map(|&(offset, _)| offset);
        let found = store.find_timestamp(log, target, ends.end).await?;
        assert_eq!(found.map(|f| f.offset), expected, "{what}: the first record at or after {target:?}");
    }
    Ok(())
}
