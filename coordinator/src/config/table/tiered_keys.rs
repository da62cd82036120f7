//! Keys of tiered storage. There is none here: they are checked and shown, so that files made for Kafka just work.

use super::*;
use ValueType::String;

#[rustfmt::skip]
pub(super) const KEYS: &[ConfigKey] = &[
    boolean("remote.log.storage.system.enable", "false", "Whether old segments may move to tiered storage.").inert().only(&["false"], NO_TIERED_STORAGE),
    boolean("follower.fetch.last.tiered.offset.enable", "false", "Whether an empty follower begins behind what was copied away.").inert(),
    int("remote.fetch.max.wait.ms", "500", "Longest wait of a fetch for tiered storage.").min(1).cluster_wide().inert(),
    long("remote.list.offsets.request.timeout.ms", "30000", "Longest wait of a search by time for tiered storage.").min(1).cluster_wide().inert(),
    long("remote.log.index.file.cache.total.size.bytes", "1073741824", "Disk space for index files of tiered segments.").min(1).low().cluster_wide().inert(),
    int("remote.log.manager.thread.pool.size", "2", "Threads that follow what was copied away.").min(1).inert(),
    int("remote.log.manager.copier.thread.pool.size", "10", "Threads that copy segments away.").min(1).cluster_wide().inert(),
    int("remote.log.manager.expiration.thread.pool.size", "10", "Threads that remove expired tiered segments.").min(1).cluster_wide().inert(),
    int("remote.log.manager.follower.thread.pool.size", "2", "Threads of followers that look for the last tiered offset.").min(1).cluster_wide().inert(),
    long("remote.log.manager.task.interval.ms", "30000", "Pause between two rounds of copying and removing.").min(1).low().inert(),
    long("remote.log.manager.copy.max.bytes.per.second", NEVER, "Speed limit of copying segments away.").min(1).cluster_wide().inert(),
    int("remote.log.manager.copy.quota.window.num", "11", "Windows over which copying away is measured.").min(1).inert(),
    int("remote.log.manager.copy.quota.window.size.seconds", "1", "Length of one window of copying away.").min(1).inert(),
    long("remote.log.manager.fetch.max.bytes.per.second", NEVER, "Speed limit of reading from tiered storage.").min(1).cluster_wide().inert(),
    int("remote.log.manager.fetch.quota.window.num", "11", "Windows over which reading from tiered storage is measured.").min(1).inert(),
    int("remote.log.manager.fetch.quota.window.size.seconds", "1", "Length of one window of reading from tiered storage.").min(1).inert(),
    int("remote.log.metadata.custom.metadata.max.bytes", "128", "Longest note that a storage plug-in may keep of a segment.").min(0).low().inert(),
    string("remote.log.metadata.manager.class.name",
        "org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager",
        "Java class that remembers tiered segments.").inert(),
    null("remote.log.metadata.manager.class.path", String, "Where the Java class that remembers tiered segments is found.").inert(),
    string("remote.log.metadata.manager.impl.prefix", "rlmm.config.", "Prefix of keys for the class that remembers tiered segments.").inert(),
    null("remote.log.metadata.manager.listener.name", String, "Listener that the class that remembers tiered segments connects to.").inert(),
    int("remote.log.reader.max.pending.tasks", "100", "Reads of tiered storage that may wait for a thread.").min(1).inert(),
    int("remote.log.reader.threads", "10", "Threads that read tiered storage.").min(1).cluster_wide().inert(),
    null("remote.log.storage.manager.class.name", String, "Java class that stores tiered segments.").inert(),
    null("remote.log.storage.manager.class.path", String, "Where the Java class that stores tiered segments is found.").inert(),
    string("remote.log.storage.manager.impl.prefix", "rsm.config.", "Prefix of keys for the class that stores tiered segments.").inert(),
];
