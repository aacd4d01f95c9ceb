//! Programs that a person would run too.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use tokio::process::Command;

/// Runs a program to its end; its output, or what it complained about.
pub async fn run(program: impl AsRef<Path>, arguments: &[&str]) -> anyhow::Result<String> {
    let program = program.as_ref();
    let command = || format!("{} {}", program.display(), arguments.join(" "));
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(command)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    ensure!(
        output.status.success(),
        "{}: {}",
        command(),
        text(&output.stderr)
    );
    Ok(text(&output.stdout))
}

pub async fn kubectl(arguments: &[&str]) -> anyhow::Result<String> {
    run("kubectl", arguments).await
}

pub async fn helm(arguments: &[&str]) -> anyhow::Result<String> {
    run("helm", arguments).await
}
