//! What was acknowledged is there: after kill -9 in mid stream, with more shards and with fewer.

mod broker;

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
};

use broker::{Broker, Client, PATIENCE, Random, Rec, batch::batch_by, batch_of, client, wait_for};
use model::{ErrorCode, batch::record::Producer};

const PARTITIONS: i32 = 4;
/// As many as a producer may have under way without losing its order.
const IN_FLIGHT_MAX: usize = 5;
const BATCH_RECORDS: i32 = 3;
const TOPIC: &str = "stream";

/// An idempotent producer over several partitions, on one connection. What has no answer when the connection ends is
/// sent again, in order and with the same sequences.
struct Stream {
    address: String,
    producer: Producer,
    /// By partition: the next sequence.
    next: Vec<i32>,
    /// Sent or to be sent again, in order.
    open: VecDeque<Batch>,
    /// By partition: sequence of a batch, and where the broker says it is.
    acknowledged: Vec<Vec<(i32, i64)>>,
}

#[derive(Clone)]
struct Batch {
    partition: i32,
    sequence: i32,
    bytes: Vec<u8>,
}

fn value(partition: i32, sequence: i32) -> String {
    format!("{partition}:{sequence}:{}", "x".repeat((sequence % 97) as usize * 20))
}

impl Stream {
    fn new(broker: &Broker) -> Self {
        let mut client = broker.client();
        client.create_topic(TOPIC, PARTITIONS);
        Self {
            address: broker.address(),
            producer: client.init_producer_id(),
            next: vec![0; PARTITIONS as usize],
            open: VecDeque::new(),
            acknowledged: vec![Vec::new(); PARTITIONS as usize],
        }
    }

    fn make(&mut self, partition: i32) -> Batch {
        let sequence = self.next[partition as usize];
        self.next[partition as usize] += BATCH_RECORDS;
        let values: Vec<String> = (sequence..sequence + BATCH_RECORDS).map(|s| value(partition, s)).collect();
        let bytes = batch_by(Producer { base_sequence: sequence, ..self.producer }, &values);
        Batch { partition, sequence, bytes }
    }

    /// Sends until the connection ends, or `count` batches more are answered and nothing is open. `answered` counts
    /// along, for whoever watches.
    fn run(&mut self, count: usize, answered: &AtomicU64) -> io::Result<()> {
        let mut client = Client::try_connect(&self.address).ok_or(io::ErrorKind::ConnectionRefused)?;
        let mut sent = VecDeque::new();
        let mut made = 0;
        loop {
            while sent.len() < IN_FLIGHT_MAX && (sent.len() < self.open.len() || made < count) {
                if sent.len() == self.open.len() {
                    let batch = self.make((made as i32 * 7 + made as i32 / 5) % PARTITIONS);
                    self.open.push_back(batch);
                    made += 1;
                }
                let batch = &self.open[sent.len()];
                let request = client::produce_request(TOPIC, batch.partition, -1, Some(&batch.bytes));
                sent.push_back(client.try_send(client::PRODUCE, &request)?);
            }
            let Some(oldest) = sent.pop_front() else { return Ok(()) };
            let answer = client.try_receive(oldest)?;
            let produced = client::produced(&answer);
            let batch = self.open.pop_front().expect("an answer belongs to a batch");
            let (partition, sequence) = (batch.partition, batch.sequence);
            assert_eq!(produced.code, ErrorCode::None, "sequence {sequence} of partition {partition}");
            self.acknowledged[partition as usize].push((sequence, produced.base_offset));
            answered.fetch_add(1, Ordering::Release);
        }
    }

    /// Everything sent is there once, in order, where the answers said; nothing else is.
    fn assert_exactly_once(&self, broker: &Broker) {
        let mut client = broker.client();
        for partition in 0..PARTITIONS {
            let records = client.read_from(TOPIC, partition, 0);
            let values: Vec<&str> = records.iter().map(Rec::text).collect();
            let expected: Vec<String> =
                (0..self.next[partition as usize]).map(|s| value(partition, s)).collect();
            let same = values.iter().zip(&expected).take_while(|(there, sent)| there == sent).count();
            assert!(
                values == expected,
                "partition {partition}: {} records are there, {} were sent, the first {same} agree; then {:?}",
                values.len(),
                expected.len(),
                &values[same..values.len().min(same + 5)]
            );
            for &(sequence, offset) in &self.acknowledged[partition as usize] {
                assert_eq!(
                    i64::from(sequence),
                    offset,
                    "partition {partition}: acknowledged at another offset"
                );
            }
        }
    }
}

/// Kills the broker once so many answers have come, while others are under way.
fn kill_in_mid_stream(broker: &mut Broker, stream: Stream, answers: u64) -> Stream {
    let answered = Arc::new(AtomicU64::new(0));
    let (count, (done, outcome)) = (answered.clone(), mpsc::channel());
    let worker = thread::spawn(move || {
        let mut stream = stream;
        let ended = stream.run(usize::MAX, &count);
        done.send(ended.is_err()).expect("the test waits");
        stream
    });
    wait_for("the stream is well under way", PATIENCE, || {
        assert!(!worker.is_finished(), "the stream broke by itself");
        (answered.load(Ordering::Acquire) >= answers).then_some(())
    });
    broker.kill();
    let broke = outcome.recv_timeout(PATIENCE).expect("the stream ends with its connection");
    assert!(broke, "the stream has no end but this");
    worker.join().expect("the stream does not panic")
}

#[test]
fn a_stream_survives_kills_exactly_once_and_in_order() {
    let mut broker = Broker::start();
    let mut stream = Stream::new(&broker);
    let mut random = Random(0xdead);
    for round in 0..3 {
        stream = kill_in_mid_stream(&mut broker, stream, 200 + random.below(400));
        let open = stream.open.len();
        broker.restart();
        // What was open is sent again, and some more.
        stream.run(100, &AtomicU64::new(0)).expect("the broker is back");
        eprintln!("round {round}: {open} batches were open, {:?} records sent", stream.next);
        stream.assert_exactly_once(&broker);
    }
    broker.stop();
    broker.restart();
    stream.assert_exactly_once(&broker);
}

/// The second crash comes while the first is being recovered from, at whatever place that is.
#[test]
fn a_kill_during_recovery_loses_nothing() {
    let mut broker = Broker::start();
    let mut stream = Stream::new(&broker);
    let mut random = Random(0xdeae);
    for _ in 0..2 {
        stream = kill_in_mid_stream(&mut broker, stream, 300);
        for _ in 0..6 {
            broker.spawn();
            // Not for any condition: the moment is meant to be arbitrary.
            thread::sleep(std::time::Duration::from_micros(random.below(120_000)));
            broker.kill();
        }
        broker.restart();
        stream.run(50, &AtomicU64::new(0)).expect("the broker is back");
        stream.assert_exactly_once(&broker);
    }
}

/// A folder on the disk names no shard, so any number of them finds everything, also after a crash, and a producer's
/// sequences go on.
#[test]
fn any_number_of_shards_finds_everything() {
    let mut broker = Broker::start();
    let mut stream = Stream::new(&broker);
    stream.run(200, &AtomicU64::new(0)).expect("the broker serves");
    for (shards, crash) in [(1, false), (3, true), (2, true), (1, true), (3, false), (2, false)] {
        if crash {
            broker.kill()
        } else {
            broker.stop()
        }
        broker.restart_with_shards(shards);
        stream.assert_exactly_once(&broker);
        stream.run(40, &AtomicU64::new(0)).expect("the broker serves");
        stream.assert_exactly_once(&broker);
    }
}

/// The answers of a topic are not what makes its records safe: a log without any produce since is recovered as well.
#[test]
fn topics_and_their_configs_survive_a_kill() {
    let mut broker = Broker::start();
    let mut client = broker.client();
    let id = client.create_topic_with("made", 3, &[("retention.ms", "12345")]).expect("the topic is made");
    client.create_topic("gone", 2);
    client.must_produce("gone", 1, &batch_of(&["x"]));
    assert_eq!(client.delete_topic("gone"), ErrorCode::None);
    broker.kill();
    broker.restart();
    let mut client = broker.client();
    let facts = client.topic("made").expect("the topic is there");
    assert_eq!((facts.id, facts.partitions), (id, 3));
    assert_eq!(client.topic_configs("made")["retention.ms"].value.as_deref(), Some("12345"));
    assert_eq!(client.topic("gone"), Err(ErrorCode::UnknownTopicOrPartition));
    let left = std::fs::read_dir(broker.data()).expect("the directory is there");
    let left: Vec<_> = left.map(|entry| entry.expect("an entry").file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with("gone-")), "{left:?}");
}

/// A producer's ids are handed out in blocks; after a crash none of them comes a second time.
#[test]
fn producer_ids_are_never_handed_out_twice() {
    let mut broker = Broker::start();
    let mut seen = std::collections::BTreeSet::new();
    for round in 0..4 {
        for _ in 0..20 {
            let id = broker.client().init_producer_id().id;
            assert!(seen.insert(id), "{id} came twice");
        }
        if round % 2 == 0 {
            broker.kill();
        } else {
            broker.stop();
        }
        broker.restart();
    }
}

/// The batches of a producer, one record each, acknowledged; then the broker goes and comes again.
fn five_batches() -> (Broker, Vec<Vec<u8>>) {
    let broker = Broker::start();
    let mut client = broker.client();
    client.create_topic("t", 1);
    let producer = client.init_producer_id();
    let batch = |n| batch_by(Producer { base_sequence: n, ..producer }, &[format!("{n}")]);
    let batches: Vec<Vec<u8>> = (0..5).map(batch).collect();
    for batch in &batches {
        client.must_produce("t", 0, batch);
    }
    (broker, batches)
}

/// The last five batches of a producer may all have been under way: each retry is answered with the first offset.
#[test]
fn a_retry_after_a_kill_is_no_duplicate() {
    let (mut broker, batches) = five_batches();
    for _ in 0..2 {
        broker.kill();
        broker.restart();
        let mut client = broker.client();
        for (offset, batch) in (0..).zip(&batches) {
            assert_eq!(client.must_produce("t", 0, batch), offset);
        }
        assert_eq!(client.list_offset("t", 0, -1).0, 5);
    }
}

/// As with Kafka, whose snapshot file knows one batch of each producer: a stop in order has answered the others.
#[test]
fn a_retry_of_the_last_batch_after_a_stop_is_no_duplicate() {
    let (mut broker, batches) = five_batches();
    for _ in 0..2 {
        broker.stop();
        broker.restart();
        let mut client = broker.client();
        assert_eq!(client.must_produce("t", 0, &batches[4]), 4);
        assert_eq!(client.list_offset("t", 0, -1).0, 5);
    }
}

/// Each of the three promises keeps what is acknowledged over a stop in order.
#[test]
fn every_durability_keeps_everything_over_a_clean_stop() {
    let mut broker = Broker::start();
    for durability in ["flushed", "written", "memory"] {
        let mut client = broker.client();
        client.create_topic_with(durability, 2, &[("durability", durability)]).expect("the topic is made");
        for n in 0..100 {
            client.must_produce(durability, n % 2, &batch_of(&[format!("{n}")]));
        }
    }
    broker.stop();
    broker.restart();
    for durability in ["flushed", "written", "memory"] {
        for partition in 0..2 {
            let expected: Vec<String> =
                (0..100).filter(|n| n % 2 == partition).map(|n| n.to_string()).collect();
            assert_eq!(broker.client().values(durability, partition), expected, "{durability}");
        }
    }
}

/// A killed process takes nothing with it that the kernel has: `written` keeps what it acknowledged.
#[test]
fn written_survives_a_killed_process() {
    let mut broker = Broker::start();
    let mut client = broker.client();
    client.create_topic_with("t", 2, &[("durability", "written")]).expect("the topic is made");
    for n in 0..200 {
        client.must_produce("t", n % 2, &batch_of(&[format!("{n}")]));
    }
    broker.kill();
    broker.restart();
    for partition in 0..2 {
        let expected: Vec<String> = (0..200).filter(|n| n % 2 == partition).map(|n| n.to_string()).collect();
        assert_eq!(broker.client().values("t", partition), expected);
    }
}

/// `memory` may lose its end in a crash, and nothing but its end; the log goes on from there.
#[test]
fn memory_loses_at_most_its_end() {
    let mut broker = Broker::start();
    let mut client = broker.client();
    client.create_topic_with("t", 1, &[("durability", "memory")]).expect("the topic is made");
    client.create_topic("safe", 1);
    for n in 0..300 {
        client.must_produce("t", 0, &batch_of(&[format!("{n:0>5000}")]));
        client.must_produce("safe", 0, &batch_of(&[format!("{n}")]));
    }
    broker.kill();
    broker.restart();
    let mut client = broker.client();
    let values = client.values("t", 0);
    assert!(values.iter().enumerate().all(|(n, value)| *value == format!("{n:0>5000}")));
    assert_eq!(client.must_produce("t", 0, &batch_of(&["next"])), values.len() as i64);
    assert_eq!(client.values("safe", 0).len(), 300);
}

/// Large batches go straight to their segment, and the journal only says where: they too are there after a kill.
#[test]
fn large_batches_survive_a_kill() {
    let mut broker = Broker::start();
    let mut client = broker.client();
    client.create_topic("t", 2);
    let mut sent = Vec::new();
    for n in 0..40 {
        let batch = batch_of(&[broker::padded(n, 900_000)]);
        sent.push(client.send(client::PRODUCE, &client::produce_request("t", n % 2, -1, Some(&batch))));
        let small = batch_of(&[format!("{n}")]);
        sent.push(client.send(client::PRODUCE, &client::produce_request("t", n % 2, -1, Some(&small))));
    }
    for sent in sent {
        assert_eq!(client::produced(&client.receive(sent)).code, ErrorCode::None);
    }
    broker.kill();
    broker.restart();
    for partition in 0..2 {
        let expected: Vec<String> = (0..40)
            .filter(|n| n % 2 == partition)
            .flat_map(|n| [broker::padded(n, 900_000), n.to_string()])
            .collect();
        assert!(broker.client().values("t", partition) == expected);
    }
}
