//! `tailrace serve`: a broker from its start to its stop. What happens on the main thread is here; what happens on a
//! shard is in `shard`.
//!
//! ```text
//!   main     configuration, addresses, preflight, data directory, lock
//!   shard 0  recovery (after a stop that was not in order), metadata log, image
//!   shards   store, logs, rooms, pumps, listeners       ... until SIGTERM or SIGINT ...
//!   shards   no new connections, what is in flight, stores closed
//!   main     Kafka's checkpoint files, the mark of a stop in order
//! ```

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Arc, mpsc},
    thread,
    time::Instant,
};

use anyhow::{Context, anyhow, bail};
use coordinator::{BrokerConfig, metadata::SecurityProtocol};
use net::Host;
use replication::transport::Identity;
use rt::{ExecutorOptions, MeshBuilder, preflight};

use crate::{
    cli::ServeArgs,
    config::{self, Loaded},
    data_dir::DataDir,
    failure::Failure,
    loggers::ProcessLoggers,
};

mod addresses;
mod checkpoints;
mod cleaner;
mod control;
mod housekeeping;
mod in_sync;
mod membership;
mod memory;
mod metadata_log;
mod metadata_snapshot;
mod news;
mod partitions;
mod peers;
mod process;
mod quorum_state;
mod recover;
mod removals;
mod repair;
mod retention;
mod scrubber;
mod shard;
mod snapshot_lane;
mod stray;
mod throttle;
mod voter_disk;

use process::{Cluster, Plan, Process};

/// Returns after a stop in order.
pub fn run(args: &ServeArgs, loggers: Arc<ProcessLoggers>) -> Result<(), Failure> {
    let started = Instant::now();
    let Loaded { mut config, without_effect } = config::load(args).map_err(Failure::usage)?;
    check_supported(&config).map_err(Failure::usage)?;
    tell_warnings(&config, &without_effect);
    let path = config.log_dirs[0].clone();
    let path = Path::new(&path);
    let checked = DataDir::check(path)?;
    let bound = addresses::claim(&mut config)?;
    let metrics = addresses::claim_metrics(&mut config)?;
    let cluster = cluster(&config)?;
    let cluster_id = cluster.as_ref().map(|cluster| cluster.identity.cluster_id());
    let dir = checked.open(config.node_id, cluster_id)?;
    let report = preflight::preflight(path, args.shards.map_or(0, usize::from))?;
    let shard_count = args.shards.map_or(report.cores, usize::from);
    if report.crowded {
        tracing::warn!("{shard_count} shards share {} cores: fewer are faster", report.cores);
    }
    let clean = dir.take_clean_mark()?;
    rt::signal::install().context("the signals cannot be handled")?;
    let budget = memory::page_bytes(shard_count);
    let plan = Plan {
        config,
        // Clients are shown it, and whoever moves replicas names it.
        data_dir: std::path::absolute(path).context("the data directory's path")?,
        cluster_id: dir.cluster_id().to_owned(),
        cluster,
        incarnation: *uuid::Uuid::new_v4().as_bytes(),
        host: Host { directory_id: dir.directory_id(), loggers },
        clean,
        bound,
        metrics,
        page_bytes: budget,
        kernel: report.to_string(),
        started,
    };
    let process = run_shards(shard_count, plan)?;
    checkpoints::write(&dir, &process.take_closed()).context("the last files could not be written")?;
    if process.is_unfinished() {
        tracing::info!("stopped; the next start removes what is left of deleted topics");
    } else {
        dir.put_clean_mark()?;
        tracing::info!("stopped");
    }
    Ok(())
}

/// What the configuration says of other brokers, and the certificates that they know this one by.
fn cluster(config: &BrokerConfig) -> anyhow::Result<Option<Cluster>> {
    let Some(quorum) = config.quorum.clone() else { return Ok(None) };
    let identity = Identity::load(Path::new(&quorum.certificates))?;
    if identity.broker() != config.node_id {
        bail!(
            "cluster.certificates: {} is for broker {} and this is broker {}; make its own with 'tailrace cert node'",
            quorum.certificates,
            identity.broker(),
            config.node_id
        );
    }
    let address = addresses::resolve(&quorum.listener, "cluster.listener")?;
    Ok(Some(Cluster { quorum, identity, address }))
}

fn check_supported(config: &BrokerConfig) -> anyhow::Result<()> {
    let other = config.listeners.iter().find(|listener| listener.protocol != SecurityProtocol::Plaintext);
    match other {
        None => Ok(()),
        Some(listener) => bail!(
            "listeners: {} asks for {:?}, which is not served yet; use PLAINTEXT on a network you trust",
            listener.listener,
            listener.protocol
        ),
    }
}

fn tell_warnings(config: &BrokerConfig, without_effect: &BTreeSet<String>) {
    if !without_effect.is_empty() {
        let names: Vec<&str> = without_effect.iter().map(String::as_str).collect();
        tracing::info!("accepted and without effect here: {}", names.join(", "));
    }
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    if let [first, others @ ..] = &config.log_dirs[..]
        && !others.is_empty()
    {
        tracing::warn!("log.dirs: only {first} is used, {} is left alone", others.join(", "));
    }
}

/// Runs all shards to their end. The first that fails ends the wait: the process then ends, and the others with it.
fn run_shards(shard_count: usize, plan: Plan) -> anyhow::Result<Arc<Process>> {
    let (done, outcome) = mpsc::channel();
    let options = ExecutorOptions { page_bytes: plan.page_bytes, ..ExecutorOptions::default() };
    let process = Arc::new(Process::new(plan, shard_count, done.clone()));
    let mesh = MeshBuilder::new(shard_count);
    let shared = process.clone();
    thread::Builder::new().name("shards".into()).spawn(move || {
        let make = move |shard: rt::Shard| shard::run(shared.clone(), mesh.clone(), shard);
        let ended =
            rt::run_shards(shard_count, options, make).map_err(|error| anyhow!("a shard ended: {error}"));
        // Nobody listens any more when a shard failed first.
        let _ = done.send(ended);
    })?;
    outcome.recv().expect("the thread of the shards reports")?;
    Ok(process)
}
