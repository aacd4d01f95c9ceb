use std::io;
use std::path::{Path, PathBuf};

use crate::options::{Options, Port};
use crate::{Problems, Source};

use super::{Action, Flags, Signal, SignalCommand, help, help_tls, parse};

#[track_caller]
fn flags(line: &str) -> Flags {
    match parse(line.split_whitespace()) {
        Ok(Action::Run(flags)) => flags,
        other => panic!("{line}: {other:?}"),
    }
}

/// Runs with a command line, where `c` is a configuration with this text.
fn run(line: &str, text: &str) -> Result<Options, Problems> {
    let source = Source {
        read_file: &|path: &Path| match path.to_str() {
            Some("c") => Ok(text.to_owned()),
            Some(name) if name.ends_with(".pem") => Ok(String::new()),
            _ => Err(io::Error::from(io::ErrorKind::NotFound)),
        },
        environment: &|_| None,
    };
    Options::from_flags_and_file(&flags(line), &source)
}

#[track_caller]
fn ok(line: &str, text: &str) -> Options {
    match run(line, text) {
        Ok(options) => options,
        Err(problems) => panic!("{line} with {text:?}: {problems}"),
    }
}

#[track_caller]
fn check_error(line: &str, text: &str, expected: &str) {
    let problems = run(line, text).expect_err(line).to_string();
    assert!(
        problems.contains(expected),
        "{problems:?} is not {expected:?}"
    );
}

#[test]
fn flags_have_one_dash_or_two() {
    for line in ["-p 5", "--p 5", "-port=5", "--port 5", "--port=5"] {
        assert_eq!(flags(line).port, Some(5), "{line}");
    }
    let port = flags("-p -1").port;
    assert_eq!(port, Some(-1));
    for line in ["-sd /d", "-sd=/d", "--store_dir /d"] {
        assert_eq!(flags(line).store_dir, Some(PathBuf::from("/d")), "{line}");
    }
    for line in ["-js", "--jetstream", "-js=true", "-js=1"] {
        assert_eq!(flags(line).jetstream, Some(true), "{line}");
    }
    assert_eq!(flags("-T=false").logtime, Some(false));
    assert_eq!(flags("-D -D=false").debug, Some(false));
    assert_eq!(flags("--").port, None);
}

#[test]
fn every_name_is_understood() {
    let mut names = 0;
    for definition in super::TABLE {
        for name in definition.names {
            names += 1;
            let value = match definition.setter {
                super::Setter::Switch(_) => "true",
                super::Setter::Number(_) => "1",
                super::Setter::Text(_) if definition.names.contains(&"signal") => "reload=1",
                super::Setter::Text(_) => "x",
            };
            // A configuration keeps `-t` from complaining.
            let result = parse([format!("-{name}={value}"), "-c=x".to_owned()]);
            assert!(result.is_ok(), "-{name}: {result:?}");
        }
    }
    assert_eq!(names, 64);
}

#[test]
fn letters_join() {
    let verbose = flags("-DVV");
    assert_eq!(
        (verbose.debug, verbose.trace, verbose.trace_verbose),
        (Some(true), Some(true), Some(true))
    );
    let traced = flags("-DV");
    assert_eq!(
        (traced.debug, traced.trace, traced.trace_verbose),
        (Some(true), Some(true), None)
    );
    let logging = ok("-c c -VV", "debug: true").logging;
    assert!(logging.debug && logging.trace && logging.trace_verbose);
}

#[test]
fn wrong_flags_are_explained() {
    let check = |line: &str, expected: &str| {
        let error = parse(line.split_whitespace()).expect_err(line).to_string();
        assert_eq!(error, expected);
    };
    check("--bogus", "flag provided but not defined: -bogus");
    check("-p", "flag needs an argument: -p");
    check("-p abc", "invalid value \"abc\" for flag -p");
    check("-D=maybe", "invalid value \"maybe\" for flag -D");
    check("---p 1", "bad flag syntax: ---p");
    check("-=1", "bad flag syntax: -=1");
    check("foo", "unrecognized command: \"foo\"");
    check(
        "-t",
        "must specify [-c, --config] option to check configuration file syntax",
    );
    check("--signal fly", "unknown signal \"fly\"");
    check("--signal ldm=1=2", "invalid signal parameters: \"ldm=1=2\"");
}

#[test]
fn some_flags_do_not_run_a_server() {
    let action = |line: &str| parse(line.split_whitespace()).expect(line);
    assert_eq!(action("-v"), Action::Version);
    assert_eq!(action("version"), Action::Version);
    assert_eq!(action("-p 1 -h"), Action::Help);
    assert_eq!(action("HELP"), Action::Help);
    assert_eq!(action("--help_tls"), Action::HelpTls);
    let test = Flags {
        config_file: Some("c".into()),
        ..Flags::default()
    };
    assert_eq!(action("-t -c c"), Action::Test(test));
    let signal = |command, target: Option<&str>| {
        Action::Signal(Signal {
            command,
            target: target.map(str::to_owned),
        })
    };
    assert_eq!(
        action("--signal ldm=12"),
        signal(SignalCommand::LameDuck, Some("12"))
    );
    assert_eq!(action("-sl reload"), signal(SignalCommand::Reload, None));
    assert_eq!(
        action("-sl=stop=/run/n.pid"),
        signal(SignalCommand::Stop, Some("/run/n.pid"))
    );
}

#[test]
fn flags_override_the_file() {
    let text = "port: 1, host: a, server_name: n, http_port: 2, debug: true
        authorization { user: u, password: p }, jetstream { store_dir: d }";
    let options = ok(
        "-c c -p 3 -a b -n m -m -1 -D=false --user v --pass q -js=false",
        text,
    );
    assert_eq!((options.port, options.host.as_str()), (Port::Fixed(3), "b"));
    assert_eq!(options.server_name.as_deref(), Some("m"));
    assert_eq!(options.monitoring.http_port, Some(Port::Random));
    assert_eq!(options.authorization.user.as_deref(), Some("v"));
    assert_eq!(options.authorization.password.as_deref(), Some("q"));
    assert!(!options.logging.debug && !options.jetstream.enabled);
    assert_eq!(options.config_file, Some(PathBuf::from("c")));

    let kept = ok("-c c", text);
    assert_eq!((kept.port, kept.host.as_str()), (Port::Fixed(1), "a"));
    assert!(kept.jetstream.enabled && kept.logging.debug);
    check_error("-p 65536", "", "port 65536 is not between -1 and 65535");
    check_error("-c nowhere", "", "error opening config file: nowhere");
    assert_eq!(ok("-p 0", "").port, Port::Fixed(4222));
}

#[test]
fn the_store_is_named_once() {
    let store = |line: &str, text: &str| ok(line, text).jetstream.store_dir;
    assert_eq!(store("-sd a", ""), Some(PathBuf::from("a")));
    assert_eq!(
        store("-c c -sd a", "jetstream: enabled"),
        Some(PathBuf::from("a"))
    );
    let error = "Duplicate 'store_dir' configuration";
    check_error("-c c -sd a", "jetstream { store_dir: b }", error);
    check_error("-c c -sd a", "store_dir: b", error);
}

#[test]
fn the_cluster_is_a_url() {
    let cluster = ok(
        "--cluster nats://u:p%40q@h:6222 --cluster_name c --routes nats://a:1,nats://b:2",
        "",
    )
    .cluster;
    assert_eq!(cluster.host.as_deref(), Some("h"));
    assert_eq!(cluster.port, Some(Port::Fixed(6222)));
    assert_eq!(cluster.authorization.user.as_deref(), Some("u"));
    assert_eq!(cluster.authorization.password.as_deref(), Some("p@q"));
    assert_eq!(cluster.routes, ["nats://a:1", "nats://b:2"]);
    assert_eq!(cluster.name.as_deref(), Some("c"));

    let text = "cluster { port: 1, authorization { user: a, password: b }, routes: [nats://x:1] }";
    let replaced = ok("-c c --cluster_listen nats://0.0.0.0:-1", text).cluster;
    assert_eq!(replaced.port, Some(Port::Random));
    assert_eq!(replaced.authorization.user, None);
    assert_eq!(replaced.routes, ["nats://x:1"]);
    assert_eq!(ok("-c c --cluster= --routes=", text).cluster.port, None);

    check_error(
        "--routes nats://a:1",
        "",
        "solicited routes require cluster capabilities",
    );
    check_error(
        "--cluster nats://u@h:1",
        "",
        "expected cluster password to be set",
    );
    check_error("--cluster h:1", "", "must be like nats://host:port");
    check_error("--cluster nats://h:x", "", "could not parse port");
    check_error(
        "--cluster nats://h:1 --routes nats://a:b",
        "",
        "error parsing route url",
    );
    check_error("--connect_retries -1", "", "--connect_retries must be");
}

#[test]
fn tls_flags_replace_the_block() {
    let text = "tls { cert_file: a.pem, key_file: b.pem, timeout: 5 }";
    let tls = ok(
        "-c c --tlscert c.pem --tlskey d.pem --tlsverify --tlscacert e.pem",
        text,
    )
    .tls
    .unwrap();
    assert_eq!(tls.cert_file, Some(PathBuf::from("c.pem")));
    assert!(tls.verify);
    assert_eq!(tls.timeout, std::time::Duration::from_secs(2));
    assert_eq!(ok("-c c --tls=false --tlscert c.pem", text).tls, None);
    assert!(ok("-c c", text).tls.is_some());
    check_error("--tls", "", "TLS Server certificate must be present");
    check_error(
        "--tls --tlscert a.pem --tlskey nowhere",
        "",
        "can not read nowhere",
    );
}

#[test]
fn contradictions_do_not_start() {
    check_error(
        "-c c",
        "max_payload: 2kb, max_pending: 1kb",
        "cannot be higher than max_pending",
    );
    check_error(
        "-c c",
        "lame_duck_duration: 30s, lame_duck_grace_period: 30s",
        "strictly lower",
    );
    check_error("-c c", "no_auth_user: a", "no_auth_user: \"a\" not present");
    check_error(
        "-js --cluster nats://h:1",
        "",
        "requires `server_name` to be set",
    );
    check_error(
        "-js -n a --cluster nats://h:1",
        "",
        "requires `cluster.name` to be set",
    );
    check_error(
        "-c c",
        "operator: eyJ.a.b, accounts [A]",
        "operators do not allow Accounts",
    );
    check_error(
        "-c c",
        "default_sentinel: a",
        "default sentinel requires operators",
    );
    ok(
        "-c c",
        "no_auth_user: a, accounts { A { users [ {user: a} ] } }",
    );
    ok("-c c", "max_payload: -1");
}

#[test]
fn help_lists_every_flag() {
    let help = help("weir-server");
    for name in super::TABLE.iter().flat_map(|definition| definition.names) {
        assert!(
            help.contains(&format!("-{name}")),
            "{name} is missing:\n{help}"
        );
    }
    assert!(help.starts_with("Usage: weir-server [FLAGS]\n"));
    assert!(help_tls().contains("cert_file"));
}

proptest::proptest! {
    #[test]
    fn no_command_line_panics(args in proptest::collection::vec("-{0,2}[a-zDV=:/@%0-9,-]{0,12}", 0..6)) {
        if let Ok(Action::Run(flags)) = parse(args) {
            let source = Source {
                read_file: &|_| Err(io::Error::from(io::ErrorKind::NotFound)),
                environment: &|_| None,
            };
            let _ = Options::from_flags_and_file(&flags, &source);
        }
    }
}
