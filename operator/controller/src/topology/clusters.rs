//! What topology needs to know about Clusters: where their brokers are, and whether they stay.

use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::Value;

/// A Cluster, read only as far as it matters here.
pub type ClusterObject = DynamicObject;

/// Clients' port of every broker.
const CLIENT_PORT: u16 = 4222;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterView {
    pub namespace: String,
    pub name: String,
    /// The Secret with the certificates of the clients' listener, if it has any.
    pub tls_secret: Option<String>,
    pub is_deleted: bool,
}

impl ClusterView {
    /// How Clusters are asked for.
    pub fn resource() -> ApiResource {
        let kind = GroupVersionKind::gvk(api::GROUP, api::VERSION, "Cluster");
        ApiResource::from_gvk(&kind)
    }

    pub fn of(object: &ClusterObject) -> ClusterView {
        let tls = &object.data["spec"]["listeners"]["client"]["tls"]["secretName"];
        ClusterView {
            namespace: object.metadata.namespace.clone().unwrap_or_default(),
            name: object.metadata.name.clone().unwrap_or_default(),
            tls_secret: tls.as_str().map(str::to_owned),
            is_deleted: object.metadata.deletion_timestamp.is_some(),
        }
    }

    /// Where clients of this Kubernetes cluster connect: the Service of the brokers.
    pub fn url(&self) -> String {
        let scheme = if self.tls_secret.is_some() {
            "tls"
        } else {
            "nats"
        };
        format!(
            "{scheme}://{}.{}.svc:{CLIENT_PORT}",
            self.name, self.namespace
        )
    }
}

/// What of a Cluster is of interest to those who wait for it.
pub fn interest(object: &ClusterObject) -> Value {
    let conditions = object.data["status"]["conditions"].as_array();
    let ready = conditions.into_iter().flatten();
    let ready = ready.filter(|found| found["type"] == "Ready");
    let status: Vec<&Value> = ready.map(|found| &found["status"]).collect();
    serde_json::json!({
        "generation": object.metadata.generation,
        "deleted": object.metadata.deletion_timestamp.is_some(),
        "ready": status,
    })
}
