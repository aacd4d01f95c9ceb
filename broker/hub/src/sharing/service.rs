//! A request on its way into the account that serves it.

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant, SystemTime},
};

use subject::Renaming;
use wire::headers::{self, Builder};

use super::{
    Latency, ResponseKind,
    latency::{self, Measure},
    responses::{Expected, Token},
    who,
};
use crate::{
    account::Account,
    deliver::{self, Message},
    delivery::OriginKind,
    hub::Hub,
};

/// A request passes through no more accounts than this; only imports in a circle could.
const HOPS_MAX: u8 = 16;

/// An imported service.
pub(crate) struct ServiceLink {
    pub hub: Weak<Hub>,
    pub importer: Weak<Account>,
    pub exporter: Arc<Account>,
    /// The service is one of the servers themselves, which always learn who asks where.
    pub is_system: bool,
    /// From the exporter's names to the importer's.
    pub renaming: Option<Renaming>,
    pub share: bool,
    pub responses: ResponseKind,
    pub threshold: Duration,
    pub latency: Option<Arc<Latency>>,
}

/// Takes a request into the exporting account. Returns whether anybody got it.
pub(crate) fn deliver(message: &Message<'_>, link: &ServiceLink) -> bool {
    // The server where it was published has taken it in already.
    if message.origin.kind == OriginKind::Route || message.hops >= HOPS_MAX {
        return false;
    }
    let (Some(hub), Some(importer)) = (link.hub.upgrade(), link.importer.upgrade()) else {
        return false;
    };
    let renamed;
    let subject = match &link.renaming {
        None => message.subject,
        Some(renaming) => match renaming.undo(message.subject) {
            Some(name) => {
                renamed = name;
                &renamed[..]
            }
            None => return false,
        },
    };
    let mapped = link.exporter.mapped(subject);
    let subject = mapped.as_deref().unwrap_or(subject);
    let (header_len, body) = with_request_info(message, link, &hub, &importer);
    let responses = link.exporter.responses();
    let mut expected: Option<(Token, Vec<u8>)> = None;
    if let Some(reply) = message.reply {
        let token = responses.expect(Expected {
            account: importer.clone(),
            reply: reply.into(),
            kind: link.responses,
            threshold: link.threshold,
            measure: measure(message, link, &hub, &importer),
        });
        let Some(token) = token else { return false };
        expected = Some((token, responses.subject(token)));
    }
    let request = Message {
        account: &link.exporter,
        subject,
        shown: subject,
        reply: expected.as_ref().map(|(_, reply)| &reply[..]),
        header_len,
        body: &body,
        origin: message.origin,
        hops: message.hops + 1,
    };
    let delivered = deliver::deliver_uncached(&request);
    if !delivered && let Some((token, _)) = expected {
        responses.nobody_serves(token);
    }
    delivered
}

/// The message's bytes with the header that tells the service who asks, and the length of the
/// header block.
fn with_request_info(
    message: &Message<'_>,
    link: &ServiceLink,
    hub: &Hub,
    importer: &Account,
) -> (usize, Vec<u8>) {
    let (block, payload) = message.body.split_at(message.header_len);
    let is_ours = |name: &[u8]| name == who::HEADER.as_bytes();
    let earlier = headers::get(block, who::HEADER).filter(|_| message.hops > 0);
    let info = match earlier {
        Some(info) => who::passed_on(info, importer, link.share || link.is_system, hub),
        None => who::asks(hub, message.origin, importer, link.share, link.is_system),
    };
    let kept = match headers::get(block, who::HEADER) {
        Some(_) => headers::without(block, is_ours),
        None => block.to_vec(),
    };
    let mut body = Builder::extending(&kept).add(who::HEADER, info).build();
    let header_len = body.len();
    body.extend_from_slice(payload);
    (header_len, body)
}

fn measure(
    message: &Message<'_>,
    link: &ServiceLink,
    hub: &Arc<Hub>,
    importer: &Account,
) -> Option<Box<Measure>> {
    let latency = link.latency.as_ref()?;
    let block = &message.body[..message.header_len];
    let header = latency::sampled(latency.sampling, block)?;
    Some(Box::new(Measure {
        hub: Arc::downgrade(hub),
        exporter: Arc::downgrade(&link.exporter),
        subject: latency.subject.clone(),
        requestor: who::about(hub, message.origin, importer, link.share),
        header,
        started: SystemTime::now(),
        started_at: Instant::now(),
    }))
}
