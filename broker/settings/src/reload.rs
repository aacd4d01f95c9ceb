//! What a server that runs has to do to run with another configuration.
//!
//! [`Options::reload_into`] compares two configurations. It either finds an option that no running
//! server can change, and then nothing of the new configuration applies, or it names what changes.

mod changes;
mod fixed;
mod show;

use std::collections::BTreeSet;

use crate::options::{Cluster, Monitoring, Options};

/// A part of a server that takes in changes as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Logging,
    Limits,
    /// Users, accounts, and everything else that decides who may do what.
    Accounts,
    /// TLS on the client port.
    Tls,
    /// The listener for WebSocket clients.
    WebSocket,
    /// Everything about the cluster but its routes.
    Cluster,
    Routes,
    /// Addresses that clients are told.
    Advertise,
    /// What is only shown or used to place replicas: tags, metadata.
    Facts,
    /// The pid file and the ports file.
    Files,
}

/// One option that changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub part: Part,
    /// The option and its new value, for the log: `max_payload = 1024`.
    pub text: String,
}

/// Everything that changes, in the order in which the log tells it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    pub changes: Vec<Change>,
}

impl Plan {
    pub fn parts(&self) -> BTreeSet<Part> {
        self.changes.iter().map(|change| change.part).collect()
    }
}

/// An option that only a restart can change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotReloadable(String);

impl std::fmt::Display for NotReloadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotReloadable {}

impl Options {
    /// How a server that runs with these options gets to run with `new`, both as they were read.
    pub fn reload_into(&self, new: &Options) -> Result<Plan, NotReloadable> {
        fixed::check(self, new)?;
        let mut reached = self.clone();
        reached.take_reloadable(new);
        if reached != *new {
            // An option that nobody has thought of yet is one that cannot be changed.
            return Err(NotReloadable(
                "config reload not supported for one of the changed options".to_owned(),
            ));
        }
        Ok(changes::between(self, new))
    }

    /// Takes over every option that a running server can change, and no other.
    fn take_reloadable(&mut self, new: &Options) {
        let old = std::mem::replace(self, new.clone());
        // Named one by one, so that whoever adds an option has to decide.
        let Options {
            config_file: _,
            config_digest: _,
            host,
            port,
            client_advertise: _,
            server_name,
            server_tags: _,
            server_metadata: _,
            monitoring:
                Monitoring {
                    host: http_host,
                    http_port,
                    https_port,
                    base_path,
                },
            limits: _,
            logging: _,
            pid_file: _,
            ports_file_dir: _,
            profile_port,
            profile_block_rate: _,
            mappings: _,
            accounts: _,
            authorization: _,
            no_auth_user: _,
            default_sentinel: _,
            system_account,
            no_system_account,
            operators,
            trusted_keys,
            resolver,
            resolver_tls: _,
            resolver_preload: _,
            resolver_pinned_accounts: _,
            tls: _,
            allow_non_tls: _,
            jetstream,
            default_jetstream_domain,
            cluster,
            websocket,
            connect_error_reports: _,
            reconnect_error_reports: _,
            no_fast_producer_stall: _,
            disable_sublist_cache,
            no_header_support: _,
            proxy_protocol: _,
            trusted_proxies: _,
            feature_flags,
            unserved: _,
            warnings: _,
        } = old;
        self.host = host;
        self.port = port;
        self.server_name = server_name;
        self.monitoring = Monitoring {
            host: http_host,
            http_port,
            https_port,
            base_path,
        };
        self.profile_port = profile_port;
        self.system_account = system_account;
        self.no_system_account = no_system_account;
        self.operators = operators;
        self.trusted_keys = trusted_keys;
        self.resolver = resolver;
        self.jetstream = jetstream;
        self.default_jetstream_domain = default_jetstream_domain;
        self.websocket.host = websocket.host;
        self.websocket.port = websocket.port;
        self.disable_sublist_cache = disable_sublist_cache;
        self.feature_flags = feature_flags;
        let Cluster {
            name, host, port, ..
        } = cluster;
        self.cluster.name = name;
        self.cluster.host = host;
        self.cluster.port = port;
    }
}

#[cfg(test)]
mod tests;
