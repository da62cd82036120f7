//! The command line of tailrace. Each command is a module; here is only which one is meant, and what its end means.

#![allow(unreachable_pub, reason = "a binary has no outside: pub says that other modules use it")]

mod cli;
mod client;
mod cmd;
mod config;
mod data_dir;
mod serve;

use std::{env, io::IsTerminal, process::ExitCode};

use anyhow::Context;
use clap::Parser;
use cli::{Cli, Command};
use tracing_subscriber::EnvFilter;

/// The command line or the configuration is wrong (clap's own number).
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match &cli.command {
        None => run_broker(&cli.serve),
        Some(Command::Serve(args)) => run_broker(args),
        Some(Command::Topic { command }) => tool(|| cmd::topic::run(command)),
        Some(Command::Produce(args)) => tool(|| cmd::produce::run(args)),
        Some(Command::Consume(args)) => tool(|| cmd::consume::run(args)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { code, error }) => {
            eprintln!("tailrace: {error:#}");
            ExitCode::from(code)
        }
    }
}

struct Failure {
    code: u8,
    error: anyhow::Error,
}

fn tool(run: impl FnOnce() -> anyhow::Result<()>) -> Result<(), Failure> {
    log_to_stderr(None, "warn")?;
    run().map_err(|error| Failure { code: 1, error })
}

fn run_broker(args: &cli::ServeArgs) -> Result<(), Failure> {
    log_to_stderr(args.log.as_deref(), "info")?;
    serve::run(args).map_err(|serve::Failure { is_usage, error }| Failure {
        code: if is_usage { USAGE } else { 1 },
        error,
    })
}

/// What the command line says is logged, or else `RUST_LOG`, or else `default`.
fn log_to_stderr(filter: Option<&str>, default: &str) -> Result<(), Failure> {
    let filter = match filter {
        Some(filter) => filter.to_owned(),
        None => env::var("RUST_LOG").unwrap_or_else(|_| default.to_owned()),
    };
    let parsed = EnvFilter::try_new(&filter).with_context(|| {
        format!("the log filter '{filter}' cannot be used; write it like info or net=debug,info")
    });
    tracing_subscriber::fmt()
        .with_env_filter(parsed.map_err(|error| Failure { code: USAGE, error })?)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    Ok(())
}
