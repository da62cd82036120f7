//! Which features are in effect, in Kafka's names and levels (KIP-584), for clients and tools that ask.

/// A feature and the only level there is of it: nothing in the log or between brokers depends on a lower one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Feature {
    pub name: &'static str,
    pub level: i16,
}

/// What a cluster of this release has: the administration of Kafka 4.3, and the groups of KIP-848.
pub const FEATURES: [Feature; 2] =
    [Feature { name: "metadata.version", level: 30 }, Feature { name: "group.version", level: 1 }];
