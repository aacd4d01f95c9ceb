use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::options::*;
use crate::{Problems, Source};

use super::{duration, scalars, subject, url};

mod security;
mod websocket;

/// Reads a configuration; all files with `.pem` in their names exist besides.
fn read(text: &str) -> Result<Options, Problems> {
    let source = Source {
        read_file: &|path: &Path| match path.to_str() {
            Some("main.conf") => Ok(text.to_owned()),
            Some(name) if name.ends_with(".pem") => Ok(String::new()),
            _ => Err(io::Error::from(io::ErrorKind::NotFound)),
        },
        environment: &|name| (name == "HOME").then(|| "/home/a".to_owned()),
    };
    Options::read(Path::new("main.conf"), &source)
}

#[track_caller]
fn ok(text: &str) -> Options {
    match read(text) {
        Ok(options) => options,
        Err(problems) => panic!("{text}\n{problems}"),
    }
}

#[track_caller]
fn check_errors(text: &str, expected: &[&str]) {
    let problems = match read(text) {
        Ok(_) => panic!("{text:?} has no error"),
        Err(problems) => problems,
    };
    let found: Vec<String> = problems.0.iter().map(ToString::to_string).collect();
    let fits = found.len() == expected.len()
        && found
            .iter()
            .zip(expected)
            .all(|(found, expected)| found.contains(expected));
    assert!(
        fits,
        "{text:?}\nfound    {found:#?}\nexpected {expected:#?}"
    );
}

#[track_caller]
fn check_warning(text: &str, expected: &str) {
    let warnings = ok(text).warnings;
    let found = warnings
        .iter()
        .any(|warning| warning.to_string().contains(expected));
    assert!(found, "{warnings:?} has no {expected:?}");
}

#[test]
fn defaults_are_those_of_nats_server() {
    let options = Options::default();
    assert_eq!(options.host, "0.0.0.0");
    assert_eq!(options.port, Port::Fixed(4222));
    assert_eq!(options.limits.max_connections, 65_536);
    assert_eq!(options.limits.max_payload_bytes, 1_048_576);
    assert_eq!(options.limits.max_pending_bytes, 67_108_864);
    assert_eq!(options.limits.max_control_line_bytes, 4096);
    assert_eq!(options.limits.ping_interval, Duration::from_secs(120));
    assert_eq!(options.limits.max_pings_out, 2);
    assert_eq!(options.limits.write_deadline, Duration::from_secs(10));
    assert_eq!(options.limits.lame_duck_duration, Duration::from_secs(120));
    assert_eq!(
        options.limits.lame_duck_grace_period,
        Duration::from_secs(10)
    );
    assert_eq!(options.cluster.pool, RoutePool::Connections(3));
    assert_eq!(options.jetstream.limits.default_max_consumers, Some(1000));
    assert!(options.jetstream.strict && !options.jetstream.enabled && options.logging.logtime);
    assert_eq!(options.validate(), Ok(()));
}

#[test]
fn zero_means_the_default_where_it_does_for_nats_server() {
    let options = ok(
        "port: 0, max_payload: 0, max_pending: 0, max_control_line: 0, ping_max: 0
        ping_interval: '0s', write_deadline: '0s', max_closed_clients: 0, max_subs: 0
        connect_error_reports: 0, lame_duck_grace_period: '0s', max_traced_msg_len: 0",
    );
    let defaults = Options {
        config_file: Some(PathBuf::from("main.conf")),
        config_digest: options.config_digest.clone(),
        ..Options::default()
    };
    assert_eq!(options, defaults);
}

#[test]
fn zero_connections_refuse_every_client() {
    assert_eq!(ok("max_connections: 0").limits.max_connections, 0);
    assert_eq!(ok("max_conn: -1").limits.max_connections, 0);
    assert_eq!(ok("max_conn: 1k").limits.max_connections, 1000);
}

#[test]
fn listeners_have_many_spellings() {
    let cases = [
        ("port: -1", "0.0.0.0", Port::Random),
        ("listen: 4333", "0.0.0.0", Port::Fixed(4333)),
        ("listen: localhost:4333", "localhost", Port::Fixed(4333)),
        ("listen: '[::1]:4333'", "::1", Port::Fixed(4333)),
        ("listen: ':-1'", "0.0.0.0", Port::Random),
        ("net: 127.0.0.1, port: 1", "127.0.0.1", Port::Fixed(1)),
    ];
    for (text, host, port) in cases {
        let options = ok(text);
        assert_eq!(
            (options.host.as_str(), options.port),
            (host, port),
            "{text}"
        );
    }
    let monitoring = ok("http: 127.0.0.1:8222, https_port: 8443").monitoring;
    assert_eq!(monitoring.host.as_deref(), Some("127.0.0.1"));
    assert_eq!(monitoring.http_port, Some(Port::Fixed(8222)));
    assert_eq!(monitoring.https_port, Some(Port::Fixed(8443)));
    assert_eq!(
        ok("monitor_port: -1").monitoring.http_port,
        Some(Port::Random)
    );
    assert!(scalars::parse_listen("::1:4222").is_err());
    assert!(scalars::parse_listen("a:b").is_err());
}

#[test]
fn all_errors_are_reported_with_their_places() {
    check_errors(
        "port: x\n  max_payload: {a: 1}\nfoo: 1\ncluster {\n bar: 1\n port: y\n}",
        &[
            "main.conf:1:7: \"port\" must be an integer, got string",
            "main.conf:2:16: \"max_payload\" must be an integer, got map",
            "main.conf:3:1: unknown field \"foo\"",
            "main.conf:5:2: unknown field \"bar\"",
            "main.conf:6:8: \"port\" must be an integer, got string",
        ],
    );
    check_errors(
        "server_name: 5",
        &["must be a string, got integer; put it in quotes"],
    );
    check_errors(
        "debug: 1",
        &["\"debug\" must be true or false, got integer"],
    );
    check_errors(
        "max_payload: 3g",
        &["\"max_payload\" value is too big: 3000000000"],
    );
    check_errors(
        "max_pending: -1",
        &["\"max_pending\" can not be negative: -1"],
    );
    check_errors("max_sub_tokens: 0", &["can not be zero"]);
    check_errors("max_sub_tokens: 256", &["value is too big"]);
    check_errors("write_timeout: never", &["'default', 'close' or 'retry'"]);
    check_errors("write_deadline: '-1s'", &["can not be negative"]);
    check_errors(
        "feature_flags { x: 1 }",
        &["main.conf:1:20: \"x\" must be true or false"],
    );
}

#[test]
fn variables_may_have_any_name() {
    let options = ok("SIZE: 5\nmax_payload: $SIZE\ncluster { SIZE: 7, ping_max: $SIZE }");
    assert_eq!(options.limits.max_payload_bytes, 5);
    assert_eq!(options.cluster.max_pings_out, Some(7));
    check_errors(
        "SIZE: 5\ncluster { SIZE: 7, ping_max: $SIZE }",
        &["1:1: unknown field \"SIZE\""],
    );
}

#[test]
fn old_durations_are_read_with_a_warning() {
    let options = ok("ping_interval: 5");
    assert_eq!(options.limits.ping_interval, Duration::from_secs(5));
    check_warning(
        "ping_interval: 5",
        "main.conf:1:1: invalid use of field \"ping_interval\"",
    );
    check_warning(
        "authorization { user: a, timeout: 2m }",
        "timeout of 2000000 seconds is high",
    );
    check_warning("# nothing", "config has no values or is empty");
    check_warning("cluster { ping_interval: 1m }", "will reset to 30s");
}

#[test]
fn durations_are_those_of_go() {
    let cases = [
        ("0", 0),
        ("1ns", 1),
        ("1us", 1_000),
        ("1\u{b5}s", 1_000),
        ("1.5s", 1_500_000_000),
        (".5s", 500_000_000),
        ("1h2m3s4ms", 3_723_004_000_000),
        ("-2m", -120_000_000_000),
        ("+1s", 1_000_000_000),
    ];
    for (text, nanos) in cases {
        assert_eq!(duration::parse(text), Ok(nanos), "{text}");
    }
    for text in [
        "",
        "1",
        "s",
        "1x",
        "1s1",
        ".s",
        "1..s",
        "-",
        "9999999999h",
        "1 s",
    ] {
        assert!(duration::parse(text).is_err(), "{text}");
    }
}

#[test]
fn jetstream_is_a_switch_or_a_block() {
    assert!(ok("jetstream: true").jetstream.enabled);
    assert!(ok("jetstream: Enabled").jetstream.enabled);
    assert!(!ok("jetstream: disabled").jetstream.enabled);
    assert!(ok("jetstream {}").jetstream.enabled);
    assert!(
        !ok("jetstream { enabled: false, max_mem: 1 }")
            .jetstream
            .enabled
    );
    check_errors(
        "jetstream: maybe",
        &["\"jetstream\" must be true, false, enabled"],
    );

    let jetstream = ok(
        "jetstream { store_dir: '/d', max_mem: '2G', max_file: 3TB, sync: ALWAYS
        domain: d, key: k, cipher: aes, unique_tag: ' AZ: ', max_concurrent_io: 4
        limits { max_ha_assets: 5, duplicate_window: 1m30s, default_max_consumers: -1 } }",
    )
    .jetstream;
    assert_eq!(jetstream.store_dir.as_deref(), Some(Path::new("/d")));
    assert_eq!(jetstream.max_memory_bytes, Some(2 << 30));
    assert_eq!(jetstream.max_store_bytes, Some(3 << 40));
    assert_eq!(jetstream.sync_interval, SyncInterval::Always);
    assert_eq!(jetstream.unique_tag.as_deref(), Some("az:"));
    assert_eq!(jetstream.cipher, Some(Cipher::Aes));
    assert_eq!(jetstream.limits.max_ha_assets, Some(5));
    assert_eq!(
        jetstream.limits.duplicate_window,
        Some(Duration::from_secs(90))
    );
    assert_eq!(jetstream.limits.default_max_consumers, None);

    let every = ok("jetstream { sync_interval: '10s', max_file: -1 }").jetstream;
    assert_eq!(
        every.sync_interval,
        SyncInterval::Every(Duration::from_secs(10))
    );
    assert_eq!(every.max_store_bytes, None);
    check_errors(
        "jetstream { max_concurrent_io: 3 }",
        &["must be between 4 and 8192, got 3"],
    );
    check_errors(
        "store_dir: a\njetstream { store: b }",
        &["2:13: Duplicate 'store_dir'"],
    );
}

#[test]
fn clusters_are_read() {
    let cluster = ok("cluster { name: c, listen: 'h:6222', routes: ['nats://a:1', 'nats://b:2']
        authorization { user: u, password: p }, permissions { import: 'a.>', export: 'b.>' }
        pool_size: -1, compression: on, connect_retries: 3, write_timeout: close
        tls { cert_file: c.pem, key_file: k.pem, ca_file: ca.pem, verify_cert_and_check_known_urls: true } }")
    .cluster;
    assert_eq!(cluster.port, Some(Port::Fixed(6222)));
    assert_eq!(cluster.routes, ["nats://a:1", "nats://b:2"]);
    assert_eq!(cluster.pool, RoutePool::Disabled);
    assert_eq!(cluster.compression, Compression::S2Fast);
    assert_eq!(cluster.write_timeout, WriteTimeout::Close);
    let permissions = cluster.authorization.permissions.unwrap();
    assert_eq!(permissions.publish.allow, Some(vec!["a.>".to_owned()]));
    assert_eq!(permissions.subscribe.allow, Some(vec!["b.>".to_owned()]));
    assert!(cluster.tls.unwrap().verify);

    let auto = |thresholds: &str| {
        format!("cluster {{ compression {{ mode: auto, rtts: [{thresholds}] }} }}")
    };
    let compression = ok(&auto("1ms, '0s', 5ms, '0s'")).cluster.compression;
    let ms = Duration::from_millis;
    assert_eq!(compression, Compression::S2Auto(vec![ms(1), ms(0), ms(5)]));
    check_errors(&auto("5ms, 1ms"), &["ascending order"]);
    check_errors(&auto("1ms, 2ms, 3ms, 4ms, 5ms"), &["no more than 4"]);
    check_errors(
        "cluster { name: 'a b' }",
        &["cluster name cannot contain spaces"],
    );
    check_errors(
        "cluster { permissions { allow_responses: true } }",
        &["dynamic responses"],
    );
    check_warning("cluster { routes: [a, a] }", "Duplicate route entry");
}

#[test]
fn unserved_blocks_are_remembered_and_checked() {
    let unserved = ok("leaf { port: 2 }\nmqtt { port: 3 }\nocsp: false").unserved;
    let found: Vec<_> = unserved
        .iter()
        .map(|u| format!("{} {}", u.block, u.position))
        .collect();
    assert_eq!(found, ["leaf main.conf:1:1", "mqtt main.conf:2:1"]);
    check_errors("mqtt { prot: 1 }", &["1:8: unknown field \"prot\""]);
    check_errors("mqtt { port: x }", &["1:14: \"port\" must be an integer"]);
    check_errors(
        "gateway { gateways [ {name: g, urls: [':']} ] }",
        &["error parsing remote url"],
    );
    check_errors(
        "leafnodes { remotes: 1 }",
        &["\"remotes\" must be an array"],
    );
}

#[test]
fn urls_are_recognised() {
    for text in [
        "nats://a:1",
        "nats://u:p@a:1",
        "tls://[::1]:4222",
        "nats://a",
        "a",
        "a:1",
    ] {
        assert!(url::is_url(text), "{text}");
    }
    for text in [
        "",
        "nats://a:b",
        "1.2.3.4:5",
        "nats://[::1",
        "://a",
        "nats://a b",
    ] {
        assert!(!url::is_url(text), "{text}");
    }
}

#[test]
fn subjects_cover_and_overlap() {
    for (filter, subject) in [
        ("a", "a"),
        ("*", "a"),
        (">", "a.b"),
        ("a.>", "a.*"),
        ("*", "*"),
    ] {
        assert!(subject::covers(filter, subject), "{filter} {subject}");
        assert!(subject::overlap(subject, filter), "{filter} {subject}");
    }
    for (filter, subject) in [
        ("a", "*"),
        ("*", ">"),
        ("a.>", "a"),
        ("a.b", "a"),
        ("a", "b"),
    ] {
        assert!(!subject::covers(filter, subject), "{filter} {subject}");
    }
    assert!(subject::overlap("a.*", "*.b") && !subject::overlap("a.*", "b.*"));
    assert!(!subject::is_valid("a..b") && !subject::is_valid("") && !subject::is_valid(">.a"));
    assert!(subject::is_literal("a.b") && !subject::is_literal("a.*"));
}

proptest::proptest! {
    /// Known keys with values that do not suit them.
    #[test]
    fn no_configuration_panics(
        text in r#"((port|listen|max_payload|max_pending|ping_interval|lame_duck_duration|tls|timeout|cluster|routes|compression|mode|rtts|jetstream|limits|max_mem|accounts|A|users|user|nkey|permissions|publish|allow_responses|exports|imports|service|stream|account|subject|latency|mappings|weight|dest|resolver|type|dir|operator|trusted|http|leafnodes|remotes|url|authorization|token|server_tags) (: )?(-?[0-9]{1,19}[kmge]?b?|-?[0-9]\.[0-9]|true|'[a-z0-9.*>$%:/ -]{0,9}'|"\$1"|\{|\[)?[ ,}\]\n]?){0,24}"#
    ) {
        let _ = read(&text);
    }
}
