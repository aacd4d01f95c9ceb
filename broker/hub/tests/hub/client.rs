//! The client protocol, one verb at a time.

use crate::support::{MODERN, Server, Users, eventually, options};

#[tokio::test]
async fn info_names_the_server_and_its_limits() {
    let server = Server::start().await;
    let stream = tokio::net::TcpStream::connect(server.clients)
        .await
        .unwrap();
    let info = crate::support::Client::new(stream).info().await;
    assert_eq!(info["server_id"], "NTEST");
    assert_eq!(info["server_name"], "ntest");
    assert_eq!(info["proto"], 1);
    assert_eq!(info["port"], server.clients.port());
    assert_eq!(info["headers"], true);
    assert_eq!(info["max_payload"], 1_048_576);
    assert_eq!(info["client_ip"], "127.0.0.1");
    for absent in [
        "auth_required",
        "tls_required",
        "nonce",
        "connect_urls",
        "ldm",
        "jetstream",
    ] {
        assert!(info.get(absent).is_none(), "{absent} in {info}");
    }
}

#[tokio::test]
async fn the_first_ping_is_answered_with_a_second_info() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.send(MODERN).await;
    client.send("PING\r\n").await;
    client.expect("PONG\r\n").await;
    let info = client.info().await;
    assert_eq!(info["connect_info"], true);
    assert_eq!(info["remote_account"], "$G");
    client.send("PING\r\n").await;
    client.expect("PONG\r\n").await;
    client.sync().await;
}

#[tokio::test]
async fn old_clients_get_no_second_info() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client
        .send("CONNECT {\"verbose\":false}\r\nPING\r\nPING\r\n")
        .await;
    client.expect("PONG\r\nPONG\r\n").await;
}

#[tokio::test]
async fn verbose_operations_are_confirmed_before_their_effects() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client
        .send("CONNECT {}\r\nSUB foo 1\r\nPUB foo 2\r\nhi\r\nUNSUB 1\r\nUNSUB 9\r\n")
        .await;
    client
        .expect("+OK\r\n+OK\r\n+OK\r\nMSG foo 1 2\r\nhi\r\n+OK\r\n+OK\r\n")
        .await;
}

#[tokio::test]
async fn connect_is_optional_without_users() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.send("SUB foo 1\r\nPUB foo 1\r\na\r\nPING\r\n").await;
    client
        .expect("+OK\r\n+OK\r\nMSG foo 1 1\r\na\r\nPONG\r\n")
        .await;
}

#[tokio::test]
async fn a_second_connect_changes_only_what_it_mentions() {
    let server = Server::start().await;
    let mut client = server.modern().await;
    client
        .send("CONNECT {\"headers\":true}\r\nPUB foo 1\r\na\r\nPING\r\n")
        .await;
    client.expect("PONG\r\n").await;
    client.send("CONNECT {\"verbose\":true}\r\n").await;
    client.expect("+OK\r\n").await;
}

#[tokio::test]
async fn verbs_spaces_and_line_ends_are_read_generously() {
    let server = Server::start().await;
    let mut client = server.modern().await;
    client.send("sub\tfoo   1\npub foo 2  \nhi\r\nPiNg\n").await;
    client.expect("MSG foo 1 2\r\nhi\r\nPONG\r\n").await;
}

#[tokio::test]
async fn an_operation_may_arrive_in_pieces() {
    let server = Server::start().await;
    let mut client = server.modern().await;
    for piece in [
        "SUB a", " 1\r", "\nPU", "B a 5", "\r\nhe", "llo", "\r", "\nPIN", "G\r\n",
    ] {
        client.send(piece).await;
        tokio::task::yield_now().await;
    }
    client.expect("MSG a 1 5\r\nhello\r\nPONG\r\n").await;
}

#[tokio::test]
async fn large_messages_pass_whole() {
    let server = Server::start().await;
    let mut client = server.modern().await;
    let payload = "x".repeat(1_000_000);
    client
        .send(format!(
            "SUB big 1\r\nPUB big 1000000\r\n{payload}\r\nPING\r\n"
        ))
        .await;
    client
        .expect(format!("MSG big 1 1000000\r\n{payload}\r\nPONG\r\n"))
        .await;
}

#[tokio::test]
async fn wildcards_and_every_subscription_of_a_connection() {
    let server = Server::start().await;
    let mut client = server.modern().await;
    client
        .send("SUB a.* 1\r\nSUB a.> 2\r\nSUB a.b 3\r\nSUB *.c 4\r\n")
        .await;
    client.sync().await;
    client.send("PUB a.b 1\r\nx\r\nPING\r\n").await;
    let mut got = Vec::new();
    for _ in 0..3 {
        got.push(client.line().await);
        client.expect("x\r\n").await;
    }
    got.sort();
    assert_eq!(
        got,
        ["MSG a.b 1 1\r\n", "MSG a.b 2 1\r\n", "MSG a.b 3 1\r\n"]
    );
    client.expect("PONG\r\n").await;
    client.send("PUB a.b.c r.x 0\r\n\r\nPING\r\n").await;
    client.expect("MSG a.b.c 2 r.x 0\r\n\r\nPONG\r\n").await;
}

#[tokio::test]
async fn unsubscribe_now_and_after_a_number_of_messages() {
    let server = Server::start().await;
    let mut client = server.modern().await;
    client.send("SUB foo 1\r\nUNSUB 1 2\r\n").await;
    client
        .send("PUB foo 1\r\na\r\nPUB foo 1\r\nb\r\nPUB foo 1\r\nc\r\nPING\r\n")
        .await;
    client
        .expect("MSG foo 1 1\r\na\r\nMSG foo 1 1\r\nb\r\nPONG\r\n")
        .await;
    // The sid is free again, and a limit that was passed already ends the subscription at once.
    client
        .send("SUB foo 1\r\nPUB foo 1\r\nd\r\nUNSUB 1 1\r\nPUB foo 1\r\ne\r\nPING\r\n")
        .await;
    client.expect("MSG foo 1 1\r\nd\r\nPONG\r\n").await;
    client
        .send("SUB foo 2\r\nUNSUB 2\r\nPUB foo 1\r\nf\r\nPING\r\n")
        .await;
    client.expect("PONG\r\n").await;
    let snapshot = &server.hub.connections()[0];
    assert_eq!(snapshot.subscriptions, 0);
    assert_eq!((snapshot.in_messages, snapshot.out_messages), (6, 3));
}

#[tokio::test]
async fn a_taken_sid_keeps_its_subscription() {
    let server = Server::start().await;
    let mut client = server.modern().await;
    client
        .send("SUB foo 1\r\nSUB bar 1\r\nPUB bar 1\r\na\r\nPUB foo 1\r\nb\r\nPING\r\n")
        .await;
    client.expect("MSG foo 1 1\r\nb\r\nPONG\r\n").await;
}

#[tokio::test]
async fn headers_are_passed_on_or_stripped() {
    let server = Server::start().await;
    let mut modern = server.modern().await;
    let mut plain = server.connect().await;
    plain
        .send("CONNECT {\"verbose\":false}\r\nSUB h 7\r\n")
        .await;
    plain.sync().await;
    modern
        .send("SUB h 1\r\nHPUB h r 18 20\r\nNATS/1.0\r\nA: b\r\n\r\nhi\r\nPING\r\n")
        .await;
    modern
        .expect("HMSG h 1 r 18 20\r\nNATS/1.0\r\nA: b\r\n\r\nhi\r\nPONG\r\n")
        .await;
    plain.expect("MSG h 7 r 2\r\nhi\r\n").await;
}

#[tokio::test]
async fn a_request_nobody_can_answer_is_answered_at_once() {
    let server = Server::start().await;
    let mut client = server.modern().await;
    client
        .send("SUB inbox.* 1\r\nPUB none.here inbox.5 0\r\n\r\n")
        .await;
    client
        .expect("HMSG inbox.5 1 41 41\r\nNATS/1.0 503\r\nNats-Subject: none.here\r\n\r\n\r\n")
        .await;
    // Without a subscription to the reply there is nobody to tell.
    client.send("PUB none.here other.5 0\r\n\r\nPING\r\n").await;
    client.expect("PONG\r\n").await;
}

#[tokio::test]
async fn echo_can_be_declined() {
    let server = Server::start().await;
    let mut other = server.modern().await;
    other.send("SUB foo 1\r\n").await;
    other.sync().await;
    let mut client = server.connect().await;
    client
        .send("CONNECT {\"verbose\":false,\"echo\":false}\r\nSUB foo 1\r\n")
        .await;
    client.send("PUB foo 1\r\na\r\nPING\r\n").await;
    client.expect("PONG\r\n").await;
    other.expect("MSG foo 1 1\r\na\r\n").await;
}

/// What a client says, what it hears, and whether that is the end.
async fn check(said: &[u8], heard: &str, ends: bool) {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.send(said).await;
    client.expect(heard).await;
    if ends {
        client.expect_end().await;
        return;
    }
    client.sync().await;
}

#[tokio::test]
async fn mistakes_that_end_the_connection() {
    let quiet = "CONNECT {\"verbose\":false,\"pedantic\":false}\r\n";
    let cases: [(&str, &str); 18] = [
        ("FOO\r\n", "-ERR 'Unknown Protocol Operation'\r\n"),
        ("PUB foo 2\r\nhixx", "-ERR 'Unknown Protocol Operation'\r\n"),
        ("\r\n", "-ERR 'Unknown Protocol Operation'\r\n"),
        (
            "PUB foo 1048577\r\n",
            "-ERR 'Maximum Payload Violation'\r\n",
        ),
        ("PUB foo -1\r\n", ""),
        ("PUB foo x\r\n", ""),
        ("PUB foo\r\n", ""),
        ("PUB a b c 1\r\n", ""),
        ("SUB foo\r\n", ""),
        ("SUB a b 1 2\r\n", ""),
        ("HPUB foo 2 2\r\nhi\r\n", ""),
        ("-ERR 'no'\r\n", ""),
        ("CONNECT nonsense\r\n", ""),
        ("CONNECT {\"verbose\":7}\r\n", ""),
        (
            "CONNECT {\"protocol\":2}\r\n",
            "-ERR 'invalid client protocol'\r\n",
        ),
        (
            "CONNECT {\"no_responders\":true}\r\n",
            "-ERR 'no responders requires headers support'\r\n",
        ),
        (
            "CONNECT {\"account\":\"a\"}\r\n",
            "-ERR 'Authorization Violation'\r\n",
        ),
        (
            "CONNECT {\"new_account\":true}\r\n",
            "-ERR 'Authorization Violation'\r\n",
        ),
    ];
    for (said, heard) in cases {
        check(format!("{quiet}{said}").as_bytes(), heard, true).await;
    }
    let long = format!("{quiet}PUB {} 2\r\nhi\r\n", "a".repeat(5000));
    check(
        long.as_bytes(),
        "-ERR 'maximum control line exceeded'\r\n",
        true,
    )
    .await;
}

#[tokio::test]
async fn mistakes_the_connection_survives() {
    let quiet = "CONNECT {\"verbose\":false}\r\n";
    let cases: [(&str, &str); 6] = [
        ("SUB foo..bar 1\r\n", "-ERR 'Invalid Subject'\r\n"),
        ("SUB a.>.b 1\r\n", "-ERR 'Invalid Subject'\r\n"),
        (
            "PUB foo..bar 2\r\nhi\r\n",
            "-ERR 'Invalid Publish Subject'\r\n",
        ),
        (
            "PUB foo.* 2\r\nhi\r\n",
            "-ERR 'Invalid Publish Subject'\r\n",
        ),
        (
            "SUB foo _sys_ 1\r\n",
            "-ERR 'Permissions Violation for Subscription to \"foo\" using queue \"_sys_\"'\r\n",
        ),
        ("INFO {}\r\n+OK\r\nPONG\r\nUNSUB 4\r\n", ""),
    ];
    for (said, heard) in cases {
        check(format!("{quiet}{said}").as_bytes(), heard, false).await;
    }
}

#[tokio::test]
async fn limits_of_subscriptions_tokens_and_connections() {
    let mut options = options("NLIMITS");
    options.limits.max_subscriptions = 2;
    options.limits.max_sub_tokens = 3;
    options.limits.max_connections = 1;
    let server = Server::with(options, Users::default()).await;
    let mut client = server.modern().await;
    client
        .send("SUB a 1\r\nSUB b 2\r\nSUB c 3\r\nSUB a.b.c.d 4\r\n")
        .await;
    client
        .expect("-ERR 'maximum subscriptions exceeded'\r\n")
        .await;
    let text = "Permissions Violation for Subscription to \"a.b.c.d\", too many tokens";
    client.expect(format!("-ERR '{text}'\r\n")).await;
    let mut second = server.connect().await;
    second
        .expect("-ERR 'maximum connections exceeded'\r\n")
        .await;
    second.expect_end().await;
    drop(client);
    eventually("the first client is gone", || {
        server.hub.connections().is_empty()
    })
    .await;
    server.modern().await;
}

#[tokio::test]
async fn monitoring_sees_live_and_closed_connections() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    let connect =
        r#"CONNECT {"verbose":false,"name":"me","lang":"rust","version":"1.2","user":"u"}"#;
    client
        .send(format!("{connect}\r\nSUB foo q 9\r\nPUB foo 3\r\nabc\r\n"))
        .await;
    client.expect("MSG foo 9 3\r\nabc\r\n").await;
    client.sync().await;
    let live = server.hub.connections().remove(0);
    assert_eq!((live.name.as_str(), live.lang.as_str()), ("me", "rust"));
    assert_eq!((live.in_messages, live.in_bytes), (1, 3));
    assert_eq!((live.out_messages, live.out_bytes), (1, 3));
    assert_eq!((live.account.as_str(), live.subscriptions), ("$G", 1));
    let sub = server.hub.subscriptions_of(live.cid).remove(0);
    assert_eq!(
        (sub.subject.as_str(), sub.queue.as_deref()),
        ("foo", Some("q"))
    );
    assert_eq!((sub.sid.as_str(), sub.messages), ("9", 1));
    client.send("NONSENSE\r\n").await;
    client.expect("-ERR 'Unknown Protocol Operation'\r\n").await;
    client.expect_end().await;
    eventually("it is closed", || {
        !server.hub.closed_connections().is_empty()
    })
    .await;
    let closed = server.hub.closed_connections().remove(0);
    assert_eq!((closed.cid, closed.in_messages), (live.cid, 1));
    assert_eq!(
        closed.reason.map(|reason| reason.name()),
        Some("Parse Error")
    );
    let totals = server.hub.totals();
    assert_eq!((totals.connections, totals.total_connections), (0, 1));
    assert_eq!(
        (
            totals.in_messages,
            totals.out_messages,
            totals.subscriptions
        ),
        (1, 1, 0)
    );
}

#[tokio::test]
async fn lame_duck_mode_asks_clients_to_leave_and_then_makes_them() {
    let mut options = options("NDUCK");
    options.limits.lame_duck_grace = std::time::Duration::from_millis(30);
    options.limits.lame_duck_duration = std::time::Duration::from_millis(60);
    let server = Server::with(options, Users::default()).await;
    let mut client = server.modern().await;
    let hub = server.hub.clone();
    let leaving = tokio::spawn(async move { hub.lame_duck().await });
    assert_eq!(client.info().await["ldm"], true);
    client.expect_end().await;
    leaving.await.unwrap();
    let refused = tokio::net::TcpStream::connect(server.clients).await;
    assert!(refused.is_err(), "the listener is closed");
}

#[tokio::test]
async fn lowered_limits_reach_live_connections() {
    let server = Server::start().await;
    let mut first = server.modern().await;
    let mut second = server.modern().await;
    first.send("PUB foo 3\r\nabc\r\n").await;
    first.sync().await;
    let limits = hub::Limits {
        max_payload: 2,
        max_control_line: 100,
        max_connections: 1,
        ..hub::Limits::default()
    };
    server.hub.set_limits(limits);
    // The youngest has to leave.
    second
        .expect("-ERR 'maximum connections exceeded'\r\n")
        .await;
    second.expect_end().await;
    first.send("PUB foo 2\r\nab\r\n").await;
    first.sync().await;
    first.send("PUB foo 3\r\n").await;
    first.expect("-ERR 'Maximum Payload Violation'\r\n").await;
    first.expect_end().await;
    eventually("there is room again", || {
        server.hub.connections().is_empty()
    })
    .await;
    let mut third = server.modern().await;
    third.send(format!("SUB {} 1\r\n", "x".repeat(120))).await;
    third
        .expect("-ERR 'maximum control line exceeded'\r\n")
        .await;
    third.expect_end().await;
}

#[tokio::test]
async fn another_advertised_address_is_told_at_once() {
    let mut options = options("NADV");
    options.cluster = Some(crate::support::cluster());
    let server = Server::with(options, Users::default()).await;
    let mut client = server.modern().await;
    server.hub.set_advertised(hub::Advertised {
        address: Some("example.com:4222".to_owned()),
        nothing: false,
    });
    let info = client.info().await;
    assert_eq!(
        info["connect_urls"],
        serde_json::json!(["example.com:4222"])
    );
}
