//! Places on the disk: a directory of a test's own, a read-only view of one, a small file system.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Once,
        atomic::{AtomicU32, Ordering},
    },
};

/// A directory beside the build (not in /tmp, which may have no direct IO). It goes with the test, mounts first.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
    mounts: Vec<PathBuf>,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("bb-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        // What a killed run of the same process id left behind.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("the build directory is writable");
        Self { path, mounts: Vec::new() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Shows `dir` at another place, read-only. Permissions would not do: root goes by them.
    ///
    /// # Errors
    /// The sentence of `mount`, where it is not permitted.
    pub(crate) fn read_only_view(&mut self, dir: &Path) -> Result<PathBuf, String> {
        let view = self.path.join("read-only");
        fs::create_dir(&view).expect("the scratch directory is writable");
        run("mount", &["--bind", text(dir), text(&view)])?;
        self.mounts.push(view.clone());
        run("mount", &["-o", "remount,ro,bind", text(&view)])?;
        Ok(view)
    }

    /// A file system of its own, so small that it can be filled.
    ///
    /// # Errors
    /// The sentence of `mkfs` or `mount`, where they are missing or not permitted.
    pub(crate) fn small_file_system(&mut self, bytes: u64) -> Result<PathBuf, String> {
        self.file_system("small", FileSystem::Ext4, bytes)
    }

    /// A file system in an image of its own.
    ///
    /// # Errors
    /// The sentence of `mkfs` or `mount`, where they are missing or not permitted.
    pub(crate) fn file_system(
        &mut self,
        name: &str,
        kind: FileSystem,
        bytes: u64,
    ) -> Result<PathBuf, String> {
        unmount_leftovers();
        let image = self.path.join(format!("{name}.image"));
        let file = fs::File::create(&image).expect("the scratch directory is writable");
        file.set_len(bytes).expect("a sparse file");
        match kind {
            FileSystem::Ext4 => run("mkfs.ext4", &["-q", "-m", "0", text(&image)])?,
            FileSystem::Xfs => run("mkfs.xfs", &["-q", text(&image)])?,
        }
        let place = self.path.join(name);
        fs::create_dir(&place).expect("the scratch directory is writable");
        self.mount(&image, &place)?;
        Ok(place)
    }

    fn mount(&mut self, image: &Path, place: &Path) -> Result<(), String> {
        run("mount", &["-o", "loop", text(image), text(place)])?;
        self.mounts.push(place.to_owned());
        Ok(())
    }

    /// As a machine does after a power cut: what the file system noted in its own journal is put right, then it is mounted.
    ///
    /// # Panics
    /// If the file system cannot be repaired without a human.
    pub(crate) fn mount_again(&mut self, name: &str, kind: FileSystem) {
        let (image, place) = (self.path.join(format!("{name}.image")), self.path.join(name));
        // The kernel may still be ending what a killed process had under way.
        super::wait_for("the file system can be unmounted", super::PATIENCE, || {
            run("umount", &[text(&place)]).ok()
        });
        self.mounts.retain(|mount| *mount != place);
        if kind == FileSystem::Ext4 {
            let checked = Command::new("e2fsck").args(["-p", text(&image)]).output().expect("e2fsck runs");
            let said = String::from_utf8_lossy(&checked.stdout);
            assert!(matches!(checked.status.code(), Some(0 | 1)), "e2fsck {}: {said}", checked.status);
        }
        self.mount(&image, &place).expect("what was mounted before can be mounted");
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        for mount in self.mounts.iter().rev() {
            if let Err(why) = run("umount", &[text(mount)]) {
                eprintln!("{} stays: {why}", mount.display());
                return;
            }
        }
        let _ = fs::remove_dir_all(&self.path);
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FileSystem {
    Ext4,
    Xfs,
}

/// What tests that were killed have left mounted. Their process ids are in the names.
fn unmount_leftovers() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let mounts = fs::read_to_string("/proc/mounts").expect("Linux tells");
        for place in mounts.lines().filter_map(|line| line.split(' ').nth(1)) {
            let Ok(below) = Path::new(place).strip_prefix(env!("CARGO_TARGET_TMPDIR")) else { continue };
            let owner = below.to_str().and_then(|name| name.strip_prefix("bb-")?.split('-').next());
            let Some(owner) = owner.filter(|pid| !Path::new("/proc").join(pid).exists()) else { continue };
            // A broker of theirs may still live in it.
            match run("umount", &["--lazy", place]) {
                Ok(()) => eprintln!("{place} was left mounted by process {owner}"),
                Err(why) => eprintln!("{place} stays: {why}"),
            }
        }
    });
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the paths of the tests are UTF-8")
}

/// # Errors
/// What the program says when it fails, or that there is none.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).output().map_err(|e| format!("{program}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

/// All files below a directory with this extension, in order.
pub(crate) fn files_with(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("the directory is there") {
        let path = entry.expect("the directory can be read").path();
        if path.is_dir() {
            found.extend(files_with(&path, extension));
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Changes one byte of a file in place.
pub(crate) fn flip(path: &Path, position: u64, mask: u8) {
    use std::os::unix::fs::FileExt;
    let file = fs::File::options().read(true).write(true).open(path).expect("the file is there");
    let mut byte = [0];
    file.read_exact_at(&mut byte, position).expect("the file is that long");
    file.write_all_at(&[byte[0] ^ mask], position).expect("the file can be written");
    file.sync_all().expect("the file can be synced");
}
