//! Servers of two kinds in one Cluster, and objects that live on one of them.

use anyhow::{Context as _, ensure};
use async_nats::jetstream;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

use super::Outcome;
use crate::lab::{Lab, NAMESPACE};
use crate::objects::{OBJECT_STORE, SOON};
use crate::programs::kubectl;
use crate::world::World;

const OBJECT_BYTES: usize = 300_000;
const ADVICE: &str =
    "a pool can only be removed when it has no servers: set its replicas to 0 first";

pub async fn with_objects(world: &mut World) -> anyhow::Result<Outcome> {
    let lab = Lab::new(world).await?;
    lab.change(json!({"pools": [pool()]})).await?;
    lab.has_brokers(3).await;
    lab.ready().await;
    for (claim, size) in [("data-bench-0", "1Gi"), ("data-bench-archive-0", "2Gi")] {
        let output = "jsonpath={.spec.resources.requests.storage}";
        let found = kubectl(&["get", "pvc", claim, "-n", NAMESPACE, "-o", output]).await?;
        ensure!(found == size, "{claim} has {found}");
    }

    let manifest = world.path("e2e/kubernetes/manifests/files.yaml");
    kubectl(&["apply", "-f", &manifest]).await?;
    let stores = lab.objects(OBJECT_STORE);
    stores.ready(SOON, "files").await;
    let context = jetstream::new(lab.connect().await);
    let store = context.get_object_store("files").await?;
    let object = vec![7; OBJECT_BYTES];
    store.put("parts", &mut object.as_slice()).await?;
    let mut read = Vec::new();
    store.get("parts").await?.read_to_end(&mut read).await?;
    ensure!(read == object, "{} bytes were read", read.len());
    let info = context.get_stream("OBJ_files").await?.cached_info().clone();
    let holder = info.cluster.and_then(|cluster| cluster.leader);
    let holder = holder.context("the store has no leader")?;
    ensure!(
        holder.starts_with("bench-archive-"),
        "{holder} has the store"
    );

    let refused = lab.change(json!({"pools": []})).await;
    let refusal = format!(
        "{:#}",
        refused.err().context("a pool with servers was removed")?
    );
    ensure!(refusal.contains(ADVICE), "{refusal}");
    stores.delete("files").await?;
    stores.gone("files").await;
    Ok(Outcome::Passed(format!(
        "a pool of two has volumes and a tag of its own, and {holder} the objects that ask for it; it can not be removed while it has servers"
    )))
}

fn pool() -> Value {
    json!({
        "name": "archive",
        "replicas": 2,
        "tags": ["tier:archive"],
        "storage": {"size": "2Gi", "retention": {"whenDeleted": "Delete", "whenScaled": "Delete"}},
    })
}
