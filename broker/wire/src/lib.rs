//! The client and route protocols: parsing and encoding, without sockets.
//!
//! - [`client`]: what clients send, parsed without copying.
//! - [`encode`]: what the server sends to clients.
//! - [`route`]: what servers of one cluster say to each other, both directions.
//! - [`proxy`]: what a proxy says about the connection that it passes on.
//! - [`headers`]: the header block of a message.
//! - [`ServerInfo`] and [`ConnectOptions`]: the JSON bodies of `INFO` and `CONNECT`.
//! - [`Error`]: every reason to refuse a client, with the exact text it is told.
//!
//! This crate must not know accounts, permissions or subscriptions: it turns bytes into operations
//! and back. Nothing a peer sends may panic here, which is why indexing is forbidden. Start with
//! [`client::parse`].

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic
    )
)]

pub mod client;
mod connect;
pub mod encode;
mod error;
pub mod headers;
mod info;
mod lexer;
pub mod proxy;
pub mod route;

pub use connect::{ConnectOptions, SubjectPermission};
pub use error::{CloseReason, Error};
pub use info::ServerInfo;
