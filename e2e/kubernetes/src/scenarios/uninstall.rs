//! The operator goes; brokers and data stay.

use anyhow::ensure;

use super::Outcome;
use super::install::helm_install;
use crate::objects::{ACCOUNT, CLUSTER, SOON, STREAM, wait};
use crate::programs::helm;
use crate::world::{BROKERS, RELEASE, SYSTEM, World};

pub async fn keeps_data(world: &mut World) -> anyhow::Result<Outcome> {
    let before = world.publishing()?;
    before.pause().await;
    helm(&["uninstall", RELEASE, "--namespace", SYSTEM, "--wait"]).await?;
    wait(SOON, "the operator is gone", async || {
        let left = world.operators().await?.len();
        ensure!(left == 0, "{left} replicas are there");
        Ok(())
    })
    .await;
    let pause = world.publishing()?.pause().await;
    let kept = world.objects(STREAM).names().await?.len();
    ensure!(kept > 0, "the resources are gone");
    helm_install(world).await?;
    world.objects(CLUSTER).ready(SOON, BROKERS).await;
    world.objects(ACCOUNT).ready(SOON, "shop").await;
    world.objects(STREAM).ready(SOON, "orders").await;
    Ok(Outcome::Passed(format!(
        "brokers go on (longest pause {pause:.1?}) and {kept} Streams stay; a new install finds all ready"
    )))
}

pub async fn settle(world: &mut World) -> anyhow::Result<Outcome> {
    let acked = world.take_publishing()?.settle().await;
    Ok(Outcome::Passed(format!(
        "all {acked} acknowledged messages are in the stream, each once"
    )))
}
