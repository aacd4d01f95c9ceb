//! Random numbers for names and ids, drawn from a seed that comes from outside.

use std::sync::atomic::{AtomicU64, Ordering};

/// What each draw adds: SplitMix64.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Draws numbers that do not repeat; the same for the same seed. Not for secrets.
#[derive(Debug)]
pub struct Random(AtomicU64);

impl Random {
    /// The seed must differ between servers and between two starts of one.
    pub fn new(seed: u64) -> Self {
        Random(AtomicU64::new(seed))
    }

    pub fn draw(&self) -> u64 {
        let state = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_depend_on_the_seed_alone_and_do_not_repeat() {
        let draws = |seed| {
            let random = Random::new(seed);
            (0..1000).map(|_| random.draw()).collect::<Vec<u64>>()
        };
        assert_eq!(draws(7), draws(7));
        assert_ne!(draws(7), draws(8));
        let mut unique = draws(7);
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), 1000);
    }
}
