//! The command line of tailrace. Each command is a module; here is only which one is meant, and what its end means.

mod cli;
mod client;
mod cmd;
mod config;
mod data_dir;

use std::{io::IsTerminal, process::ExitCode};

use clap::Parser;
use cli::{Cli, Command};
use tracing_subscriber::EnvFilter;

/// The command line or the configuration is wrong (clap's own number).
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match &cli.command {
        None => serve(&cli.serve),
        Some(Command::Serve(args)) => serve(args),
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
    log_to_stderr("warn");
    run().map_err(|error| Failure { code: 1, error })
}

fn serve(args: &cli::ServeArgs) -> Result<(), Failure> {
    log_to_stderr(args.log.as_deref().unwrap_or("info"));
    let config = config::load(args).map_err(|error| Failure { code: USAGE, error })?;
    let _ = (config, config::log_config, data_dir::DataDir::open);
    Ok(())
}

/// `RUST_LOG` says what is logged, unless the command line does.
fn log_to_stderr(filter: &str) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
}
