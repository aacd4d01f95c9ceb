//! Work is neither lost nor done twice: messages of streams that forget what is acknowledged.

use super::Evidence;

pub fn check(evidence: &Evidence) -> Vec<String> {
    let mut violations = Vec::new();
    for (stream, views) in &evidence.work {
        let reading = evidence
            .history
            .readings
            .get(stream)
            .cloned()
            .unwrap_or_default();
        let sent = evidence.history.work.get(stream).into_iter().flatten();
        for (id, sent) in sent {
            let Some(seq) = sent.acked_seq else { continue };
            for (node, view) in views {
                let is_lost = match view.messages.get(&seq) {
                    Some(stored) => stored.payload != sent.payload,
                    None => !reading.acknowledged.contains(&seq),
                };
                if is_lost {
                    violations.push(format!(
                        "{id} of {stream} was acknowledged as {seq}, and nobody has done it; broker {} \
                         does not have it",
                        node.0
                    ));
                }
            }
        }
        for seq in &reading.confirmed {
            for (node, view) in views {
                if view.messages.contains_key(seq) {
                    violations.push(format!(
                        "{seq} of {stream} was confirmed to be done; broker {} still has it",
                        node.0
                    ));
                }
            }
        }
    }
    violations
}
