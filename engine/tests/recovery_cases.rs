//! What the simulator found in recovery and at the start, each as the shortest story that shows it.

use std::{
    future::Future,
    path::{Path, PathBuf},
    pin::pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use engine::{
    Durability, LogConfig, OpenError, ReadError, ReadRange, SharedLog, Store, StoreOptions,
    disk::mem::{MemDisk, MemFile},
    index::IndexLimits,
    journal,
    recovery::Recovery,
};
use model::{
    LeaderEpoch, Offset, PartitionIndex, Timestamp, TopicId, TopicPartition,
    batch::record::{Producer, batch_of},
};
use rt::pages::PagePool;

const DATA: &str = "/data";
const ID: TopicPartition = TopicPartition { topic: TopicId([9; 16]), partition: PartitionIndex(0) };

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..1_000_000 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
    }
    panic!("it does not come to an end");
}

fn fresh() -> MemDisk {
    let disk = MemDisk::new(1);
    disk.put(&Path::new(DATA).join("meta.properties"), vec![]);
    disk
}

/// The process dies, the machine does not.
fn after_kill(disk: &MemDisk) -> MemDisk {
    let copy = fresh();
    for path in disk.files() {
        copy.put(&path, disk.contents(&path).expect("listed"));
    }
    copy
}

fn file(name: &str) -> PathBuf {
    Path::new(DATA).join("t-0").join(name)
}

struct Broker {
    store: Rc<Store<MemDisk>>,
    log: SharedLog<MemFile>,
}

/// Segments of three batches.
fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 3 * batch(0).len() as u64,
        index: IndexLimits { interval_bytes: 64, index_bytes_max: 1 << 12 },
        ..LogConfig::default()
    }
}

/// One record, at this time.
fn batch(time: i64) -> Vec<u8> {
    batch_of(0, time, Producer::NONE, &[&[b'v'; 1000]])
}

async fn store(disk: &MemDisk) -> Rc<Store<MemDisk>> {
    let options = StoreOptions {
        data_dir: DATA.into(),
        shard: 0,
        salt: disk.operations() + 1,
        journal_bytes_first: 1 << 20,
        journal_bytes_max: 1 << 20,
        cache_bytes_max: 1 << 20,
        checkpoint_ms: 0,
    };
    let (pages, journal) = (PagePool::new(64 << 20), PagePool::new(journal::POOL_BYTES));
    Store::start(disk.clone(), pages, journal, options).await.expect("a disk that works")
}

impl Broker {
    async fn start(disk: &MemDisk, config: LogConfig) -> Self {
        let recovery =
            Recovery::scan(disk.clone(), PagePool::new(64 << 20), Path::new(DATA)).await.expect("a scan");
        recovery.restore(ID, "t").await.expect("nothing is corrupt");
        let start = recovery.log_start(ID);
        recovery.finish().await.expect("a disk that works");
        let store = store(disk).await;
        let log = store.open_log(ID, "t", config, start, Timestamp(0)).await.expect("a whole log");
        Self { store, log }
    }

    fn append(&self, times: impl IntoIterator<Item = i64>, epoch: i32) {
        for time in times {
            let appended = self.store.append(&self.log, &batch(time), LeaderEpoch(epoch), Timestamp(0));
            appended.expect("there is room");
        }
    }

    async fn commit(&self) {
        while !self.store.is_idle() {
            self.store.commit().await.expect("a disk that works");
        }
    }

    /// Everything in synced segments.
    async fn checkpoint(&self) {
        self.store.maintain(Timestamp(1)).await;
    }

    async fn read(&self, from: i64) -> Result<usize, ReadError> {
        let until = self.log.ends().end;
        let range = ReadRange { from: Offset(from), until, bytes_max: 1 << 20, at_least_one: true };
        Ok(self.store.read(&self.log, range).await?.bytes)
    }

    fn span(&self) -> (i64, i64) {
        (self.log.ends().start.0, self.log.ends().end.0)
    }
}

/// The last block of a segment comes back into memory, and what is in memory is served as it is. It came back without a
/// look at its checksums if an index entry lay behind it.
#[test]
fn a_bit_that_flipped_in_the_last_block_is_not_served() {
    block_on(async {
        let disk = fresh();
        let wide = LogConfig { segment_bytes: 1 << 20, ..config() };
        let broker = Broker::start(&disk, wide).await;
        broker.append(0..3, 0);
        broker.store.close().await.expect("a disk that works");
        let log = file("00000000000000000000.log");
        // In the second batch: the third one has an index entry of its own.
        disk.flip(&log, batch(0).len() + 500, 1);
        let opened = store(&disk).await.open_log(ID, "t", wide, None, Timestamp(0)).await;
        assert!(matches!(opened.err(), Some(OpenError::Corrupt { .. })));
    });
}

/// Batches of a topic that is answered from memory never see the journal. The first one after its config changed did, and
/// the next start found a hole before it and refused the log.
#[test]
fn a_topic_that_becomes_durable_leaves_no_hole_in_the_journal() {
    block_on(async {
        let disk = fresh();
        let memory = LogConfig { durability: Durability::Memory, ..config() };
        let broker = Broker::start(&disk, memory).await;
        broker.append(0..2, 0);
        broker.log.set_config(config());
        broker.append(2..4, 0);
        broker.commit().await;
        assert_eq!(broker.log.ends().acknowledged, Offset(4));
        for seed in 0..20 {
            let broker = Broker::start(&disk.crash(seed), config()).await;
            assert_eq!(broker.span(), (0, 4), "seed {seed}");
            assert_eq!(broker.read(0).await.expect("whole"), 4 * batch(0).len());
        }
    });
}

/// The index files of a stop in order were taken for those of the whole segment, which was rolled later and whose files a
/// kill came before: a search by time went past what they did not know.
#[test]
fn index_files_older_than_their_segment_hide_nothing() {
    block_on(async {
        let disk = fresh();
        let broker = Broker::start(&disk, config()).await;
        broker.append([10], 0);
        broker.store.close().await.expect("a disk that works");
        let broker = Broker::start(&after_kill(&disk), config()).await;
        let disk = broker.store.disk().clone();
        broker.append([20, 30, 40], 0);
        broker.commit().await;
        let broker = Broker::start(&after_kill(&disk), config()).await;
        let found =
            broker.store.find_timestamp(&broker.log, Timestamp(25), Offset(4)).await.expect("readable");
        assert_eq!(found.map(|f| f.offset), Some(Offset(2)));
    });
}

/// Names become durable one by one. A cut that took the first segment's and left the second's made the log begin at the
/// second, and the journal's copy of the first was thrown away.
#[test]
fn the_journal_restores_a_segment_whose_name_is_lost() {
    block_on(async {
        let disk = fresh();
        let broker = Broker::start(&disk, config()).await;
        broker.append(0..5, 0);
        broker.commit().await;
        let killed = after_kill(&disk);
        let second = file("00000000000000000003.log");
        killed.put(&second, vec![0; 4096]);
        let broker = Broker::start(&killed, config()).await;
        assert_eq!(broker.span(), (0, 5));
        assert_eq!(broker.read(0).await.expect("whole"), 5 * batch(0).len());
    });
}

/// Segments below the start are gone, but not for good: their names came back with a hole behind them, which was taken for
/// corruption.
#[test]
fn deleted_segments_that_come_back_are_removed_again() {
    block_on(async {
        let disk = fresh();
        let broker = Broker::start(&disk, config()).await;
        broker.append(0..9, 0);
        broker.commit().await;
        broker.checkpoint().await;
        let first = file("00000000000000000000.log");
        let bytes = disk.contents(&first).expect("written");
        broker.store.delete_records(&broker.log, Offset(7)).await.expect("a disk that works");
        assert!(disk.contents(&first).is_none());
        let killed = after_kill(&disk);
        killed.put(&first, bytes);
        let broker = Broker::start(&killed, config()).await;
        assert_eq!(broker.span(), (7, 9));
        assert!(killed.contents(&first).is_none());
        assert_eq!(broker.read(7).await.expect("whole"), 2 * batch(0).len());
    });
}

/// A topic answered from memory may lose what was deleted, and more. The log then began below its start and gave the same
/// offsets again; the next start hid those behind the old start.
#[test]
fn a_log_shorter_than_its_start_begins_anew_at_its_start() {
    block_on(async {
        let disk = fresh();
        let memory = LogConfig { durability: Durability::Memory, ..config() };
        let broker = Broker::start(&disk, memory).await;
        broker.append(0..5, 0);
        broker.store.delete_records(&broker.log, Offset(4)).await.expect("a disk that works");
        let disk = after_kill(&disk);
        disk.put(&file("00000000000000000000.log"), batch(0));
        let broker = Broker::start(&disk, config()).await;
        assert_eq!(broker.span(), (4, 4));
        broker.append([7], 0);
        broker.commit().await;
        let broker = Broker::start(&after_kill(&disk), config()).await;
        assert_eq!(broker.span(), (4, 5));
        assert_eq!(broker.read(4).await.expect("whole"), batch(0).len());
    });
}

/// `2 167` cut to `2 1` reads well, and says of most of the log that it is of another epoch.
#[test]
fn epochs_cut_inside_their_last_number_are_not_believed() {
    let whole = b"0\n2\n0 0\n2 167\n";
    assert!(engine::epochs::EpochCache::read(whole).is_ok());
    for bytes in 0..whole.len() {
        assert!(engine::epochs::EpochCache::read(&whole[..bytes]).is_err(), "{bytes} bytes");
    }
}

/// A leader epoch lies outside its batch's checksum. Below the recovery point the epochs' file knows better.
#[test]
fn an_epoch_that_flipped_is_told() {
    block_on(async {
        let disk = fresh();
        let broker = Broker::start(&disk, config()).await;
        broker.append(0..2, 3);
        broker.commit().await;
        broker.checkpoint().await;
        for (n, at) in [12, batch(0).len() + 12].into_iter().enumerate() {
            let rotten = after_kill(&disk);
            rotten.flip(&file("00000000000000000000.log"), at + 3, 4);
            let recovery = Recovery::scan(rotten, PagePool::new(64 << 20), Path::new(DATA)).await;
            let restored = recovery.expect("a scan").restore(ID, "t").await;
            assert!(restored.is_err(), "batch {n}");
        }
    });
}

/// A log that lost its epochs' file reads them from its batches, from the log's start on, and writes that down. Recovery
/// took what the file said of the deleted offsets for the truth, and refused the batches that are still there.
#[test]
fn epochs_of_deleted_offsets_condemn_nothing() {
    block_on(async {
        let disk = fresh();
        let wide = LogConfig { segment_bytes: 1 << 20, ..config() };
        let broker = Broker::start(&disk, wide).await;
        broker.append(0..2, 0);
        broker.append(2..6, 1);
        broker.commit().await;
        broker.checkpoint().await;
        broker.store.delete_records(&broker.log, Offset(4)).await.expect("a disk that works");
        let killed = after_kill(&disk);
        killed.put(&file("leader-epoch-checkpoint"), b"0\n2\n0 0\n1 4\n".to_vec());
        let broker = Broker::start(&killed, wide).await;
        assert_eq!(broker.span(), (4, 6));
    });
}

/// A record count that flipped upwards seemed to reach beyond the reader's limit, which ended the read with nothing.
#[test]
fn a_flipped_record_count_does_not_end_reads() {
    block_on(async {
        let disk = fresh();
        let broker = Broker::start(&disk, config()).await;
        broker.append(0..4, 0);
        broker.store.close().await.expect("a disk that works");
        // Last offset delta of the first batch of a segment that is not the last one.
        disk.flip(&file("00000000000000000000.log"), 24, 1);
        let broker = Broker::start(&disk, config()).await;
        assert!(matches!(broker.read(0).await, Err(ReadError::Corrupt { .. })));
    });
}
