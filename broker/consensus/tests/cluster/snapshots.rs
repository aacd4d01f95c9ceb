//! Snapshots for replicas that need entries which nobody has any more.

use std::time::Duration;

use consensus::Timing;
use tokio::time::Instant;

use crate::harness::{Cluster, GROUP, node, until};

/// A cluster, its leader, and a replica that is down while the others drop what it would need.
async fn with_a_replica_far_behind(seed: u64) -> (Cluster, u64, u64) {
    let mut cluster = Cluster::start(3, seed).await;
    let leader = cluster.leader().await;
    cluster.commit(leader, 10).await;
    let behind = (1..=3).find(|id| *id != leader).expect("a follower");
    cluster.crash(behind).await;
    cluster.commit(leader, 200).await;
    let out_of_touch = Duration::from_secs(2).as_nanos() as u64;
    let group = cluster.server(leader).group().clone();
    let lost = || {
        let replicas = group.replicas();
        let status = replicas.iter().find(|replica| replica.node == node(behind));
        status.is_some_and(|status| status.last_seen_ns.is_some_and(|seen| seen > out_of_touch))
    };
    until("the leader lost touch", lost).await;
    for id in (1..=3).filter(|id| *id != behind) {
        let group = cluster.server(id).group().clone();
        until("a checkpoint covers all", || group.commit_lag() == 0).await;
        group.checkpoint().await.expect("a checkpoint");
        let log = cluster.server(id).wal().log(GROUP);
        until("the log was purged", || log.first_index() > 100).await;
    }
    (cluster, leader, behind)
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_fell_far_behind_gets_a_snapshot() {
    let (mut cluster, leader, behind) = with_a_replica_far_behind(7).await;
    cluster.boot(behind).await;
    cluster.commit(leader, 10).await;
    cluster.agree().await;
    assert_eq!(cluster.server(behind).ledger().state().installed, 1);
    // The snapshot is durable: after a restart it is not needed again.
    cluster.crash(behind).await;
    cluster.boot(behind).await;
    cluster.commit(leader, 10).await;
    cluster.agree().await;
    assert_eq!(cluster.server(behind).ledger().state().installed, 0);
}

/// Nobody waits out the whole time that an installation may take, and the snapshot is not sent again.
#[tokio::test(start_paused = true)]
async fn an_answer_about_an_installed_snapshot_that_gets_lost_is_asked_for_again() {
    let (mut cluster, leader, behind) = with_a_replica_far_behind(8).await;
    cluster.network.lose_answers_to_last_parts(2);
    cluster.boot(behind).await;
    let installed = || cluster.server(behind).ledger().state().installed == 1;
    until("the snapshot is installed", installed).await;
    let before = Instant::now();
    cluster.commit(leader, 10).await;
    cluster.agree().await;
    let chunk_timeout = Duration::from_millis(Timing::default().snapshot_chunk_timeout_ms);
    let (elapsed, tries) = (before.elapsed(), 2);
    let expected = tries * chunk_timeout..(tries + 1) * chunk_timeout;
    assert!(expected.contains(&elapsed), "{elapsed:?}");
    assert_eq!(cluster.server(behind).ledger().state().installed, 1);
}
