//! Queue groups on one server.

use crate::support::Server;

#[tokio::test]
async fn one_member_gets_each_message() {
    const MESSAGES: usize = 300;
    let server = Server::start().await;
    let mut members = Vec::new();
    for _ in 0..3 {
        let mut member = server.modern().await;
        member.send("SUB work.* team 1\r\n").await;
        member.sync().await;
        members.push(member);
    }
    let mut publisher = server.modern().await;
    publisher
        .send("PUB work.x 1\r\nj\r\n".repeat(MESSAGES))
        .await;
    publisher.sync().await;
    let counts: Vec<u64> = {
        let mut connections = server.hub.connections();
        connections.truncate(3);
        connections
            .iter()
            .map(|connection| connection.out_messages)
            .collect()
    };
    assert_eq!(counts.iter().sum::<u64>(), MESSAGES as u64, "{counts:?}");
    assert!(
        counts.iter().all(|count| *count > MESSAGES as u64 / 10),
        "uneven: {counts:?}"
    );
}

#[tokio::test]
async fn a_member_with_two_filters_is_still_one_group() {
    let server = Server::start().await;
    let mut member = server.modern().await;
    member
        .send("SUB work.* team 1\r\nSUB work.> team 2\r\nSUB work.x other 3\r\n")
        .await;
    member.send("PUB work.x 1\r\nj\r\nPING\r\n").await;
    let mut sids = Vec::new();
    for _ in 0..2 {
        sids.push(member.line().await);
        member.expect("j\r\n").await;
    }
    member.expect("PONG\r\n").await;
    let others = sids
        .iter()
        .filter(|line| line.as_str() == "MSG work.x 3 1\r\n")
        .count();
    assert_eq!(others, 1, "{sids:?}");
}

#[tokio::test]
async fn a_member_that_cannot_take_a_message_is_passed_over() {
    let server = Server::start().await;
    let mut deaf = server.connect().await;
    deaf.send("CONNECT {\"verbose\":false,\"echo\":false}\r\nSUB work team 1\r\n")
        .await;
    let mut member = server.modern().await;
    member.send("SUB work team 1\r\n").await;
    member.sync().await;
    deaf.sync().await;
    deaf.send("PUB work 1\r\nj\r\n".repeat(20)).await;
    deaf.sync().await;
    member.expect("MSG work 1 1\r\nj\r\n".repeat(20)).await;
}
