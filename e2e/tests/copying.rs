//! Mirrors and sources whose brokers die hold what their origin holds: all of it, once, in order.

use async_nats::jetstream::{Context, stream};
use e2e::{Cluster, Ledger, Read, read_stream, until};

/// Messages that have to be acknowledged between one death and the next.
const MESSAGES_PER_DEATH: usize = 150;

fn config(name: &str) -> stream::Config {
    stream::Config {
        name: name.into(),
        num_replicas: 3,
        ..Default::default()
    }
}

fn origin() -> stream::Source {
    stream::Source {
        name: "ORIGIN".into(),
        ..Default::default()
    }
}

/// Reads a copy once it has as many messages as its origin.
async fn read_copy(context: &Context, name: &str, origin: &Read) -> Read {
    let name = &name.to_owned();
    until("the copy is complete", async || {
        let read = read_stream(context, name).await;
        let (has, wants) = (read.messages.len(), origin.messages.len());
        match has >= wants {
            true => Ok(read),
            false => Err(format!("{has} of {wants} messages")),
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_are_complete_when_each_broker_was_killed_in_turn() {
    let mut cluster = Cluster::start(3).await;
    let context = cluster.jetstream().await;
    let streams = [
        stream::Config {
            subjects: vec!["load.>".into()],
            ..config("ORIGIN")
        },
        stream::Config {
            mirror: Some(origin()),
            ..config("MIRROR")
        },
        stream::Config {
            sources: Some(vec![origin()]),
            ..config("SOURCING")
        },
    ];
    for config in &streams {
        until("stream is created", async || {
            context.create_stream(config.clone()).await
        })
        .await;
    }

    let ledger = Ledger::default();
    let load = ledger.load(context.clone(), "load.a");
    for victim in 0..3 {
        ledger.grows(MESSAGES_PER_DEATH).await;
        cluster.kill(victim).await;
        ledger.grows(MESSAGES_PER_DEATH).await;
        cluster.restart(victim).await;
        cluster.settled(&context, "ORIGIN").await;
    }
    let acked = load.end().await;

    for config in &streams {
        cluster.settled(&context, &config.name).await;
    }
    let read = read_stream(&context, "ORIGIN").await;
    ledger.check(&read);
    eprintln!("3 deaths, {acked} messages acknowledged");
    let mirror = read_copy(&context, "MIRROR", &read).await;
    assert!(
        mirror.messages == read.messages,
        "a mirror has the origin's sequences"
    );
    let sourcing = read_copy(&context, "SOURCING", &read).await;
    let payloads = |read: &Read| {
        let messages = read.messages.iter();
        messages
            .map(|(_, payload)| payload.clone())
            .collect::<Vec<_>>()
    };
    assert!(
        payloads(&sourcing) == payloads(&read),
        "a source is copied in order"
    );
}
