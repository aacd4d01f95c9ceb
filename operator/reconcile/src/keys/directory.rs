//! Secrets as files that only their owner may read.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use futures::FutureExt;
use futures::future::{BoxFuture, ready};

use super::{Entry, KeyStore, KeyStoreError, Secret};

const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;

/// Keeps each secret in a file below a folder.
///
/// The files are small and local, so that reading them does not hold other tasks up.
#[derive(Clone, Debug)]
pub struct Directory {
    root: PathBuf,
}

impl Directory {
    /// Uses a folder, and creates it when something is saved.
    pub fn new(root: impl Into<PathBuf>) -> Directory {
        Directory { root: root.into() }
    }

    /// The file of a secret, whether it exists or not.
    pub fn path(&self, entry: &Entry) -> PathBuf {
        self.root.join(entry.to_string())
    }

    fn read(&self, entry: &Entry) -> io::Result<Option<Secret>> {
        let path = self.path(entry);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(Secret::new(text.trim_end()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes beside the old file and renames, so that a crash leaves one of the two.
    fn write(&self, entry: &Entry, secret: &Secret) -> io::Result<()> {
        let path = self.path(entry);
        let folder = path.parent().unwrap_or(&self.root);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(FOLDER_MODE)
            .create(folder)?;
        let temporary = path.with_extension("tmp");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(FILE_MODE)
            .open(&temporary)?;
        // A file left by a crash keeps the mode that it had.
        file.set_permissions(Permissions::from_mode(FILE_MODE))?;
        file.write_all(secret.expose().as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        sync_folder(folder)
    }

    fn delete(&self, entry: &Entry) -> io::Result<()> {
        let path = self.path(entry);
        match fs::remove_file(&path) {
            Ok(()) => sync_folder(path.parent().unwrap_or(&self.root)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn explain(&self, entry: &Entry, error: &io::Error) -> KeyStoreError {
        KeyStoreError {
            entry: entry.clone(),
            reason: format!("{}: {error}", self.path(entry).display()),
        }
    }
}

impl KeyStore for Directory {
    fn load<'a>(
        &'a self,
        entry: &'a Entry,
    ) -> BoxFuture<'a, Result<Option<Secret>, KeyStoreError>> {
        let read = self
            .read(entry)
            .map_err(|error| self.explain(entry, &error));
        ready(read).boxed()
    }

    fn save<'a>(
        &'a self,
        entry: &'a Entry,
        secret: &'a Secret,
    ) -> BoxFuture<'a, Result<(), KeyStoreError>> {
        let written = self
            .write(entry, secret)
            .map_err(|error| self.explain(entry, &error));
        ready(written).boxed()
    }

    fn remove<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<(), KeyStoreError>> {
        let removed = self
            .delete(entry)
            .map_err(|error| self.explain(entry, &error));
        ready(removed).boxed()
    }

    fn place(&self, entry: &Entry) -> String {
        self.path(entry).display().to_string()
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_kept_for_their_owner_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Directory::new(folder.path().join("keys"));
        let entry = Entry::UserCreds {
            namespace: "default".to_owned(),
            name: "web".to_owned(),
        };
        assert_eq!(store.read(&entry).expect("it reads"), None);
        for text in ["first", "second"] {
            store
                .write(&entry, &Secret::new(text))
                .expect("it is saved");
            let read = store.read(&entry).expect("it reads");
            assert_eq!(read, Some(Secret::new(text)));
        }
        let mode = |path: &Path| fs::metadata(path).expect("it exists").permissions().mode();
        let path = store.path(&entry);
        assert_eq!(mode(&path) & 0o777, 0o600);
        assert_eq!(mode(path.parent().expect("a folder")) & 0o777, 0o700);
        store.delete(&entry).expect("it is removed");
        store.delete(&entry).expect("twice is fine");
        assert_eq!(store.read(&entry).expect("it reads"), None);
        assert_eq!(format!("{:?}", Secret::new("secret text")), "Secret");
    }
}
