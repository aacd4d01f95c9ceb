//! Groups on three servers and more.

use std::sync::Arc;
use std::time::Duration;

use consensus::{ChangeError, GroupId, ProposeError, Role, Start};
use tokio::time::Instant;

use crate::harness::{Cluster, GROUP, Server, command, node, nodes, until};
use crate::ledger::{Disk, Ledger};

#[tokio::test(start_paused = true)]
async fn three_servers_elect_a_leader_and_apply_the_same() {
    let mut cluster = Cluster::start(3, 1).await;
    let begun = Instant::now();
    let leader = cluster.leader().await;
    assert!(
        begun.elapsed() < Duration::from_millis(500),
        "the first leader needs no timeout"
    );
    cluster.commit(leader, 2000).await;
    let follower = (1..=3).find(|id| *id != leader).expect("a follower");
    let refused = cluster.server(follower).group().propose(command(0));
    assert_eq!(
        refused,
        Err(ProposeError::NotLeader {
            leader: Some(node(leader))
        })
    );
    cluster.agree().await;
    assert_eq!(cluster.server(follower).ledger().len(), 2000);

    let group = cluster.server(leader).group();
    assert_eq!(group.members().voters, nodes(&[1, 2, 3]));
    let replicas = group.replicas();
    assert_eq!(replicas.len(), 2);
    assert!(
        replicas
            .iter()
            .all(|replica| replica.current && replica.lag == 0),
        "{replicas:?}"
    );
    assert!(cluster.server(follower).group().replicas().is_empty());
    assert_eq!(group.commit_lag(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_leader_knows_whether_the_group_goes_on_without_a_replica() {
    let mut cluster = Cluster::start(3, 3).await;
    let leader = cluster.leader().await;
    cluster.commit(leader, 10).await;
    let others: Vec<u64> = (1..=3).filter(|id| *id != leader).collect();
    let holds = |cluster: &Cluster, id: u64| {
        let group = cluster.server(leader).group();
        group.support_without(node(id)).map(|s| s.holds())
    };
    until("all are heard of", || holds(&cluster, leader) == Some(true)).await;
    for id in 1..=3 {
        assert_eq!(holds(&cluster, id), Some(true), "without {id}");
    }
    let follower = cluster.server(others[0]).group();
    assert_eq!(follower.support_without(node(leader)), None);

    cluster.crash(others[0]).await;
    until("one is missed", || {
        holds(&cluster, others[1]) == Some(false)
    })
    .await;
    assert_eq!(holds(&cluster, leader), Some(false));
    assert_eq!(holds(&cluster, others[0]), Some(true), "it is gone already");

    cluster.boot(others[0]).await;
    until("it is back", || holds(&cluster, others[1]) == Some(true)).await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_cut_off_knows_that_it_hears_no_majority() {
    let cluster = Cluster::start(3, 4).await;
    let leader = cluster.leader().await;
    let follower = if leader == 1 { 2 } else { 1 };
    let hears = |id: u64| cluster.server(id).group().hears_majority();
    until("it hears the others", || hears(leader) == Some(true)).await;
    assert_eq!(hears(follower), None);
    cluster.network.isolate(node(leader));
    until("it hears nobody", || hears(leader) == Some(false)).await;
}

#[tokio::test(start_paused = true)]
async fn another_leader_takes_over_within_three_seconds() {
    for seed in 0..10 {
        let mut cluster = Cluster::start(3, seed).await;
        let leader = cluster.leader().await;
        cluster.commit(leader, 10).await;
        let died = Instant::now();
        cluster.crash(leader).await;
        let next = cluster.leader().await;
        cluster.commit(next, 1).await;
        let outage = died.elapsed();
        assert!(outage < Duration::from_secs(3), "seed {seed}: {outage:?}");
        let next_roles = cluster.server(next).ledger().state().roles.clone();
        let (role, applied) = *next_roles.last().expect("a role");
        assert!(matches!(role, Role::Leader { .. }));
        assert!(
            applied >= 10,
            "leader before it applied what was applied before"
        );
        cluster.boot(leader).await;
        cluster.agree().await;
        cluster.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_known_to_be_dead_is_replaced_at_once() {
    for seed in 0..10 {
        let mut cluster = Cluster::start(3, seed).await;
        let leader = cluster.leader().await;
        cluster.commit(leader, 10).await;
        let died = Instant::now();
        cluster.crash(leader).await;
        for server in cluster.running() {
            server.consensus().take_over_from(node(leader));
        }
        let next = cluster.leader().await;
        cluster.commit(next, 1).await;
        let outage = died.elapsed();
        let limit = Duration::from_millis(500);
        assert!(outage < limit, "seed {seed}: {outage:?}");
        cluster.boot(leader).await;
        cluster.agree().await;
        cluster.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_not_dead_loses_nothing_when_it_is_taken_for_dead() {
    let mut cluster = Cluster::start(3, 8).await;
    let leader = cluster.leader().await;
    cluster.commit(leader, 10).await;
    for server in cluster.running().filter(|server| server.id != node(leader)) {
        server.consensus().take_over_from(node(leader));
    }
    let other = |cluster: &Cluster| cluster.running().any(|s| s.leads() && s.id != node(leader));
    until("another leads", || other(&cluster)).await;
    let next = cluster.leader().await;
    cluster.commit(next, 10).await;
    cluster.agree().await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_without_majority_commits_nothing() {
    let mut cluster = Cluster::start(3, 5).await;
    let old = cluster.leader().await;
    cluster.commit(old, 5).await;
    cluster.network.isolate(node(old));
    let lost = command(999);
    cluster
        .server(old)
        .group()
        .propose(lost.clone())
        .expect("it does not know yet");
    let others: Vec<u64> = (1..=3).filter(|id| *id != old).collect();
    let new = cluster.leader_among(&others).await;
    cluster.commit(new, 5).await;
    assert!(!cluster.server(old).ledger().has(&lost));
    cluster.network.heal();
    cluster.agree().await;
    assert!(
        !cluster.server(old).ledger().has(&lost),
        "overwritten by the new leader"
    );
    assert!(!cluster.server(old).leads());
}

/// A leader that hears nobody has commands refused, and may be heard again by the same followers.
#[tokio::test(start_paused = true)]
async fn what_follows_a_refused_command_is_refused_or_of_another_leadership() {
    let mut kept = 0;
    for seed in 20..40 {
        let mut cluster = Cluster::start(3, seed).await;
        let leader = cluster.leader().await;
        cluster.commit(leader, 5).await;
        let ledger = cluster.server(leader).ledger();
        for id in 1..=3 {
            cluster.network.isolate(node(id));
        }
        let hears = || cluster.server(leader).group().hears_majority();
        until("the leader hears nobody", || hears() == Some(false)).await;
        // From time to time it asks whether it is heard again; others may be elected before.
        tokio::time::sleep(Duration::from_millis(100 * seed)).await;
        // Each command with the number of roles the machine had been told before.
        let mut proposed = Vec::new();
        let mut number = 1000;
        let mut propose = || {
            number += 1;
            let roles = ledger.state().roles.len();
            let group = cluster.server(leader).group();
            if group.propose(command(number)).is_ok() {
                proposed.push((command(number), roles));
            }
            ledger.has(&command(number.saturating_sub(50)))
        };
        for _ in 0..3 {
            propose();
        }
        cluster.network.heal();
        until("commands are taken again", || {
            propose() || !cluster.server(leader).leads() && cluster.running().any(|it| it.leads())
        })
        .await;
        cluster.agree().await;
        let refused = ledger.state().refused.clone();
        assert!(!refused.is_empty(), "seed {seed}: nothing was refused");
        let mut last_refused = None;
        for (command, roles) in proposed {
            if refused.contains(&command) {
                last_refused = Some(roles);
            } else if ledger.has(&command) {
                assert!(
                    last_refused.is_none_or(|before| before < roles),
                    "seed {seed}: a command took effect after one that did not"
                );
            }
        }
        kept += usize::from(cluster.server(leader).leads());
        cluster.end().await;
    }
    assert!(kept > 5, "others were elected in all but {kept} runs");
}

#[tokio::test(start_paused = true)]
async fn everything_applied_survives_a_power_failure_of_all() {
    let mut cluster = Cluster::start(3, 6).await;
    for _ in 0..3 {
        let leader = cluster.leader().await;
        cluster.commit(leader, 50).await;
        for id in 1..=3 {
            cluster.crash(id).await;
        }
        for id in 1..=3 {
            cluster.boot(id).await;
        }
    }
    let leader = cluster.leader().await;
    cluster.commit(leader, 1).await;
    cluster.agree().await;
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_keeps_what_a_slow_replica_still_needs() {
    let mut cluster = Cluster::start(3, 8).await;
    let leader = cluster.leader().await;
    cluster.commit(leader, 100).await;
    cluster.agree().await;
    for id in 1..=3 {
        cluster
            .server(id)
            .group()
            .checkpoint()
            .await
            .expect("a checkpoint");
        let log = cluster.server(id).wal().log(GROUP);
        until("the log was purged", || log.first_index() > 90).await;
    }
    cluster.commit(leader, 20).await;
    cluster.agree().await;
    for id in 1..=3 {
        assert_eq!(cluster.server(id).ledger().state().installed, 0);
        cluster.crash(id).await;
    }
    for id in 1..=3 {
        cluster.boot(id).await;
    }
    let leader = cluster.leader().await;
    cluster.commit(leader, 5).await;
    cluster.agree().await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_checkpoint_does_not_stop_the_group() {
    let mut cluster = Cluster::start(3, 9).await;
    let leader = cluster.leader().await;
    cluster.commit(leader, 5).await;
    cluster.server(leader).ledger().state().checkpoint_error = true;
    let result = cluster.server(leader).group().checkpoint().await;
    assert!(matches!(result, Err(ChangeError::Storage(_))), "{result:?}");
    cluster.commit(leader, 5).await;
    cluster.agree().await;
}

#[tokio::test(start_paused = true)]
async fn members_come_and_go() {
    let mut cluster = Cluster::start(3, 10).await;
    let leader = cluster.leader().await;
    cluster.commit(leader, 50).await;
    let mut fourth = Server::new(4, &cluster.network, 10);
    fourth.boot();
    fourth.open(Start::Join).await;
    cluster.servers.insert(4, fourth);

    let gone = (1..=3).find(|id| *id != leader).expect("a follower");
    let stays: Vec<u64> = (1..=4).filter(|id| *id != gone).collect();
    let group = cluster.server(leader).group().clone();
    group.change_members(nodes(&stays)).await.expect("changed");
    assert_eq!(group.members().voters, nodes(&stays));
    assert!(group.members().learners.is_empty());
    cluster.commit(leader, 50).await;
    cluster.crash(gone).await;
    cluster.servers.remove(&gone);
    cluster.agree().await;

    // The leader itself goes, too.
    let rest: Vec<u64> = stays.iter().copied().filter(|id| *id != leader).collect();
    group.change_members(nodes(&rest)).await.expect("changed");
    let next = cluster.leader_among(&rest).await;
    let old = cluster.server(leader).group().clone();
    until("the old leader stands back", || {
        !matches!(old.role(), Role::Leader { .. })
    })
    .await;
    cluster.crash(leader).await;
    cluster.servers.remove(&leader);
    cluster.commit(next, 10).await;
    cluster.agree().await;
}

/// Has the leader add a fourth server, which has not opened its replica yet. Returns the leader and
/// the change that waits.
async fn wait_for_a_fourth(
    cluster: &mut Cluster,
) -> (u64, tokio::task::JoinHandle<Result<(), ChangeError>>) {
    let leader = cluster.leader().await;
    cluster.commit(leader, 50).await;
    let mut fourth = Server::new(4, &cluster.network, 27);
    fourth.boot();
    cluster.servers.insert(4, fourth);
    let group = cluster.server(leader).group().clone();
    let changing = group.clone();
    let waits = tokio::spawn(async move { changing.change_members(nodes(&[1, 2, 3, 4])).await });
    until("the fourth is waited for", || {
        group.members().learners == nodes(&[4])
    })
    .await;
    (leader, waits)
}

/// Each says who the members are in the end, so the later one would take the other's member away.
#[tokio::test(start_paused = true)]
async fn changes_during_another_one_are_refused() {
    let mut cluster = Cluster::start(3, 27).await;
    let (leader, waits) = wait_for_a_fourth(&mut cluster).await;
    let mut fifth = Server::new(5, &cluster.network, 27);
    fifth.boot();
    fifth.open(Start::Join).await;
    cluster.servers.insert(5, fifth);
    let group = cluster.server(leader).group().clone();
    let second = group.change_members(nodes(&[1, 2, 3, 5])).await;
    assert!(matches!(second, Err(ChangeError::InProgress)), "{second:?}");
    cluster.server_mut(4).open(Start::Join).await;
    waits.await.expect("it ends").expect("changed");
    group
        .change_members(nodes(&[1, 2, 3, 4, 5]))
        .await
        .expect("changed");
    assert_eq!(group.members().voters, nodes(&[1, 2, 3, 4, 5]));
    cluster.agree().await;
}

#[tokio::test(start_paused = true)]
async fn a_replica_released_during_a_change_is_not_brought_back_by_it() {
    let mut cluster = Cluster::start(3, 28).await;
    let (leader, waits) = wait_for_a_fourth(&mut cluster).await;
    let group = cluster.server(leader).group().clone();
    let damaged = (1..=3).find(|id| *id != leader).expect("a follower");
    group.release(node(damaged)).await.expect("a majority");
    cluster.server_mut(4).open(Start::Join).await;
    let outcome = waits.await.expect("it ends");
    assert!(
        matches!(outcome, Err(ChangeError::InProgress)),
        "{outcome:?}"
    );
    assert!(!group.members().voters.contains(&node(damaged)));
}

#[tokio::test(start_paused = true)]
async fn impossible_changes_are_refused() {
    let mut cluster = Cluster::start(3, 11).await;
    let leader = cluster.leader().await;
    cluster.commit(leader, 1).await;
    let follower = (1..=3).find(|id| *id != leader).expect("a follower");
    let group = cluster.server(leader).group();
    assert!(matches!(
        group.change_members(nodes(&[])).await,
        Err(ChangeError::Members(_))
    ));
    let elsewhere = cluster
        .server(follower)
        .group()
        .change_members(nodes(&[1]))
        .await;
    assert!(matches!(
        elsewhere,
        Err(ChangeError::NotLeader { leader: Some(_) })
    ));
    let stranger = group.transfer_leader(Some(node(9))).await;
    assert!(matches!(stranger, Err(ChangeError::NoTarget)));
    cluster.commit(leader, 1).await;
}

#[tokio::test(start_paused = true)]
async fn leadership_moves_on_request_without_an_outage() {
    let mut cluster = Cluster::start(3, 12).await;
    let leader = cluster.leader().await;
    cluster.commit(leader, 10).await;
    let target = (1..=3).find(|id| *id != leader).expect("a follower");
    let begun = Instant::now();
    let new = cluster
        .server(leader)
        .group()
        .transfer_leader(Some(node(target)))
        .await;
    assert_eq!(new.expect("moved"), node(target));
    let server = cluster.server(target);
    until("the new leader is ready", || server.leads()).await;
    assert!(
        begun.elapsed() < Duration::from_millis(200),
        "{:?}",
        begun.elapsed()
    );
    cluster.commit(target, 10).await;
    cluster.agree().await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_hands_over_first() {
    let mut cluster = Cluster::start(3, 13).await;
    let leader = cluster.leader().await;
    cluster.commit(leader, 10).await;
    cluster.note_leaders();
    cluster.server_mut(leader).stop().await;
    let stopped = Instant::now();
    let next = cluster.leader().await;
    cluster.commit(next, 1).await;
    assert!(
        stopped.elapsed() < Duration::from_millis(200),
        "{:?}",
        stopped.elapsed()
    );
    cluster.boot(leader).await;
    cluster.agree().await;
}

#[tokio::test(start_paused = true)]
async fn commands_refused_during_a_transfer_are_handed_back() {
    let mut cluster = Cluster::start(3, 14).await;
    let leader = cluster.leader().await;
    cluster.commit(leader, 1).await;
    let server = cluster.server(leader);
    let group = server.group().clone();
    let moving = tokio::spawn(async move { group.transfer_leader(None).await });
    let mut taken = Vec::new();
    let mut number = 100;
    until("the role changed", || {
        number += 1;
        match server.group().propose(command(number)) {
            Ok(()) => {
                taken.push(command(number));
                false
            }
            Err(ProposeError::NotLeader { .. }) => true,
            Err(error) => panic!("{error}"),
        }
    })
    .await;
    moving.await.expect("joined").expect("moved");
    let ledger = server.ledger();
    let settled = || {
        let refused = ledger.state().refused.clone();
        taken
            .iter()
            .all(|command| refused.contains(command) != ledger.has(command))
    };
    until("each command was either applied or handed back", settled).await;
    assert!(
        !ledger.state().refused.is_empty(),
        "the test saw no refusal"
    );
    cluster.agree().await;
}

#[tokio::test(start_paused = true)]
async fn terms_never_go_back() {
    let mut cluster = Cluster::start(3, 15).await;
    let mut term = 0;
    for _ in 0..5 {
        let leader = cluster.leader().await;
        let now = cluster.server(leader).group().term();
        assert!(now > term, "term {now} after {term}");
        term = now;
        // Votes are on disk before they are given, so a crash right after does not undo them.
        for id in 1..=3 {
            cluster.crash(id).await;
        }
        for id in 1..=3 {
            cluster.boot(id).await;
            assert!(cluster.server(id).group().term() >= term);
        }
    }
    cluster.agree().await;
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_stops_one_replica_and_not_the_group() {
    let mut cluster = Cluster::start(3, 16).await;
    let leader = cluster.leader().await;
    cluster.commit(leader, 1).await;
    let full = (1..=3).find(|id| *id != leader).expect("a follower");
    cluster.server(full).fs.set_capacity_bytes(Some(1));
    for _ in 0..20 {
        let mut big = vec![1; 60_000];
        big.extend_from_slice(&cluster.fresh_command());
        let command = bytes::Bytes::from(big);
        cluster
            .server(leader)
            .group()
            .propose(command.clone())
            .expect("taken");
        cluster.applied.push(command.clone());
        let ledger = cluster.server(leader).ledger();
        until("the others commit", || ledger.has(&command)).await;
    }
    assert!(cluster.server(full).wal().is_full());
    cluster.server(full).fs.set_capacity_bytes(None);
    cluster.agree().await;
}

#[tokio::test(start_paused = true)]
async fn many_idle_groups_are_quiet() {
    let cluster = Cluster::start(3, 17).await;
    cluster.leader().await;
    let before = cluster.network.requests();
    let seconds = 10;
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let requests = cluster.network.requests() - before;
    // Two followers, at most one heartbeat each quarter of a second.
    assert!(requests <= 2 * 4 * seconds, "{requests} requests");
}

#[tokio::test(start_paused = true)]
async fn a_local_group_becomes_a_replicated_one_and_back() {
    let mut cluster = Cluster::start(3, 18).await;
    let (local, replicated, again) = (GroupId(1), GroupId(2), GroupId(3));
    let consensus: Vec<_> = (1..=3)
        .map(|id| cluster.server(id).consensus().clone())
        .collect();
    let disks: Vec<_> = (0..3).map(|_| Arc::new(Disk::default())).collect();

    let ledger = Ledger::open(disks[0].clone());
    let group = consensus[0]
        .local(local, ledger.clone())
        .await
        .expect("opens");
    group.propose(command(1)).expect("taken");
    until("applied", || ledger.len() == 1).await;
    group.checkpoint().await.expect("a checkpoint");
    group.shutdown().await;

    let ledger = Ledger::open(disks[0].clone());
    let alone = Start::Founding(nodes(&[1]));
    let group = consensus[0]
        .replicated(replicated, alone, ledger.clone())
        .await
        .expect("opens");
    until("it leads", || matches!(group.role(), Role::Leader { .. })).await;
    group.checkpoint().await.expect("a checkpoint");
    let mut others = Vec::new();
    for place in [1, 2] {
        let ledger = Ledger::open(disks[place].clone());
        let joins = consensus[place]
            .replicated(replicated, Start::Join, ledger.clone())
            .await;
        others.push((joins.expect("opens"), ledger));
    }
    group
        .change_members(nodes(&[1, 2, 3]))
        .await
        .expect("changed");
    // Indexes of the new log are lower than those the ledger has seen; it only looks at commands.
    let have = |ledger: &Ledger| ledger.has(&command(1));
    until("all have the command", || {
        others.iter().all(|(_, ledger)| have(ledger))
    })
    .await;

    group.change_members(nodes(&[1])).await.expect("changed");
    group.checkpoint().await.expect("a checkpoint");
    for (group, _) in others {
        group.remove().await.expect("removed");
    }
    group.remove().await.expect("removed");
    let ledger = Ledger::open(disks[0].clone());
    let group = consensus[0]
        .local(again, ledger.clone())
        .await
        .expect("opens");
    assert!(ledger.has(&command(1)));
    group.shutdown().await;
    cluster.agree().await;
}

#[tokio::test(start_paused = true)]
async fn the_only_member_leads_again_at_once() {
    let mut cluster = Cluster::start(1, 19).await;
    let leader = cluster.leader().await;
    cluster.commit(leader, 5).await;
    cluster.crash(1).await;
    let begun = Instant::now();
    cluster.boot(1).await;
    cluster.leader().await;
    assert!(
        begun.elapsed() < Duration::from_millis(100),
        "{:?}",
        begun.elapsed()
    );
    cluster.commit(1, 5).await;
    cluster.agree().await;
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_panics_stops_its_replica() {
    let mut cluster = Cluster::start(3, 20).await;
    let leader = cluster.leader().await;
    cluster.commit(leader, 5).await;
    cluster.server(leader).ledger().state().panics = true;
    let group = cluster.server(leader).group().clone();
    group.propose(command(0)).expect("taken");
    until("it takes no more", || {
        group.propose(command(0)) == Err(ProposeError::Closed)
    })
    .await;
    let others: Vec<u64> = (1..=3).filter(|id| *id != leader).collect();
    let next = cluster.leader_among(&others).await;
    cluster.commit(next, 5).await;
}
