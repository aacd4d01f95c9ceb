//! Repeated passes.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::*;

/// Far more than a pass takes, so that only a fault gets there.
const DEADLINE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_broker_that_comes_back_is_found() {
    let world = tokio::task::spawn_blocking(World::new)
        .await
        .expect("a world");
    world.broker.set_reachable(false);
    let set = read(ORDERS);
    let patience = Duration::from_millis(150);
    let report = crate::run_until_synced(&world.reconciler, &set, patience).await;
    assert!(report.needs_retry() && !report.is_synced());
    world.broker.set_reachable(true);
    let report = crate::run_until_synced(&world.reconciler, &set, DEADLINE).await;
    assert!(report.is_synced());
}

#[tokio::test]
async fn watching_follows_new_sets_and_drift() {
    let world = tokio::task::spawn_blocking(World::new)
        .await
        .expect("a world");
    let (sets, receiver) = watch::channel(ResourceSet::default());
    let (reports, mut seen) = mpsc::unbounded_channel();
    let broker = Arc::clone(&world.broker);
    let watching = tokio::spawn(async move {
        let interval = Duration::from_millis(50);
        let report = |report: &Report| drop(reports.send(report.clone()));
        crate::watch(&world.reconciler, receiver, interval, report).await;
    });
    sets.send(read(ORDERS)).expect("somebody watches");
    let wait_for = async |seen: &mut mpsc::UnboundedReceiver<Report>, action: Action| loop {
        let report = seen.recv().await.expect("it is watched");
        if report
            .changed()
            .any(|(id, found)| id.kind == Kind::Stream && found == action)
        {
            break;
        }
    };
    let follow = async {
        wait_for(&mut seen, Action::Created).await;
        broker.meddle("ORDERS", "max_age", 5.into());
        wait_for(&mut seen, Action::Corrected).await;
        drop(sets);
        watching.await.expect("it ends when nobody sends sets");
    };
    timeout(DEADLINE, follow).await.expect("all of it happens");
}
