//! What is shown, in order. Later scenarios use what earlier ones made.

mod credentials;
mod gitops;
mod imported;
mod install;
mod losses;
mod monitoring;
mod placement;
mod pools;
mod refusals;
mod repairs;
mod rolls;
mod scaling;
mod switches;
mod tenants;
mod tls;
mod topology;
mod uninstall;

pub use credentials::Issued;
use futures::future::LocalBoxFuture;

use crate::world::World;

/// How a scenario ended.
pub enum Outcome {
    /// What was seen.
    Passed(String),
    /// Why it cannot be shown here.
    Skipped(String),
    /// What went wrong.
    Failed(String),
}

type Run = for<'a> fn(&'a mut World) -> LocalBoxFuture<'a, anyhow::Result<Outcome>>;

/// One thing that is shown.
pub struct Scenario {
    pub name: &'static str,
    /// Nothing after it makes sense without it.
    pub is_needed: bool,
    pub run: Run,
}

impl Scenario {
    /// Whether words of the command line ask for it; no words ask for all.
    pub fn is_wanted(&self, only: &[String]) -> bool {
        let is_named = only.iter().any(|word| self.name.contains(word.as_str()));
        self.is_needed || only.is_empty() || is_named
    }
}

const fn needed(name: &'static str, run: Run) -> Scenario {
    Scenario {
        name,
        is_needed: true,
        run,
    }
}

const fn shown(name: &'static str, run: Run) -> Scenario {
    Scenario {
        name,
        is_needed: false,
        run,
    }
}

pub const ALL: &[Scenario] = &[
    needed("install", |world| Box::pin(install::install(world))),
    shown("refusal at apply", |world| {
        Box::pin(refusals::at_apply(world))
    }),
    needed("apply", |world| Box::pin(install::apply(world))),
    shown("refused changes", |world| {
        Box::pin(refusals::of_changes(world))
    }),
    shown("GitOps", |world| Box::pin(gitops::conditions(world))),
    shown("maintenance window", |world| {
        Box::pin(switches::maintenance_window(world))
    }),
    shown("pause", |world| Box::pin(switches::paused(world))),
    shown("hibernation", |world| Box::pin(switches::hibernated(world))),
    shown("broken by hand", |world| {
        Box::pin(repairs::broken_by_hand(world))
    }),
    shown("pools and objects", |world| {
        Box::pin(pools::with_objects(world))
    }),
    shown("imported key", |world| Box::pin(imported::key(world))),
    shown("deletion protection", |world| {
        Box::pin(switches::protected(world))
    }),
    shown("tenants", |world| Box::pin(tenants::apart(world))),
    shown("sharing", |world| Box::pin(tenants::sharing(world))),
    shown("credentials renewed", |world| {
        Box::pin(credentials::issued(world))
    }),
    shown("drift", |world| Box::pin(topology::drift(world))),
    shown("removed field", |world| {
        Box::pin(topology::removed_field(world))
    }),
    shown("conflict", |world| Box::pin(topology::conflict(world))),
    shown("retain and delete", |world| {
        Box::pin(topology::deletion(world))
    }),
    shown("operator upgraded", |world| {
        Box::pin(install::upgrade(world))
    }),
    shown("pod deleted", |world| Box::pin(losses::pod_deleted(world))),
    shown("new configuration", |world| {
        Box::pin(rolls::configuration(world))
    }),
    shown("new image", |world| Box::pin(rolls::image(world))),
    shown("volumes grow", |world| Box::pin(rolls::volumes(world))),
    shown("operator killed in a roll", |world| {
        Box::pin(rolls::operator_killed(world))
    }),
    shown("credentials ended", |world| {
        Box::pin(credentials::ended(world))
    }),
    shown("placement", |world| {
        Box::pin(placement::by_node_label(world))
    }),
    shown("metrics", |world| Box::pin(monitoring::metrics(world))),
    shown("node lost", |world| Box::pin(losses::node_lost(world))),
    shown("alerts", |world| Box::pin(monitoring::alerts(world))),
    // Afterwards two brokers may share a node, and the loss of that one would stop the stream.
    shown("scale", |world| Box::pin(scaling::up_and_down(world))),
    shown("uninstall", |world| Box::pin(uninstall::keeps_data(world))),
    // The operator looks after all namespaces now.
    shown("encryption", |world| Box::pin(tls::renewed(world))),
    needed("nothing acknowledged is lost", |world| {
        Box::pin(uninstall::settle(world))
    }),
    shown("cluster deleted", |world| {
        Box::pin(uninstall::cluster_deleted(world))
    }),
];
