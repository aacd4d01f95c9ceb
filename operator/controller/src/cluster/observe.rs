//! What the brokers say about themselves and each other.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use futures::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use serde::Deserialize;

use super::{names, pages};

/// What was heard.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// By the server's name; servers that did not answer are missing.
    pub servers: BTreeMap<String, Answers>,
    /// What relies on each server, also on those that did not answer.
    pub reliance: BTreeMap<String, Reliance>,
    /// Servers that have a pod, and that the others say are none of theirs.
    pub strangers: BTreeSet<String>,
    pub meta_leader: Option<String>,
    /// Servers that the cluster counts on and that are away.
    pub offline: Vec<String>,
}

/// What one server says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// Its id in the system account.
    pub id: String,
    /// The configuration that it has read.
    pub config: Option<String>,
    /// When the certificate that it shows to clients ends.
    pub certificate_end: Option<String>,
}

/// What relies on a server: the page `safez`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Reliance {
    /// Every replicated stream and the meta group go on without it.
    pub safe: bool,
    /// It has everything that the leaders of its groups have.
    pub current: bool,
    pub evacuating: bool,
    pub replicas: u64,
    pub leaders: u64,
    pub blockers: Vec<Blocker>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Blocker {
    pub stream: String,
    pub reason: String,
}

#[derive(Deserialize)]
struct Varz {
    server_id: String,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    tls_cert_not_after: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Jsz {
    meta_cluster: Option<MetaCluster>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct MetaCluster {
    leader: String,
    replicas: Vec<Replica>,
}

#[derive(Deserialize)]
struct Replica {
    name: String,
    #[serde(default)]
    offline: bool,
}

const PORT: u16 = names::MONITOR_PORT as u16;
const UNAVAILABLE: u16 = 503;
const NOT_FOUND: u16 = 404;

/// Asks all servers that have an address.
pub async fn observe(pods: &BTreeMap<String, Pod>) -> Observed {
    let addresses: BTreeMap<&String, IpAddr> = pods
        .iter()
        .filter_map(|(server, pod)| Some((server, address(pod)?)))
        .collect();
    let mut observed = Observed::default();
    let asked = addresses.iter().map(|(server, address)| async move {
        let varz: Result<Varz, _> = pages::read(*address, PORT, "/varz", 200).await;
        (*server, *address, varz)
    });
    let mut answering = Vec::new();
    for (server, address, varz) in join_all(asked).await {
        match varz {
            Ok(mut varz) => {
                answering.push(address);
                let answers = Answers {
                    id: varz.server_id,
                    config: varz.metadata.remove(names::CONFIG_METADATA),
                    certificate_end: varz.tls_cert_not_after,
                };
                observed.servers.insert(server.clone(), answers);
            }
            Err(error) => tracing::debug!(server, %error, "server does not answer"),
        }
    }
    for address in &answering {
        if observed.hear_of_meta_group(*address).await {
            break;
        }
    }
    let asked = pods.keys().map(|server| {
        let first = addresses.get(server).copied();
        let first = first.filter(|_| observed.servers.contains_key(server));
        let asked: Vec<IpAddr> = first.into_iter().chain(answering.iter().copied()).collect();
        async move { (server, reliance(server, &asked).await) }
    });
    for (server, reliance) in join_all(asked).await {
        match reliance {
            Some(Ok(reliance)) => drop(observed.reliance.insert(server.clone(), reliance)),
            Some(Err(Stranger)) => drop(observed.strangers.insert(server.clone())),
            None => {}
        }
    }
    observed
}

/// The cluster has no such server.
struct Stranger;

/// Asks the server itself, or another one if it is away.
async fn reliance(server: &str, asked: &[IpAddr]) -> Option<Result<Reliance, Stranger>> {
    let path = format!("/safez?server={server}");
    // One that knows the server but cannot tell is no reason to ask all others.
    for address in asked.iter().take(2) {
        match pages::read(*address, PORT, &path, UNAVAILABLE).await {
            Ok(reliance) => return Some(Ok(reliance)),
            Err(pages::Error::Status(NOT_FOUND)) => return Some(Err(Stranger)),
            Err(error) => tracing::debug!(server, %error, "reliance is not known"),
        }
    }
    None
}

impl Observed {
    /// Asks for the meta group's leader, and for all its servers, which only the leader knows. Whether
    /// they are known now.
    async fn hear_of_meta_group(&mut self, address: IpAddr) -> bool {
        let page: Result<Jsz, _> = pages::read(address, PORT, "/jsz", 200).await;
        let Some(meta) = page.ok().and_then(|page| page.meta_cluster) else {
            return false;
        };
        if meta.leader.is_empty() {
            return false;
        }
        let is_complete = !meta.replicas.is_empty();
        let away = meta.replicas.into_iter().filter(|replica| replica.offline);
        self.offline = away.map(|replica| replica.name).collect();
        self.meta_leader = Some(meta.leader);
        is_complete
    }
}

fn address(pod: &Pod) -> Option<IpAddr> {
    if pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()
}
