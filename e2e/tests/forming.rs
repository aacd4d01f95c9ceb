//! Clusters form once, whoever comes when, and never mix.

use async_nats::jetstream::{self, stream};
use e2e::{Broker, Cluster, Ledger, read_stream, until};

fn replicated(name: &str) -> stream::Config {
    stream::Config {
        name: name.into(),
        subjects: vec![name.to_lowercase()],
        num_replicas: 3,
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_fresh_brokers_form_a_cluster_though_they_come_one_after_the_other() {
    let files = tempfile::tempdir().expect("temporary directories can be made");
    let setups = Cluster::setups(3, files.path());
    let first = Broker::start(setups[0].clone()).await;
    let context = jetstream::new(first.client().await);
    // Alone it must not found anything: the others might have.
    let alone = context.create_stream(replicated("EARLY")).await;
    assert!(
        alone.is_err(),
        "a stream was created by one of three: {alone:?}"
    );

    let second = Broker::start(setups[1].clone()).await;
    let mut config = replicated("TWO");
    config.num_replicas = 1;
    until("two of three serve", async || {
        context.create_stream(config.clone()).await
    })
    .await;

    let third = Broker::start(setups[2].clone()).await;
    until("three of three serve", async || {
        context.create_stream(replicated("THREE")).await
    })
    .await;
    let context = jetstream::new(third.client().await);
    until("the last one knows all streams", async || {
        context.get_stream("TWO").await
    })
    .await;
    drop((first, second, third));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_lost_its_store_rejoins_under_its_name() {
    let mut cluster = Cluster::start(3).await;
    let context = cluster.jetstream().await;
    until("stream is created", async || {
        context.create_stream(replicated("KEPT")).await
    })
    .await;
    let leader = cluster.settled(&context, "KEPT").await;
    let ledger = Ledger::default();
    ledger.publish_all(&context, "kept", 300).await;

    let victim = (leader + 1) % 3;
    let store = cluster.broker(victim).setup.store_dir.clone();
    cluster.kill(victim).await;
    std::fs::remove_dir_all(&store).expect("the store was there");
    cluster.restart(victim).await;
    ledger.publish_all(&context, "kept", 300).await;
    cluster.settled(&context, "KEPT").await;

    // What it was given must be worth something: the messages live on with one of the others gone.
    let other = (leader + 2) % 3;
    cluster.kill(other).await;
    ledger.publish_all(&context, "kept", 100).await;
    ledger.check(&read_stream(&context, "KEPT").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_with_another_clusters_data_is_refused() {
    let files = tempfile::tempdir().expect("temporary directories can be made");
    let other = files.path().join("other");
    let strangers = Cluster::setups(1, &other);
    let stranger = Broker::start(strangers[0].clone()).await;
    let context = jetstream::new(stranger.client().await);
    let mut config = replicated("THEIRS");
    config.num_replicas = 1;
    until("a cluster of one serves", async || {
        context.create_stream(config.clone()).await
    })
    .await;
    stranger.stop().await;

    let mut setups = Cluster::setups(3, files.path());
    let first = Broker::start(setups[0].clone()).await;
    let second = Broker::start(setups[1].clone()).await;
    let context = jetstream::new(first.client().await);
    until("a cluster of two serves", async || {
        context.create_stream(config.clone()).await
    })
    .await;
    setups[2].store_dir = strangers[0].store_dir.clone();
    let third = Broker::start(setups[2].clone()).await;
    third
        .logs("empty the store of the server that is to change sides")
        .await;
    // The cluster lives on without it.
    config.name = "OURS".into();
    config.subjects = vec!["ours".into()];
    until("the others still serve", async || {
        context.create_stream(config.clone()).await
    })
    .await;
    drop((first, second, third));
}
