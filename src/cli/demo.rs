//! `tailrace demo`: a cluster on one machine.

use std::path::PathBuf;

use clap::Args;

pub const EXAMPLES: &str = "\
Examples:
  tailrace demo                                     three brokers at 127.0.0.1:9092, 9093 and 9094
  tailrace demo --dir /srv/demo --port 19092        elsewhere

Everything is below DIR: for each broker a configuration file, its data, its certificates and what it says. A second
start goes on with what is there; to begin anew, delete DIR. Meant for trying things out: three brokers on one machine
are lost with that machine.";

#[derive(Args, Debug)]
pub struct DemoArgs {
    /// Where the cluster lives
    #[arg(long, value_name = "DIR", default_value = "./tailrace-demo")]
    pub dir: PathBuf,
    /// Where clients reach broker 1; the others follow, and 100 above begin the UDP ports between brokers [default: 9092]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=PORT_MAX))]
    pub port: Option<u16>,
}

/// With room for the ports above it.
const PORT_MAX: i64 = 65_000;
