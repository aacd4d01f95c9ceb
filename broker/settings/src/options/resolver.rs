//! Where account JWTs come from in operator mode.

use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolver {
    /// Only what `resolver_preload` holds.
    Memory,
    /// Fetched from a web server; the public key of the account is appended to the URL.
    Url(String),
    /// Kept in a folder.
    Directory {
        kind: DirectoryKind,
        dir: PathBuf,
        allow_delete: bool,
        /// Remove files instead of renaming them.
        hard_delete: bool,
        /// Accounts kept; no limit if absent.
        limit: Option<u64>,
        /// How long a cached account is kept; for ever if absent.
        ttl: Option<Duration>,
        /// How often full resolvers compare themselves.
        interval: Option<Duration>,
        /// How long a look-up may take.
        timeout: Option<Duration>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirectoryKind {
    Full,
    Cache,
}

/// An operator, before its JWT is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorSource {
    /// The file the text was read from; absent if the configuration holds the JWT itself.
    pub file: Option<PathBuf>,
    /// The JWT, or a file that decorates it with `BEGIN`/`END` lines.
    pub text: String,
}
