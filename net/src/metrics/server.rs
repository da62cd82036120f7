//! The listener for scrapes, on shard 0: `GET /metrics`, and `GET /healthz` for those who only want to know whether this
//! broker takes records. One request a connection, in the background, beside the listeners of clients.
//!
//! Nobody is asked who he is, so it belongs on an address that only friends reach. Whoever is no friend cannot hold it up:
//! heads, connections and times are bounded, and when all places are taken the oldest connection gives way to the next.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use engine::Disk;
use model::Timestamp;
use rt::{
    net::{Listener, Stream},
    notify::Notify,
    ring::Ring,
};

use super::{
    families::Family,
    http::{self, Answer, HEAD_BYTES_MAX, Head, Status},
    samples::{Label, Samples},
    scrape,
    text::CONTENT_TYPE,
};
use crate::shard::Shard;

const CONNECTIONS_MAX: usize = 16;
/// For the whole head.
const HEAD_PATIENCE: Duration = Duration::from_secs(5);
/// For what the shards say.
const SCRAPE_PATIENCE: Duration = Duration::from_secs(10);
/// For the answer to be taken.
const SEND_PATIENCE: Duration = Duration::from_secs(10);
/// For the end that the client makes, and of what may come before it: a connection closed earlier takes the answer along.
const END_PATIENCE: Duration = Duration::from_secs(1);
const END_BYTES_MAX: usize = 64 << 10;
/// Pause after accepting failed for a reason that may stay.
const FAILED_PAUSE: Duration = Duration::from_millis(100);

/// What only the binary knows.
#[derive(Clone, Copy, Debug)]
pub struct About {
    pub version: &'static str,
    pub started: Instant,
}

pub struct MetricsServer<D: Disk> {
    shard: Rc<Shard<D>>,
    ring: Ring,
    about: About,
    started_at: Timestamp,
    /// By age.
    connections: RefCell<BTreeMap<u64, Stream>>,
    next: Cell<u64>,
    scraping: Cell<bool>,
    scraped: Notify,
}

impl<D: Disk> MetricsServer<D> {
    pub fn new(shard: Rc<Shard<D>>, ring: Ring, about: About) -> Rc<Self> {
        let uptime = i64::try_from(about.started.elapsed().as_millis()).unwrap_or(0);
        let started_at = Timestamp(shard.clock().wall().0 - uptime);
        let (connections, next, scraping, scraped) = Default::default();
        Rc::new(Self { shard, ring, about, started_at, connections, next, scraping, scraped })
    }

    /// Serves for ever. In the background of shard 0.
    pub async fn run(self: Rc<Self>, listener: Listener) {
        loop {
            match listener.accept(&self.ring).await {
                Ok((stream, _)) => self.admit(stream),
                Err(error) => {
                    tracing::error!(%error, "accepting a scrape failed, trying again");
                    rt::timer::sleep(FAILED_PAUSE).await;
                }
            }
            rt::yield_if_needed().await;
        }
    }

    fn admit(self: &Rc<Self>, stream: Stream) {
        let number = self.next.replace(self.next.get() + 1);
        let mut connections = self.connections.borrow_mut();
        while connections.len() >= CONNECTIONS_MAX {
            let (_, oldest) = connections.pop_first().expect("there are some");
            tracing::debug!(peer = %oldest.peer_addr(), "a scrape gives way to the next: too many connections");
            let _ = oldest.abort();
        }
        connections.insert(number, stream.clone());
        drop(connections);
        let server = self.clone();
        rt::spawn_background(async move {
            server.serve(&stream).await;
            let _ = stream.shutdown();
            server.connections.borrow_mut().remove(&number);
        });
    }

    async fn serve(&self, stream: &Stream) {
        let (answer, bodiless) = match rt::timer::timeout(HEAD_PATIENCE, Box::pin(read_head(stream))).await {
            // Nothing was asked.
            None | Some(Head::Partial) => return,
            Some(Head::Refused(status)) => (refused(status, stream.peer_addr()), false),
            Some(Head::Get { path, bodiless }) => (self.answer(&path).await, bodiless),
        };
        let bytes = answer.into_bytes(bodiless);
        match rt::timer::timeout(SEND_PATIENCE, stream.send_all(&bytes)).await {
            Some(Ok(())) => drop(rt::timer::timeout(END_PATIENCE, until_end(stream)).await),
            Some(Err(_)) => {}
            None => drop(stream.abort()),
        }
    }

    async fn answer(&self, path: &str) -> Answer {
        match path {
            "/metrics" => match rt::timer::timeout(SCRAPE_PATIENCE, self.scrape()).await.flatten() {
                Some(body) => Answer { status: Status::Ok, content_type: CONTENT_TYPE, body },
                None => Answer::text(Status::Unavailable, "a shard gave no answer in time; try again"),
            },
            "/healthz" => match self.shard.store().failure() {
                None => Answer::text(Status::Ok, "ok"),
                Some(why) => Answer::text(Status::Unavailable, &format!("the data directory failed: {why}")),
            },
            _ => Answer::text(Status::NotFound, "there is /metrics, and /healthz"),
        }
    }

    /// One at a time: who comes meanwhile waits for its turn.
    async fn scrape(&self) -> Option<Vec<u8>> {
        let _turn = loop {
            let scraped = self.scraped.wait();
            if !self.scraping.replace(true) {
                break Turn { scraping: &self.scraping, scraped: &self.scraped };
            }
            scraped.await;
        };
        scrape::scrape(&self.shard, self.own()).await
    }

    fn own(&self) -> Samples {
        let mut samples = Samples::default();
        let nanos = |millis: i64| u64::try_from(millis).unwrap_or(0) * 1_000_000;
        let uptime = u64::try_from(self.about.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        samples.whole(Family::BuildInfo, [Label::Static(self.about.version)], 1);
        samples.one(Family::Uptime, uptime);
        samples.one(Family::ProcessStart, nanos(self.started_at.0));
        samples
    }
}

/// Also given back when a scrape is dropped half way.
struct Turn<'a> {
    scraping: &'a Cell<bool>,
    scraped: &'a Notify,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.scraping.set(false);
        self.scraped.wake_all();
    }
}

fn refused(status: Status, peer: SocketAddr) -> Answer {
    tracing::debug!(%peer, ?status, "no scrape");
    let sentence = match status {
        Status::MethodNotAllowed => "only GET and HEAD are served",
        Status::HeadTooLarge => "the head of the request is too large",
        _ => "this is no HTTP request; clients of Kafka connect to another port",
    };
    Answer::text(status, sentence)
}

/// `Partial` if the client ends before its head does.
async fn read_head(stream: &Stream) -> Head {
    let mut bytes = [0; HEAD_BYTES_MAX];
    let mut filled = 0;
    loop {
        match stream.recv(&mut bytes[filled..]).await {
            Ok(count @ 1..) => filled += count,
            Ok(0) | Err(_) => return Head::Partial,
        }
        match http::read(&bytes[..filled]) {
            Head::Partial => {}
            head => return head,
        }
    }
}

async fn until_end(stream: &Stream) {
    let mut bytes = [0; 1024];
    let mut left = END_BYTES_MAX;
    while let Ok(count @ 1..) = stream.recv(&mut bytes).await {
        left = left.saturating_sub(count);
        if left == 0 {
            return;
        }
    }
}
