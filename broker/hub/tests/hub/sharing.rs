//! Streams and services that accounts share, and subject mappings.

use std::time::Duration;

use hub::{
    Access, Destination, Export, Import, Latency, Mapping, ResponseKind, Sampling, ShareKind,
    Sharing,
};
use identity::PermissionRules;
use tokio::net::TcpStream;

use crate::support::{Client, MODERN, Server, Users, cluster, eventually, options};

/// Users of the same name as their account, in lower case.
fn users() -> Users {
    let user = |user, account| (user, account, PermissionRules::default());
    Users {
        users: vec![user("a", "A"), user("b", "B")],
    }
}

fn export(kind: ShareKind, subject: &str) -> Export {
    Export {
        kind,
        subject: subject.to_owned(),
        access: Access::Public,
        responses: ResponseKind::Singleton,
        response_threshold: Export::RESPONSE_THRESHOLD,
        latency: None,
    }
}

fn import(kind: ShareKind, subject: &str, local: Option<&str>) -> Import {
    Import {
        kind,
        account: "B".to_owned(),
        subject: subject.to_owned(),
        local: local.map(str::to_owned),
        share: false,
        activation: None,
    }
}

/// Lets A import everything of this kind that B exports under `subject`.
fn share(server: &Server, export: Export, import: Import) {
    let exports = Sharing {
        exports: vec![export],
        ..Sharing::default()
    };
    let imports = Sharing {
        imports: vec![import],
        ..Sharing::default()
    };
    // The import comes first, as it may with account tokens: it waits for its export.
    server.hub.set_sharing("A", imports);
    server.hub.set_sharing("B", exports);
}

async fn start() -> Server {
    Server::with(options("NTEST"), users()).await
}

async fn login(server: &Server, user: &str) -> Client<TcpStream> {
    let mut client = server.connect().await;
    let hello = MODERN.replace(
        "\"protocol\":1",
        &format!("\"protocol\":0,\"user\":\"{user}\""),
    );
    client.send(hello).await;
    client.sync().await;
    client
}

/// Reads a request and returns the subject its answer goes to.
async fn request(service: &mut Client<TcpStream>, subject: &str, payload: &str) -> String {
    let line = service.line().await;
    let reply = line
        .strip_prefix(&format!("HMSG {subject} 1 "))
        .and_then(|rest| rest.split(' ').next())
        .unwrap_or_else(|| panic!("no request on {subject}: {line:?}"));
    assert!(reply.starts_with("_R_."), "{line:?}");
    service.expect("NATS/1.0\r\n").await;
    let info = service.line().await;
    assert!(
        info.starts_with("Nats-Request-Info: {\"acc\":\"A\",\"rtt\":"),
        "{info:?}"
    );
    service.expect(format!("\r\n{payload}\r\n")).await;
    reply.to_owned()
}

#[tokio::test]
async fn an_imported_stream_is_heard_under_its_local_name() {
    let server = start().await;
    share(
        &server,
        export(ShareKind::Stream, "ev.*.*"),
        import(ShareKind::Stream, "ev.*.*", Some("from.b.$2.$1")),
    );
    let (mut a, mut b) = (login(&server, "a").await, login(&server, "b").await);
    a.send("SUB from.b.2.* 7\r\nSUB other.> 8\r\n").await;
    a.sync().await;
    b.send("PUB ev.1.2 back 2\r\nhi\r\nPUB ev.1.3 2\r\nno\r\n")
        .await;
    a.expect("MSG from.b.2.1 7 back 2\r\nhi\r\n").await;
    a.send("UNSUB 7\r\n").await;
    a.sync().await;
    b.send("PUB ev.1.2 2\r\nhi\r\n").await;
    b.sync().await;
    a.sync().await;
}

#[tokio::test]
async fn one_member_of_a_queue_group_hears_an_imported_message_and_limits_count() {
    let server = start().await;
    share(
        &server,
        export(ShareKind::Stream, "ev"),
        import(ShareKind::Stream, "ev", None),
    );
    let (mut a, mut b) = (login(&server, "a").await, login(&server, "b").await);
    a.send("SUB ev q 1\r\nSUB ev q 1\r\nUNSUB 1 2\r\n").await;
    a.sync().await;
    b.send("PUB ev 1\r\n1\r\nPUB ev 1\r\n2\r\nPUB ev 1\r\n3\r\n")
        .await;
    b.sync().await;
    a.expect("MSG ev 1 1\r\n1\r\nMSG ev 1 1\r\n2\r\n").await;
    a.sync().await;
}

#[tokio::test]
async fn subscriptions_follow_when_imports_change() {
    let server = start().await;
    let (mut a, mut b) = (login(&server, "a").await, login(&server, "b").await);
    a.send("SUB > 1\r\n").await;
    a.sync().await;
    share(
        &server,
        export(ShareKind::Stream, "ev.>"),
        import(ShareKind::Stream, "ev.x", None),
    );
    b.send("PUB ev.x 1\r\n1\r\n").await;
    a.expect("MSG ev.x 1 1\r\n1\r\n").await;
    server.hub.set_sharing("B", Sharing::default());
    b.send("PUB ev.x 1\r\n2\r\n").await;
    b.sync().await;
    a.sync().await;
}

#[tokio::test]
async fn a_request_crosses_into_the_account_that_serves_it() {
    let server = start().await;
    share(
        &server,
        export(ShareKind::Service, "req.*"),
        import(ShareKind::Service, "req.*", Some("local.$1")),
    );
    let (mut a, mut b) = (login(&server, "a").await, login(&server, "b").await);
    a.send("SUB in 1\r\nPUB local.x in 2\r\nhi\r\n").await;
    a.expect("HMSG in 1 39 39\r\nNATS/1.0 503\r\nNats-Subject: local.x\r\n\r\n\r\n")
        .await;
    b.send("SUB req.x 1\r\n").await;
    b.sync().await;
    a.send("PUB local.x in 2\r\nhi\r\n").await;
    let reply = request(&mut b, "req.x", "hi").await;
    b.send(format!(
        "PUB {reply} 3\r\nyes\r\nPUB {reply} 5\r\nagain\r\n"
    ))
    .await;
    b.sync().await;
    a.expect("MSG in 1 3\r\nyes\r\n").await;
    a.sync().await;
    // What is not exported any more is not there.
    server.hub.set_sharing("B", Sharing::default());
    a.send("PUB local.x in 0\r\n\r\n").await;
    a.expect("HMSG in 1 39 39\r\n").await;
}

#[tokio::test]
async fn an_empty_message_ends_an_answer_in_parts() {
    let server = start().await;
    let stream = Export {
        responses: ResponseKind::Stream,
        ..export(ShareKind::Service, "req")
    };
    share(&server, stream, import(ShareKind::Service, "req", None));
    let (mut a, mut b) = (login(&server, "a").await, login(&server, "b").await);
    b.send("SUB req 1\r\n").await;
    b.sync().await;
    a.send("SUB in 1\r\nPUB req in 2\r\nhi\r\n").await;
    let reply = request(&mut b, "req", "hi").await;
    for part in ["1", "2", "", "late"] {
        b.send(format!("PUB {reply} {}\r\n{part}\r\n", part.len()))
            .await;
    }
    b.sync().await;
    a.expect("MSG in 1 1\r\n1\r\nMSG in 1 1\r\n2\r\nMSG in 1 0\r\n\r\n")
        .await;
    a.sync().await;
}

#[tokio::test]
async fn a_slow_service_is_reported_and_its_answer_comes_too_late() {
    let server = start().await;
    let slow = Export {
        response_threshold: Duration::from_millis(1),
        latency: Some(Latency {
            sampling: Sampling::Percent(100),
            subject: "took".to_owned(),
        }),
        ..export(ShareKind::Service, "req")
    };
    share(&server, slow, import(ShareKind::Service, "req", None));
    let (mut a, mut b) = (login(&server, "a").await, login(&server, "b").await);
    b.send("SUB req 1\r\nSUB took 2\r\n").await;
    b.sync().await;
    a.send("SUB in 1\r\nPUB req in 2\r\nhi\r\n").await;
    let reply = request(&mut b, "req", "hi").await;
    assert!(b.line().await.starts_with("MSG took 2 "));
    let event: serde_json::Value = serde_json::from_str(&b.line().await).unwrap();
    assert_eq!(event["status"], 504);
    assert_eq!(event["requestor"]["acc"], "A");
    b.send(format!("PUB {reply} 4\r\nlate\r\n")).await;
    b.sync().await;
    a.sync().await;
}

async fn member(id: &str, seeds: &[&Server]) -> Server {
    let mut options = options(id);
    options.cluster = Some(cluster());
    let server = Server::with(options, users()).await;
    server.join(seeds);
    let connected = || server.hub.route_peers().len() == seeds.len();
    eventually("routes are up", connected).await;
    server
}

#[tokio::test]
async fn requests_answers_and_streams_cross_accounts_and_servers() {
    let one = member("NA", &[]).await;
    let two = member("NB", &[&one]).await;
    for server in [&one, &two] {
        let kinds = [ShareKind::Service, ShareKind::Stream];
        let subject = |kind| match kind {
            ShareKind::Service => "req",
            ShareKind::Stream => "ev.>",
        };
        let imports = Sharing {
            imports: kinds.map(|kind| import(kind, subject(kind), None)).to_vec(),
            ..Sharing::default()
        };
        let exports = Sharing {
            exports: kinds.map(|kind| export(kind, subject(kind))).to_vec(),
            ..Sharing::default()
        };
        server.hub.set_sharing("A", imports);
        server.hub.set_sharing("B", exports);
    }
    let (mut a, mut b) = (login(&one, "a").await, login(&two, "b").await);
    b.send("SUB req 1\r\n").await;
    b.sync().await;
    let of_b = one.hub.account("B");
    eventually("interest is known", || one.hub.has_interest(&of_b, "req")).await;
    a.send("SUB in 1\r\nSUB ev.x 2\r\nPUB req in 2\r\nhi\r\n")
        .await;
    let reply = request(&mut b, "req", "hi").await;
    b.send(format!("PUB {reply} 3\r\nyes\r\n")).await;
    a.expect("MSG in 1 3\r\nyes\r\n").await;
    let of_b = two.hub.account("B");
    eventually("interest is known", || two.hub.has_interest(&of_b, "ev.x")).await;
    b.send("PUB ev.x 1\r\nx\r\n").await;
    a.expect("MSG ev.x 2 1\r\nx\r\n").await;
}

#[tokio::test]
async fn what_is_published_goes_where_its_subject_is_mapped() {
    let server = start().await;
    let mapping = |source: &str, to: &str| Mapping {
        source: source.to_owned(),
        destinations: vec![Destination {
            subject: to.to_owned(),
            weight_percent: 100,
            cluster: None,
        }],
    };
    let mut a = login(&server, "a").await;
    a.send("SUB > 1\r\nPUB one 0\r\n\r\n").await;
    a.expect("MSG one 1 0\r\n\r\n").await;
    let mappings = [
        mapping("one", "two"),
        mapping("two", "three"),
        mapping("x.*.*", "y.$2.$1"),
    ];
    server.hub.set_mappings("A", &mappings).unwrap();
    a.send("PUB one 0\r\n\r\nPUB two 0\r\n\r\nPUB x.1.2 0\r\n\r\nPUB z 0\r\n\r\n")
        .await;
    for subject in ["two", "three", "y.2.1", "z"] {
        a.expect(format!("MSG {subject} 1 0\r\n\r\n")).await;
    }
    server.hub.set_mappings("A", &[]).unwrap();
    a.send("PUB one 0\r\n\r\n").await;
    a.expect("MSG one 1 0\r\n\r\n").await;
    assert!(
        server
            .hub
            .set_mappings("A", &[mapping("a", "b.{{nope(1)}}")])
            .is_err()
    );
}
