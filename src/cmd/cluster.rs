//! `tailrace cluster`: status, add-voter, remove-voter, unregister, reassign, reassignments, elect.

use std::collections::BTreeMap;

use anyhow::bail;
use model::ErrorCode;

use super::table::{Json, table};
use crate::{
    cli::{
        BrokerArgs,
        cluster::{ClusterCommand, ElectArgs, ReassignArgs},
        group::TopicScope,
    },
    client::{
        Cluster,
        reassignments::{Election, Move},
        throttles::Throttles,
    },
};

mod status;

pub fn run(command: &ClusterCommand) -> anyhow::Result<()> {
    match command {
        ClusterCommand::Status { json, broker } => status::run(*json, broker),
        ClusterCommand::AddVoter { target, broker } => {
            Cluster::connect(&broker.broker)?.add_voter(target.id)?;
            println!("broker {} votes", target.id);
            Ok(())
        }
        ClusterCommand::RemoveVoter { target, broker } => {
            Cluster::connect(&broker.broker)?.remove_voter(target.id)?;
            println!("broker {} votes no more", target.id);
            Ok(())
        }
        ClusterCommand::Unregister { target, broker } => {
            Cluster::connect(&broker.broker)?.unregister_broker(target.id)?;
            println!("broker {} is forgotten", target.id);
            Ok(())
        }
        ClusterCommand::Reassign(args) => reassign(args),
        ClusterCommand::Reassignments { preserve_throttles, json, broker } => {
            reassignments(*json, *preserve_throttles, broker)
        }
        ClusterCommand::Elect(args) => elect(args),
    }
}

fn reassign(args: &ReassignArgs) -> anyhow::Result<()> {
    let ReassignArgs { topic, partition, replicas, cancel, throttle, broker } = args;
    let mut cluster = Cluster::connect(&broker.broker)?;
    if let Some(rate) = throttle {
        cluster.throttle_move(topic, *partition, replicas, *rate)?;
    }
    cluster.reassign(topic, *partition, (!cancel).then(|| replicas.clone()))?;
    match cancel {
        true => println!("{topic}-{partition} stays where it was"),
        false => println!(
            "{topic}-{partition} moves to {}; 'tailrace cluster reassignments' shows it until that is done",
            numbers(replicas)
        ),
    }
    Ok(())
}

fn reassignments(json: bool, preserve_throttles: bool, broker: &BrokerArgs) -> anyhow::Result<()> {
    let mut cluster = Cluster::connect(&broker.broker)?;
    let moves = cluster.reassignments()?;
    let throttles = cluster.throttles()?;
    let takes_off = moves.is_empty() && !throttles.is_empty() && !preserve_throttles;
    if takes_off {
        cluster.unthrottle(&throttles)?;
    }
    match json {
        true => println!("{}", Json::List(moves.iter().map(as_json).collect())),
        false => print!("{}{}", listing(&moves), throttle_lines(&throttles, takes_off)),
    }
    Ok(())
}

fn throttle_lines(throttles: &Throttles, taken_off: bool) -> String {
    let rate = |&(broker, rate): &(i32, u64)| format!("{broker} at {rate} bytes a second");
    let brokers = throttles.brokers.iter().map(rate).collect::<Vec<_>>().join(", ");
    let mut parts = Vec::new();
    if !brokers.is_empty() {
        parts.push(format!("of brokers {brokers}"));
    }
    if !throttles.topics.is_empty() {
        parts.push(format!("of topics {}", throttles.topics.join(", ")));
    }
    match parts.is_empty() {
        true => String::new(),
        false => format!("throttle{}: {}\n", if taken_off { " taken off" } else { "" }, parts.join("; ")),
    }
}

fn listing(moves: &[Move]) -> String {
    if moves.is_empty() {
        return "nothing moves\n".to_owned();
    }
    let row = |m: &Move| {
        let lists = [&m.replicas, &m.adding, &m.removing].map(|ids| numbers(ids));
        [m.topic.clone(), m.partition.to_string()].into_iter().chain(lists).collect()
    };
    table(&["TOPIC", "PARTITION", "REPLICAS", "ADDING", "REMOVING"], moves.iter().map(row).collect())
}

fn as_json(m: &Move) -> Json {
    let list = |ids: &[i32]| Json::List(ids.iter().map(|&id| id.into()).collect());
    Json::Object(vec![
        ("topic", Json::text(&m.topic)),
        ("partition", m.partition.into()),
        ("replicas", list(&m.replicas)),
        ("adding", list(&m.adding)),
        ("removing", list(&m.removing)),
    ])
}

fn elect(args: &ElectArgs) -> anyhow::Result<()> {
    let mut cluster = Cluster::connect(&args.broker.broker)?;
    let election = if args.unclean { Election::Unclean } else { Election::Preferred };
    let named = if args.topics.is_empty() { None } else { Some(partitions(&mut cluster, &args.topics)?) };
    let mut failed = Vec::new();
    let mut count = 0;
    for ((topic, partition), result) in cluster.elect(election, named.as_ref())? {
        match result {
            Ok(()) => {
                count += 1;
                println!("{topic}-{partition} has a new leader");
            }
            Err(error) if error.has_code(ErrorCode::ElectionNotNeeded) => {
                println!("{topic}-{partition} needs none");
            }
            Err(error) => failed.push(error.to_string()),
        }
    }
    if count == 0 && named.is_none() && failed.is_empty() {
        println!("every partition is led by its preferred replica");
    }
    if failed.is_empty() { Ok(()) } else { bail!("{}", failed.join("\n")) }
}

/// By topic, the partitions that the scopes name, each once.
fn partitions(cluster: &mut Cluster, scopes: &[TopicScope]) -> anyhow::Result<BTreeMap<String, Vec<i32>>> {
    let mut named: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for TopicScope { topic, partitions } in scopes {
        let chosen = match partitions {
            Some(partitions) => partitions.clone(),
            None => {
                let found = cluster.topics(Some(&[topic]), false)?;
                found.iter().flat_map(|topic| &topic.partitions).map(|partition| partition.index).collect()
            }
        };
        if chosen.is_empty() {
            bail!("there is no topic {topic}: 'tailrace topic list' shows those that there are");
        }
        named.entry(topic.clone()).or_default().extend(chosen);
    }
    for partitions in named.values_mut() {
        partitions.sort_unstable();
        partitions.dedup();
    }
    Ok(named)
}

fn numbers(ids: &[i32]) -> String {
    if ids.is_empty() {
        return "-".to_owned();
    }
    ids.iter().map(i32::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_are_listed() {
        let m =
            Move { topic: "t".into(), partition: 3, replicas: vec![2, 1], adding: vec![2], removing: vec![] };
        let expected = "\
TOPIC  PARTITION  REPLICAS  ADDING  REMOVING
t      3          2,1       2       -
";
        assert_eq!(listing(std::slice::from_ref(&m)), expected);
        assert_eq!(listing(&[]), "nothing moves\n");
        let json = r#"{"topic":"t","partition":3,"replicas":[2,1],"adding":[2],"removing":[]}"#;
        assert_eq!(as_json(&m).to_string(), json);
    }

    #[test]
    fn a_throttle_is_told() {
        let throttles = Throttles { topics: vec!["t".into()], brokers: vec![(1, 500), (2, 500)] };
        let told = "of brokers 1 at 500 bytes a second, 2 at 500 bytes a second; of topics t\n";
        assert_eq!(throttle_lines(&throttles, false), format!("throttle: {told}"));
        assert_eq!(throttle_lines(&throttles, true), format!("throttle taken off: {told}"));
        assert_eq!(throttle_lines(&Throttles::default(), false), "");
    }
}
