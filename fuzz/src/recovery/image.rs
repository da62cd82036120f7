//! A data directory written by a little program, so that a fuzzer changes what a directory *says* and does not break off
//! at the first checksum. Each instruction is a byte and a few operands; checksums are right unless an instruction asks
//! for a wrong one. `POKE` and `PUT` write what they like.
//!
//! ```text
//!   batches --BATCH*--> a run --INLINE or EXTENT--> the frame at hand --FRAME--> the journal
//!                             --STORE-------------> the segment
//! ```

use std::{collections::BTreeMap, path::PathBuf};

use engine::{
    checkpoint::OffsetCheckpoint,
    journal::{
        frame::{self, Link, Run, RunKind},
        superblock::{FRAMES_FROM, Superblock},
    },
    properties::names::{SegmentFile, SegmentFileName, dir_name},
};
use model::{
    LeaderEpoch, Offset, PartitionIndex, TopicId, TopicPartition,
    batch::{
        crc32c,
        record::{Producer, batch_of},
    },
};
use rt::pages::BLOCK;
use zerocopy::IntoBytes;

use super::super::input::Input;

pub const TOPIC: &str = "t";
pub const DATA: &str = "/data";
pub const PARTITIONS: usize = 2;
const JOURNALS: usize = 2;

pub const BATCH: u8 = 0;
pub const INLINE: u8 = 1;
pub const EXTENT: u8 = 2;
pub const STORE: u8 = 3;
pub const FRAME: u8 = 4;
pub const SUPERBLOCK: u8 = 5;
pub const ROLL: u8 = 6;
pub const POINT: u8 = 7;
pub const START: u8 = 8;
pub const ZEROS: u8 = 9;
pub const PARTITION: u8 = 10;
pub const JOURNAL: u8 = 11;
pub const POKE: u8 = 12;
pub const PUT: u8 = 13;
pub const NEXT: u8 = 14;
const INSTRUCTIONS: u8 = 15;

/// What an instruction asks to be wrong, or otherwise than usual.
pub const BAD_CRC: u8 = 0x01;
pub const BAD_KIND: u8 = 0x02;
/// The bytes of a run are in the segment as well; those of an extent are not.
pub const OTHER_PLACE: u8 = 0x04;
pub const BAD_SALT: u8 = 0x08;
pub const TORN: u8 = 0x10;
pub const WRAP: u8 = 0x20;
pub const MISSING: u8 = 0x40;
/// The superblock names the next frame as its tail.
pub const HERE: u8 = 0x80;

const SALT: u64 = 77;
const STEPS_MAX: usize = 400;
const JOURNAL_BYTES_MAX: usize = 64 * BLOCK;
const FILE_BYTES_MAX: usize = 256 << 10;

pub fn id(partition: usize) -> TopicPartition {
    TopicPartition::new(TopicId([9; 16]), PartitionIndex(partition as i32))
}

pub type Files = BTreeMap<PathBuf, Vec<u8>>;

pub fn build(input: Input<'_>) -> Files {
    let mut image = Image::new();
    image.follow(input);
    image.into_files()
}

/// Files that `POKE` and `PUT` can name: those of the partition and the journal at hand.
fn path_of(selector: u8, partition: usize, journal: usize, base: Offset) -> PathBuf {
    let segment = |file| SegmentFileName::live(base, file).to_string();
    let dir = PathBuf::from(DATA).join(dir_name(TOPIC, PartitionIndex(partition as i32)));
    let journals = PathBuf::from(DATA).join("journal");
    match selector % 9 {
        0 => dir.join(segment(SegmentFile::Log)),
        1 => dir.join(segment(SegmentFile::OffsetIndex)),
        2 => dir.join(segment(SegmentFile::TimeIndex)),
        3 => dir.join(segment(SegmentFile::Snapshot)),
        4 => dir.join("leader-epoch-checkpoint"),
        5 => dir.join("partition.metadata"),
        6 => journals.join(format!("{journal}.journal")),
        7 => journals.join(format!("{journal}.recovery-points")),
        _ => journals.join(format!("{journal}.log-starts")),
    }
}

struct Image {
    files: Files,
    points: OffsetCheckpoint,
    starts: OffsetCheckpoint,
    logs: [LogAt; PARTITIONS],
    chains: [Chain; JOURNALS],
    partition: usize,
    journal: usize,
    /// Batches side by side that no instruction has taken yet.
    run: Vec<u8>,
    run_base: Offset,
    /// The frame at hand.
    entries: Vec<(Run, Vec<u8>)>,
}

#[derive(Clone, Copy)]
struct LogAt {
    next: Offset,
    segment: Offset,
    position: u32,
}

#[derive(Clone, Copy)]
struct Chain {
    link: Link,
    position: u64,
    generation: u64,
}

impl Image {
    fn new() -> Self {
        let log = LogAt { next: Offset::ZERO, segment: Offset::ZERO, position: 0 };
        let link = Link { salt: SALT, sequence: 1, previous_crc: 0 };
        let chain = Chain { link, position: FRAMES_FROM, generation: 0 };
        Self {
            files: Files::new(),
            points: OffsetCheckpoint::default(),
            starts: OffsetCheckpoint::default(),
            logs: [log; PARTITIONS],
            chains: [chain; JOURNALS],
            partition: 0,
            journal: 0,
            run: vec![],
            run_base: Offset::ZERO,
            entries: vec![],
        }
    }

    fn follow(&mut self, mut input: Input<'_>) {
        for _ in 0..STEPS_MAX {
            if input.is_empty() {
                break;
            }
            match input.u8() % INSTRUCTIONS {
                BATCH => self.batch(&mut input),
                INLINE => self.enter_run(&mut input, RunKind::Inline),
                EXTENT => self.enter_run(&mut input, RunKind::Extent),
                STORE => self.store(),
                FRAME => self.write_frame(&mut input),
                SUPERBLOCK => self.write_superblock(&mut input),
                ROLL => {
                    let log = &mut self.logs[self.partition];
                    log.segment = at(log.next, input.i8());
                    log.position = 0;
                }
                POINT => {
                    let point = at(self.log().next, input.i8());
                    self.points.set(&id(0).topic.to_string(), PartitionIndex(self.partition as i32), point);
                }
                START => {
                    let start = at(self.log().next, input.i8());
                    self.starts.set(&id(0).topic.to_string(), PartitionIndex(self.partition as i32), start);
                }
                ZEROS => {
                    let zeros = vec![0; usize::from(input.u8()) * 64];
                    let file = self.files.entry(self.path(0)).or_default();
                    file.extend(zeros);
                    file.truncate(FILE_BYTES_MAX);
                }
                PARTITION => self.partition = usize::from(input.u8()) % PARTITIONS,
                JOURNAL => self.journal = usize::from(input.u8()) % JOURNALS,
                POKE => {
                    let path = self.path(input.u8());
                    let (position, mask) = (input.u32() as usize, input.u8());
                    if let Some(byte) = self.files.get_mut(&path).and_then(|f| f.get_mut(position)) {
                        *byte ^= mask;
                    }
                }
                PUT => {
                    let path = self.path(input.u8());
                    let (position, count) = (input.u32() as usize, usize::from(input.u16()));
                    self.put(path, position.min(FILE_BYTES_MAX), input.take(count));
                }
                _ => {
                    let log = &mut self.logs[self.partition];
                    log.next = Offset(input.i64());
                }
            }
        }
    }

    fn log(&self) -> LogAt {
        self.logs[self.partition]
    }

    fn path(&self, selector: u8) -> PathBuf {
        path_of(selector, self.partition, self.journal, self.log().segment)
    }

    fn put(&mut self, path: PathBuf, position: usize, bytes: &[u8]) {
        let file = self.files.entry(path).or_default();
        if file.len() < position + bytes.len() {
            file.resize(position + bytes.len(), 0);
        }
        file[position..position + bytes.len()].copy_from_slice(bytes);
    }

    fn batch(&mut self, input: &mut Input<'_>) {
        let (step, count, bytes, how) = (input.i8(), input.u8(), input.u8(), input.u8());
        let value = vec![b'v'; usize::from(bytes)];
        let values = vec![&value[..]; usize::from(count % 8) + 1];
        let base = at(self.log().next, step);
        let producer = match how & OTHER_PLACE {
            0 => Producer::NONE,
            _ => Producer { id: i64::from(count), epoch: 0, base_sequence: i32::from(bytes) },
        };
        let mut batch = batch_of(base.0, i64::from(bytes), producer, &values);
        batch[12..16].copy_from_slice(&i32::from(how >> 5).to_be_bytes());
        if how & BAD_CRC != 0 {
            batch[20] ^= 1;
        }
        if how & BAD_KIND != 0 {
            batch[16] = 1;
        }
        if self.run.is_empty() {
            self.run_base = base;
        }
        self.run.extend(batch);
        self.logs[self.partition].next = Offset(base.0.saturating_add(values.len() as i64));
    }

    fn enter_run(&mut self, input: &mut Input<'_>, kind: RunKind) {
        let (shift, how) = (input.i8(), input.u8());
        let log = self.log();
        let bytes = std::mem::take(&mut self.run);
        let run = Run {
            kind,
            log: id(self.partition),
            leader_epoch: LeaderEpoch(0),
            base_offset: self.run_base,
            next_offset: log.next,
            segment_base: log.segment,
            position: log.position.saturating_add_signed(i32::from(shift)),
            bytes: bytes.len() as u32,
            crc: crc32c(&bytes) ^ u32::from(how & BAD_CRC),
        };
        if (kind == RunKind::Extent) != (how & OTHER_PLACE != 0) {
            self.put(self.path(0), run.position as usize, &bytes);
        }
        self.logs[self.partition].position = run.position.saturating_add(run.bytes);
        self.entries.push((run, if kind == RunKind::Inline { bytes } else { vec![] }));
    }

    fn store(&mut self) {
        let bytes = std::mem::take(&mut self.run);
        let log = self.log();
        self.put(self.path(0), log.position as usize, &bytes);
        self.logs[self.partition].position = log.position.saturating_add(bytes.len() as u32);
    }

    fn write_frame(&mut self, input: &mut Input<'_>) {
        let (step, durable, how) = (input.i8(), input.i8(), input.u8());
        let entries = std::mem::take(&mut self.entries);
        let chain = &mut self.chains[self.journal];
        let mut link = chain.link;
        link.sequence = link.sequence.saturating_add_signed(i64::from(step));
        link.salt ^= u64::from(how & BAD_SALT);
        let body: Vec<u8> =
            entries.iter().flat_map(|(run, bytes)| [run.header().as_bytes(), bytes].concat()).collect();
        let durable = link.sequence.saturating_sub(1).saturating_add_signed(i64::from(durable));
        let mut header = frame::header(link, durable, body.len(), entries.len());
        let crc = frame::checksum(&header, [&body[..]]);
        header.crc = (crc ^ u32::from(how & BAD_CRC)).into();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend(body);
        bytes.resize(header.frame_bytes.get() as usize, 0);
        if how & WRAP != 0 || chain.position as usize + bytes.len() > JOURNAL_BYTES_MAX {
            chain.position = FRAMES_FROM;
        }
        let position = chain.position as usize;
        let next = Link { sequence: link.sequence.wrapping_add(1), previous_crc: crc, salt: chain.link.salt };
        *chain = Chain { link: next, position: chain.position + bytes.len() as u64, ..*chain };
        let kept = if how & TORN != 0 { bytes.len() / 2 } else { bytes.len() };
        let fits = position + bytes.len() <= JOURNAL_BYTES_MAX;
        if how & MISSING == 0 && fits {
            self.put(self.path(6), position, &bytes[..kept]);
        }
    }

    fn write_superblock(&mut self, input: &mut Input<'_>) {
        let (sequence, block, how) = (input.u8(), input.u8(), input.u8());
        let chain = &mut self.chains[self.journal];
        chain.generation += 1;
        let (tail, tail_position) = match how & HERE {
            0 => {
                let tail = Link { salt: SALT, sequence: u64::from(sequence), previous_crc: 0 };
                (tail, FRAMES_FROM + u64::from(block % 64) * BLOCK as u64)
            }
            _ => (chain.link, chain.position),
        };
        let superblock = Superblock { shard: 0, generation: chain.generation, tail_position, tail };
        let mut bytes = superblock.encode();
        if how & BAD_CRC != 0 {
            bytes[20] ^= 1;
        }
        self.put(self.path(6), superblock.copy_index() * BLOCK, &bytes);
    }

    fn into_files(mut self) -> Files {
        for (points, selector) in [(&self.points, 7), (&self.starts, 8)] {
            if points.iter().next().is_some() {
                self.files.insert(path_of(selector, 0, 0, Offset::ZERO), points.write());
            }
        }
        for (path, bytes) in &mut self.files {
            // A journal is prewritten in whole blocks.
            if path.extension().is_some_and(|e| e == "journal") {
                bytes.resize(bytes.len().next_multiple_of(BLOCK).max(FRAMES_FROM as usize + BLOCK), 0);
            }
        }
        self.files
    }
}

fn at(offset: Offset, step: i8) -> Offset {
    Offset(offset.0.saturating_add(i64::from(step)).max(0))
}
