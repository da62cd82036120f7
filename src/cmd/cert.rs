//! `tailrace cert`: the certificates by which brokers know each other. Nothing that exists is ever written over.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use model::{BrokerId, Timestamp};
use replication::transport::{Authority, CA_FILE, CERTIFICATE_FILE, ClusterId, Identity, KEY_FILE};

use crate::{
    cli::cert::{CaArgs, CertCommand, NodeArgs},
    client::time::now_ms,
    data_dir::random_id,
};

const CA_KEY_FILE: &str = "ca.key";
/// A key is for its owner alone.
const SECRET: u32 = 0o600;
const PUBLIC: u32 = 0o644;
const DAY: Duration = Duration::from_secs(86_400);

pub fn run(command: &CertCommand) -> anyhow::Result<()> {
    println!("{}", make(command)?);
    Ok(())
}

/// Answers what was made, and what to do with it.
pub fn make(command: &CertCommand) -> anyhow::Result<String> {
    match command {
        CertCommand::Ca(args) => ca(args),
        CertCommand::Node(args) => node(args),
    }
}

fn ca(args: &CaArgs) -> anyhow::Result<String> {
    let cluster = args.cluster_id.or_else(|| ClusterId::parse(&random_id())).context("a new id is an id")?;
    let (_, made) = Authority::make(cluster, now(), DAY * args.days)?;
    write(&args.dir, &[(CA_FILE, &made.certificate, PUBLIC), (CA_KEY_FILE, &made.key, SECRET)])?;
    let (dir, days) = (args.dir.display(), args.days);
    Ok(format!(
        "{dir}/{CA_FILE} and {dir}/{CA_KEY_FILE} are the CA of cluster {cluster}, for {days} days. Keep {CA_KEY_FILE} away \
         from the brokers.\nNext, for each broker: tailrace cert node --ca {dir} --id N --out DIR"
    ))
}

fn node(args: &NodeArgs) -> anyhow::Result<String> {
    let (certificate, key) = (read(&args.ca.join(CA_FILE))?, read(&args.ca.join(CA_KEY_FILE))?);
    let authority = Authority::read(&certificate, &key).with_context(|| args.ca.display().to_string())?;
    let made = authority.issue(BrokerId(args.id), now(), DAY * args.days)?;
    // As the broker will: the key may be another CA's, and the CA may have expired.
    Identity::from_pem(certificate.as_bytes(), made.certificate.as_bytes(), made.key.as_bytes(), now())
        .with_context(|| format!("{CA_FILE} and {CA_KEY_FILE} in {} make no broker", args.ca.display()))?;
    let files = [
        (CA_FILE, certificate.as_str(), PUBLIC),
        (CERTIFICATE_FILE, &made.certificate, PUBLIC),
        (KEY_FILE, &made.key, SECRET),
    ];
    write(&args.out, &files)?;
    let (out, id, days) = (args.out.display(), args.id, args.days);
    Ok(format!(
        "{out}/{CA_FILE}, {CERTIFICATE_FILE} and {KEY_FILE} are broker {id} of cluster {}, for {days} days.\n\
         Next: move the three files to broker {id}. Nobody else needs {KEY_FILE}.",
        authority.cluster()
    ))
}

fn now() -> Timestamp {
    Timestamp(now_ms())
}

fn read(path: &Path) -> anyhow::Result<String> {
    let hint = || format!("cannot read {}; make a CA with tailrace cert ca", path.display());
    fs::read_to_string(path).with_context(hint)
}

/// All of these files, each name with its text and mode, or none of them.
fn write(dir: &Path, files: &[(&str, &str, u32)]) -> anyhow::Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let mut written = vec![];
    for (name, text, mode) in files {
        let path = dir.join(name);
        let outcome = write_new(&path, text, *mode, &mut written);
        if let Err(error) = outcome {
            // Those of this call alone; what cannot be removed is named by the next call.
            written.iter().for_each(|path| drop(fs::remove_file(path)));
            if error.kind() == io::ErrorKind::AlreadyExists {
                bail!(
                    "{} is there already and is not written over; choose another directory",
                    path.display()
                );
            }
            return Err(error).with_context(|| format!("cannot write {}", path.display()));
        }
    }
    File::open(dir).and_then(|dir| dir.sync_all()).with_context(|| format!("cannot write {}", dir.display()))
}

fn write_new(path: &Path, text: &str, mode: u32, written: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    written.push(path.to_owned());
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::scratch::Scratch;

    fn ca_in(dir: &Path, cluster_id: Option<&str>) -> anyhow::Result<String> {
        let cluster_id = cluster_id.map(|id| ClusterId::parse(id).unwrap());
        ca(&CaArgs { dir: dir.to_owned(), cluster_id, days: 10 })
    }

    fn node_in(ca: &Path, id: i32, out: &Path) -> anyhow::Result<String> {
        node(&NodeArgs { ca: ca.to_owned(), id, out: out.to_owned(), days: 5 })
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_broker_has_the_id_it_was_given_and_its_cluster_is_the_ca_s() {
        let scratch = Scratch::new();
        let (ca, out) = (scratch.join("ca"), scratch.join("a/b"));
        let text = ca_in(&ca, Some("qrvM3e7_ABEiM0RVZneImQ")).unwrap();
        assert!(text.contains(" the CA of cluster qrvM3e7_ABEiM0RVZneImQ, for 10 days"), "{text}");
        let text = node_in(&ca, 3, &out).unwrap();
        assert!(text.contains(" broker 3 of cluster qrvM3e7_ABEiM0RVZneImQ, for 5 days"), "{text}");
        let identity = Identity::load(&out).unwrap();
        assert_eq!((identity.broker(), identity.cluster_id()), (BrokerId(3), "qrvM3e7_ABEiM0RVZneImQ"));
        assert_eq!((mode(&ca.join("ca.key")), mode(&out.join("node.key"))), (0o600, 0o600));
        assert!(!out.join("ca.key").exists());
    }

    #[test]
    fn each_ca_is_of_a_cluster_of_its_own() {
        let scratch = Scratch::new();
        let clusters = ["a", "b"].map(|name| {
            ca_in(&scratch.join(name), None).unwrap();
            node_in(&scratch.join(name), 1, &scratch.join(format!("{name}-1"))).unwrap();
            Identity::load(&scratch.join(format!("{name}-1"))).unwrap().cluster_id().to_owned()
        });
        assert_ne!(clusters[0], clusters[1]);
    }

    #[test]
    fn nothing_is_written_over() {
        let scratch = Scratch::new();
        let refusal = |outcome: anyhow::Result<String>| {
            outcome.unwrap_err().to_string().replace(&scratch.display().to_string(), "DIR")
        };
        let (ca, out) = (scratch.join("ca"), scratch.join("out"));
        ca_in(&ca, None).unwrap();
        let there = |file: &str| {
            format!("DIR/{file} is there already and is not written over; choose another directory")
        };
        assert_eq!(refusal(ca_in(&ca, None)), there("ca/ca.pem"));
        assert_eq!(refusal(node_in(&ca, 1, &ca)), there("ca/ca.pem"));
        // The key of somebody: neither it nor anything beside it is touched.
        fs::create_dir(&out).unwrap();
        fs::write(out.join("node.key"), "mine").unwrap();
        assert_eq!(refusal(node_in(&ca, 1, &out)), there("out/node.key"));
        assert_eq!(fs::read_dir(&out).unwrap().count(), 1);
        assert_eq!(fs::read_to_string(out.join("node.key")).unwrap(), "mine");
    }

    #[test]
    fn a_ca_that_is_none_is_told() {
        let scratch = Scratch::new();
        let (one, two, out) = (scratch.join("one"), scratch.join("two"), scratch.join("out"));
        let text = format!("{:#}", node_in(&one, 1, &out).unwrap_err());
        assert!(text.contains("one/ca.pem; make a CA with tailrace cert ca: "), "{text}");
        ca_in(&one, None).unwrap();
        ca_in(&two, None).unwrap();
        fs::copy(two.join("ca.key"), one.join("ca.key")).unwrap();
        let text = format!("{:#}", node_in(&one, 1, &out).unwrap_err());
        assert!(
            text.contains("one make no broker: node.pem is not what another broker would take"),
            "{text}"
        );
        assert!(!out.exists());
    }
}
