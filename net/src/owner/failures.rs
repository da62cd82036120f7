//! Reads that fail: what the operator hears of them, and what the client is told.

use std::io;

use engine::{Disk, ReadError};
use model::ErrorCode;
use replication::Partition;

use super::Owner;
use crate::errors::Code;

impl<D: Disk> Owner<D> {
    /// The code for a read of `partition` that failed. Said in the log once for each partition and kind of failure: the
    /// client comes again at once. Corruption has been said by the store, which took the log offline.
    pub(super) fn read_failed(&self, partition: &Partition<D>, error: &ReadError) -> ErrorCode {
        if let ReadError::Io(why) = error
            && partition.is_first_failure(why.kind())
        {
            let partition = partition.id();
            match why.kind() {
                io::ErrorKind::OutOfMemory => tracing::warn!(
                    %partition,
                    "no page is free to read into, so consumers of this partition are sent away to ask again; if they \
                     get nowhere, the machine has too little memory for its shards: give it more, or start fewer shards"
                ),
                _ => tracing::error!(
                    %partition, error = %why,
                    "the disk does not give back what is stored, so consumers of this partition get an error where they \
                     read; look for the device in the kernel's log, and move the partition's records off it"
                ),
            }
        }
        error.code()
    }
}
