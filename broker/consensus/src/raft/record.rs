//! How log entries, votes and seals are written down.
//!
//! An entry is `kind, term, index, payload`, and has the same form in the log and on the wire. The
//! payload of a command is the rest of the record, so neither reading nor forwarding copies it.

use std::collections::BTreeSet;

use bytes::{BufMut, Bytes, BytesMut};
use openraft::EntryPayload;

use super::types::{Command, Entry, LeaderId, LogId, Membership, StoredMembership, Vote};
use crate::NodeId;
use crate::codec::{Malformed, expect_end, put_varint, take_count, take_u8, take_varint};
use crate::kind::{LOCAL_SEAL, REPLICATED_SEAL};

const BLANK: u8 = 1;
const NORMAL: u8 = 2;
const MEMBERSHIP: u8 = 3;

/// Longest header of a record: kind, term, index.
const HEADER_BYTES_MAX: usize = 21;

/// The stored form of an entry. Copies the command, unless the entry came with its stored form.
pub(crate) fn encode_entry(entry: &Entry) -> Bytes {
    if let Some(record) = &entry.record {
        return record.clone();
    }
    let body = match &entry.payload {
        EntryPayload::Normal(command) => command.bytes.len(),
        EntryPayload::Blank | EntryPayload::Membership(_) => 0,
    };
    let mut to = BytesMut::with_capacity(HEADER_BYTES_MAX + body);
    to.put_u8(match &entry.payload {
        EntryPayload::Blank => BLANK,
        EntryPayload::Normal(_) => NORMAL,
        EntryPayload::Membership(_) => MEMBERSHIP,
    });
    put_log_id(&mut to, &entry.log_id);
    match &entry.payload {
        EntryPayload::Blank => {}
        EntryPayload::Normal(command) => to.extend_from_slice(&command.bytes),
        EntryPayload::Membership(membership) => put_membership(&mut to, membership),
    }
    to.freeze()
}

/// Reads an entry back; it keeps `record`, its stored form.
pub(crate) fn decode_entry(record: Bytes) -> Result<Entry, Malformed> {
    let mut from = record.clone();
    let kind = take_u8(&mut from)?;
    let log_id = take_log_id(&mut from)?;
    let payload = match kind {
        BLANK => {
            expect_end(&from)?;
            EntryPayload::Blank
        }
        NORMAL => EntryPayload::Normal(Command::stored(from)),
        MEMBERSHIP => {
            let membership = take_membership(&mut from)?;
            expect_end(&from)?;
            EntryPayload::Membership(membership)
        }
        _ => return Err(Malformed("entry kind")),
    };
    Ok(Entry {
        log_id,
        payload,
        record: Some(record),
    })
}

/// Only the position of a stored entry.
pub(crate) fn decode_log_id(record: &Bytes) -> Result<LogId, Malformed> {
    let mut from = record.clone();
    take_u8(&mut from)?;
    take_log_id(&mut from)
}

pub(crate) fn put_log_id(to: &mut BytesMut, log_id: &LogId) {
    put_varint(to, log_id.leader_id.term);
    put_varint(to, log_id.index);
}

pub(crate) fn take_log_id(from: &mut Bytes) -> Result<LogId, Malformed> {
    let term = take_varint(from)?;
    let index = take_varint(from)?;
    Ok(LogId::new_term_index(term, index))
}

pub(crate) fn put_log_id_option(to: &mut BytesMut, log_id: Option<&LogId>) {
    to.put_u8(u8::from(log_id.is_some()));
    if let Some(log_id) = log_id {
        put_log_id(to, log_id);
    }
}

pub(crate) fn take_log_id_option(from: &mut Bytes) -> Result<Option<LogId>, Malformed> {
    match take_u8(from)? {
        0 => Ok(None),
        1 => take_log_id(from).map(Some),
        _ => Err(Malformed("option")),
    }
}

/// A position alone, as kept beside the log.
pub(crate) fn encode_log_id_option(log_id: Option<&LogId>) -> Bytes {
    let mut to = BytesMut::new();
    put_log_id_option(&mut to, log_id);
    to.freeze()
}

pub(crate) fn decode_log_id_option(mut bytes: Bytes) -> Result<Option<LogId>, Malformed> {
    let log_id = take_log_id_option(&mut bytes)?;
    expect_end(&bytes)?;
    Ok(log_id)
}

pub(crate) fn put_vote(to: &mut BytesMut, vote: &Vote) {
    put_varint(to, vote.leader_id.term);
    put_varint(to, vote.leader_id.voted_for.0);
    to.put_u8(u8::from(vote.committed));
}

pub(crate) fn take_vote(from: &mut Bytes) -> Result<Vote, Malformed> {
    let term = take_varint(from)?;
    let voted_for = NodeId(take_varint(from)?);
    let committed = match take_u8(from)? {
        0 => false,
        1 => true,
        _ => return Err(Malformed("vote")),
    };
    Ok(Vote {
        leader_id: LeaderId { term, voted_for },
        committed,
    })
}

/// A vote alone, as kept beside the log.
pub(crate) fn encode_vote(vote: &Vote) -> Bytes {
    let mut to = BytesMut::new();
    put_vote(&mut to, vote);
    to.freeze()
}

pub(crate) fn decode_vote(mut bytes: Bytes) -> Result<Vote, Malformed> {
    let vote = take_vote(&mut bytes)?;
    expect_end(&bytes)?;
    Ok(vote)
}

/// Configurations (two during a joint change), then every node, learners included.
fn put_membership(to: &mut BytesMut, membership: &Membership) {
    let configs = membership.get_joint_config();
    put_varint(to, configs.len() as u64);
    for config in configs {
        put_nodes(to, config.iter());
    }
    let nodes: Vec<&NodeId> = membership.nodes().map(|(id, ())| id).collect();
    put_nodes(to, nodes.into_iter());
}

fn take_membership(from: &mut Bytes) -> Result<Membership, Malformed> {
    let count = take_count(from)?;
    let configs = (0..count)
        .map(|_| take_nodes(from))
        .collect::<Result<Vec<_>, _>>()?;
    let nodes = take_nodes(from)?;
    if configs.is_empty() && nodes.is_empty() {
        return Ok(Membership::default());
    }
    Membership::new(
        configs,
        nodes
            .into_iter()
            .map(|id| (id, ()))
            .collect::<std::collections::BTreeMap<_, _>>(),
    )
    .map_err(|_| Malformed("membership"))
}

fn put_nodes<'a>(to: &mut BytesMut, nodes: impl ExactSizeIterator<Item = &'a NodeId>) {
    put_varint(to, nodes.len() as u64);
    for node in nodes {
        put_varint(to, node.0);
    }
}

fn take_nodes(from: &mut Bytes) -> Result<BTreeSet<NodeId>, Malformed> {
    let count = take_count(from)?;
    (0..count).map(|_| take_varint(from).map(NodeId)).collect()
}

/// What a checkpoint covers: the last applied entry, and the members as of then.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Seal {
    pub applied: Option<LogId>,
    pub membership: StoredMembership,
}

impl Seal {
    pub(crate) fn encode(&self) -> Bytes {
        let mut to = BytesMut::new();
        to.put_u8(REPLICATED_SEAL);
        put_log_id_option(&mut to, self.applied.as_ref());
        put_log_id_option(&mut to, self.membership.log_id().as_ref());
        put_membership(&mut to, self.membership.membership());
        to.freeze()
    }

    /// A machine that comes from a local group counts anew: what it holds is what every replica
    /// begins with, and others get by snapshot.
    pub(crate) fn decode(mut from: Bytes) -> Result<Self, Malformed> {
        if from.first() == Some(&LOCAL_SEAL) {
            return Ok(Self::default());
        }
        let from = &mut from;
        if take_u8(from)? != REPLICATED_SEAL {
            return Err(Malformed("seal version"));
        }
        let applied = take_log_id_option(from)?;
        let log_id = take_log_id_option(from)?;
        let membership = take_membership(from)?;
        expect_end(from)?;
        Ok(Self {
            applied,
            membership: StoredMembership::new(log_id, membership),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(payload: EntryPayload<Command, NodeId, ()>) {
        let entry = Entry {
            log_id: LogId::new_term_index(7, 1 << 40),
            payload,
            record: None,
        };
        let record = encode_entry(&entry);
        let read = decode_entry(record.clone()).expect("what was written is readable");
        assert_eq!(read, entry);
        assert_eq!(decode_log_id(&record), Ok(entry.log_id));
        assert_eq!(
            encode_entry(&read),
            record,
            "an entry keeps its stored form"
        );
    }

    fn nodes(ids: &[u64]) -> BTreeSet<NodeId> {
        ids.iter().copied().map(NodeId).collect()
    }

    #[test]
    fn entries_survive() {
        check(EntryPayload::Blank);
        check(EntryPayload::Normal(Command::stored(Bytes::from_static(
            b"command",
        ))));
        check(EntryPayload::Normal(Command::stored(Bytes::new())));
        let joint = vec![nodes(&[1, 2, 3]), nodes(&[2, 3, u64::MAX])];
        let learners = [NodeId(9)];
        check(EntryPayload::Membership(Membership::new_with_defaults(
            joint, learners,
        )));
    }

    #[test]
    fn seals_survive() {
        let members = Membership::new_with_defaults(vec![nodes(&[1, 2])], [NodeId(3)]);
        let seal = Seal {
            applied: Some(LogId::new_term_index(3, 99)),
            membership: StoredMembership::new(Some(LogId::new_term_index(1, 4)), members),
        };
        assert_eq!(Seal::decode(seal.encode()), Ok(seal));
        assert_eq!(Seal::decode(Seal::default().encode()), Ok(Seal::default()));
    }

    #[test]
    fn votes_survive() {
        for committed in [false, true] {
            let leader_id = LeaderId {
                term: 1 << 60,
                voted_for: NodeId(u64::MAX),
            };
            let vote = Vote {
                leader_id,
                committed,
            };
            assert_eq!(decode_vote(encode_vote(&vote)), Ok(vote));
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(raw: Vec<u8>) {
            let bytes = Bytes::from(raw);
            let _ = decode_entry(bytes.clone());
            let _ = decode_vote(bytes.clone());
            let _ = Seal::decode(bytes.clone());
            let _ = decode_log_id_option(bytes);
        }
    }
}
