//! Resources of a Kubernetes cluster, as they are reported.

use anyhow::Context;
use clap::Args;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams};
use kube::{Api, Client};
use serde_json::Value;

/// All kinds, brokers first.
pub const KINDS: [&str; 7] = [
    "Cluster",
    "Account",
    "User",
    "Stream",
    "KVBucket",
    "ObjectStore",
    "Consumer",
];
/// How many objects are asked for at once.
const PAGE: u32 = 500;

/// Which namespaces are looked at.
#[derive(Args, Clone, Debug)]
pub struct Where {
    /// The namespace. Default: the current one of the kubeconfig.
    #[arg(short, long)]
    namespace: Option<String>,
    /// All namespaces.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
}

/// One object as the API server has it.
#[derive(Clone, Debug)]
pub struct Found {
    pub kind: &'static str,
    pub namespace: String,
    pub name: String,
    pub spec: Value,
    pub status: Value,
}

impl Found {
    pub fn id(&self) -> String {
        format!("{}/{}/{}", self.kind, self.namespace, self.name)
    }

    /// A condition's status, reason and message.
    pub fn condition(&self, type_: &str) -> Option<(&str, &str, &str)> {
        let conditions = self.status["conditions"].as_array()?;
        let found = conditions.iter().find(|found| found["type"] == type_)?;
        let text = |field: &str| found[field].as_str().unwrap_or_default();
        Some((text("status"), text("reason"), text("message")))
    }

    pub fn is_ready(&self) -> bool {
        self.condition("Ready")
            .is_some_and(|(status, ..)| status == "True")
    }

    /// Why it is not ready, in one line.
    pub fn why(&self) -> String {
        match self.condition("Ready") {
            Some((_, reason, message)) => format!("{}: {reason}: {message}", self.id()),
            None => format!(
                "{}: nobody has looked at it; is the operator running?",
                self.id()
            ),
        }
    }
}

/// All objects of all kinds in some namespaces.
///
/// # Errors
/// If the API server can not be asked.
pub async fn read(place: &Where) -> anyhow::Result<Vec<Found>> {
    let client = Client::try_default()
        .await
        .context("no Kubernetes cluster is configured; set KUBECONFIG")?;
    let mut all = Vec::new();
    for kind in KINDS {
        let resource = GroupVersionKind::gvk(api::GROUP, api::VERSION, kind);
        let resource = ApiResource::from_gvk(&resource);
        let client = client.clone();
        let api: Api<DynamicObject> = match &place.namespace {
            _ if place.all_namespaces => Api::all_with(client, &resource),
            Some(namespace) => Api::namespaced_with(client, namespace, &resource),
            None => Api::default_namespaced_with(client, &resource),
        };
        let mut page = ListParams::default().limit(PAGE);
        loop {
            let list = api
                .list(&page)
                .await
                .with_context(|| format!("listing {kind}"))?;
            let next = list
                .metadata
                .continue_
                .clone()
                .filter(|next| !next.is_empty());
            all.extend(list.items.into_iter().map(|object| found(kind, object)));
            let Some(next) = next else {
                break;
            };
            page = ListParams::default().limit(PAGE).continue_token(&next);
        }
    }
    Ok(all)
}

fn found(kind: &'static str, mut object: DynamicObject) -> Found {
    Found {
        kind,
        namespace: object.metadata.namespace.unwrap_or_default(),
        name: object.metadata.name.unwrap_or_default(),
        spec: object.data["spec"].take(),
        status: object.data["status"].take(),
    }
}
