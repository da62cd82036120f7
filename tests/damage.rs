//! Files that are not what the broker left: indexes are made anew, torn tails are cut, and what is corrupt below the
//! durable mark is neither served nor cut.

mod broker;

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::Duration,
};

use broker::{
    Broker, FetchAt, Random, Rec,
    batch::{batch_at, batches},
    batch_of,
    process::assert_one_sentence,
    refusal,
    scratch::{files_with, flip},
    wait_for,
};
use engine::journal::{
    frame,
    superblock::{COPIES, Superblock},
};
use model::{BatchView, ErrorCode, batch::HEADER_BYTES};

const BLOCK: usize = frame::BLOCK;
const START: i64 = 1_700_000_000_000;
const STEP: i64 = 1000;
/// The smallest there are.
const SMALL_SEGMENTS: (&str, &str) = ("segment.bytes", "1048576");

/// A batch of four records with times of their own, about 16 KiB.
fn sizeable(n: i64) -> Vec<u8> {
    let values: Vec<(i64, String)> =
        (0..4).map(|i| (START + (4 * n + i) * STEP, format!("{:0>4000}", 4 * n + i))).collect();
    batch_at(&values)
}

fn fill(broker: &Broker, topic: &str, batches: i64) {
    let mut client = broker.client();
    for n in 0..batches {
        assert_eq!(client.must_produce(topic, 0, &sizeable(n)), 4 * n);
    }
}

fn name(path: &Path) -> &str {
    path.to_str().expect("the paths of the tests are UTF-8")
}

/// The first record at or after each of these times, and the largest.
fn by_time(broker: &Broker, topic: &str, records: i64) -> Vec<(i64, i64)> {
    let mut client = broker.client();
    let mut times: Vec<i64> = (0..records).step_by(7).map(|n| START + n * STEP - 1).collect();
    times.extend([-3, START + records * STEP]);
    times.into_iter().map(|time| client.list_offset(topic, 0, time)).collect()
}

#[test]
fn damaged_indexes_are_made_anew() {
    const BATCHES: i64 = 200;
    let mut broker = Broker::start();
    broker.client().create_topic_with("t", 1, &[SMALL_SEGMENTS]).expect("the topic is made");
    fill(&broker, "t", BATCHES);
    let records = broker.client().read_from("t", 0, 0);
    let found = by_time(&broker, "t", 4 * BATCHES);
    assert_eq!(found[..2], [(0, START), (7, START + 7 * STEP)]);
    broker.stop();
    let folder = broker.folder("t", 0);
    let indexes = || [files_with(&folder, "index"), files_with(&folder, "timeindex")].concat();
    let before: Vec<(PathBuf, Vec<u8>)> =
        indexes().into_iter().map(|path| (path.clone(), fs::read(path).expect("an index"))).collect();
    assert!(before.len() >= 6, "several segments are wanted: {before:?}");
    assert!(before.iter().all(|(_, bytes)| !bytes.is_empty()), "an index is empty: {before:?}");

    let mut random = Random(0x1dec);
    let mut damage = |way: &str, path: &Path, bytes: &[u8]| match way {
        "noise" => fs::write(path, random.bytes(bytes.len())),
        "zeros" => fs::write(path, vec![0; bytes.len()]),
        "nothing" => fs::write(path, []),
        "an odd length" => fs::write(path, &bytes[..bytes.len() - 3]),
        "no file" => fs::remove_file(path),
        "entries too many" => fs::write(path, [bytes, bytes].concat()),
        "entries shifted" => fs::write(path, bytes.iter().map(|b| b.wrapping_add(1)).collect::<Vec<_>>()),
        _ => unreachable!(),
    };
    for way in
        ["noise", "zeros", "nothing", "an odd length", "no file", "entries too many", "entries shifted"]
    {
        for (path, bytes) in &before {
            damage(way, path, bytes).expect("the index can be damaged");
        }
        broker.restart();
        assert_eq!(by_time(&broker, "t", 4 * BATCHES), found, "by time, after {way}");
        assert!(broker.client().read_from("t", 0, 0) == records, "other records after {way}");
        for from in [1, 5, 399, 400, 401, 4 * BATCHES - 1] {
            let read = broker.client().read_from("t", 0, from);
            assert!(read == records[from as usize..], "other records from {from} on, after {way}");
        }
        broker.stop();
    }
}

/// What was made anew is on the disk after the next stop, so that it is not made again at every start.
#[test]
fn indexes_made_anew_are_kept() {
    let mut broker = Broker::start();
    broker.client().create_topic_with("t", 1, &[SMALL_SEGMENTS]).expect("the topic is made");
    fill(&broker, "t", 200);
    broker.stop();
    let folder = broker.folder("t", 0);
    let read = |paths: &[PathBuf]| -> Vec<Vec<u8>> {
        paths.iter().map(|path| fs::read(path).expect("an index")).collect()
    };
    let paths = [files_with(&folder, "index"), files_with(&folder, "timeindex")].concat();
    let before = read(&paths);
    for path in &paths {
        fs::write(path, [0xa5; 96]).expect("the index can be damaged");
    }
    broker.restart();
    by_time(&broker, "t", 800);
    broker.client().read_from("t", 0, 0);
    broker.stop();
    for ((path, before), after) in paths.iter().zip(before).zip(read(&paths)) {
        assert!(after == before, "{} is not as it was made at first", path.display());
    }
}

/// Where the frames of a journal stand, from its tail to its end.
fn frames(journal: &Path) -> Vec<(u64, usize)> {
    let bytes = fs::read(journal).expect("the journal is there");
    let superblock = Superblock::newest(&bytes).expect("a superblock");
    let (mut expected, mut at) = (superblock.tail, superblock.tail_position as usize);
    let mut found = Vec::new();
    while let Some(frame) = bytes.get(at..).and_then(|rest| frame::parse(rest, expected.salt)) {
        if frame.header.sequence.get() != expected.sequence {
            break;
        }
        let length = frame.header.frame_bytes.get() as usize;
        found.push((at as u64, length));
        (expected.sequence, at) = (expected.sequence + 1, at + length);
    }
    found
}

fn journals(broker: &Broker) -> Vec<PathBuf> {
    files_with(&broker.data().join("journal"), "journal")
}

fn write_at(path: &Path, at: u64, bytes: &[u8]) {
    let file = File::options().write(true).open(path).expect("the file is there");
    file.write_all_at(bytes, at).expect("the file can be written");
}

/// Where the last whole batch of a segment ends.
fn sound_bytes(segment: &Path) -> usize {
    let bytes = fs::read(segment).expect("the segment is there");
    let mut at = 0;
    while let Ok(batch) = BatchView::check(&bytes[at..]) {
        at += batch.bytes().len();
    }
    at
}

/// After a crash: rubbish behind the end of each journal and of each segment, as a write that was under way leaves it.
fn check_torn(rubbish: impl Fn(&mut Random) -> Vec<u8>) {
    let mut broker = Broker::start();
    let mut client = broker.client();
    client.create_topic("t", 4);
    let mut random = Random(0x7031);
    // Enough for some to be in segments, and then some that is in the journal only.
    for n in 0..300 {
        let padding = if n < 200 { 16_000 } else { 10 };
        client.must_produce("t", n % 4, &batch_of(&[format!("{n:0>padding$}")]));
    }
    let folders = [0, 1, 2, 3].map(|partition| broker.folder("t", partition));
    wait_for("something reaches a segment", broker::PATIENCE, || {
        let written = |folder: &PathBuf| {
            folder.exists() && files_with(folder, "log").iter().any(|s| sound_bytes(s) > 0)
        };
        folders.iter().any(written).then_some(())
    });
    for round in 0..3 {
        let before: Vec<Vec<Rec>> = (0..4).map(|p| broker.client().read_from("t", p, 0)).collect();
        broker.kill();
        let mut torn = 0;
        for journal in journals(&broker) {
            let found = frames(&journal);
            let end = found.last().map_or((COPIES * BLOCK) as u64, |(at, bytes)| at + *bytes as u64);
            write_at(&journal, end, &rubbish(&mut random));
            torn += 1;
        }
        for folder in folders.iter().filter(|folder| folder.exists()) {
            for segment in files_with(folder, "log") {
                write_at(&segment, sound_bytes(&segment) as u64, &rubbish(&mut random));
                torn += 1;
            }
        }
        assert!(torn >= 3, "nothing to tear");
        broker.restart();
        let after: Vec<Vec<Rec>> = (0..4).map(|p| broker.client().read_from("t", p, 0)).collect();
        assert!(after == before, "round {round}: what was acknowledged is not what is there");
        for (partition, before) in (0..).zip(&before) {
            let offset = broker.client().must_produce("t", partition, &batch_of(&["after"]));
            assert_eq!(offset, before.len() as i64, "round {round}");
        }
    }
}

#[test]
fn a_torn_tail_of_noise_is_cut() {
    check_torn(|random| random.bytes(8192));
}

#[test]
fn a_torn_tail_of_a_few_bytes_is_cut() {
    check_torn(|random| random.bytes(5));
}

#[test]
fn a_torn_batch_is_cut() {
    check_torn(|_| {
        let batch = batch_of(&["never acknowledged, and never whole".repeat(100)]);
        batch[..batch.len() - 1].to_vec()
    });
}

/// The head of a frame arrived, its body did not: the frame's own checksum tells.
#[test]
fn a_torn_frame_is_cut() {
    let mut broker = Broker::start_with(|mut launch| {
        launch.shards = 1;
        launch
    });
    let mut client = broker.client();
    client.create_topic("t", 1);
    for n in 0..20 {
        client.must_produce("t", 0, &batch_of(&[format!("{n}")]));
    }
    broker.kill();
    let journal = &journals(&broker)[0];
    let found = frames(journal);
    let (at, length) = found[found.len() - 1];
    let bytes = fs::read(journal).expect("the journal is there");
    let mut next = bytes[at as usize..at as usize + length].to_vec();
    // The sequence that is due, and everything else as it was: the checksum is wrong, the rest is plausible.
    let sequence = u64::from_be_bytes(next[16..24].try_into().expect("eight bytes"));
    next[16..24].copy_from_slice(&(sequence + 1).to_be_bytes());
    write_at(journal, at + length as u64, &next);
    broker.restart();
    let expected: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    assert_eq!(broker.client().values("t", 0), expected);
}

#[test]
fn an_acknowledged_journal_frame_that_is_damaged_refuses_the_start() {
    let mut broker = Broker::start_with(|mut launch| {
        launch.shards = 1;
        launch
    });
    let mut client = broker.client();
    client.create_topic("t", 1);
    for n in 0..20 {
        client.must_produce("t", 0, &batch_of(&[format!("{n}")]));
    }
    broker.kill();
    let journal = &journals(&broker)[0];
    let found = frames(journal);
    assert!(found.len() >= 10, "{found:?}");
    for (frame, place) in [(found.len() / 2, 70), (found.len() / 2, 130), (1, 50), (0, 3)] {
        let at = found[frame].0 + place;
        flip(journal, at, 0x10);
        let before = fs::read(journal).expect("the journal is there");
        assert_one_sentence(&refusal(broker.launch.clone()), &[name(journal), "corrupt"]);
        assert!(fs::read(journal).expect("the journal is there") == before, "the refused start changed it");
        flip(journal, at, 0x10);
    }
    broker.restart();
    let expected: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    assert_eq!(broker.client().values("t", 0), expected);
}

#[test]
fn one_damaged_superblock_does_no_harm_and_two_refuse_the_start() {
    let mut broker = Broker::start_with(|mut launch| {
        launch.shards = 1;
        launch
    });
    let mut client = broker.client();
    client.create_topic("t", 1);
    for n in 0..20 {
        client.must_produce("t", 0, &batch_of(&[format!("{n}")]));
    }
    let expected: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    broker.kill();
    let journal = &journals(&broker)[0];
    for copy in 0..COPIES {
        flip(journal, (copy * BLOCK + 20) as u64, 1);
    }
    assert_one_sentence(&refusal(broker.launch.clone()), &[name(journal), "superblock"]);
    for healed in 0..COPIES {
        flip(journal, (healed * BLOCK + 20) as u64, 1);
        // The older copy names an older tail, the newer one the right one: either will do.
        if healed == 0 && Superblock::newest(&fs::read(journal).expect("the journal is there")).is_none() {
            continue;
        }
        broker.restart();
        assert_eq!(broker.client().values("t", 0), expected);
        return;
    }
    panic!("no copy of the superblock was valid");
}

#[test]
fn a_damaged_metadata_log_refuses_the_start() {
    let mut broker = Broker::start();
    for n in 0..50 {
        broker.client().create_topic(&format!("t{n}"), 3);
    }
    broker.stop();
    let log = &files_with(&broker.folder("__cluster_metadata", 0), "log")[0];
    let bytes = fs::metadata(log).expect("the log is there").len();
    flip(log, bytes / 2, 4);
    assert_one_sentence(&refusal(broker.launch.clone()), &[name(broker.data())]);
    assert_eq!(fs::metadata(log).expect("the log is there").len(), bytes, "the log was cut");
    flip(log, bytes / 2, 4);
    broker.restart();
    assert_eq!(broker.client().topics().len(), 50);
}

/// One partition to damage and one beside it, stopped in order, and what the segments held.
struct Victim {
    broker: Broker,
    segments: Vec<PathBuf>,
    /// All batches in order: base offset, next offset, segment, position in it, bytes.
    batches: Vec<(i64, i64, usize, u64, Vec<u8>)>,
}

/// What a client may be told of a partition that is corrupt.
const OFFLINE: [ErrorCode; 4] = [
    ErrorCode::KafkaStorageError,
    ErrorCode::NotLeaderOrFollower,
    ErrorCode::LeaderNotAvailable,
    ErrorCode::ReplicaNotAvailable,
];

impl Victim {
    fn new() -> Self {
        let mut broker = Broker::start();
        let mut client = broker.client();
        client.create_topic_with("victim", 1, &[SMALL_SEGMENTS]).expect("the topic is made");
        client.create_topic("bystander", 1);
        client.must_produce("bystander", 0, &batch_of(&["0"]));
        fill(&broker, "victim", 160);
        broker.stop();
        let segments = files_with(&broker.folder("victim", 0), "log");
        assert!(segments.len() >= 3, "{segments:?}");
        let mut found = Vec::new();
        for (place, segment) in segments.iter().enumerate() {
            let mut at = 0;
            for batch in batches(&fs::read(segment).expect("the segment is there")) {
                let header = batch.header();
                found.push((
                    header.base_offset().0,
                    header.next_offset().0,
                    place,
                    at,
                    batch.bytes().to_vec(),
                ));
                at += batch.bytes().len() as u64;
            }
        }
        assert_eq!(found.last().map(|batch| batch.1), Some(640));
        Self { broker, segments, batches: found }
    }

    /// Flips bits in a batch while the broker is down, looks at what it does, and flips them back.
    fn check(&mut self, batch: usize, place: u64, mask: u8, clean: bool) {
        let (base, _, segment, position, _) = self.batches[batch];
        let case = format!("byte {place} of the batch at {base}, stopped in order: {clean}");
        let sizes = self.sizes();
        flip(&self.segments[segment], position + place, mask);
        if !clean {
            fs::remove_file(self.broker.data().join(".kafka_cleanshutdown")).expect("the mark is there");
        }
        self.broker.restart();
        self.assert_nothing_wrong_is_served(batch, &case);
        self.assert_bystander_works();
        self.broker.kill();
        let now = self.sizes();
        assert!(now.iter().zip(&sizes).all(|(now, before)| now >= before), "{case}: cut: {sizes:?} {now:?}");
        flip(&self.segments[segment], position + place, mask);
        self.broker.restart();
        self.assert_all_is_there(&case);
        self.broker.stop();
    }

    fn sizes(&self) -> Vec<u64> {
        self.segments.iter().map(|path| fs::metadata(path).map_or(0, |metadata| metadata.len())).collect()
    }

    /// From every batch on, and the damaged one last: the very bytes that were written, or an error. The damaged batch
    /// itself must be an error: an empty answer would keep a consumer waiting for ever.
    fn assert_nothing_wrong_is_served(&self, damaged: usize, case: &str) {
        let mut client = self.broker.client();
        let places =
            (0..self.batches.len()).step_by(9).chain([damaged.saturating_sub(1), damaged + 1, damaged]);
        for place in places.filter(|place| *place < self.batches.len()) {
            let fetched = client
                .fetch(FetchAt { max_bytes: 100_000, ..FetchAt::new("victim", 0, self.batches[place].0) });
            if fetched.code != ErrorCode::None {
                assert!(OFFLINE.contains(&fetched.code), "{case}: {:?}", fetched.code);
                continue;
            }
            let written: Vec<u8> =
                self.batches[place..].iter().take(10).flat_map(|batch| batch.4.iter().copied()).collect();
            assert!(
                written.starts_with(&fetched.bytes),
                "{case}: other bytes are served from batch {place} on"
            );
            assert!(
                !fetched.bytes.is_empty(),
                "{case}: nothing is served from batch {place} on, and no error"
            );
            assert!(place != damaged, "{case}: the damaged batch is served");
        }
    }

    fn assert_bystander_works(&self) {
        let mut client = self.broker.client();
        let offset = client.must_produce("bystander", 0, &batch_of(&["more"]));
        assert_eq!(client.read_from("bystander", 0, 0).len() as i64, offset + 1);
    }

    fn assert_all_is_there(&self, case: &str) {
        let mut client = self.broker.client();
        let mut bytes = Vec::new();
        let mut next = 0;
        while next < 640 {
            let fetched = client.fetch(FetchAt::new("victim", 0, next));
            assert_eq!(fetched.code, ErrorCode::None, "{case}: undone, and still not served");
            next = batches(&fetched.bytes).last().expect("a batch").header().next_offset().0;
            bytes.extend(fetched.bytes);
        }
        assert!(
            bytes == self.batches.iter().flat_map(|batch| batch.4.clone()).collect::<Vec<u8>>(),
            "{case}"
        );
    }
}

#[test]
fn a_flipped_bit_in_an_old_segment_is_not_served_and_nothing_is_cut() {
    let mut victim = Victim::new();
    victim.check(20, 5000, 1, true);
    victim.check(0, 16_000, 0x80, true);
    victim.check(90, 61, 0x40, false);
}

#[test]
fn a_flipped_bit_in_the_last_segment_is_not_served_and_nothing_is_cut() {
    let mut victim = Victim::new();
    let last = victim.batches.len() - 1;
    let first = victim.batches.iter().position(|b| b.2 == victim.segments.len() - 1).expect("a batch");
    assert!(first + 2 < last, "the last segment has too few batches for this");
    victim.check(last, 5000, 1, true);
    victim.check(first, 5000, 1, true);
    victim.check((first + last) / 2, 5000, 1, true);
    victim.check(last, 5000, 1, false);
    victim.check(first, 5000, 1, false);
}

/// Base offset, length, leader epoch and magic are outside the batch's checksum.
#[test]
fn a_flipped_bit_in_the_head_of_a_batch_is_not_served() {
    let mut victim = Victim::new();
    for (place, what) in [
        (3, "base offset, high"),
        (7, "base offset, low"),
        (9, "length, high"),
        (11, "length, low"),
        (16, "magic"),
        (17, "checksum"),
        (22, "attributes"),
        (26, "last offset delta"),
        (60, "record count"),
    ] {
        assert!(place < HEADER_BYTES as u64);
        eprintln!("flipping in {what}");
        victim.check(20, place, 1, true);
    }
}

#[test]
fn a_flipped_bit_in_the_leader_epoch_of_a_batch_is_not_served() {
    Victim::new().check(20, 15, 1, true);
}

#[test]
fn a_missing_segment_is_not_served_around() {
    let mut victim = Victim::new();
    let segment = victim.segments[1].clone();
    let aside = victim.broker.data().join("aside");
    fs::rename(&segment, &aside).expect("the segment can be moved");
    victim.broker.restart();
    let lost = victim.batches.iter().position(|batch| batch.2 == 1).expect("a batch");
    let mut client = victim.broker.client();
    let fetched = client.fetch(FetchAt::new("victim", 0, victim.batches[lost].0));
    assert!(OFFLINE.contains(&fetched.code), "{:?} with {} bytes", fetched.code, fetched.bytes.len());
    victim.assert_bystander_works();
    victim.broker.kill();
    fs::rename(&aside, &segment).expect("the segment can be moved back");
    victim.broker.restart();
    victim.assert_all_is_there("a segment away and back");
}

/// A folder that is said to be another topic's is not opened. What was known of it stays known until it is as it was,
/// through any number of starts and stops; or its topic is deleted, and one of its name can begin.
#[test]
fn a_partition_that_cannot_be_opened_loses_nothing_and_can_be_deleted() {
    let mut broker = Broker::start();
    broker.client().create_topic_with("t", 1, &[SMALL_SEGMENTS]).expect("the topic is made");
    fill(&broker, "t", 160);
    assert_eq!(broker.client().delete_records("t", 0, 300), Ok(300));
    broker.stop();
    let whose = broker.folder("t", 0).join("partition.metadata");
    let ours = fs::read(&whose).expect("the folder says whose it is");
    let other = "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAFA\n";
    fs::write(&whose, other).expect("it can be written");
    for _ in 0..2 {
        broker.restart();
        let refused = broker.client().produce("t", 0, &batch_of(&["x"]));
        assert!(OFFLINE.contains(&refused.code), "{:?}", refused.code);
        broker.stop();
    }
    fs::write(&whose, &ours).expect("it can be written");
    broker.restart();
    assert_eq!(broker.client().list_offset("t", 0, -2).0, 300, "deleted records are back");
    assert_eq!(broker.client().must_produce("t", 0, &batch_of(&["x"])), 640);

    broker.stop();
    fs::write(&whose, other).expect("it can be written");
    broker.restart();
    let mut client = broker.client();
    assert_eq!(client.delete_topic("t"), ErrorCode::None);
    wait_for("the topic is gone", Duration::from_secs(30), || client.create_topic_with("t", 1, &[]).ok());
    wait_for("a topic of the same name begins", Duration::from_secs(30), || {
        let produced = client.produce("t", 0, &batch_of(&["anew"]));
        (produced.code == ErrorCode::None && produced.base_offset == 0).then_some(())
    });
}
