//! Producer ids, in blocks, never twice: a block is used up by being handed out, whether its ids are used or not.

use model::{ErrorCode, ProducerId};

use super::{Controller, Decision, Refusal};
use crate::metadata::{MetadataRecord, record::ProducerIdsRecord};

/// Ids of one block.
pub const PRODUCER_ID_BLOCK: i64 = 1000;

/// `first` and the ids after it, `count` in all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProducerIdBlock {
    pub first: ProducerId,
    pub count: i64,
}

impl Controller<'_> {
    /// The block may be used once the record is committed.
    pub fn allocate_producer_ids(&self) -> Decision<Result<ProducerIdBlock, Refusal>> {
        let first = self.image.next_producer_id();
        match first.0.checked_add(PRODUCER_ID_BLOCK) {
            Some(next) => {
                let record = MetadataRecord::ProducerIds(ProducerIdsRecord { next: ProducerId(next) });
                Decision {
                    answer: Ok(ProducerIdBlock { first, count: PRODUCER_ID_BLOCK }),
                    records: vec![record],
                }
            }
            None => {
                let refusal = Refusal::new(ErrorCode::UnknownServerError, "All producer ids are used up.");
                Decision { answer: Err(refusal), records: vec![] }
            }
        }
    }
}
