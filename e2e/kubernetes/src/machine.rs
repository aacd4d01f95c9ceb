//! What else the machine does, without which no pause can be judged.

use std::fmt;

use anyhow::Context as _;

/// Processes that want to run, on average of the last minute, for each processor. With more than
/// this a broker waits for its turn longer than for the others.
const TOO_MANY: f64 = 2.0;

/// How many processes want to run.
pub struct Busy {
    processes: f64,
    processors: usize,
}

pub fn busy() -> anyhow::Result<Busy> {
    let text = std::fs::read_to_string("/proc/loadavg").context("/proc/loadavg")?;
    let first = text.split_whitespace().next();
    let processes = first.and_then(|first| first.parse().ok());
    Ok(Busy {
        processes: processes.with_context(|| format!("no number in {text:?}"))?,
        processors: std::thread::available_parallelism()?.get(),
    })
}

impl Busy {
    /// Whether times say nothing about the brokers.
    pub fn is_too_much(&self) -> bool {
        self.processes > TOO_MANY * self.processors as f64
    }
}

impl fmt::Display for Busy {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (processes, processors) = (self.processes, self.processors);
        write!(out, "load {processes} on {processors} processors")?;
        match self.is_too_much() {
            true => write!(out, ", too much to judge times"),
            false => Ok(()),
        }
    }
}
