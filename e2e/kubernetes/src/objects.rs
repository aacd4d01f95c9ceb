//! Resources of any kind as JSON: looking at them and waiting for what they say.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::Value;

/// Time between two looks at the API server.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long anything may take that pulls no image and moves no data, on a busy machine.
pub const SOON: Duration = Duration::from_secs(120);
/// How long pods may take to be replaced one after the other, or data to move.
pub const LATER: Duration = Duration::from_secs(420);

/// A kind of resources.
#[derive(Clone, Copy)]
pub struct Kind {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    pub plural: &'static str,
}

const fn weir(kind: &'static str, plural: &'static str) -> Kind {
    Kind {
        group: "weir.dev",
        version: "v1alpha1",
        kind,
        plural,
    }
}

pub const CLUSTER: Kind = weir("Cluster", "clusters");
pub const ACCOUNT: Kind = weir("Account", "accounts");
pub const USER: Kind = weir("User", "users");
pub const STREAM: Kind = weir("Stream", "streams");
pub const CONSUMER: Kind = weir("Consumer", "consumers");
pub const KV_BUCKET: Kind = weir("KVBucket", "kvbuckets");
pub const OBJECT_STORE: Kind = weir("ObjectStore", "objectstores");

/// Resources of one kind in one namespace.
pub struct Objects {
    api: Api<DynamicObject>,
    kind: Kind,
}

impl Objects {
    pub fn new(client: &Client, kind: Kind, namespace: &str) -> Objects {
        let resource = ApiResource {
            group: kind.group.to_owned(),
            version: kind.version.to_owned(),
            api_version: format!("{}/{}", kind.group, kind.version),
            kind: kind.kind.to_owned(),
            plural: kind.plural.to_owned(),
        };
        let api = Api::namespaced_with(client.clone(), namespace, &resource);
        Objects { api, kind }
    }

    pub async fn get(&self, name: &str) -> anyhow::Result<Value> {
        let object = self.api.get(name).await;
        let object = object.with_context(|| format!("{} {name}", self.kind.kind))?;
        Ok(serde_json::to_value(object)?)
    }

    pub async fn names(&self) -> anyhow::Result<Vec<String>> {
        let list = self.api.list(&ListParams::default()).await?;
        let names = list.items.into_iter();
        Ok(names.filter_map(|object| object.metadata.name).collect())
    }

    /// Changes fields as `kubectl patch --type merge` does.
    pub async fn patch(&self, name: &str, change: Value) -> anyhow::Result<()> {
        let params = PatchParams::default();
        let patched = self.api.patch(name, &params, &Patch::Merge(change)).await;
        patched.with_context(|| format!("change of {} {name}", self.kind.kind))?;
        Ok(())
    }

    pub async fn delete(&self, name: &str) -> anyhow::Result<()> {
        self.api.delete(name, &DeleteParams::default()).await?;
        Ok(())
    }

    /// Waits until the object says what `look` wants; else the time is up with what `look` said.
    pub async fn wait<T>(
        &self,
        deadline: Duration,
        name: &str,
        what: &str,
        mut look: impl FnMut(&Value) -> anyhow::Result<T>,
    ) -> T {
        let what = format!("{} {name} {what}", self.kind.kind);
        wait(deadline, &what, async || look(&self.get(name).await?)).await
    }

    /// Waits until the operator has carried out the latest change.
    pub async fn ready(&self, deadline: Duration, name: &str) {
        self.wait(deadline, name, "is ready", is_ready).await;
    }

    pub async fn gone(&self, name: &str) {
        let what = format!("{} {name} is gone", self.kind.kind);
        wait(SOON, &what, async || match self.api.get_opt(name).await? {
            Some(object) => Err(anyhow!("finalizers {:?}", object.metadata.finalizers)),
            None => Ok(()),
        })
        .await;
    }
}

/// Waits until `look` finds something on the cluster.
pub async fn wait<T>(
    deadline: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> anyhow::Result<T>,
) -> T {
    let look = async || look().await.map_err(|error| format!("{error:#}"));
    e2e::within(deadline, LOOK_EVERY, what, look).await
}

fn is_ready(object: &Value) -> anyhow::Result<()> {
    let seen = object["status"]["observedGeneration"].as_i64();
    let latest = object["metadata"]["generation"].as_i64();
    match condition(object, "Ready") {
        Some("True") if seen == latest => Ok(()),
        _ => Err(anyhow!("{}", object["status"])),
    }
}

/// The status of one of its conditions.
pub fn condition<'a>(object: &'a Value, type_: &str) -> Option<&'a str> {
    condition_of(object, type_).ok()?["status"].as_str()
}

/// One of its conditions; else the status that has none.
pub fn condition_of<'a>(object: &'a Value, type_: &str) -> anyhow::Result<&'a Value> {
    let mut conditions = object["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten();
    let found = conditions.find(|condition| condition["type"] == type_);
    found.with_context(|| object["status"].to_string())
}
