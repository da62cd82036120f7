//! `tailrace demo`: three brokers on this machine, each a process of this binary, to see what a cluster does when one
//! of them dies. They end with this process, whatever ends it.

use std::{
    env,
    fs::{self, OpenOptions},
    io::{Write, stdout},
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use rt::{
    child::{TiedChild, wait_for_any, wait_for_end},
    signal::Signal,
};

use crate::{
    cli::demo::DemoArgs,
    client::{Cluster, error::Result},
};

mod layout;

use layout::{BROKERS, Layout};

/// How long the brokers may take to find each other.
const START_LIMIT: Duration = Duration::from_secs(60);
/// Between two questions whether a broker serves.
const ASK_AGAIN: Duration = Duration::from_millis(50);
/// How long a stop in order may take.
const STOP_LIMIT: Duration = Duration::from_secs(60);

struct Broker {
    id: u16,
    process: TiedChild,
}

pub fn run(args: &DemoArgs) -> anyhow::Result<()> {
    rt::signal::install().context("the signals cannot be handled")?;
    let layout = Layout::open(&args.dir, args.port)?;
    let mut brokers = BROKERS.iter().map(|&id| start(&layout, id)).collect::<anyhow::Result<Vec<_>>>()?;
    let signal = match wait_until_served(&layout, &mut brokers) {
        Ok(None) => {
            tell(&guide(&layout, &brokers))?;
            watch(&layout, &mut brokers)?
        }
        Ok(signal) => signal,
        Err(error) => {
            stop(&mut brokers)?;
            return Err(error);
        }
    };
    match signal {
        Some(signal) => tell(&format!("{signal}: stopping {}\n", list(&brokers)))?,
        None => tell("no broker is left\n")?,
    }
    stop(&mut brokers)
}

fn start(layout: &Layout, id: u16) -> anyhow::Result<Broker> {
    let path = layout.log(id);
    let log = OpenOptions::new().append(true).create(true).open(&path);
    let log = log.with_context(|| format!("cannot write {}", path.display()))?;
    let program = env::current_exe().context("this program's path")?;
    let mut command = Command::new(&program);
    command.arg("serve").arg("--config").arg(layout.properties(id)).args(["--shards", "1"]);
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let process =
        TiedChild::start(&mut command).with_context(|| format!("cannot start {}", program.display()))?;
    Ok(Broker { id, process })
}

/// Returns once every broker serves and knows all others, or with the signal that cut the wait.
fn wait_until_served(layout: &Layout, brokers: &mut [Broker]) -> anyhow::Result<Option<Signal>> {
    let deadline = Instant::now() + START_LIMIT;
    loop {
        for broker in brokers.iter_mut() {
            if let Some(status) = broker.process.ended()? {
                let last = last_line(&layout.log(broker.id));
                bail!("broker {} {} before it served: {last}", broker.id, how(status));
            }
        }
        if brokers.iter().all(|broker| knows_all(&layout.address(broker.id)).unwrap_or(false)) {
            return Ok(None);
        }
        if Instant::now() >= deadline {
            bail!(
                "the brokers do not serve after {} s: see {}",
                START_LIMIT.as_secs(),
                layout.log(1).display()
            );
        }
        if let Some(signal) = wait_for_any(processes(brokers), Some(ASK_AGAIN))? {
            return Ok(Some(signal));
        }
    }
}

fn knows_all(address: &str) -> Result<bool> {
    let mut cluster = Cluster::connect(address)?;
    cluster.topics(Some(&[]), false)?;
    Ok(cluster.nodes().len() == BROKERS.len())
}

/// Tells of every broker that ends by itself. Returns with a signal, or without one when no broker is left.
fn watch(layout: &Layout, brokers: &mut Vec<Broker>) -> anyhow::Result<Option<Signal>> {
    while !brokers.is_empty() {
        if let Some(signal) = wait_for_any(processes(brokers), None)? {
            return Ok(Some(signal));
        }
        for (broker, status) in take_ended(brokers)? {
            tell(&epitaph(layout, &broker, status, brokers))?;
        }
    }
    Ok(None)
}

/// All at once, so that none takes over what another one gives up any longer than it must.
fn stop(brokers: &mut Vec<Broker>) -> anyhow::Result<()> {
    for broker in brokers.iter() {
        broker.process.terminate().with_context(|| format!("cannot stop broker {}", broker.id))?;
    }
    let deadline = Instant::now() + STOP_LIMIT;
    while !brokers.is_empty() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            bail!("{} did not stop in {} s and will be killed", list(brokers), STOP_LIMIT.as_secs());
        }
        wait_for_end(processes(brokers), Some(left))?;
        take_ended(brokers)?;
    }
    Ok(())
}

fn take_ended(brokers: &mut Vec<Broker>) -> anyhow::Result<Vec<(Broker, ExitStatus)>> {
    let mut ended = Vec::new();
    for mut broker in std::mem::take(brokers) {
        match broker.process.ended()? {
            Some(status) => ended.push((broker, status)),
            None => brokers.push(broker),
        }
    }
    Ok(ended)
}

fn processes(brokers: &[Broker]) -> impl Iterator<Item = &TiedChild> {
    brokers.iter().map(|broker| &broker.process)
}

/// Whoever reads it may have gone away; the brokers serve all the same.
fn tell(text: &str) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error).context("standard output"),
        _ => Ok(()),
    }
}

/// As the user called it, so that it can be copied.
fn program() -> String {
    env::args().next().unwrap_or_else(|| "tailrace".to_owned())
}

fn guide(layout: &Layout, brokers: &[Broker]) -> String {
    let row = |broker: &Broker| {
        format!("  broker {}   {}   process {}\n", broker.id, layout.address(broker.id), broker.process.id())
    };
    let rows: String = brokers.iter().map(row).collect();
    let (tailrace, dir, victim) = (program(), layout.dir().display(), brokers[1].process.id());
    let bootstrap = format!("-b {}", layout.address(BROKERS[0]));
    format!(
        "A cluster of three serves, in {dir}:\n{rows}\n\
         Try in another terminal:\n  \
           {tailrace} topic create events -p 3 -r 3 {bootstrap}\n  \
           {tailrace} topic describe events {bootstrap}\n  \
           seq 100000 | {tailrace} produce events {bootstrap}\n  \
           kill -9 {victim}\n  \
           {tailrace} topic describe events {bootstrap}\n  \
           {tailrace} consume events -o beginning -e {bootstrap} | wc -l\n\n\
         Ctrl-C stops all three. The next demo in this folder goes on with what is there.\n"
    )
}

fn epitaph(layout: &Layout, broker: &Broker, status: ExitStatus, left: &[Broker]) -> String {
    let (id, pid, how) = (broker.id, broker.process.id(), how(status));
    let others = match left {
        [] => String::new(),
        [_] => format!("; {} is alone and waits for a majority", list(left)),
        _ => format!("; {} go on", list(left)),
    };
    let (tailrace, properties, log) = (program(), layout.properties(id), layout.log(id));
    format!(
        "broker {id} (process {pid}) {how}{others}. What it said is in {}. To start it again:\n  \
         {tailrace} serve --shards 1 --config {}\n",
        log.display(),
        properties.display()
    )
}

fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(0), _) => "stopped".to_owned(),
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

/// `broker 1`, `brokers 1 and 3`.
fn list(brokers: &[Broker]) -> String {
    let ids: Vec<String> = brokers.iter().map(|broker| broker.id.to_string()).collect();
    match &ids[..] {
        [] => "no broker".to_owned(),
        [one] => format!("broker {one}"),
        [others @ .., last] => format!("brokers {} and {last}", others.join(", ")),
    }
}

/// What a broker that could not start said to say why.
fn last_line(log: &Path) -> String {
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    last.strip_prefix("tailrace: ").unwrap_or(last).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_in_words() {
        fn check(raw: i32, expected: &str) {
            assert_eq!(how(ExitStatus::from_raw(raw)), expected);
        }
        check(0, "stopped");
        check(1 << 8, "ended with exit code 1");
        check(9, "was killed by signal 9");
    }
}
