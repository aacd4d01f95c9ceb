//! Reading files of resources.

mod locate;
mod schema;
mod suggest;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;

use serde_json::Value;

use crate::{API_VERSION, Kind, Resource, ResourceId, crds};
use suggest::did_you_mean;

/// More problems than this are not worth reading; the first ones cause many of the others.
const PROBLEMS_MAX: usize = 50;
const DOCUMENTS_MAX: usize = 10_000;

/// A place in a file. Both count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

/// Something together with where it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Located<T> {
    pub value: T,
    pub position: Position,
}

/// Something in a file that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub position: Position,
    /// Kind and name of the resource, as far as they are known.
    pub resource: String,
    /// The field, such as `spec.limits.maxAge`; empty if the problem is not about one.
    pub field: String,
    /// What is wrong, and what to do instead where that is known.
    pub message: String,
}

/// What is wrong with one field, before it is known where in the file that is.
struct Complaint {
    field: String,
    message: String,
}

/// The text of one document of a file.
struct Document<'a> {
    text: &'a str,
    /// Lines of the file before the text.
    lines_before: usize,
}

/// Reads every resource of a file and checks them as a Kubernetes API server would.
///
/// # Errors
/// Everything that is wrong with the file, in its order.
pub fn parse_documents(yaml: &str) -> Result<Vec<Located<Resource>>, Vec<Problem>> {
    let mut resources: Vec<Located<Resource>> = Vec::new();
    let mut problems = Vec::new();
    let mut lines: HashMap<ResourceId, usize> = HashMap::new();
    for (index, document) in split(yaml).enumerate() {
        if index == DOCUMENTS_MAX || problems.len() >= PROBLEMS_MAX {
            problems.push(document.problem("", "", "the rest of the file was not read"));
            break;
        }
        match read(&document) {
            Ok(None) => {}
            Ok(Some(resource)) => {
                let position = document.start();
                if let Some(line) = lines.insert(resource.id(), position.line) {
                    let message = format!(
                        "line {line} already has this resource; rename one of them or remove it"
                    );
                    problems.push(document.problem(&title(&resource), "metadata.name", &message));
                }
                resources.push(Located {
                    value: resource,
                    position,
                });
            }
            Err(found) => problems.extend(found),
        }
    }
    if problems.is_empty() {
        Ok(resources)
    } else {
        Err(problems)
    }
}

/// Checks one document that was read already, as [`parse_documents`] does.
///
/// # Errors
/// Each field that is wrong, and why.
pub fn parse_document(document: Value) -> Result<Resource, Vec<String>> {
    let said = |complaint: Complaint| format!("{}: {}", complaint.field, complaint.message);
    judge(document).map_err(|complaints| complaints.into_iter().map(said).collect())
}

/// Reads one document; `None` if it is empty.
fn read(document: &Document<'_>) -> Result<Option<Resource>, Vec<Problem>> {
    let value = document.value().map_err(|problem| vec![problem])?;
    if value.is_null() {
        return Ok(None);
    }
    let title = title_of(&value);
    judge(value).map(Some).map_err(|complaints| {
        let place =
            |complaint: Complaint| document.problem(&title, &complaint.field, &complaint.message);
        complaints
            .into_iter()
            .take(PROBLEMS_MAX)
            .map(place)
            .collect()
    })
}

/// Checks a document in the order of an API server: form, then schema, then rules.
fn judge(value: Value) -> Result<Resource, Vec<Complaint>> {
    let kind = kind_of(&value).map_err(|complaint| vec![complaint])?;
    let schema = crds::schema(kind);
    let mut value = kube::core::cel::apply_defaults(&schema, &value);
    let complaints = schema::check(&schema, &value);
    if !complaints.is_empty() {
        return Err(complaints);
    }
    if let Some(fields) = value.as_object_mut() {
        // Only servers write it.
        fields.remove("status");
    }
    let resource = typed(kind, value).map_err(|error| {
        let (field, message) = (String::new(), error.to_string());
        vec![Complaint { field, message }]
    })?;
    let failures = resource.check_rules(None);
    if failures.is_empty() {
        return Ok(resource);
    }
    let complaint = |failure: crate::resource::RuleFailure| Complaint {
        field: failure.field,
        message: failure.message,
    };
    Err(failures.into_iter().map(complaint).collect())
}

fn kind_of(value: &Value) -> Result<Kind, Complaint> {
    let complaint = |field: &str, message: String| Complaint {
        field: field.to_owned(),
        message,
    };
    let Some(fields) = value.as_object() else {
        let message = format!("a resource starts with apiVersion: {API_VERSION} and a kind");
        return Err(complaint("", message));
    };
    match fields.get("apiVersion") {
        Some(version) if version == API_VERSION => {}
        Some(version) => {
            let message = format!("{version} is not known; write {API_VERSION}");
            return Err(complaint("apiVersion", message));
        }
        None => {
            let message = format!("is missing; write {API_VERSION}");
            return Err(complaint("apiVersion", message));
        }
    }
    let names = Kind::ALL.map(Kind::as_str);
    let Some(found) = fields.get("kind").and_then(Value::as_str) else {
        let message = format!("is missing; write one of {}", names.join(", "));
        return Err(complaint("kind", message));
    };
    let known = Kind::ALL.into_iter().find(|kind| kind.as_str() == found);
    known.ok_or_else(|| {
        let hint = did_you_mean(found, names.iter().copied());
        let names = names.join(", ");
        complaint(
            "kind",
            format!("{found:?} is not a kind{hint}; kinds are {names}"),
        )
    })
}

fn typed(kind: Kind, value: Value) -> Result<Resource, serde_json::Error> {
    Ok(match kind {
        Kind::Account => Resource::Account(serde_json::from_value(value)?),
        Kind::User => Resource::User(serde_json::from_value(value)?),
        Kind::Stream => Resource::Stream(serde_json::from_value(value)?),
        Kind::KVBucket => Resource::KVBucket(serde_json::from_value(value)?),
        Kind::ObjectStore => Resource::ObjectStore(serde_json::from_value(value)?),
        Kind::Consumer => Resource::Consumer(serde_json::from_value(value)?),
    })
}

/// A line that starts with `---` ends a document, wherever it stands.
fn split(yaml: &str) -> impl Iterator<Item = Document<'_>> {
    let mut rest = Some((yaml, 0));
    std::iter::from_fn(move || {
        let (text, lines_before) = rest.take()?;
        let mut end = 0;
        for (index, line) in text.split_inclusive('\n').enumerate() {
            if is_separator(line) && index > 0 {
                rest = Some((&text[end..], lines_before + index));
                break;
            }
            end += line.len();
        }
        Some(Document {
            text: &text[..end],
            lines_before,
        })
    })
}

fn is_separator(line: &str) -> bool {
    line.strip_prefix("---")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
}

impl Document<'_> {
    fn value(&self) -> Result<Value, Problem> {
        let yaml: serde_yaml::Value = serde_yaml::from_str(self.text).map_err(|error| {
            let position = error
                .location()
                .map(|at| self.position(at.line(), at.column()));
            let mut problem = self.problem("", "", &locate::without_position(&error));
            problem.position = position.unwrap_or(problem.position);
            problem
        })?;
        serde_json::to_value(yaml).map_err(|error| self.problem("", "", &error.to_string()))
    }

    /// The first line that says something.
    fn start(&self) -> Position {
        let says_something =
            |line: &str| !line.is_empty() && !line.starts_with('#') && !is_separator(line);
        let line = self
            .text
            .lines()
            .position(|line| says_something(line.trim()));
        self.position(line.unwrap_or(0) + 1, 1)
    }

    fn position(&self, line: usize, column: usize) -> Position {
        Position {
            line: self.lines_before + line,
            column,
        }
    }

    fn problem(&self, resource: &str, field: &str, message: &str) -> Problem {
        let found = locate::find(self.text, field);
        Problem {
            position: found.map_or_else(
                || self.start(),
                |(line, column)| self.position(line, column),
            ),
            resource: resource.to_owned(),
            field: field.to_owned(),
            message: message.to_owned(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.position.line, self.position.column)?;
        for part in [&self.resource, &self.field] {
            if !part.is_empty() {
                write!(f, "{part}: ")?;
            }
        }
        f.write_str(&self.message)
    }
}

fn title(resource: &Resource) -> String {
    let id = resource.id();
    format!("{} {}", id.kind, id.name)
}

fn title_of(value: &Value) -> String {
    let kind = value["kind"].as_str().unwrap_or_default();
    let name = value["metadata"]["name"].as_str().unwrap_or_default();
    format!("{kind} {name}").trim().to_owned()
}
