//! Identifiers, a newtype each, so that two adjacent arguments can never be swapped in silence.

use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $inner);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

number!(
    /// Kafka's `node.id`.
    BrokerId(i32)
);
number!(
    /// Position of a partition within its topic, counted from 0.
    PartitionIndex(i32)
);
number!(
    /// Rises by one with every leader election of a partition; stamped into every batch.
    LeaderEpoch(i32)
);
number!(
    /// Handed out by the controller in blocks, never twice.
    ProducerId(i64)
);
number!(
    /// Fences older instances of one producer id.
    ProducerEpoch(i16)
);
number!(
    /// Position of a shard (a core) within this process, counted from 0.
    ShardId(u16)
);

impl ProducerId {
    pub const NONE: Self = Self(-1);
}

impl LeaderEpoch {
    /// "No epoch": the client asks for no check, or the value is not known.
    pub const NONE: Self = Self(-1);
}

/// Kafka's 128-bit topic id. Never reused, so a deleted and re-created topic is another topic.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TopicId(pub [u8; 16]);

impl TopicId {
    /// "No topic id" on the wire.
    pub const ZERO: Self = Self([0; 16]);
    /// The id that Kafka reserves for `__cluster_metadata`.
    pub const METADATA: Self = Self([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

    /// Kafka prints ids as URL-safe base64 without padding, 22 characters.
    pub fn from_base64(text: &str) -> Option<Self> {
        let mut bits: u128 = 0;
        if text.len() != 22 {
            return None;
        }
        for (i, c) in text.bytes().enumerate() {
            let digit = BASE64.iter().position(|&b| b == c)? as u128;
            // The last character carries only two bits of the 128.
            bits = if i == 21 { (bits << 2) | (digit >> 4) } else { (bits << 6) | digit };
        }
        Some(Self(bits.to_be_bytes()))
    }
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = u128::from_be_bytes(self.0);
        for i in 0..21 {
            let digit = (bits >> (122 - 6 * i)) & 0x3f;
            write!(f, "{}", BASE64[digit as usize] as char)?;
        }
        write!(f, "{}", BASE64[((bits & 0x3) << 4) as usize] as char)
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One log: a topic by its id, and a partition of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct TopicPartition {
    pub topic: TopicId,
    pub partition: PartitionIndex,
}

impl TopicPartition {
    pub const METADATA: Self = Self { topic: TopicId::METADATA, partition: PartitionIndex(0) };

    pub fn new(topic: TopicId, partition: PartitionIndex) -> Self {
        Self { topic, partition }
    }

    /// The shard that owns this partition in a process of `shard_count` shards: rendezvous hashing, so that a
    /// restart with one core more or fewer moves as few partitions as possible. Nothing on disk names a shard.
    pub fn owner(&self, shard_count: u16) -> ShardId {
        assert!(shard_count > 0);
        let high = u64::from_be_bytes(self.topic.0[..8].try_into().expect("8 of 16 bytes"));
        let low = u64::from_be_bytes(self.topic.0[8..].try_into().expect("8 of 16 bytes"));
        let key = mix(high ^ mix(low ^ mix(self.partition.0 as u64)));
        let best = (0..shard_count).max_by_key(|&shard| (mix(key ^ mix(u64::from(shard) + 1)), shard));
        ShardId(best.expect("at least one shard"))
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// Finaliser of splitmix64 (Steele, Lea, Flood 2014): every input bit reaches every output bit.
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metadata_topic_id_prints_as_kafka_prints_it() {
        assert_eq!(TopicId::METADATA.to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
    }

    #[test]
    fn a_topic_id_survives_its_text() {
        for seed in 0..200u64 {
            let mut id = [0u8; 16];
            id[..8].copy_from_slice(&mix(seed).to_be_bytes());
            id[8..].copy_from_slice(&mix(seed + 1000).to_be_bytes());
            assert_eq!(TopicId::from_base64(&TopicId(id).to_string()), Some(TopicId(id)));
        }
        assert_eq!(TopicId::from_base64("short"), None);
        assert_eq!(TopicId::from_base64("AAAAAAAAAAAAAAAAAAAA*Q"), None);
    }

    #[test]
    fn one_shard_more_moves_only_what_the_new_shard_takes() {
        for p in 0..1000 {
            let tp = TopicPartition::new(TopicId::METADATA, PartitionIndex(p));
            let (three, four) = (tp.owner(3), tp.owner(4));
            assert!(four == three || four == ShardId(3));
        }
    }

    #[test]
    fn partitions_spread_over_the_shards() {
        let mut count = [0; 4];
        for p in 0..4000 {
            count[usize::from(TopicPartition::new(TopicId::ZERO, PartitionIndex(p)).owner(4).0)] += 1;
        }
        assert!(count.iter().all(|&c| (800..1200).contains(&c)), "{count:?}");
    }
}
