//! A Cluster of one broker in a namespace of its own, to try on what would disturb the others.

use std::collections::BTreeMap;

use anyhow::ensure;
use async_nats::jetstream;
use serde_json::{Value, json};

use crate::objects::{
    ACCOUNT, CLUSTER, Kind, LATER, Objects, SOON, STREAM, USER, condition_of, wait,
};
use crate::programs::kubectl;
use crate::publishing;
use crate::world::{World, identities};

pub const NAMESPACE: &str = "lab";
pub const CLUSTER_NAME: &str = "bench";
const USER_NAME: &str = "tester";
const SUBJECT: &str = "sample";
const STREAM_NAME: &str = "SAMPLE";

pub struct Lab<'a> {
    world: &'a World,
    pub clusters: Objects,
}

impl<'a> Lab<'a> {
    /// Waits until it is there, with an account, a user and a stream.
    pub async fn new(world: &'a World) -> anyhow::Result<Lab<'a>> {
        let manifest = world.path("e2e/kubernetes/manifests/lab.yaml");
        kubectl(&["apply", "-f", &manifest]).await?;
        let clusters = Objects::new(&world.client, CLUSTER, NAMESPACE);
        let lab = Lab { world, clusters };
        lab.ready().await;
        for (kind, name) in [(ACCOUNT, "tests"), (USER, USER_NAME), (STREAM, SUBJECT)] {
            lab.objects(kind).ready(SOON, name).await;
        }
        Ok(lab)
    }

    pub fn objects(&self, kind: Kind) -> Objects {
        Objects::new(&self.world.client, kind, NAMESPACE)
    }

    pub async fn change(&self, spec: Value) -> anyhow::Result<()> {
        let change = json!({ "spec": spec });
        self.clusters.patch(CLUSTER_NAME, change).await
    }

    pub async fn ready(&self) {
        self.clusters.ready(LATER, CLUSTER_NAME).await;
    }

    /// Waits until a condition of the Cluster has this reason; what it says.
    pub async fn says(&self, type_: &str, reason: &str) -> String {
        let what = format!("says {reason}");
        let look = |cluster: &Value| {
            let found = condition_of(cluster, type_)?;
            ensure!(found["reason"] == reason, "{found}");
            Ok(found["message"].as_str().unwrap_or_default().to_owned())
        };
        self.clusters.wait(LATER, CLUSTER_NAME, &what, look).await
    }

    /// Name and identity of each broker's pod.
    pub async fn brokers(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let brokers = self.world.brokers_of(NAMESPACE, CLUSTER_NAME).await?;
        Ok(identities(&brokers))
    }

    /// Waits until so many brokers are there.
    pub async fn has_brokers(&self, count: usize) {
        wait(LATER, &format!("{count} brokers are there"), async || {
            let found = self.brokers().await?;
            ensure!(found.len() == count, "{found:?}");
            Ok(())
        })
        .await;
    }

    /// Waits until no broker is one of those.
    pub async fn replaced(&self, before: &BTreeMap<String, String>) {
        wait(LATER, "the brokers are other ones", async || {
            let now = self.brokers().await?;
            let is_new =
                |(name, id): (&String, &String)| now.get(name).is_some_and(|now| now != id);
            ensure!(before.iter().all(is_new), "{before:?} are {now:?}");
            Ok(())
        })
        .await;
    }

    pub async fn connect(&self) -> async_nats::Client {
        self.connect_as(USER_NAME).await
    }

    pub async fn connect_as(&self, user: &str) -> async_nats::Client {
        let client = &self.world.client;
        let connecting = async || publishing::connect(client, NAMESPACE, CLUSTER_NAME, user).await;
        wait(SOON, &format!("{user} connects"), connecting).await
    }

    /// Adds messages to the stream; how many it has then.
    pub async fn publish(&self, count: usize) -> anyhow::Result<u64> {
        let context = jetstream::new(self.connect().await);
        for _ in 0..count {
            context.publish(SUBJECT, "data".into()).await?.await?;
        }
        self.messages().await
    }

    /// How many messages the stream has.
    pub async fn messages(&self) -> anyhow::Result<u64> {
        let context = jetstream::new(self.connect().await);
        let messages = wait(SOON, "the stream answers", async || {
            let stream = context.get_stream(STREAM_NAME).await?;
            Ok(stream.cached_info().state.messages)
        });
        Ok(messages.await)
    }
}
