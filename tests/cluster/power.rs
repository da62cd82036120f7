//! The power of all machines fails at once. Each broker has a file system of its own, and all are shut down at the same
//! moment as the kernel does it for such tests: what was neither flushed nor in the file system's journal is gone.

use std::{
    env,
    fs::{self, File},
    io,
    os::fd::AsRawFd,
    path::PathBuf,
    sync::Barrier,
    thread,
    time::Duration,
};

use crate::{
    ballast::Ballast,
    broker::{Random, Scratch, scratch::FileSystem, skip},
    cluster::Ground,
    run::Run,
};

/// Of an image that takes room only for what is written.
const DISK_BYTES: u64 = 1 << 30;
/// For each of three partitions, before each cut.
const BALLAST_BYTES: usize = 4 << 20;
/// Between two cuts.
const LIFE_MS_MAX: u64 = 4_000;
/// FS_IOC_SHUTDOWN, `_IOR('X', 125, __u32)`, of ext4 and XFS alike.
const SHUTDOWN: u64 = 0x8004_587d;
/// FS_SHUTDOWN_FLAGS_NOLOGFLUSH: not even what the file system has in its own journal's buffers is saved.
const NOTHING_IS_SAVED: u32 = 2;

/// Brokers 1 to 3, each on a disk of its own.
struct Disks {
    scratch: Scratch,
    kinds: [FileSystem; 3],
}

impl Disks {
    /// Two sorts of them, where both can be made.
    fn new() -> Result<Self, String> {
        let mut scratch = Scratch::new();
        let kinds = [FileSystem::Ext4, FileSystem::Xfs, FileSystem::Ext4];
        for (id, kind) in (1..).zip(kinds) {
            scratch.file_system(&Self::name(id), kind, DISK_BYTES)?;
        }
        Ok(Self { scratch, kinds })
    }

    fn name(id: i32) -> String {
        format!("disk-{id}")
    }

    fn place(&self, id: i32) -> PathBuf {
        self.scratch.path().join(Self::name(id))
    }

    /// Whether the cut is one: of files that nobody flushed before it, not all are left after it.
    fn write_unflushed(&self, round: u64) {
        for id in 1..=3 {
            fs::write(self.unflushed(id, round), [0x5a; 4096]).expect("there is room");
        }
    }

    fn unflushed(&self, id: i32, round: u64) -> PathBuf {
        self.place(id).join(format!("unflushed-{round}"))
    }

    #[track_caller]
    fn assert_unflushed_is_lost(&self, round: u64) {
        let is_whole =
            |id: &i32| fs::read(self.unflushed(*id, round)).is_ok_and(|bytes| bytes == [0x5a; 4096]);
        // A broker may have had its whole file system flushed in the moment before.
        let kept = (1..=3).filter(is_whole).count();
        assert!(kept < 3, "the file systems lost nothing, so nothing is shown");
    }

    fn cut_all(&self) {
        let together = Barrier::new(3);
        thread::scope(|scope| {
            for id in 1..=3 {
                let (place, together) = (self.place(id), &together);
                scope.spawn(move || {
                    let directory = File::open(&place).expect("it is mounted");
                    together.wait();
                    shut_down(&directory).unwrap_or_else(|error| panic!("{}: {error}", place.display()));
                });
            }
        });
    }

    fn repair_all(&mut self) {
        for (id, kind) in (1..).zip(self.kinds) {
            self.scratch.mount_again(&Self::name(id), kind);
        }
    }
}

/// All that the file system has not written yet is lost, and whoever uses it from now on is told EIO.
#[expect(unsafe_code, reason = "no library knows this call")]
fn shut_down(directory: &File) -> io::Result<()> {
    let flags = NOTHING_IS_SAVED;
    // SAFETY: the call reads one u32 behind the pointer and keeps nothing.
    let status = unsafe { libc::ioctl(directory.as_raw_fd(), SHUTDOWN, &raw const flags) };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// `POWER_CUTS=20` for more of them, one after the other on the same disks.
#[test]
fn power_cuts_of_all_brokers_at_once_lose_nothing() {
    let mut disks = match Disks::new() {
        Ok(disks) => disks,
        Err(why) => return skip(&format!("no file systems can be mounted here ({why})")),
    };
    let rounds: u64 =
        env::var("POWER_CUTS").map_or(1, |count| count.parse().expect("POWER_CUTS is a number"));
    let mut random = Random(u64::from(std::process::id()));
    println!("seed {}", random.0);
    let data = (1..=3).map(|id| (id, disks.place(id).join("data"))).collect();
    // Segments so short that there are names, sizes and indexes to lose.
    let options = vec!["log.segment.bytes=1048576".to_owned()];
    let mut run = Run::start_on(Ground { data, options, ..Ground::default() });
    for round in 1..=rounds {
        let _ballast = Ballast::start(&run.cluster, BALLAST_BYTES);
        thread::sleep(Duration::from_millis(random.below(LIFE_MS_MAX)));
        run.wait_for_progress();
        let before = run.load.shared.acknowledged();
        disks.write_unflushed(round);
        disks.cut_all();
        for id in [1, 2, 3] {
            run.cluster.kill(id);
        }
        disks.repair_all();
        disks.assert_unflushed_is_lost(round);
        run.cluster.start_all(&[1, 2, 3]);
        run.wait_for_progress();
        run.wait_until_in_sync();
        println!("power cut {round} of {rounds}: {before} records were acknowledged before it");
    }
    run.end();
}
