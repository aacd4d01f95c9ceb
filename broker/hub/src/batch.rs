//! Groups the deliveries of one read (or one internal batch) so that each target is written once.
//!
//! The state is per thread and a batch never spans an await, so nothing here is shared.

use std::{
    cell::{Cell, RefCell},
    sync::Arc,
};

use crate::connection::Connection;

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    static LAG: Cell<Lag> = const { Cell::new(Lag::None) };
    static DIRTY: RefCell<Vec<Arc<Connection>>> = const { RefCell::new(Vec::new()) };
}

/// Targets of earlier batches may have made the list long; it is shortened to this.
const DIRTY_KEEP: usize = 1024;

/// Runs `f`; every connection it appended to is written when the outermost batch of this thread
/// ends. Must not block or await inside.
pub(crate) fn run<R>(f: impl FnOnce() -> R) -> R {
    let guard = Guard::enter();
    let result = f();
    drop(guard);
    result
}

/// How far behind the slowest target of a batch is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Lag {
    None,
    /// Its backlog is larger than one would like.
    Behind,
    /// It will soon be cut off.
    Critical,
}

/// Like [`run`], and also tells how far behind the targets are.
pub(crate) fn run_watching_lag<R>(f: impl FnOnce() -> R) -> (R, Lag) {
    LAG.set(Lag::None);
    let result = run(f);
    (result, LAG.replace(Lag::None))
}

/// A target was appended to and nobody else has promised to write it. Outside a batch it is
/// written at once.
pub(crate) fn promise(target: &Arc<Connection>) {
    if DEPTH.get() == 0 {
        target.flush();
    } else {
        DIRTY.with_borrow_mut(|dirty| dirty.push(target.clone()));
    }
}

/// A target is behind.
pub(crate) fn note_lag(lag: Lag) {
    LAG.set(LAG.get().max(lag));
}

struct Guard;

impl Guard {
    fn enter() -> Guard {
        DEPTH.set(DEPTH.get() + 1);
        Guard
    }
}

impl Drop for Guard {
    // In a destructor, so that a panicking handler does not strand the promises made before it.
    fn drop(&mut self) {
        let depth = DEPTH.get() - 1;
        DEPTH.set(depth);
        if depth == 0 {
            flush();
        }
    }
}

fn flush() {
    let mut dirty = DIRTY.take();
    for target in dirty.drain(..) {
        target.flush();
    }
    dirty.shrink_to(DIRTY_KEEP);
    DIRTY.with_borrow_mut(|current| {
        if current.is_empty() {
            *current = dirty;
        }
    });
}
