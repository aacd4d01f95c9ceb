//! `weir up`, as a person runs it.

use std::path::Path;
use std::process::{Command, Output};

use e2e::{free_port, weir};

/// Brokers of one run take neighbouring ports: runs at the same time keep this distance.
const PORTS_APART: u16 = 500;
const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/orders.yaml");

/// Runs `weir up --once` with data in `dir` and returns when it has ended.
fn up(file: &Path, dir: &Path, port: u16, replicas: &str) -> Output {
    // One broker cannot have what the example wants, and says so until time is up.
    let timeout_s = if replicas == "1" { "8" } else { "60" };
    Command::new(weir())
        .args([
            "up",
            "--once",
            "--timeout",
            timeout_s,
            "--replicas",
            replicas,
        ])
        .arg("--port")
        .arg(port.to_string())
        .arg("--data")
        .arg(dir)
        .arg(file)
        .output()
        .expect("weir can be started")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_example_comes_up_and_is_still_there_the_next_time() {
    let dir = tempfile::tempdir().expect("temporary directories can be made");
    let port = free_port();
    let first = up(Path::new(EXAMPLE), dir.path(), port, "3");
    let said = text(&first.stdout);
    assert!(first.status.success(), "{said}{}", text(&first.stderr));
    for created in [
        "Account/default/shop",
        "Stream/default/orders",
        "Consumer/default/shipping",
    ] {
        assert!(said.contains(&format!("created    {created}")), "{said}");
    }
    assert!(said.contains("clerk.creds"), "{said}");

    let second = up(Path::new(EXAMPLE), dir.path(), port, "3");
    let said = text(&second.stdout);
    assert!(second.status.success(), "{said}{}", text(&second.stderr));
    assert!(!said.contains("created"), "{said}");
}

#[test]
fn what_cannot_be_had_ends_with_the_reasons() {
    let dir = tempfile::tempdir().expect("temporary directories can be made");
    let unreadable = dir.path().join("unreadable.yaml");
    let example = std::fs::read_to_string(EXAMPLE).expect("the example is there");
    std::fs::write(&unreadable, example.replace("maxAge", "maxEdge")).expect("room for a file");
    let port = free_port() + PORTS_APART;
    let refused = up(&unreadable, dir.path(), port, "1");
    assert!(!refused.status.success());
    assert!(
        text(&refused.stderr).contains("maxEdge"),
        "{}",
        text(&refused.stderr)
    );

    // One broker cannot hold three replicas.
    let alone = up(Path::new(EXAMPLE), dir.path(), port, "1");
    assert!(!alone.status.success());
    let reasons = text(&alone.stderr);
    assert!(reasons.contains("Stream/default/orders"), "{reasons}");
    assert!(reasons.contains("replicas > 1 not supported"), "{reasons}");
}
