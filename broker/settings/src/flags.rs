//! The command line.

mod apply;
mod help;
mod table;

use std::fmt;
use std::path::PathBuf;

pub use help::{help, help_tls};
use table::{Setter, TABLE};

/// What the command line asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    Run(Flags),
    /// `-t`: check the configuration and leave.
    Test(Flags),
    Signal(Signal),
    Help,
    HelpTls,
    Version,
}

/// `--signal COMMAND[=TARGET]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signal {
    pub command: SignalCommand,
    /// A process id, the path of a pid file, or a prefix with a star; absent means the only server
    /// that runs.
    pub target: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalCommand {
    Stop,
    Quit,
    Term,
    Reopen,
    Reload,
    LameDuck,
}

/// Flags that override the configuration file. Absent means the flag was not given.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Flags {
    pub config_file: Option<PathBuf>,
    pub host: Option<String>,
    pub port: Option<i64>,
    pub server_name: Option<String>,
    pub pid_file: Option<PathBuf>,
    pub http_port: Option<i64>,
    pub https_port: Option<i64>,
    pub client_advertise: Option<String>,
    pub ports_file_dir: Option<PathBuf>,
    pub log_file: Option<PathBuf>,
    pub logtime: Option<bool>,
    pub logtime_utc: Option<bool>,
    pub syslog: Option<bool>,
    pub remote_syslog: Option<String>,
    pub debug: Option<bool>,
    pub trace: Option<bool>,
    pub trace_verbose: Option<bool>,
    pub log_size_limit: Option<i64>,
    pub max_traced_msg_len: Option<i64>,
    pub jetstream: Option<bool>,
    pub store_dir: Option<PathBuf>,
    pub user: Option<String>,
    pub pass: Option<String>,
    pub auth: Option<String>,
    pub tls: Option<bool>,
    pub tls_cert: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    pub tls_verify: Option<bool>,
    pub tls_ca_cert: Option<PathBuf>,
    /// URLs with commas between them.
    pub routes: Option<String>,
    pub cluster_listen: Option<String>,
    pub cluster_name: Option<String>,
    pub no_advertise: Option<bool>,
    pub cluster_advertise: Option<String>,
    pub connect_retries: Option<i64>,
    pub profile: Option<i64>,
}

/// Why a command line was not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlagError(pub String);

impl fmt::Display for FlagError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for FlagError {}

/// Flags, and what is no setting but changes what is done.
#[derive(Default)]
struct Parsed {
    flags: Flags,
    test: bool,
    help: bool,
    help_tls: bool,
    version: bool,
    signal: Option<String>,
}

/// Reads the arguments after the program's name.
///
/// Flags have one dash or two. A value follows as the next argument or after an equals sign; flags
/// that are on or off take one only after an equals sign.
pub fn parse<I, S>(args: I) -> Result<Action, FlagError>
where
    I: IntoIterator<Item = S>,
    S: Into<String>,
{
    let mut parsed = Parsed::default();
    let mut args = args.into_iter().map(Into::into);
    let mut command = None;
    while let Some(arg) = args.next() {
        if arg == "--" {
            command = args.next();
            break;
        }
        match arg.strip_prefix("--").or_else(|| arg.strip_prefix('-')) {
            Some("") | None => {
                command = Some(arg);
                break;
            }
            Some(flag) => set_flag(&mut parsed, flag, &arg, &mut args)?,
        }
    }
    match command.map(|command| command.to_lowercase()).as_deref() {
        None => {}
        Some("version") => parsed.version = true,
        Some("help") => parsed.help = true,
        Some(command) => return Err(FlagError(format!("unrecognized command: {command:?}"))),
    }
    action(parsed)
}

fn set_flag(
    parsed: &mut Parsed,
    flag: &str,
    arg: &str,
    rest: &mut impl Iterator<Item = String>,
) -> Result<(), FlagError> {
    let (name, value) = match flag.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (flag, None),
    };
    if name.is_empty() || name.starts_with('-') {
        return Err(FlagError(format!("bad flag syntax: {arg}")));
    }
    let Some(definition) = TABLE
        .iter()
        .find(|definition| definition.names.contains(&name))
    else {
        return Err(FlagError(format!("flag provided but not defined: -{name}")));
    };
    let invalid = |value: &str| FlagError(format!("invalid value {value:?} for flag -{name}"));
    if let Setter::Switch(set) = definition.setter {
        let on = match value {
            Some(value) => parse_bool(&value).ok_or_else(|| invalid(&value))?,
            None => true,
        };
        set(parsed, on);
        return Ok(());
    }
    let value = value
        .or_else(|| rest.next())
        .ok_or_else(|| FlagError(format!("flag needs an argument: -{name}")))?;
    match definition.setter {
        Setter::Switch(_) => {}
        Setter::Text(set) => set(parsed, value),
        Setter::Number(set) => set(parsed, value.parse().map_err(|_| invalid(&value))?),
    }
    Ok(())
}

fn parse_bool(value: &str) -> Option<bool> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn action(parsed: Parsed) -> Result<Action, FlagError> {
    if parsed.version {
        return Ok(Action::Version);
    }
    if parsed.help {
        return Ok(Action::Help);
    }
    if parsed.help_tls {
        return Ok(Action::HelpTls);
    }
    if let Some(signal) = parsed.signal.filter(|signal| !signal.is_empty()) {
        return parse_signal(&signal).map(Action::Signal);
    }
    if !parsed.test {
        return Ok(Action::Run(parsed.flags));
    }
    if parsed.flags.config_file.is_none() {
        let reason = "must specify [-c, --config] option to check configuration file syntax";
        return Err(FlagError(reason.into()));
    }
    Ok(Action::Test(parsed.flags))
}

fn parse_signal(text: &str) -> Result<Signal, FlagError> {
    let (command, target) = match text.split_once('=') {
        Some((command, target)) => (command, Some(target.to_owned())),
        None => (text, None),
    };
    if target.as_ref().is_some_and(|target| target.contains('=')) {
        return Err(FlagError(format!("invalid signal parameters: {text:?}")));
    }
    let command = match command {
        "stop" => SignalCommand::Stop,
        "quit" => SignalCommand::Quit,
        "term" => SignalCommand::Term,
        "reopen" => SignalCommand::Reopen,
        "reload" => SignalCommand::Reload,
        "ldm" => SignalCommand::LameDuck,
        _ => return Err(FlagError(format!("unknown signal {command:?}"))),
    };
    Ok(Signal {
        command,
        target: target.filter(|target| !target.is_empty()),
    })
}

#[cfg(test)]
mod tests;
