//! The broker: joins all parts, reads flags and signals.
//!
//! Nothing is decided here that belongs to one of the parts. [`run`] is the program; `start` puts a
//! server together; the other modules adapt one part to another: `bus` joins JetStream to live
//! connections, `peers` and `links` carry consensus between servers, `auth` and `resolver` ask the
//! `identity` crate for the hub.

mod accounts;
mod auth;
mod bus;
mod callout;
mod client_port;
mod descriptors;
mod files;
mod jetstream;
mod limits;
mod links;
mod listen;
mod logging;
mod monitoring;
mod peers;
mod reload;
mod resolver;
mod routes;
mod sharing;
mod signals;
mod start;
mod system;
mod tls;
mod unserved;
mod websocket;

use std::path::Path;
use std::process::ExitCode;

use settings::flags::{self, Action, Flags};
use settings::{Options, Source};

/// The nats-server version whose behaviour this server has.
pub const NATS_VERSION: &str = engine::VERSION;

/// Runs the server with the given command line (without the program's name) until it is told to
/// stop.
pub fn run(arguments: impl IntoIterator<Item = String>) -> ExitCode {
    let action = match flags::parse(arguments) {
        Ok(action) => action,
        Err(error) => return fail(&error.to_string()),
    };
    match action {
        Action::Help => say(&flags::help("weir-server")),
        Action::HelpTls => say(flags::help_tls()),
        Action::Version => say(&format!("nats-server: v{NATS_VERSION}")),
        Action::Signal(signal) => match signals::send(&signal) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&format!("{error:#}")),
        },
        Action::Test(flags) => match with_source(|source| Options::check(&flags, source)) {
            Ok(options) => {
                let file = flags.config_file.unwrap_or_default();
                say(&format!(
                    "weir-server: configuration file {} is valid ({})",
                    file.display(),
                    options.config_digest
                ))
            }
            Err(problems) => fail(&problems.to_string()),
        },
        Action::Run(flags) => {
            match with_source(|source| Options::from_flags_and_file(&flags, source)) {
                Ok(options) => serve(flags, options),
                Err(problems) => fail(&problems.to_string()),
            }
        }
    }
}

fn serve(flags: Flags, options: Options) -> ExitCode {
    let log = match logging::start(&options.logging) {
        Ok(log) => log,
        Err(error) => return fail(&format!("{error:#}")),
    };
    std::panic::set_hook(Box::new(|panic| {
        let backtrace = std::backtrace::Backtrace::capture();
        tracing::error!(%backtrace, "{panic}");
    }));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(start::serve(flags, options, log)),
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(fatal = true, "{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Lets `read` read files and variables of this process.
fn with_source<T>(read: impl FnOnce(&Source<'_>) -> T) -> T {
    let read_file = |path: &Path| std::fs::read_to_string(path);
    let environment = |name: &str| std::env::var(name).ok();
    read(&Source {
        read_file: &read_file,
        environment: &environment,
    })
}

fn say(text: &str) -> ExitCode {
    println!("{text}");
    ExitCode::SUCCESS
}

fn fail(text: &str) -> ExitCode {
    eprintln!("weir-server: {text}");
    ExitCode::FAILURE
}
