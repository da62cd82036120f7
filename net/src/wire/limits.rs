//! Largest counts that arrays may declare, by name. A schema says which array has which; one without a name has
//! [`ELEMENTS`]. They bound the work one request can ask for; memory is bounded by the frame itself.

/// Any array without a tighter limit.
pub const ELEMENTS: usize = 1 << 20;
/// Topics named in one message.
pub const TOPICS: usize = 100_000;
/// Partitions of one topic named in one message.
pub const PARTITIONS: usize = 100_000;
/// Replicas of one partition, voters, brokers a partition is put on.
pub const REPLICAS: usize = 1_000;
/// Brokers of one cluster, with their endpoints.
pub const BROKERS: usize = 10_000;
/// Configuration keys of one resource.
pub const CONFIGS: usize = 10_000;
/// Resources whose configuration is asked for or changed at once.
pub const RESOURCES: usize = 100_000;
/// Groups named in one message.
pub const GROUPS: usize = 100_000;
/// Members of one group.
pub const MEMBERS: usize = 100_000;
/// Assignment strategies one member offers.
pub const PROTOCOLS: usize = 1_000;
