//! Brokers that leave in order hand over what they lead.

use async_nats::jetstream::stream;
use e2e::{Cluster, Ledger, read_stream, until};
use rustix::process::Signal;

const STREAMS: usize = 5;

/// A cluster whose broker 0 leads at least one stream; returns the names of those it leads.
async fn with_leader() -> (Cluster, Vec<String>) {
    let cluster = Cluster::start(3).await;
    let context = cluster.jetstream().await;
    let mut led = Vec::new();
    for number in 0..STREAMS {
        let config = stream::Config {
            name: format!("S{number}"),
            subjects: vec![format!("s.{number}")],
            num_replicas: 3,
            ..Default::default()
        };
        until("stream is created", async || {
            context.create_stream(config.clone()).await
        })
        .await;
        if cluster.settled(&context, &config.name).await == 0 {
            led.push(config.name);
        }
    }
    if led.is_empty() {
        lead(&cluster, "S0").await;
        led.push("S0".into());
    }
    (cluster, led)
}

/// Asks leaders to step down until broker 0 leads.
async fn lead(cluster: &Cluster, name: &str) {
    let client = cluster.client().await;
    let context = cluster.jetstream().await;
    until("broker 0 leads", async || {
        let subject = format!("$JS.API.STREAM.LEADER.STEPDOWN.{name}");
        let preferred = r#"{"placement":{"preferred":"n0"}}"#;
        let answer = client.request(subject, preferred.into()).await;
        let leader = cluster.settled(&context, name).await;
        if leader == 0 {
            Ok(())
        } else {
            Err(format!("{leader} leads, {answer:?}"))
        }
    })
    .await;
}

async fn leaves(signal: Signal) {
    let (mut cluster, led) = with_leader().await;
    let ledger = Ledger::default();
    let context = cluster.jetstream().await;
    let subject = format!("s.{}", &led[0][1..]);
    let load = ledger.load(context.clone(), &subject);
    ledger.grows(100).await;

    let mut leaver = cluster.brokers[0].take().expect("broker 0 runs");
    leaver.signal(signal);
    let status = leaver.ended().await;
    assert!(status.success(), "{status}\n{}", leaver.log());
    for name in &led {
        until("another broker leads", async || {
            let info = e2e::cluster_info(&context, name).await?;
            match info.leader {
                Some(leader) if leader != "n0" => Ok(()),
                leader => Err(format!("leader is {leader:?}")),
            }
        })
        .await;
    }
    ledger.grows(100).await;
    load.end().await;
    ledger.check(&read_stream(&context, &led[0]).await);
    assert_handed_over(&leaver.log(), signal);
}

fn assert_handed_over(log: &str, signal: Signal) {
    let expected = match signal {
        Signal::USR2 => "Entering lame duck mode",
        _ => "Initiating Shutdown",
    };
    assert!(log.contains(expected), "{log}");
    assert!(log.contains("Server Exiting"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_broker_hands_over_what_it_leads() {
    leaves(Signal::TERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lame_duck_hands_over_what_it_leads() {
    leaves(Signal::USR2).await;
}
