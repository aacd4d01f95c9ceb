//! Shows Weir on a Kubernetes cluster, one scenario after the other, while a client publishes all
//! the time. `e2e/kubernetes/run` makes the cluster and the images and starts this.
//!
//! - `scenarios`: what is shown, in order.
//! - `world`: the cluster, the programs and the files that all scenarios use.
//! - `objects`: looking at resources and waiting for what they say.
//! - `evidence`: what explains a failure.
//! - `lab`: a Cluster of its own for what would disturb the others.
//! - `machine`: how long it lets a process wait.
//! - `publishing`: the client that publishes, and what it is owed.
//! - `prometheus`: a Prometheus of this machine that scrapes brokers and operator.

mod evidence;
mod lab;
mod machine;
mod objects;
mod programs;
mod prometheus;
mod publishing;
mod scenarios;
mod world;

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use futures::FutureExt as _;
use tokio::signal::unix::{SignalKind, signal};

use scenarios::{Outcome, Scenario};
use world::World;

/// Shows Weir on the Kubernetes cluster of the current kubeconfig.
#[derive(Parser)]
pub struct Options {
    /// The image of operator and brokers, as the cluster's nodes find it.
    #[arg(long, value_name = "IMAGE")]
    image: String,
    /// Another one, with the same programs, for brokers to be rolled to.
    #[arg(long, value_name = "IMAGE")]
    next_image: String,
    /// The script that switches nodes off and on. Without it no node is lost.
    #[arg(long, value_name = "PATH")]
    nodes: Option<PathBuf>,
    /// The root of the repository.
    #[arg(long, value_name = "PATH", default_value = ".")]
    repository: PathBuf,
    /// Where to leave what explains a failure.
    #[arg(long, value_name = "PATH", default_value = "target/kubernetes-e2e")]
    evidence: PathBuf,
    /// Only the scenarios with these words in their names, and those all others need.
    #[arg(value_name = "WORD")]
    only: Vec<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    // What a panic says is part of the outcome of its scenario.
    std::panic::set_hook(Box::new(|_| {}));
    let mut world = match World::new(&options).await {
        Ok(world) => world,
        Err(error) => {
            eprintln!("kubernetes-e2e: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    // Programs that scenarios started end when those are dropped.
    let outcome = tokio::select! {
        outcome = show_all(&options, &mut world) => outcome,
        signal = told_to_stop() => Err(signal),
    };
    match outcome {
        Ok(failed) => ExitCode::from(u8::from(failed > 0)),
        Err(signal) => {
            eprintln!("kubernetes-e2e: stopped by {signal}");
            ExitCode::FAILURE
        }
    }
}

/// Shows what is wanted; how many scenarios failed.
async fn show_all(options: &Options, world: &mut World) -> Result<usize, &'static str> {
    let (mut passed, mut failed) = (0, 0);
    for scenario in scenarios::ALL {
        if !scenario.is_wanted(&options.only) {
            continue;
        }
        match show(scenario, world).await {
            Outcome::Passed(what) => {
                passed += 1;
                println!("{what}");
            }
            Outcome::Skipped(why) => println!("skip  {}: {why}", scenario.name),
            Outcome::Failed(why) => {
                failed += 1;
                println!("FAIL  {}: {why}", scenario.name);
                world.leave_evidence(scenario.name).await;
                if scenario.is_needed {
                    break;
                }
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    Ok(failed)
}

/// Which signal asked for an end.
async fn told_to_stop() -> &'static str {
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}

async fn show(scenario: &Scenario, world: &mut World) -> Outcome {
    let start = Instant::now();
    // Waits and checks that the test library shares with others end in a panic.
    let run = AssertUnwindSafe((scenario.run)(world)).catch_unwind().await;
    match run {
        Ok(Ok(Outcome::Passed(what))) => {
            let seconds = start.elapsed().as_secs();
            Outcome::Passed(format!("ok    {} ({seconds} s): {what}", scenario.name))
        }
        Ok(Ok(other)) => other,
        Ok(Err(error)) => Outcome::Failed(format!("{error:#}")),
        Err(panic) => Outcome::Failed(text_of(&*panic)),
    }
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a check failed").to_owned()
}
