//! Client quotas as values: who has which, who shares a rate with whom, and how long somebody must wait who is above it.
//!
//! ```text
//!   image.quotas() --limit_of(user, client id)--> Limit --charge--> Rates, kept by one shard --> time to wait
//! ```

pub mod filter;
pub mod limit;
pub mod rate;
pub mod rates;

use std::collections::BTreeMap;

pub use filter::QuotaFilter;
pub use limit::{Limit, RateKey, limit_of};
pub use rate::{Rate, Terms};
pub use rates::{Charge, Rates, Rule};

use crate::metadata::QuotaEntity;

/// By entity, what it has, by key. No entity is without any.
pub type ClientQuotas = BTreeMap<QuotaEntity, BTreeMap<String, QuotaValue>>;

/// Kept by its bits, so that images can be compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QuotaValue(u64);

impl QuotaValue {
    pub fn new(value: f64) -> Self {
        Self(value.to_bits())
    }

    pub fn of_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub fn bits(self) -> u64 {
        self.0
    }

    pub fn value(self) -> f64 {
        f64::from_bits(self.0)
    }
}

/// What a quota limits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum QuotaKind {
    /// Bytes of produce requests a second.
    Produce,
    /// Bytes of records fetched a second.
    Fetch,
    /// Time spent on requests, in percent of one thread.
    Request,
    /// Partitions created and deleted a second.
    ControllerMutation,
    /// Connections a second. Of addresses; all others are of users and client ids.
    Connection,
}

impl QuotaKind {
    pub const OF_CLIENTS: [Self; 4] = [Self::Produce, Self::Fetch, Self::Request, Self::ControllerMutation];

    pub const fn key(self) -> &'static str {
        match self {
            Self::Produce => "producer_byte_rate",
            Self::Fetch => "consumer_byte_rate",
            Self::Request => "request_percentage",
            Self::ControllerMutation => "controller_mutation_rate",
            Self::Connection => "connection_creation_rate",
        }
    }
}
