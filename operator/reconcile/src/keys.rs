//! Where secrets are kept.

mod directory;

use std::fmt;

use futures::future::BoxFuture;

pub use directory::Directory;

/// Which secret. Names and namespaces are those of resources, so they are safe in paths.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entry {
    /// Seed of the key that signs accounts.
    OperatorSeed,
    /// Seed of the account that servers talk in.
    SystemAccountSeed,
    /// Seed of an account: its name on the servers and the key that signs its users.
    AccountSeed { namespace: String, name: String },
    /// Seeds of keys that sign the account's users in place of its own key, with when they were made.
    SigningSeeds { namespace: String, name: String },
    /// A seed that a person has put there: never written, never removed.
    Given {
        namespace: String,
        name: String,
        key: String,
    },
    /// The account's claims as they were signed last.
    AccountToken { namespace: String, name: String },
    /// A user's seed and claims, as clients read them.
    UserCreds { namespace: String, name: String },
}

/// A text that stays out of logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// Why a secret could not be read or kept.
#[derive(Debug, thiserror::Error)]
#[error("secret {entry}: {reason}")]
pub struct KeyStoreError {
    pub entry: Entry,
    pub reason: String,
}

/// Keeps secrets: files for a person's machine, Secrets in Kubernetes.
///
/// What was saved must be there after a crash: a lost seed is a lost account.
pub trait KeyStore: Send + Sync {
    fn load<'a>(&'a self, entry: &'a Entry)
    -> BoxFuture<'a, Result<Option<Secret>, KeyStoreError>>;

    fn save<'a>(
        &'a self,
        entry: &'a Entry,
        secret: &'a Secret,
    ) -> BoxFuture<'a, Result<(), KeyStoreError>>;

    /// Removing what is not there is fine.
    fn remove<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<(), KeyStoreError>>;

    /// Where a person finds the secret: a path, or the name of a Secret.
    fn place(&self, entry: &Entry) -> String;
}

impl Secret {
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Entry::OperatorSeed => f.write_str("operator.nk"),
            Entry::SystemAccountSeed => f.write_str("system.nk"),
            Entry::AccountSeed { namespace, name } => write!(f, "accounts/{namespace}/{name}.nk"),
            Entry::SigningSeeds { namespace, name } => {
                write!(f, "accounts/{namespace}/{name}.signing.nk")
            }
            Entry::Given {
                namespace,
                name,
                key,
            } => write!(f, "given/{namespace}/{name}/{key}"),
            Entry::AccountToken { namespace, name } => write!(f, "accounts/{namespace}/{name}.jwt"),
            Entry::UserCreds { namespace, name } => write!(f, "users/{namespace}/{name}.creds"),
        }
    }
}
