//! Every flag: its names, what it takes, what it is for. Help is made from this table too.

use std::path::PathBuf;

use super::Parsed;

pub struct Definition {
    pub section: Section,
    pub names: &'static [&'static str],
    /// How help names the value; empty for switches.
    pub value: &'static str,
    pub help: &'static str,
    pub setter: Setter,
}

/// Function pointers do not compare, so this is neither `Debug` nor `PartialEq`.
#[derive(Clone, Copy)]
pub enum Setter {
    Switch(fn(&mut Parsed, bool)),
    Number(fn(&mut Parsed, i64)),
    Text(fn(&mut Parsed, String)),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    Server,
    Logging,
    JetStream,
    Authorization,
    Tls,
    Cluster,
    Other,
}

impl Section {
    pub const ALL: [Section; 7] = [
        Section::Server,
        Section::Logging,
        Section::JetStream,
        Section::Authorization,
        Section::Tls,
        Section::Cluster,
        Section::Other,
    ];

    pub fn title(self) -> &'static str {
        match self {
            Section::Server => "Server",
            Section::Logging => "Logging",
            Section::JetStream => "JetStream",
            Section::Authorization => "Authorization",
            Section::Tls => "TLS",
            Section::Cluster => "Cluster",
            Section::Other => "Other",
        }
    }
}

use Section::{Authorization, Cluster, JetStream, Logging, Other, Server, Tls};
use Setter::{Number, Switch, Text};

const fn switch(
    section: Section,
    names: &'static [&'static str],
    help: &'static str,
    set: fn(&mut Parsed, bool),
) -> Definition {
    Definition {
        section,
        names,
        value: "",
        help,
        setter: Switch(set),
    }
}

const fn number(
    section: Section,
    names: &'static [&'static str],
    value: &'static str,
    help: &'static str,
    set: fn(&mut Parsed, i64),
) -> Definition {
    Definition {
        section,
        names,
        value,
        help,
        setter: Number(set),
    }
}

const fn text(
    section: Section,
    names: &'static [&'static str],
    value: &'static str,
    help: &'static str,
    set: fn(&mut Parsed, String),
) -> Definition {
    Definition {
        section,
        names,
        value,
        help,
        setter: Text(set),
    }
}

fn path(text: String) -> Option<PathBuf> {
    Some(PathBuf::from(text))
}

pub const TABLE: &[Definition] = &[
    text(
        Server,
        &["a", "addr", "net"],
        "HOST",
        "listen on this address (0.0.0.0)",
        |p, v| {
            p.flags.host = Some(v);
        },
    ),
    number(
        Server,
        &["p", "port"],
        "PORT",
        "listen for clients here (4222; -1 is any)",
        |p, v| {
            p.flags.port = Some(v);
        },
    ),
    text(
        Server,
        &["n", "name", "server_name"],
        "NAME",
        "name of this server",
        |p, v| {
            p.flags.server_name = Some(v);
        },
    ),
    text(
        Server,
        &["P", "pid"],
        "FILE",
        "write the process id to this file",
        |p, v| {
            p.flags.pid_file = path(v);
        },
    ),
    number(
        Server,
        &["m", "http_port"],
        "PORT",
        "serve monitoring over HTTP here",
        |p, v| {
            p.flags.http_port = Some(v);
        },
    ),
    number(
        Server,
        &["ms", "https_port"],
        "PORT",
        "serve monitoring over HTTPS here",
        |p, v| {
            p.flags.https_port = Some(v);
        },
    ),
    text(
        Server,
        &["c", "config"],
        "FILE",
        "read this configuration",
        |p, v| {
            p.flags.config_file = path(v).filter(|path| !path.as_os_str().is_empty());
        },
    ),
    switch(
        Server,
        &["t"],
        "check the configuration and exit",
        |p, v| p.test = v,
    ),
    text(
        Server,
        &["sl", "signal"],
        "SIGNAL[=PID]",
        "send a running server ldm, stop, quit, term, reopen or reload; PID may be a pid file",
        |p, v| p.signal = Some(v),
    ),
    text(
        Server,
        &["client_advertise"],
        "HOST:PORT",
        "address of this server that clients are told",
        |p, v| p.flags.client_advertise = Some(v),
    ),
    text(
        Server,
        &["ports_file_dir"],
        "DIR",
        "write a file with all ports in use into this folder",
        |p, v| p.flags.ports_file_dir = path(v),
    ),
    text(
        Logging,
        &["l", "log"],
        "FILE",
        "log to this file",
        |p, v| p.flags.log_file = path(v),
    ),
    switch(Logging, &["T", "logtime"], "log times (true)", |p, v| {
        p.flags.logtime = Some(v)
    }),
    switch(Logging, &["logtime_utc"], "log times in UTC", |p, v| {
        p.flags.logtime_utc = Some(v)
    }),
    switch(Logging, &["s", "syslog"], "log to syslog", |p, v| {
        p.flags.syslog = Some(v)
    }),
    text(
        Logging,
        &["r", "remote_syslog"],
        "ADDRESS",
        "log to this syslog server",
        |p, v| {
            p.flags.remote_syslog = Some(v);
        },
    ),
    switch(Logging, &["D", "debug"], "log for debugging", |p, v| {
        p.flags.debug = Some(v)
    }),
    switch(Logging, &["V", "trace"], "log the protocol", |p, v| {
        p.flags.trace = Some(v)
    }),
    switch(
        Logging,
        &["VV"],
        "as -V, with the system account",
        |p, v| {
            p.flags.trace = Some(v);
            p.flags.trace_verbose = Some(v);
        },
    ),
    switch(Logging, &["DV"], "-D and -V", |p, v| {
        p.flags.debug = Some(v);
        p.flags.trace = Some(v);
    }),
    switch(Logging, &["DVV"], "-D and -VV", |p, v| {
        p.flags.debug = Some(v);
        p.flags.trace = Some(v);
        p.flags.trace_verbose = Some(v);
    }),
    number(
        Logging,
        &["log_size_limit"],
        "BYTES",
        "rotate the log file at this size",
        |p, v| {
            p.flags.log_size_limit = Some(v);
        },
    ),
    number(
        Logging,
        &["max_traced_msg_len"],
        "BYTES",
        "cut messages in traces at this length",
        |p, v| p.flags.max_traced_msg_len = Some(v),
    ),
    switch(
        JetStream,
        &["js", "jetstream"],
        "turn JetStream on",
        |p, v| {
            p.flags.jetstream = Some(v);
        },
    ),
    text(
        JetStream,
        &["sd", "store_dir"],
        "DIR",
        "keep JetStream's data here",
        |p, v| {
            p.flags.store_dir = path(v).filter(|path| !path.as_os_str().is_empty());
        },
    ),
    text(
        Authorization,
        &["user"],
        "USER",
        "user that clients must be",
        |p, v| {
            p.flags.user = Some(v);
        },
    ),
    text(
        Authorization,
        &["pass"],
        "PASSWORD",
        "and the password",
        |p, v| {
            p.flags.pass = Some(v);
        },
    ),
    text(
        Authorization,
        &["auth"],
        "TOKEN",
        "token that clients must have",
        |p, v| {
            p.flags.auth = Some(v);
        },
    ),
    switch(Tls, &["tls"], "use TLS", |p, v| p.flags.tls = Some(v)),
    text(
        Tls,
        &["tlscert"],
        "FILE",
        "certificate of this server",
        |p, v| {
            p.flags.tls_cert = path(v);
        },
    ),
    text(
        Tls,
        &["tlskey"],
        "FILE",
        "private key of the certificate",
        |p, v| {
            p.flags.tls_key = path(v);
        },
    ),
    switch(
        Tls,
        &["tlsverify"],
        "use TLS and demand client certificates",
        |p, v| {
            p.flags.tls_verify = Some(v);
        },
    ),
    text(
        Tls,
        &["tlscacert"],
        "FILE",
        "authorities of client certificates",
        |p, v| {
            p.flags.tls_ca_cert = path(v);
        },
    ),
    text(
        Cluster,
        &["routes"],
        "URL,URL",
        "connect to these servers",
        |p, v| {
            p.flags.routes = Some(v);
        },
    ),
    text(
        Cluster,
        &["cluster", "cluster_listen"],
        "URL",
        "accept routes here",
        |p, v| {
            p.flags.cluster_listen = Some(v);
        },
    ),
    text(
        Cluster,
        &["cluster_name"],
        "NAME",
        "name of the cluster",
        |p, v| {
            p.flags.cluster_name = Some(v);
        },
    ),
    switch(
        Cluster,
        &["no_advertise"],
        "do not tell clients about other servers",
        |p, v| {
            p.flags.no_advertise = Some(v);
        },
    ),
    text(
        Cluster,
        &["cluster_advertise"],
        "HOST:PORT",
        "address of this server that other servers are told",
        |p, v| p.flags.cluster_advertise = Some(v),
    ),
    number(
        Cluster,
        &["connect_retries"],
        "NUMBER",
        "attempts to connect to a server learned from others",
        |p, v| p.flags.connect_retries = Some(v),
    ),
    number(
        Other,
        &["profile"],
        "PORT",
        "serve profiles over HTTP here",
        |p, v| {
            p.flags.profile = Some(v);
        },
    ),
    switch(Other, &["h", "help"], "show this", |p, v| p.help = v),
    switch(Other, &["v", "version"], "show the version", |p, v| {
        p.version = v
    }),
    switch(
        Other,
        &["help_tls"],
        "show what a tls block can hold",
        |p, v| p.help_tls = v,
    ),
];
