//! Child processes that end with this one, and waiting for their end. Blocking: for a main thread that has no shard.
#![allow(unsafe_code)]

use std::{
    io,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
        unix::process::CommandExt,
    },
    process::{Child, Command, ExitStatus},
    ptr,
    time::Duration,
};

use crate::signal::{self, Signal};

/// A process that the kernel kills when the thread that started it ends, whatever ends it.
#[derive(Debug)]
pub struct TiedChild {
    child: Child,
    /// Readable once the process has ended. Names this process and no later one of the same number.
    process: OwnedFd,
}

impl TiedChild {
    /// In a process group of its own: a terminal's Ctrl-C is for this process, which then says what shall happen.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        command.process_group(0);
        let parent = std::process::id();
        let tie = move || tie_to(parent);
        // SAFETY: between fork and exec it makes two system calls, and neither allocates nor takes a lock.
        unsafe { command.pre_exec(tie) };
        let mut child = command.spawn()?;
        match process_of(&child) {
            Ok(process) => Ok(Self { child, process }),
            Err(error) => {
                child.kill()?;
                child.wait()?;
                Err(error)
            }
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop, with SIGTERM. One that has ended already is none to ask.
    pub fn terminate(&self) -> io::Result<()> {
        let nothing = ptr::null::<libc::siginfo_t>();
        let (process, signal) = (self.process.as_raw_fd(), libc::SIGTERM);
        // SAFETY: the descriptor is open for the whole call; no information is passed.
        let status = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, process, signal, nothing, 0) };
        let error = io::Error::last_os_error();
        if status != 0 && error.raw_os_error() != Some(libc::ESRCH) { Err(error) } else { Ok(()) }
    }

    /// `None` while it runs.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }
}

/// Runs in the child. A parent that ended before it asked would never be noticed.
fn tie_to(parent: u32) -> io::Result<()> {
    // SAFETY: takes numbers only.
    let status = unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    if status != 0 {
        return Err(io::Error::last_os_error());
    }
    if std::os::unix::process::parent_id() != parent {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    Ok(())
}

fn process_of(child: &Child) -> io::Result<OwnedFd> {
    // SAFETY: takes two numbers.
    let raw = unsafe { libc::syscall(libc::SYS_pidfd_open, child.id(), 0) };
    if raw < 0 {
        return Err(io::Error::last_os_error());
    }
    let raw = RawFd::try_from(raw).map_err(io::Error::other)?;
    // SAFETY: a fresh descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Returns when one of `children` has ended, when this process is told to end (now or before; see `signal::install`), or
/// after `limit`.
pub fn wait_for_any<'a>(
    children: impl IntoIterator<Item = &'a TiedChild>,
    limit: Option<Duration>,
) -> io::Result<Option<Signal>> {
    signal::install()?;
    if let Some(signal) = signal::arrived() {
        return Ok(Some(signal));
    }
    wait_for_ends(children, Some(signal::descriptor()), limit)?;
    Ok(signal::arrived())
}

/// The same for a process that ends already: a signal does not cut the wait.
pub fn wait_for_end<'a>(
    children: impl IntoIterator<Item = &'a TiedChild>,
    limit: Option<Duration>,
) -> io::Result<()> {
    wait_for_ends(children, None, limit)
}

fn wait_for_ends<'a>(
    children: impl IntoIterator<Item = &'a TiedChild>,
    signal: Option<RawFd>,
    limit: Option<Duration>,
) -> io::Result<()> {
    let descriptors = children.into_iter().map(|child| child.process.as_raw_fd()).chain(signal);
    let mut polled: Vec<libc::pollfd> =
        descriptors.map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 }).collect();
    let limit_ms = limit.map_or(-1, |limit| i32::try_from(limit.as_millis()).unwrap_or(i32::MAX));
    // SAFETY: as many writable entries as it is told; the descriptors are open for the whole call.
    let ready = unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, limit_ms) };
    match io::Error::last_os_error() {
        // The signal that cut the wait may be the one that is asked about.
        error if ready < 0 && error.kind() != io::ErrorKind::Interrupted => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::process::ExitStatusExt, process::Stdio};

    use super::*;

    const LIMIT: Option<Duration> = Some(Duration::from_secs(30));

    fn shell(script: &str) -> TiedChild {
        let mut command = Command::new("sh");
        TiedChild::start(command.args(["-c", script]).stdin(Stdio::null())).unwrap()
    }

    fn status_of(child: &mut TiedChild) -> ExitStatus {
        wait_for_end([&*child], LIMIT).unwrap();
        child.ended().unwrap().unwrap()
    }

    #[test]
    fn an_end_is_noticed() {
        let mut child = shell("exit 3");
        assert_eq!(status_of(&mut child).code(), Some(3));
        child.terminate().unwrap();
    }

    #[test]
    fn a_child_that_is_asked_ends() {
        let mut child = shell("exec sleep 100");
        assert!(child.ended().unwrap().is_none());
        wait_for_end([&child], Some(Duration::from_millis(1))).unwrap();
        assert!(child.ended().unwrap().is_none());
        child.terminate().unwrap();
        assert_eq!(status_of(&mut child).signal(), Some(libc::SIGTERM));
    }

    #[test]
    fn a_child_ends_with_the_thread_that_started_it() {
        let mut child = std::thread::spawn(|| shell("exec sleep 100")).join().unwrap();
        assert_eq!(status_of(&mut child).signal(), Some(libc::SIGKILL));
    }
}
