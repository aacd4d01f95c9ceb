//! A message that removes others as it is stored reaches those who wait for it.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, push};
use async_nats::jetstream::{self, Context, stream};
use e2e::{Broker, Setup};
use futures::StreamExt as _;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(20);

async fn put(context: &Context, subject: &'static str, replaces: bool) {
    let mut headers = HeaderMap::new();
    if replaces {
        headers.insert("Nats-Rollup", "sub");
    }
    context
        .publish_with_headers(subject, headers, "".into())
        .await
        .expect("messages can be published")
        .await
        .expect("messages are acknowledged");
}

#[tokio::test]
async fn a_waiting_client_gets_the_message_that_replaces_an_older_one() {
    let dir = TempDir::new().expect("a directory");
    let broker = Broker::start(Setup::alone("n1", dir.path())).await;
    let client = broker.client().await;
    let context = jetstream::new(client.clone());
    let stream = context
        .create_stream(stream::Config {
            name: "OBJECTS".into(),
            subjects: vec!["names.*".into(), "parts.*".into()],
            allow_rollup: true,
            ..Default::default()
        })
        .await
        .expect("a stream can be created");
    put(&context, "parts.1", false).await;
    put(&context, "names.a", true).await;
    let consumer = stream
        .create_consumer(push::Config {
            deliver_subject: client.new_inbox(),
            deliver_policy: DeliverPolicy::New,
            ack_policy: AckPolicy::None,
            filter_subject: "names.*".into(),
            ..Default::default()
        })
        .await
        .expect("a consumer can be created");
    let mut messages = consumer.messages().await.expect("messages can be awaited");
    for name in ["names.b", "names.a", "names.b"] {
        put(&context, "parts.2", false).await;
        put(&context, name, true).await;
        let message = tokio::time::timeout(PATIENCE, messages.next())
            .await
            .expect("the message arrives")
            .expect("the consumer is there")
            .expect("messages can be read");
        assert_eq!(message.subject.as_str(), name);
    }
}
