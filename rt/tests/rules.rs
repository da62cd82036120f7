//! One test for each rule of living with the executor. A rule without its test is a rumour.
#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod common;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    future::{Future, poll_fn},
    io,
    os::unix::process::CommandExt,
    pin::Pin,
    process::Command,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    thread,
    time::{Duration, Instant},
};

use common::{assert_success, direct_dir, in_child, new_file, on_shard, small};
use model::ShardId;
use rt::{
    MeshBuilder, Shard,
    net::{ListenOptions, Listener, Stream},
    notify::Notify,
    pages::BLOCK,
    preflight::{Preflight, preflight},
    ring::Flush,
    run_shards, timer,
};

/// Counts what a thread has allocated and not freed; a shard is a thread.
struct Counting;

thread_local! {
    static LIVE: Cell<i64> = const { Cell::new(0) };
}

fn count(change: i64) {
    // While a thread ends its count is gone, and nobody asks for it.
    let _ = LIVE.try_with(|live| live.set(live.get() + change));
}

// SAFETY: every call goes to the system's allocator as it came; counting touches no memory of the caller.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1);
        // SAFETY: the caller's promise, handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-1);
        // SAFETY: the caller's promise, handed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_new_empty_file_can_be_written_and_read_back() {
    let Some(dir) = direct_dir() else { return };
    on_shard(small(), async move |shard: Shard| {
        let file = new_file(&dir, "new").await;
        let mut page = shard.pages.take(BLOCK).unwrap();
        assert_eq!(shard.ring.read(&file, 0, page.whole()).await.unwrap(), 0);
        page.append(&[5; 100]);
        shard.ring.write(&file, 0, vec![page.blocks(0..100)], Flush::No).await.unwrap();
        let mut back = shard.pages.take(BLOCK).unwrap();
        assert_eq!(shard.ring.read(&file, 0, back.whole()).await.unwrap(), BLOCK);
        back.set_filled(BLOCK);
        assert_eq!(*back.slice(0..100), *page.slice(0..100));
    });
}

#[test]
fn misaligned_io_is_refused_at_the_door() {
    let Some(dir) = direct_dir() else { return };
    on_shard(small(), async move |shard: Shard| {
        let file = new_file(&dir, "f").await;
        let mut page = shard.pages.take(BLOCK).unwrap();
        let refused = |e: io::Error| assert_eq!(e.kind(), io::ErrorKind::InvalidInput);
        refused(shard.ring.read(&file, 512, page.whole()).await.unwrap_err());
        refused(shard.ring.write(&file, 1, vec![page.blocks(0..1)], Flush::No).await.unwrap_err());
        refused(shard.ring.read(&file, 0, page.blocks(0..1)).await.unwrap_err());
        refused(file.truncate(100).await.unwrap_err());
        assert_eq!((file.size().unwrap(), shard.ring.in_flight()), (0, 0));
    });
}

async fn echo_until_closed(stream: Stream) {
    let mut buffer = [0; 256];
    while let Ok(count) = stream.recv(&mut buffer).await {
        if count == 0 || stream.send_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

fn listen() -> Listener {
    Listener::bind("127.0.0.1:0".parse().unwrap(), ListenOptions::default()).unwrap()
}

fn serve(shard: &Shard, listener: Listener) {
    let ring = shard.ring.clone();
    rt::spawn(async move {
        while let Ok((stream, _)) = listener.accept(&ring).await {
            rt::spawn(echo_until_closed(stream));
        }
    });
}

async fn ask(stream: &Stream) {
    stream.send_all(b"question").await.unwrap();
    let (mut buffer, mut got) = ([0; 8], 0);
    while got < 8 {
        got += stream.recv(&mut buffer[got..]).await.unwrap();
    }
    assert_eq!(&buffer, b"question");
}

/// Every task ends by itself, and then nothing of it is left: no cancelled task, no descriptor, no slot of the ring.
#[test]
fn ten_thousand_connections_leave_no_allocation_behind() {
    on_shard(small(), async |shard: Shard| {
        let listener = listen();
        let to = listener.local_addr().unwrap();
        serve(&shard, listener);
        let mut live = Vec::new();
        for round in 0..101 {
            let mut open = Vec::new();
            for _ in 0..100 {
                let stream = Stream::connect(&shard.ring, to).await.unwrap();
                ask(&stream).await;
                open.push(stream);
            }
            drop(open);
            while shard.ring.in_flight() > 1 {
                timer::sleep(Duration::from_millis(1)).await;
            }
            if round % 50 == 0 {
                live.push(LIVE.get());
            }
        }
        // The first round grows the tables; ten thousand connections after it add nothing.
        let grown = live[2] - live[0];
        assert!(grown < 100, "{grown} allocations more after 10 000 connections: {live:?}");
    });
}

#[test]
fn requests_spawn_no_task() {
    on_shard(small(), async |shard: Shard| {
        let listener = listen();
        let stream = Stream::connect(&shard.ring, listener.local_addr().unwrap()).await.unwrap();
        serve(&shard, listener);
        ask(&stream).await;
        let before = rt::spawned_tasks();
        for _ in 0..1000 {
            ask(&stream).await;
        }
        assert_eq!(rt::spawned_tasks(), before);
    });
}

#[test]
fn forty_thousand_waiters_in_one_task() {
    on_shard(small(), async |_| {
        let notify = Notify::new();
        let mut sleeps: Vec<_> = (0..40_000).map(|_| timer::sleep(Duration::from_millis(200))).collect();
        let mut waits: Vec<_> = (0..40_000).map(|_| notify.wait()).collect();
        poll_fn(|cx| {
            sleeps.retain_mut(|sleep| Pin::new(sleep).poll(cx).is_pending());
            waits.retain_mut(|wait| Pin::new(wait).poll(cx).is_pending());
            if waits.len() == 40_000 && sleeps.len() == 40_000 {
                notify.wake_all();
            }
            if waits.is_empty() && sleeps.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    });
}

/// Once the process ended here: clients can make shards send more than any number of messages waits.
#[test]
fn a_clogged_mesh_keeps_what_is_sent_nevertheless() {
    const MESSAGES: u64 = 1_100_000;
    const LOOKED_AT: u64 = 10_000;
    let builder = MeshBuilder::<u64>::new(2);
    run_shards(2, small(), move |shard| {
        let builder = builder.clone();
        async move {
            let mesh = builder.join(shard.id).await;
            let other = ShardId(1 - shard.id.0);
            if shard.id.0 == 1 {
                for n in 0..LOOKED_AT {
                    assert_eq!(mesh.recv().await, (other, n));
                }
                return mesh.send(other, 0);
            }
            for n in 0..MESSAGES {
                mesh.send(other, n);
            }
            assert!(mesh.is_clogged());
            mesh.recv().await;
        }
    })
    .unwrap();
}

#[test]
fn a_long_call_aside_holds_up_no_other() {
    on_shard(small(), async |_| {
        let (tell, told) = std::sync::mpsc::channel();
        let (done, long) = rt::oneshot();
        rt::spawn(async move {
            let heard = rt::blocking_aside(move || told.recv()).await;
            let _ = done.send(heard);
        });
        let running = Arc::new(AtomicU64::new(0));
        for _ in 0..10 {
            let calls = (0..3).map(|_| {
                let running = running.clone();
                rt::blocking(move || {
                    let others = running.fetch_add(1, Ordering::SeqCst);
                    thread::yield_now();
                    running.fetch_sub(1, Ordering::SeqCst);
                    others
                })
            });
            let [a, b, c] = calls.collect::<Vec<_>>().try_into().ok().unwrap();
            let short = futures_lite::future::zip(a, futures_lite::future::zip(b, c));
            let others = timer::timeout(Duration::from_secs(20), short).await;
            assert_eq!(others, Some((0, (0, 0))), "short calls run, and one by one");
        }
        tell.send(7).unwrap();
        assert_eq!(long.await.unwrap(), Ok(7));
    });
}

#[test]
fn two_shards_flooding_each_other_make_progress_in_order() {
    const MESSAGES: u64 = 20_000;
    let builder = MeshBuilder::<u64>::with_capacity(2, 1);
    run_shards(2, small(), move |shard| {
        let builder = builder.clone();
        async move {
            let mesh = builder.join(shard.id).await;
            let other = ShardId(1 - shard.id.0);
            let (sender, done) = (mesh.clone(), Rc::new(Cell::new(false)));
            let sent = done.clone();
            rt::spawn(async move {
                for n in 0..MESSAGES {
                    sender.unclogged().await;
                    sender.send(other, n);
                }
                sent.set(true);
            });
            for n in 0..MESSAGES {
                assert_eq!(mesh.recv().await, (other, n));
            }
            while !done.get() {
                rt::yield_now().await;
            }
            // The last messages still lie in the other shard's channel when this one has all of its own.
            timer::sleep(Duration::from_millis(200)).await;
        }
    })
    .unwrap();
}

/// One shard is never idle; what the other sends it is there within a small multiple of the quantum.
#[test]
fn a_busy_shard_sees_a_foreign_wake_in_time() {
    let builder = MeshBuilder::<Option<Instant>>::new(2);
    run_shards(2, small(), move |shard| {
        let builder = builder.clone();
        async move {
            let mesh = builder.join(shard.id).await;
            if shard.id == ShardId(0) {
                for _ in 0..100 {
                    mesh.send(ShardId(1), Some(Instant::now()));
                    timer::sleep(Duration::from_millis(3)).await;
                }
                mesh.send(ShardId(1), None);
                timer::sleep(Duration::from_millis(300)).await;
                return;
            }
            let done = Rc::new(Cell::new(false));
            let busy = done.clone();
            rt::spawn(async move {
                while !busy.get() {
                    std::hint::black_box((0..1000).sum::<u64>());
                    rt::yield_if_needed().await;
                }
            });
            let mut waits = Vec::new();
            while let (_, Some(sent)) = mesh.recv().await {
                waits.push(sent.elapsed());
            }
            done.set(true);
            waits.sort();
            // The quantum is 500 us. The median leaves room for a machine that is shared with other tests.
            assert!(waits[50] < Duration::from_millis(10), "median {:?}, worst {:?}", waits[50], waits[99]);
        }
    })
    .unwrap();
}

/// Tasks that only wake each other never yield by themselves; the outside world is seen all the same.
#[test]
fn tasks_that_wake_each_other_do_not_lock_the_outside_out() {
    on_shard(small(), async |_| {
        let (ping, pong, done) = (Notify::new(), Notify::new(), Rc::new(Cell::new(false)));
        for (mine, other) in [(ping.clone(), pong.clone()), (pong, ping)] {
            let done = done.clone();
            rt::spawn(async move {
                while !done.get() {
                    let wait = mine.wait();
                    other.wake_all();
                    wait.await;
                }
                other.wake_all();
            });
        }
        let start = Instant::now();
        timer::sleep(Duration::from_millis(20)).await;
        done.set(true);
        assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
    });
}

fn limit_memlock(command: &mut Command, bytes: u64) {
    let limit = move || {
        const CAP_IPC_LOCK: libc::c_ulong = 14;
        // SAFETY: takes numbers. Without the capability the limit holds for root too, from the next exec on.
        unsafe { libc::prctl(libc::PR_CAPBSET_DROP, CAP_IPC_LOCK, 0, 0, 0) };
        let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
        // SAFETY: `limit` is a valid limit and lives for the call.
        let status = unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit) };
        if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    // SAFETY: between fork and exec only system calls are made.
    unsafe { command.pre_exec(limit) };
}

#[test]
fn a_shard_starts_under_8_mib_memlock() {
    let child = in_child(
        "a_shard_starts_under_8_mib_memlock",
        |command| limit_memlock(command, 8 << 20),
        || {
            let Some(dir) = direct_dir() else { return };
            on_shard(small(), async move |shard: Shard| {
                let file = new_file(&dir, "f").await;
                // More pages than may be locked: they work all the same.
                let mut pages: Vec<_> = (0..12).map(|_| shard.pages.take(1 << 20).unwrap()).collect();
                for page in &mut pages {
                    page.append(b"x");
                    shard.ring.write(&file, 0, vec![page.blocks(0..1)], Flush::Dsync).await.unwrap();
                }
                while shard.ring.caps().registered_pages {
                    timer::sleep(Duration::from_millis(1)).await;
                }
            });
        },
    );
    assert_success(child);
}

#[test]
fn too_little_memlock_is_one_clear_message() {
    let child = in_child(
        "too_little_memlock_is_one_clear_message",
        |command| limit_memlock(command, 256 << 10),
        || {
            let dir = tempfile::tempdir().unwrap();
            let refused = preflight(dir.path(), 1).unwrap_err();
            assert!(matches!(refused, Preflight::Memlock { limit: 262_144 }), "{refused}");
            let text = refused.to_string();
            assert!(text.contains("LimitMEMLOCK=infinity") && !text.contains('\n'), "{text}");
        },
    );
    assert_success(child);
}

fn forbid_io_uring(command: &mut Command, errno: libc::c_int) {
    let step = |code: u32, jf: u8, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf, k };
    // The number of a call is the first word of what a filter is shown.
    let mut program = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, libc::SYS_io_uring_setup as u32),
        step(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ERRNO | errno as u32),
        step(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let forbid = move || {
        let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
        // SAFETY: takes numbers. Without it a filter needs CAP_SYS_ADMIN.
        unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
        // SAFETY: `filter` points to `program`, and both live for the call.
        let status =
            unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter) };
        if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    // SAFETY: between fork and exec only system calls are made.
    unsafe { command.pre_exec(forbid) };
}

/// As the profiles of Docker and of Podman answer.
#[test]
fn a_filter_that_forbids_io_uring_is_named_whatever_it_answers() {
    for errno in [libc::EPERM, libc::ENOSYS] {
        let child = in_child(
            "a_filter_that_forbids_io_uring_is_named_whatever_it_answers",
            |command| forbid_io_uring(command, errno),
            || {
                let dir = tempfile::tempdir().unwrap();
                let refused = preflight(dir.path(), 1).unwrap_err();
                assert!(matches!(refused, Preflight::Forbidden), "{refused}");
            },
        );
        assert_success(child);
    }
}

#[test]
fn an_executor_leaves_at_most_one_descriptor() {
    let child = in_child(
        "an_executor_leaves_at_most_one_descriptor",
        |_| {},
        || {
            let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
            let life = || on_shard(small(), async |shard: Shard| shard.ring.nop().await.unwrap());
            life();
            let before = open();
            (0..10).for_each(|_| life());
            // The kernel closes a ring a moment after its last descriptor.
            let after = open();
            assert!(after <= before + 10, "{before} descriptors before, {after} after 10 executors");
        },
    );
    assert_success(child);
}

/// Everything a segment roll needs on the hot path goes through the ring.
#[test]
fn a_segment_roll_makes_no_blocking_call() {
    let Some(dir) = direct_dir() else { return };
    on_shard(small(), async move |shard: Shard| {
        let (old, new) = (new_file(&dir, "old").await, new_file(&dir, "prepared").await);
        let mut page = shard.pages.take(BLOCK).unwrap();
        page.append(b"last of the old, first of the new");
        let before = rt::blocking_calls();
        shard.ring.write(&old, 0, vec![page.blocks(0..1)], Flush::No).await.unwrap();
        shard.ring.fdatasync(&old).await.unwrap();
        shard.ring.allocate(&new, 0, 1 << 20).await.unwrap();
        shard.ring.write(&new, 0, vec![page.blocks(0..1)], Flush::Dsync).await.unwrap();
        shard.ring.close(old).await.unwrap();
        assert_eq!(rt::blocking_calls(), before);
        new.truncate(2 << 20).await.unwrap();
        assert_eq!((rt::blocking_calls(), new.size().unwrap()), (before + 1, 2 << 20));
    });
}

#[test]
fn an_idle_shard_sleeps() {
    on_shard(small(), async |shard: Shard| {
        let (fd_listener, ring) = (listen(), shard.ring.clone());
        rt::spawn(async move { drop(fd_listener.accept(&ring).await) });
        timer::sleep(Duration::from_millis(50)).await;
        let on_core = || {
            let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
            Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
        };
        let before = on_core();
        timer::sleep(Duration::from_secs(2)).await;
        let used = on_core() - before;
        assert!(used < Duration::from_millis(20), "{used:?} of 2 s");
    });
}

/// The defect that `turn` works around, shown on the executor itself: with a timer that fires before the first task
/// of a turn can run, the executor sleeps with ready tasks. When an upgrade makes this fail, `turn` can go.
#[test]
fn canary_the_executor_sleeps_with_ready_tasks() {
    use glommio::{LocalExecutorBuilder, Placement};
    let name = "canary_the_executor_sleeps_with_ready_tasks";
    if std::env::var_os("RT_TEST_CHILD").is_none() {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([name, "--exact", "--nocapture"])
            .env("RT_TEST_CHILD", name)
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_secs(3));
        let ended = child.try_wait().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        return assert!(ended.is_none(), "the defect is gone: {ended:?}");
    }
    let builder = LocalExecutorBuilder::new(Placement::Unbound).preempt_timer(Duration::from_nanos(1));
    builder.make().unwrap().run(async {
        for _ in 0..10_000 {
            glommio::executor().yield_task_queue_now().await;
        }
    });
}
