//! What acknowledgements do.

use bytes::Bytes;

use crate::consumer::ack::{AckToken, AckVerb};
use crate::consumer::action::{Action, Advisory};
use crate::consumer::config::AckPolicy;
use crate::consumer::progress::Fact;
use crate::consumer::source::MessageSource;

use super::Delivery;

/// Whether the client that acknowledged is to be answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Confirm,
    Silence,
}

impl Delivery {
    /// An acknowledgement of any kind: the token of the subject it was sent to, its payload, and
    /// its reply subject, empty if it has none.
    pub fn ack(
        &mut self,
        now_ns: i64,
        token: &AckToken,
        payload: &[u8],
        reply: Bytes,
        source: &dyn MessageSource,
        out: &mut Vec<Action>,
    ) {
        if token.stream_seq == 0 {
            return;
        }
        let answer = match AckVerb::parse(payload) {
            AckVerb::Ack => self.acknowledge(now_ns, token, out),
            AckVerb::Next(request) => {
                self.acknowledge(now_ns, token, out);
                return self.pull(now_ns, request, reply, source, out);
            }
            AckVerb::Nak { delay_ns } => self.refuse(now_ns, token, delay_ns, out),
            AckVerb::InProgress => self.in_progress(now_ns, token),
            AckVerb::Terminate { reason } => self.terminate(now_ns, token, reason, out),
            AckVerb::Unknown => Answer::Confirm,
        };
        self.redelivery.tidy(&self.config, &self.state);
        if answer == Answer::Confirm && !reply.is_empty() {
            out.push(Action::ConfirmAck { reply });
        }
    }

    fn acknowledge(&mut self, now_ns: i64, token: &AckToken, out: &mut Vec<Action>) -> Answer {
        let stream_seq = token.stream_seq;
        if stream_seq >= self.next_seq {
            // Not delivered by this leader. A former one may have, but then the message is
            // delivered again, and that delivery can be acknowledged.
            return Answer::Silence;
        }
        match self.config.ack_policy {
            AckPolicy::Explicit => {
                self.sample(now_ns, token, out);
                self.finish(now_ns, stream_seq);
                Answer::Confirm
            }
            AckPolicy::All => {
                if stream_seq > self.state.ack_floor().stream_seq {
                    self.last_acked_ns = Some(now_ns);
                    self.record(Fact::AckedThrough { stream_seq });
                    self.redelivery.take_through(stream_seq);
                }
                Answer::Confirm
            }
            AckPolicy::None | AckPolicy::FlowControl => Answer::Silence,
        }
    }

    /// One message is done.
    fn finish(&mut self, now_ns: i64, stream_seq: u64) {
        let is_pending = self.state.pending().contains_key(&stream_seq);
        if is_pending || self.state.exhausted().contains_key(&stream_seq) {
            self.last_acked_ns = Some(now_ns);
            self.redelivery.take(stream_seq);
            self.record(Fact::Acked {
                stream_seq,
                count: 1,
            });
        }
    }

    fn refuse(
        &mut self,
        now_ns: i64,
        token: &AckToken,
        delay_ns: Option<i64>,
        out: &mut Vec<Action>,
    ) -> Answer {
        let stream_seq = token.stream_seq;
        let was_sent = token.consumer_seq <= self.state.delivered().consumer_seq;
        let Some(pending) = self
            .state
            .pending()
            .get(&stream_seq)
            .copied()
            .filter(|_| was_sent)
        else {
            return Answer::Confirm;
        };
        out.push(Action::Advisory(Advisory::Nak {
            stream_seq,
            consumer_seq: token.consumer_seq,
            deliveries: token.deliveries,
        }));
        let delay_ns = delay_ns.unwrap_or(0).max(0);
        let due_ns = now_ns.saturating_add(delay_ns);
        let wait_ns = self.config.ack_wait_of_ns(pending.deliveries);
        // The next leader, too, finds the message due at that time.
        self.record(Fact::Rescheduled {
            stream_seq,
            time_ns: due_ns.saturating_sub(wait_ns),
        });
        if delay_ns > 0 {
            self.redelivery.take(stream_seq);
            self.redelivery.schedule(stream_seq, due_ns);
        } else {
            self.redelivery.queue(stream_seq);
        }
        Answer::Confirm
    }

    fn in_progress(&mut self, now_ns: i64, token: &AckToken) -> Answer {
        let stream_seq = token.stream_seq;
        if let Some(pending) = self.state.pending().get(&stream_seq).copied() {
            let wait_ns = self.config.ack_wait_of_ns(pending.deliveries);
            self.record(Fact::Rescheduled {
                stream_seq,
                time_ns: now_ns,
            });
            self.redelivery
                .schedule(stream_seq, now_ns.saturating_add(wait_ns));
        }
        Answer::Confirm
    }

    fn terminate(
        &mut self,
        now_ns: i64,
        token: &AckToken,
        reason: &[u8],
        out: &mut Vec<Action>,
    ) -> Answer {
        let stream_seq = token.stream_seq;
        if stream_seq >= self.next_seq {
            return Answer::Silence;
        }
        if self.config.ack_policy == AckPolicy::Explicit {
            self.finish(now_ns, stream_seq);
        } else if self.acknowledge(now_ns, token, out) == Answer::Silence {
            return Answer::Silence;
        }
        out.push(Action::Advisory(Advisory::Terminated {
            stream_seq,
            consumer_seq: token.consumer_seq,
            deliveries: token.deliveries,
            reason: String::from_utf8_lossy(reason).into_owned(),
        }));
        Answer::Confirm
    }

    /// Reports the configured share of acknowledgements.
    fn sample(&mut self, now_ns: i64, token: &AckToken, out: &mut Vec<Action>) {
        let percent = self.config.sample_percent().min(100);
        let Some(pending) = self
            .state
            .pending()
            .get(&token.stream_seq)
            .filter(|_| percent > 0)
        else {
            return;
        };
        self.sample_credit += percent;
        if self.sample_credit >= 100 {
            self.sample_credit -= 100;
            out.push(Action::Advisory(Advisory::Acked {
                stream_seq: token.stream_seq,
                consumer_seq: token.consumer_seq,
                deliveries: token.deliveries,
                ack_time_ns: now_ns.saturating_sub(pending.time_ns),
            }));
        }
    }
}
