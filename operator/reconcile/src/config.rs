//! Configurations of streams and consumers as servers speak of them, and how two of them differ.
//!
//! One table of fields per kind says what is compared, how it is shown to people and what servers
//! refuse to change. What no table names is left as the server has it.

mod consumer;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use api::{Duration, FieldDiff, Quantity};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::owner::{APPLIED_KEY, Mark, OWNER_KEY, SERVER_PREFIX, WEIR_PREFIX};

pub(crate) use consumer::CONSUMER_FIELDS;
pub(crate) use stream::{BUCKET_FIELDS, OBJECT_STORE_FIELDS, STREAM_FIELDS};

/// A configuration by the field names of the JetStream API.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config(pub BTreeMap<String, Value>);

/// What is known about one field.
#[derive(Debug, PartialEq)]
pub(crate) struct Field {
    /// Its name in the JetStream API.
    pub(crate) api: &'static str,
    /// Its name in the resource.
    pub(crate) shown: &'static str,
    pub(crate) unit: Unit,
    pub(crate) change: Change,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Unit {
    Text,
    Flag,
    /// A flag that the resource words the other way round.
    Inverse,
    Count,
    /// A number; nothing and everything below 1 is unlimited.
    Limit,
    /// Bytes; nothing and everything below 1 is unlimited.
    Bytes,
    Nanos,
    /// The order has a meaning.
    NanosList,
    /// The order has none.
    Texts,
    Time,
    /// A word; nothing, `none` and `default` are the same.
    Choice,
    Block,
    /// Several blocks; their order has no meaning.
    Blocks,
    Labels,
}

/// What servers do when the field changes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Change {
    Free,
    /// Refused.
    Fixed,
    /// From `true` back to `false` it is refused.
    OneWay,
    /// Only its removal is not refused.
    OnlyRemoved,
    /// It counts only for something new, so differences do not matter.
    AtCreation,
    /// Refused to and from `workqueue`.
    Retention,
}

/// One field in which two configurations differ.
#[derive(Clone, Debug)]
pub(crate) struct Difference {
    pub(crate) field: &'static Field,
    pub(crate) observed: Value,
    pub(crate) desired: Value,
}

impl Config {
    pub(crate) fn from_map(map: &Map<String, Value>) -> Config {
        let fields = map
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()));
        let mut config = Config(fields.collect());
        // Servers tell one filter apart from several.
        if let Some(filter) = config.0.remove("filter_subject")
            && filter.as_str().is_some_and(|filter| !filter.is_empty())
        {
            config.set("filter_subjects", json!([filter]));
        }
        config
    }

    pub(crate) fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// The owner, if the configuration is marked.
    pub(crate) fn mark(&self) -> Option<Mark> {
        self.label(OWNER_KEY).map(Mark::read)
    }

    /// The hash of what was applied last.
    pub(crate) fn applied(&self) -> Option<&str> {
        self.label(APPLIED_KEY)
    }

    fn label(&self, key: &str) -> Option<&str> {
        self.0.get("metadata")?.get(key)?.as_str()
    }

    /// What identifies the wish, to tell a changed wish from a changed server.
    pub(crate) fn hash(&self, fields: &'static [Field]) -> String {
        let normal: BTreeMap<_, _> = fields
            .iter()
            .map(|field| (field.api, field.normal(self.0.get(field.api))))
            .collect();
        // Texts as keys and plain data always become JSON.
        let text = serde_json::to_vec(&normal).unwrap_or_default();
        let hash = Sha256::digest(text);
        data_encoding::HEXLOWER.encode(&hash[..16])
    }

    /// What is sent: this configuration over what the server has, with the owner's mark.
    pub(crate) fn marked(
        &self,
        over: Option<&Config>,
        mark: &Mark,
        fields: &'static [Field],
    ) -> Map<String, Value> {
        let mut all = over.cloned().unwrap_or_default().0;
        all.retain(|name, _| fields.iter().all(|field| field.api != name));
        all.extend(self.0.clone());
        let mut labels = match all.remove("metadata") {
            Some(Value::Object(labels)) => labels,
            _ => Map::new(),
        };
        labels.insert(OWNER_KEY.to_owned(), mark.to_string().into());
        labels.insert(APPLIED_KEY.to_owned(), self.hash(fields).into());
        all.insert("metadata".to_owned(), labels.into());
        all.retain(|_, value| !value.is_null());
        all.into_iter().collect()
    }
}

/// The fields in which the server differs from the wish.
pub(crate) fn compare(
    desired: &Config,
    observed: &Config,
    fields: &'static [Field],
) -> Vec<Difference> {
    let differs = |field: &'static Field| {
        let desired = field.normal(desired.0.get(field.api));
        let observed = field.normal(observed.0.get(field.api));
        let matters = field.change != Change::AtCreation && desired != observed;
        matters.then_some(Difference {
            field,
            observed,
            desired,
        })
    };
    fields.iter().filter_map(differs).collect()
}

impl Field {
    pub(crate) const fn new(api: &'static str, shown: &'static str, unit: Unit) -> Field {
        Field {
            api,
            shown,
            unit,
            change: Change::Free,
        }
    }

    pub(crate) const fn change(self, change: Change) -> Field {
        Field { change, ..self }
    }

    /// The one form of all values that mean the same.
    fn normal(&self, value: Option<&Value>) -> Value {
        let value = value.unwrap_or(&Value::Null);
        match self.unit {
            Unit::Text => value.as_str().unwrap_or_default().into(),
            Unit::Flag | Unit::Inverse => value.as_bool().unwrap_or_default().into(),
            Unit::Count | Unit::Nanos => value.as_i64().unwrap_or_default().into(),
            Unit::Limit | Unit::Bytes => {
                let limit = value.as_i64().unwrap_or_default();
                if limit < 1 { json!(-1) } else { json!(limit) }
            }
            Unit::NanosList => match value {
                Value::Array(items) => items.clone().into(),
                _ => json!([]),
            },
            Unit::Texts => {
                let mut texts: Vec<&str> = value
                    .as_array()
                    .map(|texts| texts.iter().filter_map(Value::as_str).collect())
                    .unwrap_or_default();
                texts.sort_unstable();
                json!(texts)
            }
            Unit::Time => match value
                .as_str()
                .and_then(|text| text.parse::<Timestamp>().ok())
            {
                Some(time) => time.to_string().into(),
                None => Value::Null,
            },
            Unit::Choice => match value.as_str() {
                None | Some("" | "none" | "default") => "none".into(),
                Some(word) => word.into(),
            },
            Unit::Block => without_empty(value),
            Unit::Blocks => {
                let blocks = value.as_array().into_iter().flatten();
                let mut blocks: Vec<Value> = blocks.map(without_empty).collect();
                blocks.sort_by_cached_key(Value::to_string);
                blocks.into()
            }
            Unit::Labels => labels_of_people(value),
        }
    }

    fn show(&self, value: &Value) -> String {
        let number = value.as_i64().unwrap_or_default();
        let positive = u64::try_from(number).unwrap_or_default();
        match self.unit {
            Unit::Limit | Unit::Bytes if number < 1 => "unlimited".to_owned(),
            Unit::Bytes => Quantity::from_bytes(positive).to_string(),
            Unit::Inverse => (*value != true).to_string(),
            Unit::Nanos if number == 0 => "none".to_owned(),
            Unit::Nanos => Duration::from_nanos(positive).to_string(),
            _ => match value {
                Value::String(text) if text.is_empty() => "none".to_owned(),
                Value::String(text) => text.clone(),
                Value::Null => "none".to_owned(),
                Value::Array(items) if items.is_empty() => "none".to_owned(),
                other => other.to_string(),
            },
        }
    }
}

impl Difference {
    pub(crate) fn shown(&self) -> FieldDiff {
        FieldDiff {
            field: self.field.shown.to_owned(),
            observed: self.field.show(&self.observed),
            desired: self.field.show(&self.desired),
        }
    }
}

/// Fields of a block that say nothing are as good as absent.
fn without_empty(value: &Value) -> Value {
    let Value::Object(fields) = value else {
        return match value {
            Value::String(text) => one_form_of_time(text).into(),
            other => other.clone(),
        };
    };
    let says_something = |value: &Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Number(number) => number.as_i64() != Some(0),
        _ => true,
    };
    let fields: Map<String, Value> = fields
        .iter()
        .map(|(name, value)| (name.clone(), without_empty(value)))
        .filter(|(_, value)| says_something(value))
        .collect();
    if fields.is_empty() {
        Value::Null
    } else {
        fields.into()
    }
}

/// Servers write times with as many digits as they like.
fn one_form_of_time(text: &str) -> String {
    let time = text.parse::<Timestamp>();
    time.map_or_else(|_| text.to_owned(), |time| time.to_string())
}

fn labels_of_people(value: &Value) -> Value {
    let empty = Map::new();
    let labels = value.as_object().unwrap_or(&empty);
    let is_theirs = |key: &str| !key.starts_with(SERVER_PREFIX) && !key.starts_with(WEIR_PREFIX);
    let labels: Map<String, Value> = labels
        .iter()
        .filter(|(key, _)| is_theirs(key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    labels.into()
}
