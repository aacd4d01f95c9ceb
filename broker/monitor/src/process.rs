//! What the operating system says about this process.

use std::time::Instant;

use parking_lot::Mutex;

/// Ticks per second in `/proc/self/stat` on every Linux that this runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// Measures processor use between two looks at it.
pub(crate) struct CpuMeter {
    last: Mutex<Look>,
}

struct Look {
    at: Instant,
    cpu_seconds: f64,
    percent: f64,
}

/// The shortest time over which processor use means something, in seconds.
const MIN_SPAN_SECONDS: f64 = 0.5;

impl CpuMeter {
    pub fn new() -> CpuMeter {
        CpuMeter {
            last: Mutex::new(Look {
                at: Instant::now(),
                cpu_seconds: cpu_seconds(),
                percent: 0.0,
            }),
        }
    }

    /// Percent of one processor used since the last look.
    pub fn percent(&self) -> f64 {
        let mut last = self.last.lock();
        let span = last.at.elapsed().as_secs_f64();
        if span >= MIN_SPAN_SECONDS {
            let now = cpu_seconds();
            last.percent = (now - last.cpu_seconds) / span * 100.0;
            last.cpu_seconds = now;
            last.at = Instant::now();
        }
        // One decimal is all that its precision supports.
        (last.percent * 10.0).round() / 10.0
    }
}

/// Processor time of this process so far, user and system; 0 where it cannot be read.
pub fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    parse_cpu_ticks(&stat).map_or(0.0, |ticks| ticks as f64 / TICKS_PER_SECOND)
}

/// Resident memory of this process in bytes; 0 where it cannot be read.
pub fn memory_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm
        .split_ascii_whitespace()
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * rustix::param::page_size() as u64
}

/// File descriptors in use; 0 where they cannot be counted.
pub fn open_files() -> u64 {
    std::fs::read_dir("/proc/self/fd").map_or(0, |files| files.count() as u64)
}

/// File descriptors that the system allows; `None` if it does not limit them.
pub fn max_files() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The second field is the program's name in parentheses and may hold anything, so fields are
/// counted from the last parenthesis.
fn parse_cpu_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_behind_any_program_name() {
        let stat = "42 (we (i) r) S 1 42 42 0 -1 4194560 5 0 0 0 17 4 0 0 20 0 9 0 100 1000 200";
        assert_eq!(parse_cpu_ticks(stat), Some(21));
        assert_eq!(parse_cpu_ticks("42 (cut off"), None);
    }

    #[test]
    fn this_process_uses_memory() {
        assert!(memory_bytes() > 100_000);
        assert!(cores() >= 1);
        assert!(open_files() > 0 && max_files().is_none_or(|max| max >= open_files()));
    }
}
