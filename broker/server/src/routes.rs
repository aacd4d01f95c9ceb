//! The cluster as the configuration describes it.

use std::collections::BTreeSet;
use std::net::{ToSocketAddrs, UdpSocket};
use std::time::Duration;

use anyhow::Context;
use hub::{ClusterOptions, RouteTls, RouteUrl};
use settings::Options;

use crate::tls;

/// The name of clusters that nobody named.
const DEFAULT_NAME: &str = "weir";
/// The port of routes whose URL names none.
const DEFAULT_PORT: u16 = 6222;

pub fn cluster_name(options: &Options) -> String {
    options
        .cluster
        .name
        .clone()
        .unwrap_or_else(|| DEFAULT_NAME.to_owned())
}

/// Where routes are accepted.
pub fn host(options: &Options) -> &str {
    options.cluster.host.as_deref().unwrap_or("0.0.0.0")
}

/// The hub's side of the configured cluster, if there is one.
pub fn cluster_options(options: &Options) -> anyhow::Result<Option<ClusterOptions>> {
    let cluster = &options.cluster;
    let Some(port) = cluster.port else {
        return Ok(None);
    };
    let authorization = &cluster.authorization;
    let user = authorization
        .user
        .clone()
        .zip(authorization.password.clone());
    let tls = match &cluster.tls {
        None => None,
        Some(configured) => Some(RouteTls {
            server: tls::server(configured).context("cluster tls")?,
            client: tls::client(configured).context("cluster tls")?,
            timeout: configured.timeout,
        }),
    };
    let defaults = ClusterOptions::default();
    Ok(Some(ClusterOptions {
        name: cluster_name(options),
        host: cluster.host.clone().unwrap_or(defaults.host),
        port: port.to_bind(),
        advertise: cluster.advertise.clone(),
        user,
        tls,
        ping_interval: cluster.ping_interval.unwrap_or(defaults.ping_interval),
        auth_timeout: authorization.timeout.unwrap_or(defaults.auth_timeout),
        retry_max: Duration::from_secs(if cluster.connect_backoff { 30 } else { 1 }),
        ..ClusterOptions::default()
    }))
}

/// The configured routes.
pub fn urls(options: &Options) -> anyhow::Result<Vec<RouteUrl>> {
    options
        .cluster
        .routes
        .iter()
        .map(|url| parse(url))
        .collect()
}

/// How many servers the cluster has at first: the distinct routes, and this server if it is not
/// one of them.
pub fn expected_servers(options: &Options) -> usize {
    let routes = urls(options).unwrap_or_default();
    let distinct: BTreeSet<(String, u16)> = routes
        .into_iter()
        .map(|route| (route.host.to_ascii_lowercase(), route.port))
        .collect();
    let includes_self = distinct
        .iter()
        .any(|(host, port)| is_self(options, host, *port));
    distinct.len() + usize::from(!includes_self)
}

fn is_self(options: &Options, host: &str, port: u16) -> bool {
    if options.cluster.port.map(|port| port.to_bind()) != Some(port) {
        return false;
    }
    // In a StatefulSet the first label of the host is the pod's name, which is the server's.
    let label = host.split('.').next().unwrap_or_default();
    if options
        .server_name
        .as_deref()
        .is_some_and(|name| name.eq_ignore_ascii_case(label))
    {
        return true;
    }
    let Ok(addresses) = (host, 0).to_socket_addrs() else {
        return false;
    };
    // Only an address of this machine can be bound.
    addresses
        .into_iter()
        .any(|address| UdpSocket::bind(address).is_ok())
}

fn parse(url: &str) -> anyhow::Result<RouteUrl> {
    let rest = url
        .split_once("://")
        .map_or(url, |(_, rest)| rest)
        .trim_end_matches('/');
    let (user, address) = match rest.rsplit_once('@') {
        Some((user, address)) => {
            let (name, password) = user.split_once(':').unwrap_or((user, ""));
            (Some((name.to_owned(), password.to_owned())), address)
        }
        None => (None, rest),
    };
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (
            host,
            port.parse()
                .with_context(|| format!("route {url} has no valid port"))?,
        ),
        _ => (address, DEFAULT_PORT),
    };
    let host = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    Ok(RouteUrl { host, port, user })
}

#[cfg(test)]
mod tests {
    use settings::options::Port;

    use super::*;

    fn cluster(name: &str, port: u16, routes: &[&str]) -> Options {
        let mut options = Options {
            server_name: Some(name.into()),
            ..Options::default()
        };
        options.cluster.port = Some(Port::Fixed(port));
        options.cluster.routes = routes.iter().map(|route| route.to_string()).collect();
        options
    }

    #[test]
    fn urls_are_taken_apart() {
        let user = Some(("u".to_owned(), "p".to_owned()));
        let route = parse("nats-route://u:p@host:1").unwrap();
        assert_eq!(
            route,
            RouteUrl {
                host: "host".into(),
                port: 1,
                user
            }
        );
        let route = parse("nats://[::1]:2").unwrap();
        assert_eq!(
            route,
            RouteUrl {
                host: "::1".into(),
                port: 2,
                user: None
            }
        );
        assert!(parse("nats://host:x").is_err());
    }

    #[test]
    fn this_server_counts_once() {
        let routes = [
            "nats://127.0.0.1:1",
            "nats://127.0.0.1:2",
            "nats://127.0.0.1:3",
        ];
        assert_eq!(expected_servers(&cluster("a", 1, &routes)), 3);
        assert_eq!(expected_servers(&cluster("a", 1, &routes[1..])), 3);
        assert_eq!(expected_servers(&cluster("a", 1, &[])), 1);
        let pods = ["nats://weir-0.weir:6222", "nats://weir-1.weir:6222"];
        assert_eq!(expected_servers(&cluster("weir-1", 6222, &pods)), 2);
    }
}
