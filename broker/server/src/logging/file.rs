//! The log file, which moves itself away when it is full.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use settings::options::Logging;
use time::OffsetDateTime;
use time::macros::format_description;

/// A log file and what is known of it.
pub struct LogFile {
    path: PathBuf,
    file: File,
    size_bytes: u64,
    /// The file is moved away once it is larger.
    limit_bytes: Option<u64>,
    /// Files that are kept, the current one included.
    count: Option<u64>,
}

impl LogFile {
    pub fn open(path: &Path, options: &Logging) -> io::Result<Self> {
        let file = open(path)?;
        Ok(LogFile {
            path: path.to_path_buf(),
            size_bytes: file.metadata()?.len(),
            file,
            limit_bytes: options.file_size_limit_bytes,
            count: options.file_max_count,
        })
    }

    /// Opens the file again, after somebody moved it away.
    pub fn reopen(&mut self) -> io::Result<()> {
        self.file = open(&self.path)?;
        self.size_bytes = self.file.metadata()?.len();
        Ok(())
    }

    pub fn write(&mut self, line: &[u8]) -> io::Result<()> {
        self.file.write_all(line)?;
        self.size_bytes += line.len() as u64;
        if self
            .limit_bytes
            .is_some_and(|limit| self.size_bytes > limit)
        {
            self.rotate(OffsetDateTime::now_utc())?;
        }
        Ok(())
    }

    /// Moves the file away under a name that ends with the time, and begins a new one.
    fn rotate(&mut self, now: OffsetDateTime) -> io::Result<()> {
        let format = format_description!(
            "[year].[month].[day].[hour].[minute].[second].[subsecond digits:9]"
        );
        let stamp = now.format(&format).map_err(io::Error::other)?;
        fs::rename(&self.path, format!("{}.{stamp}", self.path.display()))?;
        self.reopen()?;
        if let Some(count) = self.count {
            self.remove_oldest(usize::try_from(count).unwrap_or(usize::MAX).max(1) - 1)?;
        }
        Ok(())
    }

    fn remove_oldest(&self, keep: usize) -> io::Result<()> {
        let dir = match self.path.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir,
            _ => Path::new("."),
        };
        let mut old: Vec<PathBuf> = fs::read_dir(dir)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| self.is_rotated(path))
            .collect();
        // The names end with their time.
        old.sort_unstable();
        for path in &old[..old.len().saturating_sub(keep)] {
            fs::remove_file(path)?;
        }
        Ok(())
    }

    /// Whether a file has a name that [`LogFile::rotate`] gives.
    fn is_rotated(&self, path: &Path) -> bool {
        let name = |path: &Path| Some(path.file_name()?.to_str()?.to_owned());
        let (Some(own), Some(other)) = (name(&self.path), name(path)) else {
            return false;
        };
        let stamp = other
            .strip_prefix(&own)
            .and_then(|rest| rest.strip_prefix('.'));
        stamp.is_some_and(|stamp| {
            let parts: Vec<&str> = stamp.split('.').collect();
            let lengths = [4, 2, 2, 2, 2, 2, 9];
            parts.len() == lengths.len()
                && parts.iter().zip(lengths).all(|(part, length)| {
                    part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit())
                })
        })
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_file_is_moved_away_and_the_oldest_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("server.log");
        std::fs::write(dir.path().join("server.log.mine"), "kept").unwrap();
        let options = Logging {
            file_size_limit_bytes: Some(10),
            file_max_count: Some(3),
            ..Logging::default()
        };
        let mut log = LogFile::open(&path, &options).unwrap();
        for number in 0..5 {
            log.write(format!("line number {number}\n").as_bytes())
                .unwrap();
        }
        log.write(b"short\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "short\n");
        let mut rotated: Vec<PathBuf> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| log.is_rotated(path))
            .collect();
        rotated.sort();
        let contents: Vec<String> = rotated
            .iter()
            .map(|path| fs::read_to_string(path).unwrap())
            .collect();
        assert_eq!(contents, ["line number 3\n", "line number 4\n"]);
        assert!(dir.path().join("server.log.mine").exists());
    }

    #[test]
    fn a_file_that_was_moved_is_begun_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("server.log");
        let mut log = LogFile::open(&path, &Logging::default()).unwrap();
        log.write(b"one\n").unwrap();
        fs::rename(&path, dir.path().join("moved")).unwrap();
        log.reopen().unwrap();
        log.write(b"two\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two\n");
    }
}
