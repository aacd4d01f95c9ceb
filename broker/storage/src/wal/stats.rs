//! Counters and histograms of the log, cheap enough to keep always.

use std::time::Duration;

/// Number of buckets of a [`Histogram`]; bucket `i` counts values up to `2^i`, the last the rest.
pub const BUCKETS: usize = 32;

/// Counts of values by power of two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// `buckets[i]` counts the values `v` with `2^(i-1) < v <= 2^i`.
    pub buckets: [u64; BUCKETS],
    pub count: u64,
    pub sum: u64,
}

impl Histogram {
    /// Adds one value.
    pub fn record(&mut self, value: u64) {
        let bucket = match value {
            0 | 1 => 0,
            _ => (u64::BITS - (value - 1).leading_zeros()) as usize,
        };
        self.buckets[bucket.min(BUCKETS - 1)] += 1;
        self.count += 1;
        self.sum = self.sum.saturating_add(value);
    }

    /// An upper bound of the given quantile (0.0 to 1.0), 0 when empty.
    pub fn quantile(&self, q: f64) -> u64 {
        let rank = (q * self.count as f64).ceil() as u64;
        let mut seen = 0;
        for (i, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank && seen > 0 {
                return 1 << i;
            }
        }
        0
    }

    pub(super) fn record_us(&mut self, duration: Duration) {
        self.record(duration.as_micros() as u64);
    }
}

/// A snapshot of what the log did since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub commits: u64,
    pub records: u64,
    pub bytes_written: u64,
    pub syncs: u64,
    /// From the first append of a batch to its callbacks.
    pub commit_latency_us: Histogram,
    pub sync_duration_us: Histogram,
    pub batch_bytes: Histogram,
    pub batch_records: Histogram,
    pub segments: u64,
    /// Size of all segment files and the spare.
    pub size_bytes: u64,
    pub queued_bytes: u64,
    pub cached_bytes: u64,
    pub groups: u64,
    pub appends_refused_full: u64,
    pub appends_refused_busy: u64,
    /// Reads that had to go to a segment file.
    pub file_reads: u64,
    pub full: bool,
}
