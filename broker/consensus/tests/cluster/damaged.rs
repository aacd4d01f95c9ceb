//! Replicas whose log was damaged: they keep silent, and join anew.

use std::path::{Path, PathBuf};

use consensus::{OpenError, Start};
use storage::fs::{FileSystem, OpenMode};
use storage::wal::Loss;

use crate::harness::{Cluster, GROUP, Server, node, nodes, until};

/// Where the records of a segment begin.
const FIRST_RECORD: u64 = 4096;
/// Those of about ten seconds: several times what a replica waits before it stands for election.
const HEARTBEATS: u64 = 40;

fn segments(server: &Server) -> Vec<PathBuf> {
    let entries = server.fs.read_dir(Path::new("/wal")).expect("a directory");
    let logs = entries
        .into_iter()
        .filter(|entry| entry.name.ends_with(".log"));
    logs.map(|entry| Path::new("/wal").join(entry.name))
        .collect()
}

/// Makes the first records of each segment unreadable.
fn damage(server: &Server) {
    for path in segments(server) {
        let file = server.fs.open(&path, OpenMode::Write).expect("a segment");
        file.write_all_at(&[0xa5; 2048], FIRST_RECORD)
            .expect("written");
        file.sync_data().expect("synced");
    }
}

async fn expect_damaged(cluster: &Cluster, id: u64) {
    let server = cluster.server(id);
    let founders = nodes(&[1, 2, 3]);
    let opened = server
        .consensus()
        .replicated(GROUP, Start::Founding(founders), server.ledger())
        .await;
    assert!(
        matches!(opened.as_ref().err(), Some(OpenError::Damaged(group)) if *group == GROUP),
        "a damaged log must not be used"
    );
}

/// What the engine does for a damaged replica.
async fn rejoin(cluster: &mut Cluster, leader: u64, id: u64) {
    let group = cluster.server(leader).group().clone();
    let release = group.release(node(id)).await.expect("a majority is left");
    assert!(!group.members().voters.contains(&node(id)));
    cluster.server_mut(id).open(Start::Rejoin(release)).await;
    group
        .change_members(nodes(&[1, 2, 3]))
        .await
        .expect("it catches up");
}

#[tokio::test(start_paused = true)]
async fn a_replica_with_a_damaged_log_joins_anew() {
    for checkpointed in [false, true] {
        let mut cluster = Cluster::start(3, 1).await;
        let leader = cluster.leader().await;
        cluster.commit(leader, 500).await;
        cluster.agree().await;
        let victim = (1..=3).find(|id| *id != leader).expect("a follower");
        if checkpointed {
            let group = cluster.server(victim).group().clone();
            group.checkpoint().await.expect("a checkpoint");
        }
        cluster.commit(leader, 500).await;
        cluster.agree().await;
        cluster.crash(victim).await;
        damage(cluster.server(victim));
        cluster.server_mut(victim).boot();
        expect_damaged(&cluster, victim).await;
        cluster.commit(leader, 10).await;

        rejoin(&mut cluster, leader, victim).await;
        let loss = cluster.server(victim).wal().loss(GROUP);
        assert_eq!(loss, Loss::Nothing);
        cluster.commit(leader, 10).await;
        cluster.agree().await;

        // It counts like any other again.
        cluster.crash(leader).await;
        let next = cluster.leader().await;
        cluster.commit(next, 10).await;
        cluster.boot(leader).await;
        cluster.agree().await;
        cluster.end().await;
    }
}

/// The one replica that could elect a leader without the latest entries has lost them.
#[tokio::test(start_paused = true)]
async fn a_damaged_replica_does_not_vote_away_what_it_acknowledged() {
    let mut cluster = Cluster::start(3, 2).await;
    let leader = cluster.leader().await;
    cluster.commit(leader, 100).await;
    cluster.agree().await;
    let mut others = (1..=3).filter(|id| *id != leader);
    let (behind, forgetful) = (others.next().unwrap(), others.next().unwrap());
    cluster.crash(behind).await;
    cluster.commit(leader, 100).await;
    cluster.crash(forgetful).await;
    cluster.crash(leader).await;
    damage(cluster.server(forgetful));

    cluster.server_mut(forgetful).boot();
    expect_damaged(&cluster, forgetful).await;
    cluster.boot(behind).await;
    // Each attempt to be elected asks both others.
    cluster.sends(20).await;
    assert!(
        !cluster.server(behind).leads(),
        "nobody may lead without the entries that were acknowledged"
    );

    cluster.boot(leader).await;
    let next = cluster.leader_among(&[leader, behind]).await;
    assert_eq!(next, leader, "the one that has them all");
    rejoin(&mut cluster, leader, forgetful).await;
    cluster.commit(leader, 10).await;
    cluster.agree().await;
    cluster.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_begins_anew_goes_on_after_a_crash_and_founds_nothing() {
    for seed in 0..10 {
        let mut cluster = Cluster::start(3, seed).await;
        let leader = cluster.leader().await;
        cluster.commit(leader, 300).await;
        cluster.agree().await;
        let victim = (1..=3).find(|id| *id != leader).expect("a follower");
        cluster.crash(victim).await;
        damage(cluster.server(victim));
        cluster.server_mut(victim).boot();
        let group = cluster.server(leader).group().clone();
        let release = group.release(node(victim)).await.expect("a majority");
        cluster
            .server_mut(victim)
            .open(Start::Rejoin(release))
            .await;
        cluster.crash(victim).await;
        // As a server does that knows itself as a founder of the group.
        cluster.boot(victim).await;
        cluster.sends(HEARTBEATS).await;
        let replica = cluster.server(victim).group();
        assert!(
            replica.members().voters.is_empty(),
            "{:?}",
            replica.members()
        );
        assert!(cluster.server(leader).leads(), "nobody was disturbed");
        let all = nodes(&[1, 2, 3]);
        group.change_members(all).await.expect("it catches up");
        cluster.commit(leader, 10).await;
        cluster.agree().await;
        cluster.end().await;
    }
}

/// Its last checkpoint is of the time when it was the only member.
#[tokio::test(start_paused = true)]
async fn members_of_an_old_checkpoint_do_not_count() {
    let mut cluster = Cluster::start(3, 3).await;
    let leader = cluster.leader().await;
    let group = cluster.server(leader).group().clone();
    group.change_members(nodes(&[leader])).await.expect("alone");
    cluster.commit(leader, 100).await;
    group.checkpoint().await.expect("a checkpoint");
    let all = nodes(&[1, 2, 3]);
    group.change_members(all).await.expect("all again");
    cluster.commit(leader, 100).await;
    cluster.agree().await;
    cluster.crash(leader).await;
    damage(cluster.server(leader));
    let next = cluster.leader().await;
    cluster.commit(next, 10).await;
    cluster.server_mut(leader).boot();
    expect_damaged(&cluster, leader).await;
    let release = cluster.server(next).group().release(node(leader)).await;
    let release = release.expect("a majority");
    cluster
        .server_mut(leader)
        .open(Start::Rejoin(release))
        .await;
    cluster.sends(HEARTBEATS).await;
    assert!(!cluster.server(leader).leads(), "it is no member");
    let group = cluster.server(next).group().clone();
    group
        .change_members(nodes(&[1, 2, 3]))
        .await
        .expect("it catches up");
    cluster.agree().await;
    cluster.end().await;
}

#[tokio::test(start_paused = true)]
async fn nobody_is_released_by_a_leader_without_a_majority() {
    let mut cluster = Cluster::start(3, 4).await;
    let old = cluster.leader().await;
    cluster.commit(old, 10).await;
    let mut others = (1..=3).filter(|id| *id != old);
    let (other, victim) = (others.next().unwrap(), others.next().unwrap());
    cluster.network.isolate(node(old));
    let group = cluster.server(old).group().clone();
    let asked = tokio::spawn(async move { group.release(node(victim)).await });
    cluster.leader_among(&[other, victim]).await;
    let answer = asked.await.expect("no panic");
    assert!(answer.is_err(), "{answer:?}");
    cluster.network.heal();
    cluster.leader().await;
    cluster.agree().await;
    cluster.end().await;
}

/// Damage to the records of nobody knows whom does not keep a replica down that is the only one.
#[tokio::test(start_paused = true)]
async fn the_only_member_goes_on_unless_it_surely_lost_something() {
    let mut cluster = Cluster::start(1, 5).await;
    until("it leads", || cluster.server(1).leads()).await;
    cluster.commit(1, 50).await;
    cluster.crash(1).await;
    // Behind the last record, as if a segment that came later had been lost.
    let server = cluster.server(1);
    let path = segments(server).pop().expect("a segment");
    let file = server.fs.open(&path, OpenMode::Write).expect("a segment");
    let len = file.len().expect("a length");
    file.set_len(len - 4096).expect("cut");
    file.sync_data().expect("synced");
    cluster.boot(1).await;
    until("it leads", || cluster.server(1).leads()).await;
    cluster.commit(1, 50).await;
    cluster.crash(1).await;

    damage(cluster.server(1));
    cluster.server_mut(1).boot();
    let server = cluster.server(1);
    let opened = server
        .consensus()
        .replicated(GROUP, Start::Founding(nodes(&[1])), server.ledger())
        .await;
    assert!(matches!(opened.err(), Some(OpenError::Damaged(_))));
    cluster.end().await;
}
