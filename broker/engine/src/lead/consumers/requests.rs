//! What clients send to consumers.

use jetstream::consumer::ack::AckSubject;
use jetstream::consumer::status;

use super::Consumers;
use crate::asset::Asset;
use crate::bus::Outgoing;
use crate::inbox::{Request, RequestKind};

impl Consumers {
    /// Hands a client's request to its consumer.
    pub fn request(&mut self, asset: &Asset, request: Request, out: &mut Vec<Outgoing>) {
        match request.kind {
            RequestKind::Pull => self.pull(asset, request, out),
            RequestKind::Ack => self.ack(asset, request, out),
            RequestKind::FlowControl => self.flow_control(asset, &request),
            RequestKind::DirectGet => crate::api::direct_get(asset, &request, out),
        }
    }

    fn pull(&mut self, asset: &Asset, request: Request, out: &mut Vec<Outgoing>) {
        let Some(reply) = request.reply else { return };
        let name = last_token(&request.subject).to_owned();
        let now_ns = asset.env.now_ns();
        let mut actions = Vec::new();
        let found = self.with_source(asset, &name, |consumer, source| {
            let payload = &request.payload;
            consumer
                .delivery
                .pull(now_ns, payload, reply.clone(), source, &mut actions);
        });
        if found.is_none() {
            // Clients take this for "no responders", which it means.
            let headers = status::line("503");
            out.push(Outgoing {
                headers,
                ..Outgoing::new(reply, "")
            });
            return;
        }
        self.perform(asset, &name, actions, out);
        self.ready.insert(name);
    }

    fn ack(&mut self, asset: &Asset, request: Request, out: &mut Vec<Outgoing>) {
        let Some(ack) = AckSubject::parse(&request.subject) else {
            return;
        };
        let Ok(name) = std::str::from_utf8(ack.consumer) else {
            return;
        };
        let name = name.to_owned();
        let now_ns = asset.env.now_ns();
        let mut actions = Vec::new();
        self.with_source(asset, &name, |consumer, source| {
            let reply = request.reply.clone().unwrap_or_default();
            let (token, payload) = (&ack.token, &request.payload);
            consumer
                .delivery
                .ack(now_ns, token, payload, reply, source, &mut actions);
        });
        self.perform(asset, &name, actions, out);
        self.ready.insert(name);
    }

    fn flow_control(&mut self, asset: &Asset, request: &Request) {
        let mut tokens = request.subject.split(|byte| *byte == b'.').skip(3);
        let name = tokens
            .next()
            .and_then(|token| std::str::from_utf8(token).ok());
        if let Some(name) = name
            && let Some(consumer) = self.by_name.get_mut(name)
        {
            let now_ns = asset.env.now_ns();
            let (subject, headers) = (&request.subject, &request.headers);
            consumer
                .delivery
                .flow_control_reply(now_ns, subject, headers);
            self.ready.insert(name.to_owned());
        }
    }
}

fn last_token(subject: &[u8]) -> &str {
    let token = subject
        .rsplit(|byte| *byte == b'.')
        .next()
        .unwrap_or_default();
    std::str::from_utf8(token).unwrap_or_default()
}
