//! Which server is restarted next, if any. Pure.
//!
//! One at a time: as long as one is away, starts, or catches up, no other is touched. A server that is
//! down already and would be restarted anyway comes first, so that a roll to a broken version ends
//! when the version is repaired.

use std::collections::BTreeSet;

use super::fleet::{PodState, Server};

#[cfg(test)]
mod tests;

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Every server is up to date.
    Done,
    /// Not now: the server that keeps the others waiting, and why.
    Wait {
        server: String,
        why: String,
    },
    Restart {
        server: String,
    },
    /// Not before the next maintenance window.
    Later {
        server: String,
    },
}

/// How careful to be.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// A server is restarted only if every replicated stream goes on without it.
    pub require_quorum: bool,
}

/// Decides. `config` are servers that only a restart brings to their configuration.
pub fn decide(servers: &[Server], config: &BTreeSet<String>, rules: Rules) -> Decision {
    let waiting: Vec<&Server> = servers
        .iter()
        .filter(|server| server.outdated || config.contains(&server.name))
        .collect();
    if waiting.is_empty() {
        return Decision::Done;
    }
    let stopping = servers
        .iter()
        .find(|server| matches!(server.pod, PodState::Stopping | PodState::Missing));
    if let Some(server) = stopping {
        return wait(server, "it is being replaced");
    }
    if let Some(server) = waiting.iter().find(|server| server.pod == PodState::Down) {
        return Decision::Restart {
            server: server.name.clone(),
        };
    }
    let unready = servers.iter().find(|server| server.pod != PodState::Ready);
    if let Some(server) = unready {
        let is_only_one = servers
            .iter()
            .all(|other| other.name == server.name || other.pod == PodState::Ready);
        // One that runs without becoming ready gives nothing that stopping it would take away.
        let goes_on = server
            .reliance
            .as_ref()
            .is_some_and(|reliance| reliance.safe);
        if is_only_one && goes_on && waiting.iter().any(|waiting| waiting.name == server.name) {
            return Decision::Restart {
                server: server.name.clone(),
            };
        }
        return wait(server, "it is not ready");
    }
    // Nobody is left who could go on without it: all wait for the one that is restarted.
    let is_alone = servers.len() < 3;
    if !is_alone && let Some(blocked) = catching_up(servers) {
        return blocked;
    }
    next(&waiting, is_alone || !rules.require_quorum)
}

/// A server that misses something, or does not say.
fn catching_up(servers: &[Server]) -> Option<Decision> {
    servers.iter().find_map(|server| match &server.reliance {
        None => Some(wait(server, "it does not say whether it has caught up")),
        Some(reliance) if !reliance.current => Some(wait(server, "it is catching up")),
        Some(_) => None,
    })
}

/// The meta group's leader comes last, so that it moves once; otherwise the last server comes first.
fn next(waiting: &[&Server], anyway: bool) -> Decision {
    let Some(server) = waiting.iter().max_by(|a, b| order(a).cmp(&order(b))) else {
        return Decision::Done;
    };
    match &server.reliance {
        Some(reliance) if reliance.safe => {}
        _ if anyway => {}
        Some(reliance) => return wait(server, &blockers(reliance)),
        None => return wait(server, "nobody says whether it can be stopped"),
    }
    Decision::Restart {
        server: server.name.clone(),
    }
}

/// Streams that keep a server from being stopped, without numbers that change all the time.
pub fn blockers(reliance: &super::observe::Reliance) -> String {
    const SHOWN: usize = 3;
    let names: Vec<&str> = reliance
        .blockers
        .iter()
        .take(SHOWN)
        .map(|blocker| blocker.stream.as_str())
        .collect();
    let more = match reliance.blockers.len() {
        0..=SHOWN => "",
        _ => " and others",
    };
    match names.is_empty() {
        true => "it can not be stopped now".to_owned(),
        false => format!(
            "streams {}{more} have no quorum without it",
            names.join(", ")
        ),
    }
}

fn order(server: &Server) -> (bool, u32, &str) {
    let name = &server.name;
    let digits = name.rsplit('-').next();
    let ordinal = digits.and_then(|digits| digits.parse().ok()).unwrap_or(0);
    (!server.leads_meta, ordinal, name)
}

fn wait(server: &Server, why: &str) -> Decision {
    Decision::Wait {
        server: server.name.clone(),
        why: why.to_owned(),
    }
}
