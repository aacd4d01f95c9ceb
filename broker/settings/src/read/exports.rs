//! What accounts export and import.

use super::sharing::{Item, Shared};
use super::{Reader, set, subject};
use crate::options::{Account, Export, Import, InterestKind, Latency, ResponseType, Sampling};
use crate::value::{Entry, Map, Node, Value};

impl Reader<'_> {
    pub fn exports(&mut self, entry: &Entry, account: &mut Account) {
        for node in self.array(entry).unwrap_or_default() {
            let Some(export) = self.export(node) else {
                continue;
            };
            self.shared.push(Shared {
                account: account.name.clone(),
                position: node.position.clone(),
                item: Item::Export(export.clone()),
            });
            account.exports.push(export);
        }
    }

    pub fn imports(&mut self, entry: &Entry, account: &mut Account) {
        for node in self.array(entry).unwrap_or_default() {
            let Some(import) = self.import(node) else {
                continue;
            };
            let place = |import: &Import| import.to.clone().unwrap_or(import.subject.clone());
            let is_duplicate = import.kind == InterestKind::Service
                && account.imports.iter().any(|earlier| {
                    earlier.kind == import.kind
                        && earlier.account == import.account
                        && place(earlier) == place(&import)
                });
            if is_duplicate {
                let reason = format!("Duplicate service import subject {:?}", place(&import));
                self.problem(&node.position, reason);
            }
            self.shared.push(Shared {
                account: account.name.clone(),
                position: node.position.clone(),
                item: Item::Import(import.clone()),
            });
            account.imports.push(import);
        }
    }

    fn export(&mut self, node: &Node) -> Option<Export> {
        let map = self.map_node("exports", node)?;
        let mut found = self.stream_or_service(map, node)?;
        let subject = self.string(found.entry)?;
        self.check_subject(&subject, found.entry);
        let mut export = Export {
            kind: found.kind,
            subject,
            accounts: None,
            response_type: ResponseType::Single,
            response_threshold: None,
            latency: None,
            account_token_position: None,
            allow_trace: false,
        };
        for entry in map.entries.iter().filter(|entry| !is_kind(entry)) {
            match entry.key.to_ascii_lowercase().as_str() {
                "accounts" => set(&mut export.accounts, self.string_array(entry).map(Some)),
                "response" | "response_type" => {
                    found.service_only(self, entry);
                    set(&mut export.response_type, self.response_type(entry));
                }
                "threshold" | "response_threshold" | "response_max_time" | "response_time" => {
                    found.service_only(self, entry);
                    set(
                        &mut export.response_threshold,
                        self.duration_string(entry).map(Some),
                    );
                }
                "latency" => {
                    found.service_only(self, entry);
                    set(&mut export.latency, self.latency(entry).map(Some));
                }
                "account_token_position" => {
                    set(
                        &mut export.account_token_position,
                        self.token_position(&export.subject, entry),
                    );
                }
                "allow_trace" => {
                    found.service_only(self, entry);
                    set(&mut export.allow_trace, self.boolean(entry));
                }
                _ => self.unknown(entry),
            }
        }
        Some(export)
    }

    fn import(&mut self, node: &Node) -> Option<Import> {
        let map = self.map_node("imports", node)?;
        let found = self.stream_or_service(map, node)?;
        let (account, subject) = self.import_source(found.entry)?;
        self.check_subject(&subject, found.entry);
        let mut import = Import {
            kind: found.kind,
            account,
            subject,
            prefix: None,
            to: None,
            share: false,
            allow_trace: false,
        };
        for entry in map.entries.iter().filter(|entry| !is_kind(entry)) {
            match entry.key.to_ascii_lowercase().as_str() {
                "prefix" => set(&mut import.prefix, self.text(entry)),
                "to" => set(&mut import.to, self.text(entry)),
                "share" => set(&mut import.share, self.boolean(entry)),
                "allow_trace" => {
                    if import.kind == InterestKind::Service {
                        let reason = "Detected allow_trace directive on a non-stream";
                        self.problem(&entry.position, reason);
                    }
                    set(&mut import.allow_trace, self.boolean(entry));
                }
                _ => self.unknown(entry),
            }
        }
        if import
            .prefix
            .as_ref()
            .is_some_and(|prefix| !subject::is_literal(prefix))
        {
            let reason = "stream import prefix can not contain wildcard tokens";
            self.problem(&node.position, reason);
        }
        if import.kind == InterestKind::Stream && import.prefix.is_some() && import.to.is_some() {
            let reason = "Stream import can not have a 'prefix' and a 'to' property";
            self.problem(&node.position, reason);
        }
        Some(import)
    }

    /// The key that says what is shared: one of them, and only one.
    fn stream_or_service<'n>(&mut self, map: &'n Map, node: &Node) -> Option<Found<'n>> {
        let mut kinds = map.entries.iter().filter(|entry| is_kind(entry));
        let Some(entry) = kinds.next() else {
            self.problem(&node.position, "expected a stream or a service");
            return None;
        };
        if let Some(second) = kinds.next() {
            let reason = format!("detected {} but already saw a {}", second.key, entry.key);
            self.problem(&second.position, reason);
        }
        let kind = if entry.key.eq_ignore_ascii_case("stream") {
            InterestKind::Stream
        } else {
            InterestKind::Service
        };
        Some(Found { kind, entry })
    }

    fn import_source(&mut self, entry: &Entry) -> Option<(String, String)> {
        let map = self.map(entry)?;
        let mut account: Option<String> = None;
        let mut subject: Option<String> = None;
        let problem_count = self.problems.len();
        for entry in &map.entries {
            match entry.key.to_ascii_lowercase().as_str() {
                "account" => set(&mut account, self.text(entry)),
                "subject" => set(&mut subject, self.text(entry)),
                _ => self.unknown(entry),
            }
        }
        if self.problems.len() == problem_count && (account.is_none() || subject.is_none()) {
            self.problem(&entry.position, "Expect an account name and a subject");
        }
        account.zip(subject)
    }

    fn check_subject(&mut self, subject: &str, entry: &Entry) {
        if !subject::is_valid(subject) {
            let reason = format!("subject {subject:?} is not a valid subject");
            self.problem(&entry.value.position, reason);
        }
    }

    fn response_type(&mut self, entry: &Entry) -> Option<ResponseType> {
        let name = self.string(entry)?;
        match name.to_ascii_lowercase().as_str() {
            "single" | "singleton" => Some(ResponseType::Single),
            "stream" => Some(ResponseType::Stream),
            "chunk" | "chunked" => Some(ResponseType::Chunked),
            _ => {
                let reason = format!("Unknown response type: {name:?}");
                self.problem(&entry.value.position, reason);
                None
            }
        }
    }

    fn token_position(&mut self, subject: &str, entry: &Entry) -> Option<Option<u32>> {
        let position: u32 = self.number(entry)?;
        if position == 0 {
            return Some(None);
        }
        let index = usize::try_from(position).ok()?;
        if subject.split('.').nth(index - 1) != Some("*") {
            let reason = format!(
                "account_token_position {position} of {subject:?} is not a '*' of the subject"
            );
            self.problem(&entry.value.position, reason);
        }
        Some(Some(position))
    }

    /// A subject, or a block with a subject and a sampling.
    fn latency(&mut self, entry: &Entry) -> Option<Latency> {
        let mut sampling = Sampling::Percent(100);
        let mut subject: Option<String> = None;
        match &entry.value.value {
            Value::Map(map) => {
                for entry in &map.entries {
                    match entry.key.to_ascii_lowercase().as_str() {
                        "sampling" => set(&mut sampling, self.sampling(entry)),
                        "subject" => set(&mut subject, self.text(entry)),
                        _ => self.unknown(entry),
                    }
                }
            }
            _ => set(&mut subject, self.text(entry)),
        }
        match &subject {
            None => self.problem(&entry.position, "Latency subject required, but missing"),
            Some(subject) if !subject::is_literal(subject) => {
                let reason = format!("latency subject {subject:?} is not one to publish to");
                self.problem(&entry.position, reason);
            }
            Some(_) => {}
        }
        Some(Latency {
            sampling,
            subject: subject?,
        })
    }

    fn sampling(&mut self, entry: &Entry) -> Option<Sampling> {
        match &entry.value.value {
            Value::String(text) if text.trim().eq_ignore_ascii_case("headers") => {
                Some(Sampling::Headers)
            }
            _ => self.percent(entry, 1).map(Sampling::Percent),
        }
    }
}

struct Found<'n> {
    kind: InterestKind,
    entry: &'n Entry,
}

impl Found<'_> {
    fn service_only(&mut self, reader: &mut Reader<'_>, entry: &Entry) {
        if self.kind == InterestKind::Stream {
            let reason = format!("Detected {} directive on non-service", entry.key);
            reader.problem(&entry.position, reason);
        }
    }
}

fn is_kind(entry: &Entry) -> bool {
    entry.key.eq_ignore_ascii_case("stream") || entry.key.eq_ignore_ascii_case("service")
}
