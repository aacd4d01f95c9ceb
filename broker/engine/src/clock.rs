//! Wall-clock time as JetStream sees it; the simulation has its own, with jumps.

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Nanoseconds since the Unix epoch. May jump in either direction.
    fn now_ns(&self) -> i64;
}
