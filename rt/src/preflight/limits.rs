//! Limits of this process and of the system.
#![allow(unsafe_code)]

use std::{fs, io};

/// Raises the soft limit of open files to the hard one and returns it.
pub(super) fn raise_open_files() -> io::Result<u64> {
    let mut limit = read(libc::RLIMIT_NOFILE)?;
    if limit.rlim_cur < limit.rlim_max {
        limit.rlim_cur = limit.rlim_max;
        // SAFETY: `limit` is a valid limit and lives for the call.
        let status = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) };
        if status != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(limit.rlim_cur)
}

/// Bytes that may be locked; `u64::MAX`: any.
pub(super) fn memlock() -> io::Result<u64> {
    Ok(read(libc::RLIMIT_MEMLOCK)?.rlim_cur)
}

/// The limit does not hold for a process with CAP_IPC_LOCK.
pub(super) fn may_lock_without_limit() -> bool {
    const CAP_IPC_LOCK: u32 = 14;
    let bits = status("CapEff:").and_then(|hex| u64::from_str_radix(&hex, 16).ok());
    bits.is_some_and(|bits| bits >> CAP_IPC_LOCK & 1 == 1)
}

/// A seccomp filter stands between this process and the kernel, and may answer in its place.
pub(super) fn filtered() -> bool {
    status("Seccomp:").is_some_and(|mode| mode == "2")
}

fn status(key: &str) -> Option<String> {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix(key)).map(|value| value.trim().to_owned())
}

/// The largest receive buffer a socket may ask for; 0 when the system does not say.
pub(super) fn receive_buffer_max() -> u64 {
    let text = fs::read_to_string("/proc/sys/net/core/rmem_max").unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

pub(super) fn kernel_release() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    text.trim().to_owned()
}

fn read(resource: libc::__rlimit_resource_t) -> io::Result<libc::rlimit> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is writable and lives for the call.
    let status = unsafe { libc::getrlimit(resource, &mut limit) };
    if status != 0 { Err(io::Error::last_os_error()) } else { Ok(limit) }
}
