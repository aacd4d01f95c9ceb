//! What time does to the deliveries: deadlines, lost interest, consumers nobody uses.

use jetstream::command::Action as Command;

use super::super::interest::InterestWatch;
use super::{Consumers, INACTIVITY_CHECK_NS, INTEREST_CHECK_NS, has_interest};
use crate::asset::Asset;

impl Consumers {
    pub(super) fn check_time(&mut self, asset: &Asset, now_ns: i64) {
        while let Some((due_ns, _)) = self.deadlines.first()
            && *due_ns <= now_ns
            && let Some((_, name)) = self.deadlines.pop_first()
        {
            if let Some(consumer) = self.by_name.get_mut(&name) {
                consumer.deadline_ns = None;
            }
            self.ready.insert(name);
        }
        if now_ns >= self.next_interest_check_ns {
            self.next_interest_check_ns = now_ns + INTEREST_CHECK_NS;
            let push = self
                .by_name
                .iter()
                .filter(|(_, c)| c.delivery.config().is_push());
            let names: Vec<String> = push.map(|(name, _)| name.clone()).collect();
            for name in names {
                self.check_push_interest(asset, &name, now_ns);
            }
        }
        if now_ns >= self.next_inactivity_check_ns {
            self.next_inactivity_check_ns = now_ns + INACTIVITY_CHECK_NS;
            self.delete_inactive(asset, now_ns);
        }
    }

    pub(super) fn watch_push_interest(&mut self, asset: &Asset, name: &str) {
        let Some(consumer) = self.by_name.get_mut(name) else {
            return;
        };
        let config = consumer.delivery.config().clone();
        let subject = &config.deliver_subject;
        let watched = consumer.interest.as_ref();
        if config.is_push() && !watched.is_some_and(|watch| watch.is_for(subject)) {
            consumer.interest = Some(InterestWatch::open(asset, name, subject));
        }
    }

    pub(super) fn check_push_interest(&mut self, asset: &Asset, name: &str, now_ns: i64) {
        let Some(consumer) = self.by_name.get_mut(name) else {
            return;
        };
        let config = consumer.delivery.config().clone();
        if !config.is_push() {
            return;
        }
        if let Some(watch) = &consumer.interest {
            watch.look();
        }
        let interest = has_interest(asset, config.deliver_subject.as_bytes());
        let was_bound = consumer.delivery.live_info().push_bound;
        consumer.delivery.set_push_interest(now_ns, interest);
        if interest != was_bound {
            self.ready.insert(name.to_owned());
        }
    }

    fn delete_inactive(&mut self, asset: &Asset, now_ns: i64) {
        let temporary = self.by_name.iter().filter_map(|(name, consumer)| {
            Some((name.clone(), consumer.delivery.config().expires_after_ns()?))
        });
        let temporary: Vec<(String, i64)> = temporary.collect();
        for (name, after_ns) in temporary {
            let since = self
                .with_source(asset, &name, |consumer, source| {
                    consumer.delivery.inactive_since(source)
                })
                .flatten();
            if since.is_some_and(|since_ns| now_ns - since_ns >= after_ns) {
                asset.propose(Command::DeleteConsumer { name }, None).ok();
            }
        }
    }
}
