//! The shard's own io_uring, beside the executor's, for all that touches files and for what sockets need beyond a
//! plain system call. One per shard; it belongs to the thread that started it.
//!
//! The one rule, kept by `slots` and `request`: whatever the kernel may touch belongs to the operation until its last
//! completion, never to the future. So every future here may be dropped at any time. A write that was dropped may
//! still reach the disk.
//!
//! Completion order is not submission order. A flush covers only the writes that had *completed* before it began.

mod caps;
mod core;
pub(crate) mod message;
mod request;
mod slots;
mod wake;

#[cfg(all(test, not(miri)))]
mod tests;

use std::{
    fmt, io,
    os::fd::AsRawFd,
    ptr::NonNull,
    rc::{Rc, Weak},
};

use io_uring::{IoUring, Probe, opcode};

pub use caps::Caps;

use self::core::Core;
use crate::{
    blocking, eventfd, executor,
    fd::Fd,
    file::{self, File},
    pages::{BLOCK, Blocks, PagePool, Slab, SlabWatch},
};
use message::{Message, VECTORS_MAX};
use request::Request;

/// The most buffers the kernel lets a ring register.
const SLABS_MAX: usize = 1 << 14;

#[derive(Clone, Debug)]
pub struct RingOptions {
    /// Operations submitted with one system call. More are submitted earlier.
    pub entries: u32,
    /// Room for completions. At most half of it are storage operations in flight; the rest is for sockets.
    pub completions: u32,
    /// What may be used of what the kernel offers.
    pub allow: Caps,
}

impl Default for RingOptions {
    fn default() -> Self {
        Self { entries: 256, completions: 4096, allow: Caps::ALL }
    }
}

/// What a write promises when it returns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flush {
    /// The device has the bytes, perhaps in a volatile cache.
    No,
    /// As `fdatasync` after it, for these bytes.
    Dsync,
}

impl Flush {
    fn rw_flags(self) -> i32 {
        match self {
            Self::No => 0,
            Self::Dsync => libc::RWF_DSYNC,
        }
    }
}

#[derive(Clone)]
pub struct Ring(Rc<Core>);

impl Ring {
    /// To be called inside an executor; spawns the ring's two tasks there. A ring that is not shut down lives as
    /// long as its executor.
    pub fn start(options: RingOptions) -> io::Result<Self> {
        assert!(options.entries.is_power_of_two() && options.completions.is_power_of_two());
        assert!(options.completions >= 2 * options.entries);
        let mut caps = options.allow;
        let uring = build(&options, &mut caps)?;
        probe(&uring, &mut caps)?;
        let eventfd = eventfd::make()?;
        uring.submitter().register_eventfd(eventfd.as_raw_fd())?;
        let core = Rc::new(Core::new(uring, caps, options.completions as usize / 2));
        executor::spawn_uncounted(core.clone().run_flusher());
        executor::spawn_uncounted(wake::run(core.clone(), eventfd));
        Ok(Self(core))
    }

    pub fn caps(&self) -> Caps {
        self.0.caps.get()
    }

    /// Operations whose last completion is still to come, those of dropped futures included.
    pub fn in_flight(&self) -> usize {
        self.0.in_flight()
    }

    /// System calls made to submit so far.
    pub fn submits(&self) -> u64 {
        self.0.submits()
    }

    /// Registers the pool's slabs, those to come too; one pool for each ring. When the system does not let us, IO goes on unregistered.
    pub fn adopt(&self, pool: &PagePool) {
        let slab_count = pool.slab_count_max().clamp(1, SLABS_MAX);
        if !self.caps().registered_pages {
            return;
        }
        if let Err(e) = self.0.register_table(slab_count) {
            return self.0.go_unregistered(&e);
        }
        self.0.slabs.borrow_mut().resize(slab_count, Registration::None);
        pool.watch(Rc::new(Registrar(Rc::downgrade(&self.0))));
    }

    /// Reads into `into`, which must come from `Page::whole`. Short only at the end of the file.
    pub async fn read(&self, file: &File, at: u64, into: Blocks) -> io::Result<usize> {
        refuse_misaligned(at)?;
        if !into.is_writable() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "these blocks are not for reading into"));
        }
        let mut done = 0;
        while done < into.len() {
            let rest = into.slice(done..into.len());
            let fixed = self.0.fixed_index(&rest);
            let count = self.0.perform(Request::read(file.fd(), at + done as u64, rest, fixed)).await?;
            done += count;
            // Whole blocks may be a short read of a longer file; anything else is its end.
            if count == 0 || !done.is_multiple_of(BLOCK) {
                break;
            }
        }
        Ok(done)
    }

    /// Writes all of `from`, in order, from `at`. After an error some of it may have been written, and with
    /// `Flush::Dsync` nothing must be taken for durable: never retry a failed flush.
    pub async fn write(&self, file: &File, at: u64, from: Vec<Blocks>, flush: Flush) -> io::Result<()> {
        refuse_misaligned(at)?;
        let in_one = if self.caps().durable_writes { flush } else { Flush::No };
        let total: usize = from.iter().map(Blocks::len).sum();
        let mut done = 0;
        while done < total {
            let rest = rest_after(&from, done);
            let count = self.0.perform(self.write_request(file.fd(), at + done as u64, rest, in_one)).await?;
            // A write may stop anywhere, but goes on at a block.
            let whole = (done + count) / BLOCK * BLOCK;
            if whole <= done {
                return Err(io::Error::new(io::ErrorKind::WriteZero, "the disk takes no more"));
            }
            done = whole;
        }
        if flush == in_one { Ok(()) } else { self.fdatasync(file).await }
    }

    fn write_request(&self, fd: &Fd, at: u64, mut from: Vec<Blocks>, flush: Flush) -> Request {
        if from.len() > 1 {
            return Request::write_vectored(fd, at, from, flush);
        }
        let from = from.pop().expect("something is left to write");
        let fixed = self.0.fixed_index(&from);
        Request::write(fd, at, from, flush, fixed)
    }

    pub async fn fdatasync(&self, file: &File) -> io::Result<()> {
        self.0.perform(Request::fdatasync(file.fd())).await.map(drop)
    }

    /// Makes room on disk; the file grows to `from + len` if it was shorter.
    pub async fn allocate(&self, file: &File, from: u64, len: u64) -> io::Result<()> {
        if self.caps().allocate {
            return self.0.perform(Request::allocate(file.fd(), from, len)).await.map(drop);
        }
        file::allocate_blocking(file, from, len).await
    }

    /// Through the ring and back.
    pub async fn nop(&self) -> io::Result<()> {
        self.0.perform(Request::nop()).await.map(drop)
    }

    /// Closes the file here and now unless somebody else still has it, and tells whether that went well.
    pub async fn close(&self, file: File) -> io::Result<()> {
        match file.into_fd().and_then(Fd::into_owned) {
            Some(fd) => self.0.perform(Request::close(fd)).await.map(drop),
            None => Ok(()),
        }
    }

    /// Waits until `fd` is ready for one of `events`, and returns for which.
    pub(crate) async fn poll(&self, fd: &Fd, events: i16) -> io::Result<i16> {
        self.0.perform(Request::poll(fd, events)).await.map(|ready| ready as i16)
    }

    pub(crate) async fn send(&self, fd: &Fd, message: Box<Message>, zero_copy: bool) -> io::Result<usize> {
        self.0.perform(Request::send(fd, message, zero_copy)).await
    }

    pub(crate) async fn connect(&self, fd: &Fd, address: socket2::SockAddr) -> io::Result<()> {
        self.0.perform(Request::connect(fd, address)).await.map(drop)
    }

    /// No operation begins after this; it returns when those in flight have ended.
    pub async fn shutdown(&self) {
        self.0.shutdown().await;
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ring({} in flight; {})", self.in_flight(), self.caps())
    }
}

fn refuse_misaligned(at: u64) -> io::Result<()> {
    if at.is_multiple_of(BLOCK as u64) {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("offset {at} is not a multiple of {BLOCK}")))
}

/// What one operation can carry of `blocks` after the first `done` bytes.
fn rest_after(blocks: &[Blocks], mut done: usize) -> Vec<Blocks> {
    let mut rest = Vec::with_capacity(blocks.len().min(VECTORS_MAX));
    for part in blocks {
        let skip = done.min(part.len());
        done -= skip;
        if skip < part.len() && rest.len() < VECTORS_MAX {
            rest.push(part.slice(skip..part.len()));
        }
    }
    rest
}

/// Builds the ring with as many of the wished flags as the kernel takes, newest dropped first.
fn build(options: &RingOptions, caps: &mut Caps) -> io::Result<IoUring> {
    loop {
        let mut builder = IoUring::builder();
        builder.setup_cqsize(options.completions);
        if caps.coop_taskrun {
            builder.setup_coop_taskrun();
        }
        if caps.single_issuer {
            builder.setup_single_issuer();
        }
        if caps.submit_all {
            builder.setup_submit_all();
        }
        match builder.build(options.entries) {
            Err(e) if e.raw_os_error() == Some(libc::EINVAL) && drop_newest_flag(caps) => {}
            outcome => return outcome,
        }
    }
}

fn drop_newest_flag(caps: &mut Caps) -> bool {
    for flag in [&mut caps.single_issuer, &mut caps.coop_taskrun, &mut caps.submit_all] {
        if std::mem::take(flag) {
            return true;
        }
    }
    false
}

fn probe(uring: &IoUring, caps: &mut Caps) -> io::Result<()> {
    let mut probe = Probe::new();
    uring.submitter().register_probe(&mut probe)?;
    caps.zero_copy &= probe.is_supported(opcode::SendMsgZc::CODE);
    caps.allocate &= probe.is_supported(opcode::Fallocate::CODE);
    Ok(())
}

/// Registers slabs as the pool makes them. Registering pins every page of a slab, and whoever needed one page of it
/// would wait milliseconds for the kernel to clear the thousand others. So that is done by the blocking pool, and until
/// then IO in the slab goes unregistered.
struct Registrar(Weak<Core>);

impl SlabWatch for Registrar {
    fn slab_made(&self, slab: Slab) {
        let Some(core) = self.0.upgrade() else { return };
        if !core.caps.get().registered_pages || slab.index() >= core.slabs.borrow().len() {
            return;
        }
        core.slabs.borrow_mut()[slab.index()] = Registration::Coming(slab.base());
        let ring = self.0.clone();
        executor::spawn_uncounted(async move {
            let populated = blocking::uncounted(move || {
                slab.populate();
                slab
            });
            let slab = populated.await;
            if let Some(core) = ring.upgrade() {
                core.register(&slab);
            }
        });
    }

    fn slab_gone(&self, index: usize) {
        let Some(core) = self.0.upgrade() else { return };
        let mut slabs = core.slabs.borrow_mut();
        let Some(place) = slabs.get_mut(index) else { return };
        if let Registration::Done(_) = std::mem::replace(place, Registration::None)
            && let Err(e) = core.register_slab(index, None)
        {
            tracing::warn!(error = %e, "a slab's registration could not be taken back");
        }
    }
}

/// Of the slab with some index: where it lies.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Registration {
    None,
    Coming(NonNull<u8>),
    Done(NonNull<u8>),
}

impl Core {
    fn register(&self, slab: &Slab) {
        let (index, base) = (slab.index(), slab.base());
        // The pool may have given the slab back meanwhile, and even have made another of this index.
        let still_wanted = self.slabs.borrow()[index] == Registration::Coming(base);
        if !still_wanted || self.is_closed() || !self.caps.get().registered_pages {
            return;
        }
        match self.register_slab(index, Some(base)) {
            Ok(()) => self.slabs.borrow_mut()[index] = Registration::Done(base),
            Err(e) => self.go_unregistered(&e),
        }
    }

    /// The registered buffer that `blocks` lie in.
    fn fixed_index(&self, blocks: &Blocks) -> Option<u16> {
        let index = blocks.slab_index();
        match *self.slabs.borrow().get(index)? {
            Registration::Done(base) if blocks.is_in_slab(base) => Some(index as u16),
            _ => None,
        }
    }

    /// Slabs registered so far stay so; no more are tried.
    fn go_unregistered(&self, e: &io::Error) {
        let mut caps = self.caps.get();
        caps.registered_pages = false;
        self.caps.set(caps);
        tracing::warn!(error = %e, "pages are not registered with the ring; raise the memlock limit for that");
    }
}
