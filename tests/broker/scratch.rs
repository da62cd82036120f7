//! Places on the disk: a directory of a test's own, a read-only view of one, a small file system.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
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
        let image = self.path.join("image");
        let file = fs::File::create(&image).expect("the scratch directory is writable");
        file.set_len(bytes).expect("a sparse file");
        run("mkfs.ext4", &["-q", "-m", "0", text(&image)])?;
        let place = self.path.join("small");
        fs::create_dir(&place).expect("the scratch directory is writable");
        run("mount", &["-o", "loop", text(&image), text(&place)])?;
        self.mounts.push(place.clone());
        Ok(place)
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

fn text(path: &Path) -> &str {
    path.to_str().expect("the paths of the tests are UTF-8")
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
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
