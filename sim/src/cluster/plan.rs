//! What a seed decides before its cluster starts: how large everything is, which faults there are, and which bug, if any,
//! is put in at the doors of production code.

use engine::{LogConfig, index::IndexLimits};

use crate::random::Random;

/// Something that production code does right, done wrong at one of its doors: a checker must tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bug {
    /// A follower acknowledges what it received, not what is safe on its disk.
    AcknowledgesReceived,
    /// A new follower cuts its log to its own high watermark, whatever the leader has (KIP-101).
    CutsToHigh,
    /// Frames of another leader epoch pass as if they were of the present one.
    IgnoresEpochs,
    /// Who has what clients saw is let in, though it lacks the leader's own epoch.
    LetsInEarly,
    /// The high watermark moves with fewer in sync than `min.insync.replicas`.
    MovesBelowMinimum,
    /// What another life of a follower acknowledged counts for the present one.
    CountsOldLives,
    /// The controller elects a replica that is not in sync.
    ElectsAnybody,
    /// A broker goes on with the offsets of a disk that is gone: it says that it has the disk it had.
    HidesLostDisk,
    /// A broker leads what its earlier life led before this one has registered.
    TakesUpOldLeadership,
    /// A leader takes a proposal that nobody answers for refused, though the controller may have granted it.
    ForgetsProposals,
    /// A vote, and the epoch that it was given in, are told and not on the disk.
    ForgetsVotes,
    /// A new controller decides before anything of its own epoch is committed, and so over metadata that may be old.
    DecidesEarly,
}

impl Bug {
    pub const ALL: [Self; 12] = [
        Self::AcknowledgesReceived,
        Self::CutsToHigh,
        Self::IgnoresEpochs,
        Self::LetsInEarly,
        Self::MovesBelowMinimum,
        Self::CountsOldLives,
        Self::ElectsAnybody,
        Self::HidesLostDisk,
        Self::TakesUpOldLeadership,
        Self::ForgetsProposals,
        Self::ForgetsVotes,
        Self::DecidesEarly,
    ];
}

#[derive(Clone, Copy, Debug)]
pub struct Faults {
    pub cuts: bool,
    pub one_way_cuts: bool,
    pub breaks: bool,
    pub kills: bool,
    pub power_cuts: bool,
    /// The power goes everywhere at once.
    pub blackouts: bool,
    pub pauses: bool,
    pub clocks: bool,
    pub lost_disk: bool,
    pub slow_disks: bool,
    pub late_metadata: bool,
    /// The leadership goes back to the preferred replicas again and again.
    pub moves: bool,
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub brokers: i32,
    pub partitions: i32,
    pub log: LogConfig,
    pub producers: u64,
    pub readers: u64,
    /// Faults, one after another.
    pub faults_count: u64,
    /// Between two faults, at the most.
    pub rest_ms: u64,
    pub faults: Faults,
    /// The longest that anything is on its way.
    pub delay_us: u64,
    pub window_bytes: usize,
    pub value_bytes: u64,
    pub think_ms: u64,
    /// Producers rest now and then.
    pub rests: bool,
    pub journal_bytes: u64,
    /// Of the metadata log.
    pub metadata_log: LogConfig,
    /// Of committed records, between two snapshots of the metadata.
    pub snapshot_bytes: usize,
    /// Of entries in one message of the consensus, and such messages that wait for one answer.
    pub append_bytes: usize,
    pub in_flight: usize,
    pub bug: Option<Bug>,
}

impl Plan {
    pub fn draw(seed: u64, bug: Option<Bug>) -> Self {
        let mut random = Random::stream(seed, "cluster plan");
        let log = LogConfig {
            segment_bytes: random.pick(&[4 << 10, 16 << 10, 600 << 10]),
            index: IndexLimits { interval_bytes: random.pick(&[64, 4096]), index_bytes_max: 1 << 16 },
            file_delete_delay_ms: random.pick(&[0, 200]),
            ..LogConfig::default()
        };
        Self {
            brokers: if random.one_in(4) { 4 } else { 3 },
            partitions: random.between(1, 4) as i32,
            log,
            producers: random.between(1, 4),
            readers: random.between(1, 3),
            faults_count: random.between(2, 14),
            rest_ms: random.pick(&[100, 600, 2000]),
            faults: Faults {
                cuts: random.one_in(2),
                one_way_cuts: random.one_in(3),
                breaks: random.one_in(2),
                kills: random.one_in(3),
                power_cuts: random.one_in(2),
                blackouts: random.one_in(4),
                pauses: random.one_in(3),
                clocks: random.one_in(3),
                lost_disk: random.one_in(3),
                slow_disks: random.one_in(3),
                late_metadata: random.one_in(2),
                moves: random.one_in(3),
            },
            delay_us: random.pick(&[500, 3000, 20_000]),
            window_bytes: random.pick(&[300, 4 << 10, 1 << 20]),
            // Three of them fit into the smallest segment.
            value_bytes: random.pick(&[10, 200, 1000]),
            think_ms: random.pick(&[2, 10, 40]),
            journal_bytes: random.pick(&[64 << 10, 256 << 10]),
            rests: random.one_in(2),
            metadata_log: LogConfig {
                segment_bytes: random.pick(&[4 << 10, 64 << 10]),
                index: IndexLimits { interval_bytes: 4096, index_bytes_max: 1 << 16 },
                ..LogConfig::default()
            },
            snapshot_bytes: random.pick(&[2000, 10_000, 1 << 30]),
            append_bytes: random.pick(&[300, 1 << 20]),
            in_flight: random.pick(&[1, 3, 16]),
            bug,
        }
    }
}
