//! Answers on their way back to the account that asked.
//!
//! A request that crosses into an account carries a reply subject of that account,
//! `_R_.<account's prefix>.<token>`. Whoever answers there is heard on the server that took the
//! request in, and the answer goes on to the reply subject of who asked.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::{
    ResponseKind,
    latency::{Measure, Outcome},
};
use crate::{
    account::Account,
    batch,
    deliver::{self, Message},
    delivery::{Delivery, Handler, Origin, OriginKind},
    subscription::{NewSub, Sub, Target},
};

/// Requests of other accounts that one account may owe answers to. One more finds nobody there.
const EXPECTED_MAX: usize = 262_144;
/// Letters of an account's prefix and of a token.
const PREFIX_LEN: usize = 6;
const TOKEN_LEN: usize = 11;
const ROOT: &str = "_R_.";
/// Where readers of a stream acknowledge its messages.
const ACKNOWLEDGEMENTS: &[u8] = b"$JS.ACK.";
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Names an expected answer within its account.
pub(crate) type Token = u64;

/// An answer that may come.
pub(crate) struct Expected {
    /// Who asked.
    pub account: Arc<Account>,
    pub reply: Box<[u8]>,
    pub kind: ResponseKind,
    /// How long it may take from now on.
    pub threshold: Duration,
    pub measure: Option<Box<Measure>>,
}

struct Waiting {
    expected: Expected,
    since: Instant,
}

/// The answers one account owes.
pub(crate) struct Responses {
    prefix: String,
    waiting: Mutex<HashMap<Token, Waiting>>,
}

impl Account {
    /// The answers this account owes to others. From the first time on it listens for them.
    pub(crate) fn responses(self: &Arc<Self>) -> Arc<Responses> {
        if let Some(responses) = self.owed.get() {
            return responses.clone();
        }
        let mut is_new = false;
        let responses = self.owed.get_or_init(|| {
            is_new = true;
            let letter = || char::from(ALPHABET[rand::random_range(..ALPHABET.len())]);
            let prefix: String = (0..PREFIX_LEN).map(|_| letter()).collect();
            Arc::new(Responses {
                prefix: format!("{ROOT}{prefix}."),
                waiting: Mutex::default(),
            })
        });
        if is_new {
            let listener = Listener {
                responses: responses.clone(),
                account: Arc::downgrade(self),
            };
            let sub = Sub::new(NewSub {
                target: Target::Handler(Arc::new(listener)),
                subject: format!("{}>", responses.prefix).as_bytes(),
                queue: b"",
                sid: b"",
                deny: None,
                weight: 1,
                gossip: true,
            });
            batch::run(|| self.insert(&sub));
        }
        responses.clone()
    }

    /// Gives up answers that took too long, and those nobody waits for any more.
    pub(crate) fn expire_responses(&self, now: Instant) {
        if let Some(responses) = self.owed.get() {
            responses.expire(now);
        }
    }
}

impl Responses {
    /// Expects an answer; `None` if too many are expected already.
    pub fn expect(&self, expected: Expected) -> Option<Token> {
        let mut waiting = self.waiting.lock();
        if waiting.len() >= EXPECTED_MAX {
            tracing::warn!(
                limit = EXPECTED_MAX,
                "too many requests of other accounts wait for answers, one is refused"
            );
            return None;
        }
        let mut token: Token = rand::random();
        while waiting.contains_key(&token) {
            token = rand::random();
        }
        let since = Instant::now();
        waiting.insert(token, Waiting { expected, since });
        Some(token)
    }

    /// The subject that is answered on.
    pub fn subject(&self, token: Token) -> Vec<u8> {
        let mut subject = self.prefix.clone().into_bytes();
        let mut rest = token;
        for _ in 0..TOKEN_LEN {
            subject.push(ALPHABET[(rest % ALPHABET.len() as u64) as usize]);
            rest /= ALPHABET.len() as u64;
        }
        subject
    }

    fn token(&self, subject: &[u8]) -> Option<Token> {
        let letters = subject.strip_prefix(self.prefix.as_bytes())?;
        if letters.len() != TOKEN_LEN {
            return None;
        }
        letters.iter().rev().try_fold(0, |token: Token, letter| {
            let digit = ALPHABET.iter().position(|known| known == letter)?;
            token
                .checked_mul(ALPHABET.len() as u64)?
                .checked_add(digit as u64)
        })
    }

    /// Nobody got the request.
    pub fn nobody_serves(&self, token: Token) {
        let waiting = self.waiting.lock().remove(&token);
        if let Some(measure) = waiting.and_then(|waiting| waiting.expected.measure) {
            measure.report(Outcome::Unavailable);
        }
    }

    /// Takes out what one answer is for; only looks it up if more may come.
    fn take(&self, token: Token, is_last: bool) -> Option<Expected> {
        let mut waiting = self.waiting.lock();
        let known = waiting.get_mut(&token)?;
        if known.expected.kind == ResponseKind::Singleton || is_last {
            return waiting.remove(&token).map(|waiting| waiting.expected);
        }
        known.since = Instant::now();
        let expected = &mut known.expected;
        Some(Expected {
            account: expected.account.clone(),
            reply: expected.reply.clone(),
            kind: expected.kind,
            threshold: expected.threshold,
            measure: expected.measure.take(),
        })
    }

    fn forget(&self, token: Token) {
        self.waiting.lock().remove(&token);
    }

    fn expire(&self, now: Instant) {
        let mut ended = Vec::new();
        self.waiting.lock().retain(|_, waiting| {
            let Waiting { expected, since } = waiting;
            let outcome = if now.saturating_duration_since(*since) > expected.threshold {
                Outcome::ServiceTimeout
            } else if !expected.account.has_interest(&expected.reply) {
                Outcome::RequestTimeout
            } else {
                return true;
            };
            ended.extend(expected.measure.take().map(|measure| (measure, outcome)));
            false
        });
        for (measure, outcome) in ended {
            measure.report(outcome);
        }
    }
}

/// Hears the answers of one account.
struct Listener {
    responses: Arc<Responses>,
    account: Weak<Account>,
}

impl Handler for Listener {
    fn deliver(&self, answer: &Delivery<'_>) {
        let Some(token) = self.responses.token(answer.routed) else {
            return;
        };
        let Some(expected) = self.responses.take(token, answer.body.is_empty()) else {
            return;
        };
        // An answer that asks for one itself is answered the same way, in the other direction.
        let back = match answer.reply {
            b"" => None,
            // Acknowledgements have an import of their own.
            ack if ack.starts_with(ACKNOWLEDGEMENTS) => Some(ack.to_vec()),
            _ => self.expect_back(answer, &expected),
        };
        let message = Message {
            account: &expected.account,
            subject: &expected.reply,
            // Readers of a stream are shown the subject it was stored with.
            shown: match answer.subject == answer.routed {
                true => &expected.reply,
                false => answer.subject,
            },
            reply: back.as_deref(),
            header_len: answer.header_len,
            body: answer.body,
            // Who asked may be at yet another server.
            origin: match answer.origin.kind {
                OriginKind::Route => Origin::SYSTEM,
                _ => answer.origin,
            },
            hops: 1,
        };
        let delivered = deliver::deliver_uncached(&message);
        if !delivered {
            self.responses.forget(token);
        }
        if let Some(measure) = &expected.measure {
            measure.report(Outcome::Answered(answer.origin));
        }
    }
}

impl Listener {
    fn expect_back(&self, answer: &Delivery<'_>, expected: &Expected) -> Option<Vec<u8>> {
        let responses = expected.account.responses();
        let token = responses.expect(Expected {
            account: self.account.upgrade()?,
            reply: answer.reply.into(),
            kind: expected.kind,
            threshold: expected.threshold,
            measure: None,
        })?;
        Some(responses.subject(token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_back_from_its_subject() {
        let responses = Responses {
            prefix: "_R_.AbCdEf.".to_owned(),
            waiting: Mutex::default(),
        };
        for token in [0, 1, 61, 62, u64::MAX, 0x0123_4567_89ab_cdef] {
            assert_eq!(responses.token(&responses.subject(token)), Some(token));
        }
        for subject in [
            "_R_.AbCdEf.",
            "_R_.AbCdEf.x",
            "_R_.other.00000000000",
            "_R_.AbCdEf.0000000000!",
            "_R_.AbCdEf.zzzzzzzzzzz",
        ] {
            assert_eq!(responses.token(subject.as_bytes()), None, "{subject}");
        }
    }
}
