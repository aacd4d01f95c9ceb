//! `weir up`: brokers, keys, and the resources of files, kept true until Ctrl-C.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use reconcile::{Directory, Environment, OwnerId, Reconciler, Report, ResourceSet, Roots, Servers};
use tokio::time::{Instant, sleep};

use crate::UpOptions;
use crate::brokers::{Brokers, Layout};
use crate::files::Files;
use crate::notice;

/// The installation whose mark resources of `weir up` carry.
const INSTALLATION: &str = "weir-up";
/// First and longest pause after a pass that left something to do.
const RETRY_MIN: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// How often drift is looked for when nothing changed.
const RESYNC: Duration = Duration::from_secs(30);

pub async fn run(options: &UpOptions) -> anyhow::Result<()> {
    let mut files = Files::new(options.files.clone());
    // Files that cannot be used are reported before anything is started.
    let set = files.read()?;
    std::fs::create_dir_all(&options.data)
        .with_context(|| format!("data directory {}", options.data.display()))?;
    let data = options.data.canonicalize()?;
    let environment = Environment::system();
    let keys = Directory::new(data.join("keys"));
    let roots = Roots::load(&keys, &environment).await?;
    let bootstrap = roots.bootstrap(environment.now().as_second())?;
    let layout = Layout {
        data: &data,
        replicas: options.replicas,
        first_port: options.port,
    };
    let mut brokers = Brokers::start(&layout, &bootstrap)?;
    let servers = Servers::new(layout.client_urls(), environment.clone());
    let mut session = Session {
        reconciler: Reconciler::new(
            Arc::new(servers),
            Arc::new(keys.clone()),
            environment,
            roots,
            OwnerId::new(INSTALLATION),
        ),
        files,
        set,
        once: options.once,
        deadline: Instant::now() + Duration::from_secs(options.timeout),
    };
    let outcome = tokio::select! {
        outcome = session.work(&layout, &keys) => outcome,
        error = brokers.keep_running() => Err(error),
        interrupted = tokio::signal::ctrl_c() => interrupted.map_err(Into::into),
    };
    let stopped = brokers.stop().await;
    outcome.and(stopped)
}

struct Session {
    reconciler: Reconciler,
    files: Files,
    set: ResourceSet,
    once: bool,
    deadline: Instant,
}

impl Session {
    /// Reconciles until it is interrupted, or with `--once` until all is done or time is up.
    async fn work(&mut self, layout: &Layout<'_>, keys: &Directory) -> anyhow::Result<()> {
        let mut welcomed = false;
        let mut pause = RETRY_MIN;
        let mut told = String::new();
        loop {
            let report = self.reconciler.reconcile(&self.set).await;
            print!("{}", notice::changes(&report));
            for outcome in report.outcomes.iter().filter(|outcome| outcome.is_gone) {
                self.set.remove(&outcome.id);
            }
            if report.is_synced() && !welcomed {
                welcomed = true;
                println!("{}", notice::welcome(layout, keys, &self.set));
                if !self.once {
                    println!("Ctrl-C stops it; the data stay.");
                }
            }
            if self.once
                && let Some(outcome) = self.ended(&report)
            {
                return outcome;
            }
            let failures = notice::failures(&report);
            if !failures.is_empty() && failures != told && (welcomed || !report.needs_retry()) {
                eprint!("not as the files say:\n{failures}");
            }
            told = failures;
            pause = if report.needs_retry() {
                (pause * 2).min(RETRY_MAX)
            } else {
                RETRY_MIN
            };
            let wait = if report.needs_retry() { pause } else { RESYNC };
            tokio::select! {
                () = sleep(wait) => {}
                () = self.files.changed() => self.read_again(),
            }
        }
    }

    fn ended(&self, report: &Report) -> Option<anyhow::Result<()>> {
        if report.is_synced() {
            return Some(Ok(()));
        }
        let out_of_time = Instant::now() >= self.deadline;
        (out_of_time || !report.needs_retry()).then(|| {
            let failures = notice::failures(report);
            Err(anyhow::anyhow!(
                "not everything is as the files say:\n{failures}"
            ))
        })
    }

    /// A file that became unusable changes nothing: what was read before stays in force.
    fn read_again(&mut self) {
        match self.files.read() {
            Ok(set) => {
                let now = self.reconciler.environment().now();
                let removed = set.removed_since(&self.set, now);
                self.set = set;
                for resource in removed {
                    self.set.insert(resource);
                }
                println!("files changed");
            }
            Err(error) => eprintln!("weir: {error:#}; the former resources stay in force"),
        }
    }
}
