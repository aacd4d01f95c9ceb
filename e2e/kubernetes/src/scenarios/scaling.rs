//! More brokers, then fewer, while a client publishes.

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::Outcome;
use crate::objects::{CLUSTER, LATER, SOON, STREAM};
use crate::programs::kubectl;
use crate::world::{BROKERS, World};

/// What the stream has that is made on the new brokers.
const MESSAGES: u64 = 200;

pub async fn up_and_down(world: &mut World) -> anyhow::Result<Outcome> {
    let few = world.broker_identities().await?;
    world.pause().await?;
    scale(world, few.len() + 2).await?;
    let up = world.pause().await?;
    let many = world.broker_identities().await?;
    ensure!(
        few.iter().all(|(name, id)| many.get(name) == Some(id)),
        "new brokers are reason to restart the others: {few:?} became {many:?}"
    );
    let new: BTreeSet<_> = many
        .keys()
        .filter(|name| !few.contains_key(*name))
        .collect();
    fill_a_stream(world).await?;
    let holders = holders(world).await?;
    let leaving = holders.iter().filter(|name| new.contains(name)).count();
    ensure!(leaving > 0, "a new stream is on {holders:?} only");

    scale(world, few.len()).await?;
    let down = world.pause().await?;
    let stayed = world.broker_identities().await?;
    ensure!(stayed == few, "{few:?} became {stayed:?}");
    let after = self::holders(world).await?;
    ensure!(
        after.iter().all(|name| few.contains_key(name)) && after.len() == holders.len(),
        "the stream was on {holders:?} and is on {after:?}"
    );
    let context = world.publishing()?.context();
    let left = context
        .get_stream("SCALED")
        .await?
        .cached_info()
        .state
        .messages;
    ensure!(left == MESSAGES, "{left} of {MESSAGES} messages are left");

    let refusal = refused(world, few.len() - 1).await?;
    scale(world, few.len()).await?;
    let streams = world.objects(STREAM);
    streams.delete("scaled").await?;
    streams.gone("scaled").await;
    Ok(Outcome::Passed(format!(
        "{} brokers became {} and {0} again, none of them was restarted, and {leaving} replicas of a new stream moved back; \
         longest pause {up} up, {down} down; fewer are refused: {refusal}",
        few.len(),
        many.len(),
    )))
}

async fn scale(world: &World, count: usize) -> anyhow::Result<()> {
    let clusters = world.objects(CLUSTER);
    clusters
        .patch(BROKERS, json!({"spec": {"replicas": count}}))
        .await?;
    world.brokers_ready(count).await;
    clusters.ready(LATER, BROKERS).await;
    Ok(())
}

/// A stream that is made now goes to the brokers that have the least.
async fn fill_a_stream(world: &World) -> anyhow::Result<()> {
    let manifest = world.path("e2e/kubernetes/manifests/scaled.yaml");
    kubectl(&["apply", "-f", &manifest]).await?;
    world.objects(STREAM).ready(SOON, "scaled").await;
    let context = world.publishing()?.context();
    for number in 0..MESSAGES {
        let payload = number.to_string();
        context.publish("scaled", payload.into()).await?.await?;
    }
    Ok(())
}

/// The brokers that have a replica of the stream.
async fn holders(world: &World) -> anyhow::Result<BTreeSet<String>> {
    let context = world.publishing()?.context();
    let info = context.get_stream("SCALED").await?.cached_info().clone();
    let cluster = info.cluster.context("the stream is on no cluster")?;
    let leader = cluster.leader.context("the stream has no leader")?;
    let others = cluster.replicas.into_iter().map(|replica| replica.name);
    Ok(others.chain([leader]).collect())
}

/// Asks for fewer brokers than the streams have replicas; what the resource says to that.
async fn refused(world: &World, count: usize) -> anyhow::Result<String> {
    let clusters = world.objects(CLUSTER);
    clusters
        .patch(BROKERS, json!({"spec": {"replicas": count}}))
        .await?;
    let refusal = clusters.wait(SOON, BROKERS, "says why no broker leaves", scale_refusal);
    let refusal = refusal.await;
    let brokers = world.brokers().await?.len();
    ensure!(brokers == count + 1, "{brokers} brokers are left");
    Ok(refusal)
}

fn scale_refusal(cluster: &Value) -> anyhow::Result<String> {
    let conditions = cluster["status"]["conditions"].as_array();
    let stalled = conditions.into_iter().flatten().find(|condition| {
        condition["type"] == "Stalled" && condition["reason"] == "ScaleDownRefused"
    });
    let stalled = stalled.with_context(|| cluster["status"].to_string())?;
    Ok(stalled["message"].as_str().unwrap_or_default().to_owned())
}
