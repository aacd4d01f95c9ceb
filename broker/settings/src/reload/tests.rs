use std::path::Path;

use super::{Part, Plan};
use crate::flags::Flags;
use crate::{Options, Source};

fn options(text: &str) -> Options {
    let read_file = |path: &Path| match path.to_str() {
        Some("c") => Ok(text.to_owned()),
        _ => Ok(String::new()),
    };
    let source = Source {
        read_file: &read_file,
        environment: &|_| None,
    };
    let flags = Flags {
        config_file: Some("c".into()),
        ..Flags::default()
    };
    match Options::from_flags_and_file(&flags, &source) {
        Ok(options) => options,
        Err(problems) => panic!("{text}: {problems}"),
    }
}

#[track_caller]
fn plan(old: &str, new: &str) -> Plan {
    match options(old).reload_into(&options(new)) {
        Ok(plan) => plan,
        Err(error) => panic!("{old} to {new}: {error}"),
    }
}

#[track_caller]
fn check(old: &str, new: &str, part: Part, texts: &[&str]) {
    let plan = plan(old, new);
    let found: Vec<&str> = plan
        .changes
        .iter()
        .map(|change| change.text.as_str())
        .collect();
    assert_eq!(found, texts, "{old} to {new}");
    assert!(plan.parts().contains(&part), "{plan:?}");
}

#[track_caller]
fn refused(old: &str, new: &str, text: &str) {
    let error = options(old).reload_into(&options(new)).expect_err(new);
    assert_eq!(error.to_string(), text);
}

const TLS: &str = "tls { cert_file: a.pem, key_file: b.pem }";

/// The words are those of nats-server where it can change the option too.
#[test]
fn what_can_be_reloaded_is_named() {
    let cases: &[(&str, &str, Part, &[&str])] = &[
        ("", "debug: true", Part::Logging, &["debug = true"]),
        (
            "",
            "trace_headers: true",
            Part::Logging,
            &["trace = true", "trace_headers = true"],
        ),
        (
            "logtime_utc: true",
            "",
            Part::Logging,
            &["logtime_utc = false"],
        ),
        (
            "",
            "log_file: \"/x/y.log\"",
            Part::Logging,
            &["log_file = /x/y.log"],
        ),
        (
            "",
            "logfile_max_num: 3",
            Part::Logging,
            &["logfile_max_num = 3"],
        ),
        (
            "",
            "remote_syslog: \"udp://h:1\"",
            Part::Logging,
            &["remote_syslog = udp://h:1"],
        ),
        (
            "",
            "max_connections: 10",
            Part::Limits,
            &["max_connections = 10"],
        ),
        (
            "",
            "max_connections: 0",
            Part::Limits,
            &["max_connections = -1"],
        ),
        (
            "max_connections: 10",
            "",
            Part::Limits,
            &["max_connections = 65536"],
        ),
        ("", "max_payload: -1", Part::Limits, &["max_payload = -1"]),
        (
            "",
            "max_payload: 1000",
            Part::Limits,
            &["max_payload = 1000"],
        ),
        (
            "",
            "ping_interval: \"5s\"",
            Part::Limits,
            &["ping_interval = 5s"],
        ),
        (
            "",
            "write_deadline: \"5s\"",
            Part::Limits,
            &["write_deadline = 5s"],
        ),
        (
            "",
            "write_timeout: close",
            Part::Limits,
            &["write_timeout = close"],
        ),
        (
            "",
            "lame_duck_duration: \"40s\"",
            Part::Limits,
            &["lame_duck_duration = 40s"],
        ),
        (
            "",
            "no_fast_producer_stall: true",
            Part::Limits,
            &["fast producers will not be stalled"],
        ),
        ("", "server_tags: [a]", Part::Facts, &["tags"]),
        ("", "server_metadata: {a: b}", Part::Facts, &["metadata"]),
        (
            "",
            "pid_file: \"x.pid\"",
            Part::Files,
            &["pid_file = x.pid"],
        ),
        (
            "",
            "client_advertise: \"a:1\"",
            Part::Advertise,
            &["client_advertise = a:1"],
        ),
        (
            "",
            "authorization: {user: a, password: b, timeout: 5}",
            Part::Accounts,
            &[
                "authorization username",
                "authorization password",
                "authorization timeout = 5",
            ],
        ),
        (
            "authorization: {users: [{user: a, password: b}]}",
            "authorization: {users: [{user: a, password: b, permissions: {publish: x}}]}",
            Part::Accounts,
            &["authorization users"],
        ),
        (
            "accounts: {A: {}}",
            "accounts: {A: {}, B: {}}",
            Part::Accounts,
            &["accounts"],
        ),
        (
            "mappings: {a: b}",
            "mappings: {a: c}",
            Part::Accounts,
            &["mappings"],
        ),
        (
            "",
            TLS,
            Part::Tls,
            &["authorization timeout = 3", "tls = enabled"],
        ),
        (
            TLS,
            "tls { cert_file: a.pem, key_file: b.pem, timeout: 5, handshake_first: auto }",
            Part::Tls,
            &[
                "authorization timeout = 6",
                "tls timeout = 5",
                "Client TLS handshake first: true",
                "Client TLS handshake first fallback delay: 50ms",
            ],
        ),
        (
            TLS,
            "tls { cert_file: c.pem, key_file: b.pem }",
            Part::Tls,
            &["tls = enabled"],
        ),
        (
            "cluster: {name: x, port: 1}",
            "cluster: {name: x, port: 1, routes: [\"nats://h:2\"]}",
            Part::Routes,
            &["cluster routes"],
        ),
        (
            "cluster: {name: x, port: 1}",
            "cluster: {name: x, port: 1, no_advertise: true}",
            Part::Cluster,
            &["cluster"],
        ),
    ];
    for (old, new, part, texts) in cases {
        check(old, new, *part, texts);
    }
}

#[test]
fn what_cannot_be_reloaded_fails_as_with_nats_server() {
    let cases = [
        ("", "port: 4223", "Port: old=4222, new=4223"),
        ("", "port: -1", "Port: old=4222, new=-1"),
        (
            "",
            "host: \"127.0.0.1\"",
            "Host: old=0.0.0.0, new=127.0.0.1",
        ),
        ("", "server_name: foo", "ServerName: old=, new=foo"),
        ("", "http_port: 8222", "HTTPPort: old=0, new=8222"),
        ("", "http_base_path: \"/x\"", "HTTPBasePath: old=, new=/x"),
        ("", "prof_port: 1", "ProfPort: old=0, new=1"),
        (
            "",
            "system_account: \"$SYS\"",
            "SystemAccount: old=, new=$SYS",
        ),
        (
            "",
            "no_system_account: true",
            "NoSystemAccount: old=false, new=true",
        ),
        (
            "",
            "disable_sublist_cache: true",
            "NoSublistCache: old=false, new=true",
        ),
        (
            "",
            "cluster: {name: x, port: 1}",
            "cluster host: old=, new=0.0.0.0",
        ),
        (
            "",
            "feature_flags: {b: true, a: false}",
            "FeatureFlags: old=map[], new=map[a:false b:true]",
        ),
        (
            "cluster: {name: x, port: 1}",
            "cluster: {name: y, port: 1}",
            "cluster name: old=x, new=y",
        ),
        (
            "cluster: {name: x, port: 1}",
            "cluster: {name: x, port: 2}",
            "cluster port: old=1, new=2",
        ),
        (
            "",
            "websocket: {port: 1, no_tls: true}",
            "websocket port: old=0, new=1",
        ),
        ("", "jetstream: true", "JetStream: old=false, new=true"),
        (
            "jetstream: true",
            "jetstream: {domain: d}",
            "JetStreamDomain: old=, new=d",
        ),
        (
            "jetstream: {sync_interval: \"2m\"}",
            "jetstream: {sync_interval: \"10s\"}",
            "SyncInterval: old=2m0s, new=10s",
        ),
    ];
    for (old, new, text) in cases {
        refused(old, new, &format!("config reload not supported for {text}"));
    }
    let text = "config reload does not support moving to or from an account resolver";
    refused("", "resolver: MEMORY", text);
    let text = "c:1:1: \"gateway\" is not served by this version; remove it";
    refused("", "gateway: {port: 1, name: a}", text);
    // An option without words of its own.
    let text = "config reload not supported for one of the changed options";
    refused("jetstream: true", "jetstream: {max_concurrent_io: 7}", text);
}

#[test]
fn the_same_configuration_changes_nothing_wherever_it_is_written() {
    let old = "accounts: {A: {users: [{user: a, password: a}]}}\ndebug: true";
    let new = "# moved\n\ndebug: true\naccounts: {A: {users: [{user: a, password: a}]}}";
    assert_eq!(plan(old, new), Plan::default());
}
