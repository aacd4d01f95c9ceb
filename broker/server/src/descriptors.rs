//! How many files and connections the system lets this process have.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that are not client connections: logs, segments, routes, listeners.
const RESERVE: u64 = 512;

/// Raises the limit as far as the system allows, and says what it is. Warns if it is lower than what
/// the configured number of connections takes.
pub fn raise_limit(max_connections: u64) {
    let mut limit = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: limit.maximum,
        ..limit
    };
    if limit.current != limit.maximum && setrlimit(Resource::Nofile, most).is_ok() {
        limit = most;
    }
    let Some(descriptors) = limit.current else {
        tracing::info!("  Files:    no limit");
        return;
    };
    tracing::info!("  Files:    {descriptors}");
    if is_short(descriptors, max_connections) {
        tracing::warn!(
            descriptors,
            max_connections,
            "there are fewer file descriptors than max_connections needs; raise the limit (ulimit -n, LimitNOFILE) \
             or lower max_connections"
        );
    }
}

fn is_short(descriptors: u64, max_connections: u64) -> bool {
    descriptors < max_connections.saturating_add(RESERVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_not_all_that_needs_descriptors() {
        assert!(is_short(1024, 1024));
        assert!(is_short(65_536, 65_536));
        assert!(!is_short(1_048_576, 65_536));
        assert!(is_short(u64::MAX - 1, u64::MAX));
    }
}
