//! The single-server driver: a command is committed when it is durable here.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::{BufMut, Bytes, BytesMut};
use parking_lot::Mutex;
use storage::wal::{self, Log};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::codec::{Malformed, expect_end, put_varint, take_u8, take_varint};
use crate::in_flight::{InFlight, Permit};
use crate::kind::{Kind, LOCAL_SEAL, REPLICATED_SEAL};
use crate::stop::Stop;
use crate::{
    ChangeError, GroupId, Machine, OpenError, Options, ProposeError, Role, StorageError, blocking,
};

/// Most commands given to the machine in one call.
const APPLY_BATCH_MAX: usize = 256;

/// How much of the log is held in memory at a time while it is applied again.
const REPLAY_READ_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Checkpoints that may wait for their turn.
const CHECKPOINTS_WAITING_MAX: usize = 4;

/// A single server is its own leader for ever.
const TERM: u64 = 1;

/// Log and machine of one group.
pub(crate) struct Local {
    group: GroupId,
    options: Options,
    log: Log,
    queue: Mutex<Queue>,
    in_flight: Arc<InFlight>,
    durable: Arc<Durable>,
    applied: AtomicU64,
    checkpoints: mpsc::Sender<oneshot::Sender<Result<(), StorageError>>>,
    stop: Stop,
    stopped: Stop,
}

/// Commands in the log that are not applied yet, in order.
struct Queue {
    next: u64,
    commands: VecDeque<(u64, Bytes, Permit)>,
}

/// How far the log is durable; written by the log's writer.
struct Durable {
    /// One past the last durable index.
    next: AtomicU64,
    failed: AtomicBool,
    wake: Notify,
}

impl Local {
    /// Opens what is stored, applies again what is in the log after the machine's last checkpoint,
    /// and takes the lead.
    pub(crate) async fn open(
        options: &Options,
        group: GroupId,
        machine: Arc<dyn Machine>,
    ) -> Result<Arc<Self>, OpenError> {
        let log = options.wal.log(group);
        Kind::Local.claim(group, &log)?;
        let sealed = match machine.seal() {
            Some(seal) => decode_seal(seal).map_err(|error| StorageError::Machine {
                group,
                reason: error.to_string(),
            })?,
            None => 0,
        };
        let next = replay(group, &log, &*machine, sealed).await?;
        let (checkpoints, requests) = mpsc::channel(CHECKPOINTS_WAITING_MAX);
        let limits = &options.limits;
        let local = Arc::new(Self {
            group,
            options: options.clone(),
            log,
            queue: Mutex::new(Queue {
                next,
                commands: VecDeque::new(),
            }),
            in_flight: InFlight::new(limits.in_flight_count_max, limits.in_flight_bytes_max),
            durable: Arc::new(Durable {
                next: AtomicU64::new(next),
                failed: AtomicBool::new(false),
                wake: Notify::new(),
            }),
            applied: AtomicU64::new(next - 1),
            checkpoints,
            stop: Stop::new(),
            stopped: Stop::new(),
        });
        machine.role(Role::Leader { term: TERM });
        tokio::spawn(local.clone().run(machine, requests));
        Ok(local)
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.is_raised()
    }

    pub(crate) fn propose(&self, command: Bytes) -> Result<(), ProposeError> {
        let size = command.len();
        let limit = self.options.limits.command_bytes_max;
        if size > limit {
            return Err(ProposeError::TooLarge { size, limit });
        }
        let permit = self.in_flight.enter(size).ok_or(ProposeError::Busy)?;
        let durable = self.durable.clone();
        // The lock makes the order in the log the order in the queue.
        let mut queue = self.queue.lock();
        if self.stop.is_raised() {
            return Err(ProposeError::Closed);
        }
        let index = queue.next;
        let done = move |result: Result<(), wal::Error>| durable.report(index, result);
        self.log
            .append(index, vec![command.clone()], done)
            .map_err(propose_error)?;
        queue.next += 1;
        queue.commands.push_back((index, command, permit));
        Ok(())
    }

    async fn run(
        self: Arc<Self>,
        machine: Arc<dyn Machine>,
        mut requests: mpsc::Receiver<oneshot::Sender<Result<(), StorageError>>>,
    ) {
        let mut batch = Vec::new();
        // Also when the machine panics: then nothing more may be taken.
        let _end = End(&self);
        loop {
            tokio::select! {
                () = self.durable.wake.notified() => {}
                () = self.stop.stopped() => break,
                Some(answer) = requests.recv() => {
                    let _ = answer.send(self.write_checkpoint(&machine).await);
                }
            }
            while self.apply_some(&*machine, &mut batch) {
                tokio::task::yield_now().await;
            }
            if self.durable.failed.load(Ordering::Acquire) {
                tracing::error!(group = %self.group, "group stopped: its log failed");
                self.stop.raise();
                break;
            }
        }
        self.stop.raise();
        machine.role(Role::Follower { leader: None });
    }

    /// Applies durable commands, up to one batch. `true` if there may be more.
    fn apply_some(&self, machine: &dyn Machine, batch: &mut Vec<(u64, Bytes)>) -> bool {
        let durable = self.durable.next.load(Ordering::Acquire);
        let mut permits = Vec::new();
        {
            let mut queue = self.queue.lock();
            while batch.len() < APPLY_BATCH_MAX
                && queue
                    .commands
                    .front()
                    .is_some_and(|(index, ..)| *index < durable)
            {
                if let Some((index, command, permit)) = queue.commands.pop_front() {
                    batch.push((index, command));
                    permits.push(permit);
                }
            }
        }
        let Some((last, _)) = batch.last() else {
            return false;
        };
        let last = *last;
        machine.apply_batch(batch);
        batch.clear();
        self.applied.store(last, Ordering::Release);
        permits.len() == APPLY_BATCH_MAX
    }

    async fn write_checkpoint(&self, machine: &Arc<dyn Machine>) -> Result<(), StorageError> {
        let applied = self.applied_index();
        if applied == 0 {
            return Ok(());
        }
        let (machine, seal) = (machine.clone(), encode_seal(applied));
        blocking::run(self.options.blocking, move || machine.checkpoint(seal))
            .await
            .map_err(|error| StorageError::Machine {
                group: self.group,
                reason: error.to_string(),
            })?;
        self.log
            .purge_to(applied)
            .map_err(|error| log_error(self.group, &error))
    }

    pub(crate) async fn checkpoint(&self) -> Result<(), ChangeError> {
        let (answer, wait) = oneshot::channel();
        self.checkpoints
            .send(answer)
            .await
            .map_err(|_| ChangeError::Closed)?;
        Ok(wait.await.map_err(|_| ChangeError::Closed)??)
    }

    pub(crate) fn role(&self) -> Role {
        if self.stop.is_raised() {
            Role::Follower { leader: None }
        } else {
            Role::Leader { term: TERM }
        }
    }

    pub(crate) fn node(&self) -> crate::NodeId {
        self.options.node
    }

    pub(crate) fn term(&self) -> u64 {
        TERM
    }

    pub(crate) fn applied_index(&self) -> u64 {
        self.applied.load(Ordering::Acquire)
    }

    pub(crate) fn commit_lag(&self) -> u64 {
        self.queue.lock().commands.len() as u64
    }

    /// Stops; what is in the log and not applied yet will be applied at the next start.
    pub(crate) async fn shutdown(&self) {
        {
            let _order = self.queue.lock();
            self.stop.raise();
        }
        self.stopped.stopped().await;
    }
}

/// Says that a group has stopped, however that came.
struct End<'a>(&'a Local);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.stop.raise();
        self.0.stopped.raise();
    }
}

impl Durable {
    fn report(&self, index: u64, result: Result<(), wal::Error>) {
        match result {
            Ok(()) => self.next.fetch_max(index + 1, Ordering::Release),
            Err(_) => u64::from(self.failed.swap(true, Ordering::Release)),
        };
        self.wake.notify_one();
    }
}

/// Applies the log after `sealed` again. Returns the next index.
async fn replay(
    group: GroupId,
    log: &Log,
    machine: &dyn Machine,
    sealed: u64,
) -> Result<u64, StorageError> {
    let stored: Range<u64> = log.first_index()..log.next_index();
    if stored.end <= sealed + 1 {
        // Nothing is newer than the checkpoint, which may have outlived the log.
        if stored.end != 0 {
            log.purge_to(sealed)
                .map_err(|error| log_error(group, &error))?;
        }
        return Ok(sealed + 1);
    }
    if stored.start > sealed + 1 {
        let reason = format!(
            "the log begins at index {}, but the last checkpoint is of {sealed}",
            stored.start
        );
        return Err(StorageError::Inconsistent { group, reason });
    }
    let mut next = sealed + 1;
    while next < stored.end {
        let commands = log
            .read(next..stored.end, REPLAY_READ_BYTES_MAX)
            .map_err(|error| log_error(group, &error))?;
        let count = commands.len() as u64;
        let mut batch: Vec<(u64, Bytes)> = (next..).zip(commands).collect();
        machine.apply_batch(&mut batch);
        next += count;
        tokio::task::yield_now().await;
    }
    Ok(next)
}

fn encode_seal(applied: u64) -> Bytes {
    let mut to = BytesMut::new();
    to.put_u8(LOCAL_SEAL);
    put_varint(&mut to, applied);
    to.freeze()
}

/// A machine that comes from a replicated group counts anew; its log must begin at the start.
fn decode_seal(mut from: Bytes) -> Result<u64, Malformed> {
    if from.first() == Some(&REPLICATED_SEAL) {
        return Ok(0);
    }
    if take_u8(&mut from)? != LOCAL_SEAL {
        return Err(Malformed("seal of a local group"));
    }
    let applied = take_varint(&mut from)?;
    expect_end(&from)?;
    if applied == u64::MAX {
        return Err(Malformed("seal of a local group"));
    }
    Ok(applied)
}

fn log_error(group: GroupId, error: &wal::Error) -> StorageError {
    StorageError::Log {
        group,
        reason: error.to_string(),
    }
}

fn propose_error(error: wal::Error) -> ProposeError {
    match error {
        wal::Error::Full => ProposeError::Full,
        wal::Error::Busy { .. } => ProposeError::Busy,
        wal::Error::TooLarge { bytes, limit_bytes } => ProposeError::TooLarge {
            size: bytes as usize,
            limit: limit_bytes as usize,
        },
        error => {
            if !matches!(error, wal::Error::Closed) {
                tracing::error!(%error, "log took no command");
            }
            ProposeError::Closed
        }
    }
}
