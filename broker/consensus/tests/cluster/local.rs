//! Groups on one server.

use bytes::Bytes;
use consensus::{ChangeError, OpenError, ProposeError, Role, Start};

use crate::harness::{GROUP, Server, command, node, nodes, until};
use crate::network::Network;

fn server() -> Server {
    Server::new(1, &Network::new(1), 1)
}

async fn commit(server: &Server, numbers: std::ops::Range<u64>) {
    for number in numbers.clone() {
        server.group().propose(command(number)).expect("taken");
    }
    let ledger = server.ledger();
    until("applied", || ledger.has(&command(numbers.end - 1))).await;
}

#[tokio::test(start_paused = true)]
async fn commands_are_applied_in_order_and_only_when_durable() {
    let mut server = server();
    server.boot();
    server.open_local().await;
    assert_eq!(
        server.ledger().state().roles,
        [(Role::Leader { term: 1 }, 0)]
    );
    server.group().propose(command(0)).expect("taken");
    tokio::task::yield_now().await;
    assert_eq!(server.ledger().len(), 0, "the disk was not synced yet");
    commit(&server, 1..600).await;
    let commands = server.ledger().commands();
    let expected: Vec<(u64, Bytes)> = (1..).zip((0..600).map(command)).collect();
    assert_eq!(commands, expected);
    assert_eq!(server.group().applied_index(), 600);
    assert_eq!(server.group().commit_lag(), 0);
    assert_eq!(server.group().members().voters, nodes(&[1]));
    assert_eq!(server.group().leader(), Some(node(1)));
}

#[tokio::test(start_paused = true)]
async fn what_was_applied_survives_a_crash() {
    let mut server = server();
    server.boot();
    server.open_local().await;
    commit(&server, 0..100).await;
    server.group().propose(command(100)).expect("taken");
    server.crash().await;
    server.boot();
    server.open_local().await;
    let commands = server.ledger().commands();
    assert!(commands.len() >= 100, "{} left", commands.len());
    for (number, (_, applied)) in (0..).zip(&commands) {
        assert_eq!(*applied, command(number));
    }
    // All of it was applied before the group took the lead again.
    assert_eq!(
        server.ledger().state().roles,
        [(Role::Leader { term: 1 }, commands.len())]
    );
    commit(&server, 200..201).await;
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_lets_go_of_the_log() {
    let mut server = server();
    server.boot();
    server.open_local().await;
    server.group().checkpoint().await.expect("nothing to do");
    commit(&server, 0..50).await;
    server.group().checkpoint().await.expect("a checkpoint");
    assert_eq!(server.wal().log(GROUP).first_index(), 51);
    commit(&server, 50..60).await;
    server.crash().await;
    server.boot();
    server.open_local().await;
    assert_eq!(server.ledger().len(), 60);
    assert_eq!(server.group().applied_index(), 60);
    server.group().checkpoint().await.expect("a checkpoint");
    server.stop().await;
    server.boot();
    server.open_local().await;
    commit(&server, 60..61).await;
    assert_eq!(server.group().applied_index(), 61);
}

#[tokio::test(start_paused = true)]
async fn a_failed_checkpoint_keeps_the_log_and_the_group() {
    let mut server = server();
    server.boot();
    server.open_local().await;
    commit(&server, 0..5).await;
    server.ledger().state().checkpoint_error = true;
    let result = server.group().checkpoint().await;
    assert!(matches!(result, Err(ChangeError::Storage(_))), "{result:?}");
    assert_eq!(server.wal().log(GROUP).first_index(), 1);
    commit(&server, 5..6).await;
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_bounded() {
    let mut server = server();
    server.limits.in_flight_count_max = 10;
    server.limits.command_bytes_max = 100;
    server.boot();
    server.open_local().await;
    for number in 0..10 {
        server.group().propose(command(number)).expect("taken");
    }
    assert_eq!(server.group().propose(command(10)), Err(ProposeError::Busy));
    let long = Bytes::from(vec![0; 101]);
    let too_large = Err(ProposeError::TooLarge {
        size: 101,
        limit: 100,
    });
    assert_eq!(server.group().propose(long), too_large);
    let ledger = server.ledger();
    until("applied", || ledger.len() == 10).await;
    commit(&server, 10..11).await;
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_refuses_commands_until_there_is_room() {
    let mut server = server();
    server.boot();
    server.open_local().await;
    commit(&server, 0..1).await;
    server.fs.set_capacity_bytes(Some(1));
    let big = Bytes::from(vec![7; 60_000]);
    let mut refused = None;
    until("a command is refused", || {
        refused = server.group().propose(big.clone()).err();
        refused.is_some()
    })
    .await;
    assert_eq!(refused, Some(ProposeError::Full));
    server.fs.set_capacity_bytes(None);
    let group = server.group().clone();
    until("there is room again", || group.propose(command(1)).is_ok()).await;
    let ledger = server.ledger();
    until("applied", || ledger.has(&command(1))).await;
}

#[tokio::test(start_paused = true)]
async fn a_group_is_opened_once_and_can_be_removed() {
    let mut server = server();
    server.boot();
    server.open_local().await;
    commit(&server, 0..3).await;
    let again = server.consensus().local(GROUP, server.ledger()).await;
    assert!(matches!(again, Err(OpenError::AlreadyOpen(GROUP))));
    assert!(matches!(
        server.consensus().remove(GROUP),
        Err(OpenError::AlreadyOpen(GROUP))
    ));
    assert_eq!(server.consensus().groups().len(), 1);
    let group = server.group().clone();
    group.remove().await.expect("removed");
    assert_eq!(group.propose(command(9)), Err(ProposeError::Closed));
    assert!(server.consensus().group(GROUP).is_none());
    assert_eq!(server.wal().groups(), []);
    server
        .consensus()
        .remove(GROUP)
        .expect("nothing left to remove");
}

#[tokio::test(start_paused = true)]
async fn a_machine_older_than_the_log_is_refused() {
    let mut server = server();
    server.boot();
    server.open_local().await;
    commit(&server, 0..3).await;
    server.group().checkpoint().await.expect("a checkpoint");
    server.group().shutdown().await;
    let empty = crate::ledger::Ledger::open(Default::default());
    commit_nothing(&server, empty.clone()).await;
    // A local machine is no replicated one either.
    let other = server
        .consensus()
        .replicated(GROUP, Start::Join, server.ledger())
        .await;
    assert!(
        matches!(other, Err(OpenError::Storage(_))),
        "the seal is of another kind"
    );
}

async fn commit_nothing(server: &Server, empty: std::sync::Arc<crate::ledger::Ledger>) {
    // The log is empty behind its checkpoint, so one more entry makes the gap visible.
    let log = server.wal().log(GROUP);
    log.append(4, vec![command(4)], |_| {}).expect("appended");
    let opened = server.consensus().local(GROUP, empty).await;
    assert!(
        matches!(opened, Err(OpenError::Storage(_))),
        "there is a gap"
    );
}
