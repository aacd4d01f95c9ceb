//! What accounts may use, by the number of replicas of their streams.

use std::collections::BTreeMap;

use jetstream::StreamConfig;
use jetstream::api::account::AccountLimits;
use jetstream::config::Storage;

use crate::peer::Usage;

/// What an account may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowance {
    /// The same limits for all its streams together, every replica counted.
    Flat(AccountLimits),
    /// Limits of their own for the streams of each number of replicas, counted once; streams of
    /// other numbers are not allowed.
    Tiered(BTreeMap<u64, AccountLimits>),
}

/// What an account uses, by the number of replicas. Every replica is counted.
pub type TierUsage = BTreeMap<u64, Usage>;

impl From<AccountLimits> for Allowance {
    fn from(limits: AccountLimits) -> Self {
        Allowance::Flat(limits)
    }
}

impl Allowance {
    /// The limits for streams of this number of replicas; `None` if there may be none.
    pub fn of(&self, replicas: u64) -> Option<&AccountLimits> {
        match self {
            Allowance::Flat(limits) => Some(limits),
            Allowance::Tiered(tiers) => tiers.get(&replicas),
        }
    }

    /// Whether streams of the two numbers of replicas share limits.
    pub fn counts_together(&self, one: u64, other: u64) -> bool {
        matches!(self, Allowance::Flat(_)) || one == other
    }

    /// Bytes that a stream's `max_bytes` takes of its limit, every replica counted where the limit
    /// counts them.
    pub fn reservation(&self, config: &StreamConfig) -> u64 {
        match self {
            Allowance::Flat(_) => max_bytes(config).saturating_mul(replicas_of(config)),
            Allowance::Tiered(_) => max_bytes(config),
        }
    }

    /// What the streams of this number of replicas may still store, every replica counted; `None`
    /// is no limit.
    pub fn left(&self, replicas: u64, storage: Storage, used: &TierUsage) -> Option<i64> {
        let Some(limits) = self.of(replicas) else {
            return Some(0);
        };
        let (used, factor) = match self {
            Allowance::Flat(_) => (total(used), 1),
            Allowance::Tiered(_) => (used.get(&replicas).copied().unwrap_or_default(), replicas),
        };
        let (used, limit) = match storage {
            Storage::Memory => (used.memory_bytes, limits.max_memory),
            Storage::File => (used.file_bytes, limits.max_storage),
        };
        let limit = u64::try_from(limit).ok()?.saturating_mul(factor);
        let signed = |bytes| i64::try_from(bytes).unwrap_or(i64::MAX);
        Some(signed(limit) - signed(used))
    }

    /// What tells limits of the account apart: the number of replicas where there are tiers.
    pub fn tier(&self, replicas: u64) -> Option<u64> {
        matches!(self, Allowance::Tiered(_)).then_some(replicas)
    }
}

/// Bytes that one replica of a stream may grow to; zero if that is not said.
pub fn max_bytes(config: &StreamConfig) -> u64 {
    u64::try_from(config.max_bytes).unwrap_or(0)
}

/// The number of replicas that a stream is to have.
pub fn replicas_of(config: &StreamConfig) -> u64 {
    u64::try_from(config.num_replicas).unwrap_or(1).max(1)
}

pub fn total(usage: &TierUsage) -> Usage {
    let mut sum = Usage::default();
    for part in usage.values() {
        sum += *part;
    }
    sum
}

/// Adds what is used elsewhere.
pub fn add(sum: &mut TierUsage, more: &TierUsage) {
    for (replicas, usage) in more {
        *sum.entry(*replicas).or_default() += *usage;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(max_storage: i64) -> AccountLimits {
        AccountLimits {
            max_storage,
            ..AccountLimits::default()
        }
    }

    fn files(file_bytes: u64) -> Usage {
        Usage {
            file_bytes,
            ..Usage::default()
        }
    }

    #[test]
    fn flat_limits_count_every_replica_of_every_stream() {
        let flat = Allowance::from(limits(100));
        let used = BTreeMap::from([(1, files(39)), (3, files(60))]);
        assert_eq!(flat.left(3, Storage::File, &used), Some(1));
        assert_eq!(flat.left(3, Storage::Memory, &used), None);
        let used = BTreeMap::from([(1, files(40)), (3, files(61))]);
        assert_eq!(flat.left(1, Storage::File, &used), Some(-1));
    }

    #[test]
    fn a_tier_counts_its_own_streams_once() {
        let tiered = Allowance::Tiered(BTreeMap::from([(1, limits(10)), (3, limits(100))]));
        let used = BTreeMap::from([(1, files(10)), (3, files(299))]);
        assert_eq!(tiered.left(1, Storage::File, &used), Some(0));
        assert_eq!(tiered.left(3, Storage::File, &used), Some(1));
        assert_eq!(
            tiered.left(5, Storage::Memory, &used),
            Some(0),
            "there is no such tier"
        );
    }
}
