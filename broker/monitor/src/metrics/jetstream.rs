//! Streams, consumers and the groups that replicate them.

use std::sync::Arc;

use consensus::Group;
use engine::{Asset, ConsumerNumbers, Engine};
use jetstream::config::Storage;

use super::definitions::*;
use super::sheet::Sheet;
use super::{MAX_CONSUMERS, MAX_STREAMS, OTHER};

/// The meta group's name among the streams.
const META: &str = "_meta_";

pub(super) fn fill(engine: &Engine, sheet: &mut Sheet) {
    let (requests, errors) = engine.api_counts();
    sheet.count(&API_REQUESTS, &[], requests);
    sheet.count(&API_ERRORS, &[], errors);
    let options = &engine.env().options;
    sheet.count(&STORE_LIMIT, &["file"], options.max_file_bytes);
    sheet.count(&STORE_LIMIT, &["memory"], options.max_memory_bytes);
    let assets = engine.assets();
    sheet.count(&STREAMS, &[], assets.len() as u64);
    let offline = engine.offline_replicas().len() as u64;
    sheet.count(&STREAMS_OFFLINE, &[], offline);
    fill_streams(&assets, sheet);
    fill_consumers(engine, &assets, sheet);
    if let Some(group) = engine
        .meta()
        .group()
        .filter(|_| engine.env().is_clustered())
    {
        fill_group(engine, &group, ("", META), engine.meta().is_leader(), sheet);
    }
    for asset in assets.iter().take(MAX_STREAMS) {
        let is_replicated = asset.assignment.read().replicas.len() > 1;
        if let Some(group) = asset.group().filter(|_| is_replicated) {
            let (account, stream) = asset.key();
            fill_group(engine, group, (&account, &stream), asset.is_leader(), sheet);
        }
    }
}

fn fill_streams(assets: &[Arc<Asset>], sheet: &mut Sheet) {
    let (mut file, mut memory) = (0, 0);
    let mut other = [0; 3];
    for (at, asset) in assets.iter().enumerate() {
        let (account, stream) = asset.key();
        let (state, consumers, storage) = asset.read(|machine| {
            let consumers = machine.consumers().len() as u64;
            (machine.store().state(), consumers, machine.config().storage)
        });
        match storage {
            Storage::File => file += state.bytes,
            Storage::Memory => memory += state.bytes,
        }
        if at >= MAX_STREAMS {
            let values = [state.messages, state.bytes, consumers];
            other
                .iter_mut()
                .zip(values)
                .for_each(|(sum, value)| *sum += value);
            continue;
        }
        let names = [account.as_str(), stream.as_str()];
        sheet.count(&STREAM_MESSAGES, &names, state.messages);
        sheet.count(&STREAM_BYTES, &names, state.bytes);
        sheet.count(&STREAM_FIRST_SEQ, &names, state.first_seq);
        sheet.count(&STREAM_LAST_SEQ, &names, state.last_seq);
        sheet.count(&STREAM_CONSUMERS, &names, consumers);
    }
    if assets.len() > MAX_STREAMS {
        // A sum of sequences would mean nothing.
        let [messages, bytes, consumers] = other;
        sheet.count(&STREAM_MESSAGES, &[OTHER; 2], messages);
        sheet.count(&STREAM_BYTES, &[OTHER; 2], bytes);
        sheet.count(&STREAM_CONSUMERS, &[OTHER; 2], consumers);
    }
    sheet.count(&STORED, &["file"], file);
    sheet.count(&STORED, &["memory"], memory);
}

fn fill_consumers(engine: &Engine, assets: &[Arc<Asset>], sheet: &mut Sheet) {
    let mut shown = 0;
    let mut other: Option<ConsumerNumbers> = None;
    for asset in assets {
        let (account, stream) = asset.key();
        for numbers in engine.consumer_numbers(asset) {
            if shown < MAX_CONSUMERS {
                shown += 1;
                fill_consumer([&account, &stream, &numbers.name], &numbers, sheet);
                continue;
            }
            match &mut other {
                Some(other) => add(other, &numbers),
                None => other = Some(numbers),
            }
        }
    }
    if let Some(other) = other {
        fill_consumer([OTHER; 3], &other, sheet);
    }
}

fn fill_consumer(names: [&str; 3], numbers: &ConsumerNumbers, sheet: &mut Sheet) {
    sheet.count(&CONSUMER_PENDING, &names, numbers.num_pending);
    sheet.count(&CONSUMER_ACK_PENDING, &names, numbers.num_ack_pending);
    sheet.count(&CONSUMER_REDELIVERED, &names, numbers.num_redelivered);
    sheet.count(&CONSUMER_WAITING, &names, numbers.num_waiting);
}

fn add(sum: &mut ConsumerNumbers, more: &ConsumerNumbers) {
    sum.num_pending += more.num_pending;
    sum.num_ack_pending += more.num_ack_pending;
    sum.num_redelivered += more.num_redelivered;
    sum.num_waiting += more.num_waiting;
}

fn fill_group(
    engine: &Engine,
    group: &Group,
    (account, stream): (&str, &str),
    leads: bool,
    sheet: &mut Sheet,
) {
    let names = [account, stream];
    sheet.count(&RAFT_LEADER, &names, u64::from(leads));
    // Of a leader that hears no majority nobody has anything, nor of one that is gone.
    let is_heard = |leader| leads || engine.hears(leader);
    let has_leader = group.leader().is_some_and(is_heard) && group.hears_majority() != Some(false);
    sheet.count(&RAFT_HAS_LEADER, &names, u64::from(has_leader));
    sheet.count(&RAFT_TERM, &names, group.term());
    sheet.count(&RAFT_APPLIED, &names, group.applied_index());
    sheet.count(&RAFT_COMMIT_LAG, &names, group.commit_lag());
    for replica in group.replicas() {
        let name = engine.server_name(replica.node);
        sheet.count(&RAFT_REPLICA_LAG, &[account, stream, &name], replica.lag);
    }
}
