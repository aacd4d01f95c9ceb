//! The top of the file.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Reader, mappings, resolver, set, unserved};
use crate::options::{DEFAULT_PORT, Limits, Options, Port, Tls};
use crate::value::{Entry, Map, Value};

/// A lame duck server closes its clients over this time at least.
const LAME_DUCK_DURATION_MIN: Duration = Duration::from_secs(30);

impl Reader<'_> {
    pub fn top(&mut self, map: &Map, options: &mut Options) {
        for entry in &map.entries {
            let key = entry.key.to_ascii_lowercase();
            let known = self.server(&key, entry, options)
                || self.logging(&key, entry, options)
                || self.limits(&key, entry, options)
                || self.security(&key, entry, options)
                || self.blocks(&key, entry, options);
            if !known {
                self.unknown(entry);
            }
        }
    }

    fn server(&mut self, key: &str, entry: &Entry, options: &mut Options) -> bool {
        match key {
            "listen" => {
                if let Some(listen) = self.listen(entry) {
                    set(&mut options.host, listen.host);
                    options.port = listen.port.unwrap_or(Port::Fixed(DEFAULT_PORT));
                }
            }
            "port" => {
                set(
                    &mut options.port,
                    self.port(entry)
                        .map(|p| p.unwrap_or(Port::Fixed(DEFAULT_PORT))),
                );
            }
            "host" | "net" => {
                set(
                    &mut options.host,
                    self.string(entry).filter(|host| !host.is_empty()),
                );
            }
            "client_advertise" => set(&mut options.client_advertise, self.text(entry)),
            "server_name" => set(&mut options.server_name, self.name(entry, "server")),
            "server_tags" => set(&mut options.server_tags, self.strings(entry)),
            "server_metadata" => set(&mut options.server_metadata, self.string_map(entry)),
            "http" | "https" => self.http(key, entry, options),
            "http_port" | "monitor_port" => {
                set(&mut options.monitoring.http_port, self.port(entry));
            }
            "https_port" => set(&mut options.monitoring.https_port, self.port(entry)),
            "http_base_path" => set(&mut options.monitoring.base_path, self.string(entry)),
            "pidfile" | "pid_file" => set(&mut options.pid_file, self.path(entry)),
            "ports_file_dir" => set(&mut options.ports_file_dir, self.path(entry)),
            "prof_port" => set(&mut options.profile_port, self.port(entry)),
            "prof_block_rate" => set(&mut options.profile_block_rate, self.integer(entry)),
            "connect_error_reports" => {
                set(
                    &mut options.connect_error_reports,
                    self.nonzero::<u64>(entry),
                );
            }
            "reconnect_error_reports" => {
                set(
                    &mut options.reconnect_error_reports,
                    self.nonzero::<u64>(entry),
                );
            }
            "no_fast_producer_stall" => {
                set(&mut options.no_fast_producer_stall, self.boolean(entry));
            }
            "disable_sublist_cache" | "no_sublist_cache" => {
                set(&mut options.disable_sublist_cache, self.boolean(entry));
            }
            "no_header_support" => set(&mut options.no_header_support, self.boolean(entry)),
            "proxy_protocol" => set(&mut options.proxy_protocol, self.boolean(entry)),
            "feature_flags" => set(&mut options.feature_flags, self.flag_map(entry)),
            "store_dir" | "storedir" => self.store_dir(entry, options),
            "default_js_domain" => {
                set(
                    &mut options.default_jetstream_domain,
                    self.string_map(entry),
                );
            }
            _ => return false,
        }
        true
    }

    fn http(&mut self, key: &str, entry: &Entry, options: &mut Options) {
        if let Some(listen) = self.listen(entry) {
            options.monitoring.host = listen.host;
            if key == "http" {
                options.monitoring.http_port = listen.port;
            } else {
                options.monitoring.https_port = listen.port;
            }
        }
    }

    /// The store can be named at the top or in the JetStream block, but not twice.
    pub fn store_dir(&mut self, entry: &Entry, options: &mut Options) {
        if options.jetstream.store_dir.is_some() {
            self.problem(&entry.position, "Duplicate 'store_dir' configuration");
            return;
        }
        set(&mut options.jetstream.store_dir, self.path(entry));
    }

    fn logging(&mut self, key: &str, entry: &Entry, options: &mut Options) -> bool {
        let logging = &mut options.logging;
        match key {
            "debug" => set(&mut logging.debug, self.boolean(entry)),
            "trace" => set(&mut logging.trace, self.boolean(entry)),
            "trace_verbose" => {
                set(&mut logging.trace_verbose, self.boolean(entry));
                logging.trace = logging.trace_verbose;
            }
            "trace_headers" => {
                set(&mut logging.trace_headers, self.boolean(entry));
                logging.trace = logging.trace_headers;
            }
            "logtime" => set(&mut logging.logtime, self.boolean(entry)),
            "logtime_utc" => set(&mut logging.logtime_utc, self.boolean(entry)),
            "logfile" | "log_file" => set(&mut logging.file, self.path(entry)),
            "logfile_size_limit" | "log_size_limit" => {
                set(
                    &mut logging.file_size_limit_bytes,
                    self.positive_limit(entry),
                );
            }
            "logfile_max_num" | "log_max_num" => {
                set(&mut logging.file_max_count, self.positive_limit(entry));
            }
            "syslog" => set(&mut logging.syslog, self.boolean(entry)),
            "remote_syslog" => set(&mut logging.remote_syslog, self.text(entry)),
            _ => return false,
        }
        true
    }

    fn limits(&mut self, key: &str, entry: &Entry, options: &mut Options) -> bool {
        let limits = &mut options.limits;
        match key {
            // Unlike other limits, zero and less do not mean that there is none.
            "max_connections" | "max_conn" => {
                set(
                    &mut limits.max_connections,
                    self.limit(entry).map(Option::unwrap_or_default),
                );
            }
            "max_subscriptions" | "max_subs" => {
                set(&mut limits.max_subscriptions, self.positive_limit(entry));
            }
            "max_sub_tokens" | "max_subscription_tokens" => {
                let tokens = self.number::<u8>(entry);
                if tokens == Some(0) {
                    self.problem(
                        &entry.value.position,
                        format!("{:?} can not be zero", entry.key),
                    );
                }
                set(&mut limits.max_subscription_tokens, tokens.map(Some));
            }
            "max_control_line" => {
                set(
                    &mut limits.max_control_line_bytes,
                    self.nonzero::<i32>(entry).and_then(unsigned),
                );
            }
            "max_payload" => self.max_payload(entry, limits),
            "max_pending" => set(&mut limits.max_pending_bytes, self.nonzero::<u64>(entry)),
            "max_closed_clients" => {
                set(&mut limits.max_closed_clients, self.nonzero::<usize>(entry));
            }
            "max_traced_msg_len" => {
                let length = self.positive_limit(entry);
                let length = length.map(|l| l.and_then(|l| usize::try_from(l).ok()));
                set(&mut limits.max_traced_message_bytes, length);
            }
            "ping_interval" => set(&mut limits.ping_interval, self.nonzero_duration(entry)),
            "ping_max" => set(&mut limits.max_pings_out, self.nonzero::<u32>(entry)),
            "write_deadline" => set(&mut limits.write_deadline, self.nonzero_duration(entry)),
            "write_timeout" => set(&mut limits.write_timeout, self.write_timeout(entry)),
            "lame_duck_duration" => {
                if let Some(duration) = self.duration_string(entry) {
                    if duration < LAME_DUCK_DURATION_MIN {
                        let reason = "invalid lame_duck_duration, minimum is 30 seconds";
                        self.problem(&entry.value.position, reason);
                    }
                    limits.lame_duck_duration = duration;
                }
            }
            "lame_duck_grace_period" => {
                let period = self
                    .duration_string(entry)
                    .filter(|period| !period.is_zero());
                set(&mut limits.lame_duck_grace_period, period);
            }
            _ => return false,
        }
        true
    }

    fn max_payload(&mut self, entry: &Entry, limits: &mut Limits) {
        match self.integer(entry) {
            Some(0) | None => {}
            Some(-1) => limits.max_payload_bytes = Limits::NO_PAYLOAD_LIMIT,
            Some(_) => {
                let size = self.number::<i32>(entry);
                if size.is_some_and(|size| size < 0) {
                    let reason = "\"max_payload\" can not be negative, except -1 for no limit";
                    self.problem(&entry.value.position, reason);
                }
                set(&mut limits.max_payload_bytes, size.and_then(unsigned));
            }
        }
    }

    fn security(&mut self, key: &str, entry: &Entry, options: &mut Options) -> bool {
        match key {
            "accounts" => self.accounts(entry, options),
            "authorization" => set(&mut options.authorization, self.authorization(entry)),
            "mappings" | "maps" => {
                set(&mut options.mappings, mappings::read(self, entry));
            }
            "no_auth_user" => set(&mut options.no_auth_user, self.text(entry)),
            "default_sentinel" => set(&mut options.default_sentinel, self.text(entry)),
            "system_account" | "system" => set(&mut options.system_account, self.text(entry)),
            "no_system_account" | "no_system" | "no_sys_acc" => {
                set(&mut options.no_system_account, self.boolean(entry));
            }
            "operator" | "operators" | "roots" | "root" | "root_operators" | "root_operator" => {
                set(&mut options.operators, resolver::operators(self, entry));
            }
            "trusted" | "trusted_keys" => {
                set(
                    &mut options.trusted_keys,
                    resolver::trusted_keys(self, entry),
                );
            }
            "resolver" | "account_resolver" | "accounts_resolver" => {
                set(&mut options.resolver, resolver::read(self, entry).map(Some));
            }
            "resolver_tls" => set(&mut options.resolver_tls, self.client_tls(entry).map(Some)),
            "resolver_preload" => {
                set(
                    &mut options.resolver_preload,
                    resolver::preload(self, entry),
                );
            }
            "resolver_pinned_accounts" => {
                set(&mut options.resolver_pinned_accounts, self.strings(entry));
            }
            "tls" => set(&mut options.tls, self.client_tls(entry).map(Some)),
            "allow_non_tls" => set(&mut options.allow_non_tls, self.boolean(entry)),
            "proxies" => set(&mut options.trusted_proxies, self.proxies(entry)),
            _ => return false,
        }
        true
    }

    /// TLS where clients connect.
    fn client_tls(&mut self, entry: &Entry) -> Option<Tls> {
        self.tls(entry, super::tls::Side::Clients)
    }

    fn blocks(&mut self, key: &str, entry: &Entry, options: &mut Options) -> bool {
        match key {
            "jetstream" => self.jetstream(entry, options),
            "cluster" => self.cluster(entry, &mut options.cluster),
            "websocket" | "ws" => self.websocket(entry, &mut options.websocket),
            _ => return unserved::read(self, key, entry, options),
        }
        true
    }

    pub fn string_map(&mut self, entry: &Entry) -> Option<BTreeMap<String, String>> {
        let map = self.map(entry)?;
        let strings = map.entries.iter().filter(|entry| !entry.used_as_variable);
        Some(
            strings
                .filter_map(|e| Some((e.key.clone(), self.string(e)?)))
                .collect(),
        )
    }

    fn flag_map(&mut self, entry: &Entry) -> Option<BTreeMap<String, bool>> {
        let map = self.map(entry)?;
        Some(
            map.entries
                .iter()
                .filter_map(|e| Some((e.key.clone(), self.boolean(e)?)))
                .collect(),
        )
    }

    fn proxies(&mut self, entry: &Entry) -> Option<Vec<String>> {
        let mut keys = Vec::new();
        for entry in &self.map(entry)?.entries {
            if !entry.key.eq_ignore_ascii_case("trusted") {
                self.unknown(entry);
                continue;
            }
            for node in self.array(entry)? {
                let Some(map) = self.map_node("trusted", node) else {
                    continue;
                };
                for entry in &map.entries {
                    match entry.key.to_ascii_lowercase().as_str() {
                        "key" | "public_key" => keys.extend(self.public_key(entry)),
                        _ => self.unknown(entry),
                    }
                }
            }
        }
        Some(keys)
    }

    fn public_key(&mut self, entry: &Entry) -> Option<String> {
        let key = self.string(entry)?;
        if !super::nkey::is_any_public(&key) {
            self.problem(&entry.value.position, format!("invalid proxy key {key:?}"));
            return None;
        }
        Some(key)
    }
}

/// Whether a value stands for "enabled" or "disabled".
pub fn switch(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(enabled) => Some(*enabled),
        Value::String(text) => match text.to_ascii_lowercase().as_str() {
            "enabled" | "enable" => Some(true),
            "disabled" | "disable" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

fn unsigned(value: i32) -> Option<u32> {
    u32::try_from(value).ok()
}
