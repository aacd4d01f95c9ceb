//! What a consumer acknowledged stays acknowledged.

use super::Evidence;
use crate::workload::EVENTS;

pub fn check(evidence: &Evidence) -> Vec<String> {
    let mut violations = Vec::new();
    let confirmed = evidence.history.confirmed(EVENTS);
    for (node, view) in &evidence.events {
        let Some(consumer) = &view.consumer else {
            if evidence.history.readings.contains_key(EVENTS) {
                violations.push(format!("broker {} has no consumer", node.0));
            }
            continue;
        };
        for seq in &confirmed {
            let is_open = *seq > consumer.delivered || consumer.pending.contains(seq);
            if *seq > consumer.ack_floor && is_open {
                violations.push(format!(
                    "{seq} was confirmed; broker {} would deliver it again",
                    node.0
                ));
            }
        }
    }
    let mut highest = 0;
    for (index, floor) in &evidence.sightings.floors {
        if *floor < highest {
            violations.push(format!(
                "ack floor {floor} at index {index}, after it was {highest}"
            ));
        }
        highest = highest.max(*floor);
    }
    violations
}
