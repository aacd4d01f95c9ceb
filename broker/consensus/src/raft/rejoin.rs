//! A replica that lost part of its log begins anew, safely.
//!
//! It may have acknowledged entries and granted votes that it does not know of any more, so it says
//! nothing until the leader has committed that it is no member: from then on no majority needs it,
//! and every vote it ever gave was for a term that is over (see ARCHITECTURE.md, "A damaged log").
//! Only then does it drop what is left of its log and wait to be added like a new replica. What its
//! machine has stored was committed, and stays.

use bytes::{Bytes, BytesMut};
use storage::wal::{Log, Loss, Wal};
use tokio::sync::oneshot;

use super::log_store::key;
use super::record::{decode_entry, encode_vote};
use super::state::State;
use super::types::{LeaderId, Vote};
use crate::codec::{put_varint, take_varint};
use crate::{GroupId, NodeId, OpenError, Options, Release, Start, StorageError};

/// How a replica may begin, given what damage took from its log.
pub(super) async fn settle(
    options: &Options,
    group: GroupId,
    start: Start,
    state: &mut State,
) -> Result<Start, OpenError> {
    let log = options.wal.log(group);
    if let Start::Rejoin(release) = &start {
        begin_anew(&options.wal, &log, release, state.next_index()).await?;
    } else {
        refuse_if_damaged(options, &log, &start, state)?;
    }
    let Some(position) = log.state(key::JOINED) else {
        return Ok(start);
    };
    // The members of then may be out of date, and were those of a replica that is none any more.
    let next = take_varint(&mut position.clone()).map_err(|error| StorageError::Log {
        group,
        reason: error.to_string(),
    })?;
    state.forget_members_before(next);
    Ok(Start::Join)
}

async fn begin_anew(
    wal: &Wal,
    log: &Log,
    release: &Release,
    next_index: u64,
) -> Result<(), StorageError> {
    let group = log.group();
    let failed = |error: storage::wal::Error| StorageError::Log {
        group,
        reason: error.to_string(),
    };
    let mut position = BytesMut::new();
    put_varint(&mut position, next_index);
    let vote = Vote {
        leader_id: LeaderId {
            term: release.term,
            voted_for: release.leader,
        },
        committed: true,
    };
    let (done, durable) = oneshot::channel();
    wal.remove(group).map_err(failed)?;
    log.set_state_lazy(key::VOTE, encode_vote(&vote))
        .map_err(failed)?;
    log.set_state(key::JOINED, position.freeze(), move |result| {
        let _ = done.send(result);
    })
    .map_err(failed)?;
    durable
        .await
        .unwrap_or(Err(storage::wal::Error::Closed))
        .map_err(failed)?;
    tracing::warn!(%group, "what damage left of the replica's log was dropped; it joins anew");
    Ok(())
}

/// A replica that others count on must not go on with a log that may miss something. One that is
/// the only member is all there is.
fn refuse_if_damaged(
    options: &Options,
    log: &Log,
    start: &Start,
    state: &State,
) -> Result<(), OpenError> {
    let group = log.group();
    match options.wal.loss(group) {
        Loss::Nothing => Ok(()),
        Loss::Possible if is_alone(log, start, state, options.node) => {
            tracing::error!(
                %group,
                "the damage to the write-ahead log may have taken the latest entries of this \
                 group, of which there is no other replica"
            );
            Ok(())
        }
        Loss::Possible | Loss::Certain => Err(OpenError::Damaged(group)),
    }
}

fn is_alone(log: &Log, start: &Start, state: &State, node: NodeId) -> bool {
    let alone = |voters: &mut dyn Iterator<Item = NodeId>| {
        let mut count = 0;
        voters.inspect(|_| count += 1).all(|voter| voter == node) && count == 1
    };
    let mut is_alone = match (state.voters(), start) {
        (Some(voters), _) => alone(&mut voters.into_iter()),
        (None, Start::Founding(members)) => alone(&mut members.iter().copied()),
        (None, Start::Join | Start::Rejoin(_)) => false,
    };
    let mut index = log.first_index();
    while index < log.next_index() {
        let Some(entries) = entries_from(log, index) else {
            return false;
        };
        for record in entries {
            index += 1;
            let Ok(entry) = decode_entry(record) else {
                return false;
            };
            if let openraft::EntryPayload::Membership(members) = &entry.payload {
                is_alone = alone(&mut members.voter_ids());
            }
        }
    }
    is_alone
}

/// How much of the log is looked at at a time.
const READ_BYTES_MAX: u64 = 4 << 20;

fn entries_from(log: &Log, index: u64) -> Option<Vec<Bytes>> {
    let entries = log.read(index..log.next_index(), READ_BYTES_MAX).ok()?;
    (!entries.is_empty()).then_some(entries)
}
