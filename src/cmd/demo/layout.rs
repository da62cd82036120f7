//! Where everything of a demo cluster is: ports, folders, configuration files.
//!
//! ```text
//!   DIR/.lock                   held while a demo runs
//!      /certificates/ca         and broker-1, broker-2, broker-3
//!      /broker-N.properties     written by the first start
//!      /broker-N/               data
//!      /broker-N.log            what it says, over all starts
//! ```
//! The ports stay what they were at the first start: brokers remember where they have met.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use engine::properties::Properties;

use crate::{
    cli::cert::{CaArgs, CertCommand, NodeArgs},
    cmd::cert,
};

/// A majority of three is the least that lives on when one broker dies.
pub const BROKERS: [u16; 3] = [1, 2, 3];
const PORT_DEFAULT: u16 = 9092;
/// Between the UDP ports of two brokers, each of which has one a shard.
const UDP_STEP: u16 = 100;
const LISTENERS: &str = "listeners";
const HOST: &str = "127.0.0.1";
/// The CA signs nothing but this, so there is no reason to outlive it.
const DAYS: u32 = 3650;

pub struct Layout {
    dir: PathBuf,
    port: u16,
    _lock: File,
}

impl Layout {
    /// Takes the folder for this process, and makes what is missing in it.
    pub fn open(dir: &Path, port: Option<u16>) -> anyhow::Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let dir = dir.canonicalize().with_context(|| dir.display().to_string())?;
        let lock = lock(&dir)?;
        let known = known_port(&properties_of(&dir, BROKERS[0]))?;
        if let (Some(known), Some(port)) = (known, port)
            && known != port
        {
            bail!(
                "the cluster in {} begins at port {known}; start it without --port, or another one with --dir",
                dir.display()
            );
        }
        let layout = Self { dir, port: known.or(port).unwrap_or(PORT_DEFAULT), _lock: lock };
        layout.make_certificates()?;
        // The first broker's file last: it says that the others are there.
        BROKERS.iter().rev().try_for_each(|&broker| layout.make_properties(broker))?;
        Ok(layout)
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn address(&self, broker: u16) -> String {
        format!("{HOST}:{}", self.port + broker - BROKERS[0])
    }

    pub fn properties(&self, broker: u16) -> PathBuf {
        properties_of(&self.dir, broker)
    }

    pub fn log(&self, broker: u16) -> PathBuf {
        self.dir.join(format!("broker-{broker}.log"))
    }

    /// All of them under their name, or none: a start that was cut off begins anew.
    fn make_certificates(&self) -> anyhow::Result<()> {
        let (made, fresh) = (self.certificates(), self.dir.join("certificates.new"));
        if made.exists() {
            return Ok(());
        }
        match fs::remove_dir_all(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", fresh.display()));
            }
            _ => {}
        }
        let ca = fresh.join("ca");
        cert::make(&CertCommand::Ca(CaArgs { dir: ca.clone(), cluster_id: None, days: DAYS }))?;
        for broker in BROKERS {
            let out = fresh.join(format!("broker-{broker}"));
            cert::make(&CertCommand::Node(NodeArgs { ca: ca.clone(), id: broker.into(), out, days: DAYS }))?;
        }
        fs::rename(&fresh, &made).with_context(|| format!("cannot make {}", made.display()))
    }

    fn make_properties(&self, broker: u16) -> anyhow::Result<()> {
        let path = self.properties(broker);
        if path.exists() {
            return Ok(());
        }
        let fresh = path.with_extension("new");
        let made = fs::write(&fresh, self.properties_text(broker)).and_then(|()| fs::rename(&fresh, &path));
        made.with_context(|| format!("cannot write {}", path.display()))
    }

    fn properties_text(&self, broker: u16) -> String {
        let voter = |&id: &u16| format!("{id}@{HOST}:{}", self.port + UDP_STEP * id);
        let voters = BROKERS.iter().map(voter).collect::<Vec<_>>().join(",");
        let data = value_of(&self.dir.join(format!("broker-{broker}")));
        let certificates = value_of(&self.certificates().join(format!("broker-{broker}")));
        let address = self.address(broker);
        format!(
            "# Broker {broker} of three, as 'tailrace demo' starts it.\n\
             node.id={broker}\n\
             log.dirs={data}\n\
             {LISTENERS}=PLAINTEXT://{address}\n\
             \n\
             # Who votes about the cluster's metadata, and where brokers reach each other (UDP).\n\
             controller.quorum.voters={voters}\n\
             cluster.certificates={certificates}\n\
             \n\
             # One broker may die, and nothing that was acknowledged is lost.\n\
             default.replication.factor=3\n\
             min.insync.replicas=2\n\
             offsets.topic.replication.factor=3\n"
        )
    }

    fn certificates(&self) -> PathBuf {
        self.dir.join("certificates")
    }
}

fn properties_of(dir: &Path, broker: u16) -> PathBuf {
    dir.join(format!("broker-{broker}.properties"))
}

/// A path as a properties file has it.
fn value_of(path: &Path) -> String {
    path.display().to_string().replace('\\', "\\\\")
}

fn lock(dir: &Path) -> anyhow::Result<File> {
    let path = dir.join(".lock");
    let opened = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = opened.with_context(|| format!("cannot write {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!(
                "the cluster in {} runs already; use it, or start another one with --dir and --port",
                dir.display()
            )
        }
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

/// Of the first broker, as an earlier start chose it.
fn known_port(properties: &Path) -> anyhow::Result<Option<u16>> {
    let bytes = match fs::read(properties) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes.with_context(|| format!("cannot read {}", properties.display()))?,
    };
    let values =
        Properties::read(&bytes).with_context(|| format!("cannot read {}", properties.display()))?.values;
    let port = values.get(LISTENERS).and_then(|listener| listener.rsplit(':').next()?.parse().ok());
    match port {
        Some(port) => Ok(Some(port)),
        None => bail!("{} names no port; delete the file, or give another --dir", properties.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cli::ServeArgs, config, scratch::Scratch};

    #[test]
    fn three_brokers_do_not_meet_at_a_port() {
        let scratch = Scratch::new();
        let layout = Layout::open(&scratch.join("demo"), None).unwrap();
        let mut voters = Vec::new();
        for broker in BROKERS {
            let args = ServeArgs { config: Some(layout.properties(broker)), ..ServeArgs::default() };
            let config = config::load(&args).unwrap().config;
            assert_eq!((config.node_id.0, config.listeners[0].port), (broker.into(), 9091 + broker));
            assert_eq!((config.default_replication_factor, config.min_insync_replicas), (3, 2));
            let quorum = config.quorum.unwrap();
            assert_eq!(quorum.listener.port, 9092 + 100 * broker);
            voters.push(quorum.voters);
        }
        assert!(voters.iter().all(|each| *each == voters[0] && each.len() == 3));
    }

    #[test]
    fn a_second_start_finds_what_the_first_one_made() {
        let scratch = Scratch::new();
        let open = |port| Layout::open(&scratch, port);
        let first = open(Some(12_000)).unwrap();
        let read = || {
            let names = ["certificates/broker-2/node.pem", "broker-3.properties"];
            names.map(|name| fs::read(scratch.join(name)).unwrap())
        };
        let made = read();
        let refused = open(None).err().unwrap().to_string();
        assert!(refused.contains(" runs already; use it,"), "{refused}");
        drop(first);
        let again = open(None).unwrap();
        assert_eq!((again.address(1), read()), ("127.0.0.1:12000".to_owned(), made));
        drop(again);
        let refused = open(Some(9092)).err().unwrap().to_string();
        assert!(refused.contains(" begins at port 12000; start it without --port,"), "{refused}");
    }

    #[test]
    fn a_start_that_was_cut_off_is_no_obstacle() {
        let scratch = Scratch::new();
        fs::create_dir_all(scratch.join("certificates.new/ca")).unwrap();
        fs::write(scratch.join("certificates.new/ca/ca.pem"), "half").unwrap();
        fs::write(scratch.join("broker-1.new"), "half").unwrap();
        let layout = Layout::open(&scratch, None).unwrap();
        assert!(layout.certificates().join("broker-3/node.key").exists());
        assert!(!scratch.join("certificates.new").exists());
    }
}
