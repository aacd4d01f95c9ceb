//! What a connection may do beyond its static permissions: answering requests it was sent.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// Grants remembered per connection. Beyond it the oldest questions cannot be answered any more.
const GRANTS_MAX: usize = 4096;

/// Reply subjects a connection may publish to because it received a request that named them
/// (`allow_responses`).
pub(crate) struct ReplyGrants {
    /// Answers allowed per request; `None` = any number.
    max: Option<u32>,
    /// How long after the request; `None` = for ever.
    expires: Option<Duration>,
    grants: HashMap<Box<[u8]>, Grant>,
}

struct Grant {
    left: Option<u32>,
    granted_at: Instant,
}

impl ReplyGrants {
    pub fn new(max: Option<u32>, expires: Option<Duration>) -> ReplyGrants {
        ReplyGrants {
            max,
            expires,
            grants: HashMap::new(),
        }
    }

    /// The connection was sent a request that wants its answer at `reply`.
    pub fn grant(&mut self, reply: &[u8], now: Instant) {
        if self.grants.len() >= GRANTS_MAX {
            self.make_room(now);
        }
        self.grants.insert(
            reply.into(),
            Grant {
                left: self.max,
                granted_at: now,
            },
        );
    }

    /// Whether one more answer to `reply` is allowed; if so it is counted.
    pub fn take(&mut self, reply: &[u8], now: Instant) -> bool {
        let Some(grant) = self.grants.get_mut(reply) else {
            return false;
        };
        let expired = self
            .expires
            .is_some_and(|limit| now - grant.granted_at > limit);
        if expired {
            self.grants.remove(reply);
            return false;
        }
        if let Some(left) = &mut grant.left {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.grants.remove(reply);
            }
        }
        true
    }

    fn make_room(&mut self, now: Instant) {
        if let Some(limit) = self.expires {
            self.grants
                .retain(|_, grant| now - grant.granted_at <= limit);
        }
        if self.grants.len() < GRANTS_MAX {
            return;
        }
        let mut ages: Vec<Instant> = self.grants.values().map(|grant| grant.granted_at).collect();
        ages.sort_unstable();
        let median = ages[ages.len() / 2];
        self.grants.retain(|_, grant| grant.granted_at > median);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_counted_and_ends() {
        let now = Instant::now();
        let mut grants = ReplyGrants::new(Some(2), Some(Duration::from_secs(1)));
        grants.grant(b"inbox", now);
        assert!(grants.take(b"inbox", now));
        assert!(!grants.take(b"other", now));
        assert!(grants.take(b"inbox", now));
        assert!(!grants.take(b"inbox", now));
    }

    #[test]
    fn an_answer_may_come_too_late() {
        let now = Instant::now();
        let mut grants = ReplyGrants::new(None, Some(Duration::from_secs(1)));
        grants.grant(b"inbox", now);
        assert!(grants.take(b"inbox", now + Duration::from_millis(999)));
        assert!(!grants.take(b"inbox", now + Duration::from_millis(1001)));
    }

    #[test]
    fn questions_without_answers_do_not_pile_up() {
        let start = Instant::now();
        let mut grants = ReplyGrants::new(None, None);
        for n in 0..3 * GRANTS_MAX as u64 {
            grants.grant(&n.to_be_bytes(), start + Duration::from_micros(n));
        }
        assert!(grants.grants.len() <= GRANTS_MAX);
        let newest = (3 * GRANTS_MAX as u64 - 1).to_be_bytes();
        assert!(grants.take(&newest, start + Duration::from_secs(1)));
    }
}
