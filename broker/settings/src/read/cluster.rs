//! `cluster`.

use std::time::Duration;

use super::tls::Side;
use super::{Reader, duration, is_url, set};
use crate::options::{Cluster, ClusterAuthorization, Compression, Permissions, RoutePool};
use crate::value::{Entry, Value};

/// Routes are pinged at least this often, whatever the file says.
const PING_INTERVAL_MAX: Duration = Duration::from_secs(30);
/// Thresholds of `s2_auto` where the file gives none.
const RTT_THRESHOLDS_MS: [u64; 3] = [10, 50, 100];
const RTT_THRESHOLD_COUNT_MAX: usize = 4;
/// The name servers give to leafnodes without a cluster.
const RESERVED_NAME: &str = "_";

impl Reader<'_> {
    pub fn cluster(&mut self, entry: &Entry, cluster: &mut Cluster) {
        let Some(map) = self.map(entry) else { return };
        let mut permissions = None;
        for entry in &map.entries {
            let key = entry.key.to_ascii_lowercase();
            match key.as_str() {
                "name" => self.cluster_name(entry, cluster),
                "listen" => {
                    if let Some(listen) = self.listen(entry) {
                        cluster.host = listen.host;
                        cluster.port = listen.port;
                    }
                }
                "port" => set(&mut cluster.port, self.port(entry)),
                "host" | "net" => set(&mut cluster.host, self.text(entry)),
                "authorization" => {
                    set(
                        &mut cluster.authorization,
                        self.cluster_authorization(entry),
                    );
                }
                "permissions" => permissions = self.route_permissions(entry),
                "routes" => set(&mut cluster.routes, self.urls(entry, "route")),
                "tls" => set(&mut cluster.tls, self.tls(entry, Side::Servers).map(Some)),
                _ if self.cluster_routes(&key, entry, cluster) => {}
                _ => self.unknown(entry),
            }
        }
        // Permissions of the block itself win over those of its authorization.
        if permissions.is_some() {
            cluster.authorization.permissions = permissions;
        }
        if !cluster.accounts.is_empty() && cluster.pool == RoutePool::Disabled {
            let reason = "pool_size cannot be negative if pinned accounts are specified";
            self.problem(&entry.position, reason);
        }
    }

    fn cluster_routes(&mut self, key: &str, entry: &Entry, cluster: &mut Cluster) -> bool {
        match key {
            "cluster_advertise" | "advertise" => set(&mut cluster.advertise, self.text(entry)),
            "no_advertise" => set(&mut cluster.no_advertise, self.boolean(entry)),
            "connect_retries" => set(&mut cluster.connect_retries, self.number::<u32>(entry)),
            "connect_backoff" => set(&mut cluster.connect_backoff, self.boolean(entry)),
            "pool_size" => set(&mut cluster.pool, self.pool(entry)),
            "accounts" => set(&mut cluster.accounts, self.strings(entry)),
            "compression" => set(&mut cluster.compression, self.compression(entry)),
            "ping_interval" => {
                let interval = self.duration(entry);
                if interval.is_some_and(|interval| interval > PING_INTERVAL_MAX) {
                    let reason =
                        "Cluster 'ping_interval' will reset to 30s which is the max for routes";
                    self.warning(&entry.position, reason);
                }
                set(
                    &mut cluster.ping_interval,
                    interval.map(|i| Some(i.min(PING_INTERVAL_MAX))),
                );
            }
            "ping_max" => set(
                &mut cluster.max_pings_out,
                self.nonzero::<u32>(entry).map(Some),
            ),
            "write_deadline" => {
                set(
                    &mut cluster.write_deadline,
                    self.nonzero_duration(entry).map(Some),
                );
            }
            "write_timeout" => set(&mut cluster.write_timeout, self.write_timeout(entry)),
            _ => return false,
        }
        true
    }

    fn cluster_name(&mut self, entry: &Entry, cluster: &mut Cluster) {
        let name = self.name(entry, "cluster");
        if name
            .as_ref()
            .is_some_and(|name| name.as_deref() == Some(RESERVED_NAME))
        {
            let reason = format!("cluster name {RESERVED_NAME:?} is reserved");
            self.problem(&entry.value.position, reason);
        }
        set(&mut cluster.name, name);
    }

    fn cluster_authorization(&mut self, entry: &Entry) -> Option<ClusterAuthorization> {
        let map = self.map(entry)?;
        let mut authorization = ClusterAuthorization::default();
        for entry in &map.entries {
            match entry.key.to_ascii_lowercase().as_str() {
                "user" | "username" => set(&mut authorization.user, self.text(entry)),
                "pass" | "password" => set(&mut authorization.password, self.text(entry)),
                "timeout" => {
                    set(
                        &mut authorization.timeout,
                        self.authentication_timeout(entry),
                    );
                }
                "default_permission" | "default_permissions" | "permissions" => {
                    let reason = "setting \"permissions\" within cluster authorization block is \
                                  deprecated, put it into the cluster block";
                    self.warning(&entry.position, reason);
                    authorization.permissions = self.route_permissions(entry);
                }
                "users" => {
                    let reason = "Cluster authorization does not allow multiple users";
                    self.problem(&entry.position, reason);
                }
                "token" => {
                    let reason = "Cluster authorization does not support tokens";
                    self.problem(&entry.position, reason);
                }
                "auth_callout" | "auth_hook" => {
                    let reason = "Cluster authorization does not support callouts";
                    self.problem(&entry.position, reason);
                }
                // Understood everywhere an authorization can stand, without meaning for routes.
                "proxy_required" => {
                    self.boolean(entry);
                }
                _ => self.unknown(entry),
            }
        }
        Some(authorization)
    }

    /// What may pass a route. There are no queues here and no answers to wait for.
    fn route_permissions(&mut self, entry: &Entry) -> Option<Permissions> {
        let permissions = self.permissions(entry)?;
        if permissions.responses.is_some() {
            let reason = "Cluster permissions do not support dynamic responses";
            self.problem(&entry.position, reason);
        }
        let exported = &permissions.subscribe;
        let subjects = exported.allow.iter().flatten().chain(&exported.deny);
        for subject in subjects.filter(|subject| !super::subject::is_valid(subject)) {
            let reason = format!("cluster export: subject {subject:?} is not a valid subject");
            self.problem(&entry.position, reason);
        }
        Some(permissions)
    }

    /// URLs without those that were given before.
    pub fn urls(&mut self, entry: &Entry, what: &str) -> Option<Vec<String>> {
        let mut urls: Vec<String> = Vec::new();
        for node in self.array(entry)? {
            let Some(url) = self.string_node(&entry.key, node) else {
                continue;
            };
            let url = url.trim().to_owned();
            if !is_url(&url) {
                self.problem(
                    &node.position,
                    format!("error parsing {what} url [{url:?}]"),
                );
            } else if urls.contains(&url) {
                self.warning(&node.position, format!("Duplicate {what} entry detected"));
            } else {
                urls.push(url);
            }
        }
        Some(urls)
    }

    fn pool(&mut self, entry: &Entry) -> Option<RoutePool> {
        match self.integer(entry)? {
            0 => None,
            size if size < 0 => Some(RoutePool::Disabled),
            _ => self.number::<u32>(entry).map(RoutePool::Connections),
        }
    }

    /// A mode, a switch, or a block with a mode and thresholds.
    fn compression(&mut self, entry: &Entry) -> Option<Compression> {
        let mut mode_entry = entry;
        let mut thresholds = Vec::new();
        match &entry.value.value {
            Value::Bool(on) => {
                return Some(if *on {
                    Compression::S2Fast
                } else {
                    Compression::Off
                });
            }
            Value::Map(map) => {
                let mut mode = None;
                for entry in &map.entries {
                    match entry.key.to_ascii_lowercase().as_str() {
                        "mode" => mode = Some(entry),
                        "rtt_thresholds" | "thresholds" | "rtts" | "rtt" => {
                            thresholds = self.rtt_thresholds(entry)?;
                        }
                        _ => self.unknown(entry),
                    }
                }
                mode_entry = mode?;
            }
            Value::String(_) => {}
            _ => {
                self.wrong_kind(&entry.key, &entry.value, "a string, true, false or a block");
                return None;
            }
        }
        let mode = self.string(mode_entry)?;
        let compression = match mode.to_ascii_lowercase().as_str() {
            "" | "accept" => Compression::Accept,
            "off" | "disabled" | "false" | "not supported" | "not_supported" => Compression::Off,
            "on" | "enabled" | "true" | "fast" | "s2_fast" => Compression::S2Fast,
            "better" | "s2_better" => Compression::S2Better,
            "best" | "s2_best" => Compression::S2Best,
            "auto" | "s2_auto" => {
                if thresholds.is_empty() {
                    thresholds = RTT_THRESHOLDS_MS.map(Duration::from_millis).to_vec();
                }
                Compression::S2Auto(thresholds)
            }
            _ => {
                let reason = format!("unsupported compression mode {mode:?}");
                self.problem(&mode_entry.value.position, reason);
                return None;
            }
        };
        Some(compression)
    }

    /// Round trip times in ascending order, where zero leaves a level out.
    fn rtt_thresholds(&mut self, entry: &Entry) -> Option<Vec<Duration>> {
        let mut thresholds: Vec<Duration> = Vec::new();
        for node in self.array(entry)? {
            let nanos = self.signed_duration(&entry.key, node)?;
            thresholds.push(duration::from_nanos(nanos.max(0)).unwrap_or_default());
        }
        while thresholds.pop_if(|threshold| threshold.is_zero()).is_some() {}
        let used: Vec<_> = thresholds
            .iter()
            .filter(|threshold| !threshold.is_zero())
            .collect();
        let reason = if thresholds.is_empty() {
            "compression requires at least one RTT threshold"
        } else if thresholds.len() > RTT_THRESHOLD_COUNT_MAX {
            "compression should have no more than 4 RTT thresholds"
        } else if !used.is_sorted() {
            "RTT threshold values should be in ascending order"
        } else {
            return Some(thresholds);
        };
        self.problem(&entry.value.position, reason);
        None
    }
}
