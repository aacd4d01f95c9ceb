//! The command line.

use std::path::PathBuf;

use crate::{Options, Problems, Source};

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

impl std::fmt::Display for FlagError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for FlagError {}

/// Reads the arguments after the program's name.
pub fn parse<I, S>(_args: I) -> Result<Action, FlagError>
where
    I: IntoIterator<Item = S>,
    S: Into<String>,
{
    Ok(Action::Run(Flags::default()))
}

impl Options {
    /// Reads the file the flags name, if they name one, and lays the flags over it.
    pub fn from_flags_and_file(_flags: &Flags, _source: &Source<'_>) -> Result<Options, Problems> {
        Ok(Options::default())
    }
}

/// The text of `--help`.
pub fn help() -> &'static str {
    ""
}

/// The text of `--help_tls`.
pub fn help_tls() -> &'static str {
    ""
}
