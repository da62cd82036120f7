//! `tailrace group`, `tailrace topic` and `tailrace cluster` as people and scripts use them, against a broker.

mod broker;

use std::{
    fs,
    process::{Command, Output},
    time::{SystemTime, UNIX_EPOCH},
};

use broker::{
    Broker, Client, PATIENCE, Scratch,
    batch::batch_at,
    client::{code, view},
    wait_for,
};
use model::ErrorCode;
use net::wire::messages::{
    consumer_group_heartbeat, find_coordinator, join_group, offset_commit, sync_group,
};

const HOUR_MS: i64 = 3_600_000;

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64
}

struct Tool {
    broker: Broker,
}

impl Tool {
    fn start() -> Self {
        let option = "group.initial.rebalance.delay.ms=0";
        Self { broker: Broker::start_with(|launch| launch.option(option)) }
    }

    fn client(&self) -> Client {
        self.broker.client()
    }

    fn output(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tailrace"));
        let address = self.broker.address();
        command.args(args).args(["-b", &address]).env_remove("RUST_LOG").output().expect("the binary runs")
    }

    /// What it prints; it must end well.
    #[track_caller]
    fn run(&self, args: &[&str]) -> String {
        let output = self.output(args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {}\n{said}", output.status);
        String::from_utf8(output.stdout).expect("text")
    }

    /// What it says when it cannot.
    #[track_caller]
    fn refused(&self, args: &[&str]) -> String {
        let output = self.output(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        String::from_utf8(output.stderr).expect("text")
    }

    /// The cells of the rows of a table, without its head.
    #[track_caller]
    fn rows(&self, args: &[&str]) -> Vec<Vec<String>> {
        cells(&self.run(args))
    }
}

/// Columns are at least two blanks apart.
fn cells(table: &str) -> Vec<Vec<String>> {
    let row = |line: &str| {
        line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect()
    };
    table.lines().skip(1).map(row).filter(|row: &Vec<String>| !row.is_empty()).collect()
}

/// A number behind its name in JSON.
#[track_caller]
fn number(json: &str, name: &str) -> i64 {
    let key = format!("\"{name}\":");
    let from = json.find(&key).unwrap_or_else(|| panic!("{name} is missing in {json}")) + key.len();
    let digits: String = json[from..].chars().take_while(|c| c.is_ascii_digit() || *c == '-').collect();
    digits.parse().unwrap_or_else(|_| panic!("{name} is no number in {json}"))
}

/// Ten records in each of two partitions, one an hour; the last is an hour old.
fn ten_hours(client: &mut Client, topic: &str) -> i64 {
    let now = now_ms();
    client.create_topic(topic, 2);
    for partition in 0..2 {
        for n in 0..10 {
            let batch = batch_at(&[(now - (10 - n) * HOUR_MS, format!("record {n}"))]);
            client.must_produce(topic, partition, &batch);
        }
    }
    now
}

/// Asked for the first time, the broker makes the topic that groups live in.
#[track_caller]
fn wait_for_coordinator(client: &mut Client, group: &str) {
    wait_for("a coordinator", PATIENCE, || {
        let asked = find_coordinator::Request { coordinator_keys: vec![group.into()], ..Default::default() };
        let answer = client.call(4, &asked);
        let view = view!(find_coordinator, answer);
        (view.coordinators.iter().next()?.error_code == 0).then_some(())
    });
}

/// Commits as a client that assigns itself its partitions; makes the group.
#[track_caller]
fn commit(client: &mut Client, group: &str, topic: &str, partition: i32, offset: i64) {
    wait_for_coordinator(client, group);
    let partition = offset_commit::OffsetCommitRequestPartition {
        partition_index: partition,
        committed_offset: offset,
        committed_metadata: Some("".into()),
        ..Default::default()
    };
    let topic = offset_commit::OffsetCommitRequestTopic {
        name: topic.into(),
        partitions: vec![partition],
        ..Default::default()
    };
    let asked = offset_commit::Request { group_id: group.into(), topics: vec![topic], ..Default::default() };
    wait_for("the group is loaded", PATIENCE, || {
        let answer = client.call(8, &asked);
        let view = view!(offset_commit, answer);
        let topic = view.topics.iter().next().expect("one topic");
        let told = code(topic.partitions.iter().next().expect("one partition").error_code);
        match told {
            ErrorCode::None => Some(()),
            ErrorCode::CoordinatorLoadInProgress | ErrorCode::NotCoordinator => None,
            told => panic!("{told:?}"),
        }
    });
}

/// Joins a classic group that reads both partitions of `topic`. The member is in it while `client` lives.
fn join_classic(client: &mut Client, group: &str, topic: &str) {
    wait_for_coordinator(client, group);
    let metadata = [&b"\0\0\0\0\0\x01\0"[..], &[topic.len() as u8], topic.as_bytes(), &[0xff; 4]].concat();
    let protocol = join_group::JoinGroupRequestProtocol { name: "range".into(), metadata: metadata.into() };
    let mut asked = join_group::Request {
        group_id: group.into(),
        session_timeout_ms: 30_000,
        rebalance_timeout_ms: 30_000,
        protocol_type: "consumer".into(),
        protocols: vec![protocol],
        ..Default::default()
    };
    let (generation_id, member) = wait_for("the member is in", PATIENCE, || {
        let answer = client.call(3, &asked);
        let view = view!(join_group, answer);
        asked.member_id = view.member_id.to_owned().into();
        (view.error_code == 0).then(|| (view.generation_id, view.member_id.to_owned()))
    });
    let mut assignment = vec![0, 0, 0, 0, 0, 1, 0, topic.len() as u8];
    assignment.extend(topic.as_bytes());
    assignment.extend([0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]);
    let assignment = sync_group::SyncGroupRequestAssignment {
        member_id: member.as_str().into(),
        assignment: assignment.into(),
    };
    let asked = sync_group::Request {
        group_id: group.into(),
        generation_id,
        member_id: member.as_str().into(),
        assignments: vec![assignment],
        ..Default::default()
    };
    let answer = client.call(3, &asked);
    assert_eq!(code(view!(sync_group, answer).error_code), ErrorCode::None);
}

/// Joins a group of the newer kind, until it has both partitions.
fn join_consumer(client: &mut Client, group: &str, topic: &str) {
    wait_for_coordinator(client, group);
    let member = "AAAAAAAAAAAAAAAAAAAAAw";
    let mut asked = consumer_group_heartbeat::Request {
        group_id: group.into(),
        member_id: member.into(),
        member_epoch: 0,
        rebalance_timeout_ms: 30_000,
        subscribed_topic_names: Some(vec![topic.to_owned().into()]),
        topic_partitions: Some(Vec::new()),
        ..Default::default()
    };
    wait_for("an assignment", PATIENCE, || {
        let answer = client.call(1, &asked);
        let view = view!(consumer_group_heartbeat, answer);
        if view.error_code != 0 {
            return None;
        }
        let assigned = view.assignment.map(|a| a.topic_partitions.iter().map(|t| t.partitions.len()).sum());
        asked.member_epoch = view.member_epoch;
        asked.rebalance_timeout_ms = -1;
        asked.subscribed_topic_names = None;
        asked.topic_partitions = None;
        (assigned == Some(2)).then_some(())
    });
}

#[test]
fn groups_are_listed_and_filtered() {
    let tool = Tool::start();
    let mut client = tool.client();
    client.create_topic("logs", 2);
    commit(&mut client, "idle", "logs", 0, 0);
    let (mut classic, mut newer) = (tool.client(), tool.client());
    join_classic(&mut classic, "old", "logs");
    join_consumer(&mut newer, "new", "logs");
    let row = |cells: [&str; 4]| cells.map(str::to_owned).to_vec();
    let (idle, new, old) = (
        row(["idle", "classic", "Empty", "0"]),
        row(["new", "consumer", "Stable", "1"]),
        row(["old", "classic", "Stable", "1"]),
    );
    assert_eq!(tool.rows(&["group", "list"]), [idle.clone(), new.clone(), old.clone()]);
    assert_eq!(tool.rows(&["group", "list", "--state", "stable"]), [new.clone(), old]);
    assert_eq!(tool.rows(&["group", "list", "--type", "Consumer"]), [new]);
    assert_eq!(tool.rows(&["group", "list", "--type", "classic", "--state", "Empty"]), [idle]);
    let json = tool.run(&["group", "list", "--json", "--state", "Empty"]);
    let expected = r#"[{"group":"idle","type":"classic","state":"Empty","members":0,"protocol_type":"","coordinator":1}]"#;
    assert_eq!(json.trim(), expected);
}

#[test]
fn a_lag_is_told_in_records_and_in_time() {
    let tool = Tool::start();
    let mut client = tool.client();
    ten_hours(&mut client, "logs");
    commit(&mut client, "readers", "logs", 0, 4);
    commit(&mut client, "readers", "logs", 1, 10);
    let text = tool.run(&["group", "describe", "readers"]);
    assert!(text.starts_with("group readers, classic, Empty, 0 members, coordinator 1"), "{text}");
    // The first unread record of partition 0 is six hours old, and some moments.
    assert!(text.contains("logs   0          4          10   6    6h 00m    -       -     -\n"), "{text}");
    assert!(text.contains("logs   1          10         10   0    0ms       -       -     -\n"), "{text}");
    let json = tool.run(&["group", "describe", "--all", "--json"]);
    let lag_ms = number(&json, "lag_ms");
    assert!((6 * HOUR_MS..6 * HOUR_MS + 60_000).contains(&lag_ms), "{lag_ms}");
    assert_eq!((number(&json, "committed"), number(&json, "log_end"), number(&json, "lag")), (4, 10, 6));

    // What was deleted waits for nobody: the first record that is left counts.
    assert_eq!(client.delete_records("logs", 0, 7), Ok(7));
    let json = tool.run(&["group", "describe", "readers", "--json"]);
    let lag_ms = number(&json, "lag_ms");
    assert!((3 * HOUR_MS..3 * HOUR_MS + 60_000).contains(&lag_ms), "{lag_ms}");
    assert_eq!((number(&json, "log_start"), number(&json, "lag")), (7, 6));

    let refused = tool.refused(&["group", "describe", "nobody"]);
    assert!(refused.contains("there is no group nobody: 'tailrace group list' shows"), "{refused}");
}

#[test]
fn members_are_told_with_what_they_read() {
    let tool = Tool::start();
    ten_hours(&mut tool.client(), "logs");
    let (mut classic, mut newer) = (tool.client(), tool.client());
    join_classic(&mut classic, "old", "logs");
    join_consumer(&mut newer, "new", "logs");
    for (group, kind) in [("old", "classic"), ("new", "consumer")] {
        let text = tool.run(&["group", "describe", group]);
        assert!(
            text.starts_with(&format!("group {group}, {kind}, Stable, 1 member, coordinator 1")),
            "{text}"
        );
        let rows: Vec<Vec<String>> = cells(&text).into_iter().filter(|row| row[0] == "logs").collect();
        assert_eq!(rows.len(), 2, "{text}");
        for (n, row) in rows.iter().enumerate() {
            // Nothing is committed yet.
            assert_eq!(row[1..6], [&n.to_string(), "-", "10", "-", "-"], "{text}");
            assert!(row[6].len() > 10 && row[7].contains("127.0.0.1"), "{text}");
        }
        let text = tool.run(&["group", "describe", group, "--members"]);
        assert!(text.contains("logs:0,1") && !text.contains("COMMITTED"), "{text}");
    }
}

#[test]
fn offsets_are_moved_when_that_is_meant() {
    let tool = Tool::start();
    let mut client = tool.client();
    let now = ten_hours(&mut client, "logs");
    let scratch = Scratch::new();
    let file = scratch.path().join("offsets.csv");
    fs::write(&file, "readers,logs,0,2\nothers,logs,0,9\nlogs,1,3\n").expect("a file");
    let file = file.to_str().expect("a plain path");
    let after = now - 5 * HOUR_MS - HOUR_MS / 2;
    let day = iso(after);
    let back = format!("PT{}M", 5 * 60 + 30);
    commit(&mut client, "readers", "logs", 0, 4);
    commit(&mut client, "readers", "logs", 1, 4);
    let table: &[(&[&str], [i64; 2])] = &[
        (&["--topic", "logs", "--to-latest"], [10, 10]),
        (&["--topic", "logs", "--to-earliest"], [0, 0]),
        (&["--topic", "logs:1", "--to-offset", "7"], [0, 7]),
        (&["--all-topics", "--to-offset", "99"], [10, 10]),
        (&["--topic", "logs:0", "--shift-by", "-3"], [7, 10]),
        (&["--all-topics", "--to-current"], [7, 10]),
        (&["--all-topics", "--to-datetime", &day], [5, 5]),
        (&["--topic", "logs", "--to-latest"], [10, 10]),
        (&["--topic", "logs", "--by-duration", &back], [5, 5]),
        (&["--from-file", file], [2, 3]),
    ];
    for (args, expected) in table {
        let args = [&["group", "reset-offsets", "readers"], *args].concat();
        let before = committed(&tool, "readers");
        let dry = tool.run(&args);
        assert!(dry.contains("nothing was changed: add --execute to do it"), "{dry}");
        assert_eq!(committed(&tool, "readers"), before, "{args:?}: a look changes nothing");
        let done = tool.run(&[&args[..], &["--execute"]].concat());
        assert_eq!(cells(&done), cells(&dry)[..cells(&done).len()], "{args:?}: it does what it said");
        assert_eq!(committed(&tool, "readers"), expected, "{args:?}");
    }
}

/// Milliseconds as a date in UTC.
fn iso(ms: i64) -> String {
    let seconds = format!("@{}", ms / 1000);
    let output = Command::new("date").args(["-u", "-d", &seconds, "+%Y-%m-%dT%H:%M:%S.000"]).output();
    String::from_utf8(output.expect("date").stdout).expect("text").trim().to_owned()
}

fn committed(tool: &Tool, group: &str) -> Vec<i64> {
    let rows = tool.run(&["group", "describe", group]);
    let rows = cells(&rows).into_iter().filter(|row| row[0] == "logs");
    rows.map(|row| row[2].parse().expect("an offset")).collect()
}

#[test]
fn what_must_not_be_moved_is_refused() {
    let tool = Tool::start();
    ten_hours(&mut tool.client(), "logs");
    let (mut classic, mut newer) = (tool.client(), tool.client());
    join_classic(&mut classic, "old", "logs");
    join_consumer(&mut newer, "new", "logs");
    for group in ["old", "new"] {
        for how in [&["--execute"][..], &[]] {
            let args = [&["group", "reset-offsets", group, "--topic", "logs", "--to-latest"], how].concat();
            let refused = tool.refused(&args);
            let expected = format!(
                "group {group} is in use (state Stable, members: 1): stop them, then move its offsets"
            );
            assert!(refused.contains(&expected), "{refused}");
        }
        let refused = tool.refused(&["group", "delete", group]);
        assert!(
            refused.contains(&format!("group {group} is in use: stop its members, then delete it")),
            "{refused}"
        );
    }
    let refused = |args: &[&str]| tool.refused(&[&["group", "reset-offsets", "fresh"], args].concat());
    assert!(
        refused(&["--all-topics", "--to-latest"]).contains("has committed nothing: name topics with --topic")
    );
    assert!(refused(&["--topic", "nowhere", "--to-latest"]).contains("topic nowhere"));
    assert!(
        refused(&["--topic", "logs:7", "--to-latest"]).contains("partitions 0 to 1, and none of number 7")
    );
    assert!(
        refused(&["--topic", "logs", "--shift-by", "1"])
            .contains("nothing is committed that could be shifted")
    );
    assert!(refused(&["--from-file", "no-such-file.csv"]).contains("cannot read no-such-file.csv"));
    // A group that is not there yet begins where it is told to.
    tool.run(&["group", "reset-offsets", "fresh", "--topic", "logs", "--to-offset", "6", "--execute"]);
    assert_eq!(committed(&tool, "fresh"), [6, 6]);
}

#[test]
fn groups_and_their_offsets_are_deleted() {
    let tool = Tool::start();
    let mut client = tool.client();
    ten_hours(&mut client, "logs");
    client.create_topic("other", 1);
    for group in ["a", "b"] {
        commit(&mut client, group, "logs", 0, 4);
        commit(&mut client, group, "logs", 1, 4);
        commit(&mut client, group, "other", 0, 0);
    }
    assert_eq!(tool.run(&["group", "delete-offsets", "a", "--topic", "logs:1"]), "logs-1 forgotten\n");
    assert_eq!(committed(&tool, "a"), [4]);
    assert_eq!(tool.run(&["group", "delete-offsets", "a", "--topic", "logs"]), "logs-0 forgotten\n");
    let refused = tool.refused(&["group", "delete-offsets", "a", "--topic", "logs"]);
    assert!(refused.contains("group a has committed nothing for topic logs"), "{refused}");
    assert!(
        tool.refused(&["group", "delete-offsets", "nobody", "--topic", "logs"])
            .contains("there is no group nobody")
    );

    assert_eq!(tool.run(&["group", "delete", "a"]), "a deleted\n");
    let refused = tool.refused(&["group", "delete", "a", "b"]);
    assert!(refused.contains("there is no group a: 'tailrace group list' shows"), "{refused}");
    assert!(tool.rows(&["group", "list"]).is_empty(), "b went, though a was not there");

    // While somebody reads a topic, its offsets stay.
    let mut member = tool.client();
    join_classic(&mut member, "old", "logs");
    let refused = tool.refused(&["group", "delete-offsets", "old", "--topic", "logs:0"]);
    assert!(refused.contains("group old reads logs right now"), "{refused}");
}

#[test]
fn topics_are_told_with_size_ends_and_rate() {
    let tool = Tool::start();
    let mut client = tool.client();
    ten_hours(&mut client, "logs");
    client.create_topic("empty", 1);
    assert_eq!(client.delete_records("logs", 1, 3), Ok(3));
    let row = |name: &str| {
        tool.rows(&["topic", "list"]).into_iter().find(|row| row[0] == name).expect("it is listed")
    };
    assert_eq!(row("empty"), ["empty", "1", "0", "0 B"]);
    let listed = row("logs");
    assert_eq!(listed[..3], ["logs", "2", "17"]);
    assert!(listed[3].ends_with("kB"), "{listed:?}");
    let text = tool.run(&["topic", "describe", "logs"]);
    let rows: Vec<Vec<String>> = cells(&text).into_iter().filter(|row| row.len() == 8).collect();
    // Partition, leader, replicas, in-sync replicas, start, end, durable.
    assert_eq!(rows[1][..7], ["0", "1", "1", "1", "0", "10", "10"], "{text}");
    assert_eq!(rows[2][..7], ["1", "1", "1", "1", "3", "10", "10"], "{text}");

    // While somebody writes, there is a rate.
    std::thread::scope(|scope| {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let mut writer = tool.client();
        scope.spawn(move || {
            while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                writer.must_produce("empty", 0, &batch_at(&[(now_ms(), "x".repeat(1000))]));
            }
        });
        let rows = tool.rows(&["topic", "list", "--rate", "300ms"]);
        drop(stop);
        let row = rows.into_iter().find(|row| row[0] == "empty").expect("it is listed");
        let rate: f64 = row[4].parse().expect("records a second");
        assert!(rate > 0.0, "{row:?}");
        assert!(row[5] != "-" && row[5] != "0 B", "{row:?}");
    });
    let rows = tool.rows(&["topic", "list", "--rate", "10ms"]);
    let quiet = rows.into_iter().find(|row| row[0] == "logs").expect("it is listed");
    assert_eq!(quiet[4..], ["0.0", "0 B"]);
}

#[test]
fn a_broker_alone_is_a_cluster_of_one() {
    let tool = Tool::start();
    tool.run(&["topic", "create", "t", "-p", "2"]);
    let status = tool.run(&["cluster", "status"]);
    let mut lines = status.lines();
    let head = lines.next().expect("a first line");
    assert!(head.starts_with("cluster ") && head.ends_with(", voters: 1"), "{head}");
    let broker: Vec<&str> = lines.nth(2).expect("one broker").split_whitespace().collect();
    assert_eq!((broker[1], broker[3], broker[4]), (&*tool.broker.address(), "yes", "controller"));
    let counts = "topics: 1, partitions: 2, under-replicated: 0, without a leader: 0";
    assert_eq!(lines.last(), Some(counts));
    assert!(tool.run(&["cluster", "status", "--json"]).contains(r#""partitions":2,"under_replicated":0"#));
    assert_eq!(tool.run(&["cluster", "reassignments"]), "nothing moves\n");
    assert_eq!(tool.run(&["cluster", "elect"]), "every partition is led by its preferred replica\n");
    assert_eq!(tool.run(&["cluster", "elect", "t:1"]), "t-1 needs none\n");
    let own = broker[0];
    assert!(tool.refused(&["cluster", "remove-voter", own]).contains("is the only voter"));
    assert!(tool.refused(&["cluster", "add-voter", own]).contains("is a voter"));
    assert!(tool.refused(&["cluster", "add-voter", "77"]).contains("has not registered"));
    assert!(tool.refused(&["cluster", "unregister", "77"]).contains("is not registered"));
    assert!(tool.refused(&["cluster", "reassign", "t", "0", "77"]).contains("which is not registered"));
    assert!(tool.refused(&["cluster", "reassign", "t", "0", "--cancel"]).contains("nothing to cancel"));
}
