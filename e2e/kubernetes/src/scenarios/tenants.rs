//! An account's user reaches its own streams and nobody else's.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use async_nats::jetstream::{self, stream::Config};

use futures::StreamExt as _;

use super::Outcome;
use crate::objects::{ACCOUNT, SOON, USER, wait};
use crate::programs::kubectl;
use crate::world::World;

/// How long a message may take.
const ANSWER: Duration = Duration::from_secs(1);

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

/// What an account exports another one imports, and nothing else.
pub async fn sharing(world: &mut World) -> anyhow::Result<Outcome> {
    let manifest = world.path("e2e/kubernetes/manifests/sharing.yaml");
    kubectl(&["apply", "-f", &manifest]).await?;
    for name in ["press", "reader"] {
        world.objects(ACCOUNT).ready(SOON, name).await;
    }
    for name in ["editor", "subscriber"] {
        world.objects(USER).ready(SOON, name).await;
    }
    let editor = world.connect("editor").await?;
    let subscriber = world.connect("subscriber").await?;
    let mut news = subscriber.subscribe("from.press.>").await?;
    let mut secrets = subscriber.subscribe("internal.>").await?;
    let mut questions = editor.subscribe("ask").await?;
    for client in [&editor, &subscriber] {
        client.flush().await?;
    }
    editor.publish("internal.plan", "secret".into()).await?;
    // Interest reaches the other brokers by and by.
    let heard = wait(SOON, "news arrive", async || {
        editor.publish("news.today", "read".into()).await?;
        let message = tokio::time::timeout(ANSWER, news.next()).await?;
        message.context("the subscription ended")
    });
    let heard = heard.await;
    ensure!(heard.subject.as_str() == "from.press.today", "{heard:?}");
    let answering = tokio::spawn(async move {
        while let Some(question) = questions.next().await {
            let Some(reply) = question.reply else {
                continue;
            };
            editor.publish(reply, "answer".into()).await?;
        }
        anyhow::Ok(())
    });
    let answer = wait(SOON, "a question is answered", async || {
        Ok(subscriber.request("ask", "what?".into()).await?)
    });
    let answer = answer.await;
    answering.abort();
    ensure!(answer.payload == "answer", "{answer:?}");
    let leaked = tokio::time::timeout(Duration::ZERO, secrets.next()).await;
    ensure!(leaked.is_err(), "{leaked:?} was not exported");
    Ok(Outcome::Passed(
        "messages and answers cross from the account that exports to the one that imports, and nothing else does".to_owned(),
    ))
}
