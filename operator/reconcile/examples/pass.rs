//! Makes a broker cluster hold what files of resources say, as one pass or again and again.
//!
//! `pass KEYS bootstrap`            prints the configuration that servers need, and makes the keys
//! `pass KEYS apply URL FILE…`      repeats passes until the servers hold what the files say
//! `pass KEYS delete URL FILE…`     deletes what the files declare, by its policies

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use reconcile::{
    Directory, Environment, OwnerId, Reconciler, Report, ResourceSet, Roots, Servers,
    run_until_synced,
};

const PATIENCE: Duration = Duration::from_secs(15);

#[tokio::main]
async fn main() -> Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [keys, command, rest @ ..] = arguments.as_slice() else {
        bail!(
            "usage: pass KEYS bootstrap | pass KEYS apply URL FILE… | pass KEYS delete URL FILE…"
        );
    };
    let store = Arc::new(Directory::new(keys));
    let environment = Environment::system();
    let roots = Roots::load(&*store, &environment).await?;
    if command == "bootstrap" {
        return bootstrap(&roots, &environment);
    }
    let [url, files @ ..] = rest else {
        bail!("a URL is missing");
    };
    let set = read(files, command == "delete", &environment)?;
    let broker = Arc::new(Servers::new(vec![url.clone()], environment.clone()));
    let owner = OwnerId::new("example");
    let reconciler = Reconciler::new(broker, store, environment, roots, owner);
    show(&run_until_synced(&reconciler, &set, PATIENCE).await);
    Ok(())
}

fn bootstrap(roots: &Roots, environment: &Environment) -> Result<()> {
    let bootstrap = roots.bootstrap(environment.now().as_second())?;
    println!("operator: {}", bootstrap.operator_token);
    println!("system_account: {}", bootstrap.system_account);
    println!(
        "resolver_preload: {{ {}: {} }}",
        bootstrap.system_account, bootstrap.system_account_token
    );
    Ok(())
}

fn read(files: &[String], is_deletion: bool, environment: &Environment) -> Result<ResourceSet> {
    let mut set = ResourceSet::default();
    for file in files {
        let text = std::fs::read_to_string(file).with_context(|| file.clone())?;
        let resources = match api::parse_documents(&text) {
            Ok(resources) => resources,
            Err(problems) => {
                problems
                    .iter()
                    .for_each(|problem| eprintln!("{file}:{problem}"));
                bail!("{file} has {} problems", problems.len());
            }
        };
        resources
            .into_iter()
            .for_each(|found| set.insert(found.value));
    }
    if is_deletion {
        let deleted = ResourceSet::default().removed_since(&set, environment.now());
        set = deleted.into_iter().collect();
    }
    Ok(set)
}

fn show(report: &Report) {
    for outcome in &report.outcomes {
        let state = match (outcome.is_gone, outcome.is_synced()) {
            (true, _) => "gone",
            (false, true) => "synced",
            (false, false) => "NOT SYNCED",
        };
        let action = outcome
            .action
            .map(|action| format!(" {action:?}"))
            .unwrap_or_default();
        println!("{}: {state}{action}", outcome.id);
        if let Some(error) = &outcome.error {
            println!("    {error}");
        }
        for diff in outcome.diff() {
            println!("    {}: {} -> {}", diff.field, diff.observed, diff.desired);
        }
    }
}
