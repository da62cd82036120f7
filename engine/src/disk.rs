//! The only door between the engine and a disk. Everything above is generic over it, with static dispatch: the ring
//! disk does the real work, the memory disk is the cruel one of the tests.
//!
//! Data files are written with aligned blocks (O_DIRECT). `*_small` is for Kafka's little text and index files.

use std::{future::Future, io, path::Path};

use model::Timestamp;
use rt::pages::Blocks;

mod figures;
pub mod mem;
pub mod ring;

pub use figures::DiskFigures;

/// What a write waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flush {
    /// The device has it; a power cut may still take it.
    No,
    /// On stable storage, with everything needed to find it again (RWF_DSYNC).
    Dsync,
}

/// How large the file system of a folder is, and how much of it may still be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Space {
    pub total_bytes: u64,
    pub usable_bytes: u64,
}

pub trait Disk: Clone + 'static {
    type File: Clone + 'static;

    /// Opens for reading and writing; `create` makes it if it is not there. The name is durable only after `flush_dir`.
    fn open(&self, path: &Path, create: bool) -> impl Future<Output = io::Result<Self::File>>;
    fn file_bytes(&self, file: &Self::File) -> impl Future<Output = io::Result<u64>>;
    /// Fills `into` from `at`; fewer bytes only at the end of the file.
    fn read(&self, file: &Self::File, at: u64, into: Blocks) -> impl Future<Output = io::Result<usize>>;
    /// Writes all of `from`, one after another. An error leaves the range undefined.
    fn write(
        &self,
        file: &Self::File,
        at: u64,
        from: Vec<Blocks>,
        flush: Flush,
    ) -> impl Future<Output = io::Result<()>>;
    /// Makes all *completed* writes of this file durable (fdatasync).
    fn flush(&self, file: &Self::File) -> impl Future<Output = io::Result<()>>;
    /// Makes all completed writes and names of the whole file system durable: one call for a thousand files.
    /// `anchor` is any file of the data directory; its device cache is flushed last.
    fn flush_everything(&self, anchor: &Self::File) -> impl Future<Output = io::Result<()>>;
    /// Reserves space, so that a full disk shows here and not in a write.
    fn allocate(&self, file: &Self::File, from: u64, bytes: u64) -> impl Future<Output = io::Result<()>>;
    fn truncate(&self, file: &Self::File, bytes: u64) -> impl Future<Output = io::Result<()>>;

    fn create_dir(&self, path: &Path) -> impl Future<Output = io::Result<()>>;
    fn flush_dir(&self, path: &Path) -> impl Future<Output = io::Result<()>>;
    /// File names in a directory, sorted; a directory's name ends in `/`.
    fn list(&self, path: &Path) -> impl Future<Output = io::Result<Vec<String>>>;
    fn rename(&self, from: &Path, to: &Path) -> impl Future<Output = io::Result<()>>;
    fn remove(&self, path: &Path) -> impl Future<Output = io::Result<()>>;
    /// As `remove`, for a file whose blocks may take long to free: nobody but others of its kind waits for it.
    fn remove_aside(&self, path: &Path) -> impl Future<Output = io::Result<()>>;
    /// When a file was written last.
    fn modified(&self, path: &Path) -> impl Future<Output = io::Result<Timestamp>>;
    fn remove_dir_all(&self, path: &Path) -> impl Future<Output = io::Result<()>>;

    /// A whole little file, refused above `bytes_max`.
    fn read_small(&self, path: &Path, bytes_max: usize) -> impl Future<Output = io::Result<Vec<u8>>>;
    /// Replaces a little file: after a crash the old or the new one is there, whole. Durable on return.
    fn replace_small(&self, path: &Path, bytes: Vec<u8>) -> impl Future<Output = io::Result<()>>;
    /// A disk that knows no limits need not answer.
    fn space(&self, _path: &Path) -> impl Future<Output = io::Result<Space>> {
        std::future::ready(Err(io::ErrorKind::Unsupported.into()))
    }

    /// Writes a little file that can be rebuilt (an index): not durable, not atomic.
    fn write_small(&self, path: &Path, bytes: Vec<u8>) -> impl Future<Output = io::Result<()>>;

    /// What it has done so far; a disk that counts nothing says nothing.
    fn figures(&self) -> Option<DiskFigures> {
        None
    }
}

/// Is the disk full (and will the same call work again once there is room)?
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
