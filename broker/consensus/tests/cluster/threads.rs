//! The same on real threads with a real clock, as in production.

use consensus::Blocking;

use crate::harness::Cluster;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_keep_their_order_on_many_threads() {
    let mut cluster = Cluster::start_with(3, 1, Blocking::Threads).await;
    let leader = cluster.leader().await;
    for _ in 0..5 {
        cluster.commit(leader, 300).await;
    }
    cluster
        .server(leader)
        .group()
        .checkpoint()
        .await
        .expect("a checkpoint");
    cluster.agree().await;
    let commands = cluster.server(leader).ledger().commands();
    let applied: Vec<_> = commands.into_iter().map(|(_, command)| command).collect();
    assert_eq!(applied, cluster.applied);
    cluster.server_mut(leader).stop().await;
    let next = cluster.leader().await;
    cluster.commit(next, 1).await;
}
