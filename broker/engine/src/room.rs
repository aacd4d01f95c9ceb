//! Bytes that an account may still store, counted as messages are applied.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// What streams that share limits may still store in memory or in files, every replica counted.
/// It is set from time to time to what all servers report, and in between follows what streams
/// that are led here store and remove.
#[derive(Debug)]
pub struct Room {
    /// [`Room::UNLIMITED`], or bytes; negative when more is stored than allowed.
    left: AtomicI64,
}

impl Default for Room {
    fn default() -> Self {
        Room {
            left: AtomicI64::new(Room::UNLIMITED),
        }
    }
}

impl Room {
    const UNLIMITED: i64 = i64::MAX;

    /// What is left of a limit; `None` is no limit.
    pub fn set(&self, left: Option<i64>) {
        let left = left.map_or(Room::UNLIMITED, |left| left.min(Room::UNLIMITED - 1));
        self.left.store(left, Ordering::Relaxed);
    }

    /// Counts what was stored, or removed if it is negative.
    pub fn take(&self, bytes: i64) {
        let taken = |left| (left != Room::UNLIMITED).then(|| i64::saturating_sub(left, bytes));
        // Without a limit there is nothing to count.
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken)
            .ok();
    }

    /// Bytes that may still be stored; `None` if there is no limit.
    pub fn left(&self) -> Option<i64> {
        let left = self.left.load(Ordering::Relaxed);
        (left != Room::UNLIMITED).then_some(left)
    }
}

/// A stream's share in its account's room.
#[derive(Debug, Clone, Default)]
pub struct Share {
    pub room: Arc<Room>,
    /// How often each byte counts.
    pub replicas: u64,
}

impl Share {
    /// Counts the change of the stream's size from one number of bytes to another.
    pub fn count(&self, before: u64, after: u64) {
        let grown = after as i64 - before as i64;
        if grown != 0 {
            self.room
                .take(grown.saturating_mul(self.replicas.max(1) as i64));
        }
    }

    /// Whether this many bytes more may be stored.
    pub fn fits(&self, bytes: u64) -> bool {
        self.room.left().is_none_or(|left| {
            let wanted = bytes.saturating_mul(self.replicas.max(1));
            i64::try_from(wanted).is_ok_and(|wanted| wanted <= left)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_and_removed_counts_for_every_replica() {
        let share = Share {
            room: Arc::default(),
            replicas: 3,
        };
        assert!(share.fits(u64::MAX));
        share.room.set(Some(300));
        assert!(share.fits(100) && !share.fits(101));
        share.count(0, 60);
        assert!(share.fits(40) && !share.fits(41));
        share.count(60, 10);
        assert!(share.fits(90) && !share.fits(91));
        share.room.set(Some(-5));
        assert!(!share.fits(0));
    }

    #[test]
    fn no_limit_stays_none() {
        let room = Room::default();
        room.take(5);
        assert_eq!(room.left(), None);
    }
}
