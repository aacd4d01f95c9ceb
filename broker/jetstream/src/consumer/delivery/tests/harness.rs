//! A consumer on a stream that is a vector, with actions written as short lines.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use messages::{Error, StoredMessage};

use crate::consumer::ack::{AckSubject, AckToken};
use crate::consumer::action::{Action, Advisory};
use crate::consumer::config::{AckPolicy, ConsumerConfig};
use crate::consumer::delivery::{Delivery, End, Setup, Step};
use crate::consumer::source::MessageSource;
use crate::consumer::state::State;

pub(super) const SECOND: i64 = 1_000_000_000;
pub(super) const MS: i64 = 1_000_000;

/// A stream of messages; those with a `skip` subject do not match.
#[derive(Default)]
pub(super) struct Stream {
    pub(super) messages: BTreeMap<u64, StoredMessage>,
    pub(super) last_seq: u64,
    pub(super) deaf: BTreeSet<Bytes>,
}

impl Stream {
    pub(super) fn add(&mut self, subject: &str, time_ns: i64) -> u64 {
        self.last_seq += 1;
        let message = StoredMessage {
            seq: self.last_seq,
            time_ns,
            subject: Bytes::from(subject.to_owned()),
            headers: Bytes::new(),
            payload: Bytes::from_static(b"payload"),
        };
        self.messages.insert(self.last_seq, message);
        self.last_seq
    }

    fn matching(&self, from_seq: u64) -> impl DoubleEndedIterator<Item = &StoredMessage> {
        self.messages
            .range(from_seq..)
            .map(|(_, m)| m)
            .filter(|m| m.subject != "skip")
    }
}

impl MessageSource for Stream {
    fn first_seq(&self) -> u64 {
        self.messages
            .keys()
            .next()
            .copied()
            .unwrap_or(self.last_seq + 1)
    }

    fn last_seq(&self) -> u64 {
        self.last_seq
    }

    fn next_matching(&self, from_seq: u64) -> Option<u64> {
        self.matching(from_seq).next().map(|message| message.seq)
    }

    fn get(&self, seq: u64) -> Result<Option<StoredMessage>, Error> {
        Ok(self.messages.get(&seq).cloned())
    }

    fn count_matching(&self, from_seq: u64) -> u64 {
        self.matching(from_seq).count() as u64
    }

    fn last_matching(&self) -> Option<u64> {
        self.matching(0).next_back().map(|message| message.seq)
    }

    fn last_per_subject(&self, up_to_seq: u64) -> Vec<u64> {
        let mut newest = BTreeMap::new();
        for message in self.matching(0).filter(|message| message.seq <= up_to_seq) {
            newest.insert(message.subject.clone(), message.seq);
        }
        newest
            .into_values()
            .collect::<BTreeSet<u64>>()
            .into_iter()
            .collect()
    }

    fn seq_at_time(&self, time_ns: i64) -> Result<u64, Error> {
        let since = self
            .messages
            .values()
            .find(|message| message.time_ns >= time_ns);
        Ok(since.map_or(self.last_seq + 1, |message| message.seq))
    }

    fn has_interest(&self, reply: &[u8]) -> bool {
        !self.deaf.contains(reply)
    }
}

/// A consumer under test, with the replicated state that its progress makes.
pub(super) struct Bench {
    pub(super) stream: Stream,
    pub(super) config: Arc<ConsumerConfig>,
    pub(super) delivery: Delivery,
    pub(super) replicated: State,
    pub(super) now_ns: i64,
    /// Messages the replicated state was done with.
    pub(super) done: Vec<u64>,
}

impl Bench {
    /// A consumer on a stream that has `count` messages.
    pub(super) fn new(config: ConsumerConfig, count: u64) -> Bench {
        let mut stream = Stream::default();
        for index in 0..count {
            stream.add("a", index as i64);
        }
        Bench::on(config, stream)
    }

    pub(super) fn on(config: ConsumerConfig, stream: Stream) -> Bench {
        let config = Arc::new(config);
        let replicated = State::start(&config, &stream).unwrap();
        let now_ns = 1_000 * SECOND;
        let delivery = lead(&config, &replicated, &stream, now_ns);
        Bench {
            stream,
            config,
            delivery,
            replicated,
            now_ns,
            done: Vec::new(),
        }
    }

    /// Commits all progress.
    pub(super) fn commit(&mut self) {
        while let Some(progress) = self.delivery.take_progress() {
            self.replicated
                .apply(&progress, self.config.ack_policy, &mut self.done);
        }
        assert_eq!(&self.replicated, self.delivery.state());
    }

    /// Another server becomes leader; progress that was not committed is lost.
    pub(super) fn change_leader(&mut self) -> Vec<String> {
        let mut out = Vec::new();
        self.delivery.end(End::LeadershipChange, &mut out);
        self.delivery = lead(&self.config, &self.replicated, &self.stream, self.now_ns);
        lines(&out)
    }

    pub(super) fn publish(&mut self, subject: &str) {
        let seq = self.stream.add(subject, self.now_ns);
        self.delivery
            .new_messages(seq, u64::from(subject != "skip"));
    }

    pub(super) fn remove(&mut self, seq: u64) -> Vec<String> {
        let mut out = Vec::new();
        let message = self.stream.messages.remove(&seq);
        if message.is_some_and(|message| message.subject != "skip") {
            self.delivery.message_removed(seq, &mut out);
        }
        lines(&out)
    }

    pub(super) fn pull(&mut self, payload: &str, reply: &'static str) -> Vec<String> {
        let mut out = Vec::new();
        let reply = Bytes::from_static(reply.as_bytes());
        self.delivery.pull(
            self.now_ns,
            payload.as_bytes(),
            reply,
            &self.stream,
            &mut out,
        );
        self.run_into(&mut out);
        lines(&out)
    }

    /// Acknowledges the delivery that `subject` names, as in `1.5.7`: deliveries, stream
    /// sequence, consumer sequence.
    pub(super) fn ack(&mut self, subject: &str, payload: &str, reply: &'static str) -> Vec<String> {
        let mut out = Vec::new();
        let subject = format!("$JS.ACK.S.C.{subject}.0.0");
        let token = AckSubject::parse(subject.as_bytes()).unwrap().token;
        self.ack_token(&token, payload, reply, &mut out);
        self.run_into(&mut out);
        lines(&out)
    }

    pub(super) fn ack_token(
        &mut self,
        token: &AckToken,
        payload: &str,
        reply: &'static str,
        out: &mut Vec<Action>,
    ) {
        let reply = Bytes::from_static(reply.as_bytes());
        self.delivery.ack(
            self.now_ns,
            token,
            payload.as_bytes(),
            reply,
            &self.stream,
            out,
        );
    }

    pub(super) fn run(&mut self) -> Vec<String> {
        let mut out = Vec::new();
        self.run_into(&mut out);
        lines(&out)
    }

    pub(super) fn run_into(&mut self, out: &mut Vec<Action>) {
        while self.delivery.run(self.now_ns, &self.stream, out).unwrap() == Step::More {}
    }

    /// Lets time pass and does what is due then.
    pub(super) fn after(&mut self, wait_ns: i64) -> Vec<String> {
        self.now_ns += wait_ns;
        self.run()
    }

    /// Time from now to the next deadline.
    pub(super) fn next_in(&self) -> Option<i64> {
        self.delivery
            .next_deadline()
            .map(|deadline_ns| deadline_ns - self.now_ns)
    }

    pub(super) fn num_pending(&self) -> u64 {
        self.delivery.live_info().num_pending
    }
}

fn lead(
    config: &Arc<ConsumerConfig>,
    replicated: &State,
    stream: &Stream,
    now_ns: i64,
) -> Delivery {
    let setup = Setup {
        stream: "S",
        consumer: "C",
        config: config.clone(),
        state: replicated.clone(),
        max_message_bytes: 1024,
    };
    Delivery::new(setup, stream, now_ns)
}

/// A pull consumer with explicit acks.
pub(super) fn explicit() -> ConsumerConfig {
    ConsumerConfig {
        durable_name: "C".to_owned(),
        ack_policy: AckPolicy::Explicit,
        ack_wait_ns: 30 * SECOND,
        max_deliver: -1,
        max_waiting: 4,
        max_ack_pending: 1000,
        ..ConsumerConfig::default()
    }
}

/// A push consumer without acks.
pub(super) fn push() -> ConsumerConfig {
    ConsumerConfig {
        durable_name: "C".to_owned(),
        deliver_subject: "to".to_owned(),
        max_deliver: -1,
        ..ConsumerConfig::default()
    }
}

/// Actions as text: `to <- deliveries.stream.consumer/pending`, `to: status`, and so on.
pub(super) fn lines(actions: &[Action]) -> Vec<String> {
    actions.iter().map(line).collect()
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn line(action: &Action) -> String {
    match action {
        Action::Deliver {
            to, message, ack, ..
        } => {
            assert_eq!(message.seq, ack.stream_seq);
            let AckToken {
                deliveries,
                stream_seq,
                consumer_seq,
                num_pending,
                ..
            } = ack;
            format!(
                "{} <- {deliveries}.{stream_seq}.{consumer_seq}/{num_pending}",
                text(to)
            )
        }
        Action::Status { to, reply, headers } => {
            let headers = text(headers).replace("NATS/1.0 ", "").replace("Nats-", "");
            let headers: Vec<&str> = headers.split("\r\n").filter(|h| !h.is_empty()).collect();
            assert!(reply.is_empty() || reply.starts_with(b"$JS.FC.S.C."));
            let reply = if reply.is_empty() { "" } else { " (reply)" };
            format!("{}: {}{reply}", text(to), headers.join("; "))
        }
        Action::ConfirmAck { reply } => format!("confirm {}", text(reply)),
        Action::Advisory(Advisory::MaxDeliveries {
            stream_seq,
            deliveries,
        }) => {
            format!("max deliveries {deliveries}.{stream_seq}")
        }
        Action::Advisory(Advisory::Nak {
            stream_seq,
            consumer_seq,
            deliveries,
        }) => {
            format!("nak {deliveries}.{stream_seq}.{consumer_seq}")
        }
        Action::Advisory(Advisory::Terminated {
            stream_seq,
            consumer_seq,
            deliveries,
            reason,
        }) => {
            format!("terminated {deliveries}.{stream_seq}.{consumer_seq} {reason}")
        }
        Action::Advisory(Advisory::Pinned { group, .. }) => format!("pinned {group}"),
        Action::Advisory(Advisory::Unpinned { group, reason }) => {
            format!("unpinned {group} {reason}")
        }
        Action::Advisory(Advisory::Acked {
            stream_seq,
            ack_time_ns,
            ..
        }) => {
            format!("acked {stream_seq} after {ack_time_ns}")
        }
    }
}
