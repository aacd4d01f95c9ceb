//! The conditions of a cluster. Pure.

use api::cluster::{
    CONFIG_APPLIED, QUORUM_HEALTHY, RESIZING, SAFE_TO_RESTART, UPGRADING, UpdateStatus,
    UpdateStrategy,
};
use api::status::{READY, RECONCILING, STALLED};
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::super::certificates::Listener;
use super::super::conditions::Claim;
use super::super::fleet::{ConfigState, PodState};
use super::super::roll::{self, Decision};
use super::super::scale::Next;
use super::{Situation, certificate_end};

pub fn claims(
    situation: &Situation<'_>,
    update: Option<&UpdateStatus>,
    now: Timestamp,
) -> Vec<Claim> {
    let quorum = quorum(situation);
    let upgrading = upgrading(situation);
    let resizing = resizing(situation);
    let config = config(situation);
    let certificate = certificate(situation, now);
    let stalled = stalled(situation, update, &resizing, certificate.as_ref(), now);
    let ready =
        certificate.unwrap_or_else(|| ready(situation, &quorum, &upgrading, &resizing, &config));
    // What was asked for is there when the last server has stopped.
    let sleeps = situation.valid.spec.hibernated && !situation.has_pods;
    let goes_on = ready.holds != Some(true) && stalled.holds != Some(true) && !sleeps;
    let reconciling = match goes_on {
        true => Claim::new(RECONCILING, true, ready.reason, ready.message.clone()),
        false => Claim::new(RECONCILING, false, "Done", "nothing is being changed"),
    };
    vec![
        ready,
        reconciling,
        stalled,
        quorum,
        safe(situation),
        upgrading,
        resizing,
        config,
    ]
}

fn ready(
    situation: &Situation<'_>,
    quorum: &Claim,
    upgrading: &Claim,
    resizing: &Claim,
    config: &Claim,
) -> Claim {
    if situation.valid.spec.hibernated {
        let message = "all servers are stopped until hibernated is taken back";
        return Claim::new(READY, false, "Hibernated", message);
    }
    let mut away = situation
        .servers
        .iter()
        .filter(|server| server.pod != PodState::Ready);
    if let Some(server) = away.next() {
        let message = format!("server {} is not ready", server.name);
        return Claim::new(READY, false, "ServersNotReady", message);
    }
    for (claim, wanted) in [
        (quorum, true),
        (upgrading, false),
        (resizing, false),
        (config, true),
    ] {
        if claim.holds != Some(wanted) {
            return Claim::new(READY, false, claim.reason, claim.message.clone());
        }
    }
    // A change that was refused is one that the cluster does not have.
    if let Next::Refused { .. } = situation.plan.next {
        return Claim::new(READY, false, resizing.reason, resizing.message.clone());
    }
    if let Some(kept) = kept_certificate(situation, READY, false) {
        return kept;
    }
    Claim::new(READY, true, "Ready", "all servers are ready and up to date")
}

/// Clients refuse servers whose certificate has ended.
fn certificate(situation: &Situation<'_>, now: Timestamp) -> Option<Claim> {
    let tls = situation.valid.certificates.of(Listener::Client)?;
    let end = certificate_end(situation).filter(|end| *end <= now)?;
    let message = format!(
        "the certificate in Secret {} ended at {end}; renew it",
        tls.name
    );
    Some(Claim::new(READY, false, "CertificateExpired", message))
}

/// What people named can not be used.
fn kept_certificate(situation: &Situation<'_>, type_: &'static str, holds: bool) -> Option<Claim> {
    let problem = situation.valid.certificates.problem.as_ref()?;
    let message = format!("{problem}; servers keep the certificate that they have");
    Some(Claim::new(type_, holds, problem.reason(), message))
}

fn quorum(situation: &Situation<'_>) -> Claim {
    if situation.observed.servers.is_empty() {
        return Claim {
            type_: QUORUM_HEALTHY,
            holds: None,
            reason: "NoAnswer",
            message: "no server answers".to_owned(),
        };
    }
    match &situation.observed.meta_leader {
        Some(leader) => {
            let message = format!("server {leader} leads the cluster");
            Claim::new(QUORUM_HEALTHY, true, "Leader", message)
        }
        None => {
            let message = "the cluster has no leader: most of its servers must reach each other";
            Claim::new(QUORUM_HEALTHY, false, "NoLeader", message)
        }
    }
}

fn safe(situation: &Situation<'_>) -> Claim {
    for server in situation.servers {
        let Some(reliance) = &server.reliance else {
            let message = format!("nobody says whether server {} can be stopped", server.name);
            return Claim {
                type_: SAFE_TO_RESTART,
                holds: None,
                reason: "NoAnswer",
                message,
            };
        };
        if !reliance.safe {
            let message = format!("server {}: {}", server.name, roll::blockers(reliance));
            return Claim::new(SAFE_TO_RESTART, false, "InUse", message);
        }
    }
    let message = "any one server can be stopped";
    Claim::new(SAFE_TO_RESTART, true, "Safe", message)
}

fn upgrading(situation: &Situation<'_>) -> Claim {
    let waiting = situation.waiting.join(", ");
    if situation.valid.spec.update.strategy == UpdateStrategy::Manual && !waiting.is_empty() {
        let message = format!("waiting for a person to delete the pods {waiting}");
        return Claim::new(UPGRADING, true, "WaitingForPerson", message);
    }
    match situation.roll {
        Decision::Done => Claim::new(UPGRADING, false, "UpToDate", "every server is up to date"),
        Decision::Restart { server } => {
            let message = format!("server {server} is restarted; to be restarted: {waiting}");
            Claim::new(UPGRADING, true, "Restarting", message)
        }
        Decision::Later { server } => {
            let message = format!(
                "server {server} is restarted in the next maintenance window; to be restarted: {waiting}"
            );
            Claim::new(UPGRADING, true, "WaitingForWindow", message)
        }
        Decision::Wait { server, why } => {
            let message = format!("waiting for server {server}: {why}; to be restarted: {waiting}");
            Claim::new(UPGRADING, true, "Restarting", message)
        }
    }
}

fn resizing(situation: &Situation<'_>) -> Claim {
    match &situation.plan.next {
        Next::Growing => {
            return Claim::new(RESIZING, true, "AddingServers", "servers are being added");
        }
        Next::Evacuate { server } => {
            let message = format!("server {server} is to leave: its streams move to other servers");
            return Claim::new(RESIZING, true, "Evacuating", message);
        }
        Next::Wait { server, why } => {
            let message = format!("server {server} is to leave: {why}");
            return Claim::new(RESIZING, true, "Evacuating", message);
        }
        Next::Refused { server, why } => {
            let message = format!("server {server} can not leave: {why}");
            return Claim::new(RESIZING, false, "ScaleDownRefused", message);
        }
        Next::Nothing => {}
    }
    if let Some(why) = &situation.not_growing {
        return Claim::new(RESIZING, false, "VolumesNotGrown", why.clone());
    }
    match situation.growing.is_empty() {
        true => Claim::new(
            RESIZING,
            false,
            "Settled",
            "servers and volumes are as wanted",
        ),
        false => {
            let message = format!("volumes grow: {}", situation.growing.join(", "));
            Claim::new(RESIZING, true, "GrowingVolumes", message)
        }
    }
}

fn config(situation: &Situation<'_>) -> Claim {
    let stale = situation.servers.iter().find(|server| {
        matches!(
            server.config,
            ConfigState::Stale { .. } | ConfigState::Refused
        )
    });
    if let Some(server) = stale {
        let message = format!("server {} has still to read its configuration", server.name);
        return Claim::new(CONFIG_APPLIED, false, "Reloading", message);
    }
    let unknown = situation
        .servers
        .iter()
        .find(|server| server.config == ConfigState::Unknown);
    match unknown {
        Some(server) => Claim {
            type_: CONFIG_APPLIED,
            holds: None,
            reason: "NoAnswer",
            message: format!(
                "server {} does not say which configuration it has",
                server.name
            ),
        },
        None => {
            let message = "every server has read its configuration";
            Claim::new(CONFIG_APPLIED, true, "Applied", message)
        }
    }
}

fn stalled(
    situation: &Situation<'_>,
    update: Option<&UpdateStatus>,
    resizing: &Claim,
    certificate: Option<&Claim>,
    now: Timestamp,
) -> Claim {
    if let Next::Refused { .. } = situation.plan.next {
        return Claim::new(STALLED, true, resizing.reason, resizing.message.clone());
    }
    if let Some(expired) = certificate {
        return Claim::new(STALLED, true, expired.reason, expired.message.clone());
    }
    if let Some(kept) = kept_certificate(situation, STALLED, true) {
        return kept;
    }
    if let Some(why) = &situation.not_growing {
        return Claim::new(STALLED, true, "VolumesNotGrown", why.clone());
    }
    let spec = &situation.valid.spec;
    let (deadline, reason, what) = match &situation.plan.next {
        Next::Wait { server, why } => {
            let what = format!("server {server} does not get empty: {why}");
            (spec.scale_down.timeout, "EvacuationStalled", what)
        }
        _ => match situation.roll {
            Decision::Wait { server, why } => {
                let what = format!("the roll waits for server {server}: {why}");
                (spec.update.progress_deadline, "RollStalled", what)
            }
            _ => (spec.update.progress_deadline, "RollStalled", String::new()),
        },
    };
    let since = update.and_then(|update| update.last_progress_time.as_ref());
    let deadline = SignedDuration::from_secs(i64::try_from(deadline.as_secs()).unwrap_or(i64::MAX));
    let is_late = since.is_some_and(|since| now.duration_since(since.0) > deadline);
    match is_late && !what.is_empty() && spec.update.strategy == UpdateStrategy::Rolling {
        true => Claim::new(STALLED, true, reason, what),
        false => Claim::new(STALLED, false, "Working", "nothing waits for a person"),
    }
}
