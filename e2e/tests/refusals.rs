//! What a broker cannot start with is said in words that help.

use std::path::Path;

use e2e::{Broker, Setup};

/// Starts a broker that must not start, and returns what it said.
async fn refusal(setup: Setup) -> String {
    let mut broker = Broker::spawn(setup);
    let status = broker.ended().await;
    let log = broker.log();
    assert!(!status.success(), "{status}: {log}");
    log
}

fn with(extra: &str, dir: &Path) -> Setup {
    Setup {
        extra: extra.to_owned(),
        ..Setup::alone("bad", dir)
    }
}

#[track_caller]
fn assert_says(log: &str, parts: &[&str]) {
    for part in parts {
        assert!(log.contains(part), "{part:?} is missing in: {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_directory_that_is_a_file() {
    let files = tempfile::tempdir().expect("temporary directories can be made");
    let setup = with("", files.path());
    std::fs::write(&setup.store_dir, "a file").expect("files can be written");
    let path = setup.store_dir.display().to_string();
    let log = refusal(setup).await;
    assert_says(&log, &["could not create storage directory", &path]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_directory_that_another_broker_uses() {
    let files = tempfile::tempdir().expect("temporary directories can be made");
    let first = Broker::start(Setup::alone("first", files.path())).await;
    let mut setup = Setup::alone("second", files.path());
    setup.store_dir = first.setup.store_dir.clone();
    let path = setup.store_dir.display().to_string();
    let log = refusal(setup).await;
    assert_says(&log, &["used by another process", &path]);
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_are_missing_or_no_certificates() {
    let files = tempfile::tempdir().expect("temporary directories can be made");
    let certificate = files.path().join("server.pem");
    let path = certificate.display().to_string();
    let tls = format!("tls {{ cert_file: {path:?}, key_file: {path:?} }}\n");
    let log = refusal(with(&tls, files.path())).await;
    assert_says(&log, &["server.conf:6:", &path]);

    std::fs::write(&certificate, "no certificate").expect("files can be written");
    let log = refusal(with(&tls, files.path())).await;
    assert_says(&log, &["tls", &path]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_option_and_where_it_is() {
    let files = tempfile::tempdir().expect("temporary directories can be made");
    let log = refusal(with("# fine\n  max_paylaod: 1\n", files.path())).await;
    assert_says(&log, &["server.conf:7:3", "max_paylaod"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_is_not_served() {
    let files = tempfile::tempdir().expect("temporary directories can be made");
    let log = refusal(with("mqtt { port: -1 }\n", files.path())).await;
    assert_says(&log, &["server.conf:6:1", "mqtt", "not served"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken() {
    let files = tempfile::tempdir().expect("temporary directories can be made");
    let first = Broker::start(Setup::alone("first", files.path())).await;
    let mut setup = Setup::alone("second", files.path());
    setup.client_port = first.setup.client_port;
    let port = setup.client_port.to_string();
    let log = refusal(setup).await;
    assert_says(&log, &["client connections", &port]);
    first.stop().await;
}
