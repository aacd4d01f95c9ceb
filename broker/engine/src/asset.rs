//! One stream replica on this server: its state, its log, and who waits for what.
//!
//! The state changes only by committed commands ([`machine`]). While this replica leads, a task
//! proposes what clients send and delivers to consumers (`crate::lead`).

mod machine;
mod places;
mod snapshot;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use bytes::Bytes;
use consensus::{Group, NodeId, ProposeError, Role};
use jetstream::api::publish::PubAckWriter;
use jetstream::command::Action;
use jetstream::config::Storage;
use jetstream::stream::Answer;
use jetstream::{ApiError, Command, StreamConfig, StreamMachine};
use messages::StoredMessage;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, oneshot, watch};

use crate::allowance::{TierUsage, replicas_of};
use crate::env::Env;
use crate::forward::Strays;
use crate::lead::Live;
use crate::meta::{Assignment, ReplyTo, StreamKey};
use crate::peer::Usage;
use crate::proposals::{Proposals, Waiter};
use crate::room::Share;

pub use places::is_volatile;

use places::Places;

/// A stream replica. Shared by its group, its leader task and the API.
pub struct Asset {
    pub env: Arc<Env>,
    pub assignment: RwLock<Assignment>,
    state: RwLock<State>,
    proposals: Mutex<Proposals>,
    role: watch::Sender<Role>,
    /// Counts changes of the role.
    role_count: AtomicU64,
    log: OnceLock<Log>,
    places: Places,
    /// Answers due when this replica first leads: the requests that created the stream.
    announcements: Mutex<Vec<ReplyTo>>,
    /// The leader's working set while this replica leads.
    live: Mutex<Option<Arc<Live>>>,
    /// Set when this replica stops for good.
    ended: watch::Sender<bool>,
    this: Weak<Asset>,
    /// Publishes that a leadership which ended here left over.
    pub strays: Strays,
    /// Held while the group is being made what the assignment says.
    pub(crate) conforming: tokio::sync::Mutex<()>,
    /// What the account may still store: publishes that do not fit are refused.
    share: RwLock<Share>,
    /// Writes the acknowledgements of publishes.
    pub acks: PubAckWriter,
    /// Something was applied: there is room for proposals again.
    pub applied: Notify,
}

/// Everything the log decides.
pub struct State {
    pub machine: StreamMachine,
    /// Why this replica stopped applying; it then serves nothing.
    failed: Option<String>,
}

/// Where proposals go.
enum Log {
    Group(Group),
    /// A memory stream on a server that stands alone: nothing survives a restart, so nothing is
    /// logged and a proposal is applied at once.
    Volatile(Mutex<u64>),
}

impl Asset {
    /// Opens what is stored for the assignment, or an empty stream. It takes no part in anything
    /// until [`Asset::start`].
    pub fn open(env: Arc<Env>, assignment: Assignment) -> Result<Arc<Asset>, OpenError> {
        let places = Places::new(&env.options.store_dir, assignment.group_id());
        let state = places.load(&*env.fs, &env, &assignment)?;
        let node = env.node();
        Ok(Arc::new_cyclic(|this| Asset {
            this: this.clone(),
            strays: Strays::default(),
            conforming: tokio::sync::Mutex::default(),
            share: RwLock::default(),
            acks: PubAckWriter::new(&assignment.config.name, &env.options.domain),
            proposals: Mutex::new(Proposals::new(node.0 ^ env.options.start_id)),
            assignment: RwLock::new(assignment),
            state: RwLock::new(state),
            role: watch::Sender::new(Role::Follower { leader: None }),
            role_count: AtomicU64::new(0),
            log: OnceLock::new(),
            places,
            announcements: Mutex::default(),
            live: Mutex::default(),
            ended: watch::Sender::new(false),
            applied: Notify::new(),
            env,
        }))
    }

    /// Joins the replica to its group.
    pub fn attach(&self, group: Group) {
        self.log.set(Log::Group(group)).ok();
    }

    /// Makes a memory stream of a lone server work without a log.
    pub fn attach_volatile(&self) {
        self.log.set(Log::Volatile(Mutex::new(0))).ok();
        self.role.send_replace(Role::Leader { term: 1 });
    }

    /// Whether its log is open.
    pub(crate) fn is_attached(&self) -> bool {
        self.log.get().is_some()
    }

    pub(crate) fn this(&self) -> Option<Arc<Asset>> {
        self.this.upgrade()
    }

    pub fn key(&self) -> StreamKey {
        self.assignment.read().key()
    }

    pub fn account(&self) -> String {
        self.assignment.read().account.clone()
    }

    pub fn group(&self) -> Option<&Group> {
        match self.log.get()? {
            Log::Group(group) => Some(group),
            Log::Volatile(_) => None,
        }
    }

    pub fn role_changes(&self) -> watch::Receiver<Role> {
        self.role.subscribe()
    }

    /// Returns when this replica has stopped for good.
    pub async fn ended(&self) {
        // The sender lives as long as this replica.
        self.ended.subscribe().wait_for(|ended| *ended).await.ok();
    }

    pub fn has_ended(&self) -> bool {
        *self.ended.borrow()
    }

    pub fn is_leader(&self) -> bool {
        matches!(*self.role.borrow(), Role::Leader { .. })
    }

    /// Who leads, if known.
    pub fn leader(&self) -> Option<NodeId> {
        match *self.role.borrow() {
            Role::Leader { .. } => Some(self.env.node()),
            Role::Follower { leader } => leader.or_else(|| self.group()?.leader()),
        }
    }

    /// Reads the replicated state.
    pub fn read<T>(&self, read: impl FnOnce(&StreamMachine) -> T) -> T {
        read(&self.state.read().machine)
    }

    pub fn config(&self) -> StreamConfig {
        self.read(|machine| machine.config().clone())
    }

    /// Why the replica is out of service, if it is.
    pub fn failure(&self) -> Option<String> {
        self.state.read().failed.clone()
    }

    pub fn weak(&self) -> Weak<Asset> {
        self.this.clone()
    }

    pub fn live(&self) -> Option<Arc<Live>> {
        self.live.lock().clone()
    }

    pub(crate) fn set_live(&self, live: Option<Arc<Live>>) {
        *self.live.lock() = live;
    }

    /// Has the create request answered by whichever replica leads first.
    pub fn announce(&self, reply: ReplyTo) {
        self.announcements.lock().push(reply);
    }

    pub(crate) fn take_announcements(&self) -> Vec<ReplyTo> {
        std::mem::take(&mut self.announcements.lock())
    }

    /// Proposes an action and waits until it is applied; `None` if that will not be known.
    pub async fn request(&self, action: Action) -> Option<Result<Answer, ApiError>> {
        let (sender, outcome) = oneshot::channel();
        self.propose(action, Some(Waiter::Request(sender))).ok()?;
        outcome.await.ok()
    }

    /// Whether nobody waits here for what a former leadership of this replica began.
    pub fn is_settled(&self) -> bool {
        self.strays.is_empty() && self.proposals.lock().is_empty()
    }

    /// Hands a command to the log. The waiter learns the outcome when it is applied here.
    pub fn propose(&self, action: Action, waiter: Option<Waiter>) -> Result<(), ProposeError> {
        let proposal = waiter.map(|waiter| self.proposals.lock().register(waiter));
        let command = Command {
            time_ns: self.env.now_ns(),
            proposal,
            action,
        };
        let outcome = match self.log.get() {
            Some(Log::Group(group)) => group.propose(command.encode()),
            Some(Log::Volatile(index)) => {
                self.apply_here(index, command);
                Ok(())
            }
            None => Err(ProposeError::Closed),
        };
        if let (Err(_), Some(id)) = (&outcome, proposal) {
            self.proposals.lock().take(id);
        }
        outcome
    }

    /// The role's number, for [`Asset::propose_as`]; to be read before the role.
    pub(crate) fn role_count(&self) -> u64 {
        self.role_count.load(Ordering::Acquire)
    }

    /// Proposes what was made of the state as of a leadership, unless that has ended: under another
    /// one it would not follow what it was made of.
    pub(crate) fn propose_as(
        &self,
        role_count: u64,
        action: Action,
        waiter: Option<Waiter>,
    ) -> Result<(), ProposeError> {
        match self.role_count() == role_count {
            true => self.propose(action, waiter),
            false => Err(ProposeError::NotLeader { leader: None }),
        }
    }

    fn apply_here(&self, index: &Mutex<u64>, command: Command) {
        // The lock also orders concurrent proposals.
        let mut index = index.lock();
        *index += 1;
        self.apply_commands([(*index, command)].into_iter());
    }

    /// What the stream uses, with all its replicas, and what its consumers do.
    pub fn usage(&self) -> TierUsage {
        let replicas = self.assignment.read().replicas.len().max(1) as u64;
        self.read(|machine| {
            let bytes = machine.store().bytes() * replicas;
            let (file_bytes, memory_bytes) = match machine.config().storage {
                Storage::File => (bytes, 0),
                Storage::Memory => (0, bytes),
            };
            let config = machine.config();
            let stream = Usage {
                memory_bytes,
                file_bytes,
                streams: 1,
                consumers: 0,
            };
            let mut usage = TierUsage::from([(replicas_of(config), stream)]);
            for consumer in machine.consumers().values() {
                let replicas = consumer.config.replicas(config);
                usage.entry(replicas).or_default().consumers += 1;
            }
            usage
        })
    }

    /// What the account may still store of streams like this.
    pub fn share(&self) -> Share {
        self.share.read().clone()
    }

    pub(crate) fn set_share(&self, share: Share) {
        *self.share.write() = share;
    }

    /// Puts back a damaged message with a replica's copy.
    pub fn repair(&self, message: StoredMessage) -> Result<(), messages::Error> {
        self.state.write().machine.store_mut().repair(message)
    }

    /// Whether new publishes must be refused because the device is full.
    pub fn is_full(&self) -> bool {
        self.env.wal.is_full() || self.read(|machine| machine.store().is_full())
    }

    /// Makes everything applied durable and drops the log before it.
    pub async fn checkpoint(&self) {
        if let Some(group) = self.group()
            && let Err(error) = group.checkpoint().await
        {
            let (account, stream) = self.key();
            tracing::warn!(account, stream, %error, "checkpoint failed, will be tried again");
        }
    }

    /// Stops taking part. Data stay.
    pub async fn shutdown(&self) {
        if let Some(group) = self.group() {
            group.shutdown().await;
        }
    }

    /// Stops at once and for good. Data stay.
    pub async fn close(&self) {
        self.ended.send_replace(true);
        if let Some(group) = self.group() {
            group.halt().await;
        }
    }

    /// Stops and deletes everything this server has of the stream.
    pub async fn remove(&self) {
        self.ended.send_replace(true);
        if self.is_leader() {
            let bytes = self.read(|machine| machine.store().bytes());
            self.share.read().count(bytes, 0);
        }
        if let Some(group) = self.group() {
            group.remove().await.ok();
        }
        if let Err(error) = self.places.delete(&*self.env.fs) {
            let (account, stream) = self.key();
            tracing::warn!(account, stream, %error, "could not delete all files of the stream");
        }
    }

    /// Deletes the files of a replica that is not open.
    pub fn discard(env: &Env, assignment: &Assignment) -> std::io::Result<()> {
        Places::new(&env.options.store_dir, assignment.group_id()).delete(&*env.fs)
    }

    /// The size of the seal's machine part and other facts are the machine's own business; this is
    /// the blob stored with a checkpoint.
    fn seal_blob(state: &State, seal: &[u8]) -> Bytes {
        places::Sealed {
            consensus: Bytes::copy_from_slice(seal),
            machine: state.machine.encode_state(),
        }
        .encode()
    }
}

/// A replica's files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("message store: {0}")]
    Store(#[from] messages::Error),
    #[error("file system: {0}")]
    Io(#[from] std::io::Error),
    #[error(
        "stored state is damaged ({0}); move the directory away to have it rebuilt from a replica"
    )]
    Damaged(String),
}

impl OpenError {
    /// Whether the files will never be usable again.
    pub fn is_damage(&self) -> bool {
        match self {
            OpenError::Damaged(_) => true,
            OpenError::Store(error) => matches!(error, messages::Error::Manifest { .. }),
            OpenError::Io(_) => false,
        }
    }
}
