//! Questions about a log's offsets, and moving its start.

use engine::{Disk, epochs::EpochEnd, producers::ActiveProducer};
use model::{ErrorCode, Offset, Timestamp, TopicPartition};
use replication::Partition;

use super::Owner;
use crate::{
    ask::{
        DeleteRecordsPart, DeletedRecords, EpochEndPart, FoundEpochEnd, FoundOffset, OffsetAt, OffsetPart,
        OffsetsAsk, Size,
    },
    errors::Code,
};

impl<D: Disk> Owner<D> {
    pub(super) async fn find_offsets(&self, ask: &OffsetsAsk) -> Vec<FoundOffset> {
        let mut found = Vec::with_capacity(ask.parts.len());
        for part in &ask.parts {
            found.push(self.find_offset(ask, part).await.unwrap_or_else(FoundOffset::error));
        }
        found
    }

    async fn find_offset(&self, ask: &OffsetsAsk, part: &OffsetPart) -> Result<FoundOffset, ErrorCode> {
        let partition = self.find(part.id)?;
        partition.check_epoch(part.leader_epoch).map_err(|error| error.code())?;
        let end = partition.visible_end(ask.isolation);
        let (offset, timestamp) = match part.at {
            OffsetAt::Latest => {
                partition.check_end_known().map_err(|error| error.code())?;
                (end, Timestamp::NONE)
            }
            OffsetAt::Earliest => (partition.watermarks().log_start, Timestamp::NONE),
            OffsetAt::MaxTimestamp => self.find_max_timestamp(&partition, end).await?,
            OffsetAt::Timestamp(target) => self.find_timestamp(&partition, target, end).await?,
        };
        let known = offset != Offset::NONE;
        let leader_epoch = if known { partition.leader_epoch() } else { model::LeaderEpoch::NONE };
        Ok(FoundOffset { code: ErrorCode::None, offset, timestamp, leader_epoch })
    }

    /// No record that new: offset -1, which is no error.
    async fn find_timestamp(
        &self,
        partition: &Partition<D>,
        target: Timestamp,
        end: Offset,
    ) -> Result<(Offset, Timestamp), ErrorCode> {
        let found = self.store.find_timestamp(partition.log(), target, end).await;
        let found = found.map_err(|error| self.read_failed(partition, &error))?;
        Ok(found.map_or((Offset::NONE, Timestamp::NONE), |found| (found.offset, found.timestamp)))
    }

    async fn find_max_timestamp(
        &self,
        partition: &Partition<D>,
        end: Offset,
    ) -> Result<(Offset, Timestamp), ErrorCode> {
        let found = self.store.find_max_timestamp(partition.log(), end).await;
        let found = found.map_err(|error| self.read_failed(partition, &error))?;
        Ok(found.map_or((Offset::NONE, Timestamp::NONE), |found| (found.offset, found.timestamp)))
    }

    pub(super) fn epoch_end(&self, part: &EpochEndPart) -> FoundEpochEnd {
        let found = self.find(part.id).and_then(|partition| {
            partition.check_epoch(part.current_epoch).map_err(|error| error.code())?;
            Ok(partition.log().end_offset_for(part.epoch))
        });
        match found {
            Ok(end) => FoundEpochEnd { code: ErrorCode::None, end },
            Err(code) => FoundEpochEnd { code, end: EpochEnd::UNKNOWN },
        }
    }

    pub(super) async fn delete_records(&self, parts: &[DeleteRecordsPart]) -> Vec<DeletedRecords> {
        let mut deleted = Vec::with_capacity(parts.len());
        for part in parts {
            let outcome = self.delete_records_of(part).await;
            deleted.push(match outcome {
                Ok(log_start) => DeletedRecords { code: ErrorCode::None, log_start },
                Err(code) => DeletedRecords { code, log_start: Offset::NONE },
            });
        }
        deleted
    }

    /// Only what every replica has may go, so the high watermark is the limit.
    async fn delete_records_of(&self, part: &DeleteRecordsPart) -> Result<Offset, ErrorCode> {
        let partition = self.find(part.id)?;
        partition.check_epoch(model::LeaderEpoch::NONE).map_err(|error| error.code())?;
        let config = partition.log().config();
        if config.compaction.is_some() && !config.retention.delete {
            return Err(ErrorCode::PolicyViolation);
        }
        let high = partition.watermarks().high;
        let before = if part.before == Offset::NONE { high } else { part.before };
        if before < Offset::ZERO || before > high {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        let log_start = match self.store.delete_records(partition.log(), before).await {
            Ok(log_start) => log_start,
            Err(error) => {
                tracing::error!(partition = %part.id, %error, "records could not be deleted");
                return Err(ErrorCode::KafkaStorageError);
            }
        };
        self.table.moved(&partition);
        Ok(log_start)
    }

    pub(super) fn producers(&self, id: TopicPartition) -> Result<Vec<ActiveProducer>, ErrorCode> {
        let partition = self.find(id)?;
        partition.check_epoch(model::LeaderEpoch::NONE).map_err(|error| error.code())?;
        Ok(partition.log().active_producers())
    }

    pub(super) fn sizes(&self, ids: Option<&[TopicPartition]>) -> Vec<Size> {
        let size = |partition: &Partition<D>| Size {
            id: partition.id(),
            bytes: partition.log().bytes(),
            durable: partition.log().ends().durable,
        };
        match ids {
            None => self.table.all().iter().map(|partition| size(partition)).collect(),
            Some(ids) => {
                ids.iter().filter_map(|&id| self.table.find(id)).map(|partition| size(&partition)).collect()
            }
        }
    }
}
