//! The write-ahead log.

use storage::wal::{Histogram, Wal};

use super::definitions::*;
use super::sheet::Sheet;

/// The log's buckets are powers of two in microseconds; shown are those from 16 µs to 8.4 s.
const FIRST_BUCKET: usize = 4;
const LAST_BUCKET: usize = 23;
const MICROSECOND: f64 = 1e-6;

pub(super) fn fill(wal: &Wal, sheet: &mut Sheet) {
    let stats = wal.stats();
    sheet.count(&WAL_COMMITS, &[], stats.commits);
    sheet.count(&WAL_RECORDS, &[], stats.records);
    sheet.count(&WAL_WRITTEN, &[], stats.bytes_written);
    fill_histogram(&WAL_COMMIT_LATENCY, &stats.commit_latency_us, sheet);
    fill_histogram(&WAL_SYNC, &stats.sync_duration_us, sheet);
    sheet.count(&WAL_SEGMENTS, &[], stats.segments);
    sheet.count(&WAL_SIZE, &[], stats.size_bytes);
    sheet.count(&WAL_QUEUED, &[], stats.queued_bytes);
    sheet.count(&WAL_GROUPS, &[], stats.groups);
    sheet.count(&WAL_DAMAGED, &[], wal.damaged().len() as u64);
    sheet.count(&WAL_FULL, &[], u64::from(stats.full));
    sheet.count(&WAL_REFUSED, &["full"], stats.appends_refused_full);
    sheet.count(&WAL_REFUSED, &["busy"], stats.appends_refused_busy);
}

fn fill_histogram(definition: &'static Definition, values: &Histogram, sheet: &mut Sheet) {
    let totals = (values.count, values.sum as f64 * MICROSECOND);
    sheet.put_histogram(definition, &cumulative(values), totals);
}

/// Upper bounds in seconds with the number of values up to each.
fn cumulative(values: &Histogram) -> Vec<(f64, u64)> {
    let mut seen = 0;
    let mut buckets = Vec::new();
    for (power, count) in values.buckets.iter().enumerate().take(LAST_BUCKET + 1) {
        seen += count;
        if power >= FIRST_BUCKET {
            buckets.push(((1_u64 << power) as f64 * MICROSECOND, seen));
        }
    }
    buckets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_count_everything_up_to_their_bound() {
        let mut values = Histogram::default();
        for microseconds in [1, 16, 17, 1000, 1 << 40] {
            values.record(microseconds);
        }
        let buckets = cumulative(&values);
        assert_eq!(buckets.len(), LAST_BUCKET - FIRST_BUCKET + 1);
        assert_eq!(buckets[0], (16.0 * MICROSECOND, 2));
        assert_eq!(buckets[1].1, 3);
        let last = buckets.last().unwrap();
        assert_eq!(last.1, 4, "what took longer is only in the total");
        assert!(last.0 > 8.0);
    }
}
