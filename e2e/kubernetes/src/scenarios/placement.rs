//! A stream lives where the labels of nodes say.

use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use serde_json::json;

use super::Outcome;
use crate::objects::{LATER, STREAM, wait};
use crate::programs::kubectl;
use crate::world::{World, name_of, node_of};

const ZONE: &str = "topology.kubernetes.io/zone";

pub async fn by_node_label(world: &mut World) -> anyhow::Result<Outcome> {
    let mut zones = Vec::new();
    for pod in world.brokers().await? {
        zones.push(zone_of(world, node_of(&pod)?).await?);
    }
    zones.sort();
    zones.dedup();
    let [first, .., last] = zones.as_slice() else {
        return Ok(Outcome::Skipped(format!("all nodes are in {zones:?}")));
    };
    kubectl(&[
        "apply",
        "-f",
        &world.path("e2e/kubernetes/manifests/placed.yaml"),
    ])
    .await?;
    for zone in [first, last] {
        let change = json!({"spec": {"placement": {"tags": [format!("zone:{zone}")]}}});
        world.objects(STREAM).patch("placed", change).await?;
        lives_in(world, zone).await;
        world.objects(STREAM).ready(LATER, "placed").await;
    }
    Ok(Outcome::Passed(format!(
        "a stream asked for zone {first} lives there; asked for {last}, it moves there"
    )))
}

async fn lives_in(world: &World, zone: &str) {
    wait(
        LATER,
        &format!("stream PLACED lives in {zone}"),
        async || {
            let context = world.publishing()?.context();
            let info = context.get_stream("PLACED").await?.cached_info().clone();
            let cluster = info.cluster.context("it is on no cluster")?;
            let leader = cluster.leader.context("it has no leader")?;
            let brokers = world.brokers().await?;
            let pod = brokers.iter().find(|pod| name_of(pod) == leader);
            let found = zone_of(world, node_of(pod.context("its leader is no pod")?)?).await?;
            ensure!(
                found == zone && cluster.replicas.is_empty(),
                "its leader is in {found}, and {:?}",
                cluster.replicas
            );
            Ok(())
        },
    )
    .await;
}

async fn zone_of(world: &World, node: &str) -> anyhow::Result<String> {
    let nodes: Api<Node> = Api::all(world.client.clone());
    let labels = nodes.get(node).await?.metadata.labels.unwrap_or_default();
    labels
        .get(ZONE)
        .cloned()
        .with_context(|| format!("node {node} is in no zone"))
}
