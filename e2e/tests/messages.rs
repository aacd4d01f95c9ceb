//! Messages are where clients look for them as soon as they may expect them there.

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

#[tokio::test]
async fn a_copy_is_there_once_its_original_is_acknowledged() {
    let dir = TempDir::new().expect("a directory");
    let broker = Broker::start(Setup::alone("n1", dir.path())).await;
    let context = jetstream::new(broker.client().await);
    let mut config = stream::Config {
        name: "ORIGINALS".into(),
        subjects: vec!["original.*".into()],
        republish: Some(stream::Republish {
            source: "original.*".into(),
            destination: "copy.{{wildcard(1)}}".into(),
            headers_only: false,
        }),
        ..Default::default()
    };
    context
        .create_stream(config.clone())
        .await
        .expect("a stream can be created");
    config = stream::Config {
        name: "COPIES".into(),
        subjects: vec!["copy.*".into()],
        ..Default::default()
    };
    let copies = context
        .create_stream(config)
        .await
        .expect("a stream can be created");
    for seq in 1..=50 {
        put(&context, "original.a", false).await;
        let copy = copies.get_last_raw_message_by_subject("copy.a").await;
        assert_eq!(copy.expect("the copy is there").sequence, seq);
        let info = copies.get_info().await.expect("the stream is there");
        assert_eq!(info.state.last_sequence, seq);
    }
}
