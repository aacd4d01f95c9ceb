//! Checks a document against the schema of its kind, as API servers do, and says what to do.

use regex::Regex;
use serde_json::{Map, Value};

use super::Complaint;
use super::suggest::did_you_mean;

/// What a document may say about a resource beside what it should be.
const ROOT: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];
const METADATA: [&str; 15] = [
    "name",
    "namespace",
    "labels",
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];
const NAME_MAX: usize = 253;
const NAMESPACE_MAX: usize = 63;

/// Everything in which a document with its defaults does not fit the schema of its kind.
pub(super) fn check(schema: &Value, document: &Value) -> Vec<Complaint> {
    let mut checker = Checker::default();
    let empty = Map::new();
    let fields = document.as_object().unwrap_or(&empty);
    for name in fields.keys().filter(|name| !ROOT.contains(&name.as_str())) {
        checker.unknown("", name, ROOT.into_iter());
    }
    match fields.get("metadata").and_then(Value::as_object) {
        Some(metadata) => checker.metadata(metadata),
        None => checker.complain(
            "metadata",
            "is missing; write metadata with a name".to_owned(),
        ),
    }
    match fields.get("spec") {
        Some(spec) => checker.value("spec", &schema["properties"]["spec"], spec),
        None => checker.complain("spec", "is missing".to_owned()),
    }
    checker.complaints
}

#[derive(Default)]
struct Checker {
    complaints: Vec<Complaint>,
}

impl Checker {
    fn complain(&mut self, field: &str, message: String) {
        let field = field.to_owned();
        self.complaints.push(Complaint { field, message });
    }

    fn unknown<'a>(&mut self, inside: &str, name: &str, known: impl Iterator<Item = &'a str>) {
        let known: Vec<&str> = known.collect();
        let hint = did_you_mean(name, known.iter().copied());
        let message = format!("is not a field{hint}; fields here are {}", known.join(", "));
        self.complain(&join(inside, name), message);
    }

    fn metadata(&mut self, metadata: &Map<String, Value>) {
        for name in metadata
            .keys()
            .filter(|name| !METADATA.contains(&name.as_str()))
        {
            self.unknown("metadata", name, METADATA.into_iter().take(4));
        }
        match metadata.get("name").and_then(Value::as_str) {
            Some(name) if name.len() <= NAME_MAX && name.split('.').all(is_label) => {}
            Some(name) => {
                let message = format!(
                    "{name:?} is not a resource name: use small letters, digits, - and ., \
                     and put other names into spec"
                );
                self.complain("metadata.name", message);
            }
            None => self.complain("metadata.name", "is missing".to_owned()),
        }
        if let Some(namespace) = metadata.get("namespace") {
            let fits = |name: &str| name.len() <= NAMESPACE_MAX && is_label(name);
            if !namespace.as_str().is_some_and(fits) {
                let message =
                    format!("{namespace} is not a namespace: use small letters, digits and -");
                self.complain("metadata.namespace", message);
            }
        }
        for field in ["labels", "annotations"] {
            let Some(texts) = metadata.get(field) else {
                continue;
            };
            let is_texts = |texts: &Map<String, Value>| texts.values().all(Value::is_string);
            if !texts.as_object().is_some_and(is_texts) {
                let message = "must be texts by name; put numbers and true into quotes".to_owned();
                self.complain(&join("metadata", field), message);
            }
        }
    }

    fn value(&mut self, field: &str, schema: &Value, value: &Value) {
        if value.is_null() {
            let message = "has no value; write one or remove the field".to_owned();
            return self.complain(field, message);
        }
        if schema["x-kubernetes-int-or-string"] == true {
            return self.int_or_string(field, schema, value);
        }
        let wanted = schema["type"].as_str().unwrap_or_default();
        match (wanted, value) {
            ("object", Value::Object(fields)) => self.object(field, schema, fields),
            ("array", Value::Array(items)) => self.array(field, schema, items),
            ("string", Value::String(text)) => self.text(field, schema, text),
            ("boolean", Value::Bool(_)) => {}
            ("integer", Value::Number(number)) if !number.is_f64() => {
                self.number(field, schema, value);
            }
            _ => {
                let wanted = match wanted {
                    "object" => "a block of fields",
                    "array" => "a list, such as [a, b]",
                    "string" => "a text; put it into quotes if it looks like something else",
                    "boolean" => "true or false",
                    _ => "a whole number",
                };
                self.complain(field, format!("{} is not {wanted}", short(value)));
            }
        }
    }

    fn object(&mut self, field: &str, schema: &Value, fields: &Map<String, Value>) {
        let empty = Map::new();
        let known = schema["properties"].as_object().unwrap_or(&empty);
        let others = &schema["additionalProperties"];
        for (name, value) in fields {
            match known.get(name) {
                Some(schema) => self.value(&join(field, name), schema, value),
                None if others.is_object() => self.value(&join(field, name), others, value),
                None => self.unknown(field, name, known.keys().map(String::as_str)),
            }
        }
        let required = schema["required"].as_array().into_iter().flatten();
        for name in required.filter_map(Value::as_str) {
            if !fields.contains_key(name) {
                let about = known[name]["description"].as_str().unwrap_or_default();
                self.complain(
                    &join(field, name),
                    format!("is missing: {}", about.to_lowercase().trim_end_matches('.')),
                );
            }
        }
        self.size(
            field,
            fields.len(),
            &schema["minProperties"],
            &schema["maxProperties"],
            "entries",
        );
    }

    fn array(&mut self, field: &str, schema: &Value, items: &[Value]) {
        for (index, item) in items.iter().enumerate() {
            self.value(&format!("{field}[{index}]"), &schema["items"], item);
        }
        self.size(
            field,
            items.len(),
            &schema["minItems"],
            &schema["maxItems"],
            "entries",
        );
    }

    fn text(&mut self, field: &str, schema: &Value, text: &str) {
        if let Some(allowed) = schema["enum"].as_array() {
            let mut allowed = allowed.iter().filter_map(Value::as_str);
            if !allowed.clone().any(|name| name == text) {
                let hint = did_you_mean(text, allowed.clone());
                let first = allowed.next().unwrap_or_default();
                let names = allowed.fold(first.to_owned(), |names, name| names + ", " + name);
                self.complain(field, format!("{text:?} is none of {names}{hint}"));
            }
        }
        let length = text.chars().count();
        self.size(
            field,
            length,
            &schema["minLength"],
            &schema["maxLength"],
            "characters",
        );
        self.pattern(field, schema, text);
        if schema["format"] == "date-time" && text.parse::<k8s_openapi::jiff::Timestamp>().is_err()
        {
            let message = format!("{text:?} is not a time; write it such as 2030-01-31T12:00:00Z");
            self.complain(field, message);
        }
    }

    fn pattern(&mut self, field: &str, schema: &Value, text: &str) {
        let Some(pattern) = schema["pattern"].as_str() else {
            return;
        };
        // The patterns are constants of this crate, and a test compiles each of them.
        let fits = Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(text));
        if !fits {
            self.complain(field, explain(pattern, text));
        }
    }

    fn number(&mut self, field: &str, schema: &Value, value: &Value) {
        let number = value.as_f64().unwrap_or_default();
        if let Some(least) = schema["minimum"].as_f64().filter(|least| number < *least) {
            self.complain(field, format!("{value} is below {least}"));
        }
        if let Some(most) = schema["maximum"].as_f64().filter(|most| number > *most) {
            self.complain(field, format!("{value} is above {most}"));
        }
    }

    fn int_or_string(&mut self, field: &str, schema: &Value, value: &Value) {
        match value {
            Value::String(text) => self.pattern(field, schema, text),
            Value::Number(number) if number.is_u64() => {}
            _ => self.complain(field, explain(crate::quantity::PATTERN, &short(value))),
        }
    }

    fn size(&mut self, field: &str, size: usize, least: &Value, most: &Value, unit: &str) {
        let bound = |bound: &Value| bound.as_u64().and_then(|bound| usize::try_from(bound).ok());
        if let Some(least) = bound(least).filter(|least| size < *least) {
            self.complain(
                field,
                format!("has {size} {unit}; at least {least} are needed"),
            );
        }
        if let Some(most) = bound(most).filter(|most| size > *most) {
            self.complain(
                field,
                format!("has {size} {unit}; at most {most} are allowed"),
            );
        }
    }
}

/// Says what a pattern means where that is known.
fn explain(pattern: &str, text: &str) -> String {
    if pattern == crate::duration::PATTERN {
        return crate::DurationError::Form(text.to_owned()).to_string();
    }
    if pattern == crate::quantity::PATTERN {
        return crate::QuantityError::Form(text.to_owned()).to_string();
    }
    format!("{text:?} does not fit the pattern {pattern}")
}

fn is_label(name: &str) -> bool {
    let is_edge = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let bytes = name.as_bytes();
    bytes.first().copied().is_some_and(is_edge)
        && bytes.last().copied().is_some_and(is_edge)
        && bytes.iter().all(|c| is_edge(*c) || *c == b'-')
}

fn join(inside: &str, name: &str) -> String {
    if inside.is_empty() {
        name.to_owned()
    } else if name.contains('.') {
        format!("{inside}[{name:?}]")
    } else {
        format!("{inside}.{name}")
    }
}

/// A value as it is shown in a message.
fn short(value: &Value) -> String {
    match value {
        Value::Object(_) => "a block of fields".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        other => other.to_string(),
    }
}
