//! What of the broker's configuration the coordinator goes by, and the most it holds of anything.

use crate::config::BrokerConfig;

/// Texts from outside: as long as a string of the old form can be.
pub(super) const TEXT_BYTES_MAX: usize = 32_767;
/// Groups in one coordinator, that is on one partition of `__consumer_offsets`.
pub(super) const GROUPS_MAX: usize = 100_000;
/// Offsets of one group.
pub(super) const OFFSETS_MAX: usize = 200_000;
/// Members of one group, and ids handed out to members that have not joined yet, whatever `group.max.size` says.
pub(super) const MEMBERS_MAX: usize = 20_000;
/// What one member of the classic protocol may bring in protocols, all together.
pub(super) const PROTOCOL_BYTES_MAX: usize = 1 << 20;
/// What all members of one classic group may bring: their leader is told of it in one answer.
pub(super) const GROUP_BYTES_MAX: usize = 256 << 20;
/// Protocols of one member: each is compared with those of every other.
pub(super) const PROTOCOLS_MAX: usize = 32;
/// Topics that a member names, and partitions that it says it owns.
pub(super) const SUBSCRIPTIONS_MAX: usize = 100_000;
/// Appends under way from which on commits are put off.
pub(super) const APPENDS_MAX: usize = 16_384;
/// Tombstones in one append.
pub(super) const TOMBSTONES_PER_APPEND: usize = 500;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupConfig {
    pub session_timeout_min_ms: i32,
    pub session_timeout_max_ms: i32,
    pub initial_rebalance_delay_ms: i32,
    pub classic_size_max: usize,
    pub classic_bytes_max: usize,
    pub offset_metadata_bytes_max: usize,
    pub offsets_retention_ms: i64,
    pub offsets_retention_check_interval_ms: i32,
    pub consumer_session_timeout_ms: i32,
    pub consumer_heartbeat_interval_ms: i32,
    pub consumer_assignment_interval_ms: i32,
    pub consumer_size_max: usize,
    /// By preference: a member that asks for none gets the first.
    pub consumer_assignors: Vec<String>,
    pub migration_policy: MigrationPolicy,
}

/// Whether a group may change its protocol while it has members.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MigrationPolicy {
    Disabled,
    Upgrade,
    Downgrade,
    Bidirectional,
}

impl MigrationPolicy {
    pub(super) fn allows_upgrade(self) -> bool {
        matches!(self, Self::Upgrade | Self::Bidirectional)
    }

    pub(super) fn allows_downgrade(self) -> bool {
        matches!(self, Self::Downgrade | Self::Bidirectional)
    }
}

impl From<&BrokerConfig> for GroupConfig {
    fn from(config: &BrokerConfig) -> Self {
        let size = |max: i32| usize::try_from(max).unwrap_or(0).clamp(1, MEMBERS_MAX);
        let interval = i32::try_from(config.offsets_retention_check_interval_ms).unwrap_or(i32::MAX);
        Self {
            session_timeout_min_ms: config.group_min_session_timeout_ms,
            session_timeout_max_ms: config.group_max_session_timeout_ms,
            initial_rebalance_delay_ms: config.group_initial_rebalance_delay_ms,
            classic_size_max: size(config.group_max_size),
            classic_bytes_max: GROUP_BYTES_MAX,
            offset_metadata_bytes_max: usize::try_from(config.offset_metadata_max_bytes)
                .unwrap_or(0)
                .min(TEXT_BYTES_MAX),
            offsets_retention_ms: i64::from(config.offsets_retention_minutes).saturating_mul(60_000),
            offsets_retention_check_interval_ms: interval.max(1),
            consumer_session_timeout_ms: config.group_consumer_session_timeout_ms,
            consumer_heartbeat_interval_ms: config.group_consumer_heartbeat_interval_ms,
            consumer_assignment_interval_ms: config.group_consumer_assignment_interval_ms,
            consumer_size_max: size(config.group_consumer_max_size),
            consumer_assignors: config.group_consumer_assignors.clone(),
            migration_policy: match config.group_consumer_migration_policy.to_ascii_lowercase().as_str() {
                "upgrade" => MigrationPolicy::Upgrade,
                "downgrade" => MigrationPolicy::Downgrade,
                "bidirectional" => MigrationPolicy::Bidirectional,
                _ => MigrationPolicy::Disabled,
            },
        }
    }
}
