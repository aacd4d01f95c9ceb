//! A message id is stored once.

use std::collections::BTreeMap;

use super::Evidence;

pub fn check(evidence: &Evidence) -> Vec<String> {
    let mut violations = Vec::new();
    for (node, view) in &evidence.events {
        let mut first_seqs = BTreeMap::new();
        for message in view.messages.values() {
            let Some(id) = wire::headers::get(&message.headers, "Nats-Msg-Id") else {
                violations.push(format!("message {} has no id", message.seq));
                continue;
            };
            if let Some(first) = first_seqs.insert(id, message.seq) {
                violations.push(format!(
                    "broker {} has {} as {first} and as {}",
                    node.0,
                    String::from_utf8_lossy(id),
                    message.seq
                ));
            }
        }
    }
    violations
}
