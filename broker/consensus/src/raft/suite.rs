//! openraft's own conformance suite, over our log and our state.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::{OptionalSend, StorageError};
use parking_lot::Mutex;
use storage::fs::SimFs;
use storage::wal::{self, Wal};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::log_store::LogStore;
use super::state::{Builder, SnapshotData, SnapshotOf, State};
use super::types::{LogId, Runtime, SnapshotMeta, StoredMembership, Types};
use crate::stop::Stop;
use crate::{
    Blocking, GroupId, Limits, Machine, MachineError, Role, SnapshotReader, SnapshotWriter,
};

const GROUP: GroupId = GroupId(1);

/// A machine that keeps nothing but its seal.
#[derive(Default)]
struct Sealed(Arc<Mutex<Option<Bytes>>>);

impl Machine for Sealed {
    fn apply(&self, _: u64, _: Bytes) {}

    fn role(&self, _: Role) {}

    fn checkpoint(&self, seal: Bytes) -> Result<(), MachineError> {
        *self.0.lock() = Some(seal);
        Ok(())
    }

    fn seal(&self) -> Option<Bytes> {
        self.0.lock().clone()
    }

    fn snapshot(&self) -> Result<Box<dyn SnapshotReader>, MachineError> {
        Err(MachineError::new("nothing to read"))
    }

    fn receive(&self) -> Result<Box<dyn SnapshotWriter>, MachineError> {
        Ok(Box::new(Sealed(self.0.clone())))
    }
}

impl SnapshotWriter for Sealed {
    fn chunk(&mut self, _: Bytes) -> Result<(), MachineError> {
        Ok(())
    }

    fn finish(&mut self, seal: Bytes) -> Result<(), MachineError> {
        self.checkpoint(seal)
    }
}

/// The suite installs what it got from another state machine, without a network in between.
struct Direct {
    state: State,
    machine: Arc<dyn Machine>,
}

impl RaftStateMachine<Types> for Direct {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        self.state.applied_state().await
    }

    async fn apply<Strm>(&mut self, entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = io::Result<EntryResponder<Types>>> + Unpin + OptionalSend,
    {
        self.state.apply(entries).await
    }

    async fn try_create_snapshot_builder(&mut self, force: bool) -> Option<Builder> {
        self.state.try_create_snapshot_builder(force).await
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        self.state.get_snapshot_builder().await
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, _: SnapshotData) -> io::Result<()> {
        let writer = self.machine.receive().map_err(io::Error::other)?;
        self.state
            .install_snapshot(meta, SnapshotData::In(writer))
            .await
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<SnapshotOf>> {
        self.state.get_current_snapshot().await
    }
}

struct Stores;

/// Ends the writer of a log.
struct Writer(JoinHandle<()>);

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl StoreBuilder<Types, LogStore, Direct, Writer> for Stores {
    async fn build(&self) -> Result<(Writer, LogStore, Direct), StorageError<Types>> {
        let mut options = wal::Options::new(Arc::new(|| Duration::ZERO));
        options.segment_size_bytes = 64 * 1024;
        let wal = Wal::open(Arc::new(SimFs::new(1)), Path::new("/wal"), options).expect("opens");
        let wake = Arc::new(Notify::new());
        let notify = wake.clone();
        wal.set_wakeup(Arc::new(move || notify.notify_one()));
        let log = wal.log(GROUP);
        let writer = tokio::spawn(async move {
            loop {
                while wal.commit_pending() {}
                wake.notified().await;
            }
        });
        let limit = Limits::default().append_bytes_max as u64;
        let store = LogStore::open(log, Stop::new(), limit).expect("opens");
        let machine: Arc<dyn Machine> = Arc::new(Sealed::default());
        let state =
            State::open(GROUP, machine.clone(), Blocking::Inline, Stop::new()).expect("opens");
        Ok((Writer(writer), store, Direct { state, machine }))
    }
}

#[tokio::test]
async fn our_log_and_state_are_what_openraft_expects() {
    Runtime::scope(1, Suite::test_all(Stores))
        .await
        .expect("the suite passes");
}
