//! Brokers that die under load lose nothing that was acknowledged.

use std::time::{Duration, Instant};

use async_nats::jetstream::stream;
use e2e::{Cluster, Ledger, read_stream, scaled, until};
use rustix::process::Signal;
use serde_json::json;

/// How long brokers are killed, in turn.
const KILLING: Duration = Duration::from_secs(60);
/// Messages that have to be acknowledged between one death and the next.
const MESSAGES_PER_DEATH: usize = 300;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_while_each_broker_is_killed_in_turn() {
    let mut cluster = Cluster::start(3).await;
    let context = cluster.jetstream().await;
    let config = stream::Config {
        name: "LOAD".into(),
        subjects: vec!["load.>".into()],
        num_replicas: 3,
        ..Default::default()
    };
    until("stream is created", async || {
        context.create_stream(config.clone()).await
    })
    .await;
    cluster.settled(&context, "LOAD").await;

    let ledger = Ledger::default();
    let load = ledger.load(context.clone(), "load.a");
    let start = Instant::now();
    let mut deaths = 0;
    while deaths < 3 || start.elapsed() < scaled(KILLING) {
        ledger.grows(MESSAGES_PER_DEATH).await;
        let victim = deaths % 3;
        cluster.kill(victim).await;
        ledger.grows(MESSAGES_PER_DEATH).await;
        cluster.restart(victim).await;
        cluster.settled(&context, "LOAD").await;
        deaths += 1;
    }
    let acked = load.end().await;

    cluster.settled(&context, "LOAD").await;
    eprintln!("{deaths} deaths, {acked} messages acknowledged");
    let read = read_stream(&context, "LOAD").await;
    ledger.check(&read);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_all_brokers_are_killed_at_once() {
    let mut cluster = Cluster::start(3).await;
    let context = cluster.jetstream().await;
    let config = stream::Config {
        name: "ALL".into(),
        subjects: vec!["all".into()],
        num_replicas: 3,
        ..Default::default()
    };
    until("stream is created", async || {
        context.create_stream(config.clone()).await
    })
    .await;

    let ledger = Ledger::default();
    let load = ledger.load(context.clone(), "all");
    ledger.grows(MESSAGES_PER_DEATH).await;
    for victim in 0..3 {
        cluster.kill(victim).await;
    }
    for number in 0..3 {
        cluster.restart(number).await;
    }
    ledger.grows(MESSAGES_PER_DEATH).await;
    load.end().await;

    cluster.settled(&context, "ALL").await;
    ledger.check(&read_stream(&context, "ALL").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_left_alone_does_not_pass_the_last_leader_for_one() {
    let cluster = Cluster::start(3).await;
    cluster.serves().await;
    let leader = until("the meta group has a leader", async || {
        match meta_leader(&cluster, 0).await? {
            leader if leader.is_empty() => Err("none is known".to_owned()),
            leader => Ok(leader),
        }
    });
    let leader = cluster.number(&leader.await);
    let (other, left) = ((leader + 1) % 3, (leader + 2) % 3);
    // At once: nobody may be elected in between.
    for victim in [leader, other] {
        cluster.broker(victim).signal(Signal::KILL);
    }
    until("no leader is known", async || {
        match meta_leader(&cluster, left).await? {
            leader if leader.is_empty() => Ok(()),
            leader => Err(leader),
        }
    })
    .await;
}

/// Who leads the meta group, as broker `asked` tells.
async fn meta_leader(cluster: &Cluster, asked: usize) -> Result<String, String> {
    let filter = json!({"server_name": format!("n{asked}"), "exact_match": true});
    let page = cluster.system_request(asked, "$SYS.REQ.SERVER.PING.JSZ", filter);
    let page = page.await?;
    let leader = page["data"]["meta_cluster"]["leader"].as_str();
    Ok(leader.unwrap_or_default().to_owned())
}
