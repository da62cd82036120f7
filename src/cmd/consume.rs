//! `tailrace consume`: records to standard output.

use std::{
    collections::BTreeMap,
    io::{self, BufWriter, Write, stdout},
    ops::ControlFlow,
};

use anyhow::anyhow;

use super::progress::ProgressLine;
use crate::{
    cli::ConsumeArgs,
    client::{
        Cluster,
        consumer::{Consumer, Fetched, Positions},
        format::Format,
        offsets,
        records::for_each_record,
    },
};

const OUT_BYTES: usize = 256 << 10;

pub fn run(args: &ConsumeArgs) -> anyhow::Result<()> {
    let format = args.format.clone().unwrap_or_else(|| Format::lines(args.key_delimiter.as_deref()));
    let mut cluster = Cluster::connect(&args.broker.broker)?;
    let topic = cluster.topic(&args.topic, false)?;
    let partitions: Vec<i32> = match args.partition {
        Some(partition) => topic.leader(partition).map(|_| vec![partition])?,
        None => topic.partitions.iter().map(|p| p.index).collect(),
    };
    let committed_only = !args.read_uncommitted;
    let positions = cluster.positions(&topic, &partitions, args.offset, committed_only)?;
    let ends = match args.exit_at_end {
        true => Some(cluster.list_offsets(&topic, &partitions, offsets::LATEST, committed_only)?),
        false => None,
    };
    let printer = Printer {
        topic: topic.name.clone(),
        format,
        left: args.count.unwrap_or(u64::MAX),
        out: BufWriter::with_capacity(OUT_BYTES, stdout()),
        records: 0,
        bytes: 0,
        progress: ProgressLine::start(args.quiet),
    };
    let reached_end = ends.as_ref().is_some_and(|ends| is_at_end(&positions, ends));
    if reached_end || printer.left == 0 {
        return printer.end();
    }
    let consumer = Consumer::start(&mut cluster, topic, positions, committed_only)?;
    printer.run(consumer, ends.as_ref())
}

fn is_at_end(positions: &Positions, ends: &BTreeMap<i32, i64>) -> bool {
    ends.iter().all(|(partition, end)| positions.get(partition).is_none_or(|position| position >= end))
}

struct Printer {
    topic: String,
    format: Format,
    /// How many records may still be printed.
    left: u64,
    out: BufWriter<io::Stdout>,
    records: u64,
    bytes: u64,
    progress: ProgressLine,
}

impl Printer {
    fn run(mut self, mut consumer: Consumer<'_>, ends: Option<&BTreeMap<i32, i64>>) -> anyhow::Result<()> {
        loop {
            let fetched = match consumer.ready()? {
                Some(fetched) => fetched,
                None => {
                    // Whoever reads our output shall not wait for the next record to see the last one.
                    if !self.keep_going(|printer| printer.out.flush())? {
                        return Ok(());
                    }
                    consumer.wait()?
                }
            };
            if !self.keep_going(|printer| printer.print(&fetched))? {
                return Ok(());
            }
            self.progress.show(self.records, self.bytes);
            if self.left == 0 || ends.is_some_and(|ends| is_at_end(consumer.positions(), ends)) {
                return self.end();
            }
        }
    }

    /// `false` once nobody reads our output any more (`| head`): that is an end like any other.
    fn keep_going(&mut self, work: impl FnOnce(&mut Self) -> io::Result<()>) -> anyhow::Result<bool> {
        match work(self) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                // Dropping the writer must not try again.
                let _ = std::mem::replace(&mut self.out, BufWriter::new(stdout())).into_parts();
                Ok(false)
            }
            Err(error) => Err(anyhow!("{error}")),
        }
    }

    fn print(&mut self, fetched: &Fetched) -> io::Result<()> {
        for partition in fetched.view().responses.iter().flat_map(|t| t.partitions.iter()) {
            let mut written = Ok(());
            let walked = for_each_record(&partition, fetched.from(partition.partition_index), |message| {
                let record = &message.record;
                self.bytes +=
                    (record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len)) as u64;
                self.records += 1;
                self.left -= 1;
                written = self.format.print(&self.topic, &message, &mut self.out);
                if self.left == 0 || written.is_err() {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            });
            written?;
            walked.map_err(io::Error::other)?;
            if self.left == 0 {
                break;
            }
        }
        Ok(())
    }

    fn end(mut self) -> anyhow::Result<()> {
        if self.keep_going(|printer| printer.out.flush())? {
            self.progress.end(self.records, self.bytes);
        }
        Ok(())
    }
}
