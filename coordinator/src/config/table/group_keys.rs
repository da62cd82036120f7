//! Keys of a consumer, share or streams group.

use super::*;

#[rustfmt::skip]
pub(super) const KEYS: &[ConfigKey] = &[
    int("consumer.assignment.interval.ms", "1000", "The least time from one assignment of the group to the next.").min(0),
    int("consumer.heartbeat.interval.ms", "5000", "How often a member of the group reports.").min(1),
    int("consumer.session.timeout.ms", "45000", "How long a silent member stays in the group.").min(1),
    int("share.assignment.interval.ms", "1000", "Shortest time between two assignments of the share group.").min(0).inert(),
    string("share.auto.offset.reset", "latest", "Where a share group begins that has no start offset yet.")
        .one_of(&["latest", "earliest"]),
    int("share.delivery.count.limit", "5", "How often a record is delivered before it counts as undeliverable.").min(2),
    int("share.heartbeat.interval.ms", "5000", "How often a member of the share group reports.").min(1),
    string("share.isolation.level", "read_uncommitted", "Whether the share group sees records of open or aborted transactions.")
        .one_of(&["read_committed", "read_uncommitted"]),
    int("share.partition.max.record.locks", "2000", "How many records of a partition the group may hold at once.").min(100),
    int("share.record.lock.duration.ms", "30000", "How long a delivered record is held for a member.").min(1000),
    boolean("share.renew.acknowledge.enable", "true", "Whether a member of the share group may hold a record for longer.").inert(),
    int("share.session.timeout.ms", "45000", "How long a silent member stays in the share group.").min(1),
    int("streams.assignment.interval.ms", "1000", "Shortest time between two assignments of the streams group.").min(0).inert(),
    int("streams.heartbeat.interval.ms", "5000", "How often a member of the streams group reports.").min(1).inert(),
    int("streams.initial.rebalance.delay.ms", "3000", "How long an empty streams group waits for members.").min(0).inert(),
    int("streams.num.standby.replicas", "0", "Standby replicas of each task of a streams group.").min(0).inert(),
    int("streams.session.timeout.ms", "45000", "How long a silent member stays in the streams group.").min(1).inert(),
];
