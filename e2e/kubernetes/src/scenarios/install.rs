//! The operator by its chart, then brokers and what they hold by `kubectl apply`.

use anyhow::{Context as _, ensure};
use serde_json::json;

use super::Outcome;
use crate::lab;
use crate::objects::{
    ACCOUNT, CLUSTER, CONSUMER, KV_BUCKET, LATER, Objects, SOON, STREAM, USER, wait,
};
use crate::programs::{helm, kubectl};
use crate::publishing::Publishing;
use crate::world::{BROKERS, NAMESPACE, RELEASE, SYSTEM, World, identities, is_ready, name_of};

/// The stream that examples/orders.yaml asks for, and where it is published to.
const STREAM_NAME: &str = "ORDERS";
const SUBJECT: &str = "orders.e2e";
/// The operator's rights end with these namespaces, until the scenario of the uninstall.
const ITS_NAMESPACES: &str = "watchNamespaces={default,lab}";
const ITS_ACCOUNT: &str = "--as=system:serviceaccount:weir-system:weir";

pub async fn install(world: &mut World) -> anyhow::Result<Outcome> {
    make_namespace(lab::NAMESPACE).await?;
    helm_install(world, &["--set", ITS_NAMESPACES]).await?;
    for (namespace, expected) in [(NAMESPACE, true), (lab::NAMESPACE, true), (SYSTEM, false)] {
        ensure!(
            may_read(namespace).await == expected,
            "the operator may read Secrets of {namespace}: {}",
            !expected
        );
    }
    let operators = world.operators().await?;
    let ready = operators.iter().filter(|pod| is_ready(pod)).count();
    ensure!(ready == 2, "{ready} replicas of the operator are ready");
    let leaders = crate::objects::wait(SOON, "one replica leads", async || {
        let mut leaders = Vec::new();
        for pod in world.operators().await? {
            let page = world.page(SYSTEM, name_of(&pod), 8080, "metrics").await?;
            if page.lines().any(|line| line == "weir_operator_leader 1") {
                leaders.push(name_of(&pod).to_owned());
            }
        }
        ensure!(leaders.len() == 1, "{leaders:?} lead");
        Ok(leaders)
    });
    let leaders = leaders.await;
    Ok(Outcome::Passed(format!(
        "two replicas of the operator with rights in two namespaces, and not in its own, are ready, {} leads",
        leaders[0]
    )))
}

/// A `helm upgrade` with other values replaces the operator and leaves brokers alone.
pub async fn upgrade(world: &mut World) -> anyhow::Result<Outcome> {
    let brokers = world.broker_identities().await?;
    let operators = identities(&world.operators().await?);
    world.pause().await?;
    let values = ["concurrency=4", "replicas=3", "podLabels.shift=late"];
    let mut settings = vec!["--set", ITS_NAMESPACES];
    settings.extend(values.iter().flat_map(|value| ["--set", *value]));
    helm_install(world, &settings).await?;
    // Those before finish what they do.
    let after = wait(SOON, "all replicas are other ones", async || {
        let after = world.operators().await?;
        let replaced = identities(&after);
        ensure!(
            replaced.len() == 3 && operators.keys().all(|name| !replaced.contains_key(name)),
            "{operators:?} became {replaced:?}"
        );
        Ok(after)
    });
    let after = after.await;
    for pod in &after {
        let spec = pod.spec.as_ref();
        let arguments = spec.and_then(|spec| spec.containers.first()?.args.clone());
        let arguments = arguments.unwrap_or_default();
        let labels = pod.metadata.labels.clone().unwrap_or_default();
        ensure!(
            arguments.contains(&"--concurrency=4".to_owned())
                && labels.get("shift").is_some_and(|value| value == "late"),
            "{} runs with {arguments:?} and has {labels:?}",
            name_of(pod)
        );
    }
    // The new one works: it carries a change out.
    let limit = |bytes: &str| json!({"spec": {"jetstreamLimits": {"memoryStore": bytes}}});
    let accounts = world.objects(ACCOUNT);
    accounts.patch("shop", limit("96Mi")).await?;
    accounts.ready(SOON, "shop").await;
    let stayed = world.broker_identities().await?;
    ensure!(stayed == brokers, "{brokers:?} became {stayed:?}");
    let pause = world.pause().await?;
    Ok(Outcome::Passed(format!(
        "other values replaced the operator's {} replicas by {}, which go on working; brokers stayed, longest pause {pause}",
        operators.len(),
        after.len()
    )))
}

async fn make_namespace(name: &str) -> anyhow::Result<()> {
    if kubectl(&["get", "namespace", name]).await.is_err() {
        kubectl(&["create", "namespace", name]).await?;
    }
    Ok(())
}

pub async fn helm_install(world: &World, settings: &[&str]) -> anyhow::Result<()> {
    let (repository, tag) = world.image.rsplit_once(':').context("--image has no tag")?;
    let repository = format!("image.repository={repository}");
    let tag = format!("image.tag={tag}");
    let chart = world.path("charts/weir");
    let mut arguments = vec!["upgrade", "--install", RELEASE, &chart];
    arguments.extend(["--namespace", SYSTEM, "--create-namespace"]);
    arguments.extend(["--set", &repository, "--set", &tag]);
    arguments.extend(settings);
    arguments.extend(["--wait", "--timeout", "180s"]);
    helm(&arguments).await?;
    Ok(())
}

/// Whether the operator may read Secrets of a namespace.
async fn may_read(namespace: &str) -> bool {
    let question = [
        "auth",
        "can-i",
        "list",
        "secrets",
        ITS_ACCOUNT,
        "-n",
        namespace,
    ];
    kubectl(&question).await.is_ok()
}

pub async fn apply(world: &mut World) -> anyhow::Result<Outcome> {
    let (cluster, orders) = (
        world.path("examples/cluster.yaml"),
        world.path("examples/orders.yaml"),
    );
    kubectl(&["apply", "-f", &cluster, "-f", &orders]).await?;
    world.objects(CLUSTER).ready(LATER, BROKERS).await;
    for kind in [ACCOUNT, USER, STREAM, CONSUMER, KV_BUCKET] {
        all_ready(&world.objects(kind)).await?;
    }
    let client = world.connect("clerk").await?;
    let context = async_nats::jetstream::new(client.clone());
    let info = context.get_stream(STREAM_NAME).await?.cached_info().clone();
    let peers = info.cluster.map_or(0, |cluster| cluster.replicas.len());
    ensure!(peers == 2, "{STREAM_NAME} has {peers} followers");
    world.publish(Publishing::start(client, STREAM_NAME, SUBJECT).await?);
    Ok(Outcome::Passed(format!(
        "brokers and all that examples/orders.yaml asks for are ready; a client publishes to {SUBJECT}"
    )))
}

async fn all_ready(objects: &Objects) -> anyhow::Result<()> {
    let names = objects.names().await?;
    ensure!(!names.is_empty(), "an example has no resource of some kind");
    for name in names {
        objects.ready(SOON, &name).await;
    }
    Ok(())
}
