//! The table: every key once.

use super::value::ValueType;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Importance {
    High,
    Medium,
    Low,
}

/// How a broker key may change while the broker runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Update {
    /// Only by a restart.
    ReadOnly,
    /// For one broker at a time.
    PerBroker,
    /// For one broker or for all.
    ClusterWide,
}

#[derive(Clone, Debug)]
pub struct ConfigKey {
    pub name: &'static str,
    pub kind: ValueType,
    pub default: Option<&'static str>,
    pub importance: Importance,
    pub update: Update,
    /// Accepted for the sake of existing files and tools; changes nothing here.
    pub without_effect: bool,
    pub documentation: &'static str,
}
