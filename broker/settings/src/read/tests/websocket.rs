//! The listener for WebSocket clients.

use std::time::Duration;

use crate::options::Port;

use super::{check_errors, ok};

const USERS: &str = "authorization { users: [ {user: a, password: b} ] }\n";

#[test]
fn a_listener_and_its_rules() {
    let websocket = ok("websocket {
        host: localhost, port: 8443, no_tls: true, compress: true, handshake_timeout: 2
        origins: ['http://a.example', 'http://b.example'], same_origin: true
        authentication { username: u, password: p, timeout: 1.5 }
        headers { X-Frame-Options: deny }, ping_interval: 30s, jwt_cookie: j
    }")
    .websocket;
    assert_eq!(
        (websocket.host.as_deref(), websocket.port),
        (Some("localhost"), Some(Port::Fixed(8443)))
    );
    assert_eq!(
        websocket.allowed_origins,
        ["http://a.example", "http://b.example"]
    );
    assert!(websocket.no_tls && websocket.compression && websocket.same_origin);
    assert_eq!(
        (websocket.user.as_deref(), websocket.password.as_deref()),
        (Some("u"), Some("p"))
    );
    assert_eq!(websocket.handshake_timeout, Some(Duration::from_secs(2)));
    assert_eq!(websocket.auth_timeout, Some(Duration::from_millis(1500)));
    assert_eq!(websocket.ping_interval, Some(Duration::from_secs(30)));
    assert_eq!(websocket.headers["X-Frame-Options"], "deny");
    assert_eq!(websocket.jwt_cookie.as_deref(), Some("j"));
    check_errors("websocket { prot: 1 }", &["1:13: unknown field \"prot\""]);
}

#[test]
fn what_a_server_cannot_start_with() {
    let refused = |text: &str| ok(text).validate().unwrap_err().to_string();
    let check = |text: &str, reason: &str| {
        let got = refused(text);
        assert!(got.contains(reason), "{text}: {got}");
    };
    check(
        "websocket { port: -1 }",
        "websocket requires TLS configuration",
    );
    check(
        "websocket { port: -1, no_tls: true, headers { Sec-WebSocket-Accept: x } }",
        "invalid header \"Sec-WebSocket-Accept\" not allowed",
    );
    check(
        "websocket { port: -1, no_tls: true, jwt_cookie: j }",
        "trusted operators or trusted keys configuration is required",
    );
    let of_users = |more: &str| format!("{USERS}websocket {{ port: -1, no_tls: true, {more} }}");
    check(
        &of_users("authorization { user: x, password: y }"),
        "username not compatible with presence of users",
    );
    check(
        &of_users("authorization { token: x }"),
        "token not compatible with presence of users",
    );
    check(
        &of_users("no_auth_user: nobody"),
        "no_auth_user: \"nobody\" not present",
    );
    assert_eq!(ok(&of_users("no_auth_user: a")).validate(), Ok(()));
    // Without a port there is no listener, and nothing to refuse.
    assert_eq!(ok("websocket { jwt_cookie: j }").validate(), Ok(()));
}
