//! Prometheus sees brokers and operator, and the chart's alerts fire.

use std::panic::AssertUnwindSafe;

use anyhow::{Context as _, ensure};
use async_nats::jetstream::{self, stream::Config};
use futures::FutureExt as _;

use super::Outcome;
use crate::objects::{LATER, SOON, wait};
use crate::programs::run;
use crate::prometheus::{Prometheus, Target};
use crate::world::{World, name_of, node_of};

const RULES: &str = "charts/weir/files/alerts.yaml";
/// What the rules wait for and what is here instead, so that nobody has to wait for minutes, write
/// gigabytes or fall behind for as long.
const SOONER: &[(&str, &str)] = &[
    ("for: 30s", "for: 2s"),
    ("for: 2m", "for: 2s"),
    ("for: 5m", "for: 2s"),
    ("> 10000", "> 100"),
    ("> 0.85", "> 0.05"),
];
/// Of each message that fills the store.
const FILL_BYTES: usize = 512 * 1024;
/// Enough for a twentieth of any store that the examples ask for.
const FILL_MESSAGES: usize = 400;

pub async fn metrics(world: &mut World) -> anyhow::Result<Outcome> {
    let rules = world.path(RULES);
    run("promtool", &["check", "rules", &rules]).await?;
    let tests = world.path("e2e/kubernetes/monitoring/alerts_test.yaml");
    run("promtool", &["test", "rules", &tests]).await?;
    let rules = std::fs::read_to_string(&rules)?;
    let prometheus = Prometheus::start(&rules, &targets(world).await?).await?;
    let brokers = world.brokers().await?.len();
    wait(SOON, "Prometheus has scraped everything", async || {
        let healthy = prometheus.query("weir_server_healthy == 1").await?.len();
        let leading = prometheus.query("weir_operator_leader == 1").await?.len();
        ensure!(
            (healthy, leading) == (brokers, 1),
            "{healthy} brokers, {leading} operators"
        );
        let stream = prometheus
            .query("weir_stream_messages{stream=\"ORDERS\"} > 0")
            .await?;
        ensure!(!stream.is_empty(), "the stream is unknown");
        Ok(())
    })
    .await;
    Ok(Outcome::Passed(format!(
        "{brokers} brokers and the operator that leads; promtool accepts the rules and their tests"
    )))
}

pub async fn alerts(world: &mut World) -> anyhow::Result<Outcome> {
    if !world.can_switch_nodes() {
        let why = "this cluster's nodes cannot be switched off from here";
        return Ok(Outcome::Skipped(why.to_owned()));
    }
    world.brokers_are_apart().await?;
    let mut rules = std::fs::read_to_string(world.path(RULES))?;
    for (rule, here) in SOONER {
        ensure!(rules.contains(rule), "no rule has {rule:?}");
        rules = rules.replace(rule, here);
    }
    let prometheus = Prometheus::start(&rules, &targets(world).await?).await?;
    store_nearly_full(world, &prometheus).await?;
    replicas_lost(world, &prometheus).await?;
    Ok(Outcome::Passed(
        "store nearly full, replica lag and no quorum were reported, and were not when it was over"
            .to_owned(),
    ))
}

/// Brokers and operators, as the chart's monitors find them.
async fn targets(world: &World) -> anyhow::Result<Vec<Target>> {
    let (brokers, operators) = (world.brokers().await?, world.operators().await?);
    let brokers = brokers.iter().map(|pod| Target::new(pod, "monitor"));
    let operators = operators.iter().map(|pod| Target::new(pod, "metrics"));
    let all: Option<Vec<_>> = brokers.chain(operators).collect();
    all.context("a pod has no address, or no port of that name")
}

async fn store_nearly_full(world: &World, prometheus: &Prometheus) -> anyhow::Result<()> {
    let context = jetstream::new(world.connect("clerk").await?);
    let config = Config {
        name: "FILL".to_owned(),
        subjects: vec!["fill".to_owned()],
        ..Config::default()
    };
    context.create_stream(config).await?;
    let payload = bytes_of_noise();
    for _ in 0..FILL_MESSAGES {
        context
            .publish("fill", payload.clone().into())
            .await?
            .await?;
    }
    prometheus.fires("WeirStoreNearlyFull", SOON).await;
    context.delete_stream("FILL").await?;
    prometheus.rests("WeirStoreNearlyFull", SOON).await;
    Ok(())
}

/// First one node of three loses its network, so that its replica falls behind, then a second one.
async fn replicas_lost(world: &World, prometheus: &Prometheus) -> anyhow::Result<()> {
    let brokers = world.brokers().await?;
    let cutting = AssertUnwindSafe(cut(world, prometheus)).catch_unwind();
    let outcome = cutting.await;
    // Whatever came of it, later scenarios have all nodes.
    for pod in &brokers {
        world.switch_node("mend", node_of(pod)?).await?;
    }
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    prometheus.rests("WeirNoQuorum", LATER).await;
    prometheus.rests("WeirReplicaLag", LATER).await;
    world.brokers_ready(brokers.len()).await;
    world.pause().await?;
    Ok(())
}

async fn cut(world: &World, prometheus: &Prometheus) -> anyhow::Result<()> {
    let mut nodes = followers(world).await?;
    let first = nodes.pop().context("the stream has no follower")?;
    world.switch_node("cut", &first).await?;
    prometheus.fires("WeirReplicaLag", LATER).await;
    // Another one may lead by now.
    let mut nodes = followers(world).await?;
    nodes.retain(|node| *node != first);
    let second = nodes.pop().context("the stream has one follower only")?;
    world.switch_node("cut", &second).await?;
    prometheus.fires("WeirNoQuorum", LATER).await;
    Ok(())
}

/// The nodes of the stream's followers.
async fn followers(world: &World) -> anyhow::Result<Vec<String>> {
    let context = world.publishing()?.context();
    let info = context.get_stream("ORDERS").await?.cached_info().clone();
    let leader = info.cluster.and_then(|cluster| cluster.leader);
    let leader = leader.context("the stream has no leader")?;
    let brokers = world.brokers().await?;
    let others = brokers.iter().filter(|pod| name_of(pod) != leader);
    others.map(|pod| Ok(node_of(pod)?.to_owned())).collect()
}

fn bytes_of_noise() -> Vec<u8> {
    (0..FILL_BYTES).map(|at| (at * 31 % 251) as u8).collect()
}
