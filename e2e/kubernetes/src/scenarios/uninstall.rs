//! The operator goes; brokers and data stay.

use anyhow::ensure;

use super::Outcome;
use super::install::helm_install;
use crate::lab;
use crate::objects::{ACCOUNT, CLUSTER, CONSUMER, KV_BUCKET, LATER, SOON, STREAM, USER, wait};
use crate::programs::{helm, kubectl};
use crate::world::{BROKERS, NAMESPACE, RELEASE, SYSTEM, World};

pub async fn keeps_data(world: &mut World) -> anyhow::Result<Outcome> {
    world.pause().await?;
    helm(&["uninstall", RELEASE, "--namespace", SYSTEM, "--wait"]).await?;
    wait(SOON, "the operator is gone", async || {
        let left = world.operators().await?.len();
        ensure!(left == 0, "{left} replicas are there");
        Ok(())
    })
    .await;
    let pause = world.pause().await?;
    let kept = world.objects(STREAM).names().await?.len();
    ensure!(kept > 0, "the resources are gone");
    helm_install(world, &[]).await?;
    kubectl(&["delete", "namespace", lab::NAMESPACE]).await?;
    world.objects(CLUSTER).ready(SOON, BROKERS).await;
    world.objects(ACCOUNT).ready(SOON, "shop").await;
    world.objects(STREAM).ready(SOON, "orders").await;
    Ok(Outcome::Passed(format!(
        "brokers go on (longest pause {pause}) and {kept} Streams stay; a new install, for all namespaces, finds all ready"
    )))
}

pub async fn settle(world: &mut World) -> anyhow::Result<Outcome> {
    let acked = world.take_publishing()?.settle().await;
    Ok(Outcome::Passed(format!(
        "all {acked} acknowledged messages are in the stream, each once"
    )))
}

/// Deleted before what it holds, the Cluster leaves nothing behind that hangs, and its volumes.
pub async fn cluster_deleted(world: &mut World) -> anyhow::Result<Outcome> {
    world.objects(CLUSTER).delete(BROKERS).await?;
    world.objects(CLUSTER).gone(BROKERS).await;
    wait(LATER, "the brokers are gone", async || {
        let left = world.brokers().await?.len();
        ensure!(left == 0, "{left} are there");
        Ok(())
    })
    .await;
    let mut deleted = 0;
    for kind in [CONSUMER, KV_BUCKET, STREAM, USER, ACCOUNT] {
        let objects = world.objects(kind);
        for name in objects.names().await? {
            objects.delete(&name).await?;
            objects.gone(&name).await;
            deleted += 1;
        }
    }
    let selector = format!("weir.dev/cluster={BROKERS}");
    let volumes = ["-n", NAMESPACE, "-l", &selector, "-o", "name"];
    let volumes = kubectl(&[&["get", "pvc"], &volumes[..]].concat()).await?;
    let volumes = volumes.lines().count();
    ensure!(volumes >= 3, "{volumes} volumes are left");
    kubectl(&["delete", "pvc", "-n", NAMESPACE, "-l", &selector]).await?;
    helm(&["uninstall", RELEASE, "--namespace", SYSTEM, "--wait"]).await?;
    Ok(Outcome::Passed(format!(
        "its {volumes} volumes stay; {deleted} resources of the brokers that are gone are deleted without hanging"
    )))
}
