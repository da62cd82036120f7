//! SIGTERM and SIGINT as a future. The second signal ends the process at once, from the handler itself, so that it
//! works also when every shard is stuck.
#![allow(unsafe_code)]

use std::{
    fmt, io, mem,
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd},
    ptr,
    sync::{
        OnceLock,
        atomic::{AtomicI32, Ordering},
    },
};

use crate::{fd::Fd, ring::Ring};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    Terminate,
    Interrupt,
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
        })
    }
}

/// Becomes readable with the first signal and stays so.
static ARRIVED: OnceLock<OwnedFd> = OnceLock::new();
/// `ARRIVED`, for the handler, which must not touch a lock.
static ARRIVED_RAW: AtomicI32 = AtomicI32::new(-1);
/// The first signal's number; 0 before.
static FIRST: AtomicI32 = AtomicI32::new(0);

/// Takes the signals over, for the whole process. To be called before the shards start, so that a signal during the
/// start is not lost; a second call does nothing.
pub fn install() -> io::Result<()> {
    if ARRIVED.get().is_some() {
        return Ok(());
    }
    // SAFETY: takes two numbers.
    let raw = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    if raw < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a fresh descriptor that nobody else owns.
    let owned = unsafe { OwnedFd::from_raw_fd(raw) };
    let kept = ARRIVED.get_or_init(|| owned);
    ARRIVED_RAW.store(kept.as_raw_fd(), Ordering::Release);
    handle(libc::SIGTERM)?;
    handle(libc::SIGINT)
}

/// The first signal, on whichever shard asks; also one that has come already.
pub async fn termination(ring: &Ring) -> io::Result<Signal> {
    install()?;
    let arrived = ARRIVED.get().expect("installed").as_fd().try_clone_to_owned()?;
    ring.poll(&Fd::new(arrived), libc::POLLIN).await?;
    Ok(self::arrived().unwrap_or(Signal::Terminate))
}

/// The first signal, if one has come.
pub(crate) fn arrived() -> Option<Signal> {
    match FIRST.load(Ordering::Acquire) {
        0 => None,
        libc::SIGINT => Some(Signal::Interrupt),
        _ => Some(Signal::Terminate),
    }
}

/// Readable once a signal has come, and never closed. Only after `install`.
pub(crate) fn descriptor() -> RawFd {
    ARRIVED.get().expect("installed").as_raw_fd()
}

fn handle(signal: libc::c_int) -> io::Result<()> {
    // SAFETY: an action is plain numbers, and all zeroes is the default one.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = on_signal as *const () as libc::sighandler_t;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: `action` lives for the call, and `on_signal` has the signature of a plain handler.
    let status = unsafe { libc::sigaction(signal, &action, ptr::null_mut()) };
    if status != 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Only what is allowed in a signal handler: atomics, `write` and `_exit`. Leaves `errno` as it was.
extern "C" fn on_signal(signal: libc::c_int) {
    if FIRST.compare_exchange(0, signal, Ordering::AcqRel, Ordering::Relaxed).is_err() {
        // SAFETY: `_exit` may be called in a handler.
        unsafe { libc::_exit(128 + signal) };
    }
    // SAFETY: this thread's own `errno`.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let before = unsafe { errno.read() };
    let one = 1u64;
    // SAFETY: eight readable bytes; the descriptor is never closed. A failure leaves nothing to be done.
    unsafe { libc::write(ARRIVED_RAW.load(Ordering::Acquire), ptr::from_ref(&one).cast(), 8) };
    // SAFETY: as above.
    unsafe { errno.write(before) };
}
