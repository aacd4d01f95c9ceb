//! The life of the program.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures::future::{BoxFuture, join_all};
use kube::Client;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::cluster;
use crate::context::Context;
use crate::election::Election;
use crate::http::Pages;
use crate::metrics::Metrics;
use crate::options::Options;
use crate::stop::{self, Stop, Stopper};
use crate::topology;

/// How long reconciliations that run have for their end.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// Runs until a signal comes, or until another replica leads.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let client = Client::try_default()
        .await
        .context("no Kubernetes cluster is configured; set KUBECONFIG or run in a pod")?;
    let version = client
        .apiserver_version()
        .await
        .context("Kubernetes API server")?;
    tracing::info!(version = version.git_version, "connected to Kubernetes");
    let context = Arc::new(Context::new(client.clone(), Metrics::new()?, &options));
    let (stopper, stop) = stop::channel();
    stop_on_signals(stopper)?;
    let pages = Pages::new(Arc::clone(&context));
    let listener = TcpListener::bind(options.metrics_address)
        .await
        .with_context(|| format!("listening on {}", options.metrics_address))?;
    tokio::spawn(pages.clone().serve(listener, stop.clone()));
    // A replica that waits for its turn is in order too.
    pages.set_ready(true);

    if !options.leader_election {
        return work(&context, &stop).await;
    }
    let namespace = options.lease_namespace(&client);
    let mut election = Election::new(client, &namespace, &options.lease_name, options.identity());
    tokio::select! {
        () = election.win() => tracing::info!("leading"),
        () = stop.clone().wait() => return Ok(()),
    }
    let ended = tokio::select! {
        ended = work(&context, &stop) => ended,
        // Another replica may work already: nothing may be finished first.
        () = election.lose() => bail!("leadership was lost"),
    };
    election.release().await;
    ended
}

/// Runs all controllers until told to stop, and lets them finish what they began.
async fn work(context: &Arc<Context>, stop: &Stop) -> anyhow::Result<()> {
    context.metrics.set_leader(true);
    let all = join_all(controllers(context, stop));
    let stopping = stop.clone();
    let too_late = async {
        stopping.wait().await;
        tracing::info!("stopping");
        tokio::time::sleep(STOP_TIMEOUT).await;
    };
    tokio::select! {
        _ = all => Ok(()),
        () = too_late => bail!("reconciliations did not end within {STOP_TIMEOUT:?}"),
    }
}

/// The controllers of all kinds. Each runs until told to stop.
fn controllers(context: &Arc<Context>, stop: &Stop) -> Vec<BoxFuture<'static, ()>> {
    let mut all = cluster::controllers(context, stop);
    all.extend(topology::controllers(context, stop));
    all
}

fn stop_on_signals(stopper: Stopper) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stopper.stop();
        // The stopper must outlive the signal: without it everything stops.
        std::future::pending::<()>().await;
    });
    Ok(())
}
