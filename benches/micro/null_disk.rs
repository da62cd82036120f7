//! A disk that takes no time and keeps nothing, so that what is done before a write can be measured alone.

use std::{io, path::Path};

use engine::disk::{Disk, Flush};
use model::Timestamp;
use rt::pages::Blocks;

#[derive(Clone)]
pub(crate) struct NullDisk {
    /// How long each file says it is.
    pub(crate) file_bytes: u64,
}

impl Disk for NullDisk {
    type File = ();

    async fn open(&self, _: &Path, _: bool) -> io::Result<()> {
        Ok(())
    }
    async fn file_bytes(&self, (): &()) -> io::Result<u64> {
        Ok(self.file_bytes)
    }
    async fn read(&self, (): &(), _: u64, into: Blocks) -> io::Result<usize> {
        into.fill_from(&vec![0; into.len()]);
        Ok(into.len())
    }
    async fn write(&self, (): &(), _: u64, from: Vec<Blocks>, _: Flush) -> io::Result<()> {
        std::hint::black_box(from);
        Ok(())
    }
    async fn flush(&self, (): &()) -> io::Result<()> {
        Ok(())
    }
    async fn flush_everything(&self, (): &()) -> io::Result<()> {
        Ok(())
    }
    async fn allocate(&self, (): &(), _: u64, _: u64) -> io::Result<()> {
        Ok(())
    }
    async fn truncate(&self, (): &(), _: u64) -> io::Result<()> {
        Ok(())
    }
    async fn create_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
    async fn flush_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
    async fn list(&self, _: &Path) -> io::Result<Vec<String>> {
        Ok(vec![])
    }
    async fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        Ok(())
    }
    async fn remove(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
    async fn remove_aside(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
    async fn modified(&self, _: &Path) -> io::Result<Timestamp> {
        Ok(Timestamp(0))
    }
    async fn remove_dir_all(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
    async fn read_small(&self, _: &Path, _: usize) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
    async fn replace_small(&self, _: &Path, _: Vec<u8>) -> io::Result<()> {
        Ok(())
    }
    async fn write_small(&self, _: &Path, _: Vec<u8>) -> io::Result<()> {
        Ok(())
    }
}
