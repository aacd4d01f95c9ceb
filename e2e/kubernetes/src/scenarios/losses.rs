//! A pod and a node are lost while a client publishes.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use kube::api::DeleteParams;

use super::Outcome;
use crate::objects::{LATER, wait};
use crate::world::{NAMESPACE, World, name_of, node_of};

/// Nobody says that the node is lost: leases have to end, and a client that was connected to it has to
/// miss answers, reach the Service's other brokers and publish again.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

pub async fn pod_deleted(world: &mut World) -> anyhow::Result<Outcome> {
    let leader = leader(world).await?;
    let before = world.pause().await?;
    let pods: Api<Pod> = Api::namespaced(world.client.clone(), NAMESPACE);
    pods.delete(&leader, &DeleteParams::default()).await?;
    // Without the graceful end a pod has there would be nothing to see.
    wait(LATER, "the pod is another one", async || {
        let pod = pods.get_opt(&leader).await?.context("it is gone")?;
        anyhow::ensure!(pod.metadata.deletion_timestamp.is_none(), "it ends");
        Ok(())
    })
    .await;
    let count = world.brokers().await?.len();
    world.brokers_ready(count).await;
    let pause = world.pause().await?;
    Ok(Outcome::Passed(format!(
        "{leader}, the stream's leader, was deleted and came back; longest pause {pause} (before: {before})"
    )))
}

pub async fn node_lost(world: &mut World) -> anyhow::Result<Outcome> {
    if !world.can_switch_nodes() {
        let why = "this cluster's nodes cannot be switched off from here";
        return Ok(Outcome::Skipped(why.to_owned()));
    }
    world.brokers_are_apart().await?;
    let leader = leader(world).await?;
    let brokers = world.brokers().await?;
    let pod = brokers.iter().find(|pod| name_of(pod) == leader);
    let node = node_of(pod.context("the leader is no pod")?)?.to_owned();
    let server = world.publishing()?.server();
    world.pause().await?;
    world.switch_node("down", &node).await?;
    node_is(world, &node, false).await;
    let pause = world.pause().await?;
    ensure!(
        pause.own <= LONGEST_PAUSE,
        "publishing through {server} paused for {pause} after {leader} was lost"
    );
    world.switch_node("up", &node).await?;
    node_is(world, &node, true).await;
    world.brokers_ready(brokers.len()).await;
    let after = world.pause().await?;
    Ok(Outcome::Passed(format!(
        "{node} with {leader}, the stream's leader, lost power while a client published through {server}; \
         longest pause {pause}; when it came back {after}"
    )))
}

/// Waits until Kubernetes knows that a node is there, or that it is not.
async fn node_is(world: &World, name: &str, ready: bool) {
    let nodes: Api<Node> = Api::all(world.client.clone());
    wait(
        LATER,
        &format!("node {name} is ready: {ready}"),
        async || {
            let status = nodes.get(name).await?.status.unwrap_or_default();
            let conditions = status.conditions.unwrap_or_default();
            let found = conditions
                .iter()
                .any(|condition| condition.type_ == "Ready" && condition.status == "True");
            anyhow::ensure!(found == ready, "not yet");
            Ok(())
        },
    )
    .await;
}

/// The pod that leads the stream.
async fn leader(world: &World) -> anyhow::Result<String> {
    let context = world.publishing()?.context();
    let info = context.get_stream("ORDERS").await?.cached_info().clone();
    let leader = info.cluster.and_then(|cluster| cluster.leader);
    leader.context("the stream has no leader")
}
