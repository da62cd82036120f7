//! The real disk: aligned IO through the shard's ring, names and little files on the executor's blocking pool.

use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use rt::{
    blocking,
    file::{self, Access, File},
    pages::Blocks,
    ring::{self, Ring},
};

use super::{Disk, Flush, Space};

#[derive(Clone)]
pub struct RingDisk {
    ring: Ring,
}

impl RingDisk {
    pub fn new(ring: Ring) -> Self {
        Self { ring }
    }
}

impl Disk for RingDisk {
    type File = File;

    async fn open(&self, path: &Path, create: bool) -> io::Result<File> {
        File::open(path, if create { Access::Create } else { Access::ReadWrite }).await
    }

    async fn file_bytes(&self, file: &File) -> io::Result<u64> {
        file.len().await
    }

    async fn read(&self, file: &File, at: u64, into: Blocks) -> io::Result<usize> {
        self.ring.read(file, at, into).await
    }

    async fn write(&self, file: &File, at: u64, from: Vec<Blocks>, flush: Flush) -> io::Result<()> {
        let flush = match flush {
            Flush::No => ring::Flush::No,
            Flush::Dsync => ring::Flush::Dsync,
        };
        self.ring.write(file, at, from, flush).await
    }

    async fn flush(&self, file: &File) -> io::Result<()> {
        self.ring.fdatasync(file).await
    }

    /// syncfs writes the file system's own journal; only the flush of a file behind it surely reaches through the
    /// device's cache on every file system.
    async fn flush_everything(&self, anchor: &File) -> io::Result<()> {
        file::sync_fs(anchor.path()).await?;
        anchor.sync_all().await
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
