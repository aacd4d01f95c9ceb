//! Operator mode: operators, keys and where account JWTs come from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Reader, is_url, nkey, set};
use crate::options::{DirectoryKind, OperatorSource, Resolver};
use crate::value::{Entry, Map, Value};

/// What every JWT starts with: the encoding of `{"`.
const JWT_PREFIX: &str = "eyJ";

pub fn operators(reader: &mut Reader<'_>, entry: &Entry) -> Option<Vec<OperatorSource>> {
    let texts = reader.strings(entry)?;
    Some(
        texts
            .into_iter()
            .filter_map(|text| reader.operator(text, entry))
            .collect(),
    )
}

pub fn trusted_keys(reader: &mut Reader<'_>, entry: &Entry) -> Option<Vec<String>> {
    let keys = reader.strings(entry)?;
    for key in keys
        .iter()
        .filter(|key| !nkey::is_public(key, nkey::Kind::Operator))
    {
        let reason = format!("trust key {key:?} required to be a valid public operator nkey");
        reader.problem(&entry.value.position, reason);
    }
    Some(keys)
}

pub fn preload(reader: &mut Reader<'_>, entry: &Entry) -> Option<BTreeMap<String, String>> {
    let preload = reader.string_map(entry)?;
    let map = reader.map(entry)?;
    for entry in &map.entries {
        let Value::String(jwt) = &entry.value.value else {
            continue;
        };
        if !is_jwt(jwt) && !entry.used_as_variable {
            reader.problem(&entry.value.position, "invalid account JWT");
        }
    }
    Some(preload)
}

pub fn read(reader: &mut Reader<'_>, entry: &Entry) -> Option<Resolver> {
    match &entry.value.value {
        Value::String(text) => reader.resolver_name(text, entry),
        Value::Map(map) => reader.resolver_block(map, entry),
        _ => {
            reader.wrong_kind(&entry.key, &entry.value, "a string or a block");
            None
        }
    }
}

impl Reader<'_> {
    /// The JWT itself, or a file that holds it.
    fn operator(&mut self, text: String, entry: &Entry) -> Option<OperatorSource> {
        if is_jwt(&text) {
            return Some(OperatorSource { file: None, text });
        }
        let file = self.home_expanded(&text);
        match (self.source.read_file)(&file) {
            Ok(text) => Some(OperatorSource {
                file: Some(file),
                text,
            }),
            Err(error) => {
                let reason = format!(
                    "error parsing operator JWT: open {}: {error}",
                    file.display()
                );
                self.problem(&entry.value.position, reason);
                None
            }
        }
    }

    /// A path whose leading `~` stands for the user's home.
    fn home_expanded(&self, path: &str) -> PathBuf {
        match path
            .strip_prefix('~')
            .zip((self.source.environment)("HOME"))
        {
            Some((rest, home)) => Path::new(&home).join(rest.trim_start_matches('/')),
            None => PathBuf::from(path),
        }
    }

    fn resolver_name(&mut self, text: &str, entry: &Entry) -> Option<Resolver> {
        let upper = text.to_ascii_uppercase();
        if upper.contains("MEM") {
            return Some(Resolver::Memory);
        }
        let url = upper.find("URL(").and_then(|start| {
            let url = text.get(start + "URL(".len()..)?.split_once(')')?.0;
            Some(url.trim().trim_matches('"').to_owned())
        });
        match url {
            Some(url) if is_url(&url) && !url.is_empty() => Some(Resolver::Url(url)),
            Some(url) => {
                let reason = format!("error parsing account resolver url [{url:?}]");
                self.problem(&entry.value.position, reason);
                None
            }
            None => {
                self.unknown_resolver(entry);
                None
            }
        }
    }

    fn unknown_resolver(&mut self, entry: &Entry) {
        let reason = "error parsing account resolver, should be MEM or URL(\"url\") or a block \
                      with dir and type FULL or CACHE";
        self.problem(&entry.value.position, reason);
    }

    fn resolver_block(&mut self, map: &Map, entry: &Entry) -> Option<Resolver> {
        let mut kind_name = String::new();
        let mut dir = PathBuf::new();
        let mut allow_delete = false;
        let mut hard_delete = None;
        let mut limit = None;
        let mut ttl = None;
        let mut interval = None;
        let mut timeout = None;
        for entry in &map.entries {
            match entry.key.to_ascii_lowercase().as_str() {
                "type" => set(&mut kind_name, self.string(entry)),
                "dir" => set(&mut dir, self.string(entry)),
                "allow_delete" => set(&mut allow_delete, self.boolean(entry)),
                "hard_delete" => set(&mut hard_delete, self.boolean(entry).map(Some)),
                "limit" => set(&mut limit, self.positive_limit(entry)),
                "ttl" => set(&mut ttl, self.resolver_duration(entry)),
                "interval" => set(&mut interval, self.resolver_duration(entry)),
                "timeout" => set(&mut timeout, self.resolver_duration(entry)),
                _ => self.unknown(entry),
            }
        }
        let (kind, contradictions) = match kind_name.to_ascii_uppercase().as_str() {
            "MEM" | "MEMORY" => return Some(Resolver::Memory),
            "CACHE" => (
                DirectoryKind::Cache,
                vec![
                    (interval.is_some(), "CACHE does not accept sync"),
                    (allow_delete, "CACHE does not accept allow_delete"),
                    (hard_delete.is_some(), "CACHE does not accept hard_delete"),
                ],
            ),
            "FULL" => (
                DirectoryKind::Full,
                vec![
                    (ttl.is_some(), "FULL does not accept ttl"),
                    (
                        hard_delete.is_some() && !allow_delete,
                        "hard_delete has no effect without delete",
                    ),
                ],
            ),
            _ => {
                self.unknown_resolver(entry);
                return None;
            }
        };
        let no_dir = dir.as_os_str().is_empty();
        let missing = (no_dir, "dir has no value and needs to point to a directory");
        for (_, reason) in contradictions
            .into_iter()
            .chain([missing])
            .filter(|(wrong, _)| *wrong)
        {
            self.problem(&entry.value.position, reason);
        }
        let hard_delete = hard_delete.unwrap_or(false);
        Some(Resolver::Directory {
            kind,
            dir,
            allow_delete,
            hard_delete,
            limit,
            ttl,
            interval,
            timeout,
        })
    }

    fn resolver_duration(&mut self, entry: &Entry) -> Option<Option<std::time::Duration>> {
        Some(
            self.duration_string(entry)
                .filter(|duration| !duration.is_zero()),
        )
    }
}

/// Whether a text has the three parts of a JWT. Its signature is for others to verify.
fn is_jwt(text: &str) -> bool {
    let text = text.trim();
    let is_part = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_')
    };
    text.starts_with(JWT_PREFIX) && text.split('.').count() == 3 && text.split('.').all(is_part)
}
