//! The records inside fetched batches: checked, decompressed, without those that a reader must not see.

use std::{collections::BTreeSet, ops::ControlFlow};

use model::{
    BatchError, BatchView, TimestampType,
    batch::record::{Record, Records},
};
use net::wire::messages::fetch;

/// No batch is larger when decompressed; what claims to be is damage or an attack.
const BATCH_BYTES_MAX: usize = 1 << 30;

/// One record and where it stands.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    pub partition: i32,
    pub offset: i64,
    pub timestamp: i64,
    pub record: Record<'a>,
}

/// Visits the records of one fetched partition from offset `from` on, until a visit breaks. `Err` is a sentence.
pub fn for_each_record(
    partition: &fetch::PartitionDataView<'_>,
    from: i64,
    mut visit: impl FnMut(Message<'_>) -> ControlFlow<()>,
) -> Result<(), String> {
    let mut bytes = partition.records.unwrap_or_default();
    let mut aborted = Aborted::new(partition);
    loop {
        let batch = match BatchView::check(bytes) {
            Ok(batch) => batch,
            // The broker cuts what it sends at a number of bytes, not at a batch.
            Err(BatchError::Truncated { .. }) => return Ok(()),
            Err(error) => return Err(sentence(partition.partition_index, from, &error.to_string())),
        };
        bytes = &bytes[batch.bytes().len()..];
        if batch.header().next_offset().0 > from && aborted.shows(&batch) {
            let flow = for_each_of(&batch, partition.partition_index, from, &mut visit)?;
            if flow.is_break() {
                return Ok(());
            }
        }
    }
}

fn for_each_of(
    batch: &BatchView<'_>,
    partition: i32,
    from: i64,
    visit: &mut impl FnMut(Message<'_>) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, String> {
    let header = batch.header();
    let bad = |why: String| sentence(partition, header.base_offset().0, &why);
    let codec = header.compression().map_err(|e| bad(e.to_string()))?;
    let payload = engine::compression::decompress(codec, batch.payload(), BATCH_BYTES_MAX)
        .map_err(|e| bad(e.to_string()))?;
    let stamped = header.timestamp_type() == TimestampType::LogAppendTime;
    for record in Records::new(&payload, header.record_count()) {
        let record = record.map_err(|e| bad(e.to_string()))?;
        let offset = header.base_offset().0.saturating_add(i64::from(record.offset_delta));
        let created = header.base_timestamp().0.saturating_add(record.timestamp_delta);
        let timestamp = if stamped { header.max_timestamp().0 } else { created };
        if offset >= from && visit(Message { partition, offset, timestamp, record }).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn sentence(partition: i32, offset: i64, why: &str) -> String {
    format!("the batch at offset {offset} of partition {partition} is damaged: {why}")
}

/// Which transactional batches belong to aborted transactions, walking forward through one answer.
struct Aborted {
    /// By first offset, those not reached yet last.
    ahead: Vec<(i64, i64)>,
    /// Producers within an aborted transaction.
    open: BTreeSet<i64>,
}

impl Aborted {
    fn new(partition: &fetch::PartitionDataView<'_>) -> Self {
        let listed = partition.aborted_transactions.iter().flat_map(|list| list.iter());
        let mut ahead: Vec<(i64, i64)> = listed.map(|t| (t.first_offset, t.producer_id)).collect();
        ahead.sort_unstable_by_key(|&(first_offset, _)| std::cmp::Reverse(first_offset));
        Self { ahead, open: BTreeSet::new() }
    }

    fn shows(&mut self, batch: &BatchView<'_>) -> bool {
        let header = batch.header();
        while let Some((_, producer)) = self.ahead.pop_if(|(first, _)| *first <= header.last_offset().0) {
            self.open.insert(producer);
        }
        let producer = header.producer_id().0;
        if header.is_control() {
            // A marker ends the transaction of its producer; no reader sees one.
            self.open.remove(&producer);
            return false;
        }
        !(header.is_transactional() && self.open.contains(&producer))
    }
}

#[cfg(test)]
mod tests {
    use model::batch::record::{BatchMeta, Producer, build_batch, write_record};
    use net::wire::{RecordsRef, Writer};

    use super::*;

    fn batch(base_offset: i64, producer_id: i64, attributes: i16, values: &[&str]) -> Vec<u8> {
        let mut payload = vec![];
        for (i, value) in values.iter().enumerate() {
            write_record(&mut payload, i as i32, i as i64, None, Some(value.as_bytes()), &[]);
        }
        let codec = model::Compression::Lz4;
        let compressed = attributes & 7 == 3;
        let payload = if compressed { engine::compression::compress(codec, None, &payload) } else { payload };
        let meta = BatchMeta {
            base_offset,
            leader_epoch: 0,
            attributes,
            base_timestamp: 1000,
            max_timestamp: 2000,
            record_count: values.len() as i32,
            producer: Producer { id: producer_id, epoch: 0, base_sequence: 0 },
        };
        build_batch(meta, &payload)
    }

    /// Offset, timestamp and value of everything shown.
    fn shown(
        records: &[u8],
        aborted: &[(i64, i64)],
        from: i64,
        limit: usize,
    ) -> Result<Vec<(i64, i64, String)>, String> {
        let aborted = aborted
            .iter()
            .map(|&(producer_id, first_offset)| fetch::AbortedTransaction { producer_id, first_offset });
        let data = fetch::PartitionData {
            aborted_transactions: Some(aborted.collect()),
            records: Some(RecordsRef { bytes: records.len(), slot: 0 }),
            ..Default::default()
        };
        let topic = fetch::FetchableTopicResponse { partitions: vec![data], ..Default::default() };
        let mut writer = Writer::new();
        fetch::Response { responses: vec![topic], ..Default::default() }.encode(11, &mut writer);
        let mut body = writer.bytes().to_vec();
        if let Some(hole) = writer.holes().first() {
            body.splice(hole.position..hole.position, records.iter().copied());
        }
        let view = fetch::ResponseView::decode(&body, 11).unwrap();
        let partition = view.responses.iter().next().unwrap().partitions.iter().next().unwrap();
        let mut seen = vec![];
        for_each_record(&partition, from, |m| {
            seen.push((m.offset, m.timestamp, String::from_utf8_lossy(m.record.value.unwrap()).into_owned()));
            if seen.len() == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(seen)
    }

    fn values(seen: Vec<(i64, i64, String)>) -> Vec<String> {
        seen.into_iter().map(|(_, _, value)| value).collect()
    }

    #[test]
    fn what_was_not_asked_for_is_left_out() {
        let mut records = batch(10, -1, 0, &["a", "b", "c"]);
        records.extend(batch(13, -1, 3, &["d", "e"]));
        let seen = shown(&records, &[], 12, 9).unwrap();
        assert_eq!(seen, [(12, 1002, "c".into()), (13, 1000, "d".into()), (14, 1001, "e".into())]);
        assert_eq!(values(shown(&records, &[], 11, 2).unwrap()), ["b", "c"]);
        assert_eq!(values(shown(&records[..records.len() - 1], &[], 0, 9).unwrap()), ["a", "b", "c"]);
        assert!(shown(&[], &[], 0, 9).unwrap().is_empty());
    }

    #[test]
    fn the_broker_s_clock_stamps_all_records_alike() {
        let seen = shown(&batch(0, -1, 8, &["a", "b"]), &[], 0, 9).unwrap();
        assert_eq!(seen, [(0, 2000, "a".into()), (1, 2000, "b".into())]);
    }

    #[test]
    fn aborted_transactions_and_markers_are_not_shown() {
        let mut records = batch(0, 7, 0x10, &["aborted"]);
        records.extend(batch(1, 8, 0x10, &["committed"]));
        records.extend(batch(2, 7, 0x10, &["aborted too"]));
        records.extend(batch(3, 7, 0x30, &["marker"]));
        records.extend(batch(4, 8, 0x30, &["marker"]));
        records.extend(batch(5, 7, 0x10, &["a new one"]));
        records.extend(batch(6, 7, 0, &["plain"]));
        assert_eq!(values(shown(&records, &[(7, 0)], 0, 9).unwrap()), ["committed", "a new one", "plain"]);
    }

    #[test]
    fn a_damaged_batch_is_named() {
        let mut records = batch(4, -1, 0, &["a"]);
        *records.last_mut().unwrap() ^= 1;
        let error = shown(&records, &[], 4, 9).unwrap_err();
        assert!(
            error.starts_with("the batch at offset 4 of partition 0 is damaged: the checksum"),
            "{error}"
        );
    }
}
