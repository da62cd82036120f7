//! Every configuration key of the broker, its topics and its groups: what it is called, what it may hold, who sets it
//! and what it is set to. One table (`table`), and views of it.

pub mod alter;
pub mod broker;
pub mod describe;
pub mod table;
pub mod topic;
pub mod value;

pub use alter::{AlterOp, ConfigAlteration};
pub use broker::{BrokerConfig, ConfigError, LogDefaults};
pub use describe::{ConfigEntry, ConfigSource, ConfigSynonym};
pub use table::{ConfigKey, Importance, Update};
pub use topic::{Cleanup, CompressionType, Durability, TopicConfig};
pub use value::ValueType;
