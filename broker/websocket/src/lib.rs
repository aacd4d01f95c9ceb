//! The server's side of WebSocket (RFC 6455) with permessage-deflate (RFC 7692), without sockets.
//!
//! A connection starts with an HTTP request: [`Upgrade::parse`] reads it, [`upgrade::accept`] and
//! [`upgrade::refuse`] answer it. After that [`Reader`] turns the bytes of the peer into the bytes
//! that were meant, and [`Writer`] does the reverse. The stream inside is that of the NATS client
//! protocol, so where a message begins and ends has no meaning: data are passed on as they arrive,
//! and nothing is held until a message is whole.
//!
//! The crate must not know what NATS is, and opens no socket.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic
    )
)]

mod close;
mod deflate;
mod header;
mod origin;
mod reader;
pub mod upgrade;
mod writer;

pub use close::CloseCode;
pub use origin::Origins;
pub use reader::{Event, Failure, Progress, Reader, ReaderOptions};
pub use upgrade::{Refusal, Upgrade};
pub use writer::{Writer, WriterOptions};
