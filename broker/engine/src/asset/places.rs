//! Where a replica's files are, and what a checkpoint's seal contains.
//!
//! `<store>/streams/<group>/<generation>/` holds a message store. `current` names the generation in
//! force; a received snapshot builds the next one beside it and takes over by replacing `current`.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use jetstream::StreamMachine;
use jetstream::codec::{Reader, Writer};
use messages::{FileStore, MemoryStore, MessageStore};
use parking_lot::Mutex;
use storage::fs::{FileSystem, read_file, write_file_atomic};
use storage::wal::GroupId;

use super::{OpenError, State};
use crate::env::Env;
use crate::meta::Assignment;

const SEALED_VERSION: u8 = 1;
/// Longest part of a seal, in bytes: the machine's state with all its consumers.
const SEALED_PART_BYTES_MAX: usize = 1 << 30;
const CURRENT_BYTES_MAX: u64 = 64;

/// The directory of one replica.
pub struct Places {
    dir: PathBuf,
    generation: Mutex<u64>,
    seal_at_open: Mutex<Option<Bytes>>,
}

/// The blob that a checkpoint stores beside the messages.
pub struct Sealed {
    /// What consensus wants back: the applied position and the members.
    pub consensus: Bytes,
    pub machine: Bytes,
}

impl Sealed {
    pub fn encode(&self) -> Bytes {
        let mut out = Writer::with_capacity(self.consensus.len() + self.machine.len() + 32);
        out.u8(SEALED_VERSION);
        out.bytes(&self.consensus);
        out.bytes(&self.machine);
        out.finish()
    }

    pub fn decode(blob: Bytes) -> Result<Sealed, jetstream::codec::Damaged> {
        let mut input = Reader::new(blob);
        if input.u8("seal version")? != SEALED_VERSION {
            return Err(input.damaged("seal version"));
        }
        let consensus = input.bytes(SEALED_PART_BYTES_MAX, "position")?;
        let machine = input.bytes(SEALED_PART_BYTES_MAX, "machine state")?;
        input.finish("end of seal")?;
        Ok(Sealed { consensus, machine })
    }
}

impl Places {
    pub fn new(store_dir: &Path, group: GroupId) -> Self {
        Places {
            dir: store_dir.join("streams").join(format!("{:016x}", group.0)),
            generation: Mutex::new(0),
            seal_at_open: Mutex::new(None),
        }
    }

    /// The seal that consensus asks for when the group is opened.
    pub(super) fn seal_at_open(&self) -> Option<Bytes> {
        self.seal_at_open.lock().clone()
    }

    /// Opens the generation in force, or begins the first one.
    pub(super) fn load(
        &self,
        fs: &dyn FileSystem,
        env: &Env,
        assignment: &Assignment,
    ) -> Result<State, OpenError> {
        let generation = self.read_current(fs)?;
        *self.generation.lock() = generation;
        let store = self.open_store(env, assignment, generation)?;
        let Some(seal) = store.seal() else {
            let machine =
                StreamMachine::new(assignment.config.clone(), assignment.created_ns, store);
            let machine = match assignment.is_restored {
                true => machine.awaiting_restore(),
                false => machine,
            };
            return Ok(State {
                machine,
                failed: None,
            });
        };
        let damaged = |error: jetstream::codec::Damaged| OpenError::Damaged(error.to_string());
        let sealed = Sealed::decode(seal).map_err(damaged)?;
        *self.seal_at_open.lock() = Some(sealed.consensus);
        let machine = StreamMachine::decode_state(sealed.machine, store).map_err(damaged)?;
        Ok(State {
            machine,
            failed: None,
        })
    }

    /// An empty store in the directory of the next generation.
    pub(super) fn next_store(
        &self,
        env: &Env,
        assignment: &Assignment,
    ) -> Result<(u64, Box<dyn MessageStore>), OpenError> {
        let generation = *self.generation.lock() + 1;
        let dir = self.generation_dir(generation);
        if env.fs.exists(&dir)? {
            env.fs.remove_dir_all(&dir)?;
        }
        Ok((generation, self.open_store(env, assignment, generation)?))
    }

    /// Makes a generation the one in force and deletes the one before.
    pub(super) fn switch_to(&self, fs: &dyn FileSystem, generation: u64) -> io::Result<()> {
        write_file_atomic(fs, &self.current_file(), generation.to_string().as_bytes())?;
        let mut current = self.generation.lock();
        let old = self.generation_dir(*current);
        *current = generation;
        if fs.exists(&old)? {
            fs.remove_dir_all(&old)?;
        }
        Ok(())
    }

    pub(super) fn delete(&self, fs: &dyn FileSystem) -> io::Result<()> {
        if fs.exists(&self.dir)? {
            fs.remove_dir_all(&self.dir)
        } else {
            Ok(())
        }
    }

    fn open_store(
        &self,
        env: &Env,
        assignment: &Assignment,
        generation: u64,
    ) -> Result<Box<dyn MessageStore>, OpenError> {
        if is_volatile(env, assignment) {
            return Ok(Box::new(MemoryStore::new()));
        }
        let dir = self.generation_dir(generation);
        env.fs.create_dir_all(&dir)?;
        let options = messages::FileOptions::default();
        Ok(Box::new(FileStore::open(env.fs.clone(), &dir, options)?))
    }

    fn read_current(&self, fs: &dyn FileSystem) -> Result<u64, OpenError> {
        let file = self.current_file();
        if !fs.exists(&file)? {
            return Ok(0);
        }
        let text = read_file(fs, &file, CURRENT_BYTES_MAX)?;
        let number = std::str::from_utf8(&text)
            .ok()
            .and_then(|text| text.trim().parse().ok());
        number.ok_or_else(|| OpenError::Damaged(format!("{} names no generation", file.display())))
    }

    fn current_file(&self) -> PathBuf {
        self.dir.join("current")
    }

    fn generation_dir(&self, generation: u64) -> PathBuf {
        self.dir.join(generation.to_string())
    }
}

/// Whether a stream lives in memory only: a memory stream on a server that stands alone. A
/// replicated memory stream keeps its log and its checkpoints on disk like any other, since a
/// replica that forgets what it voted for would endanger the others.
pub fn is_volatile(env: &Env, assignment: &Assignment) -> bool {
    assignment.config.storage == jetstream::config::Storage::Memory && !env.is_clustered()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_survives_its_encoding() {
        let sealed = Sealed {
            consensus: Bytes::from_static(b"position"),
            machine: Bytes::from_static(b"state"),
        };
        let again = Sealed::decode(sealed.encode()).unwrap();
        assert_eq!(
            (&again.consensus[..], &again.machine[..]),
            (&b"position"[..], &b"state"[..])
        );
        assert!(Sealed::decode(Bytes::from_static(b"\x01\xff")).is_err());
    }
}
