//! How far a group is behind, partition by partition: in records, and in time.
//!
//! In records it is the distance from the committed offset to the log's end, as Kafka's own tool has it. In time it is
//! the age of the first record that was not read; whoever reads it now is that late. The two differ where offsets have
//! holes (compaction, transactions): many offsets may be few records, or none.

use std::collections::{BTreeMap, BTreeSet};

use crate::client::{
    Cluster,
    cluster::Topic,
    error::Result,
    groups::Group,
    offsets::{EARLIEST, LATEST},
    waiting::{Place, Waiting},
};

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    pub topic: String,
    pub partition: i32,
    pub committed: Option<i64>,
    pub start: Option<i64>,
    pub end: Option<i64>,
    pub lag: Option<i64>,
    pub lag_ms: Option<i64>,
    /// Index of the member that reads it.
    pub member: Option<usize>,
}

/// All that the group has committed, and all that its members read.
pub fn rows(cluster: &mut Cluster, group: &Group, now_ms: i64) -> Result<Vec<Row>> {
    let committed = cluster.committed(group.coordinator, &group.id)?;
    let mut readers: BTreeMap<(String, i32), usize> = BTreeMap::new();
    for (n, member) in group.members.iter().enumerate() {
        for (topic, partitions) in &member.assigned {
            readers.extend(partitions.iter().map(|&partition| ((topic.clone(), partition), n)));
        }
    }
    let places: BTreeSet<(String, i32)> = committed.keys().chain(readers.keys()).cloned().collect();
    let topics = topics_of(cluster, &places)?;
    let (starts, ends) = (cluster.offsets_of(&topics, EARLIEST)?, cluster.offsets_of(&topics, LATEST)?);
    let mut rows: Vec<Row> = Vec::with_capacity(places.len());
    for place in places {
        let committed = committed.get(&place).map(|committed| committed.offset);
        let (start, end) = (starts.get(&place).copied(), ends.get(&place).copied());
        // A log that was cut may end before what was committed: nothing is left to read.
        let lag = committed.zip(end).map(|(committed, end)| end.saturating_sub(committed).max(0));
        let member = readers.get(&place).copied();
        let lag_ms = (lag == Some(0)).then_some(0);
        rows.push(Row { topic: place.0, partition: place.1, committed, start, end, lag, lag_ms, member });
    }
    measure(cluster, &topics, &mut rows, now_ms)?;
    Ok(rows)
}

/// The topics of these partitions, and of each only these. Topics that are gone are left out.
fn topics_of(cluster: &mut Cluster, places: &BTreeSet<(String, i32)>) -> Result<Vec<Topic>> {
    let mut names: Vec<&str> = places.iter().map(|(topic, _)| topic.as_str()).collect();
    names.dedup();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let mut topics = cluster.topics(Some(&names), false)?;
    topics.retain(|topic| topic.error_code == 0);
    for topic in &mut topics {
        let name = topic.name.clone();
        topic.partitions.retain(|partition| places.contains(&(name.clone(), partition.index)));
    }
    Ok(topics)
}

fn measure(cluster: &mut Cluster, topics: &[Topic], rows: &mut [Row], now_ms: i64) -> Result<()> {
    let leaders: BTreeMap<(&str, i32), i32> = topics
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(move |p| (topic.name.as_str(), p)))
        .filter_map(|(topic, p)| Some(((topic, p.index), p.leader?)))
        .collect();
    let (mut places, mut numbers) = (Vec::new(), Vec::new());
    for (n, row) in rows.iter().enumerate() {
        let behind = row.lag.is_some_and(|lag| lag > 0);
        let leader = leaders.get(&(row.topic.as_str(), row.partition));
        if let (true, Some(committed), Some(start), Some(end), Some(&leader)) =
            (behind, row.committed, row.start, row.end, leader)
        {
            // What was deleted meanwhile waits for nobody.
            let (topic, from) = (row.topic.clone(), committed.max(start));
            places.push(Place { topic, partition: row.partition, leader, from, end });
            numbers.push(n);
        }
    }
    for (n, waiting) in numbers.into_iter().zip(cluster.waiting(&places)?) {
        rows[n].lag_ms = lag_ms(waiting, now_ms);
    }
    Ok(())
}

/// Clocks differ: a record from the future waits for no time.
fn lag_ms(waiting: Waiting, now_ms: i64) -> Option<i64> {
    match waiting {
        Waiting::Since(timestamp) => Some(now_ms.saturating_sub(timestamp).max(0)),
        Waiting::Nothing => Some(0),
        Waiting::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lag_in_time_is_the_age_of_the_first_record() {
        assert_eq!(lag_ms(Waiting::Since(700), 1000), Some(300));
        assert_eq!(lag_ms(Waiting::Since(1200), 1000), Some(0));
        assert_eq!(lag_ms(Waiting::Nothing, 1000), Some(0));
        assert_eq!(lag_ms(Waiting::Unknown, 1000), None);
    }
}
