//! Who may connect, as whom, and what that identity may do.
//!
//! - [`Permissions`]: what a connection may publish, subscribe to and receive.
//! - [`Login`]: the outcome of authentication, everything a connection needs to know about itself.
//! - [`Authenticator`]: turns credentials into a login, by configured users or by signed tokens.
//! - [`jwt`]: claims of operators, accounts and users; decoding, verifying and signing them.
//! - [`nkey`] and [`creds`]: keys, and the file format that hands them to clients; [`xkey`]: keys that
//!   seal messages.
//!
//! This crate has no clock, no files and no sockets: the time, the peer's address and the account
//! claims come from the caller. It must not know connections or streams. Start with [`Login`].

pub mod authenticator;
pub mod creds;
pub mod jwt;
mod login;
pub mod nkey;
mod permissions;
pub mod xkey;

pub use authenticator::{AccountLookup, Attempt, AuthError, Authenticator, ConnectionKind};
pub use creds::Creds;
pub use login::{Limits, Login};
pub use permissions::{PermissionRules, Permissions, ResponseRules, SubjectRules};
