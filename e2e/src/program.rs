//! Finds the programs that belong to this build.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The `weir-server` of this workspace, built on first use with the profile of this test; or the
/// one that the variable `WEIR_SERVER` names.
pub fn weir_server() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| match std::env::var_os("WEIR_SERVER") {
        Some(path) => PathBuf::from(path),
        None => build("weir-server"),
    })
}

/// The `weir` of this workspace, built on first use; or the one that the variable `WEIR` names.
pub fn weir() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| match std::env::var_os("WEIR") {
        Some(path) => PathBuf::from(path),
        None => build("weir"),
    })
}

fn build(program: &str) -> PathBuf {
    // target/<profile>/deps/<test>
    let test = std::env::current_exe().expect("this process has a program");
    let profile_dir = test.ancestors().nth(2).expect("tests are in deps");
    let target_dir = profile_dir.parent().expect("profiles are in target");
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        // All members, so that dependencies have the features that this build gave them.
        .args(["build", "--quiet", "--locked", "--workspace"])
        .args(["--bin", program, "--target-dir"])
        .arg(target_dir);
    if profile_dir.ends_with("release") {
        cargo.arg("--release");
    }
    let status = cargo.status().expect("cargo can be started");
    assert!(status.success(), "{program} cannot be built");
    profile_dir.join(program)
}
