//! The wall clock of one broker: simulated time plus an offset that jumps.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use engine::clock::Clock;
use tokio::time::Instant;

/// When every simulation begins, in nanoseconds since the Unix epoch: 2027-01-15.
const EPOCH_NS: i64 = 1_800_000_000_000_000_000;

/// A handle: clones mean the same clock. Goes on through restarts of its broker.
#[derive(Clone)]
pub struct SimClock {
    started: Instant,
    offset_ns: Arc<AtomicI64>,
}

impl SimClock {
    pub fn new(offset_ns: i64) -> Self {
        SimClock {
            started: Instant::now(),
            offset_ns: Arc::new(AtomicI64::new(offset_ns)),
        }
    }

    /// Sets the clock this far from the true time.
    pub fn set_offset_ns(&self, offset_ns: i64) {
        self.offset_ns.store(offset_ns, Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn wall_ns(&self) -> i64 {
        EPOCH_NS + self.monotonic_ns() as i64 + self.offset_ns.load(Ordering::Relaxed)
    }

    fn monotonic_ns(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }
}
