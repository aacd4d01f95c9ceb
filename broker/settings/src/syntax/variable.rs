//! `$NAME`.

use std::path::Path;

use super::{Parser, parse_text};
use crate::value::{Node, Value};
use crate::{Position, Problem};

/// Environment variables that refer to each other.
const ENVIRONMENT_DEPTH_MAX: usize = 16;

impl Parser<'_, '_> {
    /// The value of a variable: the last value that key was given in the innermost block around
    /// the reference that has it, or else what the environment holds.
    pub(super) fn variable(&mut self, name: &str, position: &Position) -> Result<Value, Problem> {
        for scope in self.scopes.iter_mut().rev() {
            if let Some(entry) = scope.get_mut(name) {
                entry.used_as_variable = true;
                let value = entry.value.value.clone();
                self.count_values(count(&value), position)?;
                return Ok(value);
            }
        }
        match (self.source.environment)(name) {
            Some(text) => self.environment_value(name, &text, position),
            None => {
                // The rest of the file can still be read, and may hold more such errors.
                let reason = format!("variable reference for '{name}' can not be found");
                self.shared.problems.push(Problem::at(position, reason));
                Ok(Value::String(String::new()))
            }
        }
    }

    /// Reads the text of an environment variable as the value it would be in a file.
    fn environment_value(
        &mut self,
        name: &str,
        text: &str,
        position: &Position,
    ) -> Result<Value, Problem> {
        if text.trim().is_empty() {
            return Ok(Value::String(String::new()));
        }
        let is_cycle = self.shared.environment.iter().any(|open| open == name);
        if is_cycle || self.shared.environment.len() == ENVIRONMENT_DEPTH_MAX {
            let reason = format!("variable reference cycle for '{name}'");
            return Err(Problem::at(position, reason));
        }
        self.shared.environment.push(name.to_owned());
        let parsed = parse_text(
            &format!("value={text}"),
            Path::new("env"),
            self.source,
            self.shared,
        );
        self.shared.environment.pop();
        let parsed = parsed.map_err(|problem| {
            let reason = format!(
                "variable reference for '{name}' could not be parsed: {}",
                problem.reason
            );
            Problem::at(position, reason)
        })?;
        let Some(entry) = parsed.entries.into_iter().next() else {
            return Err(Problem::at(
                position,
                format!("variable '{name}' has no value"),
            ));
        };
        Ok(moved_to(entry.value, position).value)
    }
}

fn count(value: &Value) -> usize {
    match value {
        Value::Array(nodes) => nodes.iter().map(|node| 1 + count(&node.value)).sum(),
        Value::Map(map) => map
            .entries
            .iter()
            .map(|entry| 1 + count(&entry.value.value))
            .sum(),
        _ => 1,
    }
}

/// The environment has no lines and columns, so its values are said to be where they are used.
fn moved_to(node: Node, position: &Position) -> Node {
    let value = match node.value {
        Value::Array(nodes) => Value::Array(
            nodes
                .into_iter()
                .map(|node| moved_to(node, position))
                .collect(),
        ),
        Value::Map(mut map) => {
            for entry in &mut map.entries {
                entry.position = position.clone();
                let value = std::mem::replace(&mut entry.value.value, Value::Bool(false));
                let node = Node {
                    value,
                    position: position.clone(),
                };
                entry.value = moved_to(node, position);
            }
            Value::Map(map)
        }
        scalar => scalar,
    };
    Node {
        value,
        position: position.clone(),
    }
}
