//! The server's flags and configuration file, turned into typed options.
//!
//! The file is written in nats-server's configuration language. It goes through three steps, each
//! of which can be used alone: [`parse`] turns text into a tree of values that know where they
//! were written, [`Options::read`] turns the tree into [`Options`], and
//! [`Options::from_flags_and_file`] lays the command line over it. Every error names its file, line
//! and column, and all that can be found are reported together.
//!
//! The crate must not know what the options do. It opens no file and reads no environment itself:
//! both come in through a [`Source`]. It holds no key material and verifies no signature; it only
//! checks that keys are spelled as keys.
//!
//! Start at [`options::Options`], then `read.rs`, which is the table from keys to fields.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic
    )
)]

mod digest;
pub mod flags;
pub mod options;
mod print;
mod problem;
mod read;
pub mod reload;
mod syntax;
pub mod value;

use std::io;
use std::path::Path;

pub use options::Options;
pub use problem::{Position, Problem, Problems};
pub use syntax::parse;
pub use value::{Entry, Map, Node, Value};

/// Where files and variables come from.
pub struct Source<'a> {
    pub read_file: &'a dyn Fn(&Path) -> io::Result<String>,
    pub environment: &'a dyn Fn(&str) -> Option<String>,
}
