//! The JSON keys of every page against those of nats-server 2.15.2 in the same situation.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::{Client, Server};

/// Every key as a path, `connections[].cid`.
fn keys(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let path = match path {
                    "" => key.clone(),
                    path => format!("{path}.{key}"),
                };
                keys(value, &path, found);
                found.insert(path);
            }
        }
        Value::Array(list) => {
            for value in list {
                keys(value, &format!("{path}[]"), found);
            }
        }
        _ => {}
    }
}

/// Compares a page with the recorded keys. `differences` names what is known to differ: `-key` for
/// a key, and all below it, that this server does not have, `+key` for one that only it has.
fn check(page: &Value, golden: &str, differences: &[&str]) {
    let mut ours = BTreeSet::new();
    keys(page, "", &mut ours);
    let mut theirs: BTreeSet<String> = golden.lines().map(str::to_owned).collect();
    for difference in differences {
        let (sign, key) = difference.split_at(1);
        let below = |one: &String| one == key || one.starts_with(&format!("{key}["));
        match sign {
            "+" => assert!(
                theirs.insert(key.to_owned()),
                "{key} is no difference any more"
            ),
            _ => {
                let before = theirs.len();
                theirs.retain(|one| !below(one));
                assert!(theirs.len() < before, "{key} was never there");
            }
        }
    }
    let missing: Vec<_> = theirs.difference(&ours).collect();
    let surplus: Vec<_> = ours.difference(&theirs).collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "missing {missing:?}, surplus {surplus:?}"
    );
}

/// A server with a subscriber on `foo.*`, a stream with messages and a consumer.
async fn busy() -> (Server, Client) {
    let server = Server::start_with_jetstream().await;
    let mut client = server.client().await;
    client.send("SUB inbox 1").await;
    let stream = r#"{"name":"S","subjects":["x"],"storage":"file","retention":"limits","num_replicas":1,"allow_direct":true,"duplicate_window":120000000000}"#;
    let created = client.request("$JS.API.STREAM.CREATE.S", stream).await;
    assert_eq!(created["error"], Value::Null, "{created}");
    let consumer = r#"{"stream_name":"S","config":{"durable_name":"C","name":"C","ack_policy":"explicit","deliver_policy":"all","replay_policy":"instant","pause_until":"0001-01-01T00:00:00Z"}}"#;
    let created = client
        .request("$JS.API.CONSUMER.CREATE.S.C", consumer)
        .await;
    assert_eq!(created["error"], Value::Null, "{created}");
    client.request("x", "hello").await;
    client.send("UNSUB 1").await;
    client.send("SUB foo.* 2").await;
    client.settle().await;
    (server, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_have_the_keys_that_tools_read() {
    let (server, _client) = busy().await;
    // What other requests this test has made differs, and no feature can be switched.
    let mut varz = server.page("/varz").await;
    varz["http_req_stats"] = serde_json::json!({});
    check(&varz, include_str!("golden/varz.txt"), &["-feature_flags"]);
    let connz = server.page("/connz?subs=1&auth=1").await;
    check(&connz, include_str!("golden/connz.txt"), &[]);
    let connz = server.page("/connz?subs=detail&auth=1").await;
    check(&connz, include_str!("golden/connz_detail.txt"), &[]);
    check(
        &server.page("/routez").await,
        include_str!("golden/routez.txt"),
        &[],
    );
    let subsz = server.page("/subsz?subs=1&test=foo.a").await;
    check(&subsz, include_str!("golden/subsz.txt"), &[]);
    check(
        &server.page("/accountz").await,
        include_str!("golden/accountz.txt"),
        &[],
    );
    check(
        &server.page("/accstatz").await,
        include_str!("golden/accstatz.txt"),
        &[],
    );
    check(
        &server.page("/gatewayz").await,
        include_str!("golden/gatewayz.txt"),
        &[],
    );
    check(
        &server.page("/leafz").await,
        include_str!("golden/leafz.txt"),
        &[],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn jetstream_has_the_keys_that_tools_read() {
    let (server, _client) = busy().await;
    let jsz = server
        .page("/jsz?accounts=1&streams=1&consumers=1&config=1")
        .await;
    // nats-server counts these only when raft groups are asked for.
    let differences = ["+streams_leader", "+consumers_leader"];
    check(&jsz, include_str!("golden/jsz.txt"), &differences);
    assert_eq!(
        jsz["account_details"][0]["stream_detail"][0]["state"]["messages"],
        1
    );
    assert_eq!(jsz["messages"], 1);
    // Imports of system services are how nats-server serves accounts; here they are subscriptions.
    let detail = server.page("/accountz?acc=A").await;
    let differences = ["-account_detail.imports"];
    check(
        &detail,
        include_str!("golden/account_detail.txt"),
        &differences,
    );
    assert_eq!(detail["account_detail"]["jetstream_enabled"], true);
    check(
        &server.page("/healthz").await,
        include_str!("golden/healthz.txt"),
        &[],
    );
    let health = server.page("/healthz?account=A&stream=Z&details=1").await;
    check(&health, include_str!("golden/healthz_details.txt"), &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn closed_connections_say_when_and_why() {
    let server = Server::start().await;
    let mut client = server.client().await;
    client.send("SUB foo.* 1").await;
    client.settle().await;
    let live = server.page("/connz").await;
    let cid = live["connections"][0]["cid"].as_u64().unwrap();
    assert!(server.hub.kick(cid, wire::CloseReason::Kicked));
    assert_eq!(client.line().await, "");
    // It is closed first and recorded then.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while server.hub.closed_connections().is_empty() {
        assert!(
            std::time::Instant::now() < deadline,
            "the connection is not recorded as closed"
        );
        tokio::task::yield_now().await;
    }
    let closed = server.page("/connz?state=closed&auth=1").await;
    check(&closed, include_str!("golden/connz_closed.txt"), &[]);
    assert_eq!(closed["connections"][0]["reason"], "Kicked");
    assert_eq!(server.page("/connz").await["num_connections"], 0);
    let one = server.page(&format!("/connz?cid={cid}")).await;
    assert_eq!(one["connections"][0]["cid"], cid);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_sees_only_its_connections() {
    let server = Server::start().await;
    let _client = server.client().await;
    let cid = server.page("/connz?acc=A").await["connections"][0]["cid"].clone();
    for query in [
        "acc=B".to_owned(),
        format!("acc=B&cid={cid}"),
        "user=b".to_owned(),
    ] {
        let page = server.page(&format!("/connz?{query}")).await;
        assert_eq!(page["num_connections"], 0, "{query}");
    }
    assert_eq!(
        server.page("/connz?user=a&acc=A").await["num_connections"],
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_jetstream_its_pages_are_empty() {
    let server = Server::start().await;
    assert_eq!(
        server.page("/varz").await["jetstream"],
        serde_json::json!({})
    );
    let jsz = server.page("/jsz?accounts=1").await;
    assert_eq!(jsz["disabled"], true);
    assert_eq!(
        jsz["config"],
        serde_json::json!({"max_memory": 0, "max_storage": 0})
    );
    let health = server.page("/healthz?account=A&stream=S").await;
    assert_eq!(health, serde_json::json!({"status": "ok"}));
}
