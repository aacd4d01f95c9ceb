//! Who may connect, by which means, and what accounts share.

use std::path::Path;
use std::time::Duration;

use crate::options::*;
use crate::read::nkey;

use super::{check_errors, ok};

const USER_KEY: &str = "UADRIIJOHNEFKYTPPSEZNI5QXXFNPZHR7YFRQJJSH5GFSZTTQCGZUQLX";
const OPERATOR_KEY: &str = "OAHBWKBVIJHVY2LWQOIJ3KVXYTI5527YAUJB6LBZIZJWA3L2Q6KKCPYH";
const ACCOUNT_KEY: &str = "AAKSELZ4JFLGG4D5RKL2JMN6ZPMOL4X7BQMSMM2AJVNGO5EBR2N2RHL4";

#[test]
fn permissions_are_short_or_long() {
    let users = ok("authorization { users [
        { user: a, password: b, permissions { publish: x, subscribe: [y, 'z q'] } }
        { user: c, password: d, permissions { pub { allow: x, deny: [y] }, sub: { deny: z } } }
        { user: e, password: f, permissions { sub: x, allow_responses: true } }
        { user: g, password: h, permissions { allow_responses { max: -1, ttl: '-1s' } } }
        { user: i, password: j, permissions { publish: [] } }
    ] }")
    .authorization
    .users;
    let permissions: Vec<&Permissions> = users
        .iter()
        .filter_map(|user| user.permissions.as_ref())
        .collect();
    let strings = |list: &[&str]| -> Vec<String> { list.iter().map(|s| (*s).into()).collect() };
    assert_eq!(permissions[0].publish.allow, Some(strings(&["x"])));
    assert_eq!(permissions[0].subscribe.allow, Some(strings(&["y", "z q"])));
    assert_eq!(permissions[1].publish.deny, strings(&["y"]));
    assert_eq!(permissions[1].subscribe.allow, None);
    // Who may answer may publish nothing else, unless told so.
    assert_eq!(permissions[2].publish.allow, Some(Vec::new()));
    let responses = permissions[2].responses.clone().unwrap();
    assert_eq!(
        (responses.max_messages, responses.expires),
        (Some(1), Some(Duration::from_secs(120)))
    );
    let responses = permissions[3].responses.clone().unwrap();
    assert_eq!((responses.max_messages, responses.expires), (None, None));
    assert_eq!(permissions[4].publish.allow, None);

    let publish = |subject: &str| {
        format!("authorization {{ users [ {{user: a, permissions {{publish: '{subject}'}}}} ] }}")
    };
    check_errors(&publish("a b"), &["subject \"a b\" is not a valid subject"]);
    check_errors(&publish("a.>.b"), &["is not a valid subject"]);
}

#[test]
fn users_are_who_they_say_once() {
    let text = format!("authorization {{ users [ {{nkey: {USER_KEY}, clients: [MQTT_WS]}} ] }}");
    let user = ok(&text).authorization.users.remove(0);
    assert_eq!(user.credentials, Credentials::Nkey(USER_KEY.into()));
    assert_eq!(user.connection_types, [ConnectionType::MqttWebsocket]);

    let users = |list: &str| format!("authorization {{ users [ {list} ] }}");
    check_errors(&users("{password: a}"), &["User entry requires a user"]);
    check_errors(
        &users(&format!("{{nkey: {USER_KEY}, user: a}}")),
        &["Nkey users do not take"],
    );
    check_errors(
        &users(&format!("{{nkey: {ACCOUNT_KEY}}}")),
        &["not a valid public nkey"],
    );
    check_errors(
        &users("{user: a}, {user: a}"),
        &["main.conf:1:36: Duplicate user \"a\""],
    );
    check_errors(
        &users("{user: a, clients: FAX}"),
        &["invalid connection type \"FAX\""],
    );
    check_errors(
        &users("{user: 1}"),
        &["\"user\" must be a string, got integer"],
    );
    check_errors(
        "accounts { A { users [ {user: a} ] } }\nauthorization { token: t }",
        &["2:1: Can not have a token and a users array"],
    );
}

#[test]
fn callouts_need_an_issuer_and_users() {
    let text = format!(
        "accounts {{ A {{}} }}
        authorization {{ auth_callout {{ issuer: {ACCOUNT_KEY}, users: [a], allowed_accounts: [A] }} }}"
    );
    let callout = ok(&text).authorization.auth_callout.unwrap();
    assert_eq!(callout.issuer, ACCOUNT_KEY);
    check_errors(
        "authorization { auth_callout { account: A, allowed_accounts: [B] } }",
        &[
            "require an issuer",
            "require authorized users",
            "allowed account \"B\" not found",
        ],
    );
}

#[test]
fn accounts_share_what_they_export() {
    let options = ok("accounts {
        A { exports [ {service: 'a.*', account_token_position: 2}, {stream: 's.>', accounts: [B]} ] }
        B { imports [ {service: {account: A, subject: 'a.B'}, to: x, share: yes}
                      {stream: {account: A, subject: 's.t'}, prefix: p} ] } }");
    let [a, b] = &options.accounts[..] else {
        panic!("{:?}", options.accounts)
    };
    assert_eq!(a.exports[0].account_token_position, Some(2));
    assert_eq!(
        a.exports[1].accounts.as_deref(),
        Some(&["B".to_owned()][..])
    );
    assert_eq!(b.imports[0].kind, InterestKind::Service);
    assert_eq!(b.imports[0].to.as_deref(), Some("x"));
    assert!(b.imports[0].share);
    assert_eq!(b.imports[1].prefix.as_deref(), Some("p"));

    let export = |body: &str| format!("accounts {{ A {{ exports [ {{{body}}} ] }} }}");
    check_errors(
        &export("stream: x, response: single"),
        &["Detected response directive"],
    );
    check_errors(
        &export("stream: x, service: y"),
        &["detected service but already saw a stream"],
    );
    check_errors(
        &export("accounts: [A]"),
        &["expected a stream or a service"],
    );
    check_errors(
        &export("service: x, latency: {sampling: 0, subject: y}"),
        &["from 1 to 100"],
    );
    check_errors(
        &export("service: x, accounts: [Z]"),
        &["\"Z\" account not defined"],
    );
    check_errors(
        &export("service: 'a.b', account_token_position: 1"),
        &["is not a '*'"],
    );
    let import = |body: &str| {
        format!(
            "accounts {{ A {{ exports [ {{stream: 'x.>'}} ] }}\nB {{ imports [ {{{body}}} ] }} }}"
        )
    };
    check_errors(
        &import("stream: {account: A}"),
        &["Expect an account name and a subject"],
    );
    check_errors(
        &import("stream: {account: Z, subject: y}"),
        &["\"Z\" account not defined"],
    );
    check_errors(
        &import("stream: {account: A, subject: x}"),
        &["import not authorized"],
    );
    check_errors(
        &import("service: {account: A, subject: x.y}"),
        &["import not authorized"],
    );
}

#[test]
fn account_limits_below_zero_are_none() {
    let options = ok(
        "accounts { A { limits { max_conn: 5, max_subs: -1, max_payload: 0 }
        jetstream { max_mem: 1k, max_store: -1, max_bytes_required: true, cluster_traffic: owner }
        msg_trace: { dest: t, sampling: 5% } }, B { jetstream: off } }",
    );
    let account = &options.accounts[0];
    assert_eq!(account.limits.max_connections, Some(5));
    assert_eq!(account.limits.max_subscriptions, None);
    assert_eq!(account.limits.max_payload_bytes, Some(0));
    let jetstream = account.jetstream.as_ref().unwrap();
    assert_eq!(
        (jetstream.max_memory_bytes, jetstream.max_store_bytes),
        (Some(1000), None)
    );
    assert_eq!(jetstream.cluster_traffic, ClusterTraffic::Owner);
    assert!(jetstream.max_bytes_required);
    assert_eq!(account.message_trace.as_ref().unwrap().sampling_percent, 5);
    assert_eq!(options.accounts[1].jetstream, None);
    assert_eq!(ok("accounts [A, B]").accounts.len(), 2);
    check_errors("accounts [A, A]", &["1:14: Duplicate Account Entry: A"]);
}

#[test]
fn tls_blocks_are_checked_as_a_whole() {
    let tls = ok(
        "tls { cert_file: a.pem, key_file: b.pem, verify_and_map: true, timeout: 0.5
        handshake_first: 300ms, pinned_certs: [], ocsp_peer: true }",
    )
    .tls
    .unwrap();
    assert!(tls.verify && tls.verify_and_map && tls.ocsp_peer.unwrap().verify);
    assert_eq!(tls.timeout, Duration::from_millis(500));
    assert_eq!(
        tls.handshake_first,
        HandshakeFirst::Fallback(Duration::from_millis(300))
    );
    let first = |value: &str| {
        ok(&format!("tls {{ first: {value} }}"))
            .tls
            .unwrap()
            .handshake_first
    };
    assert_eq!(first("on"), HandshakeFirst::Always);
    assert_eq!(first("off"), HandshakeFirst::No);
    assert_eq!(
        first("auto"),
        HandshakeFirst::Fallback(Duration::from_millis(50))
    );
    let pair = "certs: [ {cert_file: c.pem, key_file: d.pem} ]";
    assert_eq!(
        ok(&format!("tls {{ {pair} }}"))
            .tls
            .unwrap()
            .certificates
            .len(),
        1
    );

    let combined = format!("tls {{ cert_file: a.pem, key_file: b.pem, {pair} }}");
    check_errors(
        &combined,
        &["cannot combine 'cert_file' option with 'certs'"],
    );
    check_errors("tls { cert_file: a.pem }", &["missing 'key_file'"]);
    check_errors("tls { ca_file: nowhere }", &["can not read nowhere"]);
    check_errors(
        "tls { verify_cert_and_check_known_urls: true }",
        &["not supported in this"],
    );
    let weak = "cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]";
    check_errors(
        &format!("tls {{ {weak} }}"),
        &["without 'allow_insecure_cipher_suites'"],
    );
    ok(&format!(
        "tls {{ {weak}, allow_insecure_cipher_suites: true }}"
    ));
    check_errors(
        "tls { cipher_suites: [] }",
        &["'cipher_suites' cannot be empty"],
    );
    check_errors("tls { min_version: 1.2 }", &["wrong type"]);
    check_errors(
        "tls { handshake_first: soon }",
        &["value \"soon\" is invalid"],
    );
    check_errors("tls { cert_match: x }", &["only supported on Windows"]);
}

#[test]
fn resolvers_are_named_or_blocks() {
    let resolver = |text: &str| ok(&format!("resolver: {text}")).resolver.unwrap();
    assert_eq!(resolver("MEMORY"), Resolver::Memory);
    assert_eq!(
        resolver("'URL(\"http://a/b\")'"),
        Resolver::Url("http://a/b".into())
    );
    assert_eq!(
        resolver("URL(http://a/b)"),
        Resolver::Url("http://a/b".into())
    );
    let full = resolver("{type: full, dir: d, allow_delete: true, interval: 2m30s, limit: 0}");
    let Resolver::Directory {
        kind,
        interval,
        limit,
        ..
    } = full
    else {
        panic!("{full:?}")
    };
    assert_eq!(kind, DirectoryKind::Full);
    assert_eq!((interval, limit), (Some(Duration::from_secs(150)), None));
    check_errors(
        "resolver {type: full, ttl: 1h}",
        &["does not accept ttl", "dir has no value"],
    );
    check_errors("resolver {type: half, dir: d}", &["should be MEM or URL"]);

    let options = ok(&format!("trusted_keys: {OPERATOR_KEY}\noperator: ~/o.pem"));
    assert_eq!(options.trusted_keys, [OPERATOR_KEY]);
    assert_eq!(
        options.operators[0].file.as_deref(),
        Some(Path::new("/home/a/o.pem"))
    );
    assert_eq!(ok("operator: eyJh.eyJi.c").operators[0].file, None);
    check_errors(
        "operator: nowhere.jwt",
        &["error parsing operator JWT: open nowhere.jwt"],
    );
    check_errors("resolver_preload { A: x }", &["invalid account JWT"]);
}

#[test]
fn mappings_have_weights() {
    let mappings =
        ok("mappings { a: b, 'c.*': [ {dest: 'd.$1', weight: 30%, cluster: e} ] }").mappings;
    assert_eq!(mappings[0].destinations[0].weight_percent, 100);
    assert_eq!(mappings[1].destinations[0].weight_percent, 30);
    assert_eq!(mappings[1].destinations[0].cluster.as_deref(), Some("e"));
    ok("mappings { 'a.*.*': 'b.{{wildcard(2)}}.{{ partition(3,1) }}' }");
    check_errors(
        "mappings { 'a.*': 'b.{{wildcard(2)}}' }",
        &["wildcard index out of range"],
    );
    check_errors("mappings { 'a.*': 'b.{{nope(1)}}' }", &["unknown function"]);
    check_errors(
        "mappings { 'a..b': c }",
        &["Subject \"a..b\" is not a valid subject"],
    );
    check_errors(
        "mappings { a: {dest: b} }",
        &["needs a destination and a weight"],
    );
    check_errors("mappings { a: {dest: b, weight: 101} }", &["from 0 to 100"]);
}

#[test]
fn public_keys_have_a_kind_and_a_checksum() {
    assert!(nkey::is_public(USER_KEY, nkey::Kind::User));
    assert!(!nkey::is_public(USER_KEY, nkey::Kind::Account));
    assert!(nkey::is_any_public(OPERATOR_KEY));
    for end in 0..USER_KEY.len() {
        assert!(!nkey::is_any_public(&USER_KEY[..end]));
    }
    assert!(!nkey::is_any_public(&USER_KEY.replace("LX", "LY")));
    assert!(!nkey::is_any_public(&USER_KEY.to_lowercase()));
}
