//! No acknowledged message is lost or changed.

use super::Evidence;

pub fn check(evidence: &Evidence) -> Vec<String> {
    let mut violations = Vec::new();
    for (id, sent) in &evidence.history.events {
        let Some(seq) = sent.acked_seq else { continue };
        for (node, view) in &evidence.events {
            let stored = view.messages.get(&seq);
            let is_kept = stored.is_some_and(|stored| {
                stored.subject == sent.subject && stored.payload == sent.payload
            });
            if !is_kept {
                let has = stored.map_or("nothing".into(), |stored| {
                    String::from_utf8_lossy(&stored.payload[..stored.payload.len().min(30)])
                });
                violations.push(format!(
                    "{id} was acknowledged as {seq}; broker {} has {has} there",
                    node.0
                ));
            }
        }
    }
    violations
}
