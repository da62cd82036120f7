//! `cargo run -p sim --release -- --seed N [--count M]`: runs seeds N, N + 1, ... of one broker's storage, or with
//! `--cluster` of a cluster. A seed that fails says how to replay it.

use std::{
    panic,
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use anyhow::{Context, Result, bail};
use sim::{
    cluster::{self, plan::Bug},
    disk::Lie,
    plan::Plan,
    world,
};

/// The seed that runs: a release build ends where it panics, so the hook must know.
static CURRENT: AtomicU64 = AtomicU64::new(0);

struct Arguments {
    seed: u64,
    count: u64,
    /// Prints what each seed drew and did; of a cluster, everything that happens.
    verbose: bool,
    cluster: bool,
    /// Of a cluster: what is to be told.
    bug: Option<Bug>,
}

fn arguments() -> Result<Arguments> {
    let mut parsed = Arguments { seed: 1, count: 1, verbose: false, cluster: false, bug: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut next = || words.next().with_context(|| format!("{word} wants a value"));
        match word.as_str() {
            "--seed" => parsed.seed = next()?.parse().context("a number")?,
            "--count" => parsed.count = next()?.parse().context("a number")?,
            "--verbose" => parsed.verbose = true,
            "--cluster" => parsed.cluster = true,
            "--bug" => {
                let name = next()?;
                let named = Bug::ALL.into_iter().find(|bug| format!("{bug:?}") == name);
                parsed.bug =
                    Some(named.with_context(|| format!("there is no bug {name}; there are {:?}", Bug::ALL))?);
            }
            other => {
                bail!(
                    "{other} is unknown; there are --seed N, --count M, --verbose, --cluster and --bug NAME"
                )
            }
        }
    }
    Ok(parsed)
}

fn main() -> Result<()> {
    let arguments = arguments()?;
    let said = panic::take_hook();
    let kind = if arguments.cluster { "--cluster " } else { "" };
    panic::set_hook(Box::new(move |why| {
        said(why);
        let seed = CURRENT.load(Ordering::Relaxed);
        eprintln!("seed {seed} fails; again: cargo run -p sim --release -- {kind}--seed {seed} --verbose");
    }));
    if arguments.cluster {
        run_clusters(&arguments)
    } else {
        run_stores(&arguments)
    }
    Ok(())
}

fn run_stores(&Arguments { seed, count, verbose, .. }: &Arguments) {
    let began = Instant::now();
    let (mut lives, mut crashes, mut batches) = (0, 0, 0);
    for seed in seed..seed + count {
        if verbose {
            println!("seed {seed}: {:?}", Plan::draw(seed));
        }
        CURRENT.store(seed, Ordering::Relaxed);
        let report = world::run(seed, Lie::None);
        if verbose {
            println!("seed {seed}: {report:?}");
        }
        lives += report.lives;
        crashes += report.crashes;
        batches += report.batches;
    }
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{count} seeds in {seconds:.1} s, {:.0} a second: {lives} lives, {crashes} crashes, {batches} batches checked",
        count as f64 / seconds
    );
}

fn run_clusters(&Arguments { seed, count, verbose, bug, .. }: &Arguments) {
    let began = Instant::now();
    let (mut acked, mut read, mut elections, mut epochs, mut lives, mut virtual_ms) = (0, 0, 0, 0, 0, 0);
    for seed in seed..seed + count {
        if verbose {
            println!("seed {seed}: {:?}", cluster::plan::Plan::draw(seed, bug));
        }
        CURRENT.store(seed, Ordering::Relaxed);
        let report = cluster::run(seed, bug, verbose);
        if verbose {
            println!("seed {seed}: {report:?}");
        }
        acked += report.acked;
        read += report.read;
        elections += report.elections;
        epochs += report.epochs;
        lives += report.lives;
        virtual_ms += report.virtual_ms;
    }
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{count} seeds in {seconds:.1} s, {:.1} a second: {acked} records acknowledged, {read} read, {elections} \
         elections, {epochs} of a controller, {lives} lives, {} virtual seconds",
        count as f64 / seconds,
        virtual_ms / 1000
    );
}
