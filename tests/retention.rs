//! Records that have had their time: by size, by age, whatever way the broker ends meanwhile, and under rules that change
//! while it runs.

mod broker;

use std::{
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

use broker::{Broker, Client, FetchAt, Launch, PATIENCE, batch::batch_at, wait_for};
use model::ErrorCode;

const VALUE_BYTES: usize = 100_000;

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_millis() as i64
}

fn often(launch: Launch) -> Launch {
    launch.option("log.retention.check.interval.ms=100").option("log.retention.ms=604800000")
}

fn value(n: i64) -> String {
    let number = n.to_string();
    let rest = " ".repeat(VALUE_BYTES - number.len());
    number + &rest
}

/// Records from number `from` on, of a time.
fn produce(client: &mut Client, topic: &str, numbers: std::ops::Range<i64>, time: i64) {
    for n in numbers {
        assert_eq!(client.must_produce(topic, 0, &batch_at(&[(time, value(n))])), n);
    }
}

fn start_of(client: &mut Client, topic: &str) -> i64 {
    client.list_offset(topic, 0, -2).0
}

fn wait_for_start(client: &mut Client, topic: &str, what: &str, is_it: impl Fn(i64) -> bool) -> i64 {
    wait_for(what, PATIENCE, || Some(start_of(client, topic)).filter(|&start| is_it(start)))
}

/// Everything from the start on is there, and nothing below it.
fn assert_intact(client: &mut Client, topic: &str, start: i64, end: i64) {
    let mut from = start;
    while from < end {
        let records = client.read_from(topic, 0, from);
        for record in &records {
            assert_eq!((record.offset, record.text()), (from, value(from).as_str()));
            from += 1;
        }
        assert!(!records.is_empty());
    }
    if start > 0 {
        let below = client.fetch(FetchAt::new(topic, 0, start - 1));
        assert_eq!(below.code, ErrorCode::OffsetOutOfRange);
    }
}

/// Names in the partition's folder.
fn names(broker: &Broker, topic: &str) -> Vec<String> {
    let entries = fs::read_dir(broker.folder(topic, 0)).expect("the folder is there");
    entries.map(|entry| entry.expect("it can be listed").file_name().into_string().expect("text")).collect()
}

fn with(broker: &Broker, topic: &str, suffix: &str) -> usize {
    names(broker, topic).iter().filter(|name| name.ends_with(suffix)).count()
}

#[test]
fn a_log_keeps_its_size_through_stops_and_crashes() {
    let mut broker = Broker::start_with(often);
    let mut client = broker.client();
    let configs =
        [("segment.bytes", "1048576"), ("retention.bytes", "3000000"), ("file.delete.delay.ms", "0")];
    client.create_topic_with("t", 1, &configs).expect("it can be made");
    let (mut end, mut start) = (0, 0);
    for round in 0..4 {
        produce(&mut client, "t", end..end + 60, now());
        end += 60;
        // Segments end at every tenth record, and these are the last whose bytes are no less than was asked for.
        let last = end - 3_000_000 / VALUE_BYTES as i64;
        let reached = wait_for_start(&mut client, "t", "the oldest records go", |start| start >= last);
        assert_eq!(reached, last, "less than was to be kept");
        assert!(reached > start);
        assert_intact(&mut client, "t", reached, end);
        wait_for("the files go", PATIENCE, || (with(&broker, "t", ".deleted") == 0).then_some(()));
        assert!(with(&broker, "t", ".log") <= 5, "{:?}", names(&broker, "t"));
        if round % 2 == 0 {
            broker.kill()
        } else {
            broker.stop()
        }
        broker.restart();
        client = broker.client();
        start = start_of(&mut client, "t");
        assert_eq!(start, reached, "round {round}");
        assert_intact(&mut client, "t", start, end);
    }
}

#[test]
fn old_records_go_also_those_of_a_quiet_topic() {
    let mut broker = Broker::start_with(often);
    let mut client = broker.client();
    let configs = [("segment.bytes", "1048576"), ("file.delete.delay.ms", "0")];
    for topic in ["t", "kept", "compacted", "forever"] {
        client.create_topic_with(topic, 1, &configs).expect("it can be made");
    }
    let week = 7 * 24 * 3_600_000;
    produce(&mut client, "t", 0..25, now() - week - 1000);
    produce(&mut client, "t", 25..30, now());
    assert_eq!(client.alter_topic("forever", "cleanup.policy", 0, Some("")), ErrorCode::None);
    for topic in ["kept", "compacted", "forever"] {
        produce(&mut client, topic, 0..25, if topic == "forever" { 1000 } else { now() });
    }
    // From now on records without a key are refused there.
    assert_eq!(client.alter_topic("compacted", "cleanup.policy", 0, Some("compact")), ErrorCode::None);
    assert_eq!(client.alter_topic("compacted", "retention.ms", 0, Some("1")), ErrorCode::None);
    // The segment with a young record in it stays whole.
    let start = wait_for_start(&mut client, "t", "the old segments go", |start| start >= 20);
    assert!(start <= 25, "{start}");
    assert_intact(&mut client, "t", start, 30);
    for topic in ["kept", "compacted", "forever"] {
        assert_eq!(start_of(&mut client, topic), 0, "{topic}");
    }
    // What is deleted from a compacted log is for compaction to say.
    assert_eq!(client.delete_records("compacted", 0, 5), Err(ErrorCode::PolicyViolation));
    assert_eq!(client.delete_records("forever", 0, 5), Ok(5));
    // All of a log that nobody writes to, its only segment included.
    assert_eq!(client.alter_topic("t", "retention.ms", 0, Some("1")), ErrorCode::None);
    wait_for_start(&mut client, "t", "all of it goes", |start| start == 30);
    wait_for("the files go", PATIENCE, || {
        (with(&broker, "t", ".log") + with(&broker, "t", ".deleted") == 0).then_some(())
    });
    for end in [30, 31] {
        broker.kill();
        broker.restart();
        client = broker.client();
        assert_eq!((start_of(&mut client, "t"), client.list_offset("t", 0, -1).0), (end, end));
        broker.stop();
        broker.restart();
        client = broker.client();
        assert_eq!((start_of(&mut client, "t"), client.list_offset("t", 0, -1).0), (end, end));
        // Offsets go on where they were.
        produce(&mut client, "t", end..end + 1, now());
        wait_for_start(&mut client, "t", "the new one goes too", |start| start == end + 1);
    }
    assert_eq!(start_of(&mut client, "kept"), 0);
}

#[test]
fn rules_change_while_the_broker_runs() {
    let mut broker = Broker::start_with(often);
    let mut client = broker.client();
    let configs = [("segment.bytes", "1048576"), ("cleanup.policy", ""), ("retention.bytes", "0")];
    client.create_topic_with("t", 1, &configs).expect("it can be made");
    produce(&mut client, "t", 0..45, now());
    let segments = with(&broker, "t", ".log");
    assert_eq!(start_of(&mut client, "t"), 0);
    assert_eq!(client.alter_topic("t", "retention.bytes", 0, Some("1500000")), ErrorCode::None);
    assert_eq!(client.alter_topic("t", "cleanup.policy", 0, Some("delete")), ErrorCode::None);
    let start = wait_for_start(&mut client, "t", "the policy is obeyed", |start| start > 0);
    assert!((20..=30).contains(&start), "{start}");
    // The files wait, a minute by default, and no reader finds them.
    wait_for("they are set aside", PATIENCE, || (with(&broker, "t", ".log.deleted") > 0).then_some(()));
    assert!(with(&broker, "t", ".log") < segments.max(4));
    assert_intact(&mut client, "t", start, 45);
    // A crash forgets the delay, never the start.
    broker.kill();
    broker.restart();
    let mut client = broker.client();
    assert_eq!(start_of(&mut client, "t"), start);
    wait_for("the files of the last life go", PATIENCE, || {
        (with(&broker, "t", ".deleted") == 0).then_some(())
    });
    assert_intact(&mut client, "t", start, 45);
    // Segments roll at their new size, and deleted records go the same way.
    assert_eq!(client.alter_topic("t", "segment.bytes", 0, Some("2097152")), ErrorCode::None);
    assert_eq!(client.alter_topic("t", "retention.bytes", 1, None), ErrorCode::None);
    produce(&mut client, "t", 45..105, now());
    broker.stop();
    let sizes =
        fs::read_dir(broker.folder("t", 0)).expect("the folder is there").map(|entry| entry.expect("listed"));
    let sizes = sizes.filter(|entry| entry.file_name().to_string_lossy().ends_with(".log"));
    let largest = sizes.map(|entry| entry.metadata().expect("it is there").len()).max().expect("some");
    assert!(largest > 3 << 19, "segments have {largest} bytes at most");
    broker.restart();
    let mut client = broker.client();
    assert_eq!(client.delete_records("t", 0, 70), Ok(70));
    wait_for("they are set aside", PATIENCE, || (with(&broker, "t", ".log.deleted") > 0).then_some(()));
    assert_intact(&mut client, "t", 70, 105);
}
