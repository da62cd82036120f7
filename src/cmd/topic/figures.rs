//! What can be counted of partitions: offsets, bytes on disk, and how fast both grow between two looks.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use crate::client::{
    Cluster,
    cluster::Topic,
    error::Result,
    log_dirs::OnDisk,
    offsets::{EARLIEST, LATEST},
};

/// `None`: nobody says.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct Figures {
    pub(super) start: Option<i64>,
    pub(super) end: Option<i64>,
    pub(super) durable: Option<i64>,
    /// On the leader's disk.
    pub(super) bytes: Option<i64>,
    /// Offsets between start and end; where the log was compacted there are fewer records.
    pub(super) records: Option<i64>,
    pub(super) rate: Option<Rate>,
}

/// A second.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Rate {
    pub(super) records: f64,
    /// `None`: the log became smaller meanwhile.
    pub(super) bytes: Option<f64>,
}

impl Figures {
    /// Of a topic. A partition that nobody knows of adds nothing; where none is known, nor is the sum.
    pub(super) fn total(of: &[Self]) -> Self {
        let sum = |field: fn(&Self) -> Option<i64>| of.iter().filter_map(field).reduce(i64::saturating_add);
        let rate = of.iter().filter_map(|figures| figures.rate).reduce(|a, b| Rate {
            records: a.records + b.records,
            bytes: a.bytes.zip(b.bytes).map(|(a, b)| a + b),
        });
        Self { bytes: sum(|f| f.bytes), records: sum(|f| f.records), rate, ..Self::default() }
    }

    fn since(self, before: &Self, seconds: f64) -> Self {
        let rate = self.end.zip(before.end).map(|(end, before_end)| Rate {
            records: (end - before_end).max(0) as f64 / seconds,
            bytes: self
                .bytes
                .zip(before.bytes)
                .map(|(bytes, before)| bytes - before)
                .filter(|&more| more >= 0)
                .map(|more| more as f64 / seconds),
        });
        Self { rate, ..self }
    }
}

type ByPartition = BTreeMap<(String, i32), Figures>;

pub(super) fn figures(cluster: &mut Cluster, topics: &[Topic]) -> Result<ByPartition> {
    let starts = cluster.offsets_of(topics, EARLIEST)?;
    let ends = cluster.offsets_of(topics, LATEST)?;
    // After the ends: what is durable by then is never told as less than what can be read.
    let on_disk = cluster.on_disk(topics)?;
    Ok(merge(topics, &starts, &ends, &on_disk))
}

fn merge(
    topics: &[Topic],
    starts: &BTreeMap<(String, i32), i64>,
    ends: &BTreeMap<(String, i32), i64>,
    on_disk: &BTreeMap<(String, i32), OnDisk>,
) -> ByPartition {
    let mut figures = ByPartition::new();
    for topic in topics {
        for partition in &topic.partitions {
            let place = (topic.name.clone(), partition.index);
            let (start, end) = (starts.get(&place).copied(), ends.get(&place).copied());
            let disk = on_disk.get(&place);
            let known = Figures {
                start,
                end,
                durable: disk.and_then(|disk| disk.durable),
                bytes: disk.map(|disk| disk.bytes),
                records: start.zip(end).map(|(start, end)| (end - start).max(0)),
                rate: None,
            };
            figures.insert(place, known);
        }
    }
    figures
}

/// Two looks, `interval` apart.
pub(super) fn measure(cluster: &mut Cluster, topics: &[Topic], interval: Duration) -> Result<ByPartition> {
    let before = figures(cluster, topics)?;
    let looked = Instant::now();
    thread::sleep(interval);
    let mut after = figures(cluster, topics)?;
    let seconds = looked.elapsed().as_secs_f64();
    for (place, figures) in &mut after {
        if let Some(before) = before.get(place) {
            *figures = figures.since(before, seconds);
        }
    }
    Ok(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(end: i64, bytes: i64) -> Figures {
        let (start, records) = (Some(10), Some(end - 10));
        Figures { start, end: Some(end), durable: None, bytes: Some(bytes), records, rate: None }
    }

    #[test]
    fn a_rate_is_what_grew_in_a_second() {
        let rate = |after: Figures, before: Figures| after.since(&before, 2.0).rate;
        let expected = Rate { records: 50.0, bytes: Some(500.0) };
        assert_eq!(rate(known(200, 3000), known(100, 2000)), Some(expected));
        // Segments were dropped in between.
        assert_eq!(rate(known(200, 1000), known(100, 2000)), Some(Rate { bytes: None, ..expected }));
        assert_eq!(rate(known(200, 3000), Figures::default()), None);
    }

    #[test]
    fn a_topic_is_the_sum_of_what_is_known() {
        let total = Figures::total(&[known(20, 5), Figures::default(), known(40, 6)]);
        assert_eq!((total.records, total.bytes), (Some(40), Some(11)));
        assert_eq!(Figures::total(&[Figures::default()]), Figures::default());
    }
}
