//! The real disk: aligned IO through the shard's ring, names and little files on the executor's blocking pool.

use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    rc::Rc,
    time::{Instant, UNIX_EPOCH},
};

use model::Timestamp;
use rt::{
    blocking,
    file::{self, Access, File},
    pages::Blocks,
    ring::{self, Ring},
};

use super::{Disk, DiskFigures, Flush, Space, figures::DiskCounts};

#[derive(Clone)]
pub struct RingDisk {
    ring: Ring,
    counts: Rc<DiskCounts>,
}

impl RingDisk {
    pub fn new(ring: Ring) -> Self {
        Self { ring, counts: Rc::default() }
    }
}

impl Disk for RingDisk {
    type File = File;

    async fn open(&self, path: &Path, create: bool) -> io::Result<File> {
        File::open(path, if create { Access::Create } else { Access::ReadWrite }).await
    }

    async fn file_bytes(&self, file: &File) -> io::Result<u64> {
        file.size()
    }

    async fn read(&self, file: &File, at: u64, into: Blocks) -> io::Result<usize> {
        let began = Instant::now();
        let read = self.ring.read(file, at, into).await;
        self.counts.read(began.elapsed(), read.as_ref().copied().unwrap_or(0));
        read
    }

    async fn write(&self, file: &File, at: u64, from: Vec<Blocks>, flush: Flush) -> io::Result<()> {
        let (began, bytes) = (Instant::now(), from.iter().map(Blocks::len).sum());
        let in_ring = match flush {
            Flush::No => ring::Flush::No,
            Flush::Dsync => ring::Flush::Dsync,
        };
        let written = self.ring.write(file, at, from, in_ring).await;
        self.counts.written(began.elapsed(), bytes, flush);
        written
    }

    async fn flush(&self, file: &File) -> io::Result<()> {
        let began = Instant::now();
        let flushed = self.ring.fdatasync(file).await;
        self.counts.flushed(began.elapsed());
        flushed
    }

    /// syncfs writes the file system's own journal; only the flush of a file behind it surely reaches through the
    /// device's cache on every file system.
    async fn flush_everything(&self, anchor: &File) -> io::Result<()> {
        let began = Instant::now();
        file::sync_fs(anchor.path()).await?;
        let flushed = anchor.sync_all().await;
        self.counts.flushed(began.elapsed());
        flushed
    }

    async fn allocate(&self, file: &File, from: u64, bytes: u64) -> io::Result<()> {
        self.ring.allocate(file, from, bytes).await
    }

    async fn truncate(&self, file: &File, bytes: u64) -> io::Result<()> {
        // The open file, not its name: another file may have that by now.
        file.truncate_exact(bytes).await
    }

    async fn create_dir(&self, path: &Path) -> io::Result<()> {
        file::create_dir(path).await
    }

    async fn flush_dir(&self, path: &Path) -> io::Result<()> {
        file::sync_dir(path).await
    }

    async fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let path = path.to_owned();
        blocking(move || names_in(&path)).await
    }

    async fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        file::rename(from, to).await
    }

    async fn remove(&self, path: &Path) -> io::Result<()> {
        file::remove(path).await
    }

    async fn remove_aside(&self, path: &Path) -> io::Result<()> {
        file::remove_aside(path).await
    }

    async fn modified(&self, path: &Path) -> io::Result<Timestamp> {
        let path = path.to_owned();
        let modified = blocking(move || fs::metadata(path)?.modified()).await?;
        // A file from before 1970 is as old as a file can be.
        let age = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Timestamp(age.as_millis().try_into().unwrap_or(i64::MAX)))
    }

    async fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        let path = path.to_owned();
        blocking(move || fs::remove_dir_all(path)).await
    }

    async fn space(&self, path: &Path) -> io::Result<Space> {
        let file::Space { total_bytes, usable_bytes } = file::space(path).await?;
        Ok(Space { total_bytes, usable_bytes })
    }

    async fn read_small(&self, path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
        let path = path.to_owned();
        blocking(move || read_bounded(&path, bytes_max)).await
    }

    async fn replace_small(&self, path: &Path, bytes: Vec<u8>) -> io::Result<()> {
        let path = path.to_owned();
        blocking(move || replace(&path, &bytes)).await
    }

    async fn write_small(&self, path: &Path, bytes: Vec<u8>) -> io::Result<()> {
        let path = path.to_owned();
        blocking(move || fs::write(path, bytes)).await
    }

    fn figures(&self) -> Option<DiskFigures> {
        Some(self.counts.figures(self.ring.submits(), self.ring.in_flight()))
    }
}

fn names_in(path: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        // A name that is not text is none of ours.
        let Ok(mut name) = entry.file_name().into_string() else { continue };
        if entry.file_type()?.is_dir() {
            name.push('/');
        }
        names.push(name);
    }
    names.sort();
    Ok(names)
}

fn read_bounded(path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(bytes_max as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > bytes_max {
        let why = format!("{} is larger than it may be", path.display());
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    Ok(bytes)
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut temporary = PathBuf::from(path).into_os_string();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    let mut file = fs::File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    match path.parent() {
        Some(dir) => fs::File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}
