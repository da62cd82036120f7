//! `tailrace produce`: a record a line.

use std::{
    fs::File,
    io::{Read, stdin},
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::Context;

use super::{
    lines::{self, Chunk},
    progress::ProgressLine,
};
use crate::{
    cli::{Acks, ProduceArgs},
    client::{
        Cluster,
        batch::{BatchOptions, Batcher},
        partitioner::Partitioner,
        producer::{Sender, identify},
    },
};

/// How often an idle sender looks for answers.
const IDLE: Duration = Duration::from_millis(200);

pub fn run(args: &ProduceArgs) -> anyhow::Result<()> {
    let input: Box<dyn Read + Send> = match &args.file {
        Some(path) => Box::new(File::open(path).with_context(|| format!("cannot read {}", path.display()))?),
        None => Box::new(stdin()),
    };
    let mut cluster = Cluster::connect(&args.broker.broker)?;
    let topic = cluster.topic(&args.topic, true)?;
    let partitioner = match args.partition {
        Some(partition) => topic.leader(partition).map(|_| Partitioner::Fixed(partition))?,
        None => Partitioner::ByKey { count: topic.partitions.len() as i32, current: 0 },
    };
    let identity = if args.acks == Acks::All { Some(identify(&mut cluster)?) } else { None };
    let options = BatchOptions {
        bytes_max: args.batch_bytes as usize,
        linger: Duration::from_millis(args.linger),
        compression: args.compression.into(),
        identity,
    };
    let mut pipe = Pipe {
        partitioner,
        batcher: Batcher::new(options),
        sender: Sender::new(&mut cluster, topic, args.acks.number()),
        progress: ProgressLine::start(args.quiet),
        key_delimiter: args.key_delimiter.as_ref().map(|d| d.as_bytes()).filter(|d| !d.is_empty()),
        null: args.null,
    };
    let outcome = pipe.run(&lines::read_ahead(input));
    let sent = pipe.sender.progress();
    pipe.progress.end(sent.records, sent.payload_bytes);
    outcome
}

/// From lines to acknowledged batches.
struct Pipe<'a> {
    partitioner: Partitioner,
    batcher: Batcher,
    sender: Sender<'a>,
    progress: ProgressLine,
    key_delimiter: Option<&'a [u8]>,
    null: bool,
}

impl Pipe<'_> {
    fn run(&mut self, input: &Receiver<Chunk>) -> anyhow::Result<()> {
        loop {
            match input.recv_timeout(self.patience()) {
                Ok(chunk) => self.push(&chunk.context("reading the input")?)?,
                Err(RecvTimeoutError::Timeout) => self.idle()?,
                Err(RecvTimeoutError::Disconnected) => break,
            }
            let sent = self.sender.progress();
            self.progress.show(sent.records, sent.payload_bytes);
        }
        let rest = self.batcher.take_all();
        self.sender.send(rest)?;
        self.sender.flush()?;
        Ok(())
    }

    fn patience(&self) -> Duration {
        let due = self.batcher.due_at();
        due.map_or(IDLE, |at| at.saturating_duration_since(Instant::now()).min(IDLE))
    }

    fn push(&mut self, chunk: &[u8]) -> anyhow::Result<()> {
        let (now, timestamp) = (Instant::now(), wall_clock());
        for line in lines::lines(chunk) {
            let (key, value) = lines::split_key(line, self.key_delimiter, self.null);
            let partition = self.partitioner.choose(key);
            if let Some(batch) = self.batcher.push(partition, key, value, timestamp, now) {
                self.partitioner.batch_is_full(partition);
                self.sender.send(vec![batch])?;
            }
        }
        self.send_due()
    }

    fn send_due(&mut self) -> anyhow::Result<()> {
        let due = self.batcher.take_due(Instant::now());
        for batch in &due {
            self.partitioner.batch_is_full(batch.partition);
        }
        if due.is_empty() { Ok(()) } else { Ok(self.sender.send(due)?) }
    }

    /// No line came: what waits is sent, and what was sent is seen through, so that errors are told soon.
    fn idle(&mut self) -> anyhow::Result<()> {
        self.send_due()?;
        self.sender.settle_one()?;
        Ok(())
    }
}

fn wall_clock() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
