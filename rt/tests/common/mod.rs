//! What the tests share: small shards, and a directory with direct IO.

#![allow(dead_code, reason = "each test file uses its part")]

use std::{future::Future, time::Duration};

use rt::{
    ExecutorOptions, Shard,
    file::{Access, File},
    ring::{Caps, RingOptions},
};

pub(crate) fn small() -> ExecutorOptions {
    ExecutorOptions { page_bytes: 16 << 20, pin: false, ..ExecutorOptions::default() }
}

pub(crate) fn with_caps(allow: Caps) -> ExecutorOptions {
    ExecutorOptions { ring: RingOptions { allow, ..RingOptions::default() }, ..small() }
}

/// Runs one shard to its end; a test that hangs fails instead.
pub(crate) fn on_shard<T, F, Fut>(options: ExecutorOptions, make: F) -> T
where
    F: FnOnce(Shard) -> Fut + Send + 'static,
    Fut: Future<Output = T> + 'static,
    T: Send + 'static,
{
    let run = async move |shard| rt::timer::timeout(Duration::from_secs(30), make(shard)).await;
    rt::run_single(options, run).expect("a shard starts").expect("the test ends in time")
}

/// A directory on a file system with O_DIRECT. `None`, and loud, where there is none.
pub(crate) fn direct_dir() -> Option<tempfile::TempDir> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    match rt::preflight::preflight(dir.path(), 1) {
        Err(rt::preflight::Preflight::NoDirectIo(path)) => {
            eprintln!("SKIPPED: {} has no O_DIRECT", path.display());
            None
        }
        _ => Some(dir),
    }
}

pub(crate) async fn new_file(dir: &tempfile::TempDir, name: &str) -> File {
    File::open(dir.path().join(name), Access::Create).await.expect("the file opens")
}

/// For what a whole process is needed: its limits, its descriptors, its end. Runs `test` in a child that is this same
/// test alone, and returns how the child ended and what it said; `None` in the child, after `test`.
pub(crate) fn in_child(
    name: &str,
    prepare: impl FnOnce(&mut std::process::Command),
    test: impl FnOnce(),
) -> Option<std::process::Output> {
    if std::env::var_os("RT_TEST_CHILD").is_some_and(|child| child == name) {
        test();
        return None;
    }
    let mut command = std::process::Command::new(std::env::current_exe().expect("the test's own binary"));
    command.args([name, "--exact", "--nocapture", "--test-threads=1"]).env("RT_TEST_CHILD", name);
    prepare(&mut command);
    Some(command.output().expect("the child runs"))
}

pub(crate) fn assert_success(output: Option<std::process::Output>) {
    if let Some(output) = output {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{}: {text}", output.status);
    }
}
