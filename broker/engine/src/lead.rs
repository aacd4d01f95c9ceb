//! What the leader of a stream does: propose what clients send, deliver to consumers.
//!
//! One task per led stream does all of it in rounds, so that its parts need no coordination:
//! changes the log made, then publishes, then requests of consumers, then deliveries that are due.
//! A round is bounded and yields to other streams.

mod consumers;
mod copying;
mod events;
mod interest;
mod outbox;
mod subscriptions;

use std::sync::Arc;
use std::time::Duration;

use consensus::Role;
use jetstream::command::Action;
use jetstream::consumer::End;
use parking_lot::Mutex;

use crate::asset::Asset;
use crate::backup::restore;
use crate::engine::Engine;
use crate::forward;
use crate::inbox::Inbox;

pub use consumers::Consumers;
pub use copying::Copying;
pub use events::LiveEvent;
use outbox::Outbox;
use subscriptions::Subscriptions;

/// Publish commands proposed in one round.
const MAX_BATCHES_PER_ROUND: usize = 16;
/// Longest sleep of a leader that has consumers, so that lost interest and clock jumps are noticed.
const MAX_SLEEP: Duration = Duration::from_millis(500);

/// The leader's working set; dropped with the leadership.
pub struct Live {
    /// When it became the leader, nanoseconds since 1970.
    pub since_ns: i64,
    pub inbox: Inbox,
    consumers: Mutex<Consumers>,
    /// What the stream's mirror or sources bring.
    pub copying: Mutex<Copying>,
    events: Mutex<Vec<LiveEvent>>,
}

impl Live {
    /// Takes note of what the log changed.
    pub fn events(&self, events: Vec<LiveEvent>) {
        if !events.is_empty() {
            self.events.lock().extend(events);
            self.inbox.wake.notify_one();
        }
    }

    /// Works with the consumers' deliveries, brought up to date with the log first.
    pub fn with_consumers<T>(&self, asset: &Asset, work: impl FnOnce(&mut Consumers) -> T) -> T {
        let mut consumers = self.consumers.lock();
        let events = std::mem::take(&mut *self.events.lock());
        if !events.is_empty() {
            consumers.follow(asset, events);
        }
        work(&mut consumers)
    }

    /// The same, with the requests that clients sent before: who acknowledges and then asks finds
    /// the acknowledgement counted.
    pub fn with_settled_consumers<T>(
        &self,
        asset: &Asset,
        work: impl FnOnce(&mut Consumers) -> T,
    ) -> T {
        let mut messages = Vec::new();
        let outcome = self.with_consumers(asset, |consumers| {
            for request in self.inbox.take_requests() {
                consumers.request(asset, request, &mut messages);
            }
            work(consumers)
        });
        if !messages.is_empty() {
            asset.env.bus.publish(&asset.account(), &messages);
        }
        self.inbox.wake.notify_one();
        outcome
    }
}

/// Leads the stream whenever this replica is told to, until the group ends.
pub async fn supervise(engine: Engine, asset: Arc<Asset>) {
    let mut roles = asset.role_changes();
    loop {
        let role_count = asset.role_count();
        let role = *roles.borrow_and_update();
        if let Role::Leader { term } = role {
            // Nothing else can be done with a stream that waits for its backup.
            let is_complete = tokio::select! {
                biased;
                () = asset.ended() => return,
                changed = roles.changed() => match changed {
                    Ok(()) => false,
                    Err(_) => return,
                },
                () = restore::run(&engine, &asset) => true,
            };
            if !is_complete {
                continue;
            }
            let live = begin(&asset, term);
            if asset.assignment.read().moving.is_some() {
                crate::engine::conform_soon(&engine, asset.clone());
            }
            let mut subscriptions = Subscriptions::open(&asset, &live);
            let mut outbox = Outbox::new(role_count);
            tokio::select! {
                biased;
                () = asset.ended() => {}
                changed = roles.changed() => if changed.is_err() { return },
                () = lead(&engine, &asset, &live, &mut subscriptions, &mut outbox) => {}
            }
            drop(subscriptions);
            end(&asset, &live, End::LeadershipChange);
            leave_over(&asset, &live, outbox);
        } else {
            tokio::select! {
                biased;
                () = asset.ended() => {}
                changed = roles.changed() => if changed.is_err() { return },
                () = forward_strays(&engine, &asset) => {}
            }
        }
        if asset.has_ended() {
            return;
        }
    }
}

/// Keeps the publishes that came too late for this leader for the next one.
fn leave_over(asset: &Asset, live: &Live, outbox: Outbox) {
    outbox.leave_over(asset);
    loop {
        let batch = live.inbox.take_batch();
        if batch.publishes.is_empty() {
            return;
        }
        asset.strays.push(batch);
    }
}

/// While another replica leads: hands it what is left over. Never ends.
async fn forward_strays(engine: &Engine, asset: &Arc<Asset>) {
    loop {
        forward::forward(engine, asset).await;
        asset.strays.arrived.notified().await;
    }
}

fn begin(asset: &Arc<Asset>, term: u64) -> Arc<Live> {
    let (account, stream) = asset.key();
    tracing::debug!(account, stream, term, "leading stream");
    let live = Arc::new(Live {
        since_ns: asset.env.now_ns(),
        inbox: Inbox::default(),
        consumers: Mutex::default(),
        copying: Mutex::default(),
        events: Mutex::default(),
    });
    // From here on the log's changes are noted; consumers that exist are taken from the state.
    asset.set_live(Some(live.clone()));
    live.consumers.lock().load(asset);
    live.copying.lock().follow_config(asset);
    if !asset.env.is_clustered() {
        forget_memory_consumers(asset);
    }
    live
}

/// Removes the consumers that were in memory only before this server started. Their clients make
/// new ones, and would otherwise get what the old ones deliver, too.
fn forget_memory_consumers(asset: &Asset) {
    let names: Vec<String> = asset.read(|machine| {
        let consumers = machine.consumers().iter();
        let in_memory = consumers.filter(|(_, consumer)| consumer.config.mem_storage);
        in_memory.map(|(name, _)| name.clone()).collect()
    });
    for name in names {
        // If this fails the consumer lives on until nobody has used it for long enough.
        asset.propose(Action::DeleteConsumer { name }, None).ok();
    }
}

fn end(asset: &Asset, live: &Live, why: End) {
    asset.set_live(None);
    let mut out = Vec::new();
    live.consumers.lock().end(why, &mut out);
    *live.copying.lock() = Copying::default();
    asset.env.bus.publish(&asset.account(), &out);
}

/// Tells clients that wait for messages of the stream that this server stops.
pub fn say_goodbye(asset: &Asset) {
    if let Some(live) = asset.live() {
        end(asset, &live, End::ServerShutdown);
    }
}

async fn lead(
    engine: &Engine,
    asset: &Arc<Asset>,
    live: &Arc<Live>,
    subscriptions: &mut Subscriptions,
    outbox: &mut Outbox,
) {
    crate::api::announce(engine, asset);
    forward::forward(engine, asset).await;
    let readable = live.copying.lock().readable(asset);
    subscriptions.answer_direct_gets(live, &readable);
    loop {
        let woken = live.inbox.wake.notified();
        let more = round(asset, live, outbox);
        let is_changed = live.with_consumers(asset, Consumers::take_config_change);
        if is_changed {
            subscriptions.follow_config(asset, live);
            live.copying.lock().follow_config(asset);
        }
        if live.copying.lock().take_caught_up() || is_changed {
            let readable = live.copying.lock().readable(asset);
            subscriptions.answer_direct_gets(live, &readable);
        }
        if outbox.is_blocked() {
            // The log is busy or full: wait for it, but look at time-driven work now and then.
            let room = asset.applied.notified();
            let _ = tokio::time::timeout(Duration::from_millis(10), room).await;
        } else if more {
            tokio::task::yield_now().await;
        } else {
            sleep(asset, live, outbox.next_deadline(), woken).await;
        }
    }
}

/// One pass over all work; true if there is more to do at once.
fn round(asset: &Arc<Asset>, live: &Arc<Live>, outbox: &mut Outbox) -> bool {
    outbox.flush(asset);
    outbox.expire_batches(asset);
    for _ in 0..MAX_BATCHES_PER_ROUND {
        if outbox.is_blocked() {
            break;
        }
        let batch = live.inbox.take_batch();
        if batch.publishes.is_empty() {
            break;
        }
        outbox.publish(asset, batch);
    }
    let mut messages = Vec::new();
    let busy = live.with_consumers(asset, |consumers| {
        for request in live.inbox.take_requests() {
            consumers.request(asset, request, &mut messages);
        }
        let busy = outbox.has_room() && consumers.run(asset, &mut messages);
        consumers.collect(&mut outbox.progress);
        busy
    });
    if !messages.is_empty() {
        asset.env.bus.publish(&asset.account(), &messages);
    }
    outbox.flush(asset);
    copy(asset, live);
    if tick_is_due(asset) {
        asset.propose(Action::Tick, None).ok();
    }
    busy || !live.inbox.is_empty()
}

fn copy(asset: &Asset, live: &Arc<Live>) {
    let mut copying = live.copying.lock();
    if copying.is_idle() {
        return;
    }
    let outcomes = live.with_consumers(asset, Consumers::take_copied);
    copying.note(asset, outcomes);
    copying.run(asset, live);
}

fn tick_is_due(asset: &Asset) -> bool {
    let now_ns = asset.env.now_ns();
    asset.read(|machine| machine.next_expiry_ns().is_some_and(|due| due <= now_ns))
}

async fn sleep(
    asset: &Asset,
    live: &Live,
    outbox_ns: Option<i64>,
    woken: tokio::sync::futures::Notified<'_>,
) {
    let consumers_ns = live.with_consumers(asset, |consumers| consumers.next_deadline());
    let copying_ns = live.copying.lock().next_deadline();
    let expiry_ns = asset.read(|machine| machine.next_expiry_ns());
    let deadlines = [consumers_ns, copying_ns, outbox_ns, expiry_ns];
    match deadlines.into_iter().flatten().min() {
        Some(due_ns) => {
            let wait = u64::try_from(due_ns.saturating_sub(asset.env.now_ns())).unwrap_or(0);
            let wait = Duration::from_nanos(wait).clamp(Duration::from_millis(1), MAX_SLEEP);
            let _ = tokio::time::timeout(wait, woken).await;
        }
        None => woken.await,
    }
}
