//! Copies what the stream mirrors or sources, while this server leads it.
//!
//! The rules are in [`jetstream::copier`]; here its requests are sent, its messages are received
//! and its stretches are proposed.

use std::sync::Arc;

use bytes::Bytes;
use jetstream::ApiError;
use jetstream::api::source::SourceInfo;
use jetstream::command::{Action, Copied};
use jetstream::config::source::short_hash;
use jetstream::copier::{Copier, Delivered, Send, Setup};
use parking_lot::Mutex;

use super::Live;
use crate::asset::Asset;
use crate::bus::{Bus, Handler, Incoming, Outgoing, SubscriptionId};

/// Stretches of one source that the log has not applied.
const MAX_IN_FLIGHT: usize = 16;
/// Bytes of one source that arrived and are not handled. What is too much is dropped and asked for
/// again.
const MAX_ARRIVED_BYTES: usize = 64 * 1024 * 1024;
/// Pause before a stretch is proposed again that the log did not take, nanoseconds.
const BUSY_NS: i64 = 10_000_000;

/// All that is copied into one stream.
#[derive(Default)]
pub struct Copying {
    sources: Vec<Running>,
    /// Makes the subjects of this leadership differ.
    tokens: u64,
    /// Whether the stream has been as far as what it mirrors during this leadership.
    has_caught_up: bool,
}

struct Running {
    copier: Copier,
    arrived: Arc<Arrived>,
    answers: Option<Subscription>,
    deliveries: Option<Subscription>,
    /// A stretch that the log did not take, and when it is tried again.
    held: Option<(Copied, i64)>,
    in_flight: usize,
}

/// What has come from the origin.
#[derive(Default)]
struct Arrived(Mutex<Letters>);

#[derive(Default)]
struct Letters {
    letters: Vec<Letter>,
    bytes: usize,
}

enum Letter {
    Answer { headers: Bytes, payload: Bytes },
    Message(Delivered),
}

impl Copying {
    /// Whether the stream neither mirrors nor sources anything.
    pub fn is_idle(&self) -> bool {
        self.sources.is_empty()
    }

    /// Copies what the stream's configuration names now.
    pub fn follow_config(&mut self, asset: &Asset) {
        let (account, stream) = asset.key();
        let config = asset.config();
        let mirror = config.mirror.iter().map(|source| (source, true));
        let origins = mirror.chain(config.sources.iter().map(|source| (source, false)));
        let mut before = std::mem::take(&mut self.sources);
        for (source, is_mirror) in origins {
            let known = before.iter().position(|running| {
                let setup = running.copier.setup();
                setup.source == *source && setup.is_mirror == is_mirror
            });
            let running = known.map(|index| before.swap_remove(index));
            self.sources.push(running.unwrap_or_else(|| {
                Running::new(
                    asset,
                    Setup {
                        account: account.clone(),
                        stream: stream.clone(),
                        source: source.clone(),
                        is_mirror,
                    },
                )
            }));
        }
    }

    /// Takes note of what the log made of stretches.
    pub fn note(&mut self, asset: &Asset, outcomes: Vec<(String, Option<ApiError>)>) {
        for (source, stalled) in outcomes {
            let mut sources = self.sources.iter_mut();
            let Some(running) = sources.find(|running| running.copier.key() == source) else {
                continue;
            };
            running.in_flight = running.in_flight.saturating_sub(1);
            if stalled.is_some() {
                running.held = None;
                let position = asset.read(|machine| machine.position(&source));
                let now_ns = asset.env.now_ns();
                running.copier.begin_anew(now_ns, position, stalled);
            }
        }
    }

    /// Does what can be done now.
    pub fn run(&mut self, asset: &Asset, live: &Arc<Live>) {
        for running in &mut self.sources {
            running.receive(asset.env.now_ns());
            running.send(asset, live, &mut self.tokens);
            running.propose(asset);
        }
    }

    /// Whether the mirror has caught up since this was last asked; true once in a leadership.
    pub fn take_caught_up(&mut self) -> bool {
        if self.has_caught_up {
            return false;
        }
        let mut mirrors = self.sources.iter().map(|running| &running.copier);
        self.has_caught_up =
            mirrors.any(|copier| copier.setup().is_mirror && copier.has_caught_up());
        self.has_caught_up
    }

    /// The streams whose direct gets this one answers: itself, and what it mirrors whole once it has
    /// caught up, as far as its configuration allows that.
    pub fn readable(&self, asset: &Asset) -> Vec<String> {
        let config = asset.config();
        let own = config.allow_direct.then_some(config.name);
        let mirrored = config
            .mirror
            .filter(|mirror| config.mirror_direct && self.has_caught_up && mirror.is_whole());
        own.into_iter()
            .chain(mirrored.map(|mirror| mirror.name))
            .collect()
    }

    /// When there is work even if nothing arrives.
    pub fn next_deadline(&self) -> Option<i64> {
        let deadlines = self.sources.iter().map(|running| match &running.held {
            Some((_, until_ns)) => *until_ns,
            None => running.copier.next_deadline(),
        });
        deadlines.min()
    }

    /// What the API tells of all origins, in the order of the configuration.
    pub fn infos(&self, asset: &Asset) -> Vec<SourceInfo> {
        let now_ns = asset.env.now_ns();
        let infos = self.sources.iter().map(|running| {
            let position = asset.read(|machine| machine.position(running.copier.key()));
            running.copier.info(now_ns, position.seq)
        });
        infos.collect()
    }
}

impl Running {
    fn new(asset: &Asset, setup: Setup) -> Running {
        let key = setup.source.key();
        let position = asset.read(|machine| machine.position(&key));
        Running {
            copier: Copier::new(setup, position),
            arrived: Arc::default(),
            answers: None,
            deliveries: None,
            held: None,
            in_flight: 0,
        }
    }

    fn receive(&mut self, now_ns: i64) {
        let letters = std::mem::take(&mut *self.arrived.0.lock()).letters;
        for letter in letters {
            match letter {
                Letter::Answer { headers, payload } => {
                    self.copier.answer(now_ns, &headers, &payload);
                }
                Letter::Message(delivered) => self.copier.message(now_ns, delivered),
            }
        }
    }

    fn send(&mut self, asset: &Asset, live: &Arc<Live>, tokens: &mut u64) {
        let options = &asset.env.options;
        let token = || {
            *tokens += 1;
            let (group, since_ns) = (asset.assignment.read().group, live.since_ns);
            let unique = format!(
                "{} {} {group} {since_ns} {tokens}",
                options.server_id, options.start_id
            );
            short_hash(unique.as_bytes())
        };
        let mut sends = Vec::new();
        let copied = asset.read(|machine| machine.position(self.copier.key()).seq);
        self.copier
            .run(asset.env.now_ns(), copied, token, &mut sends);
        let account = asset.account();
        for send in sends {
            let message = match send {
                Send::FlowControl { subject, headers } => Outgoing {
                    headers,
                    ..Outgoing::new(subject, "")
                },
                Send::Request {
                    subject,
                    reply,
                    headers,
                    payload,
                } => {
                    // What still comes for an earlier request must not be taken for an answer.
                    self.arrived = Arc::default();
                    self.deliveries = None;
                    self.answers = Some(self.listen(asset, live, &reply, true));
                    Outgoing {
                        reply: Some(reply.into()),
                        headers,
                        ..Outgoing::new(subject, payload)
                    }
                }
            };
            asset.env.bus.publish(&account, &[message]);
        }
        match self.copier.deliver_subject() {
            Some(subject) if self.deliveries.is_none() => {
                let subject = subject.to_owned();
                self.answers = None;
                self.deliveries = Some(self.listen(asset, live, &subject, false));
            }
            None => self.deliveries = None,
            Some(_) => {}
        }
    }

    fn listen(
        &self,
        asset: &Asset,
        live: &Arc<Live>,
        subject: &str,
        is_answer: bool,
    ) -> Subscription {
        let bus = asset.env.bus.clone();
        let handler = Arc::new(Receive {
            arrived: self.arrived.clone(),
            live: live.clone(),
            is_answer,
        });
        let id = bus.subscribe(&asset.account(), subject, handler);
        Subscription { bus, id }
    }

    fn propose(&mut self, asset: &Asset) {
        while self.in_flight < MAX_IN_FLIGHT && asset.share().fits(1) && !asset.is_full() {
            let held = self.held.take().map(|(copied, _)| copied);
            let Some(copied) = held.or_else(|| self.copier.take_stretch()) else {
                return;
            };
            if asset.propose(Action::Copy(copied.clone()), None).is_err() {
                self.held = Some((copied, asset.env.now_ns() + BUSY_NS));
                return;
            }
            self.in_flight += 1;
        }
    }
}

/// Ends when dropped.
struct Subscription {
    bus: Arc<dyn Bus>,
    id: SubscriptionId,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.bus.unsubscribe(self.id);
    }
}

struct Receive {
    arrived: Arc<Arrived>,
    live: Arc<Live>,
    is_answer: bool,
}

impl Handler for Receive {
    fn deliver(&self, message: &Incoming<'_>) {
        let size = message.subject.len() + message.headers.len() + message.payload.len();
        let mut arrived = self.arrived.0.lock();
        if arrived.bytes + size > MAX_ARRIVED_BYTES {
            return;
        }
        let headers = Bytes::copy_from_slice(message.headers);
        let payload = Bytes::copy_from_slice(message.payload);
        arrived.bytes += size;
        arrived.letters.push(match self.is_answer {
            true => Letter::Answer { headers, payload },
            false => Letter::Message(Delivered {
                subject: Bytes::copy_from_slice(message.subject),
                reply: Bytes::copy_from_slice(message.reply.unwrap_or_default()),
                headers,
                payload,
            }),
        });
        let first = arrived.letters.len() == 1;
        drop(arrived);
        if first {
            self.live.inbox.wake.notify_one();
        }
    }
}
