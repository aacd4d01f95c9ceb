//! An open file of the simulated disk.

use std::io::{self, IoSlice};
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use super::content::Content;
use super::{Disk, SimOp};
use crate::fs::File;

pub(super) struct SimFile {
    pub(super) disk: Arc<Mutex<Disk>>,
    pub(super) content: Arc<Mutex<Content>>,
    pub(super) path: PathBuf,
    pub(super) writable: bool,
    pub(super) life: u64,
}

impl SimFile {
    /// Takes the disk for one operation, if this handle outlived no crash.
    fn with_disk<T>(
        &self,
        op: SimOp,
        act: impl FnOnce(&mut Disk, &mut Content) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut disk = self.disk.lock();
        if disk.life != self.life {
            let text = format!("{} was opened before the crash", self.path.display());
            return Err(io::Error::other(text));
        }
        if op != SimOp::Read && op != SimOp::Sync && !self.writable {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        // The capacity check looks at every file, so the room is asked for before the content is
        // locked; see `grow`.
        let mut content = self.content.lock();
        act(&mut disk, &mut content)
    }

    /// Makes room for the file to reach `len`.
    fn grow(&self, len: u64) -> io::Result<()> {
        let disk = self.disk.lock();
        let growth = len.saturating_sub(self.content.lock().len());
        disk.reserve(growth)
    }
}

impl File for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.with_disk(SimOp::Read, |disk, content| {
            disk.check(SimOp::Read)?;
            let n = content.read_at(buf, offset);
            disk.counters.reads += 1;
            disk.counters.bytes_read += n as u64;
            disk.count_access(n);
            Ok(n)
        })
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_vectored_at(&[IoSlice::new(buf)], offset)
    }

    fn write_all_vectored_at(&self, bufs: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        let total: usize = bufs.iter().map(|buf| buf.len()).sum();
        self.grow(offset + total as u64)?;
        self.with_disk(SimOp::Write, |disk, content| {
            disk.check(SimOp::Write)?;
            let mut at = offset;
            for buf in bufs {
                content.write_at(buf, at);
                at += buf.len() as u64;
            }
            disk.counters.writes += 1;
            disk.counters.bytes_written += total as u64;
            disk.count_access(total);
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with_disk(SimOp::Sync, |disk, content| {
            disk.counters.syncs += 1;
            disk.counters.busy += disk.options.sync_cost;
            let result = disk.check(SimOp::Sync);
            match result {
                Ok(()) => content.sync(),
                Err(_) => content.fail_sync(),
            }
            result
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.grow(len)?;
        self.with_disk(SimOp::Write, |disk, content| {
            disk.check(SimOp::Write)?;
            content.set_len(len);
            Ok(())
        })
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.grow(len)?;
        self.with_disk(SimOp::Allocate, |disk, content| {
            disk.check(SimOp::Allocate)?;
            if len > content.len() {
                content.set_len(len);
            }
            Ok(())
        })
    }

    fn len(&self) -> io::Result<u64> {
        self.with_disk(SimOp::Read, |_, content| Ok(content.len()))
    }
}
