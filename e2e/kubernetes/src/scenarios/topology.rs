//! What the brokers hold stays what resources say.

use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use async_nats::jetstream::stream::Config;
use async_nats::jetstream::{self, context::GetStreamErrorKind};
use serde_json::json;

use super::Outcome;
use crate::objects::{LATER, SOON, STREAM, condition, wait};
use crate::programs::kubectl;
use crate::world::World;

const DAY: Duration = Duration::from_secs(86400);

pub async fn drift(world: &mut World) -> anyhow::Result<Outcome> {
    let context = world.publishing()?.context().clone();
    let wanted = config(&context, "ORDERS").await?.max_age;
    ensure!(wanted == 7 * DAY, "the example's maxAge is {wanted:?}");
    let by_hand = Config {
        max_age: DAY,
        ..config(&context, "ORDERS").await?
    };
    context.update_stream(&by_hand).await?;
    max_age_becomes(&context, wanted).await;
    world.objects(STREAM).ready(SOON, "orders").await;
    Ok(Outcome::Passed(
        "a limit changed by hand is what the resource says again".to_owned(),
    ))
}

pub async fn removed_field(world: &mut World) -> anyhow::Result<Outcome> {
    let context = world.publishing()?.context().clone();
    let streams = world.objects(STREAM);
    streams
        .patch("orders", json!({"spec": {"limits": {"maxAge": null}}}))
        .await?;
    max_age_becomes(&context, Duration::ZERO).await;
    streams
        .patch("orders", json!({"spec": {"limits": {"maxAge": "7d"}}}))
        .await?;
    max_age_becomes(&context, 7 * DAY).await;
    Ok(Outcome::Passed(
        "maxAge left out means no limit on the brokers; put back, it is there".to_owned(),
    ))
}

/// A second resource for the same stream neither changes it nor takes it along.
pub async fn conflict(world: &mut World) -> anyhow::Result<Outcome> {
    let streams = world.objects(STREAM);
    kubectl(&[
        "apply",
        "-f",
        &world.path("e2e/kubernetes/manifests/second-orders.yaml"),
    ])
    .await?;
    let message = streams
        .wait(SOON, "second-orders", "is told of its conflict", |object| {
            let conditions = object["status"]["conditions"].as_array();
            let conflict = conditions
                .into_iter()
                .flatten()
                .find(|condition| condition["type"] == "Conflict" && condition["status"] == "True");
            let conflict = conflict.with_context(|| format!("{}", object["status"]))?;
            Ok(conflict["message"].as_str().unwrap_or_default().to_owned())
        })
        .await;
    let object = streams.get("second-orders").await?;
    ensure!(
        condition(&object, "Ready") != Some("True"),
        "both are ready"
    );
    streams.delete("second-orders").await?;
    streams.gone("second-orders").await;
    let context = world.publishing()?.context();
    ensure!(
        config(context, "ORDERS").await?.max_age == 7 * DAY,
        "the stream was changed"
    );
    streams.ready(SOON, "orders").await;
    Ok(Outcome::Passed(format!(
        "the second resource is told: {message}"
    )))
}

pub async fn deletion(world: &mut World) -> anyhow::Result<Outcome> {
    let context = world.publishing()?.context().clone();
    let streams = world.objects(STREAM);
    kubectl(&[
        "apply",
        "-f",
        &world.path("e2e/kubernetes/manifests/deletion.yaml"),
    ])
    .await?;
    for name in ["kept", "dropped"] {
        streams.ready(SOON, name).await;
        let subject = format!("deletion.{name}");
        context.publish(subject, "data".into()).await?.await?;
        streams.delete(name).await?;
        streams.gone(name).await;
    }
    let kept = context
        .get_stream("KEPT")
        .await?
        .cached_info()
        .state
        .messages;
    ensure!(kept == 1, "the kept stream has {kept} messages");
    wait(SOON, "stream DROPPED is gone", async || {
        match context.get_stream("DROPPED").await {
            Ok(_) => Err(anyhow!("it is there")),
            Err(error) if is_missing(&error.kind()) => Ok(()),
            Err(error) => Err(error.into()),
        }
    })
    .await;
    context.delete_stream("KEPT").await?;
    Ok(Outcome::Passed(
        "with Retain the stream stays, with Delete it goes".to_owned(),
    ))
}

fn is_missing(kind: &GetStreamErrorKind) -> bool {
    let GetStreamErrorKind::JetStream(error) = kind else {
        return false;
    };
    error.error_code() == jetstream::ErrorCode::STREAM_NOT_FOUND
}

async fn config(context: &jetstream::Context, name: &str) -> anyhow::Result<Config> {
    Ok(context.get_stream(name).await?.cached_info().config.clone())
}

async fn max_age_becomes(context: &jetstream::Context, wanted: Duration) {
    wait(LATER, &format!("maxAge is {wanted:?}"), async || {
        let found = config(context, "ORDERS").await?.max_age;
        ensure!(found == wanted, "it is {found:?}");
        Ok(())
    })
    .await;
}
