//! The program of the Weir operator. The library tells the whole story.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;

use weir_operator::manager;
use weir_operator::options::{Cli, Command, Options};

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Crds => print_definitions(),
        Command::Run(options) => run(*options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("weir-operator: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn print_definitions() -> anyhow::Result<()> {
    for definition in api::crds::definitions() {
        print!("---\n{}", api::crds::to_yaml(&definition)?);
    }
    Ok(())
}

fn run(options: Options) -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_new(&options.log_level)?)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    tokio::runtime::Runtime::new()?.block_on(manager::run(options))
}
