//! From the tree of values to [`Options`].
//!
//! Every block has a function here or in a file of this folder: a table from keys to fields. A key
//! that is in no table is an error, unless it was used as a variable. A wrong value is reported and
//! its field left as it was, so that one look shows all that is wrong.

mod accounts;
mod authorization;
mod cluster;
mod duration;
mod exports;
mod jetstream;
mod mappings;
mod nkey;
mod resolver;
mod scalars;
mod sharing;
mod subject;
mod tls;
mod top;
mod unserved;
mod url;
mod users;
mod websocket;

use std::collections::BTreeSet;
use std::path::Path;

use crate::options::Options;
use crate::value::{Entry, Map, Node, Value};
use crate::{Position, Problem, Problems, Source};

pub(crate) use scalars::parse_port;
pub(crate) use url::{cluster_url, is_url};

impl Options {
    /// Reads a configuration file, without flags.
    pub fn read(path: &Path, source: &Source<'_>) -> Result<Options, Problems> {
        Options::default().read_into(path, source)
    }

    /// Lays what the file says over these options.
    pub(crate) fn read_into(
        mut self,
        path: &Path,
        source: &Source<'_>,
    ) -> Result<Options, Problems> {
        let map = crate::parse(path, source)?;
        self.config_file = Some(path.to_path_buf());
        self.config_digest = map.digest();
        let mut reader = Reader::new(source);
        if map.entries.is_empty() {
            let reason = format!("{}: config has no values or is empty", path.display());
            reader.warnings.push(Problem::general(reason));
        }
        reader.top(&map, &mut self);
        users::check(&mut reader, &map, &self);
        if reader.problems.is_empty() {
            sharing::check(&mut reader, &self);
        }
        self.warnings = reader.warnings;
        if reader.problems.is_empty() {
            Ok(self)
        } else {
            Err(Problems(reader.problems))
        }
    }
}

/// Collects what is wrong while the blocks are read.
pub(crate) struct Reader<'a> {
    source: &'a Source<'a>,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    /// Names and keys of users so far: no two accounts may have the same.
    users_seen: BTreeSet<String>,
    /// What accounts share, with the place it was written.
    shared: Vec<sharing::Shared>,
}

impl<'a> Reader<'a> {
    fn new(source: &'a Source<'a>) -> Self {
        Self {
            source,
            problems: Vec::new(),
            warnings: Vec::new(),
            users_seen: BTreeSet::new(),
            shared: Vec::new(),
        }
    }
    fn problem(&mut self, position: &Position, reason: impl Into<String>) {
        self.problems.push(Problem::at(position, reason));
    }

    fn warning(&mut self, position: &Position, reason: impl Into<String>) {
        self.warnings.push(Problem::at(position, reason));
    }

    /// Reports a key that no table has, unless some `$key` needed it.
    fn unknown(&mut self, entry: &Entry) {
        if !entry.used_as_variable {
            self.problem(&entry.position, format!("unknown field {:?}", entry.key));
        }
    }

    fn wrong_kind(&mut self, what: &str, node: &Node, expected: &str) {
        let hint = match (&node.value, expected) {
            (Value::Integer(_) | Value::Float(_) | Value::Bool(_) | Value::Datetime(_), text)
                if text.starts_with("a string") =>
            {
                "; put it in quotes"
            }
            _ => "",
        };
        let kind = node.value.kind();
        self.problem(
            &node.position,
            format!("{what:?} must be {expected}, got {kind}{hint}"),
        );
    }

    fn map<'n>(&mut self, entry: &'n Entry) -> Option<&'n Map> {
        self.map_node(&entry.key, &entry.value)
    }

    fn map_node<'n>(&mut self, what: &str, node: &'n Node) -> Option<&'n Map> {
        match &node.value {
            Value::Map(map) => Some(map),
            _ => {
                self.wrong_kind(what, node, "a block");
                None
            }
        }
    }

    fn array<'n>(&mut self, entry: &'n Entry) -> Option<&'n [Node]> {
        match &entry.value.value {
            Value::Array(nodes) => Some(nodes),
            _ => {
                self.wrong_kind(&entry.key, &entry.value, "an array");
                None
            }
        }
    }

    /// Checks that a file can be read, so that a wrong name is found before a listener needs it.
    fn require_file(&mut self, position: &Position, file: &Path) {
        if let Err(error) = (self.source.read_file)(file) {
            self.problem(
                position,
                format!("can not read {}: {error}", file.display()),
            );
        }
    }
}

/// Fills a field if its value could be read.
fn set<T, U: Into<T>>(field: &mut T, value: Option<U>) {
    if let Some(value) = value {
        *field = value.into();
    }
}

#[cfg(test)]
mod tests;
