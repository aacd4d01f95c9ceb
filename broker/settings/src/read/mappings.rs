//! Subject mappings of an account.

use std::collections::{BTreeMap, BTreeSet};

use ::subject::Transform;

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
        let is_valid = subject::is_valid(&source);
        if !is_valid {
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
        if is_valid {
            self.check_destinations(entry, &destinations);
        }
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
            if let Err(reason) = Transform::new(&entry.key, &destination.subject) {
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
