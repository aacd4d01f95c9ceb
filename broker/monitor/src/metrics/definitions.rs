//! Every metric: its name, kind, labels and what it means.

use std::collections::HashMap;
use std::sync::LazyLock;

use prometheus::core::Desc;
use prometheus::proto::MetricType;

/// One metric.
pub(super) struct Definition {
    pub name: &'static str,
    pub kind: MetricType,
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

macro_rules! definitions {
    ($($constant:ident: $kind:ident $name:literal $labels:tt $help:literal;)*) => {
        $(pub(super) static $constant: Definition = Definition {
            name: $name,
            kind: MetricType::$kind,
            labels: &$labels,
            help: $help,
        };)*

        /// All of them, in the order of this file.
        pub(super) const ALL: &[&Definition] = &[$(&$constant,)*];
    };
}

definitions! {
    // The process.
    BUILD_INFO: GAUGE "weir_build_info" ["version", "nats_version"]
        "Always 1. The program's version, and the nats-server version it behaves like.";
    UPTIME: GAUGE "weir_server_uptime_seconds" []
        "Time since the server started.";
    CPU: COUNTER "weir_process_cpu_seconds_total" []
        "Processor time used, user and system.";
    MEMORY: GAUGE "weir_process_resident_memory_bytes" []
        "Memory of the process that is in RAM.";
    OPEN_FILES: GAUGE "weir_process_open_files" []
        "File descriptors in use, one for each connection among them.";
    MAX_FILES: GAUGE "weir_process_max_files" []
        "File descriptors that the system allows; absent without a limit.";
    HEALTHY: GAUGE "weir_server_healthy" []
        "1 while the health check would succeed, else 0.";
    CERTIFICATE_END: GAUGE "weir_tls_certificate_not_after_seconds" []
        "When the certificate shown to clients expires, in seconds since 1970; absent without TLS.";

    // Connections and what they move.
    CONNECTIONS: GAUGE "weir_connections_open" []
        "Client connections.";
    CONNECTIONS_TOTAL: COUNTER "weir_connections_total" []
        "Client connections since the start.";
    SUBSCRIPTIONS: GAUGE "weir_subscriptions" []
        "Subscriptions of clients and of the server itself.";
    RECEIVED_MESSAGES: COUNTER "weir_received_messages_total" []
        "Messages from clients and other servers.";
    RECEIVED_BYTES: COUNTER "weir_received_bytes_total" []
        "Headers and payload of messages from clients and other servers.";
    SENT_MESSAGES: COUNTER "weir_sent_messages_total" []
        "Messages to clients and other servers.";
    SENT_BYTES: COUNTER "weir_sent_bytes_total" []
        "Headers and payload of messages to clients and other servers.";
    SLOW_CONSUMERS: COUNTER "weir_slow_consumers_total" []
        "Connections ended because their reader was too slow.";
    STALE_CONNECTIONS: COUNTER "weir_stale_connections_total" []
        "Connections ended because they did not answer pings.";
    PANICS: COUNTER "weir_panics_total" []
        "Panics, each of which ended one connection at most.";
    ACCOUNT_CONNECTIONS: GAUGE "weir_account_connections_open" ["account"]
        "Client connections of the account.";
    ACCOUNT_SUBSCRIPTIONS: GAUGE "weir_account_subscriptions" ["account"]
        "Subscriptions in the account on this server.";
    ACCOUNT_RECEIVED_MESSAGES: COUNTER "weir_account_received_messages_total" ["account"]
        "Messages from the account's clients.";
    ACCOUNT_RECEIVED_BYTES: COUNTER "weir_account_received_bytes_total" ["account"]
        "Headers and payload of messages from the account's clients.";
    ACCOUNT_SENT_MESSAGES: COUNTER "weir_account_sent_messages_total" ["account"]
        "Messages to the account's clients.";
    ACCOUNT_SENT_BYTES: COUNTER "weir_account_sent_bytes_total" ["account"]
        "Headers and payload of messages to the account's clients.";
    ACCOUNT_SLOW_CONSUMERS: COUNTER "weir_account_slow_consumers_total" ["account"]
        "Connections of the account ended because their reader was too slow.";

    // Routes.
    ROUTE_UP: GAUGE "weir_route_up" ["remote"]
        "1 for each server there is a route to.";
    ROUTE_PENDING: GAUGE "weir_route_pending_bytes" ["remote"]
        "Bytes that wait for the other server to read them.";
    ROUTE_RTT: GAUGE "weir_route_round_trip_seconds" ["remote"]
        "The last round trip measured; absent before the first.";
    ROUTE_RECEIVED_MESSAGES: COUNTER "weir_route_received_messages_total" ["remote"]
        "Messages from the other server since the route is up.";
    ROUTE_RECEIVED_BYTES: COUNTER "weir_route_received_bytes_total" ["remote"]
        "Headers and payload of messages from the other server since the route is up.";
    ROUTE_SENT_MESSAGES: COUNTER "weir_route_sent_messages_total" ["remote"]
        "Messages to the other server since the route is up.";
    ROUTE_SENT_BYTES: COUNTER "weir_route_sent_bytes_total" ["remote"]
        "Headers and payload of messages to the other server since the route is up.";

    // JetStream.
    API_REQUESTS: COUNTER "weir_jetstream_api_requests_total" []
        "JetStream API requests this server answered.";
    API_ERRORS: COUNTER "weir_jetstream_api_errors_total" []
        "JetStream API requests this server refused.";
    STORED: GAUGE "weir_jetstream_stored_bytes" ["storage"]
        "Bytes of messages on this server, in files and in memory.";
    STORE_LIMIT: GAUGE "weir_jetstream_limit_bytes" ["storage"]
        "Bytes of messages this server offers to hold, in files and in memory.";
    STREAMS: GAUGE "weir_streams" []
        "Stream replicas on this server.";
    STREAMS_OFFLINE: GAUGE "weir_stream_replicas_offline" []
        "Stream replicas of this server that are out of service, damaged or failed.";
    STREAM_MESSAGES: GAUGE "weir_stream_messages" ["account", "stream"]
        "Messages of this server's replica.";
    STREAM_BYTES: GAUGE "weir_stream_bytes" ["account", "stream"]
        "Bytes of this server's replica.";
    STREAM_FIRST_SEQ: GAUGE "weir_stream_first_seq" ["account", "stream"]
        "Sequence of the first message.";
    STREAM_LAST_SEQ: GAUGE "weir_stream_last_seq" ["account", "stream"]
        "Highest sequence ever used.";
    STREAM_CONSUMERS: GAUGE "weir_stream_consumers" ["account", "stream"]
        "Consumers of the stream.";
    CONSUMER_PENDING: GAUGE "weir_consumer_pending_messages" ["account", "stream", "consumer"]
        "Messages not delivered yet. Told by the stream's leader.";
    CONSUMER_ACK_PENDING: GAUGE "weir_consumer_ack_pending_messages" ["account", "stream", "consumer"]
        "Messages delivered and not acknowledged. Told by the stream's leader.";
    CONSUMER_REDELIVERED: GAUGE "weir_consumer_redelivered_messages" ["account", "stream", "consumer"]
        "Messages not acknowledged that were delivered more than once. Told by the stream's leader.";
    CONSUMER_WAITING: GAUGE "weir_consumer_waiting_requests" ["account", "stream", "consumer"]
        "Pull requests that wait for messages. Told by the stream's leader.";

    // Raft. The meta group is the stream `_meta_` of no account.
    RAFT_LEADER: GAUGE "weir_raft_leader" ["account", "stream"]
        "1 if this server leads the group, else 0.";
    RAFT_HAS_LEADER: GAUGE "weir_raft_has_leader" ["account", "stream"]
        "1 if this server knows who leads the group and, where it leads itself, hears a majority; else 0.";
    RAFT_TERM: GAUGE "weir_raft_term" ["account", "stream"]
        "The latest term seen.";
    RAFT_APPLIED: GAUGE "weir_raft_applied_index" ["account", "stream"]
        "Index of the last entry applied.";
    RAFT_COMMIT_LAG: GAUGE "weir_raft_unapplied_entries" ["account", "stream"]
        "Entries of this server's log that are not applied yet.";
    RAFT_REPLICA_LAG: GAUGE "weir_raft_replica_lag_entries" ["account", "stream", "replica"]
        "Entries another replica still misses. Told by the leader.";

    // The write-ahead log.
    WAL_COMMITS: COUNTER "weir_wal_commits_total" []
        "Group commits.";
    WAL_RECORDS: COUNTER "weir_wal_records_total" []
        "Records written.";
    WAL_WRITTEN: COUNTER "weir_wal_written_bytes_total" []
        "Bytes written.";
    WAL_COMMIT_LATENCY: HISTOGRAM "weir_wal_commit_latency_seconds" []
        "Time from the first append of a group commit to its confirmation.";
    WAL_SYNC: HISTOGRAM "weir_wal_sync_duration_seconds" []
        "Time the device took to make a write durable.";
    WAL_SEGMENTS: GAUGE "weir_wal_segments" []
        "Segment files.";
    WAL_SIZE: GAUGE "weir_wal_size_bytes" []
        "Size of all segment files and the spare.";
    WAL_QUEUED: GAUGE "weir_wal_queued_bytes" []
        "Bytes that wait to be written.";
    WAL_GROUPS: GAUGE "weir_wal_groups" []
        "Groups that have records in the log.";
    WAL_FULL: GAUGE "weir_wal_full" []
        "1 while the device is full and appends are refused, else 0.";
    WAL_DAMAGED: GAUGE "weir_wal_damaged_places" []
        "Places of the write-ahead log that do not read back and that some replica has not got over.";
    WAL_REFUSED: COUNTER "weir_wal_refused_appends_total" ["reason"]
        "Appends refused, because the device was full or the queue was.";
}

static DESCRIPTIONS: LazyLock<Vec<Desc>> = LazyLock::new(|| {
    let description = |definition: &&Definition| {
        let labels = definition
            .labels
            .iter()
            .map(|label| (*label).to_owned())
            .collect();
        let (name, help) = (definition.name.to_owned(), definition.help.to_owned());
        Desc::new(name, help, labels, HashMap::new()).ok()
    };
    ALL.iter().filter_map(description).collect()
});

pub(super) fn descriptions() -> Vec<&'static Desc> {
    DESCRIPTIONS.iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_definition_is_one_that_prometheus_accepts() {
        assert_eq!(descriptions().len(), ALL.len());
    }

    /// Dashboards and alerts rely on these; a change here is a change for their owners.
    #[test]
    fn names_kinds_and_labels_stay_as_they_are() {
        let line = |definition: &&Definition| {
            let kind = format!("{:?}", definition.kind).to_lowercase();
            let labels = definition.labels.join(",");
            format!("{} {kind} {labels}", definition.name)
                .trim_end()
                .to_owned()
        };
        let all: Vec<_> = ALL.iter().map(line).collect();
        let golden: Vec<_> = include_str!("golden.txt").lines().collect();
        assert_eq!(all, golden);
    }

    #[test]
    fn names_follow_the_conventions() {
        for definition in ALL {
            let name = definition.name;
            assert!(name.starts_with("weir_"), "{name}");
            let is_counter = definition.kind == MetricType::COUNTER;
            assert_eq!(name.ends_with("_total"), is_counter, "{name}");
            assert!(definition.help.ends_with('.'), "{name}");
        }
    }
}
