//! Several brokers that form one cluster.

use std::path::Path;
use std::time::Duration;

use async_nats::jetstream::{self, stream};
use tempfile::TempDir;

use crate::broker::{self, Broker, Setup};
use crate::ports;
use crate::wait::until;

/// Brokers `n0`, `n1`, ... of one cluster; a broker that was killed leaves a gap.
pub struct Cluster {
    pub brokers: Vec<Option<Broker>>,
    setups: Vec<Setup>,
    _files: TempDir,
}

impl Cluster {
    /// What the brokers of a cluster are started with.
    pub fn setups(size: usize, dir: &Path) -> Vec<Setup> {
        let routes: Vec<u16> = (0..size).map(|_| ports::free()).collect();
        routes
            .iter()
            .enumerate()
            .map(|(number, own)| Setup {
                routes: Some((*own, routes.clone())),
                ..Setup::alone(&format!("n{number}"), dir)
            })
            .collect()
    }

    /// Starts a cluster and waits until JetStream answers.
    pub async fn start(size: usize) -> Self {
        let files = tempfile::tempdir().expect("temporary directories can be made");
        let setups = Self::setups(size, files.path());
        let brokers = setups.iter().cloned().map(Broker::spawn).map(Some);
        let mut cluster = Cluster {
            brokers: brokers.collect(),
            setups,
            _files: files,
        };
        for broker in cluster.brokers.iter_mut().flatten() {
            broker.ready().await;
        }
        cluster.serves().await;
        cluster
    }

    pub fn urls(&self) -> Vec<String> {
        self.setups.iter().map(Setup::url).collect()
    }

    pub fn broker(&self, number: usize) -> &Broker {
        self.brokers[number].as_ref().expect("the broker runs")
    }

    /// The number of the broker with this name.
    pub fn number(&self, name: &str) -> usize {
        let found = self.setups.iter().position(|setup| setup.name == name);
        found.unwrap_or_else(|| panic!("no broker is named {name:?}"))
    }

    /// A client of the cluster that may be connected to any broker.
    pub async fn client(&self) -> async_nats::Client {
        broker::connect(&self.urls()).await
    }

    /// JetStream of the cluster, with requests that end soon enough to be tried again.
    pub async fn jetstream(&self) -> jetstream::Context {
        let mut context = jetstream::new(self.client().await);
        context.set_timeout(Duration::from_secs(5));
        context
    }

    /// Waits until every broker answers JetStream requests.
    pub async fn serves(&self) {
        for broker in self.brokers.iter().flatten() {
            let context = jetstream::new(broker.client().await);
            until("JetStream answers", async || context.query_account().await).await;
        }
    }

    pub async fn kill(&mut self, number: usize) {
        let broker = self.brokers[number].take().expect("the broker runs");
        broker.kill().await;
    }

    /// Stops a broker as an orchestrator would.
    pub async fn stop(&mut self, number: usize) {
        let broker = self.brokers[number].take().expect("the broker runs");
        broker.stop().await;
    }

    /// Starts a broker again that was killed or stopped.
    pub async fn restart(&mut self, number: usize) {
        let setup = self.setups[number].clone();
        self.brokers[number] = Some(Broker::start(setup).await);
    }

    /// Waits until a stream has a leader and all its replicas are current; returns the leader.
    pub async fn settled(&self, context: &jetstream::Context, stream: &str) -> usize {
        let replicas = until("all replicas are current", async || {
            let cluster = cluster_info(context, stream).await?;
            let leader = cluster.leader.clone().unwrap_or_default();
            let is_current = cluster
                .replicas
                .iter()
                .all(|peer| peer.current && !peer.offline);
            let is_settled = !leader.is_empty() && !cluster.replicas.is_empty() && is_current;
            if is_settled {
                Ok(leader)
            } else {
                Err(format!("{cluster:?}"))
            }
        });
        self.number(&replicas.await)
    }
}

/// The cluster part of a stream's info.
pub async fn cluster_info(
    context: &jetstream::Context,
    stream: &str,
) -> Result<stream::ClusterInfo, String> {
    let stream = context.get_stream(stream).await;
    let stream = stream.map_err(|error| error.to_string())?;
    let cluster = stream.cached_info().cluster.clone();
    cluster.ok_or_else(|| "no cluster information".to_owned())
}
