//! The cluster, the programs and the files that all scenarios use.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client};

use crate::Options;
use crate::evidence;
use crate::machine::Machine;
use crate::objects::{self, Kind, Objects, SOON};
use crate::programs::{kubectl, run};
use crate::publishing::{self, Pause, Publishing};
use crate::scenarios::Issued;

/// Where the operator is installed, and under which name.
pub const SYSTEM: &str = "weir-system";
pub const RELEASE: &str = "weir";
/// Where the examples are applied.
pub const NAMESPACE: &str = "default";
/// The Cluster of examples/cluster.yaml, and the Service for its clients.
pub const BROKERS: &str = "main";
/// Selects the operator's pods.
pub const OPERATOR_PODS: &str = "app.kubernetes.io/name=weir,app.kubernetes.io/component=operator";

pub struct World {
    pub client: Client,
    pub repository: PathBuf,
    pub image: String,
    pub next_image: String,
    nodes: Option<PathBuf>,
    evidence: PathBuf,
    machine: Machine,
    publishing: Option<Publishing>,
    /// Credentials that a scenario issued, for the one that sees their end.
    issued: Option<Issued>,
}

impl World {
    pub async fn new(options: &Options) -> anyhow::Result<World> {
        let client = Client::try_default()
            .await
            .context("no Kubernetes cluster is configured")?;
        let version = client.apiserver_version().await?;
        println!("Kubernetes {}", version.git_version);
        Ok(World {
            client,
            repository: options.repository.canonicalize()?,
            image: options.image.clone(),
            next_image: options.next_image.clone(),
            nodes: options.nodes.clone(),
            machine: Machine::watched(&options.evidence)?,
            evidence: options.evidence.clone(),
            publishing: None,
            issued: None,
        })
    }

    /// A file of the repository, for a program's arguments.
    pub fn path(&self, name: &str) -> String {
        self.repository.join(name).display().to_string()
    }

    pub fn objects(&self, kind: Kind) -> Objects {
        Objects::new(&self.client, kind, NAMESPACE)
    }

    pub async fn operators(&self) -> anyhow::Result<Vec<Pod>> {
        self.pods(SYSTEM, OPERATOR_PODS).await
    }

    pub async fn brokers(&self) -> anyhow::Result<Vec<Pod>> {
        self.brokers_of(NAMESPACE, BROKERS).await
    }

    /// Those of another Cluster.
    pub async fn brokers_of(&self, namespace: &str, cluster: &str) -> anyhow::Result<Vec<Pod>> {
        let selector = format!("weir.dev/cluster={cluster}");
        self.pods(namespace, &selector).await
    }

    /// Name and identity of each broker's pod: a restart leaves the name.
    pub async fn broker_identities(&self) -> anyhow::Result<BTreeMap<String, String>> {
        Ok(identities(&self.brokers().await?))
    }

    async fn pods(&self, namespace: &str, selector: &str) -> anyhow::Result<Vec<Pod>> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let found = pods.list(&ListParams::default().labels(selector)).await?;
        Ok(found.items)
    }

    /// Waits until so many brokers are there and all are ready.
    pub async fn brokers_ready(&self, count: usize) {
        let what = format!("{count} brokers are ready");
        objects::wait(objects::LATER, &what, async || {
            let brokers = self.brokers().await?;
            let ready = brokers.iter().filter(|pod| is_ready(pod)).count();
            anyhow::ensure!(
                (brokers.len(), ready) == (count, count),
                "{ready} of {} are",
                brokers.len()
            );
            Ok(())
        })
        .await;
    }

    /// Fails if two brokers share a node: the loss of that one would be the loss of two.
    pub async fn brokers_are_apart(&self) -> anyhow::Result<()> {
        let brokers = self.brokers().await?;
        let nodes = brokers.iter().map(node_of);
        let nodes = nodes.collect::<anyhow::Result<Vec<_>>>()?;
        let different: BTreeSet<_> = nodes.iter().collect();
        anyhow::ensure!(
            different.len() == nodes.len(),
            "brokers share nodes: {nodes:?}"
        );
        Ok(())
    }

    /// A page that a pod serves, through the API server.
    pub async fn page(
        &self,
        namespace: &str,
        pod: &str,
        port: u16,
        path: &str,
    ) -> anyhow::Result<String> {
        let page = format!("/api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy/{path}");
        kubectl(&["get", "--raw", &page]).await
    }

    /// A connection with the credentials of a User.
    pub async fn connect(&self, user: &str) -> anyhow::Result<async_nats::Client> {
        let connecting = async || publishing::connect(&self.client, NAMESPACE, BROKERS, user).await;
        Ok(objects::wait(SOON, &format!("{user} connects"), connecting).await)
    }

    pub fn publish(&mut self, publishing: Publishing) {
        self.publishing = Some(publishing);
    }

    /// Waits until publishing goes on; its longest pause since the last call.
    pub async fn pause(&self) -> anyhow::Result<Pause> {
        Ok(self.publishing()?.pause(&self.machine).await)
    }

    pub fn publishing(&self) -> anyhow::Result<&Publishing> {
        self.publishing.as_ref().context("nobody publishes")
    }

    pub fn take_publishing(&mut self) -> anyhow::Result<Publishing> {
        self.publishing.take().context("nobody publishes")
    }

    pub fn remember_issued(&mut self, issued: Issued) {
        self.issued = Some(issued);
    }

    pub fn take_issued(&mut self) -> Option<Issued> {
        self.issued.take()
    }

    /// `up`, `down`, `cut` or `mend` for a node; `None` where nodes cannot be switched from here.
    pub async fn switch_node(&self, action: &str, node: &str) -> anyhow::Result<Option<()>> {
        let Some(script) = &self.nodes else {
            return Ok(None);
        };
        let number = node.trim_start_matches('n');
        run(script, &[action, number]).await?;
        Ok(Some(()))
    }

    pub fn can_switch_nodes(&self) -> bool {
        self.nodes.is_some()
    }

    /// Leaves what explains a failure where a person finds it.
    pub async fn leave_evidence(&self, scenario: &str) {
        evidence::leave(&self.evidence.join(scenario.replace(' ', "-"))).await;
    }
}

pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    let is_deleted = pod.metadata.deletion_timestamp.is_some();
    !is_deleted
        && conditions
            .into_iter()
            .flatten()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Name and identity of each pod.
pub fn identities(pods: &[Pod]) -> BTreeMap<String, String> {
    let identity = |pod: &Pod| {
        let id = pod.metadata.uid.clone().unwrap_or_default();
        (name_of(pod).to_owned(), id)
    };
    pods.iter().map(identity).collect()
}

/// The pod's name.
pub fn name_of(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

/// The node that the pod runs on.
pub fn node_of(pod: &Pod) -> anyhow::Result<&str> {
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
    node.with_context(|| format!("pod {} is on no node", name_of(pod)))
}
