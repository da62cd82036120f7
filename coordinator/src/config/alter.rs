//! Changes to the configs of one resource, checked.

/// Kafka's operations of IncrementalAlterConfigs, with their numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i8)]
pub enum AlterOp {
    Set = 0,
    Delete = 1,
    Append = 2,
    Subtract = 3,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigAlteration {
    pub key: String,
    pub op: AlterOp,
    pub value: Option<String>,
}
