//! `/debug/vars`: what a Go program would tell about itself, as far as it applies.

use serde::Serialize;

use crate::{Sources, process};

#[derive(Debug, Serialize)]
pub struct Expvarz {
    pub cmdline: Vec<String>,
    pub memstats: MemStats,
}

/// The one number of Go's memory statistics that has a meaning here.
#[derive(Debug, Serialize)]
pub struct MemStats {
    /// Resident memory in bytes.
    #[serde(rename = "Sys")]
    pub sys: u64,
}

pub fn expvarz(_sources: &Sources) -> Expvarz {
    Expvarz {
        // Only the program's name: its arguments may hold passwords.
        cmdline: std::env::args().take(1).collect(),
        memstats: MemStats {
            sys: process::memory_bytes(),
        },
    }
}
