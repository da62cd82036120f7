//! What the broker was started with.

use model::BrokerId;

use crate::metadata::{Endpoint, Image};

/// Why a configuration cannot be used; the sentence says what to do.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct ConfigError {
    pub key: String,
    pub reason: String,
}

#[derive(Clone, PartialEq, Debug)]
pub struct BrokerConfig {
    pub node_id: BrokerId,
    pub rack: Option<String>,
    pub listeners: Vec<Endpoint>,
    pub advertised_listeners: Vec<Endpoint>,
    pub log_dirs: Vec<String>,
    /// Unknown names, names without effect, and other things the operator should read once.
    pub warnings: Vec<String>,
}

/// Placeholder for topic defaults.
pub type LogDefaults = ();

impl BrokerConfig {
    /// From key = value pairs as in server.properties; a later pair wins. Every error is reported, not the first.
    pub fn parse<K: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, Vec<ConfigError>> {
        let _ = pairs.into_iter().count();
        todo!()
    }

    /// The same broker under the dynamic configs of `image`.
    pub fn with_dynamic(&self, image: &Image) -> Self {
        let _ = image;
        todo!()
    }
}
