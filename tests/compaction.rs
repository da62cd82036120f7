//! A compacted topic stops growing, and a consumer finds the last value of each key, whatever happens to the broker.

mod broker;

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use broker::{Broker, Client, FetchAt, Launch, batch, wait_for};
use model::{
    ErrorCode,
    batch::record::{BatchMeta, Producer, Records, build_batch, write_record},
};

const KEYS: usize = 20;
const VALUE_BYTES: usize = 1000;
/// More than a segment in one request would only make another one.
const BATCH_RECORDS: usize = 200;
const SEGMENT_BYTES: u64 = 1 << 20;
/// A pass every 100 ms needs time of its own on a busy machine.
const CLEANING: Duration = Duration::from_secs(60);

fn launch(launch: Launch) -> Launch {
    launch.option("log.cleaner.backoff.ms=100")
}

fn compacted_topic(client: &mut Client, name: &str) {
    let segment = SEGMENT_BYTES.to_string();
    let configs = [
        ("cleanup.policy", "compact"),
        ("segment.bytes", segment.as_str()),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("delete.retention.ms", "0"),
        ("file.delete.delay.ms", "0"),
    ];
    client.create_topic_with(name, 1, &configs).expect("the topic is made");
}

/// Key and value of each record; a value is told by its round, or there is none.
fn keyed(records: &[(usize, Option<usize>)]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (delta, (key, round)) in (0..).zip(records) {
        let value = round.map(|round| format!("{round}:{}", "v".repeat(VALUE_BYTES)).into_bytes());
        write_record(&mut payload, delta, 0, Some(format!("key{key}").as_bytes()), value.as_deref(), &[]);
    }
    let meta = BatchMeta {
        base_offset: 0,
        leader_epoch: -1,
        attributes: 0,
        base_timestamp: 1_700_000_000_000,
        max_timestamp: 1_700_000_000_000,
        record_count: records.len() as i32,
        producer: Producer::NONE,
    };
    build_batch(meta, &payload)
}

/// Updates all keys in turn until so many records are acknowledged. Answers the round of each key's last one.
fn update(client: &mut Client, topic: &str, first_round: usize, records: usize) -> BTreeMap<usize, usize> {
    let mut last = BTreeMap::new();
    let all: Vec<_> = (0..records).map(|n| (n % KEYS, first_round + n / KEYS)).collect();
    for chunk in all.chunks(BATCH_RECORDS) {
        let batch: Vec<_> = chunk.iter().map(|&(key, round)| (key, Some(round))).collect();
        client.must_produce(topic, 0, &keyed(&batch));
        last.extend(chunk.iter().copied());
    }
    last
}

/// What a consumer that reads everything ends up with: by key the round of the last value; and how many records it read.
fn consume(client: &mut Client, topic: &str) -> (BTreeMap<String, String>, usize) {
    let (mut next, mut table, mut count) = (0, BTreeMap::new(), 0);
    loop {
        let fetched = client.fetch(FetchAt::new(topic, 0, next));
        assert_eq!(fetched.code, ErrorCode::None, "from {next}");
        if next >= fetched.high_watermark {
            return (table, count);
        }
        let before = next;
        for batch in batch::batches(&fetched.bytes) {
            let header = *batch.header();
            assert!(header.last_offset().0 >= next, "a batch that was read before");
            for record in Records::new(batch.payload(), header.record_count()) {
                let record = record.expect("a record");
                let key = String::from_utf8(record.key.expect("a key").to_vec()).expect("text");
                match record.value {
                    Some(value) => {
                        let round = value.split(|&b| b == b':').next().expect("a round");
                        table.insert(key, String::from_utf8(round.to_vec()).expect("text"));
                    }
                    None => drop(table.remove(&key)),
                }
                count += 1;
            }
            next = header.next_offset().0;
        }
        assert!(next > before, "nothing at {next} of {}", fetched.high_watermark);
    }
}

/// Waits until the cleaner has taken most of so many records out of the log, then until the files are as small.
///
/// The records first: they are acknowledged from the journal, so the folder is small before its segments are written too.
fn wait_until_shrunk(broker: &Broker, topic: &str, records: usize, last: &BTreeMap<usize, usize>) {
    let mut client = broker.client();
    wait_for("a consumer reads less", CLEANING, || {
        (expect(&mut client, topic, last) < records / 2).then_some(())
    });
    // What stays is a segment of the last updates, and the active one.
    let folder = broker.folder(topic, 0);
    wait_for("the files shrink", CLEANING, || (log_bytes(&folder) < 3 * SEGMENT_BYTES).then_some(()));
}

/// Answers how many records a consumer reads to come to the last updates.
fn expect(client: &mut Client, topic: &str, last: &BTreeMap<usize, usize>) -> usize {
    let (table, count) = consume(client, topic);
    let expected: BTreeMap<String, String> =
        last.iter().map(|(key, round)| (format!("key{key}"), round.to_string())).collect();
    assert_eq!(table, expected);
    count
}

/// Of all files, whatever their names say of them at the moment.
fn log_bytes(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.metadata().ok()).map(|m| m.len()).sum()
}

#[test]
fn a_log_of_many_updates_shrinks_to_the_last_ones() {
    let mut broker = Broker::start_with(launch);
    let mut client = broker.client();
    compacted_topic(&mut client, "table");
    let records = 8000;
    let mut last = update(&mut client, "table", 0, records);
    let folder = broker.folder("table", 0);
    wait_until_shrunk(&broker, "table", records, &last);

    // A key that is deleted is gone from the table, and later from the log.
    client.must_produce("table", 0, &keyed(&[(3, None)]));
    last.remove(&3);
    let mut more = update(&mut client, "table", 1000, 4000);
    more.retain(|key, _| *key != 3);
    client.must_produce("table", 0, &keyed(&[(3, None)]));
    last.extend(more);
    expect(&mut client, "table", &last);

    broker.stop();
    let marks = fs::read_to_string(broker.data().join("cleaner-offset-checkpoint")).expect("Kafka's file");
    assert!(marks.lines().any(|line| line.starts_with("table 0 ")), "{marks}");
    for left in ["cleaned", "swap"] {
        assert!(broker::scratch::files_with(&folder, left).is_empty(), ".{left} files are left");
    }
    broker.restart();
    let replaced = || broker::scratch::files_with(&folder, "deleted");
    wait_for("what was replaced goes", CLEANING, || replaced().is_empty().then_some(()));
    expect(&mut broker.client(), "table", &last);
}

/// Kills at any moment, with other numbers of shards in between.
#[test]
fn kills_in_the_midst_of_passes_lose_nothing() {
    const ROUNDS: usize = 5;
    const RECORDS: usize = 3000;
    let mut broker = Broker::start_with(launch);
    compacted_topic(&mut broker.client(), "table");
    let mut last = BTreeMap::new();
    for round in 0..ROUNDS {
        let mut client = broker.client();
        last.extend(update(&mut client, "table", round * 1000, RECORDS));
        // Not for any condition: the moment is meant to be arbitrary.
        std::thread::sleep(Duration::from_millis(137 * round as u64));
        broker.kill();
        broker.restart_with_shards([1, 3, 2][round % 3]);
        expect(&mut broker.client(), "table", &last);
    }
    wait_until_shrunk(&broker, "table", ROUNDS * RECORDS, &last);
    assert!(broker.said().lines().all(|line| !line.contains("ERROR")), "{}", broker.said());
}
