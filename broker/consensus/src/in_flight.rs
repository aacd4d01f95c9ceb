//! Bounds what has been proposed and is not applied yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts commands in flight and their bytes.
#[derive(Debug)]
pub(crate) struct InFlight {
    count: AtomicUsize,
    bytes: AtomicUsize,
    count_max: usize,
    bytes_max: usize,
}

/// One command's place; given back on drop.
#[derive(Debug)]
pub(crate) struct Permit {
    of: Arc<InFlight>,
    bytes: usize,
}

impl InFlight {
    pub(crate) fn new(count_max: usize, bytes_max: usize) -> Arc<Self> {
        Arc::new(Self {
            count: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            count_max,
            bytes_max,
        })
    }

    /// Takes a place for a command of this size. One command alone is let in at any size, so that
    /// no limit can make it wait for ever.
    pub(crate) fn enter(self: &Arc<Self>, bytes: usize) -> Option<Permit> {
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let total = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let permit = Permit {
            of: self.clone(),
            bytes,
        };
        let fits = count <= self.count_max && total <= self.bytes_max;
        (fits || count == 1).then_some(permit)
    }

    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.of.count.fetch_sub(1, Ordering::Relaxed);
        self.of.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_and_places_come_back() {
        let all = InFlight::new(2, 100);
        let big = all.enter(1000).expect("one command alone is let in");
        assert!(all.enter(1).is_none(), "too many bytes");
        assert_eq!(all.count(), 1);
        drop(big);
        let two = (all.enter(50).unwrap(), all.enter(50).unwrap());
        assert!(all.enter(0).is_none(), "too many commands");
        drop(two);
        assert_eq!(all.count(), 0);
        assert!(all.enter(100).is_some());
    }
}
