//! `tailrace group reset-offsets`: moves the offsets of a group that nobody is in. Shows what it would do unless it is
//! told to do it.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, anyhow, bail};
use model::ErrorCode;

use crate::{
    cli::group::{ResetArgs, TopicScope},
    client::{
        Cluster,
        cluster::Topic,
        groups::{Group, Offsets},
        offsets::{EARLIEST, LATEST, NO_OFFSET},
        time::now_ms,
    },
    cmd::table::{or_unknown, table},
};

/// Where offsets go.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Target {
    Earliest,
    Latest,
    Offset(i64),
    Shift(i64),
    /// The first record that is not older, in milliseconds since 1970.
    Time(i64),
    Current,
    Listed(Offsets),
}

/// What is known of one partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Known {
    committed: Option<i64>,
    start: i64,
    end: i64,
    /// The first offset at the time asked for. None: no record is that young.
    at_time: Option<i64>,
}

pub(super) fn run(args: &ResetArgs) -> anyhow::Result<()> {
    let target = target(args)?;
    let mut cluster = Cluster::connect(&args.broker.broker)?;
    let group = cluster.describe_group(&args.group)?;
    if let Some(group) = &group
        && !group.is_empty()
    {
        bail!("{}", in_use(group));
    }
    let coordinator = match &group {
        Some(group) => group.coordinator,
        None => cluster.group_coordinator(&args.group)?,
    };
    let committed = cluster.committed(coordinator, &args.group)?;
    let committed: Offsets =
        committed.into_iter().map(|(place, committed)| (place, committed.offset)).collect();
    let scopes = scopes(args, &target, &committed);
    if scopes.is_empty() {
        bail!("group {} has committed nothing: name topics with --topic", args.group);
    }
    let topics = topics(&mut cluster, &scopes)?;
    let plan = plan(&mut cluster, &topics, &target, &committed)?;
    if args.execute {
        cluster.commit(coordinator, &args.group, &plan).map_err(|error| {
            // Somebody joined since we looked.
            let joined =
                error.has_code(ErrorCode::UnknownMemberId) || error.has_code(ErrorCode::StaleMemberEpoch);
            if joined {
                anyhow!("group {} is in use by now: nothing was changed", args.group)
            } else {
                error.into()
            }
        })?;
    }
    print!("{}", shown(&plan, &committed));
    if !args.execute {
        println!("\nnothing was changed: add --execute to do it");
    }
    Ok(())
}

fn in_use(group: &Group) -> String {
    format!(
        "group {} is in use (state {}, members: {}): stop them, then move its offsets",
        group.id,
        group.state,
        group.members.len()
    )
}

fn target(args: &ResetArgs) -> anyhow::Result<Target> {
    if let Some(file) = &args.from_file {
        return Ok(Target::Listed(read_file(file, &args.group)?));
    }
    let time = args.to_datetime.map(|time| time.0).or(args.by_duration.map(|span| now_ms() - span.0));
    Ok(match (args.to_earliest, args.to_latest, args.to_offset, args.shift_by, time) {
        (true, ..) => Target::Earliest,
        (_, true, ..) => Target::Latest,
        (_, _, Some(offset), ..) => Target::Offset(offset),
        (_, _, _, Some(count), _) => Target::Shift(count),
        (.., Some(time)) => Target::Time(time),
        _ => Target::Current,
    })
}

fn read_file(file: &Path, group: &str) -> anyhow::Result<Offsets> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut offsets = Offsets::new();
    for (n, line) in text.lines().enumerate() {
        if let Some((place, offset)) =
            read_line(line, group).map_err(|why| anyhow!("{}, line {}: {why}", file.display(), n + 1))?
        {
            offsets.insert(place, offset);
        }
    }
    if offsets.is_empty() {
        bail!("{} has no offsets of group {group}", file.display());
    }
    Ok(offsets)
}

type Line = Option<((String, i32), i64)>;

/// `None`: an empty line, or one of another group.
fn read_line(line: &str, group: &str) -> Result<Line, String> {
    let cells: Vec<&str> = line.split(',').map(|cell| cell.trim().trim_matches('"')).collect();
    let (of, cells) = match *cells {
        [""] => return Ok(None),
        [topic, partition, offset] => (group, [topic, partition, offset]),
        [of, topic, partition, offset] => (of, [topic, partition, offset]),
        _ => return Err("write it as TOPIC,PARTITION,OFFSET or GROUP,TOPIC,PARTITION,OFFSET".to_owned()),
    };
    let [topic, partition, offset] = cells;
    let partition: i32 = partition.parse().map_err(|_| format!("'{partition}' is no partition"))?;
    let offset: i64 = offset.parse().map_err(|_| format!("'{offset}' is no offset"))?;
    if partition < 0 || offset < 0 {
        return Err("partitions and offsets begin at 0".to_owned());
    }
    Ok((of == group).then(|| ((topic.to_owned(), partition), offset)))
}

/// Which partitions: those named, those of the file, or all that have been committed.
fn scopes(args: &ResetArgs, target: &Target, committed: &Offsets) -> Vec<TopicScope> {
    if !args.topics.is_empty() {
        return args.topics.clone();
    }
    let places = if let Target::Listed(listed) = target { listed } else { committed };
    let mut by_topic: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for (topic, partition) in places.keys() {
        by_topic.entry(topic).or_default().push(*partition);
    }
    let scope = |(topic, partitions): (&str, Vec<i32>)| TopicScope {
        topic: topic.to_owned(),
        partitions: Some(partitions),
    };
    by_topic.into_iter().map(scope).collect()
}

/// The topics, each with the partitions that are meant.
fn topics(cluster: &mut Cluster, scopes: &[TopicScope]) -> anyhow::Result<Vec<Topic>> {
    let mut topics: Vec<Topic> = Vec::new();
    for scope in scopes {
        let mut topic = cluster.topic(&scope.topic, false)?;
        if let Some(partitions) = &scope.partitions {
            for &partition in partitions {
                topic.leader(partition)?;
            }
            topic.partitions.retain(|p| partitions.contains(&p.index));
        }
        topics.push(topic);
    }
    Ok(topics)
}

fn plan(
    cluster: &mut Cluster,
    topics: &[Topic],
    target: &Target,
    committed: &Offsets,
) -> anyhow::Result<Offsets> {
    let (starts, ends) = (cluster.offsets_of(topics, EARLIEST)?, cluster.offsets_of(topics, LATEST)?);
    let at_time = match target {
        Target::Time(time) => cluster.offsets_of(topics, (*time).max(0))?,
        _ => Offsets::new(),
    };
    let mut plan = Offsets::new();
    for topic in topics {
        for partition in &topic.partitions {
            let place = (topic.name.clone(), partition.index);
            let what = format!("{}-{}", place.0, place.1);
            let (Some(&start), Some(&end)) = (starts.get(&place), ends.get(&place)) else {
                bail!("{what}: its leader does not say where the log begins and ends; try again in a moment");
            };
            let known = Known {
                committed: committed.get(&place).copied(),
                start,
                end,
                at_time: at_time.get(&place).copied().filter(|&offset| offset != NO_OFFSET),
            };
            let listed = if let Target::Listed(listed) = target { listed.get(&place).copied() } else { None };
            let wanted = wanted(target, known, listed).map_err(|why| anyhow!("{what}: {why}"))?;
            let offset = wanted.clamp(start, end);
            if offset != wanted {
                eprintln!("{what}: offset {wanted} is not there, the nearest is {offset}");
            }
            plan.insert(place, offset);
        }
    }
    Ok(plan)
}

/// The offset asked for, whether or not it is there.
fn wanted(target: &Target, known: Known, listed: Option<i64>) -> Result<i64, &'static str> {
    Ok(match target {
        Target::Earliest => known.start,
        Target::Latest => known.end,
        Target::Offset(offset) => *offset,
        Target::Shift(count) => {
            let from = known.committed.ok_or("nothing is committed that could be shifted")?;
            from.saturating_add(*count)
        }
        Target::Time(_) => known.at_time.unwrap_or(known.end),
        Target::Current => known.committed.unwrap_or(known.end),
        Target::Listed(_) => listed.ok_or("the file does not name it")?,
    })
}

fn shown(plan: &Offsets, committed: &Offsets) -> String {
    let row = |(place, offset): (&(String, i32), &i64)| {
        let before = or_unknown(committed.get(place));
        vec![place.0.clone(), place.1.to_string(), before, offset.to_string()]
    };
    table(&["TOPIC", "PARTITION", "COMMITTED", "NEW OFFSET"], plan.iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: Known = Known { committed: Some(50), start: 10, end: 100, at_time: Some(70) };

    #[test]
    fn every_target_has_its_offset() {
        fn check(target: &Target, known: Known, expected: Result<i64, &str>) {
            assert_eq!(wanted(target, known, Some(33)), expected, "{target:?} {known:?}");
        }
        let fresh = Known { committed: None, at_time: None, ..KNOWN };
        check(&Target::Earliest, KNOWN, Ok(10));
        check(&Target::Latest, KNOWN, Ok(100));
        check(&Target::Offset(7), KNOWN, Ok(7));
        check(&Target::Shift(-45), KNOWN, Ok(5));
        check(&Target::Shift(i64::MAX), KNOWN, Ok(i64::MAX));
        check(&Target::Shift(1), fresh, Err("nothing is committed that could be shifted"));
        check(&Target::Time(0), KNOWN, Ok(70));
        check(&Target::Time(0), fresh, Ok(100));
        check(&Target::Current, KNOWN, Ok(50));
        check(&Target::Current, fresh, Ok(100));
        check(&Target::Listed(Offsets::new()), KNOWN, Ok(33));
    }

    #[test]
    fn lines_of_a_file_are_read() {
        let place = |topic: &str, partition, offset| Ok(Some(((topic.to_owned(), partition), offset)));
        assert_eq!(read_line("t,0,5", "g"), place("t", 0, 5));
        assert_eq!(read_line("\"g\", \"t\", 3, 5", "g"), place("t", 3, 5));
        assert_eq!(read_line("other,t,3,5", "g"), Ok(None));
        assert_eq!(read_line("", "g"), Ok(None));
        for bad in ["t", "t,0", "t,a,5", "t,0,b", "t,-1,5", "t,0,-5", "a,b,c,d,e"] {
            assert!(read_line(bad, "g").is_err(), "{bad}");
        }
    }
}
