//! Marks on the server that say which resource something belongs to.

use std::fmt;

use api::ResourceId;

/// Metadata key of the owner's name.
pub const OWNER_KEY: &str = "weir.dev/owner";
/// Metadata key of the hash of the configuration that was applied last.
pub const APPLIED_KEY: &str = "weir.dev/applied";
/// Keys that servers write themselves.
pub(crate) const SERVER_PREFIX: &str = "_nats.";
/// Keys that this crate writes.
pub(crate) const WEIR_PREFIX: &str = "weir.dev/";

/// Tells one installation of Weir from others that use the same brokers: two Kubernetes clusters
/// may declare streams of the same name and must not fight over them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerId(String);

/// The owner of one thing on the server, as its mark says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark(String);

impl OwnerId {
    pub fn new(installation: &str) -> OwnerId {
        OwnerId(installation.to_owned())
    }

    /// The mark of what belongs to a resource of this installation.
    pub fn mark(&self, id: &ResourceId) -> Mark {
        Mark(format!("{id}@{}", self.0))
    }
}

impl Mark {
    pub(crate) fn read(text: &str) -> Mark {
        Mark(text.to_owned())
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
