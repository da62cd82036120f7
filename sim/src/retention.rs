//! What time does to the logs: the pump that lets go of records, the one that removes dropped files, and the rules told
//! once more, batch by batch, for everything that goes. Nothing here knows where segments begin.

use std::rc::Rc;

use engine::retention::Retention;
use model::{Offset, Timestamp};

use crate::{ghost::GhostLog, plan, random::Random, workload::Life};

/// Longest pause between two looks at the logs.
const PAUSE_MS: u64 = 300;
/// Of the pump that removes files.
const FILES_PAUSE_MS: u64 = 100;

/// Looks at the logs, for ever, and judges what went. Now and then somebody changes the rules.
pub async fn retain_for_ever(life: Rc<Life>, mut random: Random) {
    loop {
        let pause = random.below(PAUSE_MS);
        life.clock.sleep_ms(pause).await;
        if life.plan.uses.config_changes && random.one_in(5) {
            let log = &life.logs[random.index(life.logs.len())];
            let mut config = log.config();
            config.retention = plan::retention(&mut random, config.segment_bytes);
            log.set_config(config);
        }
        look(&life).await;
    }
}

async fn look(life: &Life) {
    let now = life.clock.now();
    let logs: Vec<_> = life.logs.iter().map(|log| (log.clone(), log.ends().acknowledged)).collect();
    let before: Vec<_> =
        logs.iter().map(|(log, high)| (log.config().retention, log.ends().start, *high)).collect();
    let mut must_be_empty = vec![];
    for (n, (rules, _, high)) in before.iter().enumerate() {
        let ghost = &mut life.ghosts.borrow_mut()[n];
        // The power may go before anybody hears of it.
        ghost.retained_max = ghost.retained_max.max(may_reach(ghost, rules, *high, now));
        must_be_empty.push(ghost.end == *high && may_all_go(ghost, rules, now));
    }
    let moved = life.store.retain(&logs, now).await;
    life.trace.note("retain", &[moved.len() as u64]);
    let faults = life.plan.faults;
    // An error may have come after the deed.
    let told = !life.disk.is_troubled() && !life.disk.mem().is_dead();
    let calm = told && life.store.failure().is_none() && !faults.disk_full && !faults.read_errors;
    for (n, (rules, from, high)) in before.iter().enumerate() {
        let start = life.logs[n].ends().start;
        let ghost = &mut life.ghosts.borrow_mut()[n];
        if start > ghost.start_max {
            check(&format!("log {n}"), ghost, rules, (*from).max(ghost.start_max), start, *high, now);
        }
        let still_there = start < *high && must_be_empty[n] && ghost.end == *high;
        assert!(
            !(calm && still_there),
            "log {n}: everything up to {high} had its time, and {start} is there"
        );
        ghost.start_min = ghost.start_min.max(start);
        ghost.start_max = ghost.start_max.max(start);
        if told {
            ghost.retained_max = Offset::ZERO;
        }
    }
}

/// Did these records have their time? Size takes the oldest, and time some more.
fn check(
    what: &str,
    ghost: &GhostLog,
    rules: &Retention,
    from: Offset,
    start: Offset,
    high: Offset,
    now: Timestamp,
) {
    assert!(rules.delete, "{what}: no rule says that records go, and it begins at {start} instead of {from}");
    assert!(start <= high, "{what}: it begins at {start}, above its high watermark {high}");
    // Of a compacted log the young ones may have gone before, and the old ones are what is left.
    if ghost.compacted {
        return;
    }
    let gone = ghost.from(from).iter().take_while(|batch| batch.next <= start);
    let young =
        gone.filter(|batch| !rules.ms.is_some_and(|ms| is_older(batch.timestamps.iter(), now, ms))).last();
    let Some(young) = young else { return };
    let left: usize = ghost.from(young.next).iter().map(|batch| batch.bytes.len()).sum();
    assert!(
        rules.bytes.is_some_and(|limit| left as u64 >= limit),
        "{what}: offset {} went, and was young; {left} bytes are left behind it, of {rules:?}",
        young.base
    );
}

fn is_older<'a>(mut timestamps: impl Iterator<Item = &'a Timestamp>, now: Timestamp, ms: i64) -> bool {
    timestamps.all(|t| now.0 - t.0 > ms)
}

/// Where the log may begin at most after a look at it; it may grow meanwhile.
fn may_reach(ghost: &GhostLog, rules: &Retention, high: Offset, now: Timestamp) -> Offset {
    match rules {
        Retention { delete: false, .. } => Offset::ZERO,
        Retention { bytes: Some(_), .. } => high,
        Retention { ms: Some(_), .. } if ghost.compacted => high,
        Retention { ms: Some(ms), .. } => {
            let old =
                ghost.from(ghost.start_min).iter().take_while(|b| is_older(b.timestamps.iter(), now, *ms));
            old.last().map_or(Offset::ZERO, |batch| batch.next.min(high))
        }
        Retention { .. } => Offset::ZERO,
    }
}

fn may_all_go(ghost: &GhostLog, rules: &Retention, now: Timestamp) -> bool {
    let all_old =
        |ms| ghost.from(ghost.start_min).iter().all(|batch| is_older(batch.timestamps.iter(), now, ms));
    rules.delete && (rules.bytes == Some(0) || rules.ms.is_some_and(all_old))
}

/// Removes the files of dropped segments, for ever.
pub async fn remove_for_ever(life: Rc<Life>) {
    loop {
        life.store.remove_dropped(life.clock.now()).await;
        life.clock.sleep_ms(FILES_PAUSE_MS).await;
    }
}
