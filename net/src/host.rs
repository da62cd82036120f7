//! What a shard knows of the process and the machine around it, and may change of it. The same on every shard.

use std::sync::Arc;

use model::ErrorCode;

#[derive(Clone)]
pub struct Host {
    /// Of the data directory, as `meta.properties` has it.
    pub directory_id: [u8; 16],
    pub loggers: Arc<dyn Loggers>,
}

/// How much is logged of what, by name; "root" is everything without a level of its own. Nothing of it outlives the
/// process.
pub trait Loggers: Send + Sync {
    /// In order of name.
    fn levels(&self) -> Vec<(String, LogLevel)>;
    /// Sets levels (`None`: as everything else has it), all or none of them.
    fn change(
        &self,
        changes: &[(String, Option<LogLevel>)],
        validate_only: bool,
    ) -> Result<(), (ErrorCode, String)>;
}

/// Kafka's levels, by Kafka's names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum LogLevel {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Fatal,
}

impl LogLevel {
    pub const ALL: [Self; 6] = [Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error, Self::Fatal];

    pub fn name(self) -> &'static str {
        match self {
            Self::Trace => "TRACE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name() == name)
    }
}

impl Default for Host {
    /// A process that logs nothing.
    fn default() -> Self {
        Self { directory_id: [0; 16], loggers: Arc::new(Nothing) }
    }
}

struct Nothing;

impl Loggers for Nothing {
    fn levels(&self) -> Vec<(String, LogLevel)> {
        Vec::new()
    }

    fn change(&self, changes: &[(String, Option<LogLevel>)], _: bool) -> Result<(), (ErrorCode, String)> {
        match changes.first() {
            Some((name, _)) => Err((ErrorCode::InvalidConfig, format!("There is no logger '{name}'."))),
            None => Ok(()),
        }
    }
}
