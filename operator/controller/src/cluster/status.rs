//! What is reported about a cluster. [`compute`] is pure; [`report`] writes it.

mod claims;

use api::cluster::{CertificateStatus, Cluster, ClusterStatus, Endpoints, Member, UpdateStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::runtime::events::EventType;
use kube::{Api, Resource, ResourceExt};

use super::certificates::Listener;
use super::conditions::{self, Claim};
use super::fleet::{ConfigState, PodState, Server};
use super::names;
use super::observe::Observed;
use super::roll::Decision;
use super::scale::{Next, Plan};
use super::validate::ValidCluster;
use crate::context::{Context, MANAGER};

/// The reason while something goes wrong that may heal.
const FAILED: &str = "Failed";

/// Everything that the status is made of.
pub struct Situation<'a> {
    pub valid: &'a ValidCluster,
    pub servers: &'a [Server],
    /// Whether any pod of the cluster exists.
    pub has_pods: bool,
    pub plan: &'a Plan,
    pub roll: &'a Decision,
    /// Servers that wait for a restart.
    pub waiting: Vec<String>,
    pub observed: &'a Observed,
    /// Claims whose volumes grow.
    pub growing: &'a [String],
    /// Why volumes do not grow.
    pub not_growing: Option<String>,
    pub config_hash: Option<String>,
}

/// The status of a cluster whose objects were applied.
pub fn compute(cluster: &Cluster, situation: &Situation<'_>, now: Timestamp) -> ClusterStatus {
    let before = cluster.status.clone().unwrap_or_default();
    let valid = situation.valid;
    let ready = situation
        .servers
        .iter()
        .filter(|server| server.pod == PodState::Ready);
    let ready = ready.count();
    let wanted = match valid.spec.hibernated {
        true => 0,
        false => situation.servers.len(),
    };
    let own =
        |server: &&Server| server.pool == names::DEFAULT_POOL && server.pod != PodState::Missing;
    let update = update(&before, situation, now);
    let claims = claims::claims(situation, update.as_ref(), now);
    ClusterStatus {
        observed_generation: cluster.metadata.generation,
        conditions: conditions::merge(&before.conditions, claims, cluster.metadata.generation, now),
        replicas: count(situation.servers.iter().filter(own).count()),
        ready_replicas: count(ready),
        servers: format!("{ready}/{wanted}"),
        selector: selector(&valid.name),
        image: valid.image.clone(),
        meta_leader: situation.observed.meta_leader.clone(),
        members: situation
            .servers
            .iter()
            .map(|server| member(valid, server))
            .collect(),
        endpoints: Some(Endpoints {
            client: valid.client_url(),
            websocket: valid.websocket_url(),
        }),
        certificates: certificates(situation),
        config_hash: situation.config_hash.clone(),
        update,
    }
}

/// The status of a cluster that nothing can be done about.
pub fn stalled(
    cluster: &Cluster,
    reason: &'static str,
    message: &str,
    now: Timestamp,
) -> ClusterStatus {
    let mut status = cluster.status.clone().unwrap_or_default();
    let claims = vec![
        Claim::new(api::status::READY, false, reason, message),
        Claim::new(api::status::RECONCILING, false, reason, message),
        Claim::new(api::status::STALLED, true, reason, message),
    ];
    keep_others(&mut status, claims, cluster, now);
    status
}

/// The status of a cluster that could not be looked after, and will be tried again.
pub fn failing(cluster: &Cluster, message: &str, now: Timestamp) -> ClusterStatus {
    let mut status = cluster.status.clone().unwrap_or_default();
    let generation = cluster.metadata.generation;
    let mut claims = vec![
        Claim::new(api::status::RECONCILING, true, FAILED, message),
        Claim::new(
            api::status::STALLED,
            false,
            "Working",
            "nothing waits for a person",
        ),
    ];
    // What was true of an older generation, or never said, can not be relied on.
    if status.observed_generation != generation {
        claims.push(Claim::new(api::status::READY, false, FAILED, message));
    }
    keep_others(&mut status, claims, cluster, now);
    status
}

/// The status of a cluster that is left alone.
pub fn paused(cluster: &Cluster, now: Timestamp) -> ClusterStatus {
    let mut status = cluster.status.clone().unwrap_or_default();
    let message = "nothing is changed until paused is taken back";
    let claims = vec![
        Claim::new(api::status::RECONCILING, false, "Paused", message),
        Claim::new(api::status::STALLED, false, "Paused", message),
    ];
    keep_others(&mut status, claims, cluster, now);
    status
}

fn keep_others(status: &mut ClusterStatus, claims: Vec<Claim>, cluster: &Cluster, now: Timestamp) {
    let generation = cluster.metadata.generation;
    let mut new = conditions::merge(&status.conditions, claims, generation, now);
    let told = |old: &Condition| new.iter().any(|condition| condition.type_ == old.type_);
    let others: Vec<Condition> = status
        .conditions
        .iter()
        .filter(|old| !told(old))
        .cloned()
        .collect();
    new.extend(others);
    status.conditions = new;
    status.observed_generation = generation;
}

/// Writes a status that differs from the one before, and tells people what changed.
///
/// # Errors
/// Those of the API server.
pub async fn report(
    cluster: &Cluster,
    context: &Context,
    status: ClusterStatus,
) -> kube::Result<()> {
    let before = cluster.status.clone().unwrap_or_default();
    if before == status {
        return Ok(());
    }
    let namespace = cluster.namespace().unwrap_or_default();
    let api: Api<Cluster> = Api::namespaced(context.client.clone(), &namespace);
    let patch = serde_json::json!({
        "apiVersion": Cluster::api_version(&()),
        "kind": Cluster::kind(&()),
        "metadata": { "name": cluster.name_any() },
        "status": &status,
    });
    let params = PatchParams::apply(MANAGER).force();
    match api
        .patch_status(&cluster.name_any(), &params, &Patch::Apply(&patch))
        .await
    {
        // It was deleted meanwhile.
        Err(kube::Error::Api(status)) if status.is_not_found() => return Ok(()),
        outcome => drop(outcome?),
    }
    let reference = cluster.object_ref(&());
    for (type_, condition) in news(&before.conditions, &status.conditions) {
        context
            .event(&reference, type_, &condition.reason, &condition.message)
            .await;
    }
    Ok(())
}

/// What people are told: that everything is in order, what is being done, and what is wrong.
fn news<'a>(before: &[Condition], after: &'a [Condition]) -> Vec<(EventType, &'a Condition)> {
    let is_new = |condition: &&Condition| {
        let former = before.iter().find(|former| former.type_ == condition.type_);
        let same = |former: &Condition| {
            (&former.status, &former.reason) == (&condition.status, &condition.reason)
        };
        !former.is_some_and(same)
    };
    let told = |condition: &'a Condition| {
        let holds = condition.status == "True";
        let type_ = match condition.type_.as_str() {
            api::status::READY if holds => EventType::Normal,
            api::status::STALLED if holds => EventType::Warning,
            api::status::RECONCILING if condition.reason == FAILED => EventType::Warning,
            api::cluster::QUORUM_HEALTHY if condition.status == "False" => EventType::Warning,
            api::cluster::UPGRADING | api::cluster::RESIZING if holds => EventType::Normal,
            _ => return None,
        };
        Some((type_, condition))
    };
    after.iter().filter(is_new).filter_map(told).collect()
}

/// What is left of a roll or an evacuation, and since when.
fn update(
    before: &ClusterStatus,
    situation: &Situation<'_>,
    now: Timestamp,
) -> Option<UpdateStatus> {
    let mut waiting = situation.waiting.clone();
    if let Next::Evacuate { server } | Next::Wait { server, .. } = &situation.plan.next {
        waiting.push(server.clone());
    }
    if waiting.is_empty() {
        return None;
    }
    let former = before.update.as_ref();
    let goes_on = former.filter(|former| former.waiting.len() <= waiting.len());
    let since = goes_on.and_then(|former| former.last_progress_time.clone());
    if let Decision::Later { .. } = situation.roll {
        // The time until a window opens is no lack of progress.
        return Some(UpdateStatus {
            waiting,
            last_progress_time: None,
        });
    }
    Some(UpdateStatus {
        waiting,
        last_progress_time: Some(since.unwrap_or(Time(now))),
    })
}

fn member(valid: &ValidCluster, server: &Server) -> Member {
    let pool = valid.pools.iter().find(|pool| pool.name == server.pool);
    Member {
        name: server.name.clone(),
        pool: server.pool.clone(),
        node: server.node.clone(),
        tags: pool
            .map(|pool| valid.tags(pool, &server.name))
            .unwrap_or_default(),
        healthy: server.pod == PodState::Ready,
        streams: server.reliance.as_ref().map(|reliance| reliance.replicas),
        up_to_date: !server.outdated && server.config == ConfigState::Current,
        evacuating: server
            .reliance
            .as_ref()
            .is_some_and(|reliance| reliance.evacuating),
    }
}

fn certificates(situation: &Situation<'_>) -> Vec<CertificateStatus> {
    let Some(tls) = situation.valid.certificates.of(Listener::Client) else {
        return Vec::new();
    };
    vec![CertificateStatus {
        secret_name: tls.name.clone(),
        not_after: certificate_end(situation).map(Time),
    }]
}

/// When the first of the servers' certificates ends.
fn certificate_end(situation: &Situation<'_>) -> Option<Timestamp> {
    let servers = situation.observed.servers.values();
    let ends = servers.filter_map(|answers| answers.certificate_end.as_ref()?.parse().ok());
    ends.min()
}

fn selector(cluster: &str) -> String {
    let labels = names::pool_selector(cluster, names::DEFAULT_POOL);
    let pairs: Vec<String> = labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    pairs.join(",")
}

fn count(servers: usize) -> i32 {
    i32::try_from(servers).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_told_what_is_new_and_of_interest() {
        let now = Timestamp::UNIX_EPOCH;
        let conditions = |claims| conditions::merge(&[], claims, Some(1), now);
        let before = conditions(vec![
            Claim::new(api::status::READY, true, "Ready", ""),
            Claim::new(api::status::STALLED, false, "Working", ""),
        ]);
        assert!(news(&before, &before).is_empty());
        let rolling = conditions(vec![
            Claim::new(api::status::READY, false, "ServersNotReady", ""),
            Claim::new(api::status::STALLED, false, "Working", ""),
            Claim::new(api::cluster::UPGRADING, true, "Restarting", ""),
        ]);
        let told: Vec<&str> = news(&before, &rolling)
            .iter()
            .map(|(_, condition)| condition.reason.as_str())
            .collect();
        assert_eq!(told, ["Restarting"]);
        let stalled = conditions(vec![Claim::new(
            api::status::STALLED,
            true,
            "RollStalled",
            "",
        )]);
        assert!(matches!(
            news(&rolling, &stalled)[..],
            [(EventType::Warning, _)]
        ));
    }
}
