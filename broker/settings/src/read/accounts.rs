//! `accounts`.

use super::{Reader, mappings, nkey, set, top, users};
use crate::options::{
    Account, AccountJetStream, AccountLimits, ClusterTraffic, MessageTrace, Options,
};
use crate::value::{Entry, Value};

/// The account of users that are in no other.
const GLOBAL_ACCOUNT: &str = "$G";

impl Reader<'_> {
    pub fn accounts(&mut self, entry: &Entry, options: &mut Options) {
        match &entry.value.value {
            Value::Array(nodes) => {
                for node in nodes {
                    let Some(name) = self.string_node("accounts", node) else {
                        continue;
                    };
                    if options.accounts.iter().any(|account| account.name == name) {
                        self.problem(&node.position, format!("Duplicate Account Entry: {name}"));
                    }
                    self.check_account_name(&name, &node.position);
                    options.accounts.push(Account {
                        name,
                        ..Account::default()
                    });
                }
            }
            Value::Map(map) => {
                // Blocks that are only there to be referred to are no accounts.
                for entry in map.entries.iter().filter(|entry| !entry.used_as_variable) {
                    options.accounts.extend(self.account(entry));
                }
            }
            _ => self.wrong_kind(&entry.key, &entry.value, "a block or an array of names"),
        }
    }

    fn check_account_name(&mut self, name: &str, position: &crate::Position) {
        if name == GLOBAL_ACCOUNT {
            self.problem(position, format!("{name:?} is a Reserved Account"));
        }
    }

    fn account(&mut self, entry: &Entry) -> Option<Account> {
        self.check_account_name(&entry.key, &entry.position);
        let map = self.map(entry)?;
        let mut account = Account {
            name: entry.key.clone(),
            ..Account::default()
        };
        for entry in &map.entries {
            match entry.key.to_ascii_lowercase().as_str() {
                "nkey" => {
                    let key = self.key(entry, nkey::Kind::Account, "nkey for an account");
                    set(&mut account.nkey, key.map(Some));
                }
                "imports" => self.imports(entry, &mut account),
                "exports" => self.exports(entry, &mut account),
                "jetstream" => set(&mut account.jetstream, self.account_jetstream(entry)),
                "users" => set(&mut account.users, users::read(self, entry)),
                "default_permissions" => {
                    set(
                        &mut account.default_permissions,
                        self.permissions(entry).map(Some),
                    );
                }
                "mappings" | "maps" => set(&mut account.mappings, mappings::read(self, entry)),
                "limits" => set(&mut account.limits, self.account_limits(entry)),
                "msg_trace" | "trace_dest" => {
                    set(&mut account.message_trace, self.message_trace(entry));
                }
                _ => self.unknown(entry),
            }
        }
        Some(account)
    }

    fn account_limits(&mut self, entry: &Entry) -> Option<AccountLimits> {
        let map = self.map(entry)?;
        let mut limits = AccountLimits::default();
        for entry in &map.entries {
            let field = match entry.key.to_ascii_lowercase().as_str() {
                "max_connections" | "max_conn" => &mut limits.max_connections,
                "max_subscriptions" | "max_subs" => &mut limits.max_subscriptions,
                "max_payload" | "max_pay" => &mut limits.max_payload_bytes,
                "max_leafnodes" | "max_leafs" => &mut limits.max_leafnodes,
                _ => {
                    self.unknown(entry);
                    continue;
                }
            };
            set(field, self.limit(entry));
        }
        Some(limits)
    }

    fn account_jetstream(&mut self, entry: &Entry) -> Option<Option<AccountJetStream>> {
        let Value::Map(map) = &entry.value.value else {
            let enabled = top::switch(&entry.value.value);
            if enabled.is_none() {
                self.wrong_kind(
                    &entry.key,
                    &entry.value,
                    "true, false, enabled, disabled or a block",
                );
            }
            return Some(enabled?.then(AccountJetStream::default));
        };
        let mut jetstream = AccountJetStream::default();
        for entry in &map.entries {
            let limit = match entry.key.to_ascii_lowercase().as_str() {
                "max_memory" | "max_mem" | "mem" | "memory" => &mut jetstream.max_memory_bytes,
                "max_store" | "max_file" | "max_disk" | "store" | "disk" => {
                    &mut jetstream.max_store_bytes
                }
                "max_streams" | "streams" => &mut jetstream.max_streams,
                "max_consumers" | "consumers" => &mut jetstream.max_consumers,
                "max_ack_pending" => &mut jetstream.max_ack_pending,
                "mem_max_stream_bytes" | "memory_max_stream_bytes" => {
                    &mut jetstream.memory_max_stream_bytes
                }
                "disk_max_stream_bytes" | "store_max_stream_bytes" => {
                    &mut jetstream.store_max_stream_bytes
                }
                "max_bytes_required" | "max_stream_bytes" | "max_bytes" => {
                    set(&mut jetstream.max_bytes_required, self.boolean(entry));
                    continue;
                }
                "cluster_traffic" => {
                    set(&mut jetstream.cluster_traffic, self.cluster_traffic(entry));
                    continue;
                }
                _ => {
                    self.unknown(entry);
                    continue;
                }
            };
            set(limit, self.limit(entry));
        }
        Some(Some(jetstream))
    }

    fn cluster_traffic(&mut self, entry: &Entry) -> Option<ClusterTraffic> {
        match self.string(entry)?.as_str() {
            "system" | "" => Some(ClusterTraffic::System),
            "owner" => Some(ClusterTraffic::Owner),
            _ => {
                let reason = "\"cluster_traffic\" must be 'system' or 'owner'";
                self.problem(&entry.value.position, reason);
                None
            }
        }
    }

    fn message_trace(&mut self, entry: &Entry) -> Option<Option<MessageTrace>> {
        let mut destination = None;
        let mut sampling_percent = None;
        match &entry.value.value {
            Value::Map(map) => {
                for entry in &map.entries {
                    match entry.key.to_ascii_lowercase().as_str() {
                        "dest" => destination = self.trace_destination(entry),
                        "sampling" => sampling_percent = self.percent(entry, 1),
                        _ => self.unknown(entry),
                    }
                }
            }
            _ => destination = self.trace_destination(entry),
        }
        match destination {
            Some(destination) => Some(Some(MessageTrace {
                destination,
                sampling_percent: sampling_percent.unwrap_or(100),
            })),
            None => {
                if sampling_percent.is_some() {
                    let reason = "trace sampling is ignored since no destination was set";
                    self.warning(&entry.position, reason);
                }
                Some(None)
            }
        }
    }

    fn trace_destination(&mut self, entry: &Entry) -> Option<String> {
        let subject = self.string(entry)?;
        if !super::subject::is_literal(&subject) {
            let reason = format!("trace destination {subject:?} is not valid");
            self.problem(&entry.value.position, reason);
            return None;
        }
        Some(subject)
    }

    /// A part of a hundred: `50` or `"50%"`.
    pub fn percent(&mut self, entry: &Entry, min: u8) -> Option<u8> {
        let number = match &entry.value.value {
            Value::Integer(number) => Some(*number),
            Value::String(text) => text.strip_suffix('%').unwrap_or(text).parse().ok(),
            _ => None,
        };
        let percent = number
            .and_then(|n| u8::try_from(n).ok())
            .filter(|n| (min..=100).contains(n));
        if percent.is_none() {
            let reason = format!("{:?} must be a percentage from {min} to 100", entry.key);
            self.problem(&entry.value.position, reason);
        }
        percent
    }
}
