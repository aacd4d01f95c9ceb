//! A Cluster waits for its window, is paused, sleeps, and is protected.

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use super::Outcome;
use super::gitops::Health;
use crate::lab::{CLUSTER_NAME, Lab, NAMESPACE};
use crate::objects::{ACCOUNT, SOON, STREAM, USER, wait};
use crate::programs::kubectl;
use crate::world::{SYSTEM, World, name_of};

const MESSAGES: usize = 20;
/// An object of the Cluster that nobody misses for a while.
const OWNED: &str = "poddisruptionbudget";

pub async fn maintenance_window(world: &mut World) -> anyhow::Result<Outcome> {
    let lab = Lab::new(world).await?;
    let before = lab.brokers().await?;
    let now = OffsetDateTime::now_utc();
    let other = match lab.clusters.get(CLUSTER_NAME).await?["spec"]["jetstream"]["memoryStore"] {
        Value::Null => json!("48Mi"),
        _ => Value::Null,
    };
    lab.change(json!({
        "jetstream": {"memoryStore": other},
        "update": {"maintenanceWindows": [window(now + Duration::hours(12))]},
    }))
    .await?;
    let said = lab.says("Upgrading", "WaitingForWindow").await;
    let waiting = lab.brokers().await?;
    ensure!(waiting == before, "{before:?} became {waiting:?}");
    lab.change(json!({"update": {"maintenanceWindows": [window(now - Duration::minutes(1))]}}))
        .await?;
    lab.replaced(&before).await;
    lab.ready().await;
    lab.change(json!({"update": null})).await?;
    lab.ready().await;
    Ok(Outcome::Passed(format!(
        "outside its window a Cluster says: {said}; when one opens, the server is restarted"
    )))
}

/// One that begins then.
fn window(start: OffsetDateTime) -> Value {
    let start = format!("{:02}:{:02}", start.hour(), start.minute());
    json!({"start": start, "duration": "1h"})
}

pub async fn paused(world: &mut World) -> anyhow::Result<Outcome> {
    let lab = Lab::new(world).await?;
    lab.change(json!({"paused": true})).await?;
    let said = lab.says("Reconciling", "Paused").await;
    let before = reconciliations(world).await?;
    owned("delete").await?;
    // The operator has seen that it is gone, and has done nothing.
    wait(SOON, "the operator has looked", async || {
        let now = reconciliations(world).await?;
        ensure!(now > before, "{now} times");
        Ok(())
    })
    .await;
    ensure!(owned("get").await.is_err(), "a paused Cluster was changed");
    lab.change(json!({"paused": false})).await?;
    wait(SOON, "what is missing is made again", async || {
        owned("get").await
    })
    .await;
    lab.ready().await;
    Ok(Outcome::Passed(format!(
        "a paused Cluster says: {said}; what was deleted meanwhile comes back afterwards"
    )))
}

async fn owned(verb: &str) -> anyhow::Result<String> {
    kubectl(&[verb, OWNED, CLUSTER_NAME, "-n", NAMESPACE]).await
}

/// How often the operator has looked at Clusters.
async fn reconciliations(world: &World) -> anyhow::Result<u64> {
    let mut all = 0;
    for pod in world.operators().await? {
        let page = world.page(SYSTEM, name_of(&pod), 8080, "metrics").await?;
        let lines = page.lines().filter(|line| {
            line.starts_with("weir_operator_reconciliations_total{kind=\"Cluster\"")
        });
        for line in lines {
            let (_, number) = line.rsplit_once(' ').context("no number")?;
            all += number.parse::<u64>()?;
        }
    }
    Ok(all)
}

pub async fn hibernated(world: &mut World) -> anyhow::Result<Outcome> {
    let health = Health::of_chart(world)?;
    let lab = Lab::new(world).await?;
    let messages = lab.publish(MESSAGES).await?;
    lab.change(json!({"hibernated": true})).await?;
    lab.has_brokers(0).await;
    let said = lab.says("Ready", "Hibernated").await;
    lab.says("Reconciling", "Done").await;
    let told = health.of(&lab.clusters.get(CLUSTER_NAME).await?).await?;
    ensure!(told.starts_with("Suspended"), "Argo CD is told {told}");
    lab.change(json!({"hibernated": false})).await?;
    lab.ready().await;
    let left = lab.messages().await?;
    ensure!(left == messages, "{left} of {messages} messages are left");
    Ok(Outcome::Passed(format!(
        "a hibernated Cluster has no server and says: {said}; awake again, it has all {left} messages"
    )))
}

/// The last one on this Cluster.
pub async fn protected(world: &mut World) -> anyhow::Result<Outcome> {
    let lab = Lab::new(world).await?;
    let before = lab.brokers().await?;
    lab.change(json!({"deletionProtection": true})).await?;
    let guarded = |cluster: &Value| {
        let finalizers = cluster["metadata"]["finalizers"].as_array();
        finalizers
            .filter(|all| !all.is_empty())
            .context("it is not guarded")
            .map(drop)
    };
    lab.clusters
        .wait(SOON, CLUSTER_NAME, "is guarded", guarded)
        .await;
    lab.clusters.delete(CLUSTER_NAME).await?;
    let events = [
        "get",
        "events",
        "-n",
        NAMESPACE,
        "-o",
        "jsonpath={.items[?(@.reason==\"DeletionProtected\")].message}",
    ];
    let said = wait(SOON, "an Event tells why the deletion waits", async || {
        let said = kubectl(&events).await?;
        ensure!(!said.is_empty(), "there is none");
        Ok(said)
    });
    let said = said.await;
    lab.messages().await?;
    let stayed = lab.brokers().await?;
    ensure!(stayed == before, "{before:?} became {stayed:?}");
    lab.change(json!({"deletionProtection": false})).await?;
    lab.clusters.gone(CLUSTER_NAME).await;
    for (kind, name) in [(STREAM, "sample"), (USER, "tester"), (ACCOUNT, "tests")] {
        lab.objects(kind).delete(name).await?;
        lab.objects(kind).gone(name).await;
    }
    let volumes = ["get", "pvc", "-n", NAMESPACE, "-o", "name"];
    wait(SOON, "its volumes are gone", async || {
        let left = kubectl(&volumes).await?;
        ensure!(left.is_empty(), "{left}");
        Ok(())
    })
    .await;
    Ok(Outcome::Passed(format!(
        "the deletion of a protected Cluster says: {said}; without protection it and its volumes go"
    )))
}
