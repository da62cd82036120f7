//! Looks inside record batches.

use model::{BatchError, BatchHeader, batch::record::Records};

/// The record of a control batch that ends a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EndMarker {
    pub committed: bool,
    pub coordinator_epoch: i32,
}

impl EndMarker {
    /// Reads a control batch. `None`: it is empty or of another kind.
    pub fn read(header: &BatchHeader, payload: &[u8]) -> Result<Option<Self>, BatchError> {
        assert!(header.is_control());
        let Some(record) = Records::new(payload, header.record_count()).next().transpose()? else {
            return Ok(None);
        };
        // Key: version i16, type i16. Value: version i16, coordinator epoch i32. Later versions may append.
        let key = record.key.and_then(|k| k.first_chunk::<4>()).ok_or(BatchError::BadRecords)?;
        let committed = match i16::from_be_bytes([key[2], key[3]]) {
            0 => false,
            1 => true,
            _ => return Ok(None),
        };
        let value = record.value.and_then(|v| v.first_chunk::<6>()).ok_or(BatchError::BadRecords)?;
        let coordinator_epoch = i32::from_be_bytes([value[2], value[3], value[4], value[5]]);
        Ok(Some(Self { committed, coordinator_epoch }))
    }
}
