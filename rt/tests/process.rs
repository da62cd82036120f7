//! What concerns the whole process: the checks before the start, signals, the start and end of shards.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod common;

use std::{
    io::Read,
    panic::AssertUnwindSafe,
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use common::{direct_dir, on_shard, small};
use futures_lite::{FutureExt, future};
use rt::{
    Shard,
    preflight::{Preflight, preflight},
    run_shards,
    signal::{self, Signal},
    timer,
};

#[test]
fn the_report_is_one_line() {
    let Some(dir) = direct_dir() else { return };
    let report = preflight(dir.path(), 10_000).unwrap();
    let text = report.to_string();
    assert!(
        !text.contains('\n') && text.contains("zero-copy send") && text.contains("more shards"),
        "{text}"
    );
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_data_directory_on_memory_is_refused_with_the_remedy() {
    let Ok(dir) = tempfile::tempdir_in("/dev/shm") else { return eprintln!("SKIPPED: no /dev/shm") };
    match preflight(dir.path(), 1) {
        // Newer kernels take the flag on tmpfs too.
        Ok(_) => eprintln!("SKIPPED: tmpfs has O_DIRECT here"),
        Err(refused) => assert!(matches!(refused, Preflight::NoDirectIo(_)), "{refused}"),
    }
}

#[test]
fn a_data_directory_that_cannot_be_made_is_named() {
    let refused = preflight("/proc/nowhere".as_ref(), 1).unwrap_err();
    assert!(refused.to_string().contains("/proc/nowhere"), "{refused}");
}

#[test]
fn as_many_shards_as_asked_for_each_with_its_number() {
    let seen = Arc::new(AtomicUsize::new(0));
    let sum = seen.clone();
    run_shards(3, small(), move |shard: Shard| {
        let sum = sum.clone();
        async move {
            assert_eq!(shard.count, 3);
            sum.fetch_add(1 << (8 * shard.id.0), Ordering::Relaxed);
        }
    })
    .unwrap();
    assert_eq!(seen.load(Ordering::Relaxed), 0x01_01_01);
}

#[test]
fn a_shard_that_panics_ends_the_wait() {
    let failed = run_shards(2, small(), |shard: Shard| async move {
        assert!(shard.id.0 == 0, "on purpose");
        timer::sleep(Duration::from_secs(3)).await;
    });
    assert!(failed.unwrap_err().to_string().contains("shard 1 panicked"));
}

#[test]
#[should_panic(expected = "of its own")]
fn a_panic_of_any_task_is_the_panic_of_the_shard() {
    on_shard(small(), async |_| {
        rt::spawn(async { panic!("a mistake of its own") });
        timer::sleep(Duration::from_secs(5)).await;
    });
}

#[test]
fn too_little_io_memory_is_refused() {
    let options = rt::ExecutorOptions { io_memory: 100 << 10, ..small() };
    let refused = rt::run_single(options, async |_| ()).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::InvalidInput);
}

#[test]
fn a_blocking_call_gives_its_value_or_its_panic() {
    on_shard(small(), async |_| {
        let before = rt::blocking_calls();
        assert_eq!(rt::blocking(|| 6 * 7).await, 42);
        assert_eq!(rt::blocking_calls(), before + 1);
        assert_eq!(rt::blocking(|| "again").await, "again");
    });
}

/// Calls that wait together run in the order they came in, and one that panics, or that takes long, costs no other its value.
#[test]
fn blocking_calls_that_wait_together_each_give_their_own() {
    on_shard(small(), async |_| {
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut made = Vec::new();
        for n in 0..100 {
            let order = order.clone();
            let call = rt::blocking(move || {
                order.lock().unwrap().push(n);
                if n % 40 == 3 {
                    std::thread::sleep(Duration::from_millis(2));
                }
                assert!(n % 30 != 7, "a call's own mistake");
                2 * n
            });
            let mut call = Box::pin(AssertUnwindSafe(call).catch_unwind());
            assert!(future::poll_once(&mut call).await.is_none());
            made.push(call);
        }
        for (n, call) in made.into_iter().enumerate() {
            assert_eq!(call.await.ok(), (n % 30 != 7).then_some(2 * n));
        }
        assert_eq!(*order.lock().unwrap(), (0..100).collect::<Vec<_>>());
    });
}

/// A shard that ends while a call is under way waits for it; and a call nobody waits for still runs.
#[test]
fn a_shard_does_not_end_before_its_blocking_calls() {
    let done = Arc::new(AtomicUsize::new(0));
    let seen = done.clone();
    on_shard(small(), async move |_| {
        for _ in 0..3 {
            let done = done.clone();
            let call = rt::blocking(move || {
                std::thread::sleep(Duration::from_millis(20));
                done.fetch_add(1, Ordering::Relaxed);
            });
            assert!(timer::timeout(Duration::from_millis(1), call).await.is_none());
        }
    });
    assert_eq!(seen.load(Ordering::Relaxed), 3);
}

/// Runs this test again as a child that waits for signals; returns it when it does.
fn waiting_child(name: &str) -> std::process::Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env("RT_TEST_CHILD", name)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut seen, mut byte) = (Vec::new(), [0]);
    let output = child.stdout.as_mut().unwrap();
    while !seen.ends_with(b"waiting") {
        output.read_exact(&mut byte).unwrap();
        seen.push(byte[0]);
    }
    child
}

fn send(signal: &str, child: &std::process::Child) {
    let status = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

#[test]
fn the_first_signal_is_a_value_and_the_second_ends_the_process() {
    let name = "the_first_signal_is_a_value_and_the_second_ends_the_process";
    if std::env::var_os("RT_TEST_CHILD").is_some() {
        return rt::run_single(small(), async |shard: Shard| {
            signal::install().unwrap();
            println!("waiting");
            assert_eq!(signal::termination(&shard.ring).await.unwrap(), Signal::Interrupt);
            assert_eq!(signal::termination(&shard.ring).await.unwrap(), Signal::Interrupt);
            println!("waiting");
            // Stuck: no task runs any more.
            std::thread::sleep(Duration::from_secs(60));
        })
        .unwrap();
    }
    let mut child = waiting_child(name);
    send("-INT", &child);
    let (mut seen, mut byte) = (Vec::new(), [0]);
    while !seen.ends_with(b"waiting") {
        child.stdout.as_mut().unwrap().read_exact(&mut byte).unwrap();
        seen.push(byte[0]);
    }
    send("-TERM", &child);
    assert_eq!(child.wait().unwrap().code(), Some(128 + 15));
}
