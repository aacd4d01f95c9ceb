//! What claims allow accounts to use of JetStream.

use engine::Allowance;
use identity::jwt::{AccountClaims, JetStreamLimits};
use jetstream::api::account::AccountLimits;

/// What an account's claims allow it to use; `None` without JetStream.
pub fn allowance_of_claims(claims: &AccountClaims) -> Option<Allowance> {
    let granted = &claims.body.limits;
    if granted.tiered_limits.is_empty() {
        let limits = &granted.jetstream;
        return limits.is_enabled().then(|| limits_of(limits).into());
    }
    let tiers = granted.tiered_limits.iter().filter_map(|(name, limits)| {
        // Other names are of no use to anybody.
        let replicas = name.strip_prefix('R')?.parse().ok()?;
        Some((replicas, limits_of(limits)))
    });
    Some(Allowance::Tiered(tiers.collect()))
}

fn limits_of(granted: &JetStreamLimits) -> AccountLimits {
    let or_none = |limit: i64| if limit == 0 { -1 } else { limit };
    AccountLimits {
        max_memory: granted.mem_storage,
        max_storage: granted.disk_storage,
        max_streams: or_none(granted.streams),
        max_consumers: or_none(granted.consumer),
        max_ack_pending: or_none(granted.max_ack_pending),
        memory_max_stream_bytes: or_none(granted.mem_max_stream_bytes),
        storage_max_stream_bytes: or_none(granted.disk_max_stream_bytes),
        max_bytes_required: granted.max_bytes_required,
    }
}
