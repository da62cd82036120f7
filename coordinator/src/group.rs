//! The group coordinator: consumer groups of the classic and the new protocol, and the offsets they commit.

pub mod record;

pub use record::{BadRecord, GroupRecord};
