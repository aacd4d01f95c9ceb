//! `/metrics` of a live server.

use std::time::{Duration, Instant};

use crate::support::Server;

#[tokio::test(flavor = "multi_thread")]
async fn a_scrape_shows_what_the_server_did() {
    let server = Server::start_with_jetstream().await;
    let mut client = server.client().await;
    client.send("SUB inbox 1").await;
    let stream = r#"{"name":"S","subjects":["x"],"storage":"file"}"#;
    client.request("$JS.API.STREAM.CREATE.S", stream).await;
    let consumer = r#"{"stream_name":"S","config":{"durable_name":"C","ack_policy":"explicit"}}"#;
    client
        .request("$JS.API.CONSUMER.DURABLE.CREATE.S.C", consumer)
        .await;
    for _ in 0..3 {
        client.request("x", "hello").await;
    }
    client.settle().await;
    let (status, headers, _) = server.get("/metrics").await;
    assert_eq!(status, 200);
    assert!(
        headers.contains("content-type: text/plain; version=0.0.4"),
        "{headers}"
    );
    for line in [
        "# TYPE weir_received_messages_total counter",
        "weir_connections_open 1",
        "weir_received_messages_total 5",
        "weir_account_connections_open{account=\"A\"} 1",
        "weir_account_connections_open{account=\"$SYS\"} 0",
        "weir_stream_messages{account=\"A\",stream=\"S\"} 3",
        "weir_stream_last_seq{account=\"A\",stream=\"S\"} 3",
        "weir_stream_consumers{account=\"A\",stream=\"S\"} 1",
        "weir_consumer_pending_messages{account=\"A\",stream=\"S\",consumer=\"C\"} 3",
        "weir_jetstream_api_requests_total 2",
        "weir_server_healthy 1",
        "weir_wal_full 0",
        "# TYPE weir_wal_sync_duration_seconds histogram",
    ] {
        wait_for_line(&server, line).await;
    }
}

/// Waits until the page has the line: some counters follow the answers they count.
async fn wait_for_line(server: &Server, line: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let (_, _, page) = server.get("/metrics").await;
        if page.lines().any(|one| one == line) {
            return;
        }
        assert!(Instant::now() < deadline, "no line {line:?} in\n{page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_jetstream_has_no_stream_metrics() {
    let server = Server::start().await;
    let (_, _, page) = server.get("/metrics").await;
    assert!(page.contains("weir_connections_open 0\n"));
    assert!(!page.contains("weir_stream"), "{page}");
    assert!(!page.contains("weir_wal"), "{page}");
}
