//! The files of resources, read together and looked at again while they may change.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use reconcile::ResourceSet;

/// How often files are looked at. Editors replace files in ways that notifications miss.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Some files, and how they looked when they were read last.
pub struct Files {
    paths: Vec<PathBuf>,
    seen: Vec<Look>,
}

/// What tells that a file changed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Look {
    modified: Option<SystemTime>,
    size: u64,
}

impl Files {
    pub fn new(paths: Vec<PathBuf>) -> Self {
        Files {
            paths,
            seen: Vec::new(),
        }
    }

    /// Reads all resources. Everything that is wrong in all files is reported together.
    pub fn read(&mut self) -> anyhow::Result<ResourceSet> {
        self.seen = self.look();
        let mut set = ResourceSet::default();
        let mut problems = String::new();
        for path in &self.paths {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("{} cannot be read", path.display()))?;
            match api::parse_documents(&text) {
                Err(found) => {
                    for problem in found {
                        problems.push_str(&format!("\n  {}:{problem}", path.display()));
                    }
                }
                Ok(resources) => {
                    for resource in resources {
                        let id = resource.value.id();
                        if set.get(&id).is_some() {
                            let place = format!("{}:{}", path.display(), resource.position.line);
                            problems.push_str(&format!("\n  {place}: {id} is in two files"));
                        }
                        set.insert(resource.value);
                    }
                }
            }
        }
        if !problems.is_empty() {
            bail!("the resources cannot be used:{problems}");
        }
        Ok(set)
    }

    /// Resolves when a file looks different from when it was read.
    pub async fn changed(&self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if self.look() != self.seen {
                return;
            }
        }
    }

    fn look(&self) -> Vec<Look> {
        let look = |path: &PathBuf| match std::fs::metadata(path) {
            Ok(metadata) => Look {
                modified: metadata.modified().ok(),
                size: metadata.len(),
            },
            Err(_) => Look {
                modified: None,
                size: 0,
            },
        };
        self.paths.iter().map(look).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_readable() {
        let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/orders.yaml");
        let set = Files::new(vec![example.into()]).read().unwrap();
        assert_eq!(set.iter().count(), 6);
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Files::new(vec!["no/such.yaml".into()]).read().unwrap_err();
        assert!(error.to_string().contains("no/such.yaml"));
    }
}
