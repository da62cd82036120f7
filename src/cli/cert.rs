//! `tailrace cert`: what can be made.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use replication::transport::ClusterId;

pub const EXAMPLES: &str = "\
Examples:
  tailrace cert ca --dir cluster-ca                         once for a cluster, on a machine that is no broker
  tailrace cert node --ca cluster-ca --id 1 --out broker-1  for each broker: its own certificate and key

Brokers of a cluster know each other by these, and by nothing else. Whoever has ca.key can make himself a broker.
Other tools may make the certificates as well: a broker's has the DNS names broker-N.tailrace and
cluster-HEX.tailrace, the cluster's id in hexadecimal.";

/// A hundred years; no certificate needs to tell more.
const DAYS_MAX: i64 = 36_500;

#[derive(Subcommand, Debug)]
pub enum CertCommand {
    /// Make a cluster's certificate authority, and the cluster's id with it
    Ca(CaArgs),
    /// Make the certificate of a broker
    Node(NodeArgs),
}

#[derive(Args, Debug)]
pub struct CaArgs {
    /// Where ca.pem and ca.key are put
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// The id of a cluster that there is already (cluster.id in meta.properties) [default: a new one]
    #[arg(long, value_name = "ID", value_parser = cluster_id, allow_hyphen_values = true)]
    pub cluster_id: Option<ClusterId>,
    /// How long it is valid
    #[arg(long, value_name = "N", default_value_t = 3650, value_parser = days())]
    pub days: u32,
}

#[derive(Args, Debug)]
pub struct NodeArgs {
    /// Where ca.pem and ca.key are
    #[arg(long, value_name = "DIR")]
    pub ca: PathBuf,
    /// The broker's node.id
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    pub id: i32,
    /// Where ca.pem, node.pem and node.key are put
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// How long it is valid
    #[arg(long, value_name = "N", default_value_t = 1826, value_parser = days())]
    pub days: u32,
}

fn days() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=DAYS_MAX)
}

fn cluster_id(text: &str) -> Result<ClusterId, String> {
    ClusterId::parse(text)
        .ok_or_else(|| "a cluster's id is 22 characters of URL-safe base64, 16 bytes".to_owned())
}
