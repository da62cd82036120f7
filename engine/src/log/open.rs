//! Opening a log whose folder is clean: everything in its segments counts, and what does not parse is corruption, not a
//! torn tail (recovery has cut those before).

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io,
    path::{Path, PathBuf},
    rc::Rc,
};

use model::{
    BatchView, Offset, Timestamp, TopicPartition,
    batch::{HEADER_BYTES, crc32c},
};
use rt::{
    notify::Notify,
    pages::{BLOCK, PAGE_MAX, PagePool},
};

use super::{
    Ends, Log, LogConfig, LogState, SharedLog, cleaning::Cleaning, lifecycle::remove_if_there,
    read::ReadError, segment::Segment, tail::Tail, write_out::segment_path,
};
use crate::{
    block_reader::BlockReader,
    chunk_cache::ChunkCache,
    compaction::swap::{self, SwapError},
    disk::{Disk, is_full},
    epochs::{EpochCache, LEADER_EPOCH_FILE},
    index::{OffsetIndex, SegmentIndexes, TimeIndex},
    producers::{ProducerLimits, ProducerStates},
    properties::{
        PARTITION_METADATA_FILE, PartitionMetadata,
        names::{FileState, SegmentFile, SegmentFileName},
    },
};

/// Logs that may be opened, or made whole, at a time: mostly they wait for small files.
const AT_ONCE_MAX: usize = 64;
/// What one may hold of the pool's pages meanwhile, generously.
const BYTES_EACH: usize = 4 * PAGE_MAX;
/// Side files above this are not believed.
const SIDE_FILE_BYTES_MAX: usize = 256 << 20;

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error(
        "{path} is corrupt at byte {position}: {why}. Nothing is cut; restore the file from a backup or delete the topic"
    )]
    Corrupt { path: PathBuf, position: u64, why: String },
    #[error("{dir} belongs to topic id {found}, not to {wanted}")]
    OtherTopic { dir: PathBuf, found: String, wanted: String },
    #[error("{0}")]
    Read(#[from] ReadError),
    #[error("{0}")]
    Swap(#[from] SwapError),
}

/// So many logs at a time leave the pool enough for each of them.
pub(crate) fn at_once(pages: &PagePool) -> usize {
    (pages.budget_bytes() / BYTES_EACH).clamp(1, AT_ONCE_MAX)
}

pub(crate) async fn open_log<D: Disk>(
    cache: &ChunkCache<D>,
    id: TopicPartition,
    dir: PathBuf,
    serial: u64,
    config: LogConfig,
    (log_start, cleaned_until): (Option<Offset>, Option<Offset>),
    now: Timestamp,
) -> Result<SharedLog<D::File>, OpenError> {
    let mut names = match cache.disk().list(&dir).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        names => names?,
    };
    // Recovery has done this; a folder that others left in order may still need it.
    if swap::finish(cache.disk(), cache.pages(), &dir, &names).await? {
        names = cache.disk().list(&dir).await?;
    }
    if !names.is_empty() {
        check_topic_id(cache.disk(), &dir, id).await?;
    }
    let bases = offsets_with(&names, SegmentFile::Log);
    let mut segments = VecDeque::with_capacity(bases.len().max(1));
    for &base in &bases {
        segments.push_back(closed_segment(cache, &dir, base, config, now).await?);
    }
    let mut tail = Tail::default();
    let end = match segments.back_mut() {
        None => {
            let start = log_start.unwrap_or(Offset::ZERO);
            segments.push_back(Segment::empty(start, config.index, now));
            start
        }
        Some(active) => open_active(cache, &dir, active, config, &mut tail).await?,
    };
    let start = log_start.unwrap_or(Offset::ZERO).max(segments[0].base);
    let start = start.min(end);
    let log = Rc::new_cyclic(|me| Log {
        me: me.clone(),
        id,
        has_dir: Cell::new(!names.is_empty()),
        serial,
        state: RefCell::new(LogState {
            config,
            jitter_seed: crc32c(dir.as_os_str().as_encoded_bytes()),
            segments,
            tail,
            producers: ProducerStates::new(ProducerLimits::default(), start),
            epochs: EpochCache::default(),
            pending: Vec::new(),
            unjournaled: Offset::ZERO,
            ends: Ends { start, end, written: end, durable: end, acknowledged: end },
            in_segments: end,
            recovery_point: end,
            epochs_changed: false,
            epochs_unsynced: false,
            frozen: false,
            committed: Offset(i64::MAX),
            snapshots: offsets_with(&names, SegmentFile::Snapshot),
            snapshots_due: Vec::new(),
            queued: false,
            unsynced: false,
            unsynced_since: Timestamp::NONE,
            point_on_disk: Offset::ZERO,
            cleaning: Cleaning::of(config, cleaned_until),
        }),
        writing: Cell::new(false),
        writing_done: Notify::new(),
        written_out: model::figures::Count::default(),
        damage: Cell::new(None),
        deleted: Cell::new(false),
        is_being_cut: Cell::new(false),
        dir,
    });
    if !bases.is_empty() {
        // What was scanned now need not be scanned again after the next crash.
        let turn = log.try_turn().expect("nobody else knows this log yet");
        match log.write_active_indexes(cache.disk(), &turn).await {
            Err(error) if is_full(&error) => {}
            done => done?,
        }
    }
    load_epochs(cache, &log).await?;
    load_producers(cache, &log, now).await?;
    Ok(log)
}

async fn check_topic_id<D: Disk>(disk: &D, dir: &Path, id: TopicPartition) -> Result<(), OpenError> {
    let path = dir.join(PARTITION_METADATA_FILE);
    let read = disk.read_small(&path, SIDE_FILE_BYTES_MAX).await;
    match read.ok().and_then(|bytes| PartitionMetadata::read(&bytes).ok()) {
        Some(found) if found.topic_id != id.topic => {
            let (found, wanted) = (found.topic_id.to_string(), id.topic.to_string());
            Err(OpenError::OtherTopic { dir: dir.to_owned(), found, wanted })
        }
        Some(_) => Ok(()),
        // A crash may have left it empty; the cluster's metadata says whose folder this is.
        None => Ok(disk.write_small(&path, PartitionMetadata { topic_id: id.topic }.write()).await?),
    }
}

/// Base offsets of the files with this extension, rising.
pub(crate) fn offsets_with(names: &[String], file: SegmentFile) -> Vec<Offset> {
    let mut offsets: Vec<Offset> = names
        .iter()
        .filter_map(|name| SegmentFileName::parse(name))
        .filter(|found| found.file == file && found.state == FileState::Live)
        .map(|found| found.base_offset)
        .collect();
    offsets.sort();
    offsets
}

async fn closed_segment<D: Disk>(
    cache: &ChunkCache<D>,
    dir: &Path,
    base: Offset,
    config: LogConfig,
    now: Timestamp,
) -> Result<Segment<D::File>, OpenError> {
    let file = cache.disk().open(&segment_path(dir, base, SegmentFile::Log), false).await?;
    let bytes = cache.disk().file_bytes(&file).await?;
    let mut segment = Segment::empty(base, config.index, now);
    (segment.bytes, segment.written, segment.flushed, segment.allocated) = (bytes, bytes, bytes, bytes);
    segment.indexes = None;
    segment.named = true;
    segment.finished = true;
    Ok(segment)
}

/// The last segment is scanned from its last index entry on, and its last block is brought back into memory. Nobody
/// checks what is read from memory, so the scan begins at or before that block.
async fn open_active<D: Disk>(
    cache: &ChunkCache<D>,
    dir: &Path,
    segment: &mut Segment<D::File>,
    config: LogConfig,
    tail: &mut Tail,
) -> Result<Offset, OpenError> {
    let disk = cache.disk();
    let path = segment_path(dir, segment.base, SegmentFile::Log);
    let file = disk.open(&path, false).await?;
    let mut indexes = read_indexes(disk, dir, segment, config).await;
    let mut reader = BlockReader::new(disk.clone(), file.clone(), cache.pages().clone()).await?;
    let mut indexed_until = indexes.offset.last_entry().map_or(0, |e| u64::from(e.position));
    let scanned = scan_active(&mut reader, &path, segment, &mut indexes).await?;
    let next = match scanned {
        Some(next) => next,
        None => {
            tracing::warn!(dir = %dir.display(), segment = %segment.base, "the indexes do not fit the log: rebuilding them");
            (indexes, indexed_until) = (SegmentIndexes::new(segment.base, config.index), 0);
            let scanned = scan_active(&mut reader, &path, segment, &mut indexes).await?;
            scanned.expect("an empty index contradicts nothing")
        }
    };
    if segment.bytes > 0 && indexed_until > 0 {
        let first = checked_batch(&mut reader, 0).await?;
        segment.first_timestamp = first.ok().map(|(header, _)| header.max_timestamp());
    }
    let block_at = last_block(segment.bytes);
    if block_at < segment.bytes {
        let mut page =
            cache.pages().take(BLOCK).ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
        page.append(reader.bytes(block_at, (segment.bytes - block_at) as usize).await?);
        tail.resume(segment.base, block_at, page);
    }
    segment.indexes = Some(indexes);
    segment.indexed = indexed_until;
    segment.file = Some(file);
    segment.finished = false;
    Ok(next)
}

/// Walks the batches that the index files do not know, or that come back into memory, and answers where the log ends;
/// `None` if the indexes are those of another log.
async fn scan_active<D: Disk>(
    reader: &mut BlockReader<D>,
    path: &Path,
    segment: &mut Segment<D::File>,
    indexes: &mut SegmentIndexes,
) -> Result<Option<Offset>, OpenError> {
    let (last, newest) = (indexes.offset.last_entry(), indexes.time.last_entry());
    // The time index may lag behind the offset index.
    let timed = indexes.offset.lookup(newest.offset);
    let before_block = indexes.offset.lookup_position(last_block(segment.bytes));
    let from = if timed.position < before_block.position { timed } else { before_block };
    let mut due = [Some(from).filter(|from| from.position > 0), last].into_iter().flatten().peekable();
    let mut position = u64::from(from.position);
    let mut next = segment.base;
    while position < segment.bytes {
        let corrupt = |why| OpenError::Corrupt { path: path.to_owned(), position, why };
        let batch = checked_batch(reader, position).await?;
        let named = due.next_if(|entry| u64::from(entry.position) <= position);
        let fits = |header: &model::BatchHeader| {
            let stale = header.last_offset() <= newest.offset && header.max_timestamp() > newest.timestamp;
            let other = named.is_some_and(|entry| {
                u64::from(entry.position) != position || entry.offset != header.last_offset()
            });
            !(newest.timestamp.0 >= 0 && stale || other)
        };
        let (header, bytes) = match batch {
            Ok((header, bytes)) if fits(&header) => (header, bytes),
            Err(why) if named.is_none() => return Err(corrupt(why)),
            _ => return Ok(None),
        };
        if header.base_offset() < next || !indexes.offset.fits(header.last_offset()) {
            let why = format!("base offset {} where {next} or little more is due", header.base_offset());
            return Err(corrupt(why));
        }
        // Batches up to the last index entry are in the offset index already.
        if last.is_none_or(|last| position > u64::from(last.position)) {
            indexes.append(&header, position as u32, bytes as u32);
        } else {
            indexes.time.observe(header.max_timestamp(), header.last_offset());
        }
        segment.first_timestamp.get_or_insert(header.max_timestamp());
        next = header.next_offset();
        position += bytes as u64;
        // The same entry may be both.
        while due.next_if(|entry| named == Some(*entry)).is_some() {}
    }
    Ok(due.peek().is_none().then_some(next))
}

fn last_block(bytes: u64) -> u64 {
    bytes - bytes % BLOCK as u64
}

/// The whole batch at a position, its checksum right, or what is wrong with it.
pub(crate) async fn checked_batch<D: Disk>(
    reader: &mut BlockReader<D>,
    position: u64,
) -> io::Result<Result<(model::BatchHeader, usize), String>> {
    let head = reader.bytes(position, HEADER_BYTES).await?;
    let bytes = match model::BatchHeader::read(head).and_then(|h| h.total_bytes()) {
        Ok(bytes) if position + bytes as u64 <= reader.file_bytes() => bytes,
        Ok(_) => return Ok(Err("the batch is cut short".into())),
        Err(error) => return Ok(Err(error.to_string())),
    };
    let batch = reader.bytes(position, bytes).await?;
    Ok(BatchView::check(batch).map(|view| (*view.header(), bytes)).map_err(|e| e.to_string()))
}

async fn read_indexes<D: Disk>(
    disk: &D,
    dir: &Path,
    segment: &Segment<D::File>,
    config: LogConfig,
) -> SegmentIndexes {
    let (base, limit) = (segment.base, config.index.index_bytes_max);
    let offsets =
        disk.read_small(&segment_path(dir, base, SegmentFile::OffsetIndex), SIDE_FILE_BYTES_MAX).await;
    let times = disk.read_small(&segment_path(dir, base, SegmentFile::TimeIndex), SIDE_FILE_BYTES_MAX).await;
    let parsed = match (offsets, times) {
        (Ok(o), Ok(t)) => OffsetIndex::from_bytes(base, limit, &o, segment.bytes as u32)
            .and_then(|o| Ok((o, TimeIndex::from_bytes(base, limit, &t)?)))
            .map_err(|e| e.to_string()),
        // As after every kill: they are written when the segment is rolled, at a stop, and when it has grown a lot.
        (Err(e), _) | (_, Err(e)) if e.kind() == io::ErrorKind::NotFound => {
            return SegmentIndexes::new(base, config.index);
        }
        (Err(e), _) | (_, Err(e)) => Err(e.to_string()),
    };
    match parsed {
        Ok((offset, time)) => SegmentIndexes::of(offset, time, config.index),
        Err(why) => {
            tracing::warn!(dir = %dir.display(), segment = %base, %why, "rebuilding the indexes of the active segment");
            SegmentIndexes::new(base, config.index)
        }
    }
}

async fn load_epochs<D: Disk>(cache: &ChunkCache<D>, log: &SharedLog<D::File>) -> Result<(), OpenError> {
    let path = log.dir.join(LEADER_EPOCH_FILE);
    let read = cache.disk().read_small(&path, SIDE_FILE_BYTES_MAX).await;
    if let Some(mut epochs) = read.ok().and_then(|bytes| EpochCache::read(&bytes).ok()) {
        // The file may be older or newer than the log: what it says beyond the end never happened. A follower's log may go
        // on there with an older epoch, and after another crash nobody could tell which of the two is right.
        let goes_beyond = epochs.truncate_from_end(log.ends().end);
        if goes_beyond {
            replace_epochs(cache.disk(), &log.dir, &epochs).await?;
        }
        let mut state = log.state.borrow_mut();
        state.epochs = epochs;
        // For want of room it may be gone.
        state.epochs_changed |= goes_beyond;
    }
    forget_other_epochs(cache, log).await?;
    let ends = log.ends();
    let known = log.state.borrow().epochs.latest().map_or(ends.start, |e| e.start_offset.max(ends.start));
    if known >= ends.end {
        return Ok(());
    }
    let last = {
        let mut walk = log.walk_to(cache, ends.end + -1).await?;
        walk.header().await?.map(|h| h.leader_epoch())
    };
    // Compacted away by others, to the very end.
    if last.is_none() && log.state.borrow().cleaning.may_have_holes {
        return Ok(());
    }
    let latest = log.state.borrow().epochs.latest().map(|e| e.epoch);
    if latest == last {
        return Ok(());
    }
    // Rare: the file was lost or is behind. Every batch says its epoch.
    let mut walk = log.walk_to(cache, known).await?;
    if let Some(header) = walk.header().await? {
        let mut state = log.state.borrow_mut();
        state.recovery_point = state.recovery_point.min(header.base_offset());
    }
    while let Some(header) = walk.header().await? {
        let mut state = log.state.borrow_mut();
        if state.epochs.latest().is_some_and(|latest| header.leader_epoch() < latest.epoch) {
            return Err(walk.corrupt().into());
        }
        state.epochs_changed |= state.epochs.assign(header.leader_epoch(), header.base_offset());
        drop(state);
        let bytes = walk.batch_bytes(&header)?;
        walk.skip(&header, bytes);
    }
    Ok(())
}

/// Puts the file of the epochs on stable storage. Without room for it, it goes: every batch says its epoch.
pub(super) async fn replace_epochs<D: Disk>(disk: &D, dir: &Path, epochs: &EpochCache) -> io::Result<()> {
    let path = dir.join(LEADER_EPOCH_FILE);
    match disk.replace_small(&path, epochs.write()).await {
        Err(error) if is_full(&error) => {
            remove_if_there(disk, &path).await?;
            disk.flush_dir(dir).await
        }
        done => done,
    }
}

/// The file may be of a time when the log went on otherwise, until a crash cut it: then the epoch that it lets begin at an
/// offset, or a later one, wrote before that as well.
async fn forget_other_epochs<D: Disk>(
    cache: &ChunkCache<D>,
    log: &SharedLog<D::File>,
) -> Result<(), OpenError> {
    loop {
        let latest = log.state.borrow().epochs.latest();
        let Some(latest) = latest.filter(|latest| latest.start_offset > log.ends().start) else {
            return Ok(());
        };
        let mut walk = log.walk_to(cache, latest.start_offset + -1).await?;
        // Where compaction has taken the batch before, nothing contradicts the file.
        let agrees = |at: model::BatchHeader| {
            at.base_offset() >= latest.start_offset || at.leader_epoch() < latest.epoch
        };
        if walk.header().await?.is_none_or(agrees) {
            return Ok(());
        }
        let mut state = log.state.borrow_mut();
        state.epochs_changed |= state.epochs.truncate_from_end(latest.start_offset);
    }
}

async fn load_producers<D: Disk>(
    cache: &ChunkCache<D>,
    log: &SharedLog<D::File>,
    now: Timestamp,
) -> Result<(), OpenError> {
    let producers = producers_at(cache, log, log.ends().end, now).await?;
    log.state.borrow_mut().producers = producers;
    Ok(())
}

/// The producers where a batch ends: the newest readable snapshot plus what the log says after it.
pub(super) async fn producers_at<D: Disk>(
    cache: &ChunkCache<D>,
    log: &Log<D::File>,
    end: Offset,
    now: Timestamp,
) -> Result<ProducerStates, ReadError> {
    let (snapshots, start) = {
        let state = log.state.borrow();
        (state.snapshots.clone(), state.ends.start)
    };
    let mut producers = ProducerStates::new(ProducerLimits::default(), start);
    for &offset in snapshots.iter().rev().filter(|&&o| o <= end && o >= start) {
        let bytes = cache
            .disk()
            .read_small(&segment_path(&log.dir, offset, SegmentFile::Snapshot), SIDE_FILE_BYTES_MAX)
            .await;
        let parsed = bytes.map_err(|e| e.to_string()).and_then(|bytes| {
            ProducerStates::from_snapshot(&bytes, offset, ProducerLimits::default(), now)
                .map_err(|e| e.to_string())
        });
        match parsed {
            Ok(states) => {
                producers = states;
                break;
            }
            Err(why) => {
                tracing::warn!(dir = %log.dir.display(), %offset, %why, "a producer snapshot is not used")
            }
        }
    }
    if producers.map_end() >= end {
        return Ok(producers);
    }
    let mut walk = log.walk_to(cache, producers.map_end()).await?;
    // What lies behind `end` may be what is to be cut off, and is not looked at.
    while producers.map_end() < end
        && let Some(header) = walk.header().await?.filter(|header| header.base_offset() < end)
    {
        let bytes = walk.batch_bytes(&header)?;
        if header.is_control() {
            let batch = walk.copy(&header, bytes).await?;
            // A marker that does not parse was checked when it was appended: nothing to end.
            let _ = producers.replay(&header, &batch[HEADER_BYTES..], now);
        } else {
            producers.applied(&header, header.base_offset(), now);
            walk.skip(&header, bytes);
        }
    }
    Ok(producers)
}
