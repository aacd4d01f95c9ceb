//! A disk in memory that fails on command, the same way every time for the same seed.
//!
//! What was written but not synced is at risk: [`SimFs::crash`] keeps a random part of it, in
//! blocks of 512 bytes, and forgets the rest. Names (creations, renames, removals) are at risk in
//! the same way until [`FileSystem::sync_dir`].

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::{DirEntry, File, FileSystem, LockGuard, OpenMode, Space};
use file::SimFile;
use names::{Names, Node};

mod content;
mod file;
mod names;

/// What [`Space::total`] says when no capacity is set.
const ENDLESS_BYTES: u64 = 1 << 50;

/// How a simulated disk behaves.
#[derive(Clone, Debug)]
pub struct SimOptions {
    /// Decides what survives a crash.
    pub seed: u64,
    /// Whether names survive a crash only after `sync_dir`.
    pub names_need_sync: bool,
    /// Room for all files together; `None` is endless.
    pub capacity_bytes: Option<u64>,
    /// Added to [`SimCounters::busy`] by every sync.
    pub sync_cost: Duration,
    /// Added to [`SimCounters::busy`] by every read and write.
    pub access_cost: Duration,
    /// Added to [`SimCounters::busy`] for every byte read or written.
    pub byte_cost_ns: u64,
}

impl Default for SimOptions {
    fn default() -> Self {
        SimOptions {
            seed: 0,
            names_need_sync: true,
            capacity_bytes: None,
            sync_cost: Duration::from_micros(150),
            access_cost: Duration::from_micros(5),
            byte_cost_ns: 1,
        }
    }
}

/// What a simulated disk was asked so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SimCounters {
    pub reads: u64,
    pub writes: u64,
    pub syncs: u64,
    pub dir_syncs: u64,
    pub bytes_read: u64,
    pub bytes_written: u64,
    pub crashes: u64,
    /// The time a real disk might have taken for all of it; nothing ever waits.
    pub busy: Duration,
}

/// An operation that [`SimFs::fail_next`] can make fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SimOp {
    Open,
    Read,
    Write,
    /// The bytes that were to be synced are then at risk for ever, as on a real kernel.
    Sync,
    SyncDir,
    Allocate,
    Rename,
}

/// The simulated disk. A handle: clones are cheap and mean the same disk.
#[derive(Clone)]
pub struct SimFs {
    disk: Arc<Mutex<Disk>>,
}

struct Disk {
    options: SimOptions,
    rng: Rng,
    names: Names,
    locks: BTreeSet<PathBuf>,
    failing: BTreeSet<SimOp>,
    counters: SimCounters,
    /// Grows with every crash; handles of earlier lives are dead.
    life: u64,
}

struct SimLock {
    disk: Arc<Mutex<Disk>>,
    path: PathBuf,
    life: u64,
}

impl SimFs {
    /// An empty disk with the default options.
    pub fn new(seed: u64) -> Self {
        Self::with_options(SimOptions {
            seed,
            ..SimOptions::default()
        })
    }

    /// An empty disk.
    pub fn with_options(options: SimOptions) -> Self {
        let disk = Disk {
            rng: Rng(options.seed),
            names: Names::new(options.names_need_sync),
            options,
            locks: BTreeSet::new(),
            failing: BTreeSet::new(),
            counters: SimCounters::default(),
            life: 0,
        };
        SimFs {
            disk: Arc::new(Mutex::new(disk)),
        }
    }

    /// Power failure: of everything not synced a random part survives. Open files and locks die
    /// with the process that held them.
    pub fn crash(&self) {
        let disk = &mut *self.disk.lock();
        disk.life += 1;
        disk.counters.crashes += 1;
        disk.locks.clear();
        disk.failing.clear();
        disk.names.crash(&mut disk.rng);
        for content in disk.names.contents() {
            content.lock().crash(&mut disk.rng);
        }
    }

    /// The process dies but the machine does not: nothing is lost, files and locks are let go.
    pub fn kill(&self) {
        let mut disk = self.disk.lock();
        disk.life += 1;
        disk.locks.clear();
        disk.failing.clear();
    }

    /// Changes the room for all files together.
    pub fn set_capacity_bytes(&self, capacity: Option<u64>) {
        self.disk.lock().options.capacity_bytes = capacity;
    }

    /// Makes the next operation of this kind fail with an input/output error.
    pub fn fail_next(&self, op: SimOp) {
        self.disk.lock().failing.insert(op);
    }

    /// As [`SimFs::fail_next`] with [`SimOp::Sync`].
    pub fn fail_next_sync(&self) {
        self.fail_next(SimOp::Sync);
    }

    /// Turns over one bit of a file, where it lies: the lowest bit of a byte is bit 0.
    pub fn flip_bit(&self, path: &Path, byte_offset: u64, bit: u8) -> io::Result<()> {
        let content = self.disk.lock().names.content(path)?;
        content.lock().flip_bit(byte_offset, bit)
    }

    /// What the disk was asked so far.
    pub fn counters(&self) -> SimCounters {
        self.disk.lock().counters
    }
}

impl FileSystem for SimFs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let mut disk = self.disk.lock();
        disk.check(SimOp::Open)?;
        let content = match (disk.names.get(path), mode) {
            (Some(Node::Dir), _) => return Err(io::ErrorKind::IsADirectory.into()),
            (Some(Node::File(_)), OpenMode::CreateNew) => {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            (Some(Node::File(content)), _) => content.clone(),
            (None, OpenMode::Read) => return Err(io::ErrorKind::NotFound.into()),
            (None, _) => disk.names.create(path)?,
        };
        Ok(Arc::new(SimFile {
            disk: self.disk.clone(),
            content,
            path: path.to_owned(),
            writable: mode != OpenMode::Read,
            life: disk.life,
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.disk.lock();
        disk.check(SimOp::Rename)?;
        disk.names.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.disk.lock().names.remove(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.lock().names.create_dir_all(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.lock().names.remove_dir_all(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.disk.lock().names.read_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.disk.lock();
        disk.check(SimOp::SyncDir)?;
        disk.counters.dir_syncs += 1;
        let cost = disk.options.sync_cost;
        disk.counters.busy += cost;
        disk.names.sync_dir(path)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        Ok(self.disk.lock().names.get(path).is_some())
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let disk = self.disk.lock();
        disk.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        let total = disk.options.capacity_bytes.unwrap_or(ENDLESS_BYTES);
        Ok(Space {
            total,
            free: total.saturating_sub(disk.used()),
        })
    }

    fn lock(&self, path: &Path) -> io::Result<LockGuard> {
        let mut disk = self.disk.lock();
        if disk.names.get(path).is_none() {
            disk.names.create(path)?;
        }
        if !disk.locks.insert(path.to_owned()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let life = disk.life;
        Ok(Box::new(SimLock {
            disk: self.disk.clone(),
            path: path.to_owned(),
            life,
        }))
    }
}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut disk = self.disk.lock();
        if disk.life == self.life {
            disk.locks.remove(&self.path);
        }
    }
}

impl Disk {
    /// Fails if a test asked for it.
    fn check(&mut self, op: SimOp) -> io::Result<()> {
        match self.failing.remove(&op) {
            true => Err(io::Error::other(format!(
                "simulated failure: operation={op:?}"
            ))),
            false => Ok(()),
        }
    }

    fn used(&self) -> u64 {
        self.names
            .contents()
            .map(|content| content.lock().len())
            .sum()
    }

    /// Refuses to let a file grow past the capacity.
    fn reserve(&self, growth: u64) -> io::Result<()> {
        match self.options.capacity_bytes {
            Some(capacity) if growth > 0 && self.used() + growth > capacity => {
                Err(io::ErrorKind::StorageFull.into())
            }
            _ => Ok(()),
        }
    }

    fn count_access(&mut self, bytes: usize) {
        let transfer = Duration::from_nanos(self.options.byte_cost_ns * bytes as u64);
        self.counters.busy += self.options.access_cost + transfer;
    }
}

/// SplitMix64: small, seeded, good enough to choose what a crash loses.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn coin(&mut self) -> bool {
        self.next() & 1 == 1
    }

    /// Uniform enough in `0..bound`; `bound` must not be 0.
    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

#[cfg(test)]
mod tests;
