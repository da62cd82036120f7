//! Every API by its module's name, so that a test can walk them all.

use std::fmt::{self, Write as _};

use net::wire::{Hole, Malformed, Writer, messages};

use super::schema::Side;

/// Swallows text: formatting a view walks all of it, and keeps nothing.
struct Nowhere;

impl fmt::Write for Nowhere {
    fn write_str(&mut self, _: &str) -> fmt::Result {
        Ok(())
    }
}

/// A message read and written again.
pub(crate) struct Again {
    /// The view, as `Debug` shows it.
    pub(crate) shown: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) holes: Vec<Hole>,
}

macro_rules! apis {
    ($($module:ident)*) => {
        pub(crate) const MODULES: &[&str] = &[$(stringify!($module),)*];

        /// Validates a body and walks through all of it.
        pub(crate) fn walk(module: &str, side: Side, body: &[u8], version: i16) -> Result<(), Malformed> {
            match (module, side) {
                $(
                    (stringify!($module), Side::Request) => {
                        let view = messages::$module::RequestView::decode(body, version)?;
                        write!(Nowhere, "{view:?}").unwrap();
                    }
                    (stringify!($module), Side::Response) => {
                        let view = messages::$module::ResponseView::decode(body, version)?;
                        write!(Nowhere, "{view:?}").unwrap();
                    }
                )*
                _ => unreachable!("{module}"),
            }
            Ok(())
        }

        pub(crate) fn again(module: &str, side: Side, body: &[u8], version: i16) -> Result<Again, Malformed> {
            let mut writer = Writer::new();
            let shown = match (module, side) {
                $(
                    (stringify!($module), Side::Request) => {
                        let view = messages::$module::RequestView::decode(body, version)?;
                        messages::$module::Request::from(view).encode(version, &mut writer);
                        format!("{view:?}")
                    }
                    (stringify!($module), Side::Response) => {
                        let view = messages::$module::ResponseView::decode(body, version)?;
                        messages::$module::Response::from(view).encode(version, &mut writer);
                        format!("{view:?}")
                    }
                )*
                _ => unreachable!("{module}"),
            };
            let (bytes, holes) = writer.into_parts();
            Ok(Again { shown, bytes, holes })
        }

        /// The default message, written.
        pub(crate) fn default_bytes(module: &str, side: Side, version: i16) -> Vec<u8> {
            let mut writer = Writer::new();
            match (module, side) {
                $(
                    (stringify!($module), Side::Request) => {
                        messages::$module::Request::default().encode(version, &mut writer);
                    }
                    (stringify!($module), Side::Response) => {
                        messages::$module::Response::default().encode(version, &mut writer);
                    }
                )*
                _ => unreachable!("{module}"),
            }
            writer.into_parts().0
        }
    };
}

apis! {
    produce fetch list_offsets metadata offset_commit offset_fetch find_coordinator join_group heartbeat leave_group
    sync_group describe_groups list_groups api_versions create_topics delete_topics delete_records init_producer_id
    offset_for_leader_epoch describe_configs alter_configs alter_replica_log_dirs describe_log_dirs
    create_partitions delete_groups elect_leaders incremental_alter_configs alter_partition_reassignments
    list_partition_reassignments offset_delete describe_client_quotas alter_client_quotas describe_quorum
    describe_cluster describe_producers consumer_group_heartbeat consumer_group_describe list_config_resources
    describe_topic_partitions add_raft_voter remove_raft_voter unregister_broker update_features
}

/// Puts record data where the writer left holes.
pub(crate) fn fill(again: &Again, records: &[Vec<u8>]) -> Vec<u8> {
    let (mut filled, mut at) = (Vec::new(), 0);
    let mut records = records.iter().filter(|records| !records.is_empty());
    for hole in &again.holes {
        let records = records.next().expect("a hole for each piece of record data");
        assert_eq!(records.len(), hole.bytes);
        filled.extend(&again.bytes[at..hole.position]);
        filled.extend(records);
        at = hole.position;
    }
    assert!(records.next().is_none());
    filled.extend(&again.bytes[at..]);
    filled
}
