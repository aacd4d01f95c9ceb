//! Gets a damaged message back from another replica.

use std::time::Duration;

use bytes::Bytes;
use messages::StoredMessage;

use crate::asset::Asset;
use crate::peer::{MessageCopy, Question};

/// How long one replica is waited for.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Starts the repair of one message; it is asked for again as long as somebody wants to read it.
pub fn request(asset: &Asset, seq: u64) {
    if let Some(asset) = asset.this() {
        tokio::spawn(async move {
            let (account, stream) = asset.key();
            if repair(&asset, seq).await {
                tracing::warn!(
                    account,
                    stream,
                    seq,
                    "damaged message repaired from a replica"
                );
            } else {
                tracing::error!(
                    account,
                    stream,
                    seq,
                    "damaged message, and no replica has a copy"
                );
            }
        });
    }
}

async fn repair(asset: &Asset, seq: u64) -> bool {
    let (group, replicas) = {
        let assignment = asset.assignment.read();
        (assignment.group, assignment.replicas.clone())
    };
    let question = Question::Message { group, seq }.encode();
    for node in replicas
        .into_iter()
        .filter(|node| *node != asset.env.node())
    {
        let call = asset.env.peers.call(node, question.clone(), ANSWER_TIMEOUT);
        let Some(answer) = call.await else { continue };
        let Ok(Some(copy)) = serde_json::from_slice::<Option<MessageCopy>>(&answer) else {
            continue;
        };
        if copy.seq == seq && asset.repair(message(copy)).is_ok() {
            return true;
        }
    }
    false
}

/// This server's copy of a message, for another server.
pub fn copy(asset: &Asset, seq: u64) -> Option<MessageCopy> {
    let message = asset.read(|machine| machine.store().get(seq)).ok()??;
    Some(MessageCopy {
        seq,
        time_ns: message.time_ns,
        subject: message.subject.to_vec(),
        headers: message.headers.to_vec(),
        payload: message.payload.to_vec(),
    })
}

fn message(copy: MessageCopy) -> StoredMessage {
    StoredMessage {
        seq: copy.seq,
        time_ns: copy.time_ns,
        subject: Bytes::from(copy.subject),
        headers: Bytes::from(copy.headers),
        payload: Bytes::from(copy.payload),
    }
}
