//! More brokers, then fewer, while a client publishes.

use serde_json::json;

use super::Outcome;
use crate::objects::{CLUSTER, LATER};
use crate::world::{BROKERS, World};

pub async fn up_and_down(world: &mut World) -> anyhow::Result<Outcome> {
    world.publishing()?.pause().await;
    scale(world, 5).await?;
    let up = world.publishing()?.pause().await;
    // The stream's replicas on leaving brokers move first.
    scale(world, 3).await?;
    let down = world.publishing()?.pause().await;
    Ok(Outcome::Passed(format!(
        "3 brokers became 5 and 3 again; longest pause {up:.1?} up, {down:.1?} down"
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
