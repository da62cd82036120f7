//! Keys of a topic. Each takes its default from the broker, where the broker has a word for it.

use super::*;

#[rustfmt::skip]
pub(super) const KEYS: &[ConfigKey] = &[
    list("cleanup.policy", "delete",
        "What happens to old segments: 'delete' drops them by time and size, 'compact' keeps the last record of each key, both together do both, and an empty list keeps everything.")
        .rule(Rule::EachOf(&["compact", "delete"])).or_broker(&[same("log.cleanup.policy")]),
    int("compression.gzip.level", "-1", "Level of gzip when the broker compresses; -1 is the codec's own default.")
        .rule(Rule::GzipLevel).or_broker(&[same("compression.gzip.level")]),
    int("compression.lz4.level", "9", "Level of lz4 when the broker compresses; every level is the fast one here.")
        .between(1, 17).or_broker(&[same("compression.lz4.level")]),
    string("compression.type", "producer", "How records are compressed in the log; 'producer' keeps what the producer sent.")
        .one_of(COMPRESSION_TYPES).or_broker(&[same("compression.type")]),
    int("compression.zstd.level", "3", "Level of zstd when the broker compresses.")
        .between(-131_072, 22).or_broker(&[same("compression.zstd.level")]),
    long("delete.retention.ms", "86400000",
        "How long a delete marker stays in a compacted topic, so that a reader that began before it still sees it.")
        .min(0).or_broker(&[same("log.cleaner.delete.retention.ms")]),
    string("durability", "flushed",
        "When a produce is acknowledged: 'flushed' once it is on stable storage, 'written' once the kernel has it, 'memory' once the broker has it.")
        .one_of(DURABILITIES).or_broker(&[same("log.durability")]),
    long("file.delete.delay.ms", "60000", "How long a file stays on disk after its segment was dropped.")
        .min(0).or_broker(&[same("log.segment.delete.delay.ms")]),
    long("flush.messages", NEVER,
        "With 1, a produce is acknowledged only when flushed, whatever durability says; any other value changes nothing.")
        .min(1).or_broker(&[same("log.flush.interval.messages")]),
    long("flush.ms", NEVER, "Upper limit of the time a record may wait for a flush.")
        .min(0).inert().or_broker(&[same("log.flush.interval.ms"), same("log.flush.scheduler.interval.ms")]),
    list("follower.replication.throttled.replicas", "", "Replicas whose catching up is throttled on the follower's side.")
        .rule(Rule::ThrottledReplicas),
    int("index.interval.bytes", "4096", "Bytes of records between two entries of the offset index.")
        .min(0).or_broker(&[same("log.index.interval.bytes")]),
    list("leader.replication.throttled.replicas", "", "Replicas whose catching up is throttled on the leader's side.")
        .rule(Rule::ThrottledReplicas),
    long("local.retention.bytes", "-2", "Size of the part of a tiered partition that stays on the broker's own disk.")
        .min(-2).inert().or_broker(&[same("log.local.retention.bytes")]),
    long("local.retention.ms", "-2", "Age of the part of a tiered partition that stays on the broker's own disk.")
        .min(-2).inert().or_broker(&[same("log.local.retention.ms")]),
    long("max.compaction.lag.ms", NEVER, "A record becomes eligible for compaction after this time at the latest.")
        .min(1).or_broker(&[same("log.cleaner.max.compaction.lag.ms")]),
    int("max.message.bytes", "1048588", "Largest record batch that the topic accepts, as it was sent.")
        .min(0).or_broker(&[same("message.max.bytes")]),
    long("message.timestamp.after.max.ms", "3600000", "How far a record's timestamp may lie ahead of the broker's clock.")
        .min(0).or_broker(&[same("log.message.timestamp.after.max.ms")]),
    long("message.timestamp.before.max.ms", NEVER, "How far a record's timestamp may lie behind the broker's clock.")
        .min(0).or_broker(&[same("log.message.timestamp.before.max.ms")]),
    string("message.timestamp.type", "CreateTime",
        "Whose clock stamps a record: the producer's (CreateTime) or the broker's (LogAppendTime).")
        .one_of(&["CreateTime", "LogAppendTime"]).or_broker(&[same("log.message.timestamp.type")]),
    double("min.cleanable.dirty.ratio", "0.5", "Share of a log that must be uncompacted before it is compacted again.")
        .rule(Rule::Fraction).or_broker(&[same("log.cleaner.min.cleanable.ratio")]),
    long("min.compaction.lag.ms", "0", "A record is safe from compaction for this time at least.")
        .min(0).or_broker(&[same("log.cleaner.min.compaction.lag.ms")]),
    int("min.insync.replicas", "1", "How many in-sync replicas a produce with acks=all needs to be accepted.")
        .min(1).or_broker(&[same("min.insync.replicas")]),
    boolean("preallocate", "false", "Whether a new segment's file is given its full size at once.")
        .or_broker(&[same("log.preallocate")]),
    boolean("remote.log.copy.disable", "false", "Whether a tiered topic stops copying segments away.")
        .inert().only(&["false"], NO_TIERED_STORAGE),
    boolean("remote.log.delete.on.disable", "false", "Whether switching tiered storage off deletes what was copied away.")
        .inert().only(&["false"], NO_TIERED_STORAGE),
    boolean("remote.storage.enable", "false", "Whether the topic's old segments move to tiered storage.")
        .inert().only(&["false"], NO_TIERED_STORAGE),
    long("retention.bytes", "-1", "Size of a partition above which its oldest segments are dropped; -1 is no limit.")
        .or_broker(&[same("log.retention.bytes")]),
    long("retention.ms", "604800000", "Age above which a partition's oldest segments are dropped; -1 is no limit.")
        .min(-1).or_broker(&[same("log.retention.ms"), minutes("log.retention.minutes"), hours("log.retention.hours")]),
    int("segment.bytes", "1073741824", "Size at which a segment is closed and the next one begins.")
        .min(1_048_576).or_broker(&[same("log.segment.bytes")]),
    int("segment.index.bytes", "10485760", "Largest size of one segment's index file.")
        .min(4).or_broker(&[same("log.index.size.max.bytes")]),
    long("segment.jitter.ms", "0", "Random time taken off segment.ms, so that partitions do not all roll at once.")
        .min(0).or_broker(&[same("log.roll.jitter.ms"), hours("log.roll.jitter.hours")]),
    long("segment.ms", "604800000", "Age at which a segment is closed even if it is not full.")
        .min(1).or_broker(&[same("log.roll.ms"), hours("log.roll.hours")]),
    boolean("unclean.leader.election.enable", "false",
        "Whether a replica that is not in sync may lead when nobody else can, at the price of lost records.")
        .or_broker(&[same("unclean.leader.election.enable")]),
];
