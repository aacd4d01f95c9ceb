//! The command line. In a pod's arguments Kubernetes replaces `$(NAME)` by environment variables.

use std::net::SocketAddr;

use clap::{Args, Parser, Subcommand};

/// The Weir operator for Kubernetes.
#[derive(Parser)]
#[command(name = "weir-operator", version)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Work until told to stop.
    Run(Box<Options>),
    /// Print the definitions of all kinds, for `kubectl apply --server-side -f -`.
    Crds,
}

#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Namespaces whose resources are looked after, separated by commas. Default: all.
    #[arg(long, value_name = "NAMESPACES", value_delimiter = ',')]
    pub watch_namespace: Vec<String>,
    /// Where /metrics, /healthz and /readyz are served.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    pub metrics_address: SocketAddr,
    /// Work only while holding a Lease, so that several replicas can run.
    #[arg(long)]
    pub leader_election: bool,
    /// The Lease's name.
    #[arg(long, value_name = "NAME", default_value = "weir-operator")]
    pub lease_name: String,
    /// The Lease's namespace. Default: the variable POD_NAMESPACE, else the client's namespace.
    #[arg(long, value_name = "NAMESPACE")]
    pub lease_namespace: Option<String>,
    /// Who this replica is; different for each. Default: the variable POD_NAME, else HOSTNAME.
    #[arg(long, value_name = "NAME")]
    pub identity: Option<String>,
    /// What this installation is called in the marks that it leaves on servers, so that several of them
    /// share servers without fighting. Default: the id of the namespace kube-system.
    #[arg(long, value_name = "NAME")]
    pub installation: Option<String>,
    /// The brokers' image where a Cluster names none.
    #[arg(
        long,
        value_name = "IMAGE",
        default_value = concat!("ghcr.io/weir-dev/weir:", env!("CARGO_PKG_VERSION"))
    )]
    pub broker_image: String,
    /// Resources of one kind that are worked on at the same time.
    #[arg(long, value_name = "NUMBER", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    pub concurrency: u16,
    /// What is logged, such as `debug` or `info,kube=debug`.
    #[arg(long, value_name = "FILTER", default_value = "info")]
    pub log_level: String,
}

impl Options {
    /// Who this replica is.
    pub fn identity(&self) -> String {
        self.identity
            .clone()
            .or_else(|| variable("POD_NAME"))
            .or_else(|| variable("HOSTNAME"))
            .unwrap_or_else(|| format!("weir-operator-{}", std::process::id()))
    }

    pub fn lease_namespace(&self, client: &kube::Client) -> String {
        self.lease_namespace
            .clone()
            .or_else(|| variable("POD_NAMESPACE"))
            .unwrap_or_else(|| client.default_namespace().to_owned())
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(arguments: &[&str]) -> Options {
        let all = ["weir-operator", "run"].iter().chain(arguments);
        match Cli::parse_from(all).command {
            Command::Run(options) => *options,
            Command::Crds => panic!("another command was asked for"),
        }
    }

    #[test]
    fn namespaces_may_be_listed_or_repeated() {
        assert!(run(&[]).watch_namespace.is_empty());
        let listed = run(&["--watch-namespace", "a,b"]);
        let repeated = run(&["--watch-namespace=a", "--watch-namespace=b"]);
        assert_eq!(listed.watch_namespace, ["a", "b"]);
        assert_eq!(listed.watch_namespace, repeated.watch_namespace);
    }

    #[test]
    fn an_identity_that_is_given_is_used() {
        assert_eq!(run(&["--identity", "me"]).identity(), "me");
        assert!(!run(&[]).identity().is_empty());
    }
}
