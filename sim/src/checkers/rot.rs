//! Rot: one bit of what was on stable storage flips while nobody looks. On a copy of the disk, so that the world goes on
//! without it. Then nothing wrong is served, nothing is cut, and when the bit is put back everything is there.
//!
//! What is spared says where the promise ends: the last frames of a journal, up to the first that was flushed (nothing
//! vouches for them, so a flipped bit looks like the tear of a write that was never acknowledged), Kafka's small text files
//! that carry no checksum, and the offsets of a compacted log, which lie outside the checksum and need not follow each other.

use std::{
    path::{Path, PathBuf},
    rc::Rc,
};

use engine::{Ends, ReadRange, SharedLog, Store, checkpoint::OffsetCheckpoint, journal::scan, store};
use model::{BatchView, Offset};
use rt::pages::PagePool;

use super::{compacted, contents};
use crate::{
    disk::{SimDisk, SimFile, copy_of},
    executor::{self, Clock},
    ghost::GhostLog,
    plan::Plan,
    random::Random,
    world::{DATA, dir, id, recover, start},
};

/// Bits that are flipped, one after another, each on a disk that is otherwise well.
const TRIALS: usize = 3;
const PAGES: usize = 64 << 20;

pub struct Trial {
    pub what: String,
    pub disk: SimDisk,
    pub ghosts: Vec<GhostLog>,
    pub plan: Rc<Plan>,
    pub clock: Clock,
}

/// A place below the durable mark.
#[derive(Clone, Debug)]
struct Place {
    path: PathBuf,
    from: u64,
    until: u64,
}

impl Trial {
    pub fn run(mut self, random: &mut Random) {
        let places = self.places(random);
        for _ in 0..TRIALS.min(places.len()) {
            let place = &places[random.index(places.len())];
            let at = random.between(place.from, place.until) as usize;
            let mask = 1u8 << random.below(8);
            let well = self.disk.with(copy_of(self.disk.mem()));
            well.mem().flip(&place.path, at, mask);
            let what = format!("{}: {} rotten at byte {at} by {mask:#04x}", self.what, place.path.display());
            self.rotten(&what, &well, random);
            self.put_back(&what, &well, place, at, mask, random);
        }
        self.disk = self.disk.with(copy_of(self.disk.mem()));
    }

    /// Segment bytes below the recovery points, index files and snapshots, and the journal's frames but the last ones.
    fn places(&self, random: &mut Random) -> Vec<Place> {
        let mut places = vec![];
        let points = self.recovery_points();
        for n in 0..self.ghosts.len() {
            let point = points.get(&id(n).topic.to_string(), id(n).partition).unwrap_or(Offset::ZERO);
            for path in self.disk.mem().files().into_iter().filter(|path| path.starts_with(dir(n))) {
                let bytes = self.disk.mem().contents(&path).expect("listed");
                let until = match path.extension().and_then(|e| e.to_str()) {
                    Some("log") => durable_bytes(&bytes, point),
                    Some("index" | "timeindex" | "snapshot") => bytes.len(),
                    _ => 0,
                };
                if self.ghosts[n].compacted && path.extension().is_some_and(|e| e == "log") {
                    places.extend(batches_of(&path, &bytes[..until], random));
                } else if until > 0 {
                    places.push(Place { path, from: 0, until: until as u64 });
                }
            }
        }
        places.extend(self.journal_places(random));
        places
    }

    fn recovery_points(&self) -> OffsetCheckpoint {
        let bytes = self.disk.mem().contents(&store::recovery_points_path(Path::new(DATA), 0));
        bytes.map_or_else(OffsetCheckpoint::default, |b| OffsetCheckpoint::read(&b).expect("it is well"))
    }

    fn journal_places(&self, random: &mut Random) -> Vec<Place> {
        let path = store::journal_path(Path::new(DATA), 0);
        let (disk, journal) = (self.disk.clone(), path.clone());
        let scanned = executor::block_on(&self.clock, random, async move {
            use engine::Disk as _;
            let file = disk.open(&journal, false).await.ok()?;
            scan::scan(&disk, &file, &PagePool::new(PAGES), journal).await.ok()
        });
        let Some(contents) = scanned else { return vec![] };
        let bytes = self.disk.mem().contents(&path).unwrap_or_default();
        let vouched = |run: &&scan::FoundRun| run.sequence <= contents.durable_sequence;
        let runs = contents.runs.iter().filter(vouched).filter(|run| !run.bytes().is_empty());
        // Where a run's bytes lie is the journal's own affair: they are looked for.
        let found = runs.filter_map(|run| {
            let needle = run.bytes();
            let at = bytes.windows(needle.len()).position(|w| w == needle)? as u64;
            Some(Place { path: path.clone(), from: at, until: at + needle.len() as u64 })
        });
        found.take(3).collect()
    }

    /// A start on the rotten disk: it is refused, or everything that is served is right and nothing is missing.
    fn rotten(&self, what: &str, disk: &SimDisk, random: &mut Random) {
        let logs = self.ghosts.len();
        let Ok(starts) = executor::block_on(&self.clock, random, recover(disk.clone(), logs)) else { return };
        let salt = random.next();
        let started = start(disk.clone(), self.plan.clone(), salt, starts, self.clock.clone());
        let Ok((store, logs)) = executor::block_on(&self.clock, random, started) else { return };
        for (n, log) in logs.into_iter().enumerate() {
            let (store, ghost) = (store.clone(), self.ghosts[n].clone());
            let what = format!("{what}: log {n}");
            executor::block_on(&self.clock, random, async move {
                let ends = log.ends();
                assert!(
                    ends.end >= ghost.durable,
                    "{what}: cut at {}, durable up to {}",
                    ends.end,
                    ghost.durable
                );
                served(&what, &ghost, &store, &log).await;
            });
        }
    }

    /// The bit is right again, unless a recovery wrote over it: everything that was promised is there.
    fn put_back(&self, what: &str, disk: &SimDisk, place: &Place, at: usize, mask: u8, random: &mut Random) {
        let before = self.disk.mem().contents(&place.path).expect("it was there")[at];
        match disk.mem().contents(&place.path).and_then(|bytes| bytes.get(at).copied()) {
            Some(now) if now == before ^ mask => disk.mem().flip(&place.path, at, mask),
            _ => {}
        }
        let logs = self.ghosts.len();
        let starts = executor::block_on(&self.clock, random, recover(disk.clone(), logs));
        let starts = starts.unwrap_or_else(|why| panic!("{what}, put back: {why}"));
        let salt = random.next();
        let started = start(disk.clone(), self.plan.clone(), salt, starts, self.clock.clone());
        let (store, logs) = executor::block_on(&self.clock, random, started)
            .unwrap_or_else(|why| panic!("{what}, put back: {why}"));
        for (n, log) in logs.into_iter().enumerate() {
            let (store, ghost, what) =
                (store.clone(), self.ghosts[n].clone(), format!("{what}, put back: log {n}"));
            let mut draw = Random::new(random.next());
            executor::block_on(&self.clock, random, async move {
                let found = contents::read_all(&store, &log, &mut draw).await;
                let found = found.unwrap_or_else(|why| panic!("{what}: {why}"));
                contents::check(&what, &ghost, &found, &log.ends());
            });
        }
    }
}

/// One of the batches, without its base offset.
fn batches_of(path: &Path, bytes: &[u8], random: &mut Random) -> Option<Place> {
    let (mut at, mut places) = (0, vec![]);
    while let Ok(view) = BatchView::frame(&bytes[at..]) {
        let until = at + view.bytes().len();
        places.push(Place { path: path.to_owned(), from: at as u64 + 8, until: until as u64 });
        at = until;
    }
    (!places.is_empty()).then(|| places.swap_remove(random.index(places.len())))
}

/// Bytes of a segment that hold batches below `point`.
fn durable_bytes(bytes: &[u8], point: Offset) -> usize {
    let mut at = 0;
    while let Ok(view) = BatchView::check(&bytes[at..]) {
        if view.header().next_offset() > point {
            break;
        }
        at += view.bytes().len();
    }
    at
}

/// Reads batch by batch, also behind a place that cannot be read.
async fn served(what: &str, ghost: &GhostLog, store: &Rc<Store<SimDisk>>, log: &SharedLog<SimFile>) {
    let ends = log.ends();
    if ghost.compacted {
        return served_compacted(what, ghost, store, log).await;
    }
    for batch in ghost.from(ends.start).iter().take_while(|b| b.next <= ends.end) {
        let from = batch.base.max(ends.start);
        let range = ReadRange { from, until: ends.end, bytes_max: 1, at_least_one: true };
        let Ok(read) = store.read(log, range).await else { continue };
        let bytes: Vec<u8> = read.slices.iter().flat_map(|s| s.to_vec()).collect();
        let same = bytes.iter().zip(batch.bytes.iter()).take_while(|(a, b)| a == b).count();
        assert!(
            bytes == *batch.bytes,
            "{what}: offset {from}: {} bytes are served that are others from byte {same} of {} on",
            bytes.len(),
            batch.bytes.len()
        );
    }
}

/// The same of a log with holes: what is served next is what comes next of what is left.
async fn served_compacted(
    what: &str,
    ghost: &GhostLog,
    store: &Rc<Store<SimDisk>>,
    log: &SharedLog<SimFile>,
) {
    let Ends { start, end, .. } = log.ends();
    for batch in ghost.from(start).iter().take_while(|b| b.next <= end) {
        let from = batch.base.max(start);
        let range = ReadRange { from, until: end, bytes_max: 1, at_least_one: true };
        let Ok(read) = store.read(log, range).await else { continue };
        let bytes: Vec<u8> = read.slices.iter().flat_map(|s| s.to_vec()).collect();
        compacted::check(what, ghost, from, end, &contents::split(&bytes));
    }
}
