//! Every configuration key of the broker, its topics and its groups: what it is called, what it may hold, who sets it
//! and what it is set to. One table (`table`), one order of precedence (`sources`), and views of the two.

pub mod alter;
pub mod broker;
pub mod describe;
mod field;
mod listeners;
pub mod properties;
pub mod quorum;
mod sources;
pub mod table;
pub mod topic;
pub mod value;

pub use alter::{AlterOp, ConfigAlteration};
pub use broker::{BrokerConfig, ConfigError};
pub use describe::{ConfigEntry, ConfigSource, ConfigSynonym, describe};
pub use properties::parse_properties;
pub use quorum::{Quorum, VoterAddress};
pub use table::{ConfigKey, Importance, Update};
pub use topic::{Cleanup, CompressionType, Durability, ReplicaConfig, TopicConfig};
pub use value::ValueType;
