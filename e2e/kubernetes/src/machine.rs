//! How long the machine lets a process wait, without which no pause can be judged.
//!
//! A thread does over and over what a broker does for a message: it waits, writes a little and has
//! it made durable. What such a turn takes too long, it was held up by other processes and their
//! disks. A pause of publishing is the brokers' own as far as that thread was not held up meanwhile.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use parking_lot::Mutex;

/// Between two turns.
const EVERY: Duration = Duration::from_millis(10);
/// What a turn may take on a machine that does nothing else, its wait included.
const USUAL: Duration = Duration::from_millis(30);
/// What a turn writes.
const BYTES: &[u8] = &[b'.'; 256];

/// The thread, until it is dropped.
pub struct Machine {
    delays: Arc<Mutex<Vec<Delay>>>,
    is_over: Arc<AtomicBool>,
}

/// A time in which a turn waited.
#[derive(Clone, Copy, Debug)]
struct Delay {
    began: Instant,
    ended: Instant,
}

impl Machine {
    /// Writes to a file in `folder`, which is on the disk that brokers write to.
    pub fn watched(folder: &Path) -> anyhow::Result<Machine> {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let file = tempfile::tempfile_in(folder)?;
        let delays = Arc::new(Mutex::new(Vec::new()));
        let is_over = Arc::new(AtomicBool::new(false));
        let machine = Machine {
            delays: Arc::clone(&delays),
            is_over: Arc::clone(&is_over),
        };
        thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                if let Some(delay) = turn(&file) {
                    delays.lock().push(delay);
                }
            }
        });
        Ok(machine)
    }

    /// How long it held a process up in a time.
    pub fn held_up(&self, began: Instant, lasted: Duration) -> Duration {
        let delays = self.delays.lock();
        let within = delays.iter().map(|delay| delay.within(began, lasted));
        within.sum()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// Its delay, if it took too long.
fn turn(file: &File) -> Option<Delay> {
    let began = Instant::now();
    thread::sleep(EVERY);
    // A full disk holds nobody up, and brokers tell of it.
    let _ = file.write_all_at(BYTES, 0).and_then(|()| file.sync_data());
    let ended = Instant::now();
    let usual = began + USUAL;
    (ended > usual).then_some(Delay {
        began: usual,
        ended,
    })
}

impl Delay {
    /// The part of it that is in a time.
    fn within(&self, began: Instant, lasted: Duration) -> Duration {
        let (first, last) = (self.began.max(began), self.ended.min(began + lasted));
        last.saturating_duration_since(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_in_a_time_counts() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let delay = Delay {
            began: at(100),
            ended: at(300),
        };
        for (began, lasted, within) in [(0, 100, 0), (0, 200, 100), (150, 50, 50), (250, 500, 50)] {
            let found = delay.within(at(began), Duration::from_millis(lasted));
            assert_eq!(found, Duration::from_millis(within), "{began} for {lasted}");
        }
    }
}
