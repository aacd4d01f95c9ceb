//! The tree a configuration file is parsed into.

use crate::Position;

/// A value and the place it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub value: Value,
    pub position: Position,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Bool(bool),
    Integer(i64),
    Float(f64),
    String(String),
    /// A date and time in UTC, as it was written: `2006-01-02T15:04:05Z`.
    Datetime(String),
    Array(Vec<Node>),
    Map(Map),
}

impl Value {
    /// The kind of value, as error texts name it.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Bool(_) => "boolean",
            Value::Integer(_) => "integer",
            Value::Float(_) => "float",
            Value::String(_) => "string",
            Value::Datetime(_) => "datetime",
            Value::Array(_) => "array",
            Value::Map(_) => "map",
        }
    }
}

/// The keys of a block in the order they were first written. A key written twice keeps its last
/// value.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Map {
    pub entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub key: String,
    pub position: Position,
    pub value: Node,
    /// Some `$key` referred to this entry, so it may have any name.
    pub used_as_variable: bool,
}

impl Map {
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.key == key)
    }

    pub(crate) fn insert(&mut self, mut entry: Entry) {
        match self.get_mut(&entry.key) {
            Some(earlier) => {
                entry.used_as_variable |= earlier.used_as_variable;
                *earlier = entry;
            }
            None => self.entries.push(entry),
        }
    }
}
