//! `weir`: the person's tool. `weir up FILE…` runs the resources of files on this machine, with the
//! same reconciling code that the Kubernetes operator uses.
//!
//! Start at `up`, which is the whole story; `brokers` runs the broker processes, `files` reads and
//! watches the resources, `notice` is what a person is told.
//!
//! Under the name `kubectl-weir` it is a plugin of kubectl. `status` and `diff` show what the operator
//! reports (`kubernetes`), `export` words what any NATS servers have as resources.

mod brokers;
mod diff;
mod export;
mod files;
mod kubernetes;
mod notice;
mod status;
mod table;
mod up;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Brokers allocate like `weir-server` does, since they are started from this program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runs a Weir cluster from files of resources.
#[derive(Parser)]
#[command(name = "weir", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start brokers on this machine and make them hold what the files say.
    Up(UpOptions),
    /// Show clusters, their servers, streams and replicas, and why something is not ready.
    Status(kubernetes::Where),
    /// Show where servers differ from what resources say.
    Diff(kubernetes::Where),
    /// Word the streams, consumers and buckets of any NATS servers as resources, to adopt them.
    Export(export::Options),
}

#[derive(Parser, Clone)]
pub struct UpOptions {
    /// Files of resources (YAML, several documents allowed).
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// How many brokers to run: 1, 3 or 5.
    #[arg(long, default_value_t = 3, value_parser = parse_replicas)]
    replicas: u16,
    /// Where brokers keep their data and keys.
    #[arg(long, value_name = "DIR", default_value = ".weir")]
    data: PathBuf,
    /// Client port of the first broker; the others follow.
    #[arg(long, default_value_t = 4222)]
    port: u16,
    /// Exit when everything is reconciled; non-zero, with the reasons, if that fails.
    #[arg(long)]
    once: bool,
    /// How long `--once` tries, in seconds.
    #[arg(long, default_value_t = 60)]
    timeout: u64,
}

fn parse_replicas(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(replicas @ (1 | 3 | 5)) => Ok(replicas),
        _ => Err("a cluster has 1, 3 or 5 brokers".to_owned()),
    }
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.peek().map(String::as_str) == Some(brokers::SUBCOMMAND) {
        arguments.next();
        return server::run(arguments);
    }
    let command = Cli::parse().command;
    let filter = tracing_subscriber::EnvFilter::try_from_env("WEIR_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn,async_nats=error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    match runtime.block_on(run(command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Up(options) => up::run(&options).await,
        Command::Status(place) => status::run(&place).await,
        Command::Diff(place) => diff::run(&place).await,
        Command::Export(options) => export::run(&options).await,
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("weir: {error:#}");
    ExitCode::FAILURE
}
