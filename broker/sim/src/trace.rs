//! What happened, as a number to compare runs by and as text to read after a failure.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Lines kept for the reader of a failure.
const LINES_KEPT: usize = 400;

/// Takes note of events. A handle: clones mean the same trace.
#[derive(Clone)]
pub struct Trace(Arc<Mutex<Notes>>);

struct Notes {
    started: Instant,
    hasher: DefaultHasher,
    events: u64,
    lines: VecDeque<String>,
}

impl Trace {
    pub fn new() -> Self {
        Trace(Arc::new(Mutex::new(Notes {
            started: Instant::now(),
            hasher: DefaultHasher::new(),
            events: 0,
            lines: VecDeque::new(),
        })))
    }

    /// Counts an event into the hash, with the time it happened at.
    pub fn event(&self, what: &str, parts: &[&[u8]]) {
        let mut notes = self.0.lock();
        let at = notes.started.elapsed();
        at.hash(&mut notes.hasher);
        what.hash(&mut notes.hasher);
        for part in parts {
            part.hash(&mut notes.hasher);
        }
        notes.events += 1;
    }

    /// As [`Trace::event`], and keeps a line of text.
    pub fn say(&self, line: String) {
        self.event("said", &[line.as_bytes()]);
        let mut notes = self.0.lock();
        let at = notes.started.elapsed().as_millis();
        if notes.lines.len() == LINES_KEPT {
            notes.lines.pop_front();
        }
        notes.lines.push_back(format!("{at:>7} ms  {line}"));
    }

    /// Simulated time since the start, in milliseconds.
    pub fn now_ms(&self) -> u64 {
        self.0.lock().started.elapsed().as_millis() as u64
    }

    /// A number that two equal runs share.
    pub fn hash(&self) -> u64 {
        self.0.lock().hasher.finish()
    }

    pub fn events(&self) -> u64 {
        self.0.lock().events
    }

    pub fn lines(&self) -> Vec<String> {
        self.0.lock().lines.iter().cloned().collect()
    }
}

impl Default for Trace {
    fn default() -> Self {
        Trace::new()
    }
}
