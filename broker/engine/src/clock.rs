//! Time as JetStream sees it.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

/// Tells the time; the simulation has its own, with jumps.
pub trait Clock: Send + Sync {
    /// Nanoseconds since the Unix epoch. May jump in either direction.
    fn wall_ns(&self) -> i64;
    /// Nanoseconds since some moment before the process began. Never goes back.
    fn monotonic_ns(&self) -> u64;
}

/// The clocks of the machine.
struct SystemClock {
    started: Instant,
}

impl Clock for SystemClock {
    fn wall_ns(&self) -> i64 {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
    }

    fn monotonic_ns(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// Wall-clock time that never goes back.
///
/// Deadlines are moments of wall-clock time, because they have to mean the same on every broker that
/// may come to lead a stream. A clock that is set back by an hour must not put them off by an hour:
/// until it has caught up, time goes on at half its pace, so a wait takes twice as long at most.
pub struct SteadyClock {
    source: Box<dyn Clock>,
    latest: Mutex<Reading>,
}

struct Reading {
    told_ns: i64,
    monotonic_ns: u64,
}

impl SteadyClock {
    pub fn new(source: impl Clock + 'static) -> Self {
        let latest = Reading {
            told_ns: source.wall_ns(),
            monotonic_ns: source.monotonic_ns(),
        };
        SteadyClock {
            source: Box::new(source),
            latest: Mutex::new(latest),
        }
    }

    /// Follows the machine's clock.
    pub fn of_system() -> Self {
        let started = Instant::now();
        SteadyClock::new(SystemClock { started })
    }

    /// Nanoseconds since the Unix epoch.
    pub fn now_ns(&self) -> i64 {
        let mut latest = self.latest.lock();
        let monotonic_ns = self.source.monotonic_ns();
        let passed_ns = monotonic_ns.saturating_sub(latest.monotonic_ns);
        let at_least_ns = latest.told_ns.saturating_add_unsigned(passed_ns / 2);
        *latest = Reading {
            told_ns: self.source.wall_ns().max(at_least_ns),
            monotonic_ns,
        };
        latest.told_ns
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

    use super::*;

    #[derive(Clone, Default)]
    struct Dials {
        wall_ns: Arc<AtomicI64>,
        monotonic_ns: Arc<AtomicU64>,
    }

    impl Dials {
        fn pass(&self, ns: u64) {
            self.wall_ns.fetch_add(ns as i64, Ordering::Relaxed);
            self.monotonic_ns.fetch_add(ns, Ordering::Relaxed);
        }

        fn jump(&self, ns: i64) {
            self.wall_ns.fetch_add(ns, Ordering::Relaxed);
        }
    }

    impl Clock for Dials {
        fn wall_ns(&self) -> i64 {
            self.wall_ns.load(Ordering::Relaxed)
        }

        fn monotonic_ns(&self) -> u64 {
            self.monotonic_ns.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn a_clock_that_is_right_is_followed() {
        let dials = Dials::default();
        let clock = SteadyClock::new(dials.clone());
        for expected_ns in 1..=5 {
            dials.pass(1);
            assert_eq!(clock.now_ns(), expected_ns);
        }
        dials.jump(1000);
        assert_eq!(clock.now_ns(), 1005);
    }

    #[test]
    fn a_clock_set_back_is_waited_for_at_half_the_pace() {
        let dials = Dials::default();
        let clock = SteadyClock::new(dials.clone());
        dials.pass(1000);
        assert_eq!(clock.now_ns(), 1000);
        dials.jump(-100);
        assert_eq!(clock.now_ns(), 1000);
        dials.pass(100);
        assert_eq!(clock.now_ns(), 1050);
        dials.pass(100);
        assert_eq!(clock.now_ns(), 1100);
        dials.pass(100);
        assert_eq!(clock.now_ns(), 1200, "it has caught up");
    }
}
