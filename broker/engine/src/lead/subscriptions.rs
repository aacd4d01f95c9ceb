//! The subjects a stream's leader listens on.

use std::sync::Arc;

use jetstream::api::publish::PubAckWriter;

use super::Live;
use crate::asset::Asset;
use crate::bus::{Bus, Handler, Incoming, Outgoing, SubscriptionId};
use crate::inbox::{Overflow, RequestKind};

/// Listening ends when this is dropped.
pub struct Subscriptions {
    bus: Arc<dyn Bus>,
    account: String,
    /// The stream's subjects with their subscriptions.
    subjects: Vec<(String, SubscriptionId)>,
    requests: Vec<SubscriptionId>,
    /// The streams under whose names direct gets are answered, with the subscriptions.
    direct: Vec<(String, [SubscriptionId; 2])>,
}

/// The group of all who answer direct gets of one stream.
const DIRECT_GROUP: &str = "_sys_";

impl Drop for Subscriptions {
    fn drop(&mut self) {
        for (_, id) in self.subjects.drain(..) {
            self.bus.unsubscribe(id);
        }
        let direct = self.direct.drain(..).flat_map(|(_, ids)| ids);
        for id in self.requests.drain(..).chain(direct) {
            self.bus.unsubscribe(id);
        }
    }
}

impl Subscriptions {
    /// Listens for publishes to the stream and for everything its consumers are sent.
    pub fn open(asset: &Arc<Asset>, live: &Arc<Live>) -> Self {
        let bus = asset.env.bus.clone();
        let (account, stream) = asset.key();
        let kinds = [
            (RequestKind::Ack, format!("$JS.ACK.{stream}.>")),
            (RequestKind::Ack, format!("$JS.ACK.*.*.{stream}.>")),
            (RequestKind::FlowControl, format!("$JS.FC.{stream}.>")),
            (
                RequestKind::Pull,
                format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.*"),
            ),
        ];
        let requests = kinds.into_iter().map(|(kind, subject)| {
            let handler = Arc::new(Requests {
                kind,
                live: live.clone(),
            });
            bus.subscribe(&account, &subject, handler)
        });
        let requests = requests.collect();
        let mut subscriptions = Subscriptions {
            bus,
            account,
            subjects: Vec::new(),
            requests,
            direct: Vec::new(),
        };
        subscriptions.follow_config(asset, live);
        subscriptions
    }

    /// Answers direct gets of the streams with these names, and of no others.
    pub fn answer_direct_gets(&mut self, live: &Arc<Live>, names: &[String]) {
        self.direct.retain(|(name, ids)| {
            let wanted = names.contains(name);
            if !wanted {
                ids.iter().for_each(|id| self.bus.unsubscribe(*id));
            }
            wanted
        });
        for name in names {
            if self.direct.iter().any(|(known, _)| known == name) {
                continue;
            }
            let ids = ["", ".>"].map(|rest| {
                let handler = Arc::new(Requests {
                    kind: RequestKind::DirectGet,
                    live: live.clone(),
                });
                let subject = format!("$JS.API.DIRECT.GET.{name}{rest}");
                let (bus, account) = (&self.bus, &self.account);
                bus.subscribe_in_group(account, &subject, DIRECT_GROUP, handler)
            });
            self.direct.push((name.clone(), ids));
        }
    }

    /// Listens on the subjects that the stream's configuration names now.
    pub fn follow_config(&mut self, asset: &Asset, live: &Arc<Live>) {
        let config = asset.config();
        self.subjects.retain(|(subject, id)| {
            let wanted = config.subjects.contains(subject);
            if !wanted {
                self.bus.unsubscribe(*id);
            }
            wanted
        });
        let publishes: Arc<dyn Handler> = Arc::new(Publishes {
            bus: self.bus.clone(),
            acks: asset.acks.clone(),
            live: live.clone(),
        });
        for subject in config.subjects {
            if !self.subjects.iter().any(|(known, _)| *known == subject) {
                let id = self
                    .bus
                    .subscribe(&self.account, &subject, publishes.clone());
                self.subjects.push((subject, id));
            }
        }
    }
}

struct Publishes {
    bus: Arc<dyn Bus>,
    acks: PubAckWriter,
    live: Arc<Live>,
}

impl Handler for Publishes {
    fn deliver(&self, message: &Incoming<'_>) {
        if let (Err(Overflow), Some(reply)) = (self.live.inbox.publish(message), message.reply) {
            let mut refusal = Vec::new();
            let error = jetstream::ApiError::STREAM_TOO_MANY_REQUESTS;
            self.acks.write(&Err(error), &mut refusal);
            self.bus
                .publish(message.account, &[Outgoing::new(reply.to_vec(), refusal)]);
        }
    }
}

struct Requests {
    kind: RequestKind,
    live: Arc<Live>,
}

impl Handler for Requests {
    fn deliver(&self, message: &Incoming<'_>) {
        // A request too many is dropped: its sender asks again, an ack is waited for again.
        self.live.inbox.request(self.kind, message).ok();
    }
}
