//! An account's user reaches its own streams and nobody else's.

use anyhow::ensure;
use async_nats::jetstream::{self, stream::Config};

use super::Outcome;
use crate::objects::{ACCOUNT, SOON, USER};
use crate::programs::kubectl;
use crate::world::World;

pub async fn apart(world: &mut World) -> anyhow::Result<Outcome> {
    kubectl(&[
        "apply",
        "-f",
        &world.path("e2e/kubernetes/manifests/rival.yaml"),
    ])
    .await?;
    world.objects(ACCOUNT).ready(SOON, "rival").await;
    world.objects(USER).ready(SOON, "spy").await;
    let context = jetstream::new(world.connect("spy").await?);
    ensure!(
        context.get_stream("ORDERS").await.is_err(),
        "the shop's stream is seen"
    );
    // The same name and subjects, and nothing in common.
    let config = Config {
        name: "ORDERS".to_owned(),
        subjects: vec!["orders.>".to_owned()],
        ..Config::default()
    };
    let stream = context.create_stream(config).await?;
    context.publish("orders.e2e", "mine".into()).await?.await?;
    let messages = stream.get_info().await?.state.messages;
    ensure!(messages == 1, "the rival's stream has {messages} messages");
    let denied = world.connect("web").await?;
    let denied = jetstream::new(denied).get_stream("ORDERS").await;
    ensure!(
        denied.is_err(),
        "a user without the right reads the stream's state"
    );
    context.delete_stream("ORDERS").await?;
    Ok(Outcome::Passed(
        "two accounts have streams of one name and see only their own; a User's permissions hold"
            .to_owned(),
    ))
}
