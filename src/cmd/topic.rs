//! `tailrace topic`: create, list, describe, delete, alter.

use std::fmt::Write as _;

use anyhow::bail;
use model::ErrorCode;

use crate::{
    cli::{BrokerArgs, TopicCommand},
    client::{
        Cluster,
        admin::{ConfigValue, NewTopic, SOURCE_DEFAULT, SOURCE_TOPIC},
        cluster::Topic,
    },
};

pub fn run(command: &TopicCommand) -> anyhow::Result<()> {
    match command {
        TopicCommand::Create { name, partitions, replicas, configs, if_not_exists, broker } => {
            let topic = NewTopic { name, partitions: *partitions, replicas: *replicas, configs };
            create(&topic, *if_not_exists, broker)
        }
        TopicCommand::List { broker } => list(broker),
        TopicCommand::Describe { name, all, broker } => describe(name, *all, broker),
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

fn list(broker: &BrokerArgs) -> anyhow::Result<()> {
    let mut topics = Cluster::connect(&broker.broker)?.topics(None, false)?;
    topics.sort_by(|a, b| a.name.cmp(&b.name));
    let rows = topics.iter().map(|t| vec![t.name.clone(), t.partitions.len().to_string()]);
    print!("{}", table(&["TOPIC", "PARTITIONS"], rows.collect()));
    Ok(())
}

fn describe(name: &str, all: bool, broker: &BrokerArgs) -> anyhow::Result<()> {
    let mut cluster = Cluster::connect(&broker.broker)?;
    let topic = cluster.topic(name, false)?;
    let configs = cluster.describe_configs(name)?;
    print!("{}", description(&topic, &configs, all));
    Ok(())
}

fn description(topic: &Topic, configs: &[ConfigValue], all: bool) -> String {
    let mut text =
        format!("topic {}, id {}, {} partitions\n\n", topic.name, topic.id, topic.partitions.len());
    let rows = topic.partitions.iter().map(|p| {
        let leader = p.leader.map_or("none".to_owned(), |id| id.to_string());
        vec![p.index.to_string(), leader, numbers(&p.replicas), numbers(&p.isr)]
    });
    text.push_str(&table(&["PARTITION", "LEADER", "REPLICAS", "ISR"], rows.collect()));
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

/// Columns as wide as their widest entry, two blanks apart.
fn table(heads: &[&str], rows: Vec<Vec<String>>) -> String {
    let width = |column: usize| {
        rows.iter().map(|row| row[column].chars().count()).chain([heads[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let mut text = String::new();
    let heads = heads.iter().map(|h| (*h).to_owned()).collect();
    for row in [heads].into_iter().chain(rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
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
        let expected = "\
topic logs, id AAAAAAAAAAAAAAAAAAAAAQ, 2 partitions

PARTITION  LEADER  REPLICAS  ISR
0          1       1,2       1
1          none    1,2       1

CONFIG        VALUE  SET BY
retention.ms  1000   topic
";
        assert_eq!(description(&topic, &configs, false), expected);
        assert!(description(&topic, &configs, true).ends_with("segment.ms    5      default\n"));
        assert!(!description(&topic, &[], false).contains("CONFIG"));
    }
}
