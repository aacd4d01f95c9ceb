//! Statuses, headers and refusals.

use crate::support::Server;

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_json_that_any_site_may_read() {
    let server = Server::start().await;
    let (status, headers, body) = server.get("/varz").await;
    assert_eq!(status, 200);
    assert!(
        headers.contains("content-type: application/json"),
        "{headers}"
    );
    assert!(
        headers.contains("access-control-allow-origin: *"),
        "{headers}"
    );
    assert!(
        body.starts_with("{\n  \"server_id\": \"NTEST\",\n"),
        "{body}"
    );
    server.get("/varz").await;
    assert_eq!(server.page("/varz").await["http_req_stats"]["/varz"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_its_own_can_be_stopped_whenever_its_streams_may_be_away() {
    let server = Server::start_with_jetstream().await;
    let mut client = server.client().await;
    client.send("SUB inbox 1").await;
    let created = client
        .request(
            "$JS.API.STREAM.CREATE.S",
            r#"{"name":"S","num_replicas":1}"#,
        )
        .await;
    assert_eq!(created["error"], serde_json::Value::Null, "{created}");
    let (status, _, body) = server.get("/safez").await;
    let page: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status, 200, "{body}");
    assert_eq!(page["safe"], true, "{body}");
    assert_eq!(page["unreplicated"], 1, "{body}");
    let (status, _, body) = server.get("/safez?server=other").await;
    assert_eq!(
        (status, body.as_str()),
        (404, "the cluster has no server \"other\"\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_make_no_sense_are_refused() {
    let server = Server::start().await;
    let refused = [
        (
            "/connz?limit=x",
            "invalid value \"x\" for 'limit': must be a number",
        ),
        (
            "/connz?auth=maybe",
            "invalid value \"maybe\" for 'auth': must be true or false",
        ),
        ("/connz?sort=foo", "invalid sorting option: foo"),
        (
            "/connz?sort=stop",
            "sort by stop only valid on closed connections",
        ),
        (
            "/subsz?test=foo.*",
            "invalid test subject, must be valid publish subject: foo.*",
        ),
        ("/accountz?acc=NO", "Account NO does not exist"),
        ("/jsz?leader-only=1", "filtered response: not leader"),
        (
            "/routez?subs=x",
            "invalid value \"x\" for 'subs': must be true or false",
        ),
    ];
    for (path, text) in refused {
        let (status, headers, body) = server.get(path).await;
        assert_eq!((status, body.as_str()), (400, text), "{path}");
        assert!(
            headers.contains("content-type: text/plain; charset=utf-8"),
            "{path}"
        );
    }
    assert_eq!(server.get("/varzz").await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_told_by_the_status() {
    let server = Server::start_with_jetstream().await;
    let cases = [
        ("/healthz", 200, r#"{"status":"ok"}"#),
        ("/healthz?js-enabled-only=1", 200, r#"{"status":"ok"}"#),
        (
            "/healthz?account=A&stream=Z",
            404,
            r#"{"status":"unavailable","error":"JetStream stream \"Z\" not found on account \"A\""}"#,
        ),
        (
            "/healthz?account=B",
            404,
            r#"{"status":"unavailable","error":"JetStream account \"B\" not found"}"#,
        ),
        (
            "/healthz?stream=S",
            400,
            r#"{"status":"error","error":"\"account\" must not be empty when checking stream health"}"#,
        ),
    ];
    for (path, status, body) in cases {
        let answer = server.get(path).await;
        assert_eq!((answer.0, answer.2.as_str()), (status, body), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_index_links_to_pages_that_exist() {
    let server = Server::start().await;
    let (status, headers, index) = server.get("/").await;
    assert_eq!(status, 200);
    assert!(headers.contains("content-type: text/html"), "{headers}");
    let links: Vec<_> = index
        .split("href=\".")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert!(links.len() >= 12, "{links:?}");
    for link in links {
        assert_eq!(server.get(link).await.0, 200, "{link}");
    }
}
