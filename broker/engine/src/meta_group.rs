//! The meta group's replica on this server: the state of `crate::meta` behind a log.
//!
//! Its checkpoint is one small file with a checksum, written whole; the one before is kept, so that
//! a damaged file costs a longer replay and never a stream.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use consensus::{
    ChangeError, Group, Machine, MachineError, NodeId, ProposeError, Role, SnapshotReader,
    SnapshotWriter,
};
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};
use storage::fs::{FileSystem, read_file, write_file_atomic};
use tokio::sync::{mpsc, watch};

use crate::meta::{MetaCommand, MetaEvent, MetaState};

/// Longest checkpoint that is read back, in bytes.
const CHECKPOINT_BYTES_MAX: u64 = 1 << 32;
/// Bytes of a snapshot chunk.
const CHUNK_BYTES: usize = 512 * 1024;

/// What the meta group tells the server.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    Applied(MetaEvent),
    /// The whole state was replaced by a snapshot.
    Replaced,
}

pub struct MetaGroup {
    fs: Arc<dyn FileSystem>,
    file: PathBuf,
    held: RwLock<Held>,
    /// That of the checkpoint on disk.
    seal: Mutex<Option<Bytes>>,
    changes: mpsc::UnboundedSender<Change>,
    role: watch::Sender<Role>,
    group: RwLock<Option<Group>>,
    /// Held while members come or go.
    changing: tokio::sync::Mutex<()>,
    this: Weak<MetaGroup>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Held {
    applied: u64,
    state: MetaState,
}

/// What a checkpoint file holds.
#[derive(Serialize, Deserialize)]
struct Checkpoint {
    seal: Vec<u8>,
    held: Held,
}

impl MetaGroup {
    /// Opens the checkpoint in `dir`. Changes are reported on the returned channel from then on;
    /// it needs no bound, since every change was committed and the reader only keeps up with it.
    pub fn open(
        fs: Arc<dyn FileSystem>,
        dir: &Path,
    ) -> std::io::Result<(Arc<MetaGroup>, mpsc::UnboundedReceiver<Change>)> {
        fs.create_dir_all(dir)?;
        let file = dir.join("meta");
        let checkpoint = load(&*fs, &file)?;
        let (changes, receiver) = mpsc::unbounded_channel();
        let (held, seal) = match checkpoint {
            Some(found) => (found.held, Some(Bytes::from(found.seal))),
            None => (Held::default(), None),
        };
        let group = Arc::new_cyclic(|this| MetaGroup {
            this: this.clone(),
            fs,
            file,
            held: RwLock::new(held),
            seal: Mutex::new(seal),
            changes,
            role: watch::Sender::new(Role::Follower { leader: None }),
            group: RwLock::default(),
            changing: tokio::sync::Mutex::default(),
        });
        Ok((group, receiver))
    }

    pub fn attach(&self, group: Group) {
        *self.group.write() = Some(group);
    }

    pub fn group(&self) -> Option<Group> {
        self.group.read().clone()
    }

    pub fn read<T>(&self, read: impl FnOnce(&MetaState) -> T) -> T {
        read(&self.held.read().state)
    }

    pub fn is_leader(&self) -> bool {
        matches!(*self.role.borrow(), Role::Leader { .. })
    }

    pub fn role_changes(&self) -> watch::Receiver<Role> {
        self.role.subscribe()
    }

    pub fn propose(&self, command: &MetaCommand) -> Result<(), ProposeError> {
        self.group()
            .ok_or(ProposeError::Closed)?
            .propose(command.encode())
    }

    /// Changes who the members are, one change at a time: those that `change` is given are not
    /// changed by anybody else until its outcome is in force.
    ///
    /// # Errors
    /// Also if another change is under way.
    pub async fn change_members(
        &self,
        change: impl FnOnce(&mut BTreeSet<NodeId>),
    ) -> Result<(), ChangeError> {
        let _turn = self
            .changing
            .try_lock()
            .map_err(|_| ChangeError::InProgress)?;
        let group = self.group().ok_or(ChangeError::Closed)?;
        let before = group.members().voters;
        let mut voters = before.clone();
        change(&mut voters);
        if voters == before {
            return Ok(());
        }
        group.change_members(voters).await
    }

    fn store(&self, seal: &[u8], held: &Held) -> Result<(), MachineError> {
        let checkpoint = Checkpoint {
            seal: seal.to_vec(),
            held: held.clone(),
        };
        let body = serde_json::to_vec(&checkpoint).map_err(MachineError::new)?;
        let mut bytes = BytesMut::with_capacity(body.len() + 4);
        bytes.put_u32_le(crc32fast::hash(&body));
        bytes.put_slice(&body);
        self.replace(&bytes).map_err(|error| match error.kind() {
            std::io::ErrorKind::StorageFull => MachineError::passing(error),
            _ => MachineError::new(error),
        })?;
        *self.seal.lock() = Some(Bytes::copy_from_slice(seal));
        Ok(())
    }

    fn replace(&self, bytes: &[u8]) -> std::io::Result<()> {
        if self.fs.exists(&self.file)? {
            self.fs.rename(&self.file, &previous(&self.file))?;
        }
        write_file_atomic(&*self.fs, &self.file, bytes)
    }
}

fn previous(file: &Path) -> PathBuf {
    file.with_extension("previous")
}

/// The newest undamaged checkpoint. Without one the log shows whether there was any: it begins later
/// then, and this replica gets its state from the others.
fn load(fs: &dyn FileSystem, file: &Path) -> std::io::Result<Option<Checkpoint>> {
    for candidate in [file.to_owned(), previous(file)] {
        if !fs.exists(&candidate)? {
            continue;
        }
        let mut bytes = &read_file(fs, &candidate, CHECKPOINT_BYTES_MAX)?[..];
        if bytes.len() > 4 && bytes.get_u32_le() == crc32fast::hash(bytes) {
            return serde_json::from_slice(bytes)
                .map(Some)
                .map_err(std::io::Error::other);
        }
        tracing::error!(file = %candidate.display(), "checkpoint of the meta group is damaged");
    }
    Ok(None)
}

impl Machine for MetaGroup {
    fn apply(&self, index: u64, command: Bytes) {
        let event = {
            let mut held = self.held.write();
            if index <= held.applied {
                return;
            }
            held.applied = index;
            match MetaCommand::decode(&command) {
                Ok(command) => held.state.apply(command),
                Err(error) => {
                    tracing::error!(index, %error, "meta command cannot be read and is skipped");
                    return;
                }
            }
        };
        self.changes.send(Change::Applied(event)).ok();
    }

    fn role(&self, role: Role) {
        self.role.send_replace(role);
    }

    fn checkpoint(&self, seal: Bytes) -> Result<(), MachineError> {
        let held = self.held.read().clone();
        self.store(&seal, &held)
    }

    fn seal(&self) -> Option<Bytes> {
        self.seal.lock().clone()
    }

    fn snapshot(&self) -> Result<Box<dyn SnapshotReader>, MachineError> {
        let held = serde_json::to_vec(&*self.held.read()).map_err(MachineError::new)?;
        Ok(Box::new(Reader(Bytes::from(held))))
    }

    fn receive(&self) -> Result<Box<dyn SnapshotWriter>, MachineError> {
        let group = self
            .this
            .upgrade()
            .ok_or_else(|| MachineError::new("server is closing"))?;
        Ok(Box::new(Writer {
            group,
            received: Vec::new(),
        }))
    }
}

struct Reader(Bytes);

impl SnapshotReader for Reader {
    fn next_chunk(&mut self) -> Result<Option<Bytes>, MachineError> {
        let length = self.0.len().min(CHUNK_BYTES);
        Ok((length > 0).then(|| self.0.split_to(length)))
    }
}

struct Writer {
    group: Arc<MetaGroup>,
    received: Vec<u8>,
}

impl SnapshotWriter for Writer {
    fn chunk(&mut self, chunk: Bytes) -> Result<(), MachineError> {
        self.received.extend_from_slice(&chunk);
        Ok(())
    }

    fn finish(&mut self, seal: Bytes) -> Result<(), MachineError> {
        let held: Held = serde_json::from_slice(&self.received).map_err(MachineError::new)?;
        self.group.store(&seal, &held)?;
        *self.group.held.write() = held;
        self.group.changes.send(Change::Replaced).ok();
        Ok(())
    }
}
