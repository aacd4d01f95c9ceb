//! Every server of a cluster, from all that is known about it. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use super::build::{self, Sizes};
use super::dereference::Found;
use super::names;
use super::observe::{Observed, Reliance};
use super::validate::ValidCluster;

const REVISION_LABEL: &str = "controller-revision-hash";

/// One server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Server {
    pub name: String,
    pub pool: String,
    pub node: Option<String>,
    pub pod: PodState,
    /// The pod's uid, so that never another one of that name is deleted.
    pub uid: Option<String>,
    /// Its pod is not what the StatefulSet says now.
    pub outdated: bool,
    pub config: ConfigState,
    pub reliance: Option<Reliance>,
    pub leads_meta: bool,
    /// Its id in the system account.
    pub id: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PodState {
    #[default]
    Missing,
    Stopping,
    /// The broker does not run: it is not placed, its image is not there, or it ends again and again.
    Down,
    /// It runs and is not ready.
    Starting,
    Ready,
}

/// Whether a server runs with the configuration that it should have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ConfigState {
    /// It did not say.
    #[default]
    Unknown,
    Current,
    Stale {
        /// Since when it is asked to read this configuration.
        asked: Option<Timestamp>,
    },
    /// Stale, and only a restart brings it there.
    Refused,
}

/// All servers that should exist now.
pub fn assess(
    cluster: &ValidCluster,
    sizes: &Sizes,
    found: &Found,
    stateful_sets: &[StatefulSet],
    observed: &Observed,
    config_hashes: &BTreeMap<String, String>,
) -> Vec<Server> {
    let servers = build::servers(cluster, sizes).into_iter();
    servers
        .map(|(pool, name)| {
            let pod = found.pods.get(&name);
            let set = stateful_sets
                .iter()
                .find(|set| set.name_any() == pool.stateful_set);
            let answers = observed.servers.get(&name);
            let hash = config_hashes.get(&name);
            let config = match (answers.and_then(|answers| answers.config.as_ref()), hash) {
                (Some(config), Some(hash)) if config == hash => ConfigState::Current,
                (Some(_), Some(hash)) if pod.is_some_and(|pod| has_refused(pod, hash)) => {
                    ConfigState::Refused
                }
                (Some(_), Some(hash)) => ConfigState::Stale {
                    asked: pod.and_then(|pod| asked(pod, hash)),
                },
                _ => ConfigState::Unknown,
            };
            Server {
                pool: pool.name.clone(),
                node: found.nodes.get(&name).cloned(),
                pod: pod.map_or(PodState::Missing, state),
                uid: pod.and_then(|pod| pod.metadata.uid.clone()),
                outdated: pod.zip(set).is_some_and(|(pod, set)| is_outdated(pod, set)),
                config,
                reliance: observed.reliance.get(&name).cloned(),
                leads_meta: observed.meta_leader.as_ref() == Some(&name),
                id: answers.map(|answers| answers.id.clone()),
                name,
            }
        })
        .collect()
}

fn state(pod: &Pod) -> PodState {
    if pod.metadata.deletion_timestamp.is_some() {
        return PodState::Stopping;
    }
    let Some(status) = &pod.status else {
        return PodState::Down;
    };
    let conditions = status.conditions.iter().flatten();
    let is_ready = conditions
        .filter(|condition| condition.type_ == "Ready")
        .any(|condition| condition.status == "True");
    if is_ready {
        return PodState::Ready;
    }
    let containers = status.container_statuses.iter().flatten();
    let runs = containers
        .filter(|container| container.name == names::CONTAINER)
        .any(|container| {
            container
                .state
                .as_ref()
                .is_some_and(|state| state.running.is_some())
        });
    match runs {
        true => PodState::Starting,
        false => PodState::Down,
    }
}

fn is_outdated(pod: &Pod, set: &StatefulSet) -> bool {
    let Some(status) = &set.status else {
        return false;
    };
    // Until the StatefulSet's controller has seen the change its revision is that of before.
    if status.observed_generation.is_none() || status.observed_generation != set.metadata.generation
    {
        return false;
    }
    let revision = pod.labels().get(REVISION_LABEL);
    revision.is_some()
        && status.update_revision.is_some()
        && revision != status.update_revision.as_ref()
}

fn has_refused(pod: &Pod, hash: &str) -> bool {
    let refused = pod.annotations().get(names::CONFIG_REFUSED_ANNOTATION);
    refused.is_some_and(|refused| refused == hash)
}

/// Since when the pod is asked to read the configuration with this hash.
fn asked(pod: &Pod, hash: &str) -> Option<Timestamp> {
    let annotations = pod.annotations();
    if annotations
        .get(names::CONFIG_ANNOTATION)
        .map(String::as_str)
        != Some(hash)
    {
        return None;
    }
    let since = annotations.get(names::CONFIG_SINCE_ANNOTATION)?;
    since.parse().ok()
}
