//! The real disk.

use std::fs;
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use super::{DirEntry, File, FileSystem, LockGuard, OpenMode, Space, parent};

/// How many buffers one `pwritev` takes (`IOV_MAX` on Linux).
const MAX_BUFFERS_PER_CALL: usize = 1024;

/// The file system of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct DiskFs;

struct DiskFile {
    file: fs::File,
}

impl FileSystem for DiskFs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let mut options = fs::OpenOptions::new();
        options.read(true);
        match mode {
            OpenMode::Read => &mut options,
            OpenMode::Write => options.write(true).create(true),
            OpenMode::CreateNew => options.write(true).create_new(true),
        };
        let file = options.open(path)?;
        Ok(Arc::new(DiskFile { file }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let missing: Vec<_> = path.ancestors().take_while(|dir| !dir.exists()).collect();
        fs::create_dir_all(path)?;
        missing
            .into_iter()
            .try_for_each(|dir| self.sync_dir(parent(dir)))
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            entries.push(DirEntry {
                name,
                is_dir: entry.file_type()?.is_dir(),
            });
        }
        entries.sort();
        Ok(entries)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        fs::File::open(path)?.sync_all()
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        path.try_exists()
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let stat = rustix::fs::statvfs(path)?;
        Ok(Space {
            total: stat.f_blocks.saturating_mul(stat.f_frsize),
            free: stat.f_bavail.saturating_mul(stat.f_frsize),
        })
    }

    fn lock(&self, path: &Path) -> io::Result<LockGuard> {
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        // The lock belongs to the open file and goes with it.
        match file.try_lock() {
            Ok(()) => Ok(Box::new(file)),
            Err(fs::TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }
}

impl File for DiskFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buf.len() {
            match self.file.read_at(&mut buf[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_all_at(&self, buf: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(buf, offset)
    }

    fn write_all_vectored_at(&self, bufs: &[IoSlice<'_>], mut offset: u64) -> io::Result<()> {
        for chunk in bufs.chunks(MAX_BUFFERS_PER_CALL) {
            offset += self.write_chunk(chunk, offset)?;
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), 0, len) {
            Ok(()) => Ok(()),
            // Some file systems cannot reserve: zeros reserve just as well, only slower.
            Err(Errno::OPNOTSUPP) => self.fill_with_zeros(len),
            Err(error) => Err(error.into()),
        }
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }
}

impl DiskFile {
    /// Writes at most [`MAX_BUFFERS_PER_CALL`] buffers; the count of their bytes.
    fn write_chunk(&self, bufs: &[IoSlice<'_>], offset: u64) -> io::Result<u64> {
        let total: usize = bufs.iter().map(|buf| buf.len()).sum();
        let written = loop {
            match rustix::io::pwritev(&self.file, bufs, offset) {
                Err(Errno::INTR) => {}
                result => break result?,
            }
        };
        if written < total {
            self.write_rest(bufs, offset, written)?;
        }
        Ok(total as u64)
    }

    /// Finishes a short vectored write, buffer by buffer; the second attempt names the reason why
    /// the first came up short.
    fn write_rest(&self, bufs: &[IoSlice<'_>], offset: u64, written: usize) -> io::Result<()> {
        let mut start = 0;
        for buf in bufs {
            let skip = written.saturating_sub(start).min(buf.len());
            self.file
                .write_all_at(&buf[skip..], offset + (start + skip) as u64)?;
            start += buf.len();
        }
        Ok(())
    }

    fn fill_with_zeros(&self, len: u64) -> io::Result<()> {
        let zeros = vec![0; 256 * 1024];
        let mut offset = self.len()?;
        while offset < len {
            let n = zeros.len().min((len - offset) as usize);
            self.file.write_all_at(&zeros[..n], offset)?;
            offset += n as u64;
        }
        Ok(())
    }
}
