//! The asking side: openraft's clients, on top of the server's transport.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use futures::stream::{self, StreamExt};
use openraft::OptionalSend;
use openraft::errors::{
    NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable,
};
use openraft::network::{RPCOption, RPCTypes, RaftNetworkFactory, RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};

use super::frame::{
    Answer, Refused, Request, SnapshotPart, SnapshotProgress, read_append_answer,
    read_snapshot_answer, read_transfer_answer, read_vote_answer,
};
use super::record::Seal;
use super::state::{SnapshotData, SnapshotOf};
use super::types::{LogId, Types, Vote};
use crate::blocking;
use crate::machine::SNAPSHOT_CHUNK_MAX_BYTES;
use crate::{
    Blocking, BoxFuture, GroupId, Lane, Limits, MachineError, NodeId, SnapshotReader, Timing,
    Transport, TransportError,
};

/// Makes clients for the peers of one group.
#[derive(Clone)]
pub(crate) struct Network {
    pub group: GroupId,
    pub node: NodeId,
    pub transport: Arc<dyn Transport>,
    pub timing: Timing,
    pub limits: Limits,
    pub blocking: Blocking,
    /// Numbers the snapshot transfers of this replica.
    pub transfers: Arc<AtomicU64>,
}

/// A client for one peer.
pub(crate) struct Peer {
    network: Network,
    to: NodeId,
    lane: Lane,
}

impl Network {
    fn peer(&self, to: NodeId, lane: Lane) -> Peer {
        Peer {
            network: self.clone(),
            to,
            lane,
        }
    }
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Peer;

    async fn new_client(&mut self, to: NodeId, _: &()) -> Peer {
        self.peer(to, Lane::Append)
    }

    async fn new_heartbeat_client(&mut self, to: NodeId, _: &()) -> Peer {
        self.peer(to, Lane::Heartbeat)
    }

    async fn new_snapshot_client(&mut self, to: NodeId, _: &()) -> Peer {
        self.peer(to, Lane::Snapshot)
    }
}

impl Peer {
    /// Sends a request. It is on its way when this returns, not when the future is first polled, so
    /// requests keep the order of the calls.
    fn call<T: Send + 'static>(
        &self,
        lane: Lane,
        request: &Request,
        timeout: Duration,
        read: fn(Bytes) -> Answer<T>,
    ) -> BoxFuture<'static, Result<T, RPCError<Types>>> {
        let (node, to) = (self.network.node, self.to);
        let action = action(request);
        let bytes = request.encode(self.network.group);
        let answer = self.network.transport.call(to, lane, bytes, timeout);
        Box::pin(async move {
            let answer = answer.await.map_err(|error| match error {
                TransportError::Timeout { .. } => RPCError::Timeout(Timeout {
                    action,
                    id: node,
                    target: to,
                    timeout,
                }),
                TransportError::Unreachable { .. } => {
                    RPCError::Unreachable(Unreachable::new(&error))
                }
                TransportError::Lost { .. } => RPCError::Network(NetworkError::new(&error)),
            })?;
            match read(answer) {
                Ok(Ok(value)) => Ok(value),
                // Nothing will change within a moment: wait before another try.
                Ok(Err(refused @ (Refused::NoGroup | Refused::Stopped | Refused::Busy))) => {
                    Err(RPCError::Unreachable(Unreachable::new(&refused)))
                }
                Ok(Err(refused)) => Err(RPCError::Network(NetworkError::new(&refused))),
                Err(malformed) => Err(RPCError::Network(NetworkError::new(&malformed))),
            }
        })
    }

    /// An append waits for the peer's disk. That it takes long is no reason to send it again.
    fn append_timeout(&self) -> Duration {
        match self.lane {
            Lane::Heartbeat => Duration::from_millis(self.network.timing.heartbeat_ms),
            _ => self.network.timing.failover_max(),
        }
    }

    async fn send_snapshot(
        &self,
        vote: Vote,
        snapshot: SnapshotOf,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let mut reader = match snapshot.snapshot {
            SnapshotData::Out(Ok(reader)) => reader,
            SnapshotData::Out(Err(error)) => return Err(machine_error(&error)),
            SnapshotData::Stored | SnapshotData::In(_) => {
                return Err(NetworkError::from_string("snapshot has no reader").into());
            }
        };
        let transfer = self.network.transfers.fetch_add(1, Ordering::Relaxed);
        let mut part = 0;
        loop {
            let (back, chunk) = self
                .next_chunk(reader)
                .await
                .map_err(|error| machine_error(&error))?;
            reader = back;
            let seal = chunk.is_none().then(|| {
                let meta = &snapshot.meta;
                Seal {
                    applied: meta.last_log_id,
                    membership: meta.last_membership.clone(),
                }
                .encode()
            });
            let chunk = chunk.unwrap_or_default();
            let sent = SnapshotPart {
                vote,
                transfer,
                part,
                chunk,
                seal,
            };
            match self.send_part(sent).await? {
                SnapshotProgress::Next => part += 1,
                SnapshotProgress::Done(vote) => return Ok(SnapshotResponse { vote }),
            }
        }
    }

    /// Sends a part. The last one is answered only when the snapshot has been installed: while that
    /// takes long, or if request or answer got lost, it is sent again.
    async fn send_part(&self, part: SnapshotPart) -> Result<SnapshotProgress, RPCError<Types>> {
        let timing = &self.network.timing;
        let timeout_ms = timing.snapshot_chunk_timeout_ms.max(1);
        let mut tries = match part.seal {
            Some(_) => timing.snapshot_install_timeout_ms.div_ceil(timeout_ms),
            None => 1,
        };
        let (request, timeout) = (Request::Snapshot(part), Duration::from_millis(timeout_ms));
        loop {
            let answer = self.call(Lane::Snapshot, &request, timeout, read_snapshot_answer);
            tries = tries.saturating_sub(1);
            match answer.await {
                Err(RPCError::Timeout(_)) if tries > 0 => {}
                answer => return answer,
            }
        }
    }

    async fn next_chunk(
        &self,
        mut reader: Box<dyn SnapshotReader>,
    ) -> Result<(Box<dyn SnapshotReader>, Option<Bytes>), MachineError> {
        blocking::run(self.network.blocking, move || {
            let chunk = reader.next_chunk()?;
            if chunk
                .as_ref()
                .is_some_and(|chunk| chunk.len() > SNAPSHOT_CHUNK_MAX_BYTES)
            {
                return Err(MachineError::new("snapshot chunk is too long"));
            }
            Ok((reader, chunk))
        })
        .await
    }
}

impl RaftNetworkV2<Types> for Peer {
    type SnapshotData = SnapshotData;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types>,
        _: RPCOption,
    ) -> Result<AppendEntriesResponse<Types>, RPCError<Types>> {
        let timeout = self.append_timeout();
        self.call(
            self.lane,
            &Request::Append(rpc),
            timeout,
            read_append_answer,
        )
        .await
    }

    /// Keeps several appends on their way. Answers come out in the order of the requests, and the
    /// first that is not a plain success ends the stream: openraft then starts another.
    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        _: RPCOption,
    ) -> BoxFuture<'s, Result<Results<'s>, RPCError<Types>>>
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + OptionalSend + Unpin + 'static,
    {
        let window = self.network.limits.append_window.max(1);
        let this = &*self;
        let timeout = this.append_timeout();
        let answers = input
            .map(move |rpc| {
                let (prev, last) = range(&rpc);
                let answer = this.call(
                    this.lane,
                    &Request::Append(rpc),
                    timeout,
                    read_append_answer,
                );
                async move { answer.await.map(|answer| (answer, prev, last)) }
            })
            .buffered(window);
        let results = stream::unfold(Some((Box::pin(answers), None)), |state| async move {
            let (mut answers, acked) = state?;
            let (answer, prev, last) = match answers.next().await? {
                Ok(answer) => answer,
                Err(error) => return Some((Err(error), None)),
            };
            // A conflict names the position that the request built on. If the peer has that by now,
            // the request overtook another on the way: no conflict, but to be sent again.
            if answer.is_conflict() && prev <= acked {
                let error = NetworkError::from_string("appends arrived out of order");
                return Some((Err(RPCError::Network(error)), None));
            }
            let rest = answer.is_success().then_some((answers, last));
            Some((Ok(answer.into_stream_result(prev, last)), rest))
        });
        let results: Results<'s> = Box::pin(results);
        Box::pin(async move { Ok(results) })
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.call(
            Lane::Vote,
            &Request::Vote(rpc),
            option.hard_ttl(),
            read_vote_answer,
        )
        .await
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.call(
            Lane::Vote,
            &Request::PreVote(rpc),
            option.hard_ttl(),
            read_vote_answer,
        )
        .await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: SnapshotOf,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        tokio::select! {
            closed = cancel => Err(closed.into()),
            result = self.send_snapshot(vote, snapshot) => result,
        }
    }

    async fn transfer_leader(
        &mut self,
        req: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
        let request = Request::Transfer(req);
        self.call(
            Lane::Vote,
            &request,
            option.hard_ttl(),
            read_transfer_answer,
        )
        .await?;
        Ok(Ok(()))
    }
}

type Results<'s> = openraft::rt::BoxStream<'s, Result<StreamAppendResult<Types>, RPCError<Types>>>;

/// The positions before and at the end of a request.
fn range(rpc: &AppendEntriesRequest<Types>) -> (Option<LogId>, Option<LogId>) {
    let last = rpc.entries.last().map(|entry| entry.log_id);
    (rpc.prev_log_id, last.or(rpc.prev_log_id))
}

fn action(request: &Request) -> RPCTypes {
    match request {
        Request::Append(_) => RPCTypes::AppendEntries,
        Request::Vote(_) | Request::PreVote(_) => RPCTypes::Vote,
        Request::Transfer(_) => RPCTypes::TransferLeader,
        Request::Snapshot(_) => RPCTypes::InstallSnapshot,
    }
}

/// Worth another try later, and no reason to stop the group.
fn machine_error(error: &MachineError) -> StreamingError<Types> {
    StreamingError::Unreachable(Unreachable::new(error))
}
