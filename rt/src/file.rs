//! Files opened with O_DIRECT, and the calls that may block, which run on the shard's blocking pool.
//!
//! Reading and writing is the ring's business (`Ring::read`, `Ring::write`). Nothing here asks the file system for
//! its alignment: everything is aligned to `pages::BLOCK`.

use std::{
    ffi::OsString,
    fs, io,
    os::{fd::AsFd, unix::fs::OpenOptionsExt},
    path::{Path, PathBuf},
    rc::Rc,
};

use crate::{
    blocking::{blocking, blocking_aside},
    fd::Fd,
    pages::BLOCK,
};

mod calls;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    Read,
    ReadWrite,
    /// As `ReadWrite`; the file is made when it is not there.
    Create,
}

/// An open file. Clones are the same descriptor, which is closed with the last of them and of the operations in
/// flight.
#[derive(Clone, Debug)]
pub struct File(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    fd: Fd,
    path: PathBuf,
}

impl File {
    /// Fails with `InvalidInput` where the file system has no O_DIRECT.
    pub async fn open(path: impl Into<PathBuf>, access: Access) -> io::Result<Self> {
        let path = path.into();
        let to_open = path.clone();
        let file = blocking(move || open_direct(&to_open, access)).await?;
        Ok(Self(Rc::new(Inner { fd: Fd::new(file), path })))
    }

    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// At once: what the kernel keeps of an open file it reads from no disk.
    pub fn size(&self) -> io::Result<u64> {
        let file = fs::File::from(self.0.fd.as_fd().try_clone_to_owned()?);
        Ok(file.metadata()?.len())
    }

    /// Cuts or extends the file. Misaligned lengths are refused: the rest of the block could not be written after.
    pub async fn truncate(&self, len: u64) -> io::Result<()> {
        if !len.is_multiple_of(BLOCK as u64) {
            let text = format!("length {len} is not a multiple of {BLOCK}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        self.with_file(move |file| file.set_len(len)).await
    }

    /// Cuts the file to any length. Who writes behind it again writes its last block whole.
    pub async fn truncate_exact(&self, len: u64) -> io::Result<()> {
        self.with_file(move |file| file.set_len(len)).await
    }

    /// As `Ring::fdatasync`, with the file's length and times too.
    pub async fn sync_all(&self) -> io::Result<()> {
        self.with_file(|file| file.sync_all()).await
    }

    pub(crate) fn fd(&self) -> &Fd {
        &self.0.fd
    }

    /// `None` when a clone exists.
    pub(crate) fn into_fd(self) -> Option<Fd> {
        Rc::into_inner(self.0).map(|inner| inner.fd)
    }

    async fn with_file<T: Send + 'static>(
        &self,
        call: impl FnOnce(fs::File) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        // A descriptor of its own, so that the call may outlive this file.
        let file = fs::File::from(self.0.fd.as_fd().try_clone_to_owned()?);
        blocking(move || call(file)).await
    }
}

fn open_direct(path: &Path, access: Access) -> io::Result<fs::File> {
    fs::OpenOptions::new()
        .read(true)
        .write(access != Access::Read)
        .create(access == Access::Create)
        .custom_flags(libc::O_DIRECT)
        .open(path)
}

pub(crate) async fn allocate_blocking(file: &File, from: u64, len: u64) -> io::Result<()> {
    file.with_file(move |file| calls::allocate(&file, from, len)).await
}

pub async fn rename(from: impl Into<PathBuf>, to: impl Into<PathBuf>) -> io::Result<()> {
    let (from, to) = (from.into(), to.into());
    blocking(move || fs::rename(from, to)).await
}

pub async fn remove(path: impl Into<PathBuf>) -> io::Result<()> {
    let path = path.into();
    blocking(move || fs::remove_file(path)).await
}

/// As `remove`, for a file whose blocks may take long to free: other calls do not wait for it.
pub async fn remove_aside(path: impl Into<PathBuf>) -> io::Result<()> {
    let path = path.into();
    blocking_aside(move || fs::remove_file(path)).await
}

/// With everything in it, which may take seconds: other calls do not wait for it.
pub async fn remove_dir(path: impl Into<PathBuf>) -> io::Result<()> {
    let path = path.into();
    blocking_aside(move || fs::remove_dir_all(path)).await
}

/// With its parents; fine if it is there.
pub async fn create_dir(path: impl Into<PathBuf>) -> io::Result<()> {
    let path = path.into();
    blocking(move || fs::create_dir_all(path)).await
}

/// The names in a directory, sorted.
pub async fn list_dir(path: impl Into<PathBuf>) -> io::Result<Vec<OsString>> {
    let path = path.into();
    blocking(move || {
        let names: io::Result<Vec<_>> = fs::read_dir(path)?.map(|entry| Ok(entry?.file_name())).collect();
        names.map(|mut names| {
            names.sort();
            names
        })
    })
    .await
}

pub async fn exists(path: impl Into<PathBuf>) -> io::Result<bool> {
    let path = path.into();
    blocking(move || fs::exists(path)).await
}

/// Makes names durable: files created, renamed or removed in this directory.
pub async fn sync_dir(path: impl Into<PathBuf>) -> io::Result<()> {
    let path = path.into();
    blocking(move || fs::File::open(path)?.sync_all()).await
}

/// How large a file system is, and how much of it this process may still use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Space {
    pub total_bytes: u64,
    pub usable_bytes: u64,
}

/// Of the file system that holds `path`.
pub async fn space(path: impl Into<PathBuf>) -> io::Result<Space> {
    let path = path.into();
    blocking(move || calls::space(&fs::File::open(path)?)).await
}

/// Makes everything durable on the file system that holds `path`: one call instead of one for each file.
pub async fn sync_fs(path: impl Into<PathBuf>) -> io::Result<()> {
    let path = path.into();
    blocking(move || calls::sync_fs(&fs::File::open(path)?)).await
}

/// Swaps what two names of one file system stand for, at once: after a crash it is either done or not. Blocks, and is not
/// durable before both directories are.
pub fn exchange(left: &Path, right: &Path) -> io::Result<()> {
    calls::exchange(left, right)
}
