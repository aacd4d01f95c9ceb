//! Users, permissions, and what happens when they change.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::{BoxFuture, FutureExt};
use hub::{AccountLimits, AuthFailure, Authenticator, ConnectRequest};
use identity::{Login, PermissionRules, Permissions, ResponseRules, SubjectRules};
use parking_lot::Mutex;

use crate::support::{Client, MODERN, Server, Users, eventually, options};

fn rules(publish: SubjectRules, subscribe: SubjectRules) -> PermissionRules {
    PermissionRules {
        publish,
        subscribe,
        allow_responses: None,
    }
}

fn allow(subjects: &[&str]) -> SubjectRules {
    let subjects = subjects.iter().map(|subject| subject.to_string()).collect();
    SubjectRules {
        allow: Some(subjects),
        deny: Vec::new(),
    }
}

fn deny(subjects: &[&str]) -> SubjectRules {
    SubjectRules {
        allow: None,
        deny: subjects.iter().map(|subject| subject.to_string()).collect(),
    }
}

fn users() -> Users {
    let all = PermissionRules::default();
    let responder = PermissionRules {
        allow_responses: Some(ResponseRules::default()),
        ..rules(allow(&["only.this"]), allow(&["service"]))
    };
    Users {
        users: vec![
            ("root", "A", all.clone()),
            ("other", "B", all),
            (
                "limited",
                "A",
                rules(allow(&["out.*"]), allow(&["in.*", "work pool"])),
            ),
            (
                "filtered",
                "A",
                rules(SubjectRules::default(), deny(&["secret.>"])),
            ),
            ("responder", "A", responder),
        ],
    }
}

async fn login(server: &Server, user: &str) -> Client<tokio::net::TcpStream> {
    let mut client = server.connect().await;
    let json =
        format!(r#"{{"verbose":false,"headers":true,"no_responders":true,"user":"{user}"}}"#);
    client.send(format!("CONNECT {json}\r\n")).await;
    client.sync().await;
    client
}

#[tokio::test]
async fn who_does_not_log_in_is_sent_away() {
    let server = Server::with(options("NAUTH"), users()).await;
    let mut client = server.connect().await;
    client.send("PING\r\n").await;
    client.expect("-ERR 'Authorization Violation'\r\n").await;
    client.expect_end().await;
    let mut client = server.connect().await;
    client
        .send("CONNECT {\"user\":\"nobody\"}\r\nPING\r\n")
        .await;
    client.expect("-ERR 'Authorization Violation'\r\n").await;
    client.expect_end().await;
    eventually("both are closed", || {
        server.hub.closed_connections().len() == 2
    })
    .await;
    let closed = server.hub.closed_connections();
    assert_eq!(
        closed[0].reason.map(|reason| reason.name()),
        Some("Authentication Failure")
    );
}

#[tokio::test]
async fn who_says_nothing_is_sent_away_in_time() {
    let mut options = options("NAUTH");
    options.limits.auth_timeout = std::time::Duration::from_millis(50);
    let server = Server::with(options, users()).await;
    let mut client = server.connect().await;
    client.expect("-ERR 'Authentication Timeout'\r\n").await;
    client.expect_end().await;
}

#[tokio::test]
async fn accounts_do_not_hear_each_other() {
    let server = Server::with(options("NAUTH"), users()).await;
    let mut a = login(&server, "root").await;
    let mut b = login(&server, "other").await;
    b.send("SUB > 1\r\n").await;
    b.sync().await;
    a.send("SUB > 1\r\nPUB foo 1\r\na\r\nPING\r\n").await;
    a.expect("MSG foo 1 1\r\na\r\nPONG\r\n").await;
    b.sync().await;
}

#[tokio::test]
async fn denied_subjects_are_refused_and_the_connection_lives() {
    let server = Server::with(options("NAUTH"), users()).await;
    let mut client = login(&server, "limited").await;
    client
        .send("PUB nope 1\r\na\r\nSUB nope 1\r\nSUB work 2\r\nSUB work swim 3\r\n")
        .await;
    client
        .expect("-ERR 'Permissions Violation for Publish to \"nope\"'\r\n")
        .await;
    client
        .expect("-ERR 'Permissions Violation for Subscription to \"nope\"'\r\n")
        .await;
    client
        .expect("-ERR 'Permissions Violation for Subscription to \"work\"'\r\n")
        .await;
    let text = "Permissions Violation for Subscription to \"work\" using queue \"swim\"";
    client.expect(format!("-ERR '{text}'\r\n")).await;
    client
        .send("SUB work pool 4\r\nSUB in.x 5\r\nPUB out.x 1\r\na\r\n")
        .await;
    client.sync().await;
    let mut root = login(&server, "root").await;
    root.send("PUB work 1\r\nw\r\nPUB in.x 1\r\ni\r\n").await;
    client
        .expect("MSG work 4 1\r\nw\r\nMSG in.x 5 1\r\ni\r\n")
        .await;
}

#[tokio::test]
async fn a_denied_operation_is_not_confirmed() {
    let server = Server::with(options("NAUTH"), users()).await;
    let mut client = server.connect().await;
    client
        .send("CONNECT {\"user\":\"limited\"}\r\nPUB nope 1\r\na\r\nSUB nope 1\r\n")
        .await;
    client
        .expect("+OK\r\n-ERR 'Permissions Violation for Publish to \"nope\"'\r\n")
        .await;
    client
        .expect("-ERR 'Permissions Violation for Subscription to \"nope\"'\r\n")
        .await;
    client.send("PUB out.x nope 1\r\na\r\n").await;
    client.expect("+OK\r\n").await;
}

#[tokio::test]
async fn a_wide_subscription_does_not_see_denied_subjects() {
    let server = Server::with(options("NAUTH"), users()).await;
    let mut client = login(&server, "filtered").await;
    client.send("SUB > 1\r\nSUB secret.x 2\r\n").await;
    client
        .expect("-ERR 'Permissions Violation for Subscription to \"secret.x\"'\r\n")
        .await;
    let mut root = login(&server, "root").await;
    root.send("PUB secret.x 1\r\ns\r\nPUB open 1\r\no\r\n")
        .await;
    client.expect("MSG open 1 1\r\no\r\n").await;
}

#[tokio::test]
async fn a_responder_may_answer_what_it_was_asked_once() {
    let server = Server::with(options("NAUTH"), users()).await;
    let mut responder = login(&server, "responder").await;
    responder.send("SUB service 1\r\n").await;
    responder.sync().await;
    let mut root = login(&server, "root").await;
    root.send("SUB inbox 1\r\nPUB service inbox 1\r\nq\r\n")
        .await;
    responder.expect("MSG service 1 inbox 1\r\nq\r\n").await;
    responder
        .send("PUB inbox 1\r\na\r\nPUB inbox 1\r\nb\r\n")
        .await;
    responder
        .expect("-ERR 'Permissions Violation for Publish to \"inbox\"'\r\n")
        .await;
    root.expect("MSG inbox 1 1\r\na\r\n").await;
    root.sync().await;
}

#[tokio::test]
async fn an_account_has_room_for_so_many_connections() {
    let server = Server::with(options("NAUTH"), users()).await;
    let limits = AccountLimits {
        max_connections: 1,
        ..AccountLimits::default()
    };
    server.hub.update_account("A", &limits);
    let mut first = login(&server, "root").await;
    let mut second = server.connect().await;
    second
        .send("CONNECT {\"verbose\":false,\"user\":\"root\"}\r\n")
        .await;
    second
        .expect("-ERR 'maximum account active connections exceeded'\r\n")
        .await;
    second.expect_end().await;
    first.sync().await;
    server.hub.update_account(
        "A",
        &AccountLimits {
            max_connections: 0,
            ..limits
        },
    );
    first
        .expect("-ERR 'maximum account active connections exceeded'\r\n")
        .await;
    first.expect_end().await;
}

/// Answers with whatever login is put here.
struct Changing(Mutex<Result<Login, AuthFailure>>);

impl Default for Changing {
    fn default() -> Changing {
        Changing(Mutex::new(Err(AuthFailure::Violation)))
    }
}

struct Shared(Arc<Changing>);

impl Authenticator for Shared {
    fn auth_required(&self) -> bool {
        true
    }

    fn nonce_required(&self) -> bool {
        true
    }

    fn authenticate(&self, request: ConnectRequest) -> BoxFuture<'_, Result<Login, AuthFailure>> {
        assert_eq!(request.nonce.len(), 15);
        let login = self.0.0.lock().clone();
        async move { login }.boxed()
    }
}

#[tokio::test]
async fn changed_rights_reach_live_connections() {
    let rights = Arc::new(Changing::default());
    *rights.0.lock() = Ok(Login::unrestricted("A", "u"));
    let server = Server::with(options("NAUTH"), Shared(rights.clone())).await;
    let mut client = login(&server, "u").await;
    client.send("SUB foo 1\r\nSUB bar 2\r\n").await;
    client.sync().await;
    let mut narrow = Login::unrestricted("A", "u");
    narrow.permissions = Permissions::new(rules(SubjectRules::default(), allow(&["bar"])));
    *rights.0.lock() = Ok(narrow);
    server.hub.reauthenticate_all();
    client
        .expect("-ERR 'Permissions Violation for Subscription to \"foo\" (sid \"1\")'\r\n")
        .await;
    client
        .send("PUB foo 1\r\na\r\nPUB bar 1\r\nb\r\nPING\r\n")
        .await;
    client.expect("MSG bar 2 1\r\nb\r\nPONG\r\n").await;
    *rights.0.lock() = Err(AuthFailure::Violation);
    server.hub.reauthenticate_all();
    client.expect("-ERR 'Authorization Violation'\r\n").await;
    client.expect_end().await;
}

#[tokio::test]
async fn subjects_denied_later_are_kept_from_live_subscriptions() {
    let rights = Arc::new(Changing::default());
    *rights.0.lock() = Ok(Login::unrestricted("A", "u"));
    let server = Server::with(options("NAUTH"), Shared(rights.clone())).await;
    let mut client = login(&server, "u").await;
    client.send("SUB foo.* 1\r\nSUB gone 2\r\n").await;
    client.sync().await;
    let mut narrow = Login::unrestricted("A", "u");
    let denied = deny(&["foo.secret", "gone"]);
    narrow.permissions = Permissions::new(rules(SubjectRules::default(), denied));
    *rights.0.lock() = Ok(narrow);
    server.hub.reauthenticate_all();
    client
        .expect("-ERR 'Permissions Violation for Subscription to \"gone\" (sid \"2\")'\r\n")
        .await;
    let publish = "PUB foo.secret 1\r\ns\r\nPUB foo.open 1\r\no\r\n";
    client.send(publish).await;
    client.expect("MSG foo.open 1 1\r\no\r\n").await;
    *rights.0.lock() = Ok(Login::unrestricted("A", "u"));
    server.hub.reauthenticate_all();
    let cid = server.hub.connections()[0].cid;
    eventually("the rights have come back", || {
        let connection = server.hub.connection(cid);
        let login = connection.and_then(|connection| connection.login);
        login.is_some_and(|login| login.permissions.rules().is_none())
    })
    .await;
    client.sync().await;
    client.send(publish).await;
    client.expect("MSG foo.secret 1 1\r\ns\r\n").await;
    client.expect("MSG foo.open 1 1\r\no\r\n").await;
}

#[tokio::test]
async fn who_belongs_elsewhere_now_is_disconnected_without_a_word() {
    let rights = Arc::new(Changing::default());
    *rights.0.lock() = Ok(Login::unrestricted("A", "u"));
    let server = Server::with(options("NAUTH"), Shared(rights.clone())).await;
    let mut client = login(&server, "u").await;
    *rights.0.lock() = Ok(Login::unrestricted("B", "u"));
    server.hub.reauthenticate_all();
    client.expect_end().await;
    eventually("the end is remembered", || {
        let closed = server.hub.closed_connections();
        let reason = closed.first().and_then(|closed| closed.reason);
        reason == Some(wire::CloseReason::ClientClosed)
    })
    .await;
}

#[tokio::test]
async fn a_login_ends_when_it_expires() {
    let rights = Arc::new(Changing::default());
    let mut login_once = Login::unrestricted("A", "u");
    login_once.expires_at_s = Some(1);
    *rights.0.lock() = Ok(login_once);
    let server = Server::with(options("NAUTH"), Shared(rights)).await;
    let mut client = server.connect().await;
    client
        .send("CONNECT {\"verbose\":false,\"user\":\"u\"}\r\n")
        .await;
    client
        .expect("-ERR 'User Authentication Expired'\r\n")
        .await;
    client.expect_end().await;
}

#[tokio::test]
async fn who_is_revoked_or_whose_account_expires_is_told_so() {
    let rights = Arc::new(Changing::default());
    *rights.0.lock() = Ok(Login::unrestricted("A", "u"));
    let server = Server::with(options("NAUTH"), Shared(rights.clone())).await;
    let mut client = login(&server, "u").await;
    *rights.0.lock() = Err(AuthFailure::UserRevoked);
    server.hub.reauthenticate("B");
    client.sync().await;
    server.hub.reauthenticate("A");
    client
        .expect("-ERR 'User Authentication Revoked'\r\n")
        .await;
    client.expect_end().await;

    let mut old = Login::unrestricted("A", "u");
    old.account_expires_at_s = Some(1);
    *rights.0.lock() = Ok(old);
    let mut client = server.connect().await;
    client
        .send("CONNECT {\"verbose\":false,\"user\":\"u\"}\r\n")
        .await;
    client
        .expect("-ERR 'Account Authentication Expired'\r\n")
        .await;
    client.expect_end().await;
}

/// Has to be asked, and never answers. Counts the questions.
struct Silent(Arc<AtomicUsize>);

impl Authenticator for Silent {
    fn auth_required(&self) -> bool {
        true
    }

    fn nonce_required(&self) -> bool {
        false
    }

    fn authenticate(&self, _: ConnectRequest) -> BoxFuture<'_, Result<Login, AuthFailure>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        std::future::pending().boxed()
    }
}

#[tokio::test]
async fn a_login_that_takes_for_ever_ends_with_its_connection() {
    let asked = Arc::new(AtomicUsize::new(0));
    let server = Server::with(options("NTEST"), Silent(asked.clone())).await;
    let mut client = server.connect().await;
    client.send(MODERN).await;
    eventually("the question", || asked.load(Ordering::Relaxed) == 1).await;
    let cid = server.hub.connections()[0].cid;
    assert!(server.hub.kick(cid, wire::CloseReason::Kicked));
    client.expect_end().await;
    eventually("the end", || server.hub.connections().is_empty()).await;
}
