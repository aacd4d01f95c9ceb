//! How long to wait before a resource that failed is tried again.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use parking_lot::Mutex;

const FIRST: Duration = Duration::from_secs(1);
/// No resource waits longer, as one that is well does not either: what was wrong outside may have healed
/// without a sign.
const LONGEST: Duration = Duration::from_secs(60);

/// Failures in a row of each resource that failed. As large as the number of those.
pub struct Backoff<Key> {
    failures: Mutex<HashMap<Key, u32>>,
}

impl<Key> Default for Backoff<Key> {
    fn default() -> Self {
        let failures = Mutex::default();
        Backoff { failures }
    }
}

impl<Key: Hash + Eq> Backoff<Key> {
    /// It failed once more: the wait doubles.
    pub fn failed(&self, key: Key) -> Duration {
        let mut failures = self.failures.lock();
        let count = failures.entry(key).or_default();
        let wait = FIRST.saturating_mul(1 << (*count).min(16)).min(LONGEST);
        *count = count.saturating_add(1);
        wait
    }

    /// It succeeded, or is gone.
    pub fn forget(&self, key: &Key) {
        self.failures.lock().remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_limit_and_start_again_after_success() {
        let backoff = Backoff::default();
        let waits: Vec<u64> = (0..10).map(|_| backoff.failed("a").as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]);
        assert_eq!(backoff.failed("b").as_secs(), 1);
        for _ in 0..100 {
            assert_eq!(backoff.failed("a"), LONGEST);
        }
        backoff.forget(&"a");
        assert_eq!(backoff.failed("a").as_secs(), 1);
    }
}
