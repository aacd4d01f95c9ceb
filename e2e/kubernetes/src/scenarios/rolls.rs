//! Brokers are restarted one after the other while a client publishes.

use std::time::Duration;

use anyhow::ensure;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::Api;
use kube::api::{DeleteParams, ListParams};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Outcome;
use crate::objects::{CLUSTER, LATER, SOON, wait};
use crate::publishing;
use crate::world::{BROKERS, NAMESPACE, SYSTEM, World, is_ready, name_of};

/// Leadership moves before a pod stops, so publishing pauses no longer than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
const WEBSOCKET_PORT: u16 = 8080;
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(5);

pub async fn configuration(world: &mut World) -> anyhow::Result<Outcome> {
    // Fields that brokers read at their start only.
    let change = json!({"spec": {
        "jetstream": {"memoryStore": "64Mi"},
        "listeners": {"websocket": {}},
    }});
    let outcome = rolled(world, change, async |_| Ok(())).await?;
    wait(SOON, "WebSocket clients are greeted", async || {
        websocket_greeting(world).await
    })
    .await;
    Ok(outcome)
}

/// Does a WebSocket client's first step, through the Service, and expects a broker's first words.
async fn websocket_greeting(world: &World) -> anyhow::Result<()> {
    let address = publishing::address(&world.client, NAMESPACE, BROKERS).await?;
    let connecting = TcpStream::connect((address, WEBSOCKET_PORT));
    let mut stream = tokio::time::timeout(ANSWER, connecting).await??;
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {BROKERS}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    while !String::from_utf8_lossy(&answer).contains("INFO {") {
        let read = tokio::time::timeout(ANSWER, stream.read_buf(&mut answer)).await??;
        let text = String::from_utf8_lossy(&answer);
        ensure!(read > 0, "the connection was closed after {text:?}");
    }
    let text = String::from_utf8_lossy(&answer);
    ensure!(text.starts_with("HTTP/1.1 101"), "{text}");
    Ok(())
}

pub async fn image(world: &mut World) -> anyhow::Result<Outcome> {
    let next = world.next_image.clone();
    let outcome = rolled(world, json!({"spec": {"image": next}}), async |_| Ok(())).await?;
    for pod in world.brokers().await? {
        let spec = pod.spec.as_ref();
        let image = spec.and_then(|spec| spec.containers.first()?.image.as_deref());
        ensure!(
            image == Some(next.as_str()),
            "{} runs {image:?}",
            name_of(&pod)
        );
    }
    Ok(outcome)
}

/// Brokers are told of the room that they have, so they are restarted too.
pub async fn volumes(world: &mut World) -> anyhow::Result<Outcome> {
    let size = "3Gi";
    let change = json!({"spec": {"storage": {"size": size}}});
    let outcome = rolled(world, change, async |_| Ok(())).await?;
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(world.client.clone(), NAMESPACE);
    let labels = format!("weir.dev/cluster={BROKERS}");
    for claim in claims.list(&ListParams::default().labels(&labels)).await? {
        let has = claim.status.and_then(|status| status.capacity);
        let has = has.and_then(|capacity| Some(capacity.get("storage")?.0.clone()));
        ensure!(has.as_deref() == Some(size), "a volume has {has:?}");
    }
    Ok(outcome)
}

pub async fn operator_killed(world: &mut World) -> anyhow::Result<Outcome> {
    let change = json!({"spec": {"image": world.image}});
    rolled(world, change, async |world| {
        let pods: Api<Pod> = Api::namespaced(world.client.clone(), SYSTEM);
        let killed = DeleteParams::default().grace_period(0);
        pods.delete_collection(&killed, &ListParams::default())
            .await?;
        Ok(())
    })
    .await
}

/// Changes the Cluster so that every broker has to be restarted, disturbs when the first one was,
/// and waits until all were. Never may two be away.
async fn rolled(
    world: &World,
    change: serde_json::Value,
    disturb: impl AsyncFnOnce(&World) -> anyhow::Result<()>,
) -> anyhow::Result<Outcome> {
    let before = world.broker_identities().await?;
    world.pause().await?;
    world.objects(CLUSTER).patch(BROKERS, change).await?;
    wait(LATER, "the first broker is another one", async || {
        ensure!(world.broker_identities().await? != before, "none is yet");
        Ok(())
    })
    .await;
    disturb(world).await?;
    let mut most_away = 0;
    wait(LATER, "every broker was restarted", async || {
        let now = world.broker_identities().await?;
        let ready = world
            .brokers()
            .await?
            .iter()
            .filter(|pod| is_ready(pod))
            .count();
        most_away = most_away.max(before.len().saturating_sub(ready));
        let same = before
            .iter()
            .filter(|(name, id)| now.get(*name) == Some(id));
        let same: Vec<_> = same.map(|(name, _)| name).collect();
        ensure!(
            same.is_empty() && now.len() == before.len(),
            "{same:?} were not"
        );
        Ok(())
    })
    .await;
    world.brokers_ready(before.len()).await;
    world.objects(CLUSTER).ready(LATER, BROKERS).await;
    let pause = world.pause().await?;
    ensure!(most_away <= 1, "{most_away} brokers were away at once");
    ensure!(pause.own <= LONGEST_PAUSE, "publishing paused for {pause}");
    Ok(Outcome::Passed(format!(
        "{} brokers were restarted, never two at once; longest pause {pause}",
        before.len()
    )))
}
