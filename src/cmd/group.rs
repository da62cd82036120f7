//! `tailrace group`: list, describe, reset-offsets, delete, delete-offsets.

use std::collections::BTreeMap;

use anyhow::{anyhow, bail};
use model::ErrorCode;

use super::table::{Json, UNKNOWN, table};
use crate::{
    cli::{
        BrokerArgs,
        group::{GroupCommand, TopicScope},
    },
    client::{Cluster, error::ClientError, groups::Group},
};

mod describe;
mod lag;
mod reset;

pub fn run(command: &GroupCommand) -> anyhow::Result<()> {
    match command {
        GroupCommand::List { states, types, json, broker } => list(states, types, *json, broker),
        GroupCommand::Describe(args) => describe::run(args),
        GroupCommand::ResetOffsets(args) => reset::run(args),
        GroupCommand::Delete { groups, broker } => delete(groups, broker),
        GroupCommand::DeleteOffsets { group, topics, broker } => delete_offsets(group, topics, broker),
    }
}

fn list(states: &[String], types: &[String], json: bool, broker: &BrokerArgs) -> anyhow::Result<()> {
    let passes = |wanted: &[String], found: &str| {
        wanted.is_empty() || wanted.iter().any(|wanted| wanted.eq_ignore_ascii_case(found))
    };
    let mut cluster = Cluster::connect(&broker.broker)?;
    let mut listed = cluster.list_groups()?;
    listed.retain(|group| passes(types, group.kind.name()));
    let described = cluster.describe_listed(&listed)?;
    let described: BTreeMap<&str, &Group> =
        described.iter().map(|group| (group.id.as_str(), group)).collect();
    let mut rows = Vec::new();
    for group in &listed {
        let looked_into = described.get(group.id.as_str());
        let state = looked_into.map_or(group.state.as_str(), |group| &group.state);
        if passes(states, state) {
            let members = looked_into.map(|group| group.members.len() as i64);
            rows.push((group, state, members));
        }
    }
    if json {
        let group = |(group, state, members): (&crate::client::groups::Listed, &str, Option<i64>)| {
            Json::Object(vec![
                ("group", Json::text(&group.id)),
                ("type", Json::text(group.kind.name())),
                ("state", Json::text(state)),
                ("members", members.into()),
                ("protocol_type", Json::text(&group.protocol_type)),
                ("coordinator", group.coordinator.into()),
            ])
        };
        println!("{}", Json::List(rows.into_iter().map(group).collect()));
        return Ok(());
    }
    let rows = rows.into_iter().map(|(group, state, members)| {
        let members = members.map_or(UNKNOWN.to_owned(), |n| n.to_string());
        vec![group.id.clone(), group.kind.name().to_owned(), state.to_owned(), members]
    });
    print!("{}", table(&["GROUP", "TYPE", "STATE", "MEMBERS"], rows.collect()));
    Ok(())
}

fn delete(groups: &[String], broker: &BrokerArgs) -> anyhow::Result<()> {
    let mut cluster = Cluster::connect(&broker.broker)?;
    let mut failed = Vec::new();
    for group in groups {
        match cluster.delete_group(group) {
            Ok(()) => println!("{group} deleted"),
            Err(error) if error.has_code(ErrorCode::NonEmptyGroup) => {
                failed.push(format!("group {group} is in use: stop its members, then delete it"));
            }
            Err(error) => failed.push(in_words(group, error).to_string()),
        }
    }
    if failed.is_empty() { Ok(()) } else { bail!("{}", failed.join("\n")) }
}

fn delete_offsets(group: &str, scopes: &[TopicScope], broker: &BrokerArgs) -> anyhow::Result<()> {
    let mut cluster = Cluster::connect(&broker.broker)?;
    let Some(found) = cluster.describe_group(group)? else { return Err(no_such_group(group)) };
    let committed = cluster.committed(found.coordinator, group)?;
    let mut partitions: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for scope in scopes {
        let all = || committed.keys().filter(|(topic, _)| *topic == scope.topic).map(|(_, p)| *p).collect();
        let chosen: Vec<i32> = scope.partitions.clone().unwrap_or_else(all);
        if chosen.is_empty() {
            bail!("group {group} has committed nothing for topic {}", scope.topic);
        }
        partitions.entry(scope.topic.clone()).or_default().extend(chosen);
    }
    let mut failed = Vec::new();
    let results = cluster
        .delete_offsets(found.coordinator, group, &partitions)
        .map_err(|error| in_words(group, error))?;
    for ((topic, partition), result) in results {
        match result {
            Ok(()) => println!("{topic}-{partition} forgotten"),
            Err(error) if error.has_code(ErrorCode::GroupSubscribedToTopic) => failed.push(format!(
                "{topic}-{partition}: group {group} reads {topic} right now: stop its members, then forget its offsets"
            )),
            Err(error) => failed.push(error.to_string()),
        }
    }
    if failed.is_empty() { Ok(()) } else { bail!("{}", failed.join("\n")) }
}

fn no_such_group(group: &str) -> anyhow::Error {
    anyhow!("there is no group {group}: 'tailrace group list' shows those that there are")
}

fn in_words(group: &str, error: ClientError) -> anyhow::Error {
    if error.has_code(ErrorCode::GroupIdNotFound) { no_such_group(group) } else { error.into() }
}
