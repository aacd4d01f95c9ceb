//! Names, labels, ports and paths that belong together.

use std::collections::BTreeMap;

pub const CLIENT_PORT: i32 = 4222;
pub const CLUSTER_PORT: i32 = 6222;
pub const MONITOR_PORT: i32 = 8222;
pub const WEBSOCKET_PORT: i32 = 8080;

pub const CLUSTER_LABEL: &str = "weir.dev/cluster";
pub const POOL_LABEL: &str = "weir.dev/pool";
pub const DEFAULT_POOL: &str = "default";
/// On pods: the configuration that is to be read, and since when. Changing an annotation makes the
/// kubelet look at the pod's volumes at once.
pub const CONFIG_ANNOTATION: &str = "weir.dev/config";
pub const CONFIG_SINCE_ANNOTATION: &str = "weir.dev/config-since";
/// On pods: the configuration that the running server refused, so that it is not asked again and again.
pub const CONFIG_REFUSED_ANNOTATION: &str = "weir.dev/config-refused";
/// What the configuration is called in a server's metadata.
pub const CONFIG_METADATA: &str = "weir_config";

pub const CONTAINER: &str = "broker";
pub const DATA_VOLUME: &str = "data";
pub const DATA_PATH: &str = "/data";
pub const CONFIG_PATH: &str = "/etc/weir/config";
pub const CLIENT_TLS_PATH: &str = "/etc/weir/tls/client";
pub const ROUTE_TLS_PATH: &str = "/etc/weir/tls/cluster";
pub const WEBSOCKET_TLS_PATH: &str = "/etc/weir/tls/websocket";

/// Labels of everything that belongs to a cluster.
pub fn labels(cluster: &str) -> BTreeMap<String, String> {
    let mut labels = selector(cluster);
    let manager = crate::context::MANAGER.to_owned();
    labels.insert("app.kubernetes.io/managed-by".to_owned(), manager);
    labels
}

/// Labels that select the pods of a cluster.
pub fn selector(cluster: &str) -> BTreeMap<String, String> {
    [
        ("app.kubernetes.io/name", "weir"),
        ("app.kubernetes.io/instance", cluster),
        ("app.kubernetes.io/component", "broker"),
        (CLUSTER_LABEL, cluster),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect()
}

/// Labels that select the pods of one pool.
pub fn pool_selector(cluster: &str, pool: &str) -> BTreeMap<String, String> {
    let mut labels = selector(cluster);
    labels.insert(POOL_LABEL.to_owned(), pool.to_owned());
    labels
}

pub fn stateful_set(cluster: &str, pool: &str) -> String {
    match pool {
        DEFAULT_POOL => cluster.to_owned(),
        pool => format!("{cluster}-{pool}"),
    }
}

/// Of a server and its pod.
pub fn server(stateful_set: &str, ordinal: u16) -> String {
    format!("{stateful_set}-{ordinal}")
}

/// The ordinal of a server of this StatefulSet.
pub fn ordinal(stateful_set: &str, server: &str) -> Option<u16> {
    let digits = server.strip_prefix(stateful_set)?.strip_prefix('-')?;
    digits.parse().ok()
}

/// Of the Service that gives each server a name.
pub fn servers_service(cluster: &str) -> String {
    format!("{cluster}-servers")
}

pub fn config_secret(cluster: &str) -> String {
    format!("{cluster}-config")
}

/// Of the Secret with the certificates that servers show.
pub fn certificates_secret(cluster: &str) -> String {
    format!("{cluster}-certificates")
}

/// The DNS name of a server.
pub fn server_host(cluster: &str, namespace: &str, server: &str) -> String {
    format!("{server}.{}.{namespace}.svc", servers_service(cluster))
}

/// Of the file in the configuration's Secret that a server reads.
pub fn config_file(server: &str) -> String {
    format!("{server}.conf")
}

/// Of a server's volume claim.
pub fn claim(server: &str) -> String {
    format!("{DATA_VOLUME}-{server}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_told_from_those_of_pools() {
        assert_eq!(ordinal("shop", "shop-2"), Some(2));
        assert_eq!(ordinal("shop", "shop-fast-2"), None);
        assert_eq!(ordinal("shop-fast", "shop-fast-2"), Some(2));
        assert_eq!(stateful_set("shop", "default"), "shop");
        assert_eq!(stateful_set("shop", "fast"), "shop-fast");
    }
}
