//! Every metric, told once: its name, what it means, and what tells its series apart. Where Apache Kafka has the same
//! figure, the name is its JMX name as Prometheus' exporter writes it; `tailrace_` begins what Kafka has no word for.
//!
//! No label takes its values from clients without a bound: topics, partitions and groups are shown up to a configured
//! number, all others come from lists in this program.

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// What a number of a sample stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    One,
    /// Told in seconds.
    Nanos,
}

#[derive(Debug)]
pub struct Facts {
    pub name: &'static str,
    pub kind: Kind,
    pub unit: Unit,
    /// A series may have fewer: the first ones. Then it stands for all of them together.
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

macro_rules! families {
    ($($family:ident = $kind:ident $unit:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Family { $($family,)* }

        impl Family {
            pub const ALL: &[Self] = &[$(Self::$family,)*];

            pub fn facts(self) -> &'static Facts {
                match self {
                    $(Self::$family => &Facts {
                        name: $name,
                        kind: Kind::$kind,
                        unit: Unit::$unit,
                        labels: &[$($label),*],
                        help: $help,
                    },)*
                }
            }
        }
    };
}

families! {
    // Requests and connections.
    Requests = Counter One "kafka_network_requestmetrics_requests_total" ["request"]
        "Requests that came in.";
    Errors = Counter One "kafka_network_requestmetrics_errors_total" ["request", "error"]
        "Error codes in answers, one for each place in an answer that holds one; NONE is not counted.";
    TotalTime = Histogram Nanos "kafka_network_requestmetrics_totaltime_seconds" ["request"]
        "From the whole request to the answer sent.";
    RemoteTime = Histogram Nanos "kafka_network_requestmetrics_remotetime_seconds" ["request"]
        "Of that, the wait at one owner of partitions: a produce until its records are safe, a fetch until there are records.";
    Connections = Gauge One "kafka_server_socketservermetrics_connection_count" []
        "Open connections of clients.";
    ConnectionsOpened = Counter One "kafka_server_socketservermetrics_connection_creation_total" []
        "Connections that were opened.";
    ConnectionsClosed = Counter One "kafka_server_socketservermetrics_connection_close_total" []
        "Connections that have ended.";
    BytesReceived = Counter One "kafka_server_socketservermetrics_incoming_byte_total" []
        "Bytes received from clients.";
    BytesSent = Counter One "kafka_server_socketservermetrics_outgoing_byte_total" []
        "Bytes sent to clients.";
    ConnectionsRejected = Counter One "tailrace_connections_rejected_total" ["reason"]
        "Connections not taken for a limit, closed for what they sent, or closed because the client read nothing.";
    // Topics.
    MessagesIn = Counter One "kafka_server_brokertopicmetrics_messagesin_total" ["topic"]
        "Records appended; without a topic, to all of them, those of internal topics too.";
    BytesIn = Counter One "kafka_server_brokertopicmetrics_bytesin_total" ["topic"]
        "Bytes of record batches appended, as they are stored; without a topic, to all of them.";
    BytesOut = Counter One "kafka_server_brokertopicmetrics_bytesout_total" ["topic"]
        "Bytes of record batches in answers to consumers; without a topic, of all of them.";
    // Partitions of this broker, and of the cluster.
    PartitionCount = Gauge One "kafka_server_replicamanager_partitioncount" []
        "Partitions that have a replica here.";
    LeaderCount = Gauge One "kafka_server_replicamanager_leadercount" []
        "Partitions led from here.";
    UnderReplicated = Gauge One "kafka_server_replicamanager_underreplicatedpartitions" []
        "Partitions led from here with a replica that is not in sync.";
    UnderMinIsr = Gauge One "kafka_server_replicamanager_underminisrpartitioncount" []
        "Partitions led from here with fewer replicas in sync than min.insync.replicas.";
    OfflineReplicas = Gauge One "kafka_server_replicamanager_offlinereplicacount" []
        "Replicas here that cannot be served: their data is corrupt, or the disk failed.";
    OfflineDirectories = Gauge One "kafka_log_logmanager_offlinelogdirectorycount" []
        "Data directories that failed and take no more records.";
    ActiveController = Gauge One "kafka_controller_kafkacontroller_activecontrollercount" []
        "Whether this broker decides about metadata.";
    ActiveBrokers = Gauge One "kafka_controller_kafkacontroller_activebrokercount" []
        "Brokers that serve.";
    FencedBrokers = Gauge One "kafka_controller_kafkacontroller_fencedbrokercount" []
        "Registered brokers that do not serve.";
    GlobalTopics = Gauge One "kafka_controller_kafkacontroller_globaltopiccount" []
        "Topics of the cluster.";
    GlobalPartitions = Gauge One "kafka_controller_kafkacontroller_globalpartitioncount" []
        "Partitions of the cluster.";
    OfflinePartitions = Gauge One "kafka_controller_kafkacontroller_offlinepartitionscount" []
        "Partitions of the cluster that nobody leads.";
    LogSize = Gauge One "kafka_log_log_size" ["topic", "partition"]
        "Bytes of records in the log.";
    LogSegments = Gauge One "kafka_log_log_numlogsegments" ["topic", "partition"]
        "Segments of the log.";
    LogStart = Gauge One "kafka_log_log_logstartoffset" ["topic", "partition"]
        "The first offset of the log.";
    LogEnd = Gauge One "kafka_log_log_logendoffset" ["topic", "partition"]
        "The next offset of the log.";
    HighWatermark = Gauge One "tailrace_partition_high_watermark" ["topic", "partition"]
        "Consumers see what is below.";
    DurableOffset = Gauge One "tailrace_partition_durable_offset" ["topic", "partition"]
        "On stable storage is what is below.";
    PartitionsLeftOut = Gauge One "tailrace_metrics_partitions_left_out" []
        "Partitions that are not shown one by one, because metrics.partitions.max are.";
    // Groups.
    GroupLag = Gauge One "kafka_consumergroup_lag" ["group", "topic", "partition"]
        "Records between the offset that the group has committed and the high watermark.";
    GroupOffset = Gauge One "kafka_consumergroup_current_offset" ["group", "topic", "partition"]
        "The offset that the group has committed.";
    GroupOffsetsLeftOut = Gauge One "tailrace_metrics_group_offsets_left_out" []
        "Committed offsets that are not shown one by one, because metrics.group.offsets.max are or a name is too long.";
    Groups = Gauge One "kafka_coordinator_group_groupmetadatamanager_numgroups" []
        "Groups that this broker coordinates.";
    GroupOffsets = Gauge One "kafka_coordinator_group_groupmetadatamanager_numoffsets" []
        "Offsets that they have committed.";
    GroupsByProtocol = Gauge One "kafka_server_group_coordinator_metrics_group_count" ["protocol"]
        "Groups by the protocol they use.";
    GroupsByState = Gauge One "tailrace_group_count" ["protocol", "state"]
        "Groups by protocol and state.";
    // Fetch sessions and waits.
    FetchSessions = Gauge One "kafka_server_fetchsessioncache_numincrementalfetchsessions" []
        "Fetch sessions that are remembered.";
    FetchSessionPartitions = Gauge One "kafka_server_fetchsessioncache_numincrementalfetchpartitionscached" []
        "Partitions in fetch sessions.";
    PurgatorySize = Gauge One "kafka_server_delayedoperationpurgatory_purgatorysize" ["delayedOperation"]
        "Requests that wait at an owner of partitions.";
    // Commits and the disk.
    CommitPartitions = Histogram One "tailrace_commit_partitions" []
        "Partitions that one group commit carried.";
    CommitBytes = Histogram One "tailrace_commit_bytes" []
        "Bytes of records that one group commit carried.";
    CommittedBytes = Counter One "tailrace_committed_bytes_total" ["place"]
        "Bytes of records committed, in the journal or straight in segments.";
    SegmentBytes = Counter One "tailrace_segment_written_bytes_total" ["by"]
        "Bytes written to segments: by the destage, while nobody waits, or by a commit.";
    JournalFrames = Counter One "tailrace_journal_frames_total" []
        "Frames written to the journals.";
    JournalLive = Gauge One "tailrace_journal_live_bytes" []
        "Bytes of the journals that a recovery would read.";
    JournalCapacity = Gauge One "tailrace_journal_capacity_bytes" []
        "Size of the journals.";
    Checkpoints = Counter One "tailrace_checkpoints_total" []
        "Checkpoints, each of which frees journal space.";
    UnsyncedPartitions = Gauge One "tailrace_unsynced_partitions" []
        "Partitions with something that no synced segment holds yet.";
    DiskOperations = Histogram Nanos "tailrace_disk_operation_seconds" ["operation"]
        "Operations on data files: durable_write is the flush that a produce waits for.";
    DiskReadBytes = Counter One "tailrace_disk_read_bytes_total" []
        "Bytes read from data files.";
    DiskWrittenBytes = Counter One "tailrace_disk_written_bytes_total" []
        "Bytes written to data files, journals included.";
    DiskFull = Gauge One "tailrace_disk_full_shards" []
        "Shards that refuse records until there is room on the disk.";
    RingSubmits = Counter One "tailrace_ring_submits_total" []
        "System calls that handed operations to io_uring.";
    RingInFlight = Gauge One "tailrace_ring_operations_in_flight" []
        "Operations that io_uring has in hand.";
    // Memory.
    CacheReads = Counter One "tailrace_cache_reads_total" ["outcome"]
        "Looks into the cache of cold reads: found (hit), read from the disk (miss), or read before anybody asked (ahead).";
    Memory = Gauge One "tailrace_memory_bytes" ["purpose"]
        "Memory by purpose: tail of the logs, cold_cache, sending (of answers and reads under way), journal, large request frames.";
    PagePool = Gauge One "tailrace_page_pool_bytes" ["state"]
        "Pages of the logs: in use, mapped, and the most there may be.";
    ShardsWithoutRoom = Gauge One "tailrace_shards_without_room" []
        "Shards that take in no work at the moment, because memory or another shard is behind.";
    Shards = Gauge One "tailrace_shards" []
        "Shards of this broker.";
    // The process.
    BuildInfo = Gauge One "tailrace_build_info" ["version"]
        "One, for the version that runs.";
    Uptime = Gauge Nanos "tailrace_uptime_seconds" []
        "Time since the process started.";
    ProcessStart = Gauge Nanos "process_start_time_seconds" []
        "When the process started, in seconds since 1970.";
    ProcessCpu = Counter Nanos "process_cpu_seconds_total" []
        "Processor time of the process, its own and the kernel's for it.";
    ProcessResident = Gauge One "process_resident_memory_bytes" []
        "Memory of the process that is there.";
    ProcessVirtual = Gauge One "process_virtual_memory_bytes" []
        "Address space of the process.";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_families_keep_the_rules_of_names() {
        let names: BTreeSet<_> = Family::ALL.iter().map(|family| family.facts().name).collect();
        assert_eq!(names.len(), Family::ALL.len(), "a name stands for one family");
        for (i, family) in Family::ALL.iter().enumerate() {
            assert_eq!(*family as usize, i);
            let facts = family.facts();
            let legal = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            assert!(
                legal(facts.name) && facts.name.starts_with(|c: char| c.is_ascii_lowercase()),
                "{facts:?}"
            );
            assert!(facts.labels.iter().all(|label| legal(label) && *label != "le"), "{facts:?}");
            assert_eq!(facts.kind == Kind::Counter, facts.name.ends_with("_total"), "{facts:?}");
            assert_eq!(facts.unit == Unit::Nanos, facts.name.contains("_seconds"), "{facts:?}");
            assert!(facts.help.ends_with('.'), "{facts:?}");
        }
    }
}
