//! Swarm: each seed draws a world of its own, which faults are in it and how large everything is. A run with all faults at
//! once mostly tests the loudest one.

use engine::{
    Durability, LogConfig,
    compaction::{CompactionConfig, DirtyRatio},
    index::IndexLimits,
    retention::Retention,
};

use crate::random::Random;

/// Everything that a seed decides before its first life.
#[derive(Clone, Debug)]
pub struct Plan {
    pub lives: u64,
    /// Steps of the workload in one life.
    pub steps: u64,
    pub logs: Vec<LogConfig>,
    pub journal_bytes_first: u64,
    pub journal_bytes_max: u64,
    pub cache_bytes_max: usize,
    pub page_bytes: usize,
    pub checkpoint_ms: i64,
    /// For the keys of a pass of compaction: few or all.
    pub key_bytes: usize,
    /// Of a record's value, mostly.
    pub value_bytes: u64,
    /// Batches of this size now and then.
    pub large_bytes: Option<u64>,
    pub slow_disk_us: u64,
    pub faults: Faults,
    pub uses: Uses,
}

#[derive(Clone, Copy, Debug)]
pub struct Faults {
    pub crash_in_recovery: bool,
    pub disk_full: bool,
    pub flush_errors: bool,
    pub write_errors: bool,
    pub read_errors: bool,
    pub rot: bool,
}

/// What clients and operators do.
#[derive(Clone, Copy, Debug)]
pub struct Uses {
    pub producers: bool,
    pub delete_records: bool,
    pub config_changes: bool,
    pub leader_changes: bool,
    pub readers: bool,
    /// Records have a time, and the log a size.
    pub retention: bool,
}

/// How a life ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// In order.
    Close,
    /// The process dies, the machine does not.
    Kill,
    /// The power goes while tasks are under way.
    PowerCut,
    /// The power goes in the middle of the n-th operation of the disk.
    PowerCutAt(u64),
}

impl Plan {
    pub fn draw(seed: u64) -> Self {
        let mut random = Random::stream(seed, "plan");
        let large_bytes = random.one_in(3).then(|| random.pick(&[20 << 10, 70 << 10, 210 << 10]));
        let segment_bytes = random.pick(&[4 << 10, 16 << 10, 64 << 10, 600 << 10]);
        let log_count = random.between(1, 5);
        let mut logs: Vec<_> = (0..log_count).map(|_| log_config(&mut random, segment_bytes)).collect();
        let mut draws = Random::stream(seed, "compaction");
        for log in &mut logs {
            if draws.one_in(3) {
                log.compaction = Some(compaction_config(&mut draws));
            }
        }
        // A stream of its own: what else a seed draws is as it was without.
        let mut of_retention = Random::stream(seed, "retention");
        let retains = of_retention.one_in(2);
        for log in logs.iter_mut().filter(|_| retains) {
            log.retention = retention(&mut of_retention, segment_bytes);
            log.file_delete_delay_ms = of_retention.pick(&[0, 200, 5000]);
            log.segment_jitter_ms = of_retention.pick(&[0, 0, 300]);
        }
        let journal_bytes_first = random.pick(&[64 << 10, 128 << 10, 256 << 10]);
        Self {
            lives: random.between(2, 6),
            steps: random.between(5, 40),
            logs,
            journal_bytes_first,
            journal_bytes_max: random.pick(&[journal_bytes_first, 2 << 20]),
            cache_bytes_max: random.pick(&[0, 1 << 20, 8 << 20]),
            page_bytes: random.pick(&[8 << 20, 64 << 20]),
            key_bytes: draws.pick(&[0, 0, 1 << 20]),
            checkpoint_ms: random.pick(&[50, 400, 10_000]),
            value_bytes: random.pick(&[10, 300, 3000]),
            large_bytes,
            slow_disk_us: random.pick(&[0, 0, 200, 20_000]),
            faults: Faults {
                crash_in_recovery: random.one_in(2),
                disk_full: random.one_in(4),
                flush_errors: random.one_in(4),
                write_errors: random.one_in(6),
                read_errors: random.one_in(6),
                rot: random.one_in(3),
            },
            uses: Uses {
                producers: random.one_in(2),
                delete_records: random.one_in(3),
                config_changes: random.one_in(4),
                leader_changes: random.one_in(2),
                readers: random.one_in(2),
                retention: retains,
            },
        }
    }

    pub fn end(random: &mut Random) -> End {
        match random.below(10) {
            0..2 => End::Close,
            2..4 => End::Kill,
            4..6 => End::PowerCut,
            _ => End::PowerCutAt(random.between(1, 400)),
        }
    }
}

fn compaction_config(random: &mut Random) -> CompactionConfig {
    CompactionConfig {
        min_lag_ms: random.pick(&[0, 0, 300]),
        max_lag_ms: random.pick(&[i64::MAX, 500]),
        delete_retention_ms: random.pick(&[0, 400, 1 << 40]),
        min_dirty_ratio: DirtyRatio::new(random.pick(&[0.0, 0.3])),
    }
}

/// So little that it is often reached.
pub fn retention(random: &mut Random, segment_bytes: u64) -> Retention {
    Retention {
        delete: !random.one_in(6),
        ms: random.pick(&[None, Some(0), Some(100), Some(600), Some(3000)]),
        bytes: random.pick(&[None, None, Some(0), Some(1000), Some(segment_bytes), Some(3 * segment_bytes)]),
    }
}

fn log_config(random: &mut Random, segment_bytes: u64) -> LogConfig {
    LogConfig {
        durability: random.pick(&[
            Durability::Flushed,
            Durability::Flushed,
            Durability::Flushed,
            Durability::Written,
            Durability::Memory,
        ]),
        segment_bytes,
        segment_ms: random.pick(&[500, 1 << 40]),
        index: IndexLimits {
            interval_bytes: random.pick(&[64, 1000, 4096]),
            index_bytes_max: random.pick(&[64, 1 << 16]),
        },
        ..LogConfig::default()
    }
}
