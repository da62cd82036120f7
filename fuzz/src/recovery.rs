//! A data directory that anything may have happened to. Recovery reads its journals and segments and makes it whole or
//! refuses it, and then the production engine opens, reads and goes on:
//!
//! - nothing panics, hangs, or asks for memory because a length says so;
//! - what is refused stays refused, and what was made whole stays as it is: a second recovery changes nothing;
//! - readers get whole batches with right checksums and rising offsets, or an error;
//! - a log that was opened takes new records, and has them after the next recovery.
//!
//! Nobody can say what *should* be in such a directory: that what was acknowledged is there is shown by the simulator.

use std::{
    future::Future,
    path::{Path, PathBuf},
    pin::pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use engine::{
    LogConfig, ReadRange, SharedLog, Store, StoreOptions,
    disk::mem::{MemDisk, MemFile},
    index::IndexLimits,
    journal,
    recovery::{Recovery, RecoveryError},
};
use model::{
    BatchView, LeaderEpoch, Offset, Timestamp,
    batch::record::{Producer, batch_of},
};
use rt::pages::PagePool;

pub mod image;

use super::input::Input;
use image::{DATA, PARTITIONS, TOPIC, id};

const POLLS_MAX: usize = 20_000_000;
const POOL_BYTES: usize = 96 << 20;

type MemLog = SharedLog<MemFile>;

pub fn run(bytes: &[u8]) {
    let disk = disk_of(bytes);
    let first = block_on(recover(&disk));
    let once = data_files(&disk);
    let second = block_on(recover(&disk));
    match (first, second) {
        (Err(why), Ok(_)) => panic!("refused ({why}), then taken"),
        (Ok(_), Err(why)) => panic!("made whole, then refused: {why}"),
        (Err(_), Err(_)) => {}
        (Ok(starts), Ok(_)) => {
            unchanged(&once, &data_files(&disk));
            block_on(go_on(&disk, starts));
        }
    }
}

fn disk_of(bytes: &[u8]) -> MemDisk {
    let disk = MemDisk::new(1);
    disk.put(&Path::new(DATA).join("meta.properties"), vec![]);
    for (path, content) in image::build(Input::new(bytes)) {
        disk.put(&path, content);
    }
    disk
}

/// For whoever looks at an input: its files, and what two recoveries make of each partition.
pub fn show(bytes: &[u8]) -> String {
    let disk = disk_of(bytes);
    let mut text = String::new();
    for (path, content) in image::build(Input::new(bytes)) {
        text += &format!("{} {} bytes\n", path.display(), content.len());
    }
    for _ in 0..2 {
        for partition in 0..PARTITIONS {
            let restored = block_on(async {
                let recovery =
                    Recovery::scan(disk.clone(), PagePool::new(POOL_BYTES), Path::new(DATA)).await?;
                recovery.restore(id(partition), TOPIC).await
            });
            text += &format!("partition {partition}: {restored:?}\n");
        }
    }
    text
}

/// Polls until it is done: memory disks wake whom they keep waiting.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut cx = Context::from_waker(Waker::noop());
    let mut future = pin!(future);
    for _ in 0..POLLS_MAX {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
    }
    panic!("it never ends");
}

/// Where each log begins, if its first records were deleted.
type Starts = [Option<Offset>; PARTITIONS];

async fn recover(disk: &MemDisk) -> Result<Starts, RecoveryError> {
    let recovery = Recovery::scan(disk.clone(), PagePool::new(POOL_BYTES), Path::new(DATA)).await?;
    for partition in 0..PARTITIONS {
        recovery.restore(id(partition), TOPIC).await?;
    }
    recovery.sweep().await?;
    let starts = std::array::from_fn(|partition| recovery.log_start(id(partition)));
    recovery.finish().await?;
    Ok(starts)
}

fn data_files(disk: &MemDisk) -> image::Files {
    let data = |path: &PathBuf| !path.starts_with(Path::new(DATA).join("journal"));
    let content = |path: &PathBuf| disk.contents(path).expect("listed");
    disk.files().iter().filter(|path| data(path)).map(|path| (path.clone(), content(path))).collect()
}

fn unchanged(once: &image::Files, twice: &image::Files) {
    for (path, bytes) in once {
        let Some(now) = twice.get(path) else { panic!("a second recovery has removed {}", path.display()) };
        let same = bytes.iter().zip(now).take_while(|(a, b)| a == b).count();
        let (had, has) = (bytes.len(), now.len());
        assert!(
            bytes == now,
            "a second recovery has changed {} at {same}: {had} bytes, then {has}",
            path.display()
        );
    }
    assert_eq!(once.len(), twice.len(), "a second recovery has made files");
}

async fn start(disk: &MemDisk) -> Rc<Store<MemDisk>> {
    let options = StoreOptions {
        data_dir: DATA.into(),
        shard: 0,
        salt: 0xfeed,
        journal_bytes_first: 64 << 10,
        journal_bytes_max: 64 << 10,
        cache_bytes_max: 1 << 20,
        checkpoint_ms: 400,
    };
    let journal_pages = PagePool::new(journal::POOL_BYTES);
    Store::start(disk.clone(), PagePool::new(POOL_BYTES), journal_pages, options)
        .await
        .expect("the disk is well")
}

fn config() -> LogConfig {
    let index = IndexLimits { interval_bytes: 64, index_bytes_max: 1 << 12 };
    LogConfig { segment_bytes: 64 << 10, index, ..LogConfig::default() }
}

/// Opens and reads what recovery left, appends to it, and finds all of it again.
async fn go_on(disk: &MemDisk, starts: Starts) {
    let mut kept: [Option<Vec<Vec<u8>>>; PARTITIONS] = Default::default();
    {
        let store = start(disk).await;
        for (partition, kept) in kept.iter_mut().enumerate() {
            let opened =
                store.open_log(id(partition), TOPIC, config(), starts[partition], Timestamp(0)).await;
            let Ok(log) = opened else { continue };
            let Some(mut batches) = read_all(&store, &log).await else { continue };
            let _ = store.find_timestamp(&log, Timestamp(9), log.ends().end).await;
            let _ = store.find_max_timestamp(&log, log.ends().end).await;
            let _ = log.end_offset_for(LeaderEpoch(0));
            if let Some(batch) = append(&store, &log).await {
                batches.push(batch);
            }
            *kept = Some(batches);
        }
        // The power goes.
    }
    let after = disk.crash(3);
    let starts = recover(&after).await.expect("what was made whole stays whole");
    let store = start(&after).await;
    for (partition, kept) in kept.into_iter().enumerate() {
        let Some(kept) = kept else { continue };
        let opened = store.open_log(id(partition), TOPIC, config(), starts[partition], Timestamp(0)).await;
        let log = opened.unwrap_or_else(|why| panic!("partition {partition} was open once: {why}"));
        let found = read_all(&store, &log).await.expect("it was read once");
        assert!(found == kept, "partition {partition} had {} batches and has {}", kept.len(), found.len());
    }
}

/// All batches, or `None` when the log says that it cannot be read.
async fn read_all(store: &Store<MemDisk>, log: &MemLog) -> Option<Vec<Vec<u8>>> {
    let mut batches = vec![];
    let (mut from, end) = (log.ends().start, log.ends().end);
    let mut next = Offset(i64::MIN);
    while from < end {
        let range = ReadRange { from, until: end, bytes_max: 10 << 10, at_least_one: true };
        let read = store.read(log, range).await.ok()?;
        let bytes: Vec<u8> = read.slices.iter().flat_map(|s| s.to_vec()).collect();
        assert_eq!(bytes.len(), read.bytes);
        if bytes.is_empty() {
            // Offsets that no batch has, as compaction leaves them: only behind the last batch.
            break;
        }
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let view = BatchView::check(rest).expect("a reader gets whole batches");
            assert!(view.header().base_offset() >= next, "offsets rise");
            assert!(view.header().next_offset() > from, "a reader moves on");
            next = view.header().next_offset();
            from = next;
            batches.push(view.bytes().to_vec());
            rest = &rest[view.bytes().len()..];
        }
    }
    Some(batches)
}

async fn append(store: &Store<MemDisk>, log: &MemLog) -> Option<Vec<u8>> {
    let mut batch = batch_of(0, 1000, Producer::NONE, &[b"after"]);
    let appended = store.append(log, &batch, LeaderEpoch(9), Timestamp(1)).ok()?;
    store.commit().await.expect("the disk is well");
    assert!(log.ends().acknowledged >= appended.next_offset);
    engine::records::stamp(&mut batch, appended.base_offset, LeaderEpoch(9));
    Some(batch)
}
