//! `tailrace topic`: create, list, describe, delete, alter.

use std::{collections::BTreeMap, time::Duration};

use anyhow::bail;
use model::ErrorCode;

use super::table::{bytes, or_unknown, table};
use crate::{
    cli::{BrokerArgs, TopicCommand},
    client::{
        Cluster,
        admin::{ConfigValue, NewTopic, SOURCE_DEFAULT, SOURCE_TOPIC},
        cluster::Topic,
    },
};

mod figures;

use figures::{Figures, Rate, figures, measure};

pub fn run(command: &TopicCommand) -> anyhow::Result<()> {
    match command {
        TopicCommand::Create { name, partitions, replicas, configs, if_not_exists, broker } => {
            let topic = NewTopic { name, partitions: *partitions, replicas: *replicas, configs };
            create(&topic, *if_not_exists, broker)
        }
        TopicCommand::List { rate, broker } => list(*rate, broker),
        TopicCommand::Describe { name, rate, all, broker } => describe(name, *rate, *all, broker),
        TopicCommand::Delete { names, broker } => delete(names, broker),
        TopicCommand::Alter { name, partitions, configs, unset, broker } => {
            alter(name, *partitions, configs, unset, broker)
        }
    }
}

fn create(topic: &NewTopic<'_>, if_not_exists: bool, broker: &BrokerArgs) -> anyhow::Result<()> {
    let mut cluster = Cluster::connect(&broker.broker)?;
    match cluster.create_topic(topic) {
        Err(error) if if_not_exists && error.has_code(ErrorCode::TopicAlreadyExists) => {
            println!("{} is there already", topic.name);
        }
        done => {
            done?;
            println!("{} created", topic.name);
        }
    }
    Ok(())
}

fn list(rate: Option<Duration>, broker: &BrokerArgs) -> anyhow::Result<()> {
    let mut cluster = Cluster::connect(&broker.broker)?;
    let mut topics = cluster.topics(None, false)?;
    topics.sort_by(|a, b| a.name.cmp(&b.name));
    let figures = look(&mut cluster, &topics, rate)?;
    print!("{}", listing(&topics, &figures, rate.is_some()));
    Ok(())
}

fn look(
    cluster: &mut Cluster,
    topics: &[Topic],
    rate: Option<Duration>,
) -> anyhow::Result<BTreeMap<(String, i32), Figures>> {
    Ok(match rate {
        Some(interval) => measure(cluster, topics, interval)?,
        None => figures(cluster, topics)?,
    })
}

fn listing(topics: &[Topic], figures: &BTreeMap<(String, i32), Figures>, with_rate: bool) -> String {
    let row = |topic: &Topic| {
        let of = |p: &crate::client::cluster::Partition| figures.get(&(topic.name.clone(), p.index)).copied();
        let all: Vec<Figures> = topic.partitions.iter().map(|p| of(p).unwrap_or_default()).collect();
        let total = Figures::total(&all);
        let mut row = vec![topic.name.clone(), topic.partitions.len().to_string()];
        row.extend([or_unknown(total.records), or_unknown(total.bytes.map(bytes))]);
        row.extend(with_rate.then(|| rate_cells(total.rate)).into_iter().flatten());
        row
    };
    let mut heads = vec!["TOPIC", "PARTITIONS", "RECORDS", "SIZE"];
    heads.extend(with_rate.then_some(RATE_HEADS).into_iter().flatten());
    table(&heads, topics.iter().map(row).collect())
}

const RATE_HEADS: [&str; 2] = ["RECORDS/S", "BYTES/S"];

fn rate_cells(rate: Option<Rate>) -> [String; 2] {
    let records = rate.map(|rate| format!("{:.1}", rate.records));
    [
        or_unknown(records),
        or_unknown(rate.and_then(|rate| rate.bytes).map(|per_second| bytes(per_second as i64))),
    ]
}

fn describe(name: &str, rate: Option<Duration>, all: bool, broker: &BrokerArgs) -> anyhow::Result<()> {
    let mut cluster = Cluster::connect(&broker.broker)?;
    let topic = cluster.topic(name, false)?;
    let configs = cluster.describe_configs(name)?;
    let figures = look(&mut cluster, std::slice::from_ref(&topic), rate)?;
    print!("{}", description(&topic, &figures, &configs, all, rate.is_some()));
    Ok(())
}

fn description(
    topic: &Topic,
    figures: &BTreeMap<(String, i32), Figures>,
    configs: &[ConfigValue],
    all: bool,
    with_rate: bool,
) -> String {
    let mut text =
        format!("topic {}, id {}, {} partitions\n\n", topic.name, topic.id, topic.partitions.len());
    let rows = topic.partitions.iter().map(|p| {
        let leader = p.leader.map_or("none".to_owned(), |id| id.to_string());
        let known = figures.get(&(topic.name.clone(), p.index)).copied().unwrap_or_default();
        let mut row = vec![p.index.to_string(), leader, numbers(&p.replicas), numbers(&p.isr)];
        row.extend([known.start, known.end, known.durable].map(or_unknown));
        row.push(or_unknown(known.bytes.map(bytes)));
        row.extend(with_rate.then(|| rate_cells(known.rate)).into_iter().flatten());
        row
    });
    let mut heads = vec!["PARTITION", "LEADER", "REPLICAS", "ISR", "START", "END", "DURABLE", "SIZE"];
    heads.extend(with_rate.then_some(RATE_HEADS).into_iter().flatten());
    text.push_str(&table(&heads, rows.collect()));
    let shown = configs.iter().filter(|c| all || c.source != SOURCE_DEFAULT);
    let rows: Vec<_> = shown
        .map(|c| {
            vec![
                c.name.clone(),
                c.value.clone().unwrap_or_else(|| "-".to_owned()),
                source(c.source).to_owned(),
            ]
        })
        .collect();
    if !rows.is_empty() {
        text.push('\n');
        text.push_str(&table(&["CONFIG", "VALUE", "SET BY"], rows));
    }
    text
}

fn source(number: i8) -> &'static str {
    match number {
        SOURCE_TOPIC => "topic",
        SOURCE_DEFAULT => "default",
        _ => "broker",
    }
}

fn numbers(ids: &[i32]) -> String {
    ids.iter().map(i32::to_string).collect::<Vec<_>>().join(",")
}

fn delete(names: &[String], broker: &BrokerArgs) -> anyhow::Result<()> {
    let results = Cluster::connect(&broker.broker)?.delete_topics(names)?;
    let mut failed = Vec::new();
    for (name, result) in results {
        match result {
            Ok(()) => println!("{name} deleted"),
            Err(error) => failed.push(error.to_string()),
        }
    }
    if failed.is_empty() { Ok(()) } else { bail!("{}", failed.join("\n")) }
}

fn alter(
    name: &str,
    partitions: Option<i32>,
    set: &[(String, String)],
    unset: &[String],
    broker: &BrokerArgs,
) -> anyhow::Result<()> {
    let mut cluster = Cluster::connect(&broker.broker)?;
    if let Some(count) = partitions {
        cluster.create_partitions(name, count)?;
        println!("{name} has {count} partitions");
    }
    if !set.is_empty() || !unset.is_empty() {
        cluster.alter_configs(name, set, unset)?;
        println!("{name} altered");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use model::TopicId;

    use super::*;
    use crate::client::cluster::Partition;

    #[test]
    fn a_description_shows_what_was_set() {
        let partition =
            |index| Partition { index, leader: Some(1), replicas: vec![1, 2], isr: vec![1], error_code: 0 };
        let topic = Topic {
            name: "logs".into(),
            id: TopicId::METADATA,
            is_internal: false,
            error_code: 0,
            partitions: vec![partition(0), Partition { leader: None, ..partition(1) }],
        };
        let config = |name: &str, value: &str, source| ConfigValue {
            name: name.into(),
            value: Some(value.into()),
            source,
        };
        let configs =
            [config("retention.ms", "1000", SOURCE_TOPIC), config("segment.ms", "5", SOURCE_DEFAULT)];
        let rate = Some(Rate { records: 2.5, bytes: None });
        let known = Figures {
            start: Some(3),
            end: Some(9),
            durable: Some(8),
            bytes: Some(2048),
            records: Some(6),
            rate,
        };
        let figures = [(("logs".to_owned(), 0), known)].into();
        let expected = "\
topic logs, id AAAAAAAAAAAAAAAAAAAAAQ, 2 partitions

PARTITION  LEADER  REPLICAS  ISR  START  END  DURABLE  SIZE
0          1       1,2       1    3      9    8        2.0 kB
1          none    1,2       1    -      -    -        -

CONFIG        VALUE  SET BY
retention.ms  1000   topic
";
        assert_eq!(description(&topic, &figures, &configs, false, false), expected);
        let all = description(&topic, &figures, &configs, true, true);
        assert!(all.ends_with("segment.ms    5      default\n"), "{all}");
        assert!(all.contains("8        2.0 kB  2.5        -\n"), "{all}");
        assert!(!description(&topic, &figures, &[], false, false).contains("CONFIG"));
        let listed = listing(&[topic], &figures, false);
        assert_eq!(listed, "TOPIC  PARTITIONS  RECORDS  SIZE\nlogs   2           6        2.0 kB\n");
    }
}
