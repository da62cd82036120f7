//! What the broker was started with, and what holds now that dynamic configs lie over it.

use std::time::Duration;

use model::BrokerId;

use super::{
    field,
    listeners::{ProtocolMap, parse_address, parse_listeners, parse_protocol_map},
    quorum::Quorum,
    sources::{Sources, Statics},
    table,
    value::parse_list,
};
use crate::metadata::{Endpoint, Image};

const METRICS_LISTENER: &str = "metrics.listener";

/// Why a configuration cannot be used. The sentence says what to do.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{sentence}")]
pub struct ConfigError {
    pub key: String,
    pub sentence: String,
}

impl ConfigError {
    /// `rest` is the sentence after the key's name.
    pub(super) fn new(key: &str, rest: impl AsRef<str>) -> Self {
        Self { key: key.to_owned(), sentence: format!("{key}: {}", rest.as_ref()) }
    }
}

field::view! {
    /// The configs in force for this broker. A field is its key with underscores for dots.
    #[derive(Clone, PartialEq, Debug)]
    pub struct BrokerConfig {
        node_id: BrokerId,
        broker_rack: Option<String>,
        log_dirs: Vec<String>,
        socket_request_max_bytes: i32,
        connections_max_idle_ms: i64,
        max_connections: i32,
        max_connections_per_ip: i32,
        max_connections_per_ip_overrides: String,
        max_connection_creation_rate: i32,
        request_timeout_ms: i32,
        controller_quorum_voters: Vec<String>,
        controller_quorum_election_timeout_ms: i32,
        broker_heartbeat_interval_ms: i32,
        broker_session_timeout_ms: i32,
        metadata_log_max_record_bytes_between_snapshots: i64,
        cluster_listener: Option<String>,
        cluster_certificates: Option<String>,
        metrics_partitions_max: i32,
        metrics_group_offsets_max: i32,
        num_partitions: i32,
        default_replication_factor: i16,
        min_insync_replicas: i32,
        auto_create_topics_enable: bool,
        delete_topic_enable: bool,
        unclean_leader_election_enable: bool,
        unclean_leader_election_interval_ms: i64,
        auto_leader_rebalance_enable: bool,
        leader_imbalance_check_interval_seconds: i64,
        message_max_bytes: i32,
        fetch_max_bytes: i32,
        max_incremental_fetch_session_cache_slots: i32,
        max_request_partition_size_limit: i32,
        replica_fetch_max_bytes: i32,
        replica_lag_time_max_ms: i64,
        replica_selector_class: Option<String>,
        replication_quota_window_num: i32,
        replication_quota_window_size_seconds: i32,
        log_retention_check_interval_ms: i64,
        log_cleaner_enable: bool,
        log_cleaner_backoff_ms: i64,
        log_cleaner_dedupe_buffer_size: i64,
        log_cleaner_io_buffer_load_factor: f64,
        log_cleaner_io_max_bytes_per_second: f64,
        offsets_topic_num_partitions: i32,
        offsets_topic_replication_factor: i16,
        offsets_topic_segment_bytes: i32,
        offsets_retention_minutes: i32,
        offsets_retention_check_interval_ms: i64,
        offset_metadata_max_bytes: i32,
        offsets_commit_timeout_ms: i32,
        group_min_session_timeout_ms: i32,
        group_max_session_timeout_ms: i32,
        group_initial_rebalance_delay_ms: i32,
        group_max_size: i32,
        group_coordinator_rebalance_protocols: Vec<String>,
        group_consumer_session_timeout_ms: i32,
        group_consumer_min_session_timeout_ms: i32,
        group_consumer_max_session_timeout_ms: i32,
        group_consumer_heartbeat_interval_ms: i32,
        group_consumer_min_heartbeat_interval_ms: i32,
        group_consumer_max_heartbeat_interval_ms: i32,
        group_consumer_assignment_interval_ms: i32,
        group_consumer_min_assignment_interval_ms: i32,
        group_consumer_max_assignment_interval_ms: i32,
        group_consumer_max_size: i32,
        group_consumer_assignors: Vec<String>,
        group_consumer_migration_policy: String,
        group_share_session_timeout_ms: i32,
        group_share_min_session_timeout_ms: i32,
        group_share_max_session_timeout_ms: i32,
        group_share_heartbeat_interval_ms: i32,
        group_share_min_heartbeat_interval_ms: i32,
        group_share_max_heartbeat_interval_ms: i32,
        group_share_record_lock_duration_ms: i32,
        group_share_min_record_lock_duration_ms: i32,
        group_share_max_record_lock_duration_ms: i32,
        group_share_delivery_count_limit: i32,
        group_share_partition_max_record_locks: i32,
        group_share_max_size: i32,
        group_share_max_share_sessions: i32,
        share_coordinator_state_topic_replication_factor: i16,
        share_coordinator_state_topic_min_isr: i16,
        share_coordinator_state_topic_num_partitions: i32,
        share_coordinator_state_topic_segment_bytes: i32,
        transaction_state_log_num_partitions: i32,
        transaction_state_log_replication_factor: i16,
        transaction_state_log_min_isr: i32,
        transaction_state_log_segment_bytes: i32,
        transaction_max_timeout_ms: i32,
        transactional_id_expiration_ms: i32,
        transaction_abort_timed_out_transaction_cleanup_interval_ms: i32,
        transaction_remove_expired_transaction_cleanup_interval_ms: i32,
        producer_id_expiration_ms: i32,
        producer_id_expiration_check_interval_ms: i32,
        sasl_enabled_mechanisms: Vec<String>,
        ssl_client_auth: String,
        authorizer_class_name: String,
        super_users: String,
        allow_everyone_if_no_acl_found: bool,
        quota_window_num: i32,
        quota_window_size_seconds: i32,
        controller_quota_window_num: i32,
        controller_quota_window_size_seconds: i32,
    } beside {
        /// Where to listen. An empty host is every interface, port 0 is for the kernel to choose.
        pub listeners: Vec<Endpoint>,
        /// What clients are told, by listener name; `listeners` unless configured. An empty host is left for the caller
        /// to fill in: only it knows this machine's name and the address a request came in on.
        pub advertised_listeners: Vec<Endpoint>,
        /// Where metrics are served, if anywhere.
        pub metrics_listener: Option<Endpoint>,
        /// The cluster, unless this broker is alone.
        pub quorum: Option<Quorum>,
        /// What the operator should read once: unknown keys, keys without effect, listeners left out.
        pub warnings: Vec<String>,
        statics: Statics,
    }
}

impl Default for BrokerConfig {
    /// As with an empty file.
    fn default() -> Self {
        Self::parse::<&str, &str>([]).expect("the defaults of the table hold together")
    }
}

impl BrokerConfig {
    /// From key = value pairs as in server.properties; of two pairs with one key the later wins. Reports every error,
    /// not just the first.
    pub fn parse<K: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, Vec<ConfigError>> {
        let mut file = File::default();
        for (name, text) in pairs {
            file.add(name.as_ref().trim(), text.as_ref());
        }
        let File { statics, warnings, mut errors, .. } = file;
        let mut config = Self::in_force(&Sources::of_file(&statics));
        config.warnings = warnings;
        config.statics = statics;
        if let Err(error) = config.read_listeners() {
            errors.push(error);
        }
        if let Err(error) = config.read_metrics_listener() {
            errors.push(error);
        }
        let listener = config.cluster_listener.as_deref();
        let certificates = config.cluster_certificates.as_deref();
        match Quorum::read(config.node_id, &config.controller_quorum_voters, listener, certificates) {
            Ok(quorum) => config.quorum = quorum,
            Err(error) => errors.push(error),
        }
        errors.extend(config.contradictions());
        if errors.is_empty() { Ok(config) } else { Err(errors) }
    }

    /// This broker under the dynamic configs of `image`. Listeners stay what they were at the start.
    pub fn with_dynamic(&self, image: &Image) -> Self {
        Self {
            listeners: self.listeners.clone(),
            advertised_listeners: self.advertised_listeners.clone(),
            metrics_listener: self.metrics_listener.clone(),
            quorum: self.quorum.clone(),
            warnings: self.warnings.clone(),
            statics: self.statics.clone(),
            ..Self::in_force(&self.sources(image))
        }
    }

    /// How long a broker may be silent before others lead its partitions.
    pub fn session_timeout(&self) -> Duration {
        millis(self.broker_session_timeout_ms)
    }

    pub fn heartbeat_interval(&self) -> Duration {
        millis(self.broker_heartbeat_interval_ms)
    }

    /// Are consumers sent to a replica in their own rack (KIP-392)?
    pub fn selects_replica_by_rack(&self) -> bool {
        self.replica_selector_class.as_deref() == Some(table::RACK_AWARE_SELECTOR)
    }

    pub fn election_timeout(&self) -> Duration {
        millis(self.controller_quorum_election_timeout_ms)
    }

    /// The value in force of any key of the table, for keys that have no field.
    pub fn value(&self, name: &str, image: &Image) -> Option<String> {
        self.sources(image).broker_value(table::broker_key(name)?).0
    }

    pub(super) fn sources<'a>(&'a self, image: &'a Image) -> Sources<'a> {
        Sources::of_broker(self.node_id, image, &self.statics)
    }

    fn in_force(sources: &Sources<'_>) -> Self {
        Self::read(&|name| {
            let key = table::broker_key(name).unwrap_or_else(|| panic!("{name} is not in the table"));
            sources.broker_value(key).0
        })
    }

    fn static_value(&self, name: &str) -> Option<String> {
        let key = table::broker_key(name).unwrap_or_else(|| panic!("{name} is not in the table"));
        Sources::of_file(&self.statics).broker_value(key).0
    }

    fn read_listeners(&mut self) -> Result<(), ConfigError> {
        let protocols =
            parse_protocol_map(&self.static_value("listener.security.protocol.map").unwrap_or_default())?;
        let left_out: Vec<_> =
            parse_list(&self.static_value("controller.listener.names").unwrap_or_default())
                .into_iter()
                .map(str::to_ascii_uppercase)
                .collect();
        let listeners = self.endpoints("listeners", &protocols, &left_out)?;
        if listeners.is_empty() {
            let advice =
                "names no listener for clients; give at least one, as in PLAINTEXT://localhost:9092.";
            return Err(ConfigError::new("listeners", advice));
        }
        for name in &left_out {
            self.warnings.push(format!(
                "Listener {name} is for controllers and is not opened: brokers need none here."
            ));
        }
        let mut advertised = self.endpoints("advertised.listeners", &protocols, &left_out)?;
        check_advertised(&advertised, &listeners)?;
        for listener in &listeners {
            if !advertised.iter().any(|a| a.listener == listener.listener) {
                advertised.push(Endpoint { host: concrete(&listener.host), ..listener.clone() });
            }
        }
        self.listeners = listeners;
        self.advertised_listeners = advertised;
        Ok(())
    }

    fn read_metrics_listener(&mut self) -> Result<(), ConfigError> {
        let text = self.static_value(METRICS_LISTENER).unwrap_or_default();
        if !text.is_empty() {
            self.metrics_listener = Some(parse_address(METRICS_LISTENER, &text)?);
        }
        Ok(())
    }

    fn endpoints(
        &self,
        key: &'static str,
        protocols: &ProtocolMap,
        left_out: &[String],
    ) -> Result<Vec<Endpoint>, ConfigError> {
        // A controller's listener need not have a protocol: it is never opened.
        let mut known = protocols.clone();
        for name in left_out {
            known.entry(name.clone()).or_insert(crate::metadata::SecurityProtocol::Plaintext);
        }
        let mut endpoints = parse_listeners(key, &self.static_value(key).unwrap_or_default(), &known)?;
        endpoints.retain(|e| !left_out.contains(&e.listener));
        Ok(endpoints)
    }

    /// Values that are fine alone and not together.
    fn contradictions(&self) -> Vec<ConfigError> {
        let mut errors = vec![];
        let mut ordered = |low: (&str, i32), high: (&str, i32)| {
            if low.1 > high.1 {
                let rest =
                    format!("{} is above {} = {}; lower it or raise the other.", low.1, high.0, high.1);
                errors.push(ConfigError::new(low.0, rest));
            }
        };
        macro_rules! ordered {
            ($($low:ident <= $high:ident;)*) => {$(
                ordered(
                    (&field::key_name(stringify!($low)), self.$low),
                    (&field::key_name(stringify!($high)), self.$high),
                );
            )*};
        }
        ordered! {
            group_min_session_timeout_ms <= group_max_session_timeout_ms;
            group_consumer_min_session_timeout_ms <= group_consumer_session_timeout_ms;
            group_consumer_session_timeout_ms <= group_consumer_max_session_timeout_ms;
            group_consumer_min_heartbeat_interval_ms <= group_consumer_heartbeat_interval_ms;
            group_consumer_heartbeat_interval_ms <= group_consumer_max_heartbeat_interval_ms;
            group_consumer_heartbeat_interval_ms <= group_consumer_session_timeout_ms;
            group_consumer_min_assignment_interval_ms <= group_consumer_assignment_interval_ms;
            group_consumer_assignment_interval_ms <= group_consumer_max_assignment_interval_ms;
            group_share_min_session_timeout_ms <= group_share_session_timeout_ms;
            group_share_session_timeout_ms <= group_share_max_session_timeout_ms;
            group_share_min_heartbeat_interval_ms <= group_share_heartbeat_interval_ms;
            group_share_heartbeat_interval_ms <= group_share_max_heartbeat_interval_ms;
            group_share_min_record_lock_duration_ms <= group_share_record_lock_duration_ms;
            group_share_record_lock_duration_ms <= group_share_max_record_lock_duration_ms;
        }
        if self.log_dirs.iter().any(|dir| dir.is_empty()) || self.log_dirs.is_empty() {
            errors.push(ConfigError::new("log.dirs", "is empty; name the folder for the data."));
        }
        errors
    }
}

/// The pairs of a file while they are read.
#[derive(Default)]
struct File {
    statics: Statics,
    warnings: Vec<String>,
    errors: Vec<ConfigError>,
    /// Under which of two names a key was given.
    given_as: std::collections::BTreeMap<&'static str, String>,
}

impl File {
    fn add(&mut self, name: &str, text: &str) {
        let Some(key) = table::broker_key(name) else {
            self.warnings.push(format!("{name} is not a key of this broker and is ignored."));
            return;
        };
        match key.check(text) {
            Ok(value) => self.put(key, name, value),
            Err(sentence) => self.errors.push(ConfigError { key: name.to_owned(), sentence }),
        }
    }

    fn put(&mut self, key: &'static table::ConfigKey, name: &str, value: String) {
        if key.without_effect && !self.statics.contains_key(key.name) {
            self.warnings.push(format!("{name} is accepted and has no effect here."));
        }
        let other_name = self.given_as.insert(key.name, name.to_owned()).filter(|before| before != name);
        let before = self.statics.insert(key.name, value);
        if let Some(other) = other_name
            && before.as_ref() != self.statics.get(key.name)
        {
            self.errors.push(ConfigError::new(name, format!("differs from {other}; keep one of them.")));
        }
    }
}

fn check_advertised(advertised: &[Endpoint], listeners: &[Endpoint]) -> Result<(), ConfigError> {
    const KEY: &str = "advertised.listeners";
    for endpoint in advertised {
        let name = &endpoint.listener;
        if !listeners.iter().any(|l| l.listener == *name) {
            return Err(ConfigError::new(
                KEY,
                format!("names {name}, which is not in listeners; add it there."),
            ));
        }
        if concrete(&endpoint.host).is_empty() && !endpoint.host.is_empty() {
            let advice = "which no client can connect to; name the address that clients use.";
            return Err(ConfigError::new(KEY, format!("{name} has the host {}, {advice}", endpoint.host)));
        }
        if endpoint.port == 0 {
            return Err(ConfigError::new(KEY, format!("{name} has port 0; name the port that clients use.")));
        }
    }
    Ok(())
}

/// An address that stands for every interface is no address to connect to.
fn concrete(host: &str) -> String {
    if host == "0.0.0.0" || host == "::" { String::new() } else { host.to_owned() }
}

/// The table has a least value for each of them.
fn millis(ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

#[cfg(test)]
mod tests;
