//! System calls on files that the standard library lacks. They block.
#![allow(unsafe_code)]

use std::{
    ffi::CString,
    fs, io,
    mem::MaybeUninit,
    os::{fd::AsRawFd, unix::ffi::OsStrExt},
    path::Path,
};

use super::Space;

pub(super) fn allocate(file: &fs::File, from: u64, len: u64) -> io::Result<()> {
    let too_large = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let (from, len) = (from.try_into().map_err(too_large)?, len.try_into().map_err(too_large)?);
    // SAFETY: takes numbers only, and the descriptor is open for the whole call.
    let status = unsafe { libc::fallocate(file.as_raw_fd(), 0, from, len) };
    checked(status)
}

pub(super) fn sync_fs(file: &fs::File) -> io::Result<()> {
    // SAFETY: takes a descriptor, which is open for the whole call.
    let status = unsafe { libc::syncfs(file.as_raw_fd()) };
    checked(status)
}

pub(super) fn space(file: &fs::File) -> io::Result<Space> {
    let mut stat = MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the descriptor is open for the whole call, and `stat` is memory of the type that is written to it.
    checked(unsafe { libc::fstatvfs(file.as_raw_fd(), stat.as_mut_ptr()) })?;
    // SAFETY: the call above succeeded, so it has filled every field.
    let stat = unsafe { stat.assume_init() };
    let bytes = |blocks: libc::fsblkcnt_t| blocks.saturating_mul(stat.f_frsize);
    Ok(Space { total_bytes: bytes(stat.f_blocks), usable_bytes: bytes(stat.f_bavail) })
}

pub(super) fn exchange(left: &Path, right: &Path) -> io::Result<()> {
    let name = |path: &Path| CString::new(path.as_os_str().as_bytes());
    let (left, right, here) = (name(left)?, name(right)?, libc::AT_FDCWD);
    // SAFETY: both are strings that end with a zero and live for the whole call.
    let status = unsafe { libc::renameat2(here, left.as_ptr(), here, right.as_ptr(), libc::RENAME_EXCHANGE) };
    checked(status)
}

fn checked(status: i32) -> io::Result<()> {
    if status != 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
