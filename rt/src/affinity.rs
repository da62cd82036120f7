//! Which cores this process may use, and binding a thread to one of them.
#![allow(unsafe_code)]

use std::{io, mem};

/// The cores the scheduler may give us (cgroup and `taskset` included), in ascending order.
pub(crate) fn allowed_cores() -> io::Result<Vec<usize>> {
    // SAFETY: a CPU set is plain bits, and all zeroes is the empty set.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: `set` is writable and its size is the one given; 0 means the calling thread.
    let status = unsafe { libc::sched_getaffinity(0, mem::size_of_val(&set), &mut set) };
    if status != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `core` stays below the number of bits in the set.
    let has = |core: &usize| unsafe { libc::CPU_ISSET(*core, &set) };
    Ok((0..libc::CPU_SETSIZE as usize).filter(has).collect())
}

/// Binds the calling thread.
pub(crate) fn bind_to(core: usize) -> io::Result<()> {
    assert!(core < libc::CPU_SETSIZE as usize);
    // SAFETY: as above.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: `core` is below the number of bits in the set.
    unsafe { libc::CPU_SET(core, &mut set) };
    // SAFETY: `set` is readable and its size is the one given; 0 means the calling thread.
    let status = unsafe { libc::sched_setaffinity(0, mem::size_of_val(&set), &set) };
    if status != 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;

    #[test]
    fn a_thread_can_bind_to_each_core_it_is_allowed() {
        for core in allowed_cores().unwrap() {
            std::thread::spawn(move || {
                bind_to(core).unwrap();
                assert_eq!(allowed_cores().unwrap(), [core]);
            })
            .join()
            .unwrap();
        }
    }
}
