//! A machine that remembers everything it was told.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use consensus::{Machine, MachineError, Role, SnapshotReader, SnapshotWriter};
use parking_lot::Mutex;

pub type Commands = Vec<(u64, Bytes)>;

/// What survives a crash of the server.
#[derive(Default)]
pub struct Disk {
    saved: Mutex<Option<(Bytes, Commands)>>,
}

/// A list of commands.
pub struct Ledger {
    disk: Arc<Disk>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
pub struct State {
    pub commands: Commands,
    /// Each role, and how many commands were applied when it was reported.
    pub roles: Vec<(Role, usize)>,
    pub refused: Vec<Bytes>,
    pub installed: usize,
    pub checkpoint_error: bool,
    pub panics: bool,
}

impl Ledger {
    /// Begins from what the disk holds.
    pub fn open(disk: Arc<Disk>) -> Arc<Self> {
        let commands = disk
            .saved
            .lock()
            .as_ref()
            .map(|(_, commands)| commands.clone());
        let state = State {
            commands: commands.unwrap_or_default(),
            ..State::default()
        };
        Arc::new(Self {
            disk,
            state: Arc::new(Mutex::new(state)),
        })
    }

    pub fn commands(&self) -> Commands {
        self.state.lock().commands.clone()
    }

    pub fn len(&self) -> usize {
        self.state.lock().commands.len()
    }

    pub fn has(&self, command: &Bytes) -> bool {
        self.state
            .lock()
            .commands
            .iter()
            .any(|(_, applied)| applied == command)
    }

    pub fn state(&self) -> parking_lot::MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl Machine for Ledger {
    fn apply(&self, index: u64, command: Bytes) {
        let mut state = self.state.lock();
        assert!(!state.panics, "as asked");
        if let Some((last, _)) = state.commands.last() {
            assert!(*last < index, "index {index} after {last}");
        }
        state.commands.push((index, command));
    }

    fn role(&self, role: Role) {
        let mut state = self.state.lock();
        let applied = state.commands.len();
        state.roles.push((role, applied));
    }

    fn refused(&self, command: Bytes) {
        self.state.lock().refused.push(command);
    }

    fn checkpoint(&self, seal: Bytes) -> Result<(), MachineError> {
        let state = self.state.lock();
        if state.checkpoint_error {
            return Err(MachineError::new("no room for the checkpoint"));
        }
        *self.disk.saved.lock() = Some((seal, state.commands.clone()));
        Ok(())
    }

    fn seal(&self) -> Option<Bytes> {
        self.disk
            .saved
            .lock()
            .as_ref()
            .map(|(seal, _)| seal.clone())
    }

    fn snapshot(&self) -> Result<Box<dyn SnapshotReader>, MachineError> {
        Ok(Box::new(Reader(
            self.state.lock().commands.clone().into_iter(),
        )))
    }

    fn receive(&self) -> Result<Box<dyn SnapshotWriter>, MachineError> {
        let (disk, state) = (self.disk.clone(), self.state.clone());
        Ok(Box::new(Writer {
            disk,
            state,
            commands: Vec::new(),
        }))
    }
}

/// One chunk for each command.
struct Reader(std::vec::IntoIter<(u64, Bytes)>);

impl SnapshotReader for Reader {
    fn next_chunk(&mut self) -> Result<Option<Bytes>, MachineError> {
        Ok(self.0.next().map(|(index, command)| {
            let mut chunk = BytesMut::new();
            chunk.put_u64(index);
            chunk.extend_from_slice(&command);
            chunk.freeze()
        }))
    }
}

struct Writer {
    disk: Arc<Disk>,
    state: Arc<Mutex<State>>,
    commands: Commands,
}

impl SnapshotWriter for Writer {
    fn chunk(&mut self, mut chunk: Bytes) -> Result<(), MachineError> {
        let index = chunk.get_u64();
        self.commands.push((index, chunk));
        Ok(())
    }

    fn finish(&mut self, seal: Bytes) -> Result<(), MachineError> {
        let mut state = self.state.lock();
        *self.disk.saved.lock() = Some((seal, self.commands.clone()));
        state.commands = self.commands.clone();
        state.installed += 1;
        Ok(())
    }
}
