//! `cargo run -p sim --release -- --seed N [--count M]`: runs seeds N, N + 1, ... A seed that fails says how to replay it.

use std::{
    panic,
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use anyhow::{Context, Result, bail};
use sim::{disk::Lie, plan::Plan, world};

/// The seed that runs: a release build ends where it panics, so the hook must know.
static CURRENT: AtomicU64 = AtomicU64::new(0);

struct Arguments {
    seed: u64,
    count: u64,
    /// Prints what each seed drew and did.
    verbose: bool,
}

fn arguments() -> Result<Arguments> {
    let mut parsed = Arguments { seed: 1, count: 1, verbose: false };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number =
            || words.next().with_context(|| format!("{word} wants a number"))?.parse().context("a number");
        match word.as_str() {
            "--seed" => parsed.seed = number()?,
            "--count" => parsed.count = number()?,
            "--verbose" => parsed.verbose = true,
            other => bail!("{other} is unknown; there are --seed N, --count M and --verbose"),
        }
    }
    Ok(parsed)
}

fn main() -> Result<()> {
    let Arguments { seed, count, verbose } = arguments()?;
    let said = panic::take_hook();
    panic::set_hook(Box::new(move |why| {
        said(why);
        let seed = CURRENT.load(Ordering::Relaxed);
        eprintln!("seed {seed} fails; again: cargo run -p sim --release -- --seed {seed} --verbose");
    }));
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
    Ok(())
}
