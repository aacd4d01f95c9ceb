//! What deliveries want to be done becomes messages.

use bytes::{Bytes, BytesMut};
use jetstream::consumer::{Action, Delivery, status};
use wire::headers::Builder;

use crate::asset::Asset;
use crate::bus::Outgoing;

/// Turns a delivery's actions into messages.
pub fn perform(
    asset: &Asset,
    delivery: &Delivery,
    name: &str,
    actions: Vec<Action>,
    out: &mut Vec<Outgoing>,
    confirmations: &mut Vec<Outgoing>,
) {
    let mut ack_subjects = Vec::new();
    let first = out.len();
    let mut ends = Vec::new();
    for action in actions {
        match action {
            Action::Deliver {
                to,
                message,
                ack,
                headers_only,
                pin_id,
            } => {
                delivery.ack_prefix().write(&ack, &mut ack_subjects);
                ends.push((out.len() - first, ack_subjects.len()));
                let (headers, payload) = if headers_only {
                    let mut block = Vec::new();
                    status::headers_only_block(&message.headers, message.payload.len(), &mut block);
                    (Bytes::from(block), Bytes::new())
                } else {
                    (message.headers, message.payload)
                };
                let headers = match pin_id {
                    Some(id) => Builder::extending(&headers)
                        .add("Nats-Pin-Id", id)
                        .build()
                        .into(),
                    None => headers,
                };
                let shown = Some(message.subject);
                out.push(Outgoing {
                    subject: to,
                    shown,
                    reply: None,
                    headers,
                    payload,
                });
            }
            Action::Status { to, reply, headers } => {
                let reply = (!reply.is_empty()).then_some(reply);
                out.push(Outgoing {
                    reply,
                    headers,
                    ..Outgoing::new(to, "")
                });
            }
            Action::ConfirmAck { reply } => confirmations.push(Outgoing::new(reply, "")),
            Action::Advisory(advisory) => {
                out.push(crate::advisory::of_consumer(asset, name, &advisory));
            }
        }
    }
    // All ack subjects of the run share one buffer.
    let mut ack_subjects = BytesMut::from(&ack_subjects[..]).freeze();
    let mut start = 0;
    for (position, end) in ends {
        out[first + position].reply = Some(ack_subjects.split_to(end - start));
        start = end;
    }
}
