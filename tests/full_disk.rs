//! A disk that is full: produce is refused, reads go on, and with room again all goes on, without a restart.

mod broker;

use std::{fs, path::Path, time::Duration};

use broker::{Broker, Launch, Random, Scratch, batch_of, skip, wait_for};
use model::ErrorCode;

const DISK_BYTES: u64 = 192 << 20;
const BALLAST_BYTES: u64 = 48 << 20;
const VALUE_BYTES: usize = 60_000;
const PARTITIONS: i32 = 4;

/// Values that are all different, and long.
fn value(random: &mut Random, n: usize) -> String {
    let mut value = format!("{n} ");
    while value.len() < VALUE_BYTES {
        value.push_str(&format!("{:016x}", random.number()));
    }
    value
}

fn assert_all_there(broker: &Broker, acknowledged: &[Vec<String>], maybe: &[Vec<String>], when: &str) {
    let mut client = broker.client();
    for (partition, expected) in (0..).zip(acknowledged) {
        let values = client.values("t", partition);
        let mut there = values.iter().peekable();
        for (place, expected) in expected.iter().enumerate() {
            // What was refused may be there all the same: the answer only says that nobody can count on it.
            while there
                .next_if(|value| *value != expected && maybe[partition as usize].contains(value))
                .is_some()
            {}
            assert!(
                there.next() == Some(expected),
                "{when}: value {place} of partition {partition} is missing"
            );
        }
        let surplus = there.filter(|value| !maybe[partition as usize].contains(value)).count();
        assert_eq!(surplus, 0, "{when}: partition {partition} has values that nobody sent");
    }
}

fn write_ballast(path: &Path) {
    fs::write(path, vec![0x5a; BALLAST_BYTES as usize]).expect("there is room for the ballast");
}

#[test]
fn a_full_disk_refuses_records_until_there_is_room() {
    let mut scratch = Scratch::new();
    let disk = match scratch.small_file_system(DISK_BYTES) {
        Ok(disk) => disk,
        Err(why) => return skip(&format!("no small file system can be mounted here ({why})")),
    };
    let ballast = disk.join("ballast");
    write_ballast(&ballast);
    let mut broker = Broker::start_at(Launch::new(&disk.join("data")));
    let mut client = broker.client();
    client.create_topic("t", PARTITIONS);
    let mut random = Random(0xf011);
    let mut acknowledged = vec![Vec::new(); PARTITIONS as usize];
    let mut refused = vec![Vec::new(); PARTITIONS as usize];

    let mut n = 0;
    let limit = (4 * DISK_BYTES) as usize / VALUE_BYTES;
    let code = loop {
        assert!(n < limit, "{n} records of {VALUE_BYTES} bytes went into a disk of {DISK_BYTES}");
        let (partition, value) = (n % PARTITIONS as usize, value(&mut random, n));
        let produced = client.produce("t", partition as i32, &batch_of(&[&value]));
        n += 1;
        match produced.code {
            ErrorCode::None => acknowledged[partition].push(value),
            code => {
                refused[partition].push(value);
                break code;
            }
        }
    };
    assert_eq!(code, ErrorCode::KafkaStorageError);
    let written: usize = acknowledged.iter().map(Vec::len).sum();
    eprintln!("full after {written} records of {VALUE_BYTES} bytes");
    assert!(written > 100, "full after {written} records: the test is too weak");
    assert!(broker.is_running());
    assert_all_there(&broker, &acknowledged, &refused, "while full");
    assert_eq!(client.topic("t").expect("metadata is there").partitions, PARTITIONS as usize);

    fs::remove_file(&ballast).expect("the ballast goes");
    let first = wait_for("there is room, so produce goes on", Duration::from_secs(60), || {
        let text = value(&mut random, n);
        n += 1;
        let produced = client.produce("t", 0, &batch_of(&[&text]));
        match produced.code {
            ErrorCode::None => Some(text),
            code => {
                assert_eq!(code, ErrorCode::KafkaStorageError);
                refused[0].push(text);
                None
            }
        }
    });
    acknowledged[0].push(first);
    for _ in 0..50 {
        let (partition, value) = (n % PARTITIONS as usize, value(&mut random, n));
        // Each shard notices the room by itself.
        wait_for("there is room for every partition", Duration::from_secs(10), || {
            let produced = client.produce("t", partition as i32, &batch_of(&[&value]));
            (produced.code == ErrorCode::None).then_some(())
        });
        acknowledged[partition].push(value);
        n += 1;
    }
    assert_all_there(&broker, &acknowledged, &refused, "with room again");
    broker.kill();
    broker.restart();
    assert_all_there(&broker, &acknowledged, &refused, "after a crash");
    broker.stop();
    broker.restart();
    assert_all_there(&broker, &acknowledged, &refused, "after a stop in order");
}

/// The crash comes while the disk is full. The next start has no room either: it serves what is there, or says in one
/// sentence that it needs room; with room, everything acknowledged is there.
#[test]
fn a_crash_on_a_full_disk_loses_nothing() {
    let mut scratch = Scratch::new();
    let disk = match scratch.small_file_system(DISK_BYTES) {
        Ok(disk) => disk,
        Err(why) => return skip(&format!("no small file system can be mounted here ({why})")),
    };
    let ballast = disk.join("ballast");
    write_ballast(&ballast);
    let mut broker = Broker::start_at(Launch::new(&disk.join("data")));
    let mut client = broker.client();
    client.create_topic("t", PARTITIONS);
    let mut random = Random(0xf012);
    let mut acknowledged = vec![Vec::new(); PARTITIONS as usize];
    let mut refused = vec![Vec::new(); PARTITIONS as usize];
    let limit = (4 * DISK_BYTES) as usize / VALUE_BYTES;
    for n in 0..limit {
        let (partition, value) = (n % PARTITIONS as usize, value(&mut random, n));
        let produced = client.produce("t", partition as i32, &batch_of(&[&value]));
        match produced.code {
            ErrorCode::None => acknowledged[partition].push(value),
            _ => {
                refused[partition].push(value);
                break;
            }
        }
    }
    assert!(refused.iter().any(|values| !values.is_empty()), "the disk did not fill");
    broker.kill();
    broker.spawn();
    // Served or refused, but not hanging.
    let address = broker.address();
    let served = wait_for("the start has an outcome", broker::PATIENCE, || {
        let served = broker::Client::try_connect(&address).and_then(|mut client| client.api_versions().ok());
        if served.is_some() { Some(true) } else { (!broker.is_running()).then_some(false) }
    });
    if served {
        assert_all_there(&broker, &acknowledged, &refused, "started while full");
        broker.kill();
    } else {
        let status = broker.wait_for_exit(broker::PATIENCE);
        assert_eq!(status.code(), Some(1), "{}", broker.said());
    }
    fs::remove_file(&ballast).expect("the ballast goes");
    broker.restart();
    assert_all_there(&broker, &acknowledged, &refused, "with room");
}
