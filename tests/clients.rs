//! Clients that were not written by us: kcat (librdkafka) and kafka-python. Where one is not installed the test says so
//! aloud, and fails where nothing may be skipped (CI=true).

mod broker;

use std::{
    ffi::OsStr,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::OnceLock,
};

use broker::{Broker, Scratch, skip};

const LINES: usize = 100_000;
const KAFKA_PYTHON: &str = "kafka-python==3.0.12";

/// Runs a program to its end; it must end well.
fn run(program: &Path, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).output().expect("the program runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} {arguments:?}: {}\n{said}", program.display(), output.status);
    output
}

fn is_installed(program: &str, argument: &str) -> bool {
    let tried = Command::new(program).arg(argument).stdout(Stdio::null()).stderr(Stdio::null()).status();
    tried.is_ok_and(|status| status.success())
}

/// kcat, against one broker.
struct Kcat {
    address: String,
}

impl Kcat {
    fn of(broker: &Broker) -> Option<Self> {
        if !is_installed("kcat", "-V") {
            skip("kcat is not installed");
            return None;
        }
        Some(Self { address: broker.address() })
    }

    fn run(&self, arguments: &[&str]) -> Vec<u8> {
        let arguments = [&["-b", &self.address][..], arguments].concat();
        run(Path::new("kcat"), &arguments).stdout
    }

    fn consume(&self, topic: &str, offset: &str, format: &str) -> Vec<u8> {
        self.run(&["-C", "-t", topic, "-p", "0", "-o", offset, "-e", "-q", "-f", format])
    }
}

fn lines() -> Vec<u8> {
    let mut text = Vec::new();
    for n in 0..LINES {
        writeln!(text, "line {n} {}", "abc ".repeat(n % 23)).expect("memory takes it");
    }
    text
}

/// A file through one codec and back, byte for byte.
fn check_round_trip(codec: &str) {
    let broker = Broker::start();
    let Some(kcat) = Kcat::of(&broker) else { return };
    let scratch = Scratch::new();
    let (file, text) = (scratch.path().join("lines"), lines());
    fs::write(&file, &text).expect("the scratch directory is writable");
    let file = file.to_str().expect("the paths of the tests are UTF-8");
    let codec_setting = format!("compression.codec={codec}");
    kcat.run(&["-P", "-t", "lines", "-p", "0", "-X", &codec_setting, "-X", "acks=all", "-l", file]);
    let back = kcat.consume("lines", "beginning", "%s\\n");
    assert!(back == text, "{} bytes went in, {} came out", text.len(), back.len());
    // The codec was really used, and not left out because the broker does not list what librdkafka wants to see.
    let fetched = broker.client().fetch(broker::FetchAt::new("lines", 0, 0));
    // A single short line is not packed: it would only grow.
    let batches = broker::batch::batches(&fetched.bytes);
    let largest = batches.iter().max_by_key(|batch| batch.header().record_count()).expect("some came");
    let used = largest.header().compression().expect("a known codec");
    assert_eq!(format!("{used:?}").to_lowercase(), codec);
}

#[test]
fn kcat_gets_back_a_file_it_sent_plain() {
    check_round_trip("none");
}

#[test]
fn kcat_gets_back_a_file_it_sent_by_gzip() {
    check_round_trip("gzip");
}

#[test]
fn kcat_gets_back_a_file_it_sent_by_snappy() {
    check_round_trip("snappy");
}

#[test]
fn kcat_gets_back_a_file_it_sent_by_lz4() {
    check_round_trip("lz4");
}

#[test]
fn kcat_gets_back_a_file_it_sent_by_zstd() {
    check_round_trip("zstd");
}

/// Batches of kcat, packed by one codec, into topics that want another: all of what it sent comes back, in the topic's
/// codec.
#[test]
fn kcat_gets_back_what_a_topic_packed_by_its_own_codec() {
    let broker = Broker::start();
    let Some(kcat) = Kcat::of(&broker) else { return };
    let scratch = Scratch::new();
    let (file, text) = (scratch.path().join("lines"), lines());
    fs::write(&file, &text).expect("the scratch directory is writable");
    let file = file.to_str().expect("the paths of the tests are UTF-8");
    let codecs = ["uncompressed", "gzip", "snappy", "lz4", "zstd"];
    for (n, codec) in codecs.into_iter().enumerate() {
        let sent = codecs[(n + 1) % codecs.len()].replace("uncompressed", "none");
        let mut client = broker.client();
        client.create_topic_with(codec, 1, &[("compression.type", codec)]).expect("a codec of Kafka's");
        let setting = format!("compression.codec={sent}");
        kcat.run(&[
            "-P",
            "-t",
            codec,
            "-p",
            "0",
            "-X",
            &setting,
            "-X",
            "enable.idempotence=true",
            "-l",
            file,
        ]);
        let back = kcat.consume(codec, "beginning", "%s\\n");
        assert!(back == text, "{sent} to {codec}: {} bytes went in, {} came out", text.len(), back.len());
        let fetched = client.fetch(broker::FetchAt::new(codec, 0, 0));
        for batch in broker::batch::batches(&fetched.bytes) {
            let used = batch.header().compression().expect("a known codec");
            let expected = codec.replace("uncompressed", "none");
            assert_eq!(format!("{used:?}").to_lowercase(), expected, "{sent} to {codec}");
        }
    }
}

#[test]
fn kcat_as_an_idempotent_producer_is_served() {
    let broker = Broker::start();
    let Some(kcat) = Kcat::of(&broker) else { return };
    let scratch = Scratch::new();
    let (file, text) = (scratch.path().join("lines"), lines());
    fs::write(&file, &text).expect("the scratch directory is writable");
    let file = file.to_str().expect("the paths of the tests are UTF-8");
    kcat.run(&["-P", "-t", "lines", "-p", "0", "-X", "enable.idempotence=true", "-l", file]);
    assert!(kcat.consume("lines", "beginning", "%s\\n") == text);
}

#[test]
fn kcat_lists_brokers_and_topics() {
    let broker = Broker::start();
    let Some(kcat) = Kcat::of(&broker) else { return };
    broker.client().create_topic("logs", 3);
    let listed = String::from_utf8(kcat.run(&["-L"])).expect("text");
    for part in
        ["1 brokers", &format!("broker 1 at {}", broker.address()), "topic \"logs\" with 3 partitions"]
    {
        assert!(listed.contains(part), "{part:?} is missing in\n{listed}");
    }
    assert_eq!(listed.matches("leader 1").count(), 3, "{listed}");
}

#[test]
fn kcat_finds_offsets_by_time() {
    let broker = Broker::start();
    let Some(kcat) = Kcat::of(&broker) else { return };
    let mut client = broker.client();
    client.create_topic("t", 1);
    let start = 1_700_000_000_000;
    for n in 0..10 {
        let values: Vec<(i64, String)> =
            (0..10).map(|i| (start + (10 * n + i) * 1000, format!("{}", 10 * n + i))).collect();
        client.must_produce("t", 0, &broker::batch::batch_at(&values));
    }
    let query = |time: i64| String::from_utf8(kcat.run(&["-Q", "-t", &format!("t:0:{time}")])).expect("text");
    assert_eq!(query(start + 25_500).trim(), "t [0] offset 26");
    assert_eq!(query(start).trim(), "t [0] offset 0");
    assert_eq!(query(-1).trim(), "t [0] offset 100");
    assert_eq!(query(-2).trim(), "t [0] offset 0");
    let from = kcat.consume("t", &format!("s@{}", start + 96_500), "%o %s %T\\n");
    let expected: String = (97..100).map(|n| format!("{n} {n} {}\n", start + n * 1000)).collect();
    assert_eq!(String::from_utf8(from).expect("text"), expected);
    assert_eq!(kcat.consume("t", "-5", "%s "), b"95 96 97 98 99 ");
}

/// A group of kcat reads a part, commits, and the next of the same group goes on there, over a kill of the broker.
#[test]
fn kcat_in_a_group_goes_on_where_it_was() {
    let mut broker = Broker::start_with(|launch| launch.option("group.initial.rebalance.delay.ms=0"));
    let Some(kcat) = Kcat::of(&broker) else { return };
    broker.client().create_topic("t", 1);
    let scratch = Scratch::new();
    let file = scratch.path().join("lines");
    let text: Vec<String> = (0..1000).map(|n| format!("line {n}")).collect();
    fs::write(&file, text.join("\n") + "\n").expect("a file");
    kcat.run(&["-P", "-t", "t", "-p", "0", "-l", file.to_str().expect("a name")]);
    let read = |kcat: &Kcat, count: &str| {
        let group = ["-X", "auto.offset.reset=earliest", "-c", count, "-q", "-G", "readers", "t"];
        String::from_utf8(kcat.run(&group)).expect("text").lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(read(&kcat, "400"), text[..400]);
    broker.kill();
    broker.restart();
    assert_eq!(read(&kcat, "600"), text[400..]);
}

#[test]
fn kcat_keeps_keys_and_headers() {
    let broker = Broker::start();
    let Some(kcat) = Kcat::of(&broker) else { return };
    let scratch = Scratch::new();
    let file = scratch.path().join("pairs");
    fs::write(&file, "one:1\ntwo:\n:3\n").expect("the scratch directory is writable");
    let file = file.to_str().expect("the paths of the tests are UTF-8");
    kcat.run(&["-P", "-t", "t", "-p", "0", "-K", ":", "-H", "a=b", "-H", "c", "-l", file]);
    let back = kcat.consume("t", "beginning", "%k|%s|%h\\n");
    assert_eq!(String::from_utf8(back).expect("text"), "one|1|a=b,c=NULL\ntwo||a=b,c=NULL\n|3|a=b,c=NULL\n");
}

/// A Python with the client in it, made once and kept beside the build. `None`, and loud, where it cannot be made.
fn python() -> Option<&'static Path> {
    static PYTHON: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let made = PYTHON.get_or_init(|| {
        if !is_installed("python3", "--version") {
            return Err("python3 is not installed".to_owned());
        }
        let place =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("venv-{}", KAFKA_PYTHON.replace("==", "-")));
        let python = place.join("bin/python");
        let has_client = |python: &Path| {
            Command::new(python)
                .args(["-c", "import kafka"])
                .output()
                .is_ok_and(|output| output.status.success())
        };
        if !has_client(&python) {
            let step = |program: &OsStr, arguments: &[&OsStr]| {
                let output = Command::new(program).args(arguments).output().map_err(|e| e.to_string())?;
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                if output.status.success() { Ok(()) } else { Err(format!("{arguments:?}: {said}")) }
            };
            step("python3".as_ref(), &["-m".as_ref(), "venv".as_ref(), place.as_ref()])
                .map_err(|why| format!("python3 makes no venv: {why}"))?;
            step(
                python.as_ref(),
                &["-m".as_ref(), "pip".as_ref(), "install".as_ref(), "-q".as_ref(), KAFKA_PYTHON.as_ref()],
            )
            .map_err(|why| format!("{KAFKA_PYTHON} cannot be installed: {why}"))?;
        }
        Ok(python)
    });
    match made {
        Ok(python) => Some(python),
        Err(why) => {
            skip(why);
            None
        }
    }
}

fn check_python(script: &str) {
    let Some(python) = python() else { return };
    let broker = Broker::start_with(|launch| launch.option("num.partitions=2"));
    let output = run(python, &["-c", script, &broker.address()]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.ends_with("done\n"), "{said}");
}

#[test]
fn kafka_python_sends_and_receives() {
    check_python(
        r#"
import sys
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
address = sys.argv[1]
producer = KafkaProducer(bootstrap_servers=address)
sent = [producer.send("t", key=b"%d" % n, value=b"value %d" % n, partition=n % 2, timestamp_ms=1700000000000 + n,
                      headers=[("h", b"%d" % n)]) for n in range(5000)]
producer.flush(timeout=60)
for n, future in enumerate(sent):
    metadata = future.get(timeout=10)
    assert (metadata.topic, metadata.partition, metadata.offset) == ("t", n % 2, n // 2), (n, metadata)
producer.close()
consumer = KafkaConsumer(bootstrap_servers=address, auto_offset_reset="earliest", consumer_timeout_ms=30000)
partitions = [TopicPartition("t", p) for p in (0, 1)]
consumer.assign(partitions)
assert consumer.partitions_for_topic("t") == {0, 1}
consumer.seek_to_beginning()
seen = {0: [], 1: []}
for record in consumer:
    n = 2 * record.offset + record.partition
    assert record.value == b"value %d" % n and record.key == b"%d" % n, record
    assert record.timestamp == 1700000000000 + n and list(record.headers) == [("h", b"%d" % n)], record
    seen[record.partition].append(record.offset)
    if sum(map(len, seen.values())) == 5000:
        break
assert seen[0] == seen[1] == list(range(2500)), [len(s) for s in seen.values()]
assert consumer.end_offsets(partitions) == {p: 2500 for p in partitions}
assert consumer.beginning_offsets(partitions) == {p: 0 for p in partitions}
found = consumer.offsets_for_times({partitions[0]: 1700000000000 + 1001})
assert found[partitions[0]].offset == 501, found
consumer.close()
print("done")
"#,
    );
}

#[test]
fn kafka_python_meets_topics_with_a_codec_and_a_clock_of_their_own() {
    check_python(
        r#"
import sys, time
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic
address = sys.argv[1]
admin = KafkaAdminClient(bootstrap_servers=address)
configs = {"compression.type": "gzip", "compression.gzip.level": "9", "message.timestamp.type": "LogAppendTime"}
admin.create_topics([NewTopic(name="packed", num_partitions=1, replication_factor=1, topic_configs=configs)])
admin.close()
producer = KafkaProducer(bootstrap_servers=address, linger_ms=50)
before = int(time.time() * 1000)
sent = [producer.send("packed", key=b"%d" % n, value=b"value %d" % n * 20, partition=0, timestamp_ms=1000 + n,
                      headers=[("h", b"%d" % n)]) for n in range(2000)]
producer.flush(timeout=60)
after = int(time.time() * 1000)
assert [f.get(timeout=10).offset for f in sent] == list(range(2000))
assert all(before <= f.get(timeout=10).timestamp <= after for f in sent), sent[0].get(timeout=10)
producer.close()
consumer = KafkaConsumer(bootstrap_servers=address, auto_offset_reset="earliest", consumer_timeout_ms=30000)
partition = TopicPartition("packed", 0)
consumer.assign([partition])
consumer.seek_to_beginning()
seen = 0
for record in consumer:
    n = record.offset
    assert (n, record.key, record.value) == (seen, b"%d" % n, b"value %d" % n * 20), record
    assert list(record.headers) == [("h", b"%d" % n)] and before <= record.timestamp <= after, record
    seen += 1
    if seen == 2000:
        break
assert seen == 2000, seen
assert consumer.offsets_for_times({partition: before})[partition].offset == 0
assert consumer.offsets_for_times({partition: after + 1})[partition] is None
consumer.close()
print("done")
"#,
    );
}

#[test]
fn kafka_python_administers_topics() {
    check_python(
        r#"
import sys
from kafka import KafkaAdminClient
from kafka.admin import NewTopic
address = sys.argv[1]
admin = KafkaAdminClient(bootstrap_servers=address)
admin.create_topics([NewTopic(name="made", num_partitions=3, replication_factor=1, topic_configs={"retention.ms": "5000"})])
assert "made" in admin.list_topics(), admin.list_topics()
described = admin.describe_topics(["made"])
assert len(described) == 1 and len(described[0]["partitions"]) == 3, described
try:
    admin.create_topics([NewTopic(name="made", num_partitions=3, replication_factor=1)])
    raise SystemExit("a second topic of one name was made")
except Exception as error:
    assert "TopicAlreadyExists" in type(error).__name__ + str(error), repr(error)
admin.delete_topics(["made"])
assert "made" not in admin.list_topics(), admin.list_topics()
admin.close()
print("done")
"#,
    );
}

/// `tailrace produce` and `tailrace consume` are clients too, and kcat reads what they write.
#[test]
fn our_own_tools_and_kcat_read_each_other() {
    let broker = Broker::start();
    let Some(kcat) = Kcat::of(&broker) else { return };
    let scratch = Scratch::new();
    let (file, text) = (scratch.path().join("lines"), lines());
    fs::write(&file, &text).expect("the scratch directory is writable");
    let file = file.to_str().expect("the paths of the tests are UTF-8");
    let tailrace = Path::new(env!("CARGO_BIN_EXE_tailrace"));
    let address = broker.address();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let topic = format!("ours-{codec}");
        run(tailrace, &["produce", &topic, "-b", &address, "-p", "0", "-z", codec, "-q", "-l", file]);
        assert!(kcat.consume(&topic, "beginning", "%s\\n") == text, "{codec}");
    }
    kcat.run(&["-P", "-t", "theirs", "-p", "0", "-z", "lz4", "-l", file]);
    let back = run(tailrace, &["consume", "theirs", "-b", &address, "-o", "beginning", "-e", "-q"]).stdout;
    assert!(back == text);
}
