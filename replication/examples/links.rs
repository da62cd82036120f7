//! What a link between brokers costs beside plain TCP: the round trip of a small frame, and bulk one way, with the CPU
//! of both sides. Two shards of one process, on loopback; each figure is the best of three.
//!
//! ```text
//! cargo run --release -p replication --example links [rounds] [MiB]
//! ```

use std::{
    env, fs,
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use bytes::Bytes;
use model::{BrokerId, ShardId};
use replication::transport::{Authority, ClusterId, Endpoint, EndpointOptions, Identity, Lane};
use rt::{
    ExecutorOptions, Shard,
    net::{ListenOptions, Listener, Stream},
    run_shards, timer,
};

const SMALL: usize = 256;
const FRAME: usize = 256 << 10;
const PORT: u16 = 39_092;
const REPEATS: usize = 3;

#[derive(Clone, Copy)]
struct Plan {
    rounds: usize,
    frames: usize,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let number = |n: usize, default: usize| env::args().nth(n).map_or(Ok(default), |text| text.parse());
    let (rounds, mib) = (number(1, 5000)?, number(2, 512)?);
    let plan = Plan { rounds, frames: (mib << 20) / FRAME };
    let (now, validity) = (timer::wall(), Duration::from_secs(3600));
    let (authority, ca) = Authority::make(ClusterId::from_bytes([7; 16]), now, validity)?;
    let mut identities = Vec::new();
    for broker in 0..2 {
        let issued = authority.issue(BrokerId(broker), now, validity)?;
        let pem = [&ca.certificate, &issued.certificate, &issued.key].map(String::as_bytes);
        identities.push(Identity::from_pem(pem[0], pem[1], pem[2], now)?);
    }
    run_shards(2, ExecutorOptions::default(), move |shard: Shard| {
        let identity = identities[usize::from(shard.id.0)].clone();
        run(shard, identity, plan)
    })?;
    Ok(())
}

/// Shard 1 answers; shard 0 asks, and tells.
async fn run(shard: Shard, identity: Identity, plan: Plan) {
    let local = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT + shard.id.0));
    let answerer = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT + 1));
    let endpoint =
        Endpoint::bind(&shard.ring, local, &identity, EndpointOptions::default()).expect("the port is free");
    if shard.id == ShardId(1) {
        let listener = Listener::bind(answerer, ListenOptions::default()).expect("the port is free");
        let link = endpoint.accept().await.expect("open").expect("a peer");
        answer_lane(link.accept().await.expect("a lane"), plan).await;
        let (stream, _) = listener.accept(&shard.ring).await.expect("a connection");
        answer_stream(stream, plan).await;
        endpoint.close().await;
        return;
    }
    let link = loop {
        // Until shard 1 is there.
        if let Ok(link) = endpoint.connect(answerer, BrokerId(1)).await {
            break link;
        }
    };
    ask_lane(link.open(0).await.expect("a lane"), plan).await;
    let stream = Stream::connect(&shard.ring, answerer).await.expect("a connection");
    ask_stream(stream, plan).await;
    endpoint.close().await;
}

/// Of the repeats so far.
struct Best {
    round: Duration,
    bulk: Duration,
    bulk_cpu: Duration,
}

impl Best {
    const NONE: Self = Self { round: Duration::MAX, bulk: Duration::MAX, bulk_cpu: Duration::MAX };

    fn rounds(&mut self, begun: Instant) {
        self.round = self.round.min(begun.elapsed());
    }

    fn bulk(&mut self, begun: Instant, cpu_before: Duration) {
        self.bulk = self.bulk.min(begun.elapsed());
        self.bulk_cpu = self.bulk_cpu.min(cpu() - cpu_before);
    }

    fn tell(&self, name: &str, plan: Plan) {
        let mib = (plan.frames * FRAME) as f64 / f64::from(1 << 20);
        let round_us = self.round.as_secs_f64() * 1e6 / plan.rounds as f64;
        let (rate, cpu) = (mib / self.bulk.as_secs_f64(), self.bulk_cpu.as_secs_f64() * 1024.0 / mib);
        println!("{name}: {round_us:.1} us a round trip, {rate:.0} MiB/s, {cpu:.2} s of CPU a GiB");
    }
}

/// Of all threads of this process, as `/proc/self/stat` has it, in hundredths of a second.
fn cpu() -> Duration {
    let text = fs::read_to_string("/proc/self/stat").expect("it is Linux");
    let behind_name = text.rsplit(')').next().expect("split gives something");
    let ticks = behind_name.split_whitespace().skip(11).take(2).map(|n| n.parse::<u64>().expect("ticks"));
    Duration::from_millis(10 * ticks.sum::<u64>())
}

async fn ask_lane(mut lane: Lane, plan: Plan) {
    let mut best = Best::NONE;
    let body = Bytes::from(vec![7; FRAME]);
    for _ in 0..REPEATS {
        let begun = Instant::now();
        for _ in 0..plan.rounds {
            lane.sender.send(&[&[7; SMALL]]).await.expect("sent");
            lane.receiver.receive(SMALL).await.expect("answered");
        }
        best.rounds(begun);
        let (begun, before) = (Instant::now(), cpu());
        for _ in 0..plan.frames {
            lane.sender.send_bytes(b"", vec![body.clone()]).await.expect("sent");
        }
        lane.receiver.receive(SMALL).await.expect("answered");
        best.bulk(begun, before);
    }
    best.tell("QUIC", plan);
}

async fn answer_lane(mut lane: Lane, plan: Plan) {
    for _ in 0..REPEATS {
        for _ in 0..plan.rounds {
            let frame = lane.receiver.receive(SMALL).await.expect("asked").expect("not the end");
            lane.sender.send(&[&frame]).await.expect("sent");
        }
        for _ in 0..plan.frames {
            lane.receiver.receive(FRAME).await.expect("asked").expect("not the end");
        }
        lane.sender.send(&[b"all"]).await.expect("sent");
    }
    // Until the other side is through.
    let _ = lane.receiver.receive(SMALL).await;
}

async fn ask_stream(stream: Stream, plan: Plan) {
    let mut best = Best::NONE;
    let (small, body) = ([7; SMALL], vec![7; FRAME]);
    for _ in 0..REPEATS {
        let begun = Instant::now();
        for _ in 0..plan.rounds {
            stream.send_all(&small).await.expect("sent");
            receive_exactly(&stream, &mut [0; SMALL], SMALL).await;
        }
        best.rounds(begun);
        let (begun, before) = (Instant::now(), cpu());
        for _ in 0..plan.frames {
            stream.send_all(&body).await.expect("sent");
        }
        receive_exactly(&stream, &mut [0; SMALL], 3).await;
        best.bulk(begun, before);
    }
    best.tell("TCP ", plan);
}

async fn answer_stream(stream: Stream, plan: Plan) {
    let mut buffer = vec![0; FRAME];
    for _ in 0..REPEATS {
        for _ in 0..plan.rounds {
            receive_exactly(&stream, &mut buffer, SMALL).await;
            stream.send_all(&buffer[..SMALL]).await.expect("sent");
        }
        for _ in 0..plan.frames {
            receive_exactly(&stream, &mut buffer, FRAME).await;
        }
        stream.send_all(b"all").await.expect("sent");
    }
}

async fn receive_exactly(stream: &Stream, into: &mut [u8], bytes: usize) {
    let mut done = 0;
    while done < bytes {
        let count = stream.recv(&mut into[done..bytes]).await.expect("received");
        assert!(count > 0, "the other side is gone");
        done += count;
    }
}
