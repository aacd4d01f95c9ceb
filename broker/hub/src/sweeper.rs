//! Everything that happens because time passes: one task for all connections, no timer of their own.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use wire::{CloseReason, Error, encode};

use crate::{
    batch,
    connection::{Connection, traits},
    delivery::OriginKind,
    hub::{Hub, Phase},
    options::Limits,
};

/// How often connections are looked at; deadlines are as exact as this.
const TICK: Duration = Duration::from_millis(250);
/// Ticks between two looks at imports that are allowed for a time only.
const ACTIVATION_TICKS: u32 = 8;
/// Ticks between two reports of what happens often.
const REPORT_TICKS: u32 = 4;
/// The first ping comes early: it measures the round trip.
const FIRST_PING_CLIENT_MS: u64 = 2000;
const FIRST_PING_ROUTE_MS: u64 = 1000;
/// A busy connection is not pinged, unless its round trip was measured longer ago than this.
const RTT_STALE_US: u64 = 3_600_000_000;
/// Longest pause between two clients that are sent away.
const DRAIN_PAUSE_MAX: Duration = Duration::from_secs(1);

pub(crate) fn start(hub: &Arc<Hub>) {
    tokio::spawn(run(Arc::downgrade(hub)));
}

async fn run(hub: Weak<Hub>) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut tick: u32 = 0;
    loop {
        ticks.tick().await;
        let Some(hub) = hub.upgrade() else { return };
        if hub.phase() == Phase::Stopped {
            return;
        }
        hub.mishaps.contain(|| sweep(&hub));
        hub.mishaps.contain(|| hub.expire_responses());
        tick = tick.wrapping_add(1);
        if tick.is_multiple_of(ACTIVATION_TICKS) {
            hub.check_activations();
        }
        if tick.is_multiple_of(REPORT_TICKS) {
            let refused = hub.handshakes.take_refused();
            if refused > 0 {
                tracing::warn!("Rejected {refused} connections due to TLS rate limiting");
            }
        }
    }
}

fn sweep(hub: &Hub) {
    let limits = hub.limits();
    let clients: Vec<_> = hub.clients.lock().values().cloned().collect();
    batch::run(|| {
        for connection in clients.iter().chain(&hub.routes.connections()) {
            check(connection, &limits, hub);
        }
    });
}

fn check(connection: &Arc<Connection>, limits: &Limits, hub: &Hub) {
    if connection.is_closed() {
        return;
    }
    let blocked_since = connection.out.lock().blocked_since;
    if blocked_since.is_some_and(|since| since.elapsed() > limits.write_deadline) {
        connection.close(CloseReason::SlowConsumerWriteDeadline);
        return;
    }
    let age_ms = connection.age_ms();
    if age_ms >= connection.deadline_ms.load(Ordering::Relaxed) {
        let of_account = {
            let facts = connection.facts.lock();
            facts.login.as_ref().map(|login| login.ends_with_account())
        };
        let reason = match of_account {
            None => Error::AuthenticationTimeout,
            Some(true) => Error::AccountExpired,
            Some(false) => Error::UserExpired,
        };
        end(connection, reason);
        return;
    }
    let interval = match connection.kind {
        OriginKind::Route => hub.routes.ping_interval(),
        _ if connection.has_trait(traits::WEBSOCKET) => websocket_ping_interval(hub, limits),
        _ => limits.ping_interval,
    };
    ping_when_due(connection, age_ms, interval, limits.ping_max);
}

fn websocket_ping_interval(hub: &Hub, limits: &Limits) -> Duration {
    let configured = hub
        .websocket()
        .and_then(|websocket| websocket.ping_interval);
    configured.unwrap_or(limits.ping_interval)
}

fn ping_when_due(connection: &Arc<Connection>, age_ms: u64, interval: Duration, ping_max: u32) {
    let first = match connection.kind {
        OriginKind::Route => FIRST_PING_ROUTE_MS,
        _ => FIRST_PING_CLIENT_MS,
    };
    let age_us = age_ms * 1000;
    let since_ping = age_us.saturating_sub(connection.last_ping_us.load(Ordering::Relaxed));
    if !connection.has_trait(traits::PINGED) {
        if age_ms >= first.min(interval.as_millis() as u64) {
            connection.set_trait(traits::PINGED, true);
            ping(connection);
        }
        return;
    }
    let interval_us = interval.as_micros() as u64;
    if since_ping < interval_us {
        return;
    }
    let silent_ms = age_ms.saturating_sub(connection.last_in_ms.load(Ordering::Relaxed));
    let busy = silent_ms * 1000 < interval_us && connection.pings_out.load(Ordering::Relaxed) == 0;
    let measured = connection.rtt_us.load(Ordering::Relaxed) > 0 && since_ping < RTT_STALE_US;
    if busy && measured {
        return;
    }
    if connection.pings_out.load(Ordering::Relaxed) >= ping_max {
        end(connection, Error::StaleConnection);
        return;
    }
    ping(connection);
}

fn ping(connection: &Arc<Connection>) {
    connection.pings_out.fetch_add(1, Ordering::Relaxed);
    store_now(&connection.last_ping_us, connection);
    connection.send(0, encode::ping);
}

fn store_now(to: &AtomicU64, connection: &Connection) {
    to.store(connection.age_us(), Ordering::Relaxed);
}

/// Tells the peer why, then ends the connection.
pub(crate) fn end(connection: &Arc<Connection>, error: Error) {
    if let Some(text) = error.text() {
        connection.send(text.len(), |out| encode::err(out, &text));
    }
    connection.flush();
    connection.close(error.close_reason());
}

/// Lame duck mode: tells clients to leave, waits, then ends the ones that stayed, a few at a time,
/// so that the other servers are not stormed.
pub(crate) async fn drain_clients(hub: &Arc<Hub>) {
    let started = Instant::now();
    hub.announce_to_clients();
    hub.announce_to_routes();
    let limits = hub.limits().clone();
    sleep(limits.lame_duck_grace).await;
    let clients: Vec<_> = hub.clients.lock().values().cloned().collect();
    let left = limits.lame_duck_duration.saturating_sub(started.elapsed());
    let pause = (left / (clients.len() as u32).max(1)).min(DRAIN_PAUSE_MAX);
    for client in clients {
        client.close(CloseReason::ServerShutdown);
        if hub.clients.lock().is_empty() {
            break;
        }
        // Anything between half of the pause and the whole of it.
        sleep(pause.mul_f64(0.5 + 0.5 * rand::random::<f64>())).await;
    }
}
