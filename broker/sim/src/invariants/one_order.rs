//! There is one order of messages, the same on all replicas at all times.

use super::Evidence;
use crate::observer::StreamView;

pub fn check(evidence: &Evidence) -> Vec<String> {
    let mut violations = evidence.sightings.conflicts.clone();
    let work = evidence.work.iter().map(|(name, views)| (*name, views));
    let all = [("events", &evidence.events), ("keys", &evidence.keys)];
    for (name, views) in all.into_iter().chain(work) {
        let mut views = views.iter();
        let Some((first_node, first)) = views.next() else {
            violations.push(format!("no broker has the stream of {name}"));
            continue;
        };
        for (node, view) in views {
            if let Some(difference) = difference(first, view) {
                violations.push(format!(
                    "{name} differ on brokers {} and {}: {difference}",
                    first_node.0, node.0
                ));
            }
        }
    }
    violations
}

fn difference(one: &StreamView, other: &StreamView) -> Option<String> {
    for view in [one, other] {
        if let Some(failure) = &view.failure {
            return Some(format!("a replica failed: {failure}"));
        }
    }
    let bounds = |view: &StreamView| (view.first_seq, view.last_seq, view.messages.len());
    if bounds(one) != bounds(other) {
        return Some(format!(
            "first, last and count are {:?} and {:?}",
            bounds(one),
            bounds(other)
        ));
    }
    let mut pairs = one.messages.values().zip(other.messages.values());
    if let Some((a, b)) = pairs.find(|(a, b)| a != b) {
        return Some(format!("message {} is not message {}", a.seq, b.seq));
    }
    (one.consumer != other.consumer)
        .then(|| format!("consumers are {:?} and {:?}", one.consumer, other.consumer))
}
