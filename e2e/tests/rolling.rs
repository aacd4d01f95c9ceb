//! What an operator sees and does who restarts brokers one after the other.

use async_nats::jetstream::stream;
use e2e::{Cluster, Ledger, read_stream, until};
use serde_json::json;

/// Time between two messages of a load.
const PACE: std::time::Duration = std::time::Duration::from_millis(5);

fn replicated(name: &str) -> stream::Config {
    stream::Config {
        name: name.into(),
        subjects: vec![name.to_lowercase()],
        num_replicas: 3,
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_can_be_stopped_only_while_the_others_carry_everything() {
    let mut cluster = Cluster::start(3).await;
    let context = cluster.jetstream().await;
    until("stream is created", async || {
        context.create_stream(replicated("KEPT")).await
    })
    .await;
    cluster.settled(&context, "KEPT").await;
    let fine = [
        ("safe", json!(true)),
        ("current", json!(true)),
        ("replicas", json!(1)),
    ];
    for server in ["n0", "n1", "n2"] {
        cluster.says(0, server, &fine).await;
    }
    let unknown = cluster.safez(0, "n9").await;
    assert!(unknown.is_err(), "{unknown:?}");

    cluster.kill(1).await;
    let needed = [
        ("safe", json!(false)),
        ("blocked", json!(2)),
        ("online", json!(true)),
    ];
    cluster.says(0, "n2", &needed).await;
    cluster.says(0, "n0", &needed).await;
    let gone = [
        ("safe", json!(true)),
        ("current", json!(false)),
        ("online", json!(false)),
    ];
    cluster.says(0, "n1", &gone).await;

    let ledger = Ledger::default();
    ledger.publish_all(&context, "kept", 200).await;
    cluster.restart(1).await;
    for server in ["n0", "n1", "n2"] {
        cluster.says(2, server, &fine).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn publishing_goes_on_while_brokers_restart_one_after_the_other() {
    let mut cluster = Cluster::start(3).await;
    let context = cluster.jetstream().await;
    for name in ["ROLL", "OTHER", "THIRD"] {
        until("stream is created", async || {
            context.create_stream(replicated(name)).await
        })
        .await;
        cluster.settled(&context, name).await;
    }
    let ledger = Ledger::default();
    let load = ledger.steady_load(context.clone(), "roll", PACE);
    ledger.grows(200).await;
    let ready = [("safe", json!(true)), ("current", json!(true))];
    ledger.longest_pause();
    for number in 0..3 {
        let asked = (number + 1) % 3;
        let name = format!("n{number}");
        cluster.says(asked, &name, &ready).await;
        cluster.stop(number).await;
        ledger.grows(100).await;
        cluster.restart(number).await;
        cluster.says(asked, &name, &ready).await;
        ledger.grows(100).await;
    }
    // How long it is depends on what else the machine does, so it is shown and not judged.
    let pause = ledger.longest_pause();
    eprintln!("longest pause of publishing in a rolling restart: {pause:?}");
    load.end().await;
    ledger.check(&read_stream(&context, "ROLL").await);
}
