//! What a Cluster points to and what there is of it already: the only step that reads.

use std::collections::{BTreeMap, BTreeSet};

use api::cluster::Cluster;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Node, PersistentVolumeClaim, Pod, Secret};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use reconcile::{Bootstrap, Roots, RootsError};

use super::certificates::{self, Certificates, Listener, TlsSecret};
use super::names;
use super::scale::SERVERS_ANNOTATION;
use crate::context::Context;
use crate::secrets::Secrets;

/// What was found.
pub struct Found {
    pub roots: Roots,
    pub bootstrap: Bootstrap,
    /// Secrets with certificates that people named, by name.
    pub tls: BTreeMap<String, TlsSecret>,
    /// The certificates that servers have.
    pub kept_tls: BTreeMap<Listener, TlsSecret>,
    pub stateful_sets: BTreeMap<String, StatefulSet>,
    pub pods: BTreeMap<String, Pod>,
    pub claims: BTreeMap<String, PersistentVolumeClaim>,
    /// The node that each server runs on, or ran on when it was seen last: a server that is being
    /// replaced mostly comes back there, and so keeps its configuration.
    pub nodes: BTreeMap<String, String>,
    /// Labels of these nodes, if any tag comes from them.
    pub node_labels: BTreeMap<String, BTreeMap<String, String>>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("reading {what}")]
    Read {
        what: String,
        #[source]
        source: kube::Error,
    },
    #[error(transparent)]
    Roots(#[from] RootsError),
}

pub async fn dereference(cluster: &Cluster, context: &Context) -> Result<Found, Error> {
    let client = &context.client;
    let name = cluster.name_any();
    let namespace = cluster.namespace().unwrap_or_default();
    let store = Secrets::new(client.clone(), &namespace, &name);
    let roots = Roots::load(&store, &context.environment).await?;
    // Tokens of one time of issue are always the same, so that nothing changes without a reason.
    let created = cluster.metadata.creation_timestamp.as_ref();
    let issued_s = created.map_or(0, |time| time.0.as_second());
    let bootstrap = roots.bootstrap(issued_s)?;
    let labelled = ListParams::default().labels(&format!("{}={name}", names::CLUSTER_LABEL));
    let pods: Vec<Pod> = list(client, &namespace, &labelled, "Pods").await?;
    let nodes = nodes(cluster, &pods);
    let node_labels = match &cluster.spec.server_tags {
        Some(tags) if !tags.from_node_labels.is_empty() => labels(client, &nodes).await?,
        _ => BTreeMap::new(),
    };
    let (tls, kept_tls) = certificates(cluster, client, &namespace).await?;
    Ok(Found {
        tls,
        kept_tls,
        stateful_sets: by_name(list(client, &namespace, &labelled, "StatefulSets").await?),
        claims: by_name(list(client, &namespace, &labelled, "PersistentVolumeClaims").await?),
        pods: by_name(pods),
        nodes,
        node_labels,
        roots,
        bootstrap,
    })
}

async fn list<K>(
    client: &Client,
    namespace: &str,
    params: &ListParams,
    what: &str,
) -> Result<Vec<K>, Error>
where
    K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    K: Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    match api.list(params).await {
        Ok(found) => Ok(found.items),
        Err(source) => Err(Error::Read {
            what: what.to_owned(),
            source,
        }),
    }
}

fn by_name<K: ResourceExt>(objects: Vec<K>) -> BTreeMap<String, K> {
    let named = objects.into_iter();
    named.map(|object| (object.name_any(), object)).collect()
}

fn nodes(cluster: &Cluster, pods: &[Pod]) -> BTreeMap<String, String> {
    let members = cluster.status.iter().flat_map(|status| &status.members);
    let before = members.filter_map(|member| Some((member.name.clone(), member.node.clone()?)));
    let now = pods.iter().filter_map(|pod| {
        let node = pod.spec.as_ref()?.node_name.clone()?;
        Some((pod.name_any(), node))
    });
    before.chain(now).collect()
}

async fn labels(
    client: &Client,
    nodes: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, BTreeMap<String, String>>, Error> {
    let api: Api<Node> = Api::all(client.clone());
    let used: BTreeSet<&String> = nodes.values().collect();
    let mut labels = BTreeMap::new();
    for name in used {
        let node = api.get_opt(name).await.map_err(|source| Error::Read {
            what: format!("Node {name}"),
            source,
        })?;
        // A node that is gone has no labels, until its pod is gone too.
        if let Some(node) = node {
            labels.insert(name.clone(), node.metadata.labels.unwrap_or_default());
        }
    }
    Ok(labels)
}

/// The Secrets that people named, and what servers mount at present.
async fn certificates(
    cluster: &Cluster,
    client: &Client,
    namespace: &str,
) -> Result<(BTreeMap<String, TlsSecret>, BTreeMap<Listener, TlsSecret>), Error> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let get = async |name: &str| {
        api.get_opt(name).await.map_err(|source| Error::Read {
            what: format!("Secret {name}"),
            source,
        })
    };
    let named: BTreeSet<&str> = certificates::named(&cluster.spec).collect();
    if named.is_empty() {
        return Ok(Default::default());
    }
    let mut tls = BTreeMap::new();
    for name in named {
        if let Some(secret) = get(name).await? {
            tls.insert(name.to_owned(), TlsSecret::of(name, &secret));
        }
    }
    let mounted = get(&names::certificates_secret(&cluster.name_any())).await?;
    let is_ours = |secret: &Secret| {
        let owner = cluster.metadata.uid.as_deref();
        let owners = secret.owner_references().iter();
        owner.is_some()
            && owners
                .map(|one| one.uid.as_str())
                .any(|uid| Some(uid) == owner)
    };
    let kept = mounted.filter(is_ours).as_ref().map(Certificates::kept);
    Ok((tls, kept.unwrap_or_default()))
}

impl Found {
    /// Labels of each server's node.
    pub fn labels_by_server(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        let placed = self.nodes.iter().filter_map(|(server, node)| {
            Some((server.clone(), self.node_labels.get(node)?.clone()))
        });
        placed.collect()
    }

    /// StatefulSets of pools that the resource says nothing of, and whether they still have servers.
    pub fn leftover<'a>(&'a self, wanted: &'a [&str]) -> impl Iterator<Item = (&'a str, bool)> {
        let others = self.stateful_sets.iter();
        let others = others.filter(|(name, _)| !wanted.contains(&name.as_str()));
        others.map(|(name, set)| {
            let running = set.spec.as_ref().and_then(|spec| spec.replicas);
            let noted = set.annotations().get(SERVERS_ANNOTATION);
            let has_servers = running != Some(0) || noted.is_some_and(|noted| noted != "0");
            (name.as_str(), has_servers)
        })
    }

    /// The size in the template of claims of a StatefulSet that exists.
    pub fn template_size(&self, stateful_set: &str) -> Option<String> {
        let spec = self.stateful_sets.get(stateful_set)?.spec.as_ref()?;
        let template = spec.volume_claim_templates.as_ref()?.first()?;
        let requests = template.spec.as_ref()?.resources.as_ref()?;
        let size = requests.requests.as_ref()?.get("storage")?;
        Some(size.0.clone())
    }
}
