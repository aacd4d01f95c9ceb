//! Whatever happens in whatever order, no message is lost.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::harness::*;

use crate::consumer::ack::AckToken;
use crate::consumer::action::Action;
use crate::consumer::config::{AckPolicy, ConsumerConfig};

#[derive(Clone, Debug)]
enum Event {
    Publish(bool),
    Pull(u8),
    Ack(prop::sample::Index),
    Nak(prop::sample::Index, bool),
    InProgress(prop::sample::Index),
    Undelivered(prop::sample::Index),
    Wait(u8),
    Commit,
    ChangeLeader,
    Remove(prop::sample::Index),
    Purge(prop::sample::Index),
}

fn any_event() -> impl Strategy<Value = Event> {
    let which = any::<prop::sample::Index>;
    prop_oneof![
        4 => any::<bool>().prop_map(Event::Publish),
        4 => (1u8..6).prop_map(Event::Pull),
        6 => which().prop_map(Event::Ack),
        2 => (which(), any::<bool>()).prop_map(|(which, now)| Event::Nak(which, now)),
        1 => which().prop_map(Event::InProgress),
        1 => which().prop_map(Event::Undelivered),
        3 => (1u8..20).prop_map(Event::Wait),
        3 => Just(Event::Commit),
        1 => Just(Event::ChangeLeader),
        1 => which().prop_map(Event::Remove),
        1 => which().prop_map(Event::Purge),
    ]
}

struct Story {
    bench: Bench,
    /// All deliveries so far.
    tokens: Vec<AckToken>,
    /// What clients acknowledged, whether or not that was committed.
    acked: BTreeSet<u64>,
}

impl Story {
    fn new(ack_policy: AckPolicy, max_deliver: i64) -> Story {
        let config = ConsumerConfig {
            ack_policy,
            ack_wait_ns: 10 * SECOND,
            max_ack_pending: 5,
            max_waiting: 3,
            max_deliver,
            ..explicit()
        };
        Story {
            bench: Bench::new(config, 3),
            tokens: Vec::new(),
            acked: BTreeSet::new(),
        }
    }

    fn run(&mut self, mut out: Vec<Action>) {
        self.bench.run_into(&mut out);
        for action in out {
            if let Action::Deliver { ack, .. } = action {
                self.tokens.push(ack);
            }
        }
    }

    fn answer(&mut self, which: &prop::sample::Index, payload: &str) -> Option<AckToken> {
        if self.tokens.is_empty() {
            return None;
        }
        let token = *which.get(&self.tokens);
        let mut out = Vec::new();
        self.bench.ack_token(&token, payload, "", &mut out);
        self.run(out);
        Some(token)
    }

    fn note_ack(&mut self, token: &AckToken) {
        let first = match self.bench.config.ack_policy {
            AckPolicy::All => 0,
            _ => token.stream_seq,
        };
        self.acked.extend(first..=token.stream_seq);
    }

    fn pull(&mut self, batch: u64) {
        let (now_ns, mut out) = (self.bench.now_ns, Vec::new());
        let request = format!(r#"{{"batch":{batch},"expires":8000000000}}"#);
        let Bench {
            delivery, stream, ..
        } = &mut self.bench;
        delivery.pull(now_ns, request.as_bytes(), "r".into(), stream, &mut out);
        self.run(out);
    }

    fn happen(&mut self, event: &Event) {
        match event {
            Event::Publish(matches) => {
                self.bench.publish(if *matches { "a" } else { "skip" });
                self.run(Vec::new());
            }
            Event::Pull(batch) => self.pull(u64::from(*batch)),
            Event::Ack(which) => {
                if let Some(token) = self.answer(which, "") {
                    self.note_ack(&token);
                }
            }
            Event::Nak(which, now) => {
                self.answer(which, if *now { "-NAK" } else { "-NAK 3s" });
            }
            Event::InProgress(which) => {
                self.answer(which, "+WPI");
            }
            Event::Undelivered(which) => {
                if !self.tokens.is_empty() {
                    let stream_seq = which.get(&self.tokens).stream_seq;
                    self.bench
                        .delivery
                        .undelivered(self.bench.now_ns, b"r", stream_seq);
                }
            }
            Event::Wait(seconds) => {
                self.bench.now_ns += i64::from(*seconds) * SECOND;
                self.run(Vec::new());
            }
            Event::Commit => self.bench.commit(),
            Event::ChangeLeader => {
                self.bench.change_leader();
            }
            Event::Remove(which) => {
                let seqs: Vec<u64> = self.bench.stream.messages.keys().copied().collect();
                if !seqs.is_empty() {
                    self.bench.remove(*which.get(&seqs));
                }
            }
            Event::Purge(which) => {
                let Bench {
                    delivery, stream, ..
                } = &mut self.bench;
                let first_seq = which.index(stream.last_seq as usize + 1) as u64;
                stream.messages = stream.messages.split_off(&first_seq);
                delivery.stream_purged(stream, &mut Vec::new()).unwrap();
            }
        }
    }

    /// Every message that still exists is acknowledged, or pending, or still to be delivered.
    fn check_nothing_lost(&self) {
        let matching = self
            .bench
            .stream
            .messages
            .values()
            .filter(|message| message.subject != "skip");
        let state = self.bench.delivery.state();
        for message in matching {
            let seq = message.seq;
            assert!(
                state.needs(seq) || self.acked.contains(&seq),
                "message {seq} is lost"
            );
        }
        let counted = matching_after(&self.bench, state.next_seq());
        assert_eq!(self.bench.num_pending(), counted);
    }

    /// Clients that acknowledge everything get everything.
    fn finish(&mut self) {
        for _ in 0..200 {
            self.bench.now_ns += 11 * SECOND;
            let seen = self.tokens.len();
            self.pull(50);
            for token in self.tokens.split_off(seen) {
                let mut out = Vec::new();
                self.bench.ack_token(&token, "", "", &mut out);
                self.note_ack(&token);
                self.run(out);
            }
            self.bench.commit();
            if self.bench.num_pending() == 0 && self.bench.replicated.pending().is_empty() {
                break;
            }
        }
        assert!(
            self.bench.replicated.pending().is_empty(),
            "something is never delivered again"
        );
        self.check_nothing_lost();
        assert_eq!(self.bench.num_pending(), 0);
    }
}

fn matching_after(bench: &Bench, next_seq: u64) -> u64 {
    let later = bench.stream.messages.range(next_seq..);
    later
        .filter(|(_, message)| message.subject != "skip")
        .count() as u64
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_message_is_lost(
        all: bool, max_deliver in prop::sample::select(vec![-1, 3]),
        events in prop::collection::vec(any_event(), 1..120),
    ) {
        let mut story = Story::new(
            if all { AckPolicy::All } else { AckPolicy::Explicit },
            max_deliver,
        );
        let mut floor = story.bench.replicated.ack_floor();
        for event in &events {
            story.happen(event);
            story.check_nothing_lost();
            let now = story.bench.replicated.ack_floor();
            prop_assert!(now.stream_seq >= floor.stream_seq);
            prop_assert!(now.consumer_seq >= floor.consumer_seq);
            floor = now;
        }
        story.finish();
    }
}
