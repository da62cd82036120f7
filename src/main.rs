//! The command line of tailrace. Each command is a module; here is only which one is meant, and what its end means.

#![allow(unreachable_pub, reason = "a binary has no outside: pub says that other modules use it")]

mod cli;
mod client;
mod cmd;
mod config;
mod data_dir;
mod failure;
mod loggers;
#[cfg(test)]
mod scratch;
mod serve;
mod status_line;

use std::{env, io::IsTerminal, process::ExitCode, sync::Arc};

use anyhow::Context;
use clap::Parser;
use cli::{Cli, Command};
use failure::Failure;
use loggers::ProcessLoggers;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(),
    }
}

fn run(cli: &Cli) -> Result<(), Failure> {
    let serve = match &cli.command {
        None => Some(&cli.serve),
        Some(Command::Serve(args)) => Some(args),
        Some(_) => None,
    };
    let (filter, default) = serve.map_or((None, "warn"), |args| (args.log.as_deref(), "info"));
    let loggers = log_to_stderr(filter, default).map_err(Failure::usage)?;
    match &cli.command {
        None => serve::run(&cli.serve, loggers),
        Some(Command::Serve(args)) => serve::run(args, loggers),
        Some(Command::Topic { command }) => Ok(cmd::topic::run(command)?),
        Some(Command::Group { command }) => Ok(cmd::group::run(command)?),
        Some(Command::Cluster { command }) => Ok(cmd::cluster::run(command)?),
        Some(Command::Demo(args)) => Ok(cmd::demo::run(args)?),
        Some(Command::Cert { command }) => Ok(cmd::cert::run(command)?),
        Some(Command::Produce(args)) => Ok(cmd::produce::run(args)?),
        Some(Command::Consume(args)) => Ok(cmd::consume::run(args)?),
    }
}

/// What the command line says is logged, or else `RUST_LOG`, or else `default`.
fn log_to_stderr(filter: Option<&str>, default: &str) -> anyhow::Result<Arc<ProcessLoggers>> {
    let filter = match filter {
        Some(filter) => filter.to_owned(),
        None => env::var("RUST_LOG").unwrap_or_else(|_| default.to_owned()),
    };
    let parsed = EnvFilter::try_new(&filter).with_context(|| {
        format!("the log filter '{filter}' cannot be used; write it like info or net=debug,info")
    })?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(parsed)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .with_filter_reloading();
    let handle = subscriber.reload_handle();
    subscriber.init();
    let install = move |filter: EnvFilter| handle.reload(filter).map_err(|error| error.to_string());
    Ok(ProcessLoggers::new(&filter, Box::new(install)))
}
