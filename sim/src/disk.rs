//! The memory disk behind a door that is slow, fails when asked to, keeps the trace, and can be told to lie: the checkers
//! must notice a disk that does not do what it says.

use std::{
    cell::{Cell, RefCell},
    io,
    path::{Path, PathBuf},
    rc::Rc,
};

use engine::disk::{
    Disk, Flush,
    mem::{MemDisk, MemFile},
};
use model::{Timestamp, batch::crc32c};
use rt::pages::Blocks;

use crate::{executor::Clock, random::Random, trace::Trace};

/// What a disk may say without doing it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lie {
    /// An honest disk.
    None,
    /// Durable writes are answered and left in the device's cache.
    DsyncIsNothing,
    /// fdatasync and syncfs are answered and do nothing.
    FlushIsNothing,
    /// One write, the n-th of the run, is answered and never happens.
    DropsWrite(u64),
    /// One read, the n-th of a run, comes back with a bit flipped.
    FlipsRead(u64),
    /// A small file that is replaced is not durable, as if it were written in place.
    ReplaceIsNotDurable,
    /// A flush that failed says so once, and the world is told that it went well.
    HidesFlushErrors,
}

/// What is to go wrong, honestly: the n-th operation of its kind from now on answers with an error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// A flush, a durable write, a replaced file: what it should have made durable may be gone.
    Flush(u64),
    /// A plain write, an allocation, a cut.
    Write(u64),
}

#[derive(Clone)]
pub struct SimDisk {
    inner: MemDisk,
    shared: Rc<Shared>,
}

#[derive(Clone)]
pub struct SimFile {
    inner: MemFile,
    path: Rc<Path>,
}

struct Shared {
    clock: Clock,
    trace: Trace,
    random: RefCell<Random>,
    lie: Lie,
    writes: Cell<u64>,
    reads: Cell<u64>,
    trouble: Cell<Option<Trouble>>,
    troubled: Cell<bool>,
    /// Reads that fail, in a thousand.
    read_errors: Cell<u64>,
    /// The longest an operation takes; 0: as fast as memory.
    latency_us: Cell<u64>,
}

impl SimDisk {
    pub fn new(seed: u64, clock: Clock, trace: Trace, lie: Lie) -> Self {
        let shared = Shared {
            clock,
            trace,
            random: RefCell::new(Random::stream(seed, "disk")),
            lie,
            writes: Cell::new(0),
            reads: Cell::new(0),
            trouble: Cell::new(None),
            troubled: Cell::new(false),
            read_errors: Cell::new(0),
            latency_us: Cell::new(0),
        };
        Self { inner: MemDisk::new(seed), shared: Rc::new(shared) }
    }

    /// The same world with another disk in it.
    pub fn with(&self, inner: MemDisk) -> Self {
        self.shared.trouble.set(None);
        self.shared.troubled.set(false);
        self.shared.read_errors.set(0);
        Self { inner, shared: self.shared.clone() }
    }

    pub fn mem(&self) -> &MemDisk {
        &self.inner
    }

    /// The process dies, the machine lives: whatever reached the kernel is there.
    pub fn as_after_kill(&self) -> Self {
        self.with(copy_of(&self.inner))
    }

    pub fn after_power_cut(&self) -> Self {
        let seed = self.shared.random.borrow_mut().next();
        self.with(self.inner.crash(seed))
    }

    pub fn set_trouble(&self, trouble: Trouble) {
        self.shared.trouble.set(Some(trouble));
    }

    pub fn clear_trouble(&self) {
        self.shared.trouble.set(None);
    }

    /// Has the trouble come?
    pub fn is_troubled(&self) -> bool {
        self.shared.troubled.get()
    }

    pub fn set_read_errors(&self, per_mille: u64) {
        self.shared.read_errors.set(per_mille);
    }

    pub fn set_latency_us(&self, latency_us: u64) {
        self.shared.latency_us.set(latency_us);
    }

    /// Leaves so much room, or all the room there is.
    pub fn set_room(&self, bytes: Option<usize>) {
        let used: usize =
            self.inner.files().iter().filter_map(|path| self.inner.contents(path)).map(|f| f.len()).sum();
        self.inner.set_capacity(bytes.map_or(usize::MAX, |room| used + room));
    }

    async fn step(&self, operation: &str, path: &Path, words: &[u64]) {
        let latency = self.shared.latency_us.get();
        if latency > 0 {
            let us = self.shared.random.borrow_mut().below(latency);
            self.shared.clock.sleep_us(us).await;
        }
        self.inner.set_now(self.shared.clock.now());
        self.shared.trace.note(operation, &[self.shared.clock.now_us()]);
        self.shared.trace.note(&path.to_string_lossy(), words);
    }

    /// Counts down to the trouble; is it here?
    fn trouble_is_here(&self, durable: bool) -> bool {
        let next = match (self.shared.trouble.get(), durable) {
            (Some(Trouble::Flush(0)), true) | (Some(Trouble::Write(0)), false) => {
                self.shared.troubled.set(true);
                self.shared.trouble.set(None);
                return true;
            }
            (Some(Trouble::Flush(n)), true) => Some(Trouble::Flush(n - 1)),
            (Some(Trouble::Write(n)), false) => Some(Trouble::Write(n - 1)),
            (other, _) => other,
        };
        self.shared.trouble.set(next);
        false
    }

    fn flush_trouble(&self) -> io::Result<()> {
        if !self.trouble_is_here(true) || self.shared.lie == Lie::HidesFlushErrors {
            return Ok(());
        }
        Err(io::Error::other("the device could not flush"))
    }

    fn write_trouble(&self) -> io::Result<()> {
        if self.trouble_is_here(false) { Err(io::Error::other("the device could not write")) } else { Ok(()) }
    }

    fn read_trouble(&self) -> io::Result<()> {
        let fails = self.shared.random.borrow_mut().below(1000) < self.shared.read_errors.get();
        if fails { Err(io::Error::other("the device could not read")) } else { Ok(()) }
    }

    fn counted(&self, counter: impl Fn(&Shared) -> &Cell<u64>) -> u64 {
        let counter = counter(&self.shared);
        counter.set(counter.get() + 1);
        counter.get()
    }
}

/// Another disk with the same files, all of them settled.
pub fn copy_of(disk: &MemDisk) -> MemDisk {
    let copy = MemDisk::new(7);
    for path in disk.files() {
        copy.put(&path, disk.contents(&path).expect("listed"));
    }
    copy
}

/// A number for what is written.
fn sum_of(from: &[Blocks]) -> (u64, u64) {
    let (mut bytes, mut sum) = (0, 0);
    for blocks in from {
        let mut copy = vec![0; blocks.len()];
        blocks.copy_to(&mut copy);
        bytes += copy.len() as u64;
        sum = sum << 1 ^ u64::from(crc32c(&copy));
    }
    (bytes, sum)
}

impl Disk for SimDisk {
    type File = SimFile;

    async fn open(&self, path: &Path, create: bool) -> io::Result<SimFile> {
        self.step("open", path, &[create.into()]).await;
        Ok(SimFile { inner: self.inner.open(path, create).await?, path: path.into() })
    }

    async fn file_bytes(&self, file: &SimFile) -> io::Result<u64> {
        self.inner.file_bytes(&file.inner).await
    }

    async fn read(&self, file: &SimFile, at: u64, into: Blocks) -> io::Result<usize> {
        self.step("read", &file.path, &[at, into.len() as u64]).await;
        self.read_trouble()?;
        let got = self.inner.read(&file.inner, at, into.clone()).await?;
        let read = self.counted(|s| &s.reads);
        if got > 0 && self.shared.lie == Lie::FlipsRead(read) {
            let mut bytes = vec![0; into.len()];
            into.copy_to(&mut bytes);
            let bit = self.shared.random.borrow_mut().index(got * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            into.fill_from(&bytes[..got]);
        }
        Ok(got)
    }

    async fn write(&self, file: &SimFile, at: u64, from: Vec<Blocks>, flush: Flush) -> io::Result<()> {
        let (bytes, sum) = sum_of(&from);
        self.step("write", &file.path, &[at, bytes, sum, (flush == Flush::Dsync).into()]).await;
        if self.shared.lie == Lie::DropsWrite(self.counted(|s| &s.writes)) {
            return Ok(());
        }
        match flush {
            Flush::No => self.write_trouble()?,
            Flush::Dsync => {
                if let Err(error) = self.flush_trouble() {
                    // It may have arrived, or not, or in part.
                    if self.shared.random.borrow_mut().one_in(2) {
                        self.inner.write(&file.inner, at, from, Flush::No).await?;
                    }
                    return Err(error);
                }
            }
        }
        let flush = if self.shared.lie == Lie::DsyncIsNothing { Flush::No } else { flush };
        self.inner.write(&file.inner, at, from, flush).await
    }

    async fn flush(&self, file: &SimFile) -> io::Result<()> {
        self.step("flush", &file.path, &[]).await;
        let hides = self.shared.lie == Lie::HidesFlushErrors;
        if self.trouble_is_here(true) {
            self.inner.fail_next_flush();
        }
        if self.shared.lie == Lie::FlushIsNothing {
            return Ok(());
        }
        let flushed = self.inner.flush(&file.inner).await;
        if hides { Ok(()) } else { flushed }
    }

    async fn flush_everything(&self, anchor: &SimFile) -> io::Result<()> {
        self.step("flush everything", &anchor.path, &[]).await;
        self.flush_trouble()?;
        if self.shared.lie == Lie::FlushIsNothing {
            return Ok(());
        }
        self.inner.flush_everything(&anchor.inner).await
    }

    async fn allocate(&self, file: &SimFile, from: u64, bytes: u64) -> io::Result<()> {
        self.step("allocate", &file.path, &[from, bytes]).await;
        self.write_trouble()?;
        self.inner.allocate(&file.inner, from, bytes).await
    }

    async fn truncate(&self, file: &SimFile, bytes: u64) -> io::Result<()> {
        self.step("truncate", &file.path, &[bytes]).await;
        self.write_trouble()?;
        self.inner.truncate(&file.inner, bytes).await
    }

    async fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.step("create dir", path, &[]).await;
        self.inner.create_dir(path).await
    }

    async fn flush_dir(&self, path: &Path) -> io::Result<()> {
        self.step("flush dir", path, &[]).await;
        self.flush_trouble()?;
        self.inner.flush_dir(path).await
    }

    async fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.step("list", path, &[]).await;
        self.inner.list(path).await
    }

    async fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step("rename", from, &[u64::from(crc32c(to.as_os_str().as_encoded_bytes()))]).await;
        self.inner.rename(from, to).await
    }

    async fn remove(&self, path: &Path) -> io::Result<()> {
        self.step("remove", path, &[]).await;
        self.inner.remove(path).await
    }

    async fn remove_aside(&self, path: &Path) -> io::Result<()> {
        self.step("remove aside", path, &[]).await;
        self.inner.remove_aside(path).await
    }

    async fn modified(&self, path: &Path) -> io::Result<Timestamp> {
        self.step("modified", path, &[]).await;
        self.inner.modified(path).await
    }

    async fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.step("remove dir", path, &[]).await;
        self.inner.remove_dir_all(path).await
    }

    async fn read_small(&self, path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
        self.step("read small", path, &[]).await;
        self.read_trouble()?;
        self.inner.read_small(path, bytes_max).await
    }

    /// As the real disk does it: a new file beside the old one first, which wants room.
    async fn replace_small(&self, path: &Path, bytes: Vec<u8>) -> io::Result<()> {
        self.step("replace", path, &[u64::from(crc32c(&bytes))]).await;
        self.flush_trouble()?;
        if self.shared.lie == Lie::ReplaceIsNotDurable {
            return self.inner.write_small(path, bytes).await;
        }
        let mut beside = path.as_os_str().to_owned();
        beside.push(".tmp");
        let beside = PathBuf::from(beside);
        self.inner.write_small(&beside, bytes.clone()).await?;
        self.inner.replace_small(path, bytes).await?;
        self.inner.remove(&beside).await
    }

    async fn write_small(&self, path: &Path, bytes: Vec<u8>) -> io::Result<()> {
        self.step("write small", path, &[u64::from(crc32c(&bytes))]).await;
        self.write_trouble()?;
        self.inner.write_small(path, bytes).await
    }
}
