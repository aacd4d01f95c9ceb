//! Readers that do not read.

use std::time::Duration;

use crate::support::{Server, Users, eventually, options};

const KIB: usize = 1024;

#[tokio::test]
async fn a_reader_too_far_behind_is_cut_off_without_a_word() {
    let mut options = options("NSLOW");
    options.limits.max_pending = 256 * KIB;
    options.limits.no_fast_producer_stall = true;
    let server = Server::with(options, Users::default()).await;
    let mut slow = server.modern().await;
    slow.send("SUB flood 1\r\n").await;
    slow.sync().await;
    let mut publisher = server.modern().await;
    let message = format!("PUB flood {}\r\n{}\r\n", 64 * KIB, "x".repeat(64 * KIB));
    for _ in 0..400 {
        publisher.send(&message).await;
    }
    publisher.sync().await;
    eventually("the slow reader is cut off", || {
        server.hub.totals().slow_consumers == 1
    })
    .await;
    let closed = server.hub.closed_connections();
    let reason = closed[0].reason.map(|reason| reason.name());
    assert_eq!(reason, Some("Slow Consumer (Pending Bytes)"));
}

#[tokio::test]
async fn a_publisher_waits_for_readers_that_do_read() {
    const MESSAGES: usize = 200;
    let mut options = options("NSTALL");
    options.limits.max_pending = 2048 * KIB;
    let server = Server::with(options, Users::default()).await;
    let mut reader = server.modern().await;
    reader.send("SUB flood 1\r\n").await;
    reader.sync().await;
    let mut publisher = server.modern().await;
    let payload = "x".repeat(64 * KIB);
    let message = format!("PUB flood {}\r\n{payload}\r\n", 64 * KIB);
    let sending = tokio::spawn(async move {
        for _ in 0..MESSAGES {
            publisher.send(&message).await;
        }
        publisher.sync().await;
    });
    let expected = format!("MSG flood 1 {}\r\n{payload}\r\n", 64 * KIB);
    for _ in 0..MESSAGES {
        reader.expect(&expected).await;
    }
    sending.await.unwrap();
    assert_eq!(server.hub.totals().slow_consumers, 0);
}

#[tokio::test]
async fn a_socket_that_stays_full_is_given_up() {
    let mut options = options("NDEADLINE");
    options.limits.write_deadline = Duration::from_millis(100);
    let server = Server::with(options, Users::default()).await;
    let mut slow = server.modern().await;
    slow.send("SUB flood 1\r\n").await;
    slow.sync().await;
    let mut publisher = server.modern().await;
    let message = format!("PUB flood {}\r\n{}\r\n", 64 * KIB, "x".repeat(64 * KIB));
    for _ in 0..200 {
        publisher.send(&message).await;
    }
    eventually("the slow reader is cut off", || {
        !server.hub.closed_connections().is_empty()
    })
    .await;
    let closed = server.hub.closed_connections();
    let reason = closed[0].reason.map(|reason| reason.name());
    assert_eq!(reason, Some("Slow Consumer (Write Deadline)"));
}

#[tokio::test]
async fn a_silent_client_is_pinged_and_then_given_up() {
    let mut options = options("NPING");
    options.limits.ping_interval = Duration::from_millis(300);
    options.limits.ping_max = 1;
    let server = Server::with(options, Users::default()).await;
    let mut alive = server.connect().await;
    alive.send("CONNECT {\"verbose\":false}\r\n").await;
    alive.expect("PING\r\n").await;
    alive.send("PONG\r\n").await;
    let cid = server.hub.connections()[0].cid;
    let rtt = || {
        server
            .hub
            .connection(cid)
            .and_then(|connection| connection.rtt)
    };
    eventually("the round trip is measured", || rtt().is_some()).await;
    let mut silent = server.connect().await;
    silent.send("CONNECT {\"verbose\":false}\r\n").await;
    silent.expect("PING\r\n-ERR 'Stale Connection'\r\n").await;
    silent.expect_end().await;
    assert!(server.hub.totals().stale_connections >= 1);
}
