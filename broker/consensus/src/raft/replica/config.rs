//! How openraft is set up.

use openraft::{Config, SnapshotPolicy, StepDownPolicy};

use crate::{GroupId, Options};

/// Entries in one message to a follower; its bytes are bounded by the log store.
const APPEND_ENTRIES_MAX: u64 = 1024;

/// Messages that may wait for a group besides proposals: requests of peers, calls of its handle.
const OTHER_MESSAGES_MAX: usize = 1024;

/// Requests of peers that may wait for an answer, by count and bytes.
pub(super) const REQUESTS_MAX: usize = 512;
pub(super) const REQUEST_BYTES_MAX: usize = 32 * 1024 * 1024;

/// A learner is taken for caught up within this many entries.
pub(super) const CAUGHT_UP_ENTRIES: u64 = 1000;

/// Waits after failed attempts to reach a peer. Short, because a peer that comes back is needed.
const BACKOFF: &str = "50ms 100ms 200ms ...400ms";

/// How long a leader that was voted out goes on, so that its followers hear of it.
const STEP_DOWN_AFTER_MS: u64 = 150;

pub(super) fn of(options: &Options) -> Result<Config, String> {
    let timing = &options.timing;
    let messages = options.limits.in_flight_count_max + OTHER_MESSAGES_MAX;
    let config = Config {
        cluster_name: String::new(),
        heartbeat_interval: timing.heartbeat_ms,
        // A follower that just acknowledged entries needs no heartbeat.
        heartbeat_min_interval: Some(timing.heartbeat_ms),
        election_timeout_min: timing.election_min_ms,
        election_timeout_max: timing.election_max_ms,
        install_snapshot_timeout: timing.snapshot_install_timeout_ms,
        max_payload_entries: APPEND_ENTRIES_MAX,
        replication_lag_threshold: CAUGHT_UP_ENTRIES,
        // Checkpoints and purges happen when they are asked for.
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: u64::MAX,
        api_channel_size: Some(messages as u64),
        notification_channel_size: Some(messages as u64),
        removed_leader_step_down: StepDownPolicy::After(STEP_DOWN_AFTER_MS),
        // In a partial partition the heartbeats of a leader without a majority would keep those who
        // have one from electing.
        quorum_loss_probe_interval: Some(2 * timing.election_max_ms),
        enable_pre_vote: Some(true),
        backoff: BACKOFF.to_owned(),
        // A follower may have lost acknowledged entries, if it was told not to sync each of them.
        // Then it gets them again; openraft's other choice is to stop the leader.
        allow_log_reversion: Some(true),
        // Leadership is told apart by term, so a restart must not go on in an old one.
        enable_leader_restore: Some(false),
        ..Config::default()
    };
    config.validate().map_err(|error| error.to_string())
}

/// A seed of its own for each group on each server.
pub(super) fn seed(options: &Options, group: GroupId) -> u64 {
    mix(mix(options.seed ^ options.node.0) ^ group.0)
}

/// SplitMix64's finisher: every bit of the input counts for every bit of the result.
pub(super) fn mix(value: u64) -> u64 {
    let z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
