//! The receiving side of a snapshot transfer.

use bytes::Bytes;
use futures::FutureExt;
use futures::future::Shared;
use openraft::storage::Snapshot;
use openraft::vote::RaftVote;
use parking_lot::Mutex;

use super::frame::{Refused, SnapshotPart, SnapshotProgress, refuse, snapshot_answer};
use super::record::Seal;
use super::replica::Replica;
use super::state::SnapshotData;
use super::types::{SnapshotMeta, Vote};
use crate::{BoxFuture, SnapshotWriter, blocking};

/// The transfer under way, at most one: a new one takes the place of an old one.
#[derive(Default)]
pub(crate) struct Receiver {
    current: Mutex<Option<Transfer>>,
    latest_install: Mutex<Option<Install>>,
}

struct Transfer {
    vote: Vote,
    id: u64,
    next: u64,
    writer: Box<dyn SnapshotWriter>,
}

/// A complete transfer and the answer to its last part. The sender asks again when that answer got
/// lost, or takes long.
struct Install {
    vote: Vote,
    id: u64,
    answer: Shared<BoxFuture<'static, Bytes>>,
}

impl Replica {
    /// Stores one part; with the last one the snapshot takes the place of the machine's state.
    pub(super) async fn receive(&self, part: SnapshotPart) -> Bytes {
        let vote = self.vote();
        if RaftVote::partial_cmp(&part.vote, &vote).is_none_or(|order| order.is_lt()) {
            return snapshot_answer(&SnapshotProgress::Done(vote));
        }
        if part.seal.is_some()
            && let Some(answer) = self.answer_of_install(&part)
        {
            return answer.await;
        }
        let mut transfer = match self.expected_transfer(&part).await {
            Ok(transfer) => transfer,
            Err(refused) => return refuse(refused),
        };
        if !part.chunk.is_empty() {
            let (mut writer, chunk) = (transfer.writer, part.chunk);
            let stored = blocking::run(self.blocking(), move || {
                writer.chunk(chunk)?;
                Ok(writer)
            });
            transfer.writer = match stored.await {
                Ok(writer) => writer,
                Err(error) => {
                    tracing::warn!(group = %self.group(), %error, "snapshot chunk not stored");
                    return refuse(Refused::Failed);
                }
            };
        }
        match part.seal {
            None => {
                transfer.next += 1;
                *self.receiver.current.lock() = Some(transfer);
                snapshot_answer(&SnapshotProgress::Next)
            }
            Some(seal) => self.finish(transfer, seal).await,
        }
    }

    /// The transfer that this part continues or begins. While its chunk is stored it is out of
    /// the receiver, so a repeated part finds nothing and the sender begins anew.
    async fn expected_transfer(&self, part: &SnapshotPart) -> Result<Transfer, Refused> {
        if part.part == 0 {
            *self.receiver.current.lock() = None;
            let machine = self.machine();
            let writer = blocking::run(self.blocking(), move || machine.receive());
            let writer = writer.await.map_err(|error| {
                tracing::warn!(group = %self.group(), %error, "snapshot not accepted");
                Refused::Failed
            })?;
            return Ok(Transfer {
                vote: part.vote,
                id: part.transfer,
                next: 0,
                writer,
            });
        }
        let mut current = self.receiver.current.lock();
        let fits = current.as_ref().is_some_and(|transfer| {
            (transfer.vote, transfer.id, transfer.next) == (part.vote, part.transfer, part.part)
        });
        if fits {
            current.take().ok_or(Refused::Restart)
        } else {
            Err(Refused::Restart)
        }
    }

    fn answer_of_install(&self, part: &SnapshotPart) -> Option<Shared<BoxFuture<'static, Bytes>>> {
        let install = self.receiver.latest_install.lock();
        let install = install.as_ref()?;
        ((install.vote, install.id) == (part.vote, part.transfer)).then(|| install.answer.clone())
    }

    async fn finish(&self, transfer: Transfer, seal: Bytes) -> Bytes {
        let Ok(seal) = Seal::decode(seal) else {
            return refuse(Refused::Malformed);
        };
        let meta = SnapshotMeta {
            last_log_id: seal.applied,
            last_membership: seal.membership,
        };
        let snapshot = Snapshot {
            meta,
            snapshot: SnapshotData::In(transfer.writer),
        };
        let (raft, vote, id) = (self.raft().clone(), transfer.vote, transfer.id);
        let install = async move {
            match raft.install_full_snapshot(vote, snapshot).await {
                Ok(response) => snapshot_answer(&SnapshotProgress::Done(response.vote)),
                Err(_) => refuse(Refused::Stopped),
            }
        };
        let answer = install.boxed().shared();
        *self.receiver.latest_install.lock() = Some(Install {
            vote,
            id,
            answer: answer.clone(),
        });
        answer.await
    }
}
