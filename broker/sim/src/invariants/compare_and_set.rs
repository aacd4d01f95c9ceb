//! A conditional publish follows the message it named.

use super::Evidence;

pub fn check(evidence: &Evidence) -> Vec<String> {
    let mut violations = Vec::new();
    for (node, view) in &evidence.events {
        let mut last_seq = std::collections::BTreeMap::new();
        for message in view.messages.values() {
            let before = last_seq.insert(&message.subject, message.seq).unwrap_or(0);
            let header = "Nats-Expected-Last-Subject-Sequence";
            let Some(expected) = wire::headers::get(&message.headers, header) else {
                continue;
            };
            if expected != before.to_string().as_bytes() {
                violations.push(format!(
                    "broker {}: message {} expected {} before it, there is {before}",
                    node.0,
                    message.seq,
                    String::from_utf8_lossy(expected)
                ));
            }
        }
    }
    violations
}
