//! What the runtime costs, as medians: `cargo run --release -p rt --example figures [spin_us]`.
//!
//! Each figure stands beside a plain way of doing the same, so that the ratios can be read on any machine. Round
//! trips are taken one at a time, so they measure wakes, not throughput.

#![allow(clippy::unwrap_used, reason = "a measurement ends at the first surprise")]

use std::{
    fs,
    future::Future,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::PathBuf,
    time::{Duration, Instant},
};

use model::ShardId;
use rt::{
    ExecutorOptions, MeshBuilder, Shard,
    file::{Access, File},
    net::{ListenOptions, Listener, Stream},
    ring::Flush,
    run_shards, run_single,
};

const ROUNDS: usize = 20_000;
const WRITES: usize = 1000;
const FILE_BYTES: usize = 4 << 20;
const MESSAGE_BYTES: usize = 128;

fn main() {
    let spin_us = std::env::args().nth(1).map_or(0, |text| text.parse().expect("spin_us is a number"));

    let options = ExecutorOptions { spin_us, page_bytes: 64 << 20, ..ExecutorOptions::default() };
    println!("spin {spin_us} us; medians and 99th percentiles in us");
    ring_nop(options.clone());
    writes(options.clone());
    tcp(options.clone());
    cross_shard(options);
}

fn ring_nop(options: ExecutorOptions) {
    one_shard(&options, async |shard: Shard| {
        let before = shard.ring.submits();
        report(
            "a nop through the ring and back",
            sample(ROUNDS, async || shard.ring.nop().await.unwrap()).await,
        );
        println!(
            "    {:.2} submits each",
            (shard.ring.submits() - before) as f64 / (ROUNDS + ROUNDS / 10) as f64
        );
        let tasks = async || {
            let (tx, rx) = rt::oneshot();
            rt::spawn(async move { tx.send(()).unwrap() });
            rx.await.unwrap();
        };
        let mut pages = Vec::new();
        let slab = async || pages.extend((0..4).map(|_| shard.pages.take(1 << 20).unwrap()));
        report("a slab of 4 MiB taken in four pages", sample(10, slab).await);
        report("a task spawned and back (no kernel)", sample(ROUNDS, tasks).await);
    });
}

/// In turns, so that both meet the same disk: it may have other users.
fn writes(options: ExecutorOptions) {
    let path = PathBuf::from(format!("figures-{}.tmp", std::process::id()));
    fs::write(&path, vec![1; FILE_BYTES]).unwrap();
    fs::File::open(&path).unwrap().sync_all().unwrap();
    let flags = libc::O_DIRECT | libc::O_DSYNC;
    let plain = fs::OpenOptions::new().write(true).custom_flags(flags).open(&path).unwrap();
    let opened = path.clone();
    one_shard(&options, async move |shard: Shard| {
        let file = File::open(opened, Access::ReadWrite).await.unwrap();
        let mut page = shard.pages.take(4096).unwrap();
        page.append(&[3; 4096]);
        let memory = vec![2u8; 8192];
        let aligned = memory.as_ptr().align_offset(4096);
        let (mut by_call, mut by_ring) = (Vec::new(), Vec::new());
        for n in 0..WRITES {
            let start = Instant::now();
            plain.write_all_at(&memory[aligned..aligned + 4096], at(2 * n)).unwrap();
            by_call.push(start.elapsed());
            let start = Instant::now();
            shard.ring.write(&file, at(2 * n + 1), vec![page.blocks(0..4096)], Flush::Dsync).await.unwrap();
            by_ring.push(start.elapsed());
        }
        report("4 KiB durable write, plain call (O_DIRECT, O_DSYNC)", by_call);
        report("4 KiB durable write through the ring", by_ring);
    });
    fs::remove_file(path).unwrap();
}

fn at(n: usize) -> u64 {
    (n * 4096 % FILE_BYTES) as u64
}

fn tcp(options: ExecutorOptions) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = [0; MESSAGE_BYTES];
        while stream.read_exact(&mut buffer).is_ok() {
            stream.write_all(&buffer).unwrap();
        }
    });
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut samples = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let mut buffer = [1; MESSAGE_BYTES];
        stream.write_all(&buffer).unwrap();
        stream.read_exact(&mut buffer).unwrap();
        samples.push(start.elapsed());
    }
    report("TCP ping-pong, two plain threads", samples);
    one_shard(&options, async |shard: Shard| {
        let listener = Listener::bind(any_port(), ListenOptions::default()).unwrap();
        let to = listener.local_addr().unwrap();
        let ring = shard.ring.clone();
        rt::spawn(async move { echo(listener.accept(&ring).await.unwrap().0).await });
        let stream = Stream::connect(&shard.ring, to).await.unwrap();
        report("TCP ping-pong, both ends on one shard", sample(ROUNDS, async || ping(&stream).await).await);
    });
    let (port, ports) = std::sync::mpsc::channel();
    let server = options.clone();
    std::thread::spawn(move || {
        one_shard(&server, async move |shard: Shard| {
            let listener = Listener::bind(any_port(), ListenOptions::default()).unwrap();
            port.send(listener.local_addr().unwrap()).unwrap();
            echo(listener.accept(&shard.ring).await.unwrap().0).await;
        });
    });
    let to = ports.recv().unwrap();
    one_shard(&options, async move |shard: Shard| {
        let stream = Stream::connect(&shard.ring, to).await.unwrap();
        report("TCP ping-pong, two shards", sample(ROUNDS, async || ping(&stream).await).await);
    });
}

async fn ping(stream: &Stream) {
    let mut buffer = [1; MESSAGE_BYTES];
    stream.send_all(&buffer).await.unwrap();
    let mut got = 0;
    while got < MESSAGE_BYTES {
        got += stream.recv(&mut buffer[got..]).await.unwrap();
    }
}

async fn echo(stream: Stream) {
    let mut buffer = [0; MESSAGE_BYTES];
    loop {
        match stream.recv(&mut buffer).await.unwrap() {
            0 => return,
            count => stream.send_all(&buffer[..count]).await.unwrap(),
        }
    }
}

fn any_port() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn cross_shard(options: ExecutorOptions) {
    let builder = MeshBuilder::<Option<Instant>>::new(2);
    run_shards(2, options, move |shard: Shard| {
        let builder = builder.clone();
        async move {
            let mesh = builder.join(shard.id).await;
            if shard.id == ShardId(1) {
                while let (from, Some(sent)) = mesh.recv().await {
                    mesh.send(from, Some(sent));
                }
                return;
            }
            let round = async || {
                mesh.send(ShardId(1), Some(Instant::now()));
                mesh.recv().await;
            };
            report("a message to another shard and back", sample(ROUNDS, round).await);
            let round = async || {
                (0..16).for_each(|_| mesh.send(ShardId(1), Some(Instant::now())));
                for _ in 0..16 {
                    mesh.recv().await;
                }
            };
            report("sixteen messages to another shard and back", sample(ROUNDS / 16, round).await);
            mesh.send(ShardId(1), None);
            rt::timer::sleep(Duration::from_millis(50)).await;
        }
    })
    .unwrap();
}

fn one_shard<Fut: Future<Output = ()> + 'static>(
    options: &ExecutorOptions,
    make: impl FnOnce(Shard) -> Fut + Send + 'static,
) {
    run_single(options.clone(), make).unwrap();
}

async fn sample(rounds: usize, mut round: impl AsyncFnMut()) -> Vec<Duration> {
    for _ in 0..rounds / 10 {
        round().await;
    }
    let mut samples = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let start = Instant::now();
        round().await;
        samples.push(start.elapsed());
    }
    samples
}

fn report(what: &str, mut samples: Vec<Duration>) {
    samples.sort();
    let us = |at: usize| samples[at].as_secs_f64() * 1e6;
    println!("{what:>60} {:8.2} {:8.2}", us(samples.len() / 2), us(samples.len() * 99 / 100));
}
