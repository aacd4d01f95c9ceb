//! Requests between replicas and their answers, as bytes.
//!
//! A request is `kind, group, body`; an answer is `status, body`. A heartbeat of an idle group
//! takes about 40 bytes, most of them the random node id.

use bytes::{BufMut, Bytes, BytesMut};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, TransferLeaderRequest, VoteRequest, VoteResponse,
};

use super::record::{
    decode_entry, encode_entry, put_log_id_option, put_vote, take_log_id_option, take_vote,
};
use super::types::{Types, Vote};
use crate::codec::{
    Malformed, expect_end, put_bytes, put_varint, take_bytes, take_count, take_u8, take_varint,
};
use crate::{GroupId, NodeId};

/// What one replica asks another.
#[derive(Debug)]
pub(crate) enum Request {
    Append(AppendEntriesRequest<Types>),
    Vote(VoteRequest<Types>),
    PreVote(VoteRequest<Types>),
    Transfer(TransferLeaderRequest<Types>),
    Snapshot(SnapshotPart),
}

/// One chunk of a snapshot on its way.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SnapshotPart {
    /// The leader that sends it.
    pub vote: Vote,
    /// Which transfer of that leader.
    pub transfer: u64,
    /// Number of the chunk, from 0.
    pub part: u64,
    /// The bytes; empty in the last part.
    pub chunk: Bytes,
    /// The seal, in the last part.
    pub seal: Option<Bytes>,
}

/// An answer other than the one hoped for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the peer has no such group")]
    NoGroup,
    #[error("the group has stopped on the peer")]
    Stopped,
    #[error("the peer did not understand the request")]
    Malformed,
    #[error("the peer wants the snapshot from the start")]
    Restart,
    #[error("the peer could not store the snapshot")]
    Failed,
    #[error("the peer has too many requests waiting")]
    Busy,
}

/// How a transfer goes on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum SnapshotProgress {
    /// Send the next part.
    Next,
    /// All done, or refused by a newer leader; the vote of the peer tells.
    Done(Vote),
}

const APPEND: u8 = 1;
const VOTE: u8 = 2;
const PRE_VOTE: u8 = 3;
const TRANSFER: u8 = 4;
const SNAPSHOT: u8 = 5;

/// Room for the fixed parts of a request.
const HEADER_BYTES: usize = 64;
/// Room for the length in front of an entry.
const LENGTH_BYTES: usize = 5;

impl Request {
    pub(crate) fn encode(&self, group: GroupId) -> Bytes {
        match self {
            Request::Append(append) => encode_append(group, append),
            Request::Vote(vote) => encode_vote(VOTE, group, vote),
            Request::PreVote(vote) => encode_vote(PRE_VOTE, group, vote),
            Request::Transfer(transfer) => {
                let mut to = start(TRANSFER, group, 0);
                put_vote(&mut to, transfer.from_leader());
                put_varint(&mut to, transfer.to_node_id().0);
                put_log_id_option(&mut to, transfer.last_log_id());
                to.freeze()
            }
            Request::Snapshot(part) => {
                let mut to = start(SNAPSHOT, group, part.chunk.len());
                put_vote(&mut to, &part.vote);
                put_varint(&mut to, part.transfer);
                put_varint(&mut to, part.part);
                to.put_u8(u8::from(part.seal.is_some()));
                if let Some(seal) = &part.seal {
                    put_bytes(&mut to, seal);
                }
                put_bytes(&mut to, &part.chunk);
                to.freeze()
            }
        }
    }

    pub(crate) fn decode(mut from: Bytes) -> Result<(GroupId, Self), Malformed> {
        let from = &mut from;
        let kind = take_u8(from)?;
        let group = GroupId(take_varint(from)?);
        let request = match kind {
            APPEND => Request::Append(take_append(from)?),
            VOTE => Request::Vote(take_vote_request(from)?),
            PRE_VOTE => Request::PreVote(take_vote_request(from)?),
            TRANSFER => {
                let vote = take_vote(from)?;
                let to = NodeId(take_varint(from)?);
                let last = take_log_id_option(from)?;
                Request::Transfer(TransferLeaderRequest::new(vote, to, last))
            }
            SNAPSHOT => Request::Snapshot(take_snapshot_part(from)?),
            _ => return Err(Malformed("request kind")),
        };
        expect_end(from)?;
        Ok((group, request))
    }
}

fn start(kind: u8, group: GroupId, body: usize) -> BytesMut {
    let mut to = BytesMut::with_capacity(HEADER_BYTES + body);
    to.put_u8(kind);
    put_varint(&mut to, group.0);
    to
}

fn encode_append(group: GroupId, append: &AppendEntriesRequest<Types>) -> Bytes {
    let records: Vec<Bytes> = append.entries.iter().map(encode_entry).collect();
    let body = records
        .iter()
        .map(|record| record.len() + LENGTH_BYTES)
        .sum();
    let mut to = start(APPEND, group, body);
    put_vote(&mut to, &append.vote);
    put_log_id_option(&mut to, append.prev_log_id.as_ref());
    put_log_id_option(&mut to, append.leader_commit.as_ref());
    put_varint(&mut to, records.len() as u64);
    for record in &records {
        put_bytes(&mut to, record);
    }
    to.freeze()
}

fn take_append(from: &mut Bytes) -> Result<AppendEntriesRequest<Types>, Malformed> {
    let vote = take_vote(from)?;
    let prev_log_id = take_log_id_option(from)?;
    let leader_commit = take_log_id_option(from)?;
    let count = take_count(from)?;
    let mut entries = Vec::with_capacity(count);
    let mut next = prev_log_id.map_or(0, |prev| prev.index.saturating_add(1));
    for _ in 0..count {
        let entry = decode_entry(take_bytes(from)?)?;
        // openraft takes it for granted that entries follow each other.
        if entry.log_id.index != next {
            return Err(Malformed("entry index"));
        }
        next = next.saturating_add(1);
        entries.push(entry);
    }
    Ok(AppendEntriesRequest {
        vote,
        prev_log_id,
        entries,
        leader_commit,
    })
}

fn encode_vote(kind: u8, group: GroupId, request: &VoteRequest<Types>) -> Bytes {
    let mut to = start(kind, group, 0);
    put_vote(&mut to, &request.vote);
    put_log_id_option(&mut to, request.last_log_id.as_ref());
    to.put_u8(u8::from(request.leadership_transfer));
    to.freeze()
}

fn take_vote_request(from: &mut Bytes) -> Result<VoteRequest<Types>, Malformed> {
    let vote = take_vote(from)?;
    let last_log_id = take_log_id_option(from)?;
    let leadership_transfer = take_u8(from)? != 0;
    Ok(VoteRequest {
        vote,
        last_log_id,
        leadership_transfer,
    })
}

fn take_snapshot_part(from: &mut Bytes) -> Result<SnapshotPart, Malformed> {
    let vote = take_vote(from)?;
    let transfer = take_varint(from)?;
    let part = take_varint(from)?;
    let seal = match take_u8(from)? {
        0 => None,
        _ => Some(take_bytes(from)?),
    };
    let chunk = take_bytes(from)?;
    Ok(SnapshotPart {
        vote,
        transfer,
        part,
        chunk,
        seal,
    })
}

/// Status byte of an answer with a body.
const OK: u8 = 0;

/// The answer that tells why there is none.
pub(crate) fn refuse(why: Refused) -> Bytes {
    let status = match why {
        Refused::NoGroup => 1,
        Refused::Stopped => 2,
        Refused::Malformed => 3,
        Refused::Restart => 4,
        Refused::Failed => 5,
        Refused::Busy => 6,
    };
    Bytes::copy_from_slice(&[status])
}

/// Takes the status off an answer.
fn take_status(from: &mut Bytes) -> Result<Result<(), Refused>, Malformed> {
    Ok(match take_u8(from)? {
        OK => Ok(()),
        1 => Err(Refused::NoGroup),
        2 => Err(Refused::Stopped),
        3 => Err(Refused::Malformed),
        4 => Err(Refused::Restart),
        5 => Err(Refused::Failed),
        6 => Err(Refused::Busy),
        _ => return Err(Malformed("status")),
    })
}

/// A decoded answer: the body, or why there is none.
pub(crate) type Answer<T> = Result<Result<T, Refused>, Malformed>;

fn answer(body: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut to = BytesMut::with_capacity(32);
    to.put_u8(OK);
    body(&mut to);
    to.freeze()
}

fn read<T>(mut from: Bytes, body: impl FnOnce(&mut Bytes) -> Result<T, Malformed>) -> Answer<T> {
    if let Err(refused) = take_status(&mut from)? {
        return Ok(Err(refused));
    }
    let value = body(&mut from)?;
    expect_end(&from)?;
    Ok(Ok(value))
}

pub(crate) fn append_answer(response: &AppendEntriesResponse<Types>) -> Bytes {
    answer(|to| match response {
        AppendEntriesResponse::Success => to.put_u8(0),
        AppendEntriesResponse::Conflict => to.put_u8(1),
        AppendEntriesResponse::HigherVote(vote) => {
            to.put_u8(2);
            put_vote(to, vote);
        }
        AppendEntriesResponse::PartialSuccess(matching) => {
            to.put_u8(3);
            put_log_id_option(to, matching.as_ref());
        }
    })
}

pub(crate) fn read_append_answer(from: Bytes) -> Answer<AppendEntriesResponse<Types>> {
    read(from, |from| match take_u8(from)? {
        0 => Ok(AppendEntriesResponse::Success),
        1 => Ok(AppendEntriesResponse::Conflict),
        2 => Ok(AppendEntriesResponse::HigherVote(take_vote(from)?)),
        3 => Ok(AppendEntriesResponse::PartialSuccess(take_log_id_option(
            from,
        )?)),
        _ => Err(Malformed("append answer")),
    })
}

pub(crate) fn vote_answer(response: &VoteResponse<Types>) -> Bytes {
    answer(|to| {
        put_vote(to, &response.vote);
        to.put_u8(u8::from(response.vote_granted));
        put_log_id_option(to, response.last_log_id.as_ref());
    })
}

pub(crate) fn read_vote_answer(from: Bytes) -> Answer<VoteResponse<Types>> {
    read(from, |from| {
        let vote = take_vote(from)?;
        let granted = take_u8(from)? != 0;
        let last_log_id = take_log_id_option(from)?;
        Ok(VoteResponse {
            vote,
            vote_granted: granted,
            last_log_id,
        })
    })
}

pub(crate) fn transfer_answer() -> Bytes {
    answer(|_| {})
}

pub(crate) fn read_transfer_answer(from: Bytes) -> Answer<()> {
    read(from, |_| Ok(()))
}

pub(crate) fn snapshot_answer(progress: &SnapshotProgress) -> Bytes {
    answer(|to| match progress {
        SnapshotProgress::Next => to.put_u8(0),
        SnapshotProgress::Done(vote) => {
            to.put_u8(1);
            put_vote(to, vote);
        }
    })
}

pub(crate) fn read_snapshot_answer(from: Bytes) -> Answer<SnapshotProgress> {
    read(from, |from| match take_u8(from)? {
        0 => Ok(SnapshotProgress::Next),
        1 => Ok(SnapshotProgress::Done(take_vote(from)?)),
        _ => Err(Malformed("snapshot answer")),
    })
}

#[cfg(test)]
mod tests {
    use openraft::EntryPayload;
    use openraft::entry::RaftEntry;
    use proptest::prelude::*;

    use super::super::types::{Command, Entry, LeaderId, LogId};
    use super::*;

    const GROUP: GroupId = GroupId(0x0123_4567_89ab_cdef);

    fn vote() -> Vote {
        Vote {
            leader_id: LeaderId {
                term: 12,
                voted_for: NodeId(u64::MAX),
            },
            committed: true,
        }
    }

    fn at(index: u64) -> LogId {
        LogId::new_term_index(12, index)
    }

    fn check(request: Request) {
        let bytes = request.encode(GROUP);
        let (group, read) = Request::decode(bytes.clone()).expect("readable");
        assert_eq!(group, GROUP);
        assert_eq!(format!("{read:?}"), format!("{request:?}"));
        for end in 0..bytes.len() {
            assert!(Request::decode(bytes.slice(..end)).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn requests_survive_and_cut_ones_are_refused() {
        let command = EntryPayload::Normal(Command::stored(Bytes::from_static(b"hello")));
        check(Request::Append(AppendEntriesRequest {
            vote: vote(),
            prev_log_id: Some(at(8)),
            entries: vec![
                Entry::new(at(9), command),
                Entry::new(at(10), EntryPayload::Blank),
            ],
            leader_commit: Some(at(7)),
        }));
        check(Request::Vote(VoteRequest::new(vote(), Some(at(3)))));
        check(Request::PreVote(VoteRequest::new(vote(), None)));
        check(Request::Transfer(TransferLeaderRequest::new(
            vote(),
            NodeId(3),
            Some(at(4)),
        )));
        check(Request::Snapshot(SnapshotPart {
            vote: vote(),
            transfer: 5,
            part: 6,
            chunk: Bytes::from_static(b"chunk"),
            seal: Some(Bytes::from_static(b"seal")),
        }));
    }

    #[test]
    fn a_heartbeat_is_small() {
        let heartbeat = Request::Append(AppendEntriesRequest {
            vote: vote(),
            prev_log_id: Some(at(1_000_000)),
            entries: Vec::new(),
            leader_commit: Some(at(1_000_000)),
        });
        let size = heartbeat.encode(GROUP).len();
        assert!(size <= 40, "{size} bytes");
    }

    #[test]
    fn entries_with_a_gap_are_refused() {
        let append = Request::Append(AppendEntriesRequest {
            vote: vote(),
            prev_log_id: Some(at(8)),
            entries: vec![Entry::new(at(10), EntryPayload::Blank)],
            leader_commit: None,
        });
        assert!(Request::decode(append.encode(GROUP)).is_err());
    }

    #[test]
    fn answers_survive() {
        for response in [
            AppendEntriesResponse::Success,
            AppendEntriesResponse::Conflict,
            AppendEntriesResponse::HigherVote(vote()),
            AppendEntriesResponse::PartialSuccess(Some(at(1))),
        ] {
            assert_eq!(
                read_append_answer(append_answer(&response)),
                Ok(Ok(response))
            );
        }
        let response = VoteResponse::new(vote(), Some(at(4)), true);
        assert_eq!(read_vote_answer(vote_answer(&response)), Ok(Ok(response)));
        for progress in [SnapshotProgress::Next, SnapshotProgress::Done(vote())] {
            assert_eq!(
                read_snapshot_answer(snapshot_answer(&progress)),
                Ok(Ok(progress))
            );
        }
        assert_eq!(read_transfer_answer(transfer_answer()), Ok(Ok(())));
        for why in [
            Refused::NoGroup,
            Refused::Stopped,
            Refused::Malformed,
            Refused::Restart,
            Refused::Failed,
            Refused::Busy,
        ] {
            assert_eq!(read_vote_answer(refuse(why)), Ok(Err(why)));
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(raw: Vec<u8>) {
            let bytes = Bytes::from(raw);
            let _ = Request::decode(bytes.clone());
            let _ = read_append_answer(bytes.clone());
            let _ = read_vote_answer(bytes.clone());
            let _ = read_snapshot_answer(bytes);
        }
    }
}
