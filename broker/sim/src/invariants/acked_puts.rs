//! A key keeps the value acknowledged last unless a later put, of unknown fate, took its place.

use super::Evidence;
use crate::history::Sent;
use crate::observer::StreamView;

pub fn check(evidence: &Evidence) -> Vec<String> {
    let mut violations = Vec::new();
    for (key, puts) in &evidence.history.puts {
        let Some(last_acked) = puts.iter().rposition(|put| put.acked_seq.is_some()) else {
            continue;
        };
        for (node, view) in &evidence.keys {
            if let Err(found) = look_up(view, key, &puts[last_acked..]) {
                let acked = &puts[last_acked];
                violations.push(format!(
                    "{key} was {:?} as {:?}; broker {} has {found}",
                    acked.payload, acked.acked_seq, node.0
                ));
            }
        }
    }
    violations
}

/// `allowed` begins with the put acknowledged last. Puts of unknown fate before it may have been
/// on the way for long and arrive after it, but then they have a higher sequence.
fn look_up(view: &StreamView, key: &str, allowed: &[Sent]) -> Result<(), String> {
    let acked_seq = allowed[0].acked_seq.unwrap_or_default();
    let found = view
        .messages
        .values()
        .rfind(|message| message.subject == key);
    match found {
        Some(message) if message.seq == acked_seq && message.payload == allowed[0].payload => {
            Ok(())
        }
        Some(message) if message.seq > acked_seq => Ok(()),
        Some(message) => Err(format!("{:?} as {}", message.payload, message.seq)),
        None => Err("nothing".to_owned()),
    }
}
