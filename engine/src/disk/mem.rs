//! A disk in memory that is as cruel as the real ones were seen to be, for tests and the simulator.
//!
//! Every file has a durable image and a list of what was written since. `crash` keeps, drops or tears each 512-byte
//! sector of what was not flushed, and each name that was not flushed with its directory; of a durable name that was changed
//! into another, one of the two. From the operation chosen by `fail_at` on everything fails, so that a test can crash at
//! each of them in turn.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    future::poll_fn,
    io,
    path::{Path, PathBuf},
    rc::Rc,
    task::Poll,
};

use rt::pages::Blocks;

use super::{Disk, Flush};

const SECTOR: usize = 512;

#[derive(Clone)]
pub struct MemDisk(Rc<RefCell<World>>);

#[derive(Clone)]
pub struct MemFile(Rc<RefCell<Node>>);

#[derive(Default)]
struct Node {
    durable: Vec<u8>,
    live: Vec<u8>,
    /// Written since the last flush, with its place.
    pending: Vec<(usize, Vec<u8>)>,
}

#[derive(Clone)]
enum Entry {
    File(MemFile),
    Dir,
}

type Names = BTreeMap<PathBuf, Entry>;

struct World {
    live: Names,
    durable: Names,
    /// Renamed and not flushed since, from what to what.
    renamed: Vec<(PathBuf, PathBuf)>,
    random: u64,
    operations: u64,
    fail_at: Option<u64>,
    /// Bytes that all files together may have.
    capacity: usize,
    /// The next flush fails, and what it should have flushed is lost although later flushes succeed.
    flush_fails: bool,
}

impl MemDisk {
    pub fn new(seed: u64) -> Self {
        Self::of(Names::new(), seed, usize::MAX)
    }

    fn of(names: Names, random: u64, capacity: usize) -> Self {
        Self(Rc::new(RefCell::new(World {
            live: names.clone(),
            durable: names,
            renamed: Vec::new(),
            random: random | 1,
            operations: 0,
            fail_at: None,
            capacity,
            flush_fails: false,
        })))
    }

    /// Operations so far: the upper end of `fail_at` for a test that crashes at each one.
    pub fn operations(&self) -> u64 {
        self.0.borrow().operations
    }

    /// The operation with this number and all later ones fail; a write among them may arrive in part.
    pub fn fail_at(&self, operation: Option<u64>) {
        self.0.borrow_mut().fail_at = operation;
    }

    pub fn set_capacity(&self, bytes: usize) {
        self.0.borrow_mut().capacity = bytes;
    }

    pub fn fail_next_flush(&self) {
        self.0.borrow_mut().flush_fails = true;
    }

    /// The power goes: what a restart would find. Nothing opened before may be used again.
    pub fn crash(&self, seed: u64) -> Self {
        let world = self.0.borrow();
        let mut random = seed | 1;
        let (mut names, decided) = world.renames_after_crash(&mut random);
        let undecided = |(path, _): &(&PathBuf, &Entry)| !decided.contains(*path);
        for (path, entry) in world.durable.iter().chain(&world.live).filter(undecided) {
            let settled = world.durable.contains_key(path) == world.live.contains_key(path);
            if (settled || next(&mut random).is_multiple_of(2)) && !names.contains_key(path) {
                names.insert(path.clone(), entry.clone());
            }
        }
        let found: Names = names
            .iter()
            .filter(|(path, _)| path.ancestors().skip(1).all(|dir| is_root(dir) || names.contains_key(dir)))
            .map(|(path, entry)| (path.clone(), entry.after_crash(&mut random)))
            .collect();
        Self::of(found, random, world.capacity)
    }

    /// Changes a byte behind everybody's back, a durable one too: rot.
    pub fn flip(&self, path: &Path, at: usize, mask: u8) {
        let file = self.file(path).expect("the file to flip is there");
        let mut node = file.0.borrow_mut();
        node.live[at] ^= mask;
        if let Some(byte) = node.durable.get_mut(at) {
            *byte ^= mask;
        }
    }

    /// A file as it is now.
    pub fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        self.file(path).ok().map(|file| file.0.borrow().live.clone())
    }

    /// A file that has always been there, and its folders.
    pub fn put(&self, path: &Path, bytes: Vec<u8>) {
        let mut world = self.0.borrow_mut();
        for dir in path.ancestors().skip(1).filter(|dir| !is_root(dir)) {
            world.live.insert(dir.to_owned(), Entry::Dir);
            world.durable.insert(dir.to_owned(), Entry::Dir);
        }
        let entry = Entry::settled(bytes);
        world.live.insert(path.to_owned(), entry.clone());
        world.durable.insert(path.to_owned(), entry);
    }

    pub fn files(&self) -> Vec<PathBuf> {
        let world = self.0.borrow();
        world.live.iter().filter(|(_, e)| matches!(e, Entry::File(_))).map(|(p, _)| p.clone()).collect()
    }

    /// Counts an operation, lets others run first, and fails from the chosen one on.
    async fn step(&self) -> io::Result<()> {
        let mut turns = next(&mut self.0.borrow_mut().random) % 3;
        poll_fn(|cx| {
            if turns == 0 {
                return Poll::Ready(());
            }
            turns -= 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        let mut world = self.0.borrow_mut();
        world.operations += 1;
        match world.fail_at {
            Some(at) if world.operations >= at => Err(io::Error::other("the power is gone")),
            _ => Ok(()),
        }
    }

    fn room_for(&self, grows: usize) -> io::Result<()> {
        let world = self.0.borrow();
        let bytes = |entry: &Entry| match entry {
            Entry::File(file) => file.0.borrow().live.len(),
            Entry::Dir => 0,
        };
        let used: usize = world.live.values().map(bytes).sum();
        if used.saturating_add(grows) > world.capacity {
            Err(io::ErrorKind::StorageFull.into())
        } else {
            Ok(())
        }
    }

    fn file(&self, path: &Path) -> io::Result<MemFile> {
        match self.0.borrow().live.get(path) {
            Some(Entry::File(file)) => Ok(file.clone()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn need_dir_of(&self, path: &Path) -> io::Result<()> {
        let dir = path.parent().unwrap_or(Path::new(""));
        let there = is_root(dir) || self.0.borrow().live.contains_key(dir);
        if there { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn create(&self, path: &Path) -> io::Result<MemFile> {
        self.need_dir_of(path)?;
        let file = MemFile(Rc::default());
        self.0.borrow_mut().live.insert(path.to_owned(), Entry::File(file.clone()));
        Ok(file)
    }
}

impl World {
    /// A file has its old name or its new one, never both and never none, and with the old one what had the new name before
    /// is there. Answers what has which name, and which names that decides.
    fn renames_after_crash(&self, random: &mut u64) -> (Names, BTreeSet<PathBuf>) {
        let (mut names, mut decided) = (Names::new(), BTreeSet::new());
        for (from, to) in &self.renamed {
            let (Some(was), Some(Entry::File(file))) = (self.durable.get(from), self.live.get(to)) else {
                continue;
            };
            let same = matches!(was, Entry::File(old) if Rc::ptr_eq(&old.0, &file.0));
            if !same || self.live.contains_key(from) || decided.contains(from) || decided.contains(to) {
                continue;
            }
            decided.extend([from.clone(), to.clone()]);
            if next(random).is_multiple_of(2) {
                names.insert(to.clone(), Entry::File(file.clone()));
            } else {
                names.insert(from.clone(), was.clone());
                names.extend(self.durable.get(to).map(|before| (to.clone(), before.clone())));
            }
        }
        (names, decided)
    }
}

fn is_root(dir: &Path) -> bool {
    dir.as_os_str().is_empty() || dir == Path::new("/")
}

impl Entry {
    fn settled(bytes: Vec<u8>) -> Self {
        let node = Node { durable: bytes.clone(), live: bytes, pending: Vec::new() };
        Self::File(MemFile(Rc::new(RefCell::new(node))))
    }

    fn after_crash(&self, random: &mut u64) -> Self {
        match self {
            Self::Dir => Self::Dir,
            Self::File(file) => Self::settled(file.0.borrow().image_after_crash(random)),
        }
    }
}

impl Node {
    fn write(&mut self, at: usize, bytes: &[u8]) {
        put_at(&mut self.live, at, bytes);
        self.pending.push((at, bytes.to_vec()));
    }

    /// The write just made reaches stable storage; earlier ones of the file may still sit in the device's cache, but
    /// no longer undo it.
    fn flush_last(&mut self) {
        let (at, bytes) = self.pending.pop().expect("written before");
        put_at(&mut self.durable, at, &bytes);
        let end = at + bytes.len();
        let older = std::mem::take(&mut self.pending);
        for (from, older) in older {
            let until = from + older.len();
            if from < at {
                self.pending.push((from, older[..until.min(at) - from].to_vec()));
            }
            if until > end {
                self.pending.push((from.max(end), older[from.max(end) - from..].to_vec()));
            }
        }
    }

    fn flush(&mut self) {
        self.durable.clone_from(&self.live);
        self.pending.clear();
    }

    /// Each sector that was not flushed is old, new, or torn in the middle.
    fn image_after_crash(&self, random: &mut u64) -> Vec<u8> {
        let mut image = self.durable.clone();
        for (at, bytes) in &self.pending {
            for (i, sector) in bytes.chunks(SECTOR).enumerate() {
                let kept = match next(random) % 5 {
                    0 | 1 => 0,
                    2 | 3 => sector.len(),
                    _ => (next(random) as usize) % (sector.len() + 1),
                };
                put_at(&mut image, at + i * SECTOR, &sector[..kept]);
            }
        }
        image
    }
}

fn put_at(image: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    let end = at + bytes.len();
    if image.len() < end {
        image.resize(end, 0);
    }
    image[at..end].copy_from_slice(bytes);
}

/// xorshift64 (Marsaglia 2003): the same seed gives the same disk.
fn next(random: &mut u64) -> u64 {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    *random >> 11
}

impl Disk for MemDisk {
    type File = MemFile;

    async fn open(&self, path: &Path, create: bool) -> io::Result<MemFile> {
        self.step().await?;
        match self.file(path) {
            Err(_) if create => self.create(path),
            found => found,
        }
    }

    async fn file_bytes(&self, file: &MemFile) -> io::Result<u64> {
        Ok(file.0.borrow().live.len() as u64)
    }

    async fn read(&self, file: &MemFile, at: u64, into: Blocks) -> io::Result<usize> {
        self.step().await?;
        let node = file.0.borrow();
        let from = (at as usize).min(node.live.len());
        let until = (from + into.len()).min(node.live.len());
        into.fill_from(&node.live[from..until]);
        Ok(until - from)
    }

    async fn write(&self, file: &MemFile, at: u64, from: Vec<Blocks>, flush: Flush) -> io::Result<()> {
        let stepped = self.step().await;
        // The bytes are taken when the device gets to them, not when the write was asked for.
        let mut bytes = Vec::new();
        for blocks in &from {
            let start = bytes.len();
            bytes.resize(start + blocks.len(), 0);
            blocks.copy_to(&mut bytes[start..]);
        }
        if let Err(error) = stepped {
            if next(&mut self.0.borrow_mut().random).is_multiple_of(2) {
                file.0.borrow_mut().write(at as usize, &bytes);
            }
            return Err(error);
        }
        let end = at as usize + bytes.len();
        self.room_for(end.saturating_sub(file.0.borrow().live.len()))?;
        let mut node = file.0.borrow_mut();
        node.write(at as usize, &bytes);
        if flush == Flush::Dsync {
            node.flush_last();
        }
        Ok(())
    }

    async fn flush(&self, file: &MemFile) -> io::Result<()> {
        self.step().await?;
        if std::mem::replace(&mut self.0.borrow_mut().flush_fails, false) {
            file.0.borrow_mut().pending.clear();
            return Err(io::Error::other("the device could not flush"));
        }
        file.0.borrow_mut().flush();
        Ok(())
    }

    async fn flush_everything(&self, _anchor: &MemFile) -> io::Result<()> {
        self.step().await?;
        let mut world = self.0.borrow_mut();
        for entry in world.live.values() {
            if let Entry::File(file) = entry {
                file.0.borrow_mut().flush();
            }
        }
        world.durable = world.live.clone();
        world.renamed.clear();
        Ok(())
    }

    async fn allocate(&self, file: &MemFile, from: u64, bytes: u64) -> io::Result<()> {
        self.step().await?;
        let end = (from + bytes) as usize;
        self.room_for(end.saturating_sub(file.0.borrow().live.len()))?;
        let mut node = file.0.borrow_mut();
        if node.live.len() < end {
            node.live.resize(end, 0);
        }
        Ok(())
    }

    /// Not flushed: a crash may bring the old length back, with the old bytes.
    async fn truncate(&self, file: &MemFile, bytes: u64) -> io::Result<()> {
        self.step().await?;
        let mut node = file.0.borrow_mut();
        let bytes = bytes as usize;
        node.live.resize(bytes, 0);
        for (at, written) in &mut node.pending {
            written.truncate(bytes.saturating_sub(*at));
        }
        node.pending.retain(|(_, written)| !written.is_empty());
        Ok(())
    }

    async fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.step().await?;
        self.need_dir_of(path)?;
        let mut world = self.0.borrow_mut();
        if world.live.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        world.live.insert(path.to_owned(), Entry::Dir);
        Ok(())
    }

    async fn flush_dir(&self, path: &Path) -> io::Result<()> {
        self.step().await?;
        let mut world = self.0.borrow_mut();
        let inside = |p: &Path| p.parent() == Some(path);
        let entries: Vec<_> =
            world.live.iter().filter(|(p, _)| inside(p)).map(|(p, e)| (p.clone(), e.clone())).collect();
        world.durable.retain(|p, _| !inside(p));
        world.renamed.retain(|(from, _)| !inside(from));
        world.durable.extend(entries);
        if let Some(dir) = world.live.get(path).cloned() {
            world.durable.entry(path.to_owned()).or_insert(dir);
        }
        Ok(())
    }

    async fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.step().await?;
        let world = self.0.borrow();
        if !is_root(path) && !world.live.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let name = |(p, e): (&PathBuf, &Entry)| {
            let name = p.file_name().expect("a child has a name").to_string_lossy().into_owned();
            if matches!(e, Entry::Dir) { format!("{name}/") } else { name }
        };
        Ok(world.live.iter().filter(|(p, _)| p.parent() == Some(path)).map(name).collect())
    }

    async fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step().await?;
        self.need_dir_of(to)?;
        let mut world = self.0.borrow_mut();
        let moved: Vec<PathBuf> = world.live.keys().filter(|p| p.starts_with(from)).cloned().collect();
        if moved.is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        world.renamed.push((from.to_owned(), to.to_owned()));
        for path in moved {
            let entry = world.live.remove(&path).expect("listed above");
            let rest = path.strip_prefix(from).expect("filtered above");
            let target = if rest.as_os_str().is_empty() { to.to_owned() } else { to.join(rest) };
            world.live.insert(target, entry);
        }
        Ok(())
    }

    async fn remove(&self, path: &Path) -> io::Result<()> {
        self.step().await?;
        self.file(path)?;
        self.0.borrow_mut().live.remove(path);
        Ok(())
    }

    async fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.step().await?;
        self.0.borrow_mut().live.retain(|p, _| !p.starts_with(path));
        Ok(())
    }

    async fn read_small(&self, path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
        self.step().await?;
        let bytes = self.file(path)?.0.borrow().live.clone();
        if bytes.len() > bytes_max { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
    }

    async fn replace_small(&self, path: &Path, bytes: Vec<u8>) -> io::Result<()> {
        self.step().await?;
        self.need_dir_of(path)?;
        // The new file is there before the old one goes.
        self.room_for(bytes.len())?;
        let entry = Entry::settled(bytes);
        let mut world = self.0.borrow_mut();
        world.live.insert(path.to_owned(), entry.clone());
        world.durable.insert(path.to_owned(), entry);
        Ok(())
    }

    async fn write_small(&self, path: &Path, bytes: Vec<u8>) -> io::Result<()> {
        self.step().await?;
        self.room_for(bytes.len())?;
        let file = match self.file(path) {
            Ok(file) => file,
            Err(_) => self.create(path)?,
        };
        let mut node = file.0.borrow_mut();
        node.live.clear();
        node.pending.clear();
        node.write(0, &bytes);
        Ok(())
    }
}
