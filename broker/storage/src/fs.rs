//! The file system seam: everything the broker asks of a disk, as two object-safe traits.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

mod disk;
mod sim;

pub use disk::DiskFs;
pub use sim::{SimCounters, SimFs, SimOp, SimOptions};

/// How [`FileSystem::open`] treats a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// Reading only; the file must exist.
    Read,
    /// Reading and writing; the file is created, empty, if it is absent, and never truncated.
    Write,
    /// Reading and writing; the file must not exist yet.
    CreateNew,
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    pub name: String,
    pub is_dir: bool,
}

/// Room on the volume that holds a path, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    pub total: u64,
    /// What this process may still use.
    pub free: u64,
}

/// Held while an advisory lock is held; dropping it releases the lock.
pub type LockGuard = Box<dyn Send + Sync>;

/// A disk, real or simulated. Every path is taken as given; relative ones are the caller's risk.
pub trait FileSystem: Send + Sync + 'static {
    /// Opens a file. The new directory entry of a created file is durable only after
    /// [`FileSystem::sync_dir`] on its directory.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>>;
    /// Replaces `to` with `from` in one step; durable after `sync_dir` on the directory of `to`.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes one file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Creates a directory and those above it, durable when it returns; succeeds if it is there.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory with all it holds.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;
    /// The names in a directory, sorted. Names that are not UTF-8 are left out.
    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>>;
    /// Makes creations, renames and removals in this directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Whether a file or directory is there.
    fn exists(&self, path: &Path) -> io::Result<bool>;
    /// Room on the volume that holds `path`, which must exist.
    fn space(&self, path: &Path) -> io::Result<Space>;
    /// Takes an exclusive advisory lock on a file (created if absent). Fails with
    /// [`io::ErrorKind::WouldBlock`] when another holder has it.
    fn lock(&self, path: &Path) -> io::Result<LockGuard>;
}

/// An open file. All operations name their offset, so a file can be shared between threads.
pub trait File: Send + Sync {
    /// Reads up to `buf.len()` bytes; fewer means the end of the file, 0 that `offset` is past it.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `buf`, extending the file if needed.
    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()>;
    /// Writes all buffers one behind the other, extending the file if needed.
    fn write_all_vectored_at(&self, bufs: &[IoSlice<'_>], offset: u64) -> io::Result<()>;
    /// Makes the content (and the length) durable. After an error the content is unknown: do not
    /// call again and hope.
    fn sync_data(&self) -> io::Result<()>;
    /// Cuts the file, or extends it with zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Reserves room up to `len` bytes (extending the file with zeros), so that later writes below
    /// `len` do not run out of space. Fails with [`io::ErrorKind::StorageFull`] when there is none.
    fn allocate(&self, len: u64) -> io::Result<()>;
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Whether the file holds no byte.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// Fills `buf` from `offset`, or fails with [`io::ErrorKind::UnexpectedEof`].
pub fn read_exact_at(file: &dyn File, buf: &mut [u8], offset: u64) -> io::Result<()> {
    let mut done = 0;
    while done < buf.len() {
        let n = file.read_at(&mut buf[done..], offset + done as u64)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        done += n;
    }
    Ok(())
}

/// Reads a whole file of at most `limit_bytes`; a longer one is an [`io::ErrorKind::InvalidData`]
/// error, so that a damaged or foreign file cannot fill the memory.
pub fn read_file(fs: &dyn FileSystem, path: &Path, limit_bytes: u64) -> io::Result<Vec<u8>> {
    let file = fs.open(path, OpenMode::Read)?;
    let len = file.len()?;
    if len > limit_bytes {
        let text = format!(
            "{} has {len} bytes, more than {limit_bytes}",
            path.display()
        );
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    let mut bytes = vec![0; len as usize];
    read_exact_at(&*file, &mut bytes, 0)?;
    Ok(bytes)
}

/// Replaces a file so that a crash leaves either the old content or the new: writes `<path>.tmp`,
/// syncs it, renames it and syncs the directory. Durable when it returns.
pub fn write_file_atomic(fs: &dyn FileSystem, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let tmp = temporary_path(path);
    let file = fs.open(&tmp, OpenMode::Write)?;
    file.set_len(0)?;
    file.write_all_at(bytes, 0)?;
    file.sync_data()?;
    drop(file);
    fs.rename(&tmp, path)?;
    fs.sync_dir(parent(path))
}

fn temporary_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    PathBuf::from(name)
}

/// The directory of a path; a bare file name lives in the current one.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests;
