//! The directory tree of a simulated disk, with the changes a crash may undo.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::content::Content;
use super::{DirEntry, Rng};

#[derive(Clone)]
pub(super) enum Node {
    Dir,
    File(Arc<Mutex<Content>>),
}

/// A change that is not durable yet: these paths now hold these nodes (or nothing).
struct Change {
    dir: PathBuf,
    set: Vec<(PathBuf, Option<Node>)>,
}

pub(super) struct Names {
    now: BTreeMap<PathBuf, Node>,
    durable: BTreeMap<PathBuf, Node>,
    changes: Vec<Change>,
    need_sync: bool,
}

impl Names {
    pub(super) fn new(need_sync: bool) -> Self {
        let roots = || {
            [PathBuf::from("/"), PathBuf::new()]
                .map(|path| (path, Node::Dir))
                .into()
        };
        Names {
            now: roots(),
            durable: roots(),
            changes: Vec::new(),
            need_sync,
        }
    }

    pub(super) fn get(&self, path: &Path) -> Option<&Node> {
        self.now.get(path)
    }

    pub(super) fn content(&self, path: &Path) -> io::Result<Arc<Mutex<Content>>> {
        match self.now.get(path) {
            Some(Node::File(content)) => Ok(content.clone()),
            Some(Node::Dir) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Every file, in the order of the paths.
    pub(super) fn contents(&self) -> impl Iterator<Item = &Arc<Mutex<Content>>> {
        self.now.values().filter_map(|node| match node {
            Node::File(content) => Some(content),
            Node::Dir => None,
        })
    }

    pub(super) fn create(&mut self, path: &Path) -> io::Result<Arc<Mutex<Content>>> {
        let dir = self.existing_parent(path)?;
        let content = Arc::new(Mutex::new(Content::default()));
        self.change(
            dir,
            vec![(path.to_owned(), Some(Node::File(content.clone())))],
        );
        Ok(content)
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let dir = self.existing_parent(to)?;
        let content = self.content(from)?;
        if matches!(self.now.get(to), Some(Node::Dir)) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let set = vec![
            (from.to_owned(), None),
            (to.to_owned(), Some(Node::File(content))),
        ];
        self.change(dir, set);
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.content(path)?;
        let dir = self.existing_parent(path)?;
        self.change(dir, vec![(path.to_owned(), None)]);
        Ok(())
    }

    /// Directories are durable at once, as the trait promises.
    pub(super) fn create_dir_all(&mut self, path: &Path) -> io::Result<()> {
        for dir in path.ancestors() {
            if let Some(Node::File(_)) = self.now.get(dir) {
                return Err(io::ErrorKind::NotADirectory.into());
            }
            self.now.insert(dir.to_owned(), Node::Dir);
            self.durable.insert(dir.to_owned(), Node::Dir);
        }
        Ok(())
    }

    pub(super) fn remove_dir_all(&mut self, path: &Path) -> io::Result<()> {
        if !matches!(self.now.get(path), Some(Node::Dir)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let dir = self.existing_parent(path)?;
        let below = self.now.keys().filter(|name| name.starts_with(path));
        let set = below.map(|name| (name.clone(), None)).collect();
        self.change(dir, set);
        Ok(())
    }

    pub(super) fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        if !matches!(self.now.get(path), Some(Node::Dir)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let children = self
            .now
            .iter()
            .filter(|(name, _)| name.parent() == Some(path));
        let entry = |(name, node): (&PathBuf, &Node)| {
            let name = name.file_name()?.to_str()?.to_owned();
            Some(DirEntry {
                name,
                is_dir: matches!(node, Node::Dir),
            })
        };
        Ok(children.filter_map(entry).collect())
    }

    /// Makes the changes in one directory durable.
    pub(super) fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        if !matches!(self.now.get(path), Some(Node::Dir)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let (synced, left) = std::mem::take(&mut self.changes)
            .into_iter()
            .partition(|change| change.dir == path);
        self.changes = left;
        apply(&mut self.durable, synced);
        Ok(())
    }

    /// A journal keeps changes in order, so the first few survive and the others do not.
    pub(super) fn crash(&mut self, rng: &mut Rng) {
        let mut changes = std::mem::take(&mut self.changes);
        changes.truncate(rng.below(changes.len() as u64 + 1) as usize);
        apply(&mut self.durable, changes);
        self.now = self.durable.clone();
    }

    fn change(&mut self, dir: PathBuf, set: Vec<(PathBuf, Option<Node>)>) {
        let change = Change {
            dir,
            set: set.clone(),
        };
        apply(
            &mut self.now,
            vec![Change {
                dir: PathBuf::new(),
                set,
            }],
        );
        match self.need_sync {
            true => self.changes.push(change),
            false => apply(&mut self.durable, vec![change]),
        }
    }

    fn existing_parent(&self, path: &Path) -> io::Result<PathBuf> {
        let parent = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        match self.now.get(parent) {
            Some(Node::Dir) => Ok(parent.to_owned()),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

fn apply(names: &mut BTreeMap<PathBuf, Node>, changes: Vec<Change>) {
    for (path, node) in changes.into_iter().flat_map(|change| change.set) {
        match node {
            Some(node) => names.insert(path, node),
            None => names.remove(&path),
        };
    }
}
