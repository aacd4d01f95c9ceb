//! Signals: what this server does on them, and sending them to another server.

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal as Number, kill_process};
use settings::flags::{Signal, SignalCommand};
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    Stop,
    Reopen,
    Reload,
    LameDuck,
}

/// The signals of this process.
pub struct Signals {
    interrupt: Stream,
    terminate: Stream,
    hang_up: Stream,
    user1: Stream,
    user2: Stream,
}

impl Signals {
    pub fn new() -> std::io::Result<Self> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
        })
    }

    pub async fn next(&mut self) -> Wish {
        let (name, wish) = tokio::select! {
            _ = self.interrupt.recv() => ("interrupt", Wish::Stop),
            _ = self.terminate.recv() => ("terminated", Wish::Stop),
            _ = self.hang_up.recv() => ("hangup", Wish::Reload),
            _ = self.user1.recv() => ("user defined signal 1", Wish::Reopen),
            _ = self.user2.recv() => ("user defined signal 2", Wish::LameDuck),
        };
        tracing::info!("Trapped {name:?} signal");
        wish
    }
}

/// Sends a signal to a running server, by process id, pid file or process name.
pub fn send(wanted: &Signal) -> anyhow::Result<()> {
    let number = match wanted.command {
        SignalCommand::Stop => Number::KILL,
        SignalCommand::Quit => Number::INT,
        SignalCommand::Term => Number::TERM,
        SignalCommand::Reopen => Number::USR1,
        SignalCommand::Reload => Number::HUP,
        SignalCommand::LameDuck => Number::USR2,
    };
    for pid in targets(wanted.target.as_deref())? {
        let pid = Pid::from_raw(pid).context("process id is not valid")?;
        kill_process(pid, number).with_context(|| format!("signal to process {pid:?}"))?;
    }
    Ok(())
}

fn targets(target: Option<&str>) -> anyhow::Result<Vec<i32>> {
    let Some(target) = target else {
        return running(None);
    };
    if let Some(prefix) = target.strip_suffix('*') {
        return running(Some(prefix));
    }
    if let Ok(pid) = target.parse() {
        return Ok(vec![pid]);
    }
    let text = std::fs::read_to_string(target)
        .with_context(|| format!("{target} is neither a process id nor a readable pid file"))?;
    let pid = text
        .trim()
        .parse()
        .with_context(|| format!("{target} holds no process id"))?;
    Ok(vec![pid])
}

/// The servers of this machine; one, unless a prefix of their ids is given.
fn running(prefix: Option<&str>) -> anyhow::Result<Vec<i32>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let command = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        let is_server = ["weir-server", "nats-server"].contains(&command.trim());
        let is_wanted = prefix.is_none_or(|prefix| pid.to_string().starts_with(prefix));
        if is_server && is_wanted && pid != std::process::id() as i32 {
            found.push(pid);
        }
    }
    match (found.len(), prefix) {
        (0, _) => bail!("no weir-server processes running"),
        (2.., None) => bail!("multiple weir-server processes running: {found:?}; name one"),
        _ => Ok(found),
    }
}
