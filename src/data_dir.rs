//! The data directory before anything of it is used: is it ours, is it free, whose is it.
//!
//! ```text
//!   .lock                 held (flock) while a broker runs, and names its process
//!   meta.properties       cluster id, node id, directory id: made at the first start, checked at every other
//!   .kafka_cleanshutdown  the last stop was in order: nothing to recover
//! ```
//! The rest of the directory is the engine's. Lives in the main thread, before the shards start.

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
};

use engine::properties::{META_PROPERTIES_FILE, MetaProperties, PropertiesError};
use model::{BrokerId, TopicId};

const LOCK_FILE: &str = ".lock";
/// Kafka's name and Kafka's content; `brokerEpoch` -1 is "not known".
const CLEAN_SHUTDOWN_FILE: &str = ".kafka_cleanshutdown";
const CLEAN_SHUTDOWN: &[u8] = b"{\"version\":0,\"brokerEpoch\":-1}";
/// What may stand in a directory that no broker has used: what a start that broke off left, and a mount point's own.
const HARMLESS: [&str; 3] = [LOCK_FILE, "lost+found", "meta.properties.tmp"];
const HARMLESS_PREFIX: &str = ".direct-io-";

/// Why a directory cannot be used, as a sentence that says what to do.
#[derive(Debug)]
pub enum DataDirError {
    Io { path: PathBuf, doing: &'static str, source: io::Error },
    Foreign { path: PathBuf, found: String },
    InUse { path: PathBuf, pid: Option<u32> },
    OtherNode { path: PathBuf, theirs: BrokerId, ours: BrokerId },
    OtherCluster { path: PathBuf, theirs: String, ours: String },
    BadMeta { path: PathBuf, source: PropertiesError },
}

/// A directory that this process holds. The lock goes with the process.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    meta: MetaProperties,
    _lock: File,
}

/// A directory that may be used, as far as that can be seen without writing a byte to it.
#[derive(Debug)]
pub struct Checked(PathBuf);

/// Refuses a directory of somebody else. One that does not exist yet is fine.
fn check_is_ours(path: &Path) -> Result<(), DataDirError> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(failed(path, "read"))?,
    };
    let mut foreign = None;
    for entry in entries {
        let name = entry.map_err(failed(path, "read"))?.file_name();
        if name == META_PROPERTIES_FILE {
            return Ok(());
        }
        if !is_harmless(&name) {
            foreign = foreign.min(Some(name.clone())).or(Some(name));
        }
    }
    match foreign {
        Some(name) => Err(DataDirError::Foreign { path: path.to_owned(), found: name.display().to_string() }),
        None => Ok(()),
    }
}

fn is_harmless(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| HARMLESS.contains(&name) || name.starts_with(HARMLESS_PREFIX))
}

impl Checked {
    /// Creates what is missing, takes the lock, and checks that the directory belongs to node `node`.
    /// A new one becomes part of `cluster`, or begins a cluster of its own.
    pub fn open(self, node: BrokerId, cluster: Option<&str>) -> Result<DataDir, DataDirError> {
        let path = &self.0;
        fs::create_dir_all(path).map_err(failed(path, "create"))?;
        let lock = lock(path)?;
        let meta = match fs::read(path.join(META_PROPERTIES_FILE)) {
            Ok(bytes) => check_meta(path, &bytes, node)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => make_meta(path, node, cluster)?,
            Err(error) => return Err(failed(path, "read")(error)),
        };
        if let Some(ours) = cluster.filter(|&id| id != meta.cluster_id) {
            let (theirs, ours) = (meta.cluster_id, ours.to_owned());
            return Err(DataDirError::OtherCluster { path: path.to_owned(), theirs, ours });
        }
        Ok(DataDir { path: path.to_owned(), meta, _lock: lock })
    }
}

impl DataDir {
    pub fn check(path: &Path) -> Result<Checked, DataDirError> {
        check_is_ours(path).map(|()| Checked(path.to_owned()))
    }

    pub fn cluster_id(&self) -> &str {
        &self.meta.cluster_id
    }

    /// Zero for a directory that an old broker made without one.
    pub fn directory_id(&self) -> [u8; 16] {
        let id = self.meta.directory_id.as_deref().and_then(TopicId::from_base64);
        id.unwrap_or(TopicId::ZERO).0
    }

    /// Was the last stop in order? The mark is gone for good on return: from here on only a stop in order makes it.
    pub fn take_clean_mark(&self) -> Result<bool, DataDirError> {
        match fs::remove_file(self.path.join(CLEAN_SHUTDOWN_FILE)) {
            Ok(()) => self.sync().map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed(&self.path, "write")(error)),
        }
    }

    /// Everything is on disk and every file has its exact length. The last thing written.
    pub fn put_clean_mark(&self) -> Result<(), DataDirError> {
        replace(&self.path, CLEAN_SHUTDOWN_FILE, CLEAN_SHUTDOWN)
    }

    /// Replaces a small file: after a crash the old or the new one is there.
    pub fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), DataDirError> {
        replace(&self.path, name, bytes)
    }

    fn sync(&self) -> Result<(), DataDirError> {
        sync(&self.path)
    }
}

fn lock(path: &Path) -> Result<File, DataDirError> {
    let mut options = OpenOptions::new();
    let opened = options.read(true).write(true).create(true).truncate(false).open(path.join(LOCK_FILE));
    let mut file = opened.map_err(failed(path, "write"))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
            return Err(DataDirError::InUse { path: path.to_owned(), pid });
        }
        Err(TryLockError::Error(error)) => return Err(failed(path, "lock")(error)),
    }
    let mut name_process = || {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    };
    name_process().map_err(failed(path, "write"))?;
    Ok(file)
}

fn check_meta(path: &Path, bytes: &[u8], node: BrokerId) -> Result<MetaProperties, DataDirError> {
    let meta = MetaProperties::read(bytes)
        .map_err(|source| DataDirError::BadMeta { path: path.to_owned(), source })?;
    if meta.node_id != node {
        return Err(DataDirError::OtherNode { path: path.to_owned(), theirs: meta.node_id, ours: node });
    }
    Ok(meta)
}

fn make_meta(path: &Path, node: BrokerId, cluster: Option<&str>) -> Result<MetaProperties, DataDirError> {
    let cluster_id = cluster.map_or_else(random_id, str::to_owned);
    let meta = MetaProperties { cluster_id, node_id: node, directory_id: Some(random_id()) };
    replace(path, META_PROPERTIES_FILE, &meta.write())?;
    Ok(meta)
}

/// Kafka's form of a random id. None begins with a minus, which a command line would take for an option.
pub fn random_id() -> String {
    let ids = std::iter::repeat_with(|| TopicId(*uuid::Uuid::new_v4().as_bytes()).to_string());
    ids.into_iter().find(|id| !id.starts_with('-')).expect("most ids do not")
}

fn replace(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), DataDirError> {
    let fresh = dir.join(format!("{name}.tmp"));
    let write = || {
        let mut file = File::create(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&fresh, dir.join(name))
    };
    write().map_err(failed(dir, "write"))?;
    sync(dir)
}

fn sync(dir: &Path) -> Result<(), DataDirError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed(dir, "write"))
}

fn failed(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> DataDirError {
    move |source| DataDirError::Io { path: path.to_owned(), doing, source }
}

impl std::fmt::Display for DataDirError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io { path, doing, source } if source.kind() == io::ErrorKind::ReadOnlyFilesystem => write!(
                f,
                "cannot {doing} the data directory {}: its file system is read-only; remount it, or choose another \
                 directory with --data",
                path.display()
            ),
            Self::Io { path, doing, source } => write!(
                f,
                "cannot {doing} the data directory {}: {source}; give this user access to it, or choose another with --data",
                path.display()
            ),
            Self::Foreign { path, found } => write!(
                f,
                "{} holds {found} and no meta.properties, so it is no broker's data directory; choose an empty or a new \
                 one with --data",
                path.display()
            ),
            Self::InUse { path, pid: Some(pid) } => write!(
                f,
                "the data directory {} is in use by process {pid}; stop that broker, or choose another directory with --data",
                path.display()
            ),
            Self::InUse { path, pid: None } => write!(
                f,
                "the data directory {} is in use by another process; stop that broker, or choose another directory with \
                 --data",
                path.display()
            ),
            Self::OtherNode { path, theirs, ours } => write!(
                f,
                "the data directory {} belongs to node {theirs} and this is node {ours}; start with -o node.id={theirs}, or \
                 choose another directory with --data",
                path.display()
            ),
            Self::OtherCluster { path, theirs, ours } => write!(
                f,
                "the data directory {} belongs to cluster {theirs} and the certificates are of cluster {ours}; choose \
                 another directory with --data, or the certificates of its own cluster",
                path.display()
            ),
            Self::BadMeta { path, source } => write!(
                f,
                "{} cannot be used: {source}; restore the file from a backup, or choose another directory with --data",
                path.join(META_PROPERTIES_FILE).display()
            ),
        }
    }
}

impl std::error::Error for DataDirError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn open(path: &Path, node: i32) -> Result<DataDir, DataDirError> {
        DataDir::check(path)?.open(BrokerId(node), None)
    }

    /// The sentence for node 1, with DIR for the directory.
    fn refusal(path: &Path) -> String {
        open(path, 1).unwrap_err().to_string().replace(&path.display().to_string(), "DIR")
    }

    #[test]
    fn the_first_start_makes_what_later_ones_find() {
        let scratch = Scratch::new();
        let dir = open(&scratch.join("a/b"), 7).unwrap();
        let text = fs::read_to_string(scratch.join("a/b/meta.properties")).unwrap();
        let (meta, id) = (MetaProperties::read(text.as_bytes()).unwrap(), dir.cluster_id().to_owned());
        assert_eq!((meta.node_id, &meta.cluster_id), (BrokerId(7), &id));
        assert!(meta.directory_id.is_some_and(|d| d != id && TopicId::from_base64(&d).is_some()));
        drop(dir);
        assert_eq!(open(&scratch.join("a/b"), 7).unwrap().cluster_id(), id);
    }

    #[test]
    fn a_directory_in_use_names_the_process() {
        let scratch = Scratch::new();
        let _held = open(&scratch, 1).unwrap();
        let expected = format!(
            "the data directory DIR is in use by process {}; stop that broker, or choose another directory with --data",
            std::process::id()
        );
        assert_eq!(refusal(&scratch), expected);
    }

    #[test]
    fn a_directory_of_another_node_is_refused() {
        let scratch = Scratch::new();
        drop(open(&scratch, 3).unwrap());
        assert!(
            refusal(&scratch).starts_with("the data directory DIR belongs to node 3 and this is node 1;")
        );
    }

    #[test]
    fn foreign_content_is_refused_and_left_alone() {
        let scratch = Scratch::new();
        fs::write(scratch.join("thesis.txt"), "ten years of work").unwrap();
        assert!(refusal(&scratch).starts_with("DIR holds thesis.txt and no meta.properties,"));
        assert_eq!(fs::read_dir(&*scratch).unwrap().count(), 1);
    }

    #[test]
    fn what_a_broken_off_start_leaves_is_no_foreign_content() {
        let scratch = Scratch::new();
        for name in [".lock", "meta.properties.tmp", "lost+found", ".direct-io-17"] {
            fs::write(scratch.join(name), "x").unwrap();
        }
        open(&scratch, 1).unwrap();
    }

    #[test]
    fn a_damaged_meta_properties_is_refused() {
        let scratch = Scratch::new();
        fs::write(scratch.join("meta.properties"), "version=1\nnode.id=1\n").unwrap();
        assert!(refusal(&scratch).starts_with("DIR/meta.properties cannot be used: cluster.id is missing;"));
    }

    #[test]
    fn a_file_is_no_directory() {
        let scratch = Scratch::new();
        let path = scratch.join("file");
        fs::write(&path, "x").unwrap();
        let error = open(&path, 1).unwrap_err().to_string();
        assert!(error.starts_with("cannot read the data directory"), "{error}");
    }

    #[test]
    fn the_clean_mark_is_taken_once() {
        let scratch = Scratch::new();
        let dir = open(&scratch, 1).unwrap();
        assert!(!dir.take_clean_mark().unwrap());
        dir.put_clean_mark().unwrap();
        let text = fs::read_to_string(scratch.join(".kafka_cleanshutdown")).unwrap();
        assert_eq!(text, r#"{"version":0,"brokerEpoch":-1}"#);
        assert!(dir.take_clean_mark().unwrap());
        assert!(!dir.take_clean_mark().unwrap());
    }
}
