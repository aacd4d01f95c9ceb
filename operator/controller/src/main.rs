//! `weir-operator`: turns the resources of a Kubernetes cluster into running brokers and what they
//! hold.

use clap::Parser;

/// The Weir operator for Kubernetes.
#[derive(Parser)]
#[command(name = "weir-operator", version)]
struct Cli {}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    Cli::parse();
    let client = kube::Client::try_default().await?;
    let version = client.apiserver_version().await?;
    println!("connected to Kubernetes {}.{}", version.major, version.minor);
    Ok(())
}
