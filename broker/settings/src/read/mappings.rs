//! Subject mappings of an account.

use std::collections::{BTreeMap, BTreeSet};

use super::{Reader, set, subject};
use crate::options::{MapDestination, Mapping};
use crate::value::{Entry, Map, Node, Value};

pub fn read(reader: &mut Reader<'_>, entry: &Entry) -> Option<Vec<Mapping>> {
    let map = reader.map(entry)?;
    let entries = map.entries.iter().filter(|entry| !entry.used_as_variable);
    Some(entries.map(|entry| reader.mapping(entry)).collect())
}

impl Reader<'_> {
    fn mapping(&mut self, entry: &Entry) -> Mapping {
        let source = entry.key.clone();
        if !subject::is_valid(&source) {
            self.problem(
                &entry.position,
                format!("Subject {source:?} is not a valid subject"),
            );
        }
        let destinations: Vec<MapDestination> = match &entry.value.value {
            Value::String(subject) => vec![MapDestination {
                subject: subject.clone(),
                weight_percent: 100,
                cluster: None,
            }],
            Value::Array(nodes) => nodes
                .iter()
                .filter_map(|node| self.weighted_destination(node))
                .collect(),
            _ => self
                .weighted_destination(&entry.value)
                .into_iter()
                .collect(),
        };
        self.check_destinations(entry, &destinations);
        Mapping {
            source,
            destinations,
        }
    }

    fn weighted_destination(&mut self, node: &Node) -> Option<MapDestination> {
        let map: &Map = self.map_node("mapping destination", node)?;
        let problem_count = self.problems.len();
        let mut subject: Option<String> = None;
        let mut weight_percent = None;
        let mut cluster = None;
        for entry in &map.entries {
            match entry.key.to_ascii_lowercase().as_str() {
                "dest" | "destination" => set(&mut subject, self.text(entry)),
                "weight" => set(&mut weight_percent, self.percent(entry, 0).map(Some)),
                "cluster" => set(&mut cluster, self.text(entry)),
                _ => self.unknown(entry),
            }
        }
        if self.problems.len() == problem_count && (subject.is_none() || weight_percent.is_none()) {
            let reason = "mapping destination needs a destination and a weight";
            self.problem(&node.position, reason);
        }
        Some(MapDestination {
            subject: subject?,
            weight_percent: weight_percent?,
            cluster,
        })
    }

    fn check_destinations(&mut self, entry: &Entry, destinations: &[MapDestination]) {
        let mut weights: BTreeMap<Option<&str>, u32> = BTreeMap::new();
        let mut subjects = BTreeSet::new();
        for destination in destinations {
            if let Err(reason) = check_placeholders(&entry.key, &destination.subject) {
                self.problem(
                    &entry.value.position,
                    format!(
                        "Error adding mapping for {:?} to {:?}: {reason}",
                        entry.key, destination.subject
                    ),
                );
            }
            if !subjects.insert(&destination.subject) {
                let reason = format!(
                    "Error adding mapping for {:?}: duplicate entry for {:?}",
                    entry.key, destination.subject
                );
                self.problem(&entry.value.position, reason);
            }
            let weight = weights.entry(destination.cluster.as_deref()).or_default();
            *weight += u32::from(destination.weight_percent);
        }
        if weights.values().any(|weight| *weight > 100) {
            let reason = format!(
                "Error adding mapping for {:?}: total weight needs to be <= 100",
                entry.key
            );
            self.problem(&entry.value.position, reason);
        }
    }
}

/// Checks what a destination takes from its source: the tokens it numbers must exist. What else its
/// functions do is checked by those who apply them.
fn check_placeholders(source: &str, destination: &str) -> Result<(), String> {
    let spaceless: String = destination.split_whitespace().collect();
    if !subject::is_valid(&spaceless) && !destination.contains("{{") {
        return Err("invalid mapping destination: not a valid subject".into());
    }
    let wildcard_count = source.split('.').filter(|token| *token == "*").count();
    let out_of_range = |token: &str| {
        Err(format!(
            "invalid mapping destination: wildcard index out of range in {token}"
        ))
    };
    if !destination.contains("{{") {
        for token in destination.split('.') {
            let index = token
                .strip_prefix('$')
                .and_then(|index| index.parse::<usize>().ok());
            if index.is_some_and(|index| index == 0 || index > wildcard_count) {
                return out_of_range(token);
            }
        }
    }
    for call in destination.split("{{").skip(1) {
        let Some((call, _)) = call.split_once("}}") else {
            return Err("invalid mapping destination: '{{' without '}}'".into());
        };
        let Some((function, arguments)) = call
            .trim()
            .strip_suffix(')')
            .and_then(|call| call.split_once('('))
        else {
            return Err(format!(
                "invalid mapping destination: unknown function in {{{{{call}}}}}"
            ));
        };
        if function.trim().eq_ignore_ascii_case("wildcard") {
            match arguments.trim().parse::<usize>() {
                Ok(index) if (1..=wildcard_count).contains(&index) => {}
                _ => return out_of_range(call),
            }
        }
    }
    Ok(())
}
