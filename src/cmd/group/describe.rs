//! `tailrace group describe`: where groups are, and who is in them.

use std::fmt::Write as _;

use super::{
    lag::{Row, rows},
    no_such_group,
};
use crate::{
    cli::group::DescribeArgs,
    client::{
        Cluster,
        groups::{Group, Member},
        time::{human, now_ms},
    },
    cmd::table::{Json, UNKNOWN, or_unknown, table},
};

pub(super) fn run(args: &DescribeArgs) -> anyhow::Result<()> {
    let mut cluster = Cluster::connect(&args.broker.broker)?;
    let groups = if args.all {
        let listed = cluster.list_groups()?;
        cluster.describe_listed(&listed)?
    } else {
        let mut groups = Vec::new();
        for id in &args.groups {
            groups.push(cluster.describe_group(id)?.ok_or_else(|| no_such_group(id))?);
        }
        groups
    };
    let with_offsets = args.offsets || !args.members || args.json;
    let mut described = Vec::new();
    for group in groups {
        let rows = if with_offsets { rows(&mut cluster, &group, now_ms())? } else { Vec::new() };
        described.push((group, rows));
    }
    if args.json {
        let groups = described.iter().map(|(group, rows)| json(group, rows)).collect();
        println!("{}", Json::List(groups));
        return Ok(());
    }
    for (n, (group, rows)) in described.iter().enumerate() {
        let gap = if n > 0 { "\n" } else { "" };
        print!("{gap}{}", description(group, rows, args.members, with_offsets));
    }
    Ok(())
}

fn description(group: &Group, rows: &[Row], with_members: bool, with_offsets: bool) -> String {
    let (kind, count) = (group.kind.name(), group.members.len());
    let members = if count == 1 { "1 member".to_owned() } else { format!("{count} members") };
    let mut text =
        format!("group {}, {kind}, {}, {members}, coordinator {}", group.id, group.state, group.coordinator);
    if !group.assignor.is_empty() {
        let _ = write!(text, ", assignor {}", group.assignor);
    }
    text.push('\n');
    if with_members {
        text.push('\n');
        text.push_str(&members_table(group));
    }
    if with_offsets {
        text.push('\n');
        if rows.is_empty() {
            text.push_str("it has committed nothing\n");
        } else {
            text.push_str(&offsets_table(group, rows));
        }
    }
    text
}

fn offsets_table(group: &Group, rows: &[Row]) -> String {
    let row = |row: &Row| {
        let member = row.member.map(|n| &group.members[n]);
        let told = |field: fn(&Member) -> &str| member.map_or(UNKNOWN, field).to_owned();
        vec![
            row.topic.clone(),
            row.partition.to_string(),
            or_unknown(row.committed),
            or_unknown(row.end),
            or_unknown(row.lag),
            or_unknown(row.lag_ms.map(human)),
            told(|member| &member.id),
            told(|member| &member.host),
            told(|member| &member.client_id),
        ]
    };
    let heads = ["TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "TIME LAG", "MEMBER", "HOST", "CLIENT"];
    table(&heads, rows.iter().map(row).collect())
}

fn members_table(group: &Group) -> String {
    let row = |member: &Member| {
        let assigned = member.assigned.iter().map(|(topic, partitions)| {
            let numbers: Vec<String> = partitions.iter().map(i32::to_string).collect();
            format!("{topic}:{}", numbers.join(","))
        });
        let assigned: Vec<String> = assigned.collect();
        vec![
            member.id.clone(),
            or_unknown(member.instance.clone()),
            member.host.clone(),
            member.client_id.clone(),
            if assigned.is_empty() { UNKNOWN.to_owned() } else { assigned.join(" ") },
        ]
    };
    table(&["MEMBER", "INSTANCE", "HOST", "CLIENT", "READS"], group.members.iter().map(row).collect())
}

fn json(group: &Group, rows: &[Row]) -> Json {
    let member = |member: &Member| {
        let assigned = member.assigned.iter().map(|(topic, partitions)| {
            let partitions = partitions.iter().map(|&p| p.into()).collect();
            Json::Object(vec![("topic", Json::text(topic)), ("partitions", Json::List(partitions))])
        });
        Json::Object(vec![
            ("member", Json::text(&member.id)),
            ("instance", member.instance.clone().into()),
            ("client", Json::text(&member.client_id)),
            ("host", Json::text(&member.host)),
            ("reads", Json::List(assigned.collect())),
        ])
    };
    let row = |row: &Row| {
        let reader = row.member.map(|n| group.members[n].id.clone());
        Json::Object(vec![
            ("topic", Json::text(&row.topic)),
            ("partition", row.partition.into()),
            ("committed", row.committed.into()),
            ("log_start", row.start.into()),
            ("log_end", row.end.into()),
            ("lag", row.lag.into()),
            ("lag_ms", row.lag_ms.into()),
            ("member", reader.into()),
        ])
    };
    Json::Object(vec![
        ("group", Json::text(&group.id)),
        ("type", Json::text(group.kind.name())),
        ("state", Json::text(&group.state)),
        ("coordinator", group.coordinator.into()),
        ("assignor", Json::text(&group.assignor)),
        ("members", Json::List(group.members.iter().map(member).collect())),
        ("offsets", Json::List(rows.iter().map(row).collect())),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::groups::Kind;

    fn group() -> Group {
        let member = Member {
            id: "m-1".into(),
            client_id: "c".into(),
            host: "/10.0.0.9".into(),
            assigned: [("logs".to_owned(), vec![0, 2])].into(),
            ..Member::default()
        };
        Group {
            id: "readers".into(),
            kind: Kind::Classic,
            state: "Stable".into(),
            assignor: "range".into(),
            coordinator: 1,
            members: vec![member],
        }
    }

    fn row(partition: i32, committed: Option<i64>, lag_ms: Option<i64>, member: Option<usize>) -> Row {
        let lag = committed.map(|committed| 100 - committed);
        let (topic, start, end) = ("logs".to_owned(), Some(0), Some(100));
        Row { topic, partition, committed, start, end, lag, lag_ms, member }
    }

    #[test]
    fn a_description_shows_lag_in_records_and_in_time() {
        let rows = [row(0, Some(90), Some(61_000), Some(0)), row(1, None, None, None)];
        let expected = "\
group readers, classic, Stable, 1 member, coordinator 1, assignor range

TOPIC  PARTITION  COMMITTED  END  LAG  TIME LAG  MEMBER  HOST       CLIENT
logs   0          90         100  10   1m 01s    m-1     /10.0.0.9  c
logs   1          -          100  -    -         -       -          -
";
        assert_eq!(description(&group(), &rows, false, true), expected);
        let members = description(&group(), &[], true, false);
        assert!(members.ends_with("m-1     -         /10.0.0.9  c       logs:0,2\n"), "{members}");
        assert!(description(&group(), &[], false, true).ends_with("it has committed nothing\n"));
    }

    #[test]
    fn machines_get_numbers() {
        let text = json(&group(), &[row(0, Some(90), Some(61_000), Some(0))]).to_string();
        let offsets = r#""committed":90,"log_start":0,"log_end":100,"lag":10,"lag_ms":61000,"member":"m-1"}"#;
        assert!(text.contains(offsets), "{text}");
    }
}
