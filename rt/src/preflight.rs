//! Before the shards start: can this process run here? Each refusal is one sentence with its remedy, instead of a
//! panic from the depths of an executor.

use std::{
    fmt, fs, io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use io_uring::{IoUring, Probe, opcode};

use crate::{affinity, ring::Caps};

mod limits;

/// Fewer open files than this, and a few hundred connections and files leave none.
pub const OPEN_FILES_MIN: u64 = 4096;
/// The executor does not start with less memory to lock.
const MEMLOCK_MIN: u64 = 512 << 10;

/// What was found. Its text is one line.
#[derive(Clone, Debug)]
pub struct Report {
    pub caps: Caps,
    pub open_files: u64,
    pub memlock: u64,
    pub cores: usize,
    /// More shards than cores: they will share.
    pub crowded: bool,
    pub receive_buffer_max: u64,
    pub kernel: String,
}

#[derive(Debug, thiserror::Error)]
pub enum Preflight {
    #[error(
        "io_uring is forbidden here: allow io_uring_setup, io_uring_enter and io_uring_register in the container's \
         seccomp profile, and set the sysctl kernel.io_uring_disabled to 0"
    )]
    Forbidden,
    #[error("this kernel ({0}) has no io_uring, or one that is too old: Linux 6.1 or later is needed")]
    KernelTooOld(String),
    #[error(
        "only {limit} bytes of memory may be locked and io_uring needs {MEMLOCK_MIN}: raise the limit (ulimit -l, or \
         LimitMEMLOCK=infinity in the unit)"
    )]
    Memlock { limit: u64 },
    #[error(
        "only {limit} files may be open at a time and {OPEN_FILES_MIN} are needed: raise the limit (ulimit -n, or \
         LimitNOFILE in the unit)"
    )]
    OpenFiles { limit: u64 },
    #[error(
        "the file system of {} has no direct IO (O_DIRECT): put the data directory on a disk, not on tmpfs or \
         overlayfs", .0.display()
    )]
    NoDirectIo(PathBuf),
    #[error("the data directory {} cannot be written: {source}", .path.display())]
    DataDirectory { path: PathBuf, source: io::Error },
    #[error("the system could not be asked for its limits: {0}")]
    Io(#[from] io::Error),
}

/// Checks the kernel, the limits and the data directory, which is created if need be, and raises the soft limit of
/// open files to the hard one. `shards` 0 means one for each core.
pub fn preflight(data_directory: &Path, shards: usize) -> Result<Report, Preflight> {
    let kernel = limits::kernel_release();
    let memlock = limits::memlock()?;
    let caps = try_ring(&kernel, memlock)?;
    let open_files = limits::raise_open_files()?;
    if open_files < OPEN_FILES_MIN {
        return Err(Preflight::OpenFiles { limit: open_files });
    }
    try_direct_io(data_directory)?;
    let cores = affinity::allowed_cores()?.len();
    Ok(Report {
        caps,
        open_files,
        memlock,
        cores,
        crowded: shards > cores,
        receive_buffer_max: limits::receive_buffer_max(),
        kernel,
    })
}

fn try_ring(kernel: &str, memlock: u64) -> Result<Caps, Preflight> {
    if memlock < MEMLOCK_MIN && !limits::may_lock_without_limit() {
        return Err(Preflight::Memlock { limit: memlock });
    }
    let refused = |e: io::Error| match e.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => Preflight::Forbidden,
        // Podman's profile answers as if there were no such call; Docker's says EPERM.
        Some(libc::ENOSYS) if limits::filtered() => Preflight::Forbidden,
        Some(libc::ENOSYS) => Preflight::KernelTooOld(kernel.to_owned()),
        Some(libc::ENOMEM) => Preflight::Memlock { limit: memlock },
        _ => Preflight::Io(e),
    };
    let ring = IoUring::new(8).map_err(refused)?;
    let mut probe = Probe::new();
    ring.submitter().register_probe(&mut probe).map_err(refused)?;
    // All that has no substitute. `Nop` stands for a probe that answers at all.
    let needed = [opcode::Nop::CODE, opcode::Read::CODE, opcode::Writev::CODE, opcode::PollAdd::CODE];
    if !needed.iter().all(|&code| probe.is_supported(code)) {
        return Err(Preflight::KernelTooOld(kernel.to_owned()));
    }
    let flag = |set: fn(&mut io_uring::Builder) -> &mut io_uring::Builder| {
        set(&mut IoUring::builder()).build(8).is_ok()
    };
    Ok(Caps {
        registered_pages: ring.submitter().register_buffers_sparse(1).is_ok(),
        zero_copy: probe.is_supported(opcode::SendMsgZc::CODE),
        durable_writes: true,
        allocate: probe.is_supported(opcode::Fallocate::CODE),
        coop_taskrun: flag(io_uring::Builder::setup_coop_taskrun),
        single_issuer: flag(io_uring::Builder::setup_single_issuer),
        submit_all: flag(io_uring::Builder::setup_submit_all),
    })
}

fn try_direct_io(directory: &Path) -> Result<(), Preflight> {
    let failed = |source| Preflight::DataDirectory { path: directory.to_owned(), source };
    fs::create_dir_all(directory).map_err(failed)?;
    let trial = directory.join(format!(".direct-io-{}", std::process::id()));
    let mut options = fs::OpenOptions::new();
    let opened = options.write(true).create(true).truncate(true).custom_flags(libc::O_DIRECT).open(&trial);
    // Some file systems make the file and then refuse the flag.
    let removed = fs::remove_file(&trial);
    match opened {
        Ok(_) => removed.map_err(failed),
        Err(e) if e.raw_os_error() == Some(libc::EINVAL) => Err(Preflight::NoDirectIo(directory.to_owned())),
        Err(e) => Err(failed(e)),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "kernel {}: {}; {} cores, {} open files",
            self.kernel, self.caps, self.cores, self.open_files
        )?;
        match self.memlock {
            u64::MAX => write!(f, ", memlock unlimited")?,
            bytes => write!(f, ", memlock {} KiB", bytes >> 10)?,
        }
        if self.crowded {
            write!(f, "; more shards than cores, so they are not bound")?;
        }
        Ok(())
    }
}
