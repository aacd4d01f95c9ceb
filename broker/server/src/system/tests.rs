use std::time::Duration;

use hub::{AuthFailure, Authenticator, ConnectRequest};
use identity::{Login, PermissionRules, Permissions, SubjectRules};
use monitor::ServerFacts;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::UnboundedReceiver;

use super::*;

/// Longest time that an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);
const SYSTEM: &str = "$SYS";

struct Fixture {
    hub: Arc<Hub>,
    services: SystemServices,
    answers: UnboundedReceiver<Vec<u8>>,
}

impl Fixture {
    fn new() -> Fixture {
        let server = hub::ServerFacts {
            server_id: "NTEST".to_owned(),
            server_name: "n1".to_owned(),
            ..hub::ServerFacts::default()
        };
        let options = hub::Options {
            server,
            ..hub::Options::default()
        };
        let hub = Hub::new(options, Arc::new(Everybody));
        hub.account("A");
        let facts = ServerFacts {
            tags: vec!["az:1".to_owned()],
            ..ServerFacts::default()
        };
        let sources = Sources::new(hub.clone(), None, None, facts, || Ok(()));
        let services = start(
            sources,
            &hub,
            SYSTEM,
            Box::new(|| Err("no file".to_owned())),
        );
        let (sender, answers) = mpsc::unbounded_channel();
        let hear = move |delivery: &Delivery<'_>| {
            sender.send(delivery.payload().to_vec()).ok();
        };
        hub.subscribe(SYSTEM, "answers", None, Arc::new(hear));
        Fixture {
            hub,
            services,
            answers,
        }
    }

    /// The next answer to requests in the system account.
    async fn answer(&mut self) -> Value {
        let answer = tokio::time::timeout(PATIENCE, self.answers.recv()).await;
        serde_json::from_slice(&answer.unwrap().unwrap()).unwrap()
    }

    fn send(&self, subject: &str, body: &str) -> bool {
        let publish = Publish {
            subject: subject.as_bytes(),
            reply: b"answers",
            payload: body.as_bytes(),
            ..Publish::default()
        };
        self.hub.publish(&self.hub.account(SYSTEM), &publish)
    }

    async fn ask(&mut self, subject: &str, body: &str) -> Value {
        assert!(self.send(subject, body), "nobody listens on {subject}");
        self.answer().await
    }
}

/// Lets everybody into account `A`.
struct Everybody;

impl Authenticator for Everybody {
    fn auth_required(&self) -> bool {
        false
    }

    fn nonce_required(&self) -> bool {
        false
    }

    fn authenticate(
        &self,
        request: ConnectRequest,
    ) -> futures::future::BoxFuture<'_, Result<Login, AuthFailure>> {
        let mut login = Login::unrestricted("A", &request.options.user);
        login.permissions = Permissions::new(PermissionRules {
            publish: SubjectRules {
                allow: Some(vec!["$SYS.REQ.>".to_owned()]),
                deny: vec![],
            },
            ..PermissionRules::default()
        });
        Box::pin(std::future::ready(Ok(login)))
    }
}

fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

#[tokio::test]
async fn every_server_page_is_answered_under_both_names() {
    let mut fixture = Fixture::new();
    for (name, service) in OfServer::ALL {
        for whom in ["PING", "NTEST"] {
            let answer = fixture
                .ask(&format!("$SYS.REQ.SERVER.{whom}.{name}"), "")
                .await;
            match service {
                OfServer::Idz => {
                    assert_eq!(
                        answer,
                        json!({"name": "n1", "host": "0.0.0.0", "id": "NTEST"})
                    );
                }
                OfServer::Statsz => assert!(answer["statsz"]["cores"].as_u64() > Some(0)),
                _ => {
                    assert_eq!(answer["server"]["id"], "NTEST", "{name}");
                    assert!(answer["data"].is_object(), "{name}: {answer}");
                    assert_eq!(answer.get("error"), None, "{name}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_server_names_itself_as_tools_expect() {
    let mut fixture = Fixture::new();
    let answer = fixture.ask("$SYS.REQ.SERVER.PING", "").await;
    let server = [
        "flags",
        "host",
        "id",
        "jetstream",
        "name",
        "seq",
        "tags",
        "time",
        "ver",
    ];
    let mut named = keys(&answer["server"]);
    named.sort_unstable();
    assert_eq!(named, server);
    let statistics = [
        "active_accounts",
        "active_servers",
        "connections",
        "cores",
        "cpu",
        "gomaxprocs",
        "mem",
        "received",
        "received_from_clients",
        "sent",
        "sent_to_clients",
        "slow_consumers",
        "start",
        "subscriptions",
        "total_connections",
    ];
    let mut told = keys(&answer["statsz"]);
    told.sort_unstable();
    assert_eq!(told, statistics);
    let again = fixture.ask("$SYS.REQ.SERVER.PING", "").await;
    assert!(again["server"]["seq"].as_u64() > answer["server"]["seq"].as_u64());
}

#[tokio::test]
async fn only_the_servers_that_are_asked_answer() {
    let mut fixture = Fixture::new();
    assert!(fixture.send("$SYS.REQ.SERVER.PING.VARZ", r#"{"server_name":"other"}"#));
    assert!(fixture.send("$SYS.REQ.SERVER.PING.JSZ", r#"{"leader_only":true}"#));
    let answer = fixture
        .ask("$SYS.REQ.SERVER.PING.IDZ", r#"{"tags":["az:1"]}"#)
        .await;
    assert_eq!(
        answer["name"], "n1",
        "the requests before were for other servers"
    );
    assert!(!fixture.send("$SYS.REQ.SERVER.NOTHER.VARZ", ""));
}

#[tokio::test]
async fn refusals_say_why() {
    let mut fixture = Fixture::new();
    let cases = [
        ("SERVER.NTEST.CONNZ", "{\"sort\":", 400),
        ("SERVER.NTEST.CONNZ", r#"{"sort":"foo"}"#, 500),
        ("SERVER.NTEST.ACCOUNTZ", r#"{"account":"NO"}"#, 500),
        ("SERVER.NTEST.KICK", r#"{"cid":99}"#, 500),
        ("SERVER.NTEST.RELOAD", "", 500),
        ("ACCOUNT.NO.INFO", "", 500),
    ];
    for (service, body, code) in cases {
        let answer = fixture.ask(&format!("$SYS.REQ.{service}"), body).await;
        assert_eq!(answer["error"]["code"], code, "{service}: {answer}");
        assert!(answer["error"]["description"].is_string(), "{service}");
    }
}

#[tokio::test]
async fn an_account_is_told_about() {
    let mut fixture = Fixture::new();
    let info = fixture.ask("$SYS.REQ.ACCOUNT.A.INFO", "").await;
    assert_eq!(info["data"]["account_name"], "A");
    let connections = fixture.ask("$SYS.REQ.ACCOUNT.A.CONNS", "").await;
    assert_eq!(
        connections["type"],
        "io.nats.server.advisory.v1.account_connections"
    );
    assert_eq!(connections["acc"], "A");
    let subscriptions = fixture.ask("$SYS.REQ.ACCOUNT.A.SUBSZ", "").await;
    assert!(subscriptions["data"]["total"].as_u64() > Some(0));
    let body = r#"{"include_unused":true}"#;
    let all = fixture.ask("$SYS.REQ.ACCOUNT.PING.STATZ", body).await;
    assert_eq!(
        all["data"]["account_statz"].as_array().map(Vec::len),
        Some(2)
    );
}

#[tokio::test]
async fn users_learn_who_they_are_and_nothing_about_other_accounts() {
    let fixture = Fixture::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let hub = fixture.hub.clone();
    tokio::spawn(async move { hub.serve_clients(listener).await });
    let mut stream = BufReader::new(TcpStream::connect(address).await.unwrap());
    let hello = b"CONNECT {\"user\":\"a\",\"verbose\":false}\r\nSUB inbox 1\r\n";
    stream.get_mut().write_all(hello).await.unwrap();
    let mut ask = async |subject: &str, body: &str| -> Value {
        let request = format!("PUB {subject} inbox {}\r\n{body}\r\n", body.len());
        stream
            .get_mut()
            .write_all(request.as_bytes())
            .await
            .unwrap();
        let mut line = String::new();
        while !line.starts_with("MSG inbox") {
            line.clear();
            let read = stream.read_line(&mut line);
            tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
        }
        line.clear();
        stream.read_line(&mut line).await.unwrap();
        serde_json::from_str(&line).unwrap()
    };
    let user = ask("$SYS.REQ.USER.INFO", "").await;
    let wanted = json!({
        "user": "a",
        "account": "A",
        "account_name": "A",
        "permissions": {"publish": {"allow": ["$SYS.REQ.>"]}, "subscribe": null},
    });
    assert_eq!(user["data"], wanted);
    let own = ask("$SYS.REQ.ACCOUNT.PING.CONNZ", r#"{"acc":"$SYS"}"#).await;
    assert_eq!(own["data"]["num_connections"], 1);
    let moved = ask("$SYS.REQ.ACCOUNT.PING.STATZ", r#"{"accounts":["$SYS"]}"#).await;
    assert_eq!(moved["data"]["account_statz"][0]["acc"], "A");
}

#[tokio::test]
async fn the_end_is_announced_and_services_end() {
    let mut fixture = Fixture::new();
    let (sender, mut events) = mpsc::unbounded_channel();
    let hear = move |delivery: &Delivery<'_>| {
        sender
            .send(String::from_utf8_lossy(delivery.subject).into_owned())
            .ok();
    };
    fixture
        .hub
        .subscribe(SYSTEM, "$SYS.SERVER.*.*", None, Arc::new(hear));
    fixture.services.announce_lame_duck();
    fixture.services.announce_shutdown();
    assert_eq!(
        events.recv().await.as_deref(),
        Some("$SYS.SERVER.NTEST.LAMEDUCK")
    );
    assert_eq!(
        events.recv().await.as_deref(),
        Some("$SYS.SERVER.NTEST.SHUTDOWN")
    );
    fixture.ask("$SYS.REQ.SERVER.PING.IDZ", "").await;
    let hub = fixture.hub.clone();
    drop(fixture);
    let account = hub.account(SYSTEM);
    assert!(!hub.has_interest(&account, "$SYS.REQ.SERVER.PING.IDZ"));
}

#[tokio::test]
async fn comings_and_goings_are_told() {
    let fixture = Fixture::new();
    let (sender, mut events) = mpsc::unbounded_channel();
    let hear = move |delivery: &Delivery<'_>| {
        let event: Value = serde_json::from_slice(delivery.payload()).unwrap();
        let subject = String::from_utf8_lossy(delivery.subject).into_owned();
        sender.send((subject, event)).ok();
    };
    fixture
        .hub
        .subscribe(SYSTEM, "$SYS.ACCOUNT.>", None, Arc::new(hear));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let hub = fixture.hub.clone();
    tokio::spawn(async move { hub.serve_clients(listener).await });
    let mut next = async || {
        tokio::time::timeout(PATIENCE, events.recv())
            .await
            .unwrap()
            .unwrap()
    };
    let mut stream = TcpStream::connect(address).await.unwrap();
    let hello =
        b"CONNECT {\"user\":\"a\",\"name\":\"tester\",\"verbose\":false}\r\nPUB x 2\r\nhi\r\n";
    stream.write_all(hello).await.unwrap();
    let (subject, event) = next().await;
    assert_eq!(subject, "$SYS.ACCOUNT.A.SERVER.CONNS");
    assert_eq!(event["conns"], 1);
    let (subject, event) = next().await;
    assert_eq!(subject, "$SYS.ACCOUNT.A.CONNECT");
    assert_eq!(event["type"], "io.nats.server.advisory.v1.client_connect");
    assert_eq!(event["client"]["user"], "a");
    assert_eq!(event["client"]["name"], "tester");
    drop(stream);
    let (subject, event) = next().await;
    assert_eq!(subject, "$SYS.ACCOUNT.A.DISCONNECT");
    assert_eq!(event["reason"], "Client Closed");
    assert_eq!(event["received"], json!({"msgs": 1, "bytes": 2}));
    let (subject, event) = next().await;
    assert_eq!(subject, "$SYS.ACCOUNT.A.SERVER.CONNS");
    assert_eq!(event["conns"], 0);
}
