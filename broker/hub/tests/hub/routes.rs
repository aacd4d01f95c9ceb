//! Two and three servers in one process.

use std::{sync::Arc, time::Duration};

use hub::{AsyncStream, PeerHello, RouteEvent};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{DEADLINE, Server, Users, cluster, eventually, options};

async fn meshed(servers: &[&Server]) {
    for server in servers {
        let others = servers.len() - 1;
        let up = || server.hub.route_peers().len() == others;
        eventually("every server has a route to every other", up).await;
    }
}

async fn interest(server: &Server, subject: &str, expected: bool) {
    let account = server.hub.account("$G");
    let known = || server.hub.has_interest(&account, subject) == expected;
    eventually("interest has spread", known).await;
}

#[tokio::test]
async fn messages_and_interest_cross_a_route() {
    let a = Server::member("NA", &[]).await;
    let b = Server::member("NB", &[&a]).await;
    let mut early = b.connect().await;
    early
        .send("CONNECT {\"verbose\":false}\r\nSUB early 1\r\n")
        .await;
    meshed(&[&a, &b]).await;
    interest(&a, "early", true).await;
    let mut late = b.modern().await;
    late.send("SUB late.> 5\r\nSUB late.> 6\r\n").await;
    interest(&a, "late.x", true).await;
    let mut publisher = a.modern().await;
    publisher
        .send("PUB early 1\r\ne\r\nHPUB late.x r 12 13\r\nNATS/1.0\r\n\r\nl\r\n")
        .await;
    early.expect("MSG early 1 1\r\ne\r\n").await;
    let mut got = Vec::new();
    for _ in 0..2 {
        got.push(late.line().await);
        late.expect("NATS/1.0\r\n\r\nl\r\n").await;
    }
    got.sort();
    assert_eq!(
        got,
        ["HMSG late.x 5 r 12 13\r\n", "HMSG late.x 6 r 12 13\r\n"]
    );
    late.send("UNSUB 5\r\n").await;
    late.sync().await;
    interest(&a, "late.x", true).await;
    late.send("UNSUB 6\r\n").await;
    interest(&a, "late.x", false).await;
    drop(early);
    interest(&a, "early", false).await;
}

#[tokio::test]
async fn a_request_is_answered_across_a_route() {
    let a = Server::member("NA", &[]).await;
    let b = Server::member("NB", &[&a]).await;
    meshed(&[&a, &b]).await;
    let mut service = b.modern().await;
    service.send("SUB svc q 1\r\n").await;
    interest(&a, "svc", true).await;
    let mut client = a.modern().await;
    client.send("SUB inbox.* 1\r\n").await;
    interest(&b, "inbox.1", true).await;
    client.send("PUB svc inbox.1 1\r\nq\r\n").await;
    service.expect("MSG svc 1 inbox.1 1\r\nq\r\n").await;
    service.send("PUB inbox.1 1\r\na\r\n").await;
    client.expect("MSG inbox.1 1 1\r\na\r\n").await;
    // Nobody anywhere: the requester's own server says so.
    drop(service);
    interest(&a, "svc", false).await;
    client.send("PUB svc inbox.2 0\r\n\r\n").await;
    client
        .expect("HMSG inbox.2 1 35 35\r\nNATS/1.0 503\r\n")
        .await;
}

#[tokio::test]
async fn one_member_of_a_queue_group_in_the_whole_cluster() {
    const MESSAGES: usize = 200;
    let a = Server::member("NA", &[]).await;
    let b = Server::member("NB", &[&a]).await;
    let c = Server::member("NC", &[&a]).await;
    meshed(&[&a, &b, &c]).await;
    let mut on_b = b.modern().await;
    on_b.send("SUB work team 1\r\nSUB work 2\r\n").await;
    let mut on_c = c.modern().await;
    on_c.send("SUB work team 1\r\nSUB work team 2\r\nSUB work team 3\r\n")
        .await;
    on_b.sync().await;
    on_c.sync().await;
    let weight_known = || {
        let members = a.hub.route_snapshots();
        members
            .iter()
            .map(|route| route.subscriptions)
            .sum::<usize>()
            == 3
    };
    eventually("interest has spread", weight_known).await;
    let mut publisher = a.modern().await;
    publisher.send("PUB work 1\r\nj\r\n".repeat(MESSAGES)).await;
    publisher.sync().await;
    let delivered = |server: &Server| server.hub.connections()[0].out_messages as usize;
    let all = || delivered(&b) + delivered(&c) == 2 * MESSAGES;
    eventually("every message arrived", all).await;
    let team_b = delivered(&b) - MESSAGES;
    let team_c = delivered(&c);
    assert!(
        team_b > 0 && team_c > team_b,
        "by weight: {team_b} and {team_c}"
    );
    // A member on the publisher's own server is preferred to all others.
    let mut on_a = a.modern().await;
    on_a.send("SUB work team 9\r\n").await;
    on_a.sync().await;
    publisher.send("PUB work 1\r\nk\r\n".repeat(MESSAGES)).await;
    on_a.expect("MSG work 9 1\r\nk\r\n".repeat(MESSAGES)).await;
    eventually("plain interest is served", || {
        delivered(&b) == 2 * MESSAGES + team_b
    })
    .await;
    assert_eq!(delivered(&c), team_c);
}

#[tokio::test]
async fn servers_find_each_other_through_one() {
    let a = Server::member("NA", &[]).await;
    let b = Server::member("NB", &[&a]).await;
    let c = Server::member("NC", &[&a]).await;
    let d = Server::member("ND", &[&c]).await;
    meshed(&[&a, &b, &c, &d]).await;
    // A message takes one hop: nobody hears it twice.
    let mut listener = d.modern().await;
    listener.send("SUB foo 1\r\n").await;
    interest(&b, "foo", true).await;
    let mut publisher = b.modern().await;
    publisher.send("PUB foo 1\r\nx\r\n").await;
    publisher.sync().await;
    listener.expect("MSG foo 1 1\r\nx\r\n").await;
    listener.sync().await;
}

#[tokio::test]
async fn servers_that_dial_each_other_and_themselves_keep_one_route() {
    let a = Server::member("NA", &[]).await;
    let b = Server::member("NB", &[]).await;
    a.join(&[&a, &b]);
    b.join(&[&a, &b]);
    meshed(&[&a, &b]).await;
    let mut listener = b.modern().await;
    listener.send("SUB foo 1\r\n").await;
    interest(&a, "foo", true).await;
    // Whatever route was a duplicate is gone once both ends agree.
    let settled = || {
        let (of_a, of_b) = (a.hub.route_snapshots(), b.hub.route_snapshots());
        of_a.len() == 1 && of_b.len() == 1 && of_a[0].did_solicit != of_b[0].did_solicit
    };
    eventually("both ends agree on the route", settled).await;
    interest(&a, "foo", true).await;
    let mut publisher = a.modern().await;
    publisher.send("PUB foo 1\r\nx\r\n").await;
    publisher.sync().await;
    listener.expect("MSG foo 1 1\r\nx\r\n").await;
    listener.sync().await;
}

#[tokio::test]
async fn a_route_comes_back_and_watchers_are_told() {
    let a = Server::member("NA", &[]).await;
    let events = Arc::new(Mutex::new(Vec::new()));
    let log = events.clone();
    a.hub.on_route_change(Arc::new(move |event: &RouteEvent| {
        log.lock()
            .push((event.server_name.clone(), event.up, event.extra.clone()));
    }));
    let b = Server::member("NB", &[]).await;
    b.hub.set_route_info_extra(serde_json::json!({"node": 7}));
    a.join(&[&b]);
    meshed(&[&a, &b]).await;
    b.hub.set_route_info_extra(serde_json::json!({"node": 8}));
    eventually("the new fact has arrived", || events.lock().len() == 2).await;
    drop(b);
    eventually("the route is down", || events.lock().len() == 3).await;
    let log = events.lock().clone();
    let name = || "nb".to_owned();
    assert_eq!(
        log,
        [
            (name(), true, serde_json::json!({"node": 7})),
            (name(), true, serde_json::json!({"node": 8})),
            (name(), false, serde_json::json!({"node": 8})),
        ]
    );
}

#[tokio::test]
async fn strangers_are_refused() {
    let mut with_password = options("NA");
    with_password.cluster = Some(hub::ClusterOptions {
        user: Some(("route".to_owned(), "secret".to_owned())),
        ..cluster()
    });
    let a = Server::with(with_password, Users::default()).await;
    let b = Server::member("NB", &[&a]).await;
    let mut elsewhere = options("NC");
    elsewhere.cluster = Some(hub::ClusterOptions {
        name: "elsewhere".to_owned(),
        ..cluster()
    });
    let c = Server::with(elsewhere, Users::default()).await;
    c.join(&[&a]);
    let mut trusted = a.route_url();
    trusted.user = Some(("route".to_owned(), "secret".to_owned()));
    let d = Server::member("ND", &[]).await;
    d.hub.set_routes(&[trusted]);
    eventually("the one with the password is in", || {
        a.hub.route_peers().len() == 1
    })
    .await;
    assert_eq!(a.hub.route_peers()[0].server_id, "ND");
    assert!(b.hub.route_peers().is_empty());
    assert!(c.hub.route_peers().is_empty());
}

#[tokio::test]
async fn a_client_on_the_cluster_port_is_told_so() {
    let a = Server::member("NA", &[]).await;
    let stream = tokio::net::TcpStream::connect(a.routes.unwrap())
        .await
        .unwrap();
    let mut client = crate::support::Client::new(stream);
    client.info().await;
    client
        .send("CONNECT {\"verbose\":false,\"lang\":\"go\"}\r\n")
        .await;
    client
        .expect("-ERR 'attempted to connect to route port'\r\n")
        .await;
    client.expect_end().await;
}

#[tokio::test]
async fn clients_learn_where_the_other_servers_are() {
    let a = Server::member("NA", &[]).await;
    let mut client = a.modern().await;
    let b = Server::member("NB", &[&a]).await;
    let urls = client.info().await["connect_urls"].clone();
    let expected = serde_json::json!([a.clients.to_string(), b.clients.to_string()]);
    assert_eq!(urls, expected);
    drop(b);
    let urls = client.info().await["connect_urls"].clone();
    assert_eq!(urls, serde_json::json!([a.clients.to_string()]));
}

#[tokio::test]
async fn a_peer_may_open_a_stream_of_its_own() {
    let a = Server::member("NA", &[]).await;
    let b = Server::member("NB", &[]).await;
    a.hub.on_peer_stream(Arc::new(
        |hello: PeerHello, mut stream: Box<dyn AsyncStream>| {
            tokio::spawn(async move {
                let mut question = [0; 4];
                stream.read_exact(&mut question).await.unwrap();
                let answer = format!(
                    "{} {} {}",
                    hello.server_id, hello.hello["lane"], question[0]
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            });
        },
    ));
    let address = a.routes.unwrap().to_string();
    let mut stream = b
        .hub
        .dial_peer(&address, &serde_json::json!({"lane": 3}))
        .await
        .unwrap();
    stream.write_all(b"*abc").await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(DEADLINE, stream.read_to_string(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(answer, "NB 3 42");
}

#[tokio::test]
async fn a_connection_that_never_introduces_itself_is_dropped() {
    let mut options = options("NA");
    options.cluster = Some(hub::ClusterOptions {
        auth_timeout: Duration::from_millis(50),
        ..cluster()
    });
    let a = Server::with(options, Users::default()).await;
    for words in ["", "PING\r\n"] {
        let stream = tokio::net::TcpStream::connect(a.routes.unwrap())
            .await
            .unwrap();
        let mut client = crate::support::Client::new(stream);
        client.info().await;
        client.send(words).await;
        if !words.is_empty() {
            client.expect("PONG\r\n").await;
        }
        client.expect_end().await;
    }
}

#[tokio::test]
async fn routes_can_be_changed_while_the_servers_run() {
    let a = Server::member("NA", &[]).await;
    let b = Server::member("NB", &[]).await;
    let c = Server::member("NC", &[&a]).await;
    eventually("the first route is up", || c.hub.route_peers().len() == 1).await;
    c.join(&[&b]);
    eventually("only the second route is up", || {
        let peers = c.hub.route_peers();
        peers.len() == 1 && peers[0].server_id == "NB"
    })
    .await;
    eventually("the other side knows", || a.hub.route_peers().is_empty()).await;
    c.join(&[&a, &b]);
    eventually("all routes are up", || c.hub.route_peers().len() == 2).await;
}
