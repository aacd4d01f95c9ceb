//! Single values: strings, numbers, durations, sizes, addresses.

use std::path::PathBuf;
use std::time::Duration;

use super::{Reader, duration};
use crate::options::{Port, WriteTimeout};
use crate::value::{Entry, Node, Value};

/// Seconds an authentication may take before the file probably says something it does not mean.
const TIMEOUT_SECONDS_USUAL_MAX: f64 = 60.0;

impl Reader<'_> {
    pub fn string(&mut self, entry: &Entry) -> Option<String> {
        self.string_node(&entry.key, &entry.value)
    }

    pub fn string_node(&mut self, what: &str, node: &Node) -> Option<String> {
        match &node.value {
            Value::String(text) => Some(text.clone()),
            _ => {
                self.wrong_kind(what, node, "a string");
                None
            }
        }
    }

    /// A string that counts as absent if it is empty.
    pub fn text(&mut self, entry: &Entry) -> Option<Option<String>> {
        self.string(entry)
            .map(|text| Some(text).filter(|text| !text.is_empty()))
    }

    pub fn path(&mut self, entry: &Entry) -> Option<Option<PathBuf>> {
        Some(self.text(entry)?.map(PathBuf::from))
    }

    /// A name that other servers and clients will see.
    pub fn name(&mut self, entry: &Entry, what: &str) -> Option<Option<String>> {
        let name = self.text(entry)?;
        if name.as_ref().is_some_and(|name| name.contains(' ')) {
            self.problem(
                &entry.value.position,
                format!("{what} name cannot contain spaces"),
            );
            return None;
        }
        Some(name)
    }

    pub fn boolean(&mut self, entry: &Entry) -> Option<bool> {
        match entry.value.value {
            Value::Bool(value) => Some(value),
            _ => {
                self.wrong_kind(&entry.key, &entry.value, "true or false");
                None
            }
        }
    }

    pub fn integer(&mut self, entry: &Entry) -> Option<i64> {
        match entry.value.value {
            Value::Integer(value) => Some(value),
            _ => {
                self.wrong_kind(&entry.key, &entry.value, "an integer");
                None
            }
        }
    }

    /// A number for which anything negative means that there is no limit.
    pub fn limit(&mut self, entry: &Entry) -> Option<Option<u64>> {
        self.integer(entry).map(|value| u64::try_from(value).ok())
    }

    /// A number for which zero and anything negative mean that there is no limit.
    pub fn positive_limit(&mut self, entry: &Entry) -> Option<Option<u64>> {
        Some(self.limit(entry)?.filter(|&limit| limit > 0))
    }

    /// A number that must fit the field. Zero leaves the field as it is, which is the default.
    pub fn nonzero<T: TryFrom<i64>>(&mut self, entry: &Entry) -> Option<T> {
        match self.integer(entry)? {
            0 => None,
            value => self.in_range(entry, value),
        }
    }

    pub fn number<T: TryFrom<i64>>(&mut self, entry: &Entry) -> Option<T> {
        let value = self.integer(entry)?;
        self.in_range(entry, value)
    }

    fn in_range<T: TryFrom<i64>>(&mut self, entry: &Entry, value: i64) -> Option<T> {
        let fitting = T::try_from(value).ok();
        if fitting.is_none() {
            let size = if value < 0 {
                "can not be negative"
            } else {
                "value is too big"
            };
            self.problem(
                &entry.value.position,
                format!("{:?} {size}: {value}", entry.key),
            );
        }
        fitting
    }

    /// A size, as a number or as a string that ends in `K`, `M`, `G` or `T`.
    pub fn size(&mut self, entry: &Entry) -> Option<i64> {
        let text = match &entry.value.value {
            Value::Integer(size) => return Some(*size),
            Value::String(text) if text.is_empty() => return Some(0),
            Value::String(text) => text,
            _ => {
                self.wrong_kind(&entry.key, &entry.value, "a size");
                return None;
            }
        };
        let shift = |letter| match letter {
            'K' => Some(10),
            'M' => Some(20),
            'G' => Some(30),
            'T' => Some(40),
            _ => None,
        };
        let mut digits = text.chars();
        let size = digits.next_back().and_then(shift).and_then(|shift| {
            let number: i64 = digits.as_str().parse().ok()?;
            number.checked_mul(1_i64 << shift)
        });
        if size.is_none() {
            let reason = format!(
                "{:?} must be a size like 1GB, or in quotes like \"1G\" with K, M, G or T, \
                 got {text:?}",
                entry.key
            );
            self.problem(&entry.value.position, reason);
        }
        size
    }

    /// A duration. A number is taken as seconds, with a warning, as old files have it.
    pub fn duration(&mut self, entry: &Entry) -> Option<Duration> {
        match entry.value.value {
            Value::Integer(seconds) => {
                let reason = format!(
                    "invalid use of field {key:?}: {key} should be converted to a duration, \
                     such as \"{seconds}s\"",
                    key = entry.key
                );
                self.warning(&entry.position, reason);
                let seconds: u64 = self.in_range(entry, seconds)?;
                Some(Duration::from_secs(seconds))
            }
            _ => self.duration_string(entry),
        }
    }

    /// A duration that is not zero, for fields where zero means the default.
    pub fn nonzero_duration(&mut self, entry: &Entry) -> Option<Duration> {
        self.duration(entry).filter(|duration| !duration.is_zero())
    }

    pub fn duration_string(&mut self, entry: &Entry) -> Option<Duration> {
        let nanos = self.signed_duration(&entry.key, &entry.value)?;
        let duration = duration::from_nanos(nanos);
        if duration.is_none() {
            let reason = format!("{:?} can not be negative", entry.key);
            self.problem(&entry.value.position, reason);
        }
        duration
    }

    pub fn signed_duration(&mut self, what: &str, node: &Node) -> Option<duration::SignedNanos> {
        let Value::String(text) = &node.value else {
            self.wrong_kind(what, node, "a string like \"30s\"");
            return None;
        };
        match duration::parse(text) {
            Ok(nanos) => Some(nanos),
            Err(reason) => {
                self.problem(&node.position, format!("error parsing {what}: {reason}"));
                None
            }
        }
    }

    /// A time in seconds, or a duration.
    pub fn seconds(&mut self, entry: &Entry) -> Option<Duration> {
        let seconds = match entry.value.value {
            Value::Integer(seconds) => seconds as f64,
            Value::Float(seconds) => seconds,
            Value::String(_) => return self.duration_string(entry),
            _ => {
                self.wrong_kind(&entry.key, &entry.value, "seconds or a duration");
                return None;
            }
        };
        let duration = Duration::try_from_secs_f64(seconds).ok();
        if duration.is_none() {
            let reason = format!("{:?} is not a possible number of seconds", entry.key);
            self.problem(&entry.value.position, reason);
        }
        duration
    }

    /// The time an authentication may take; absent if zero. `2m` without quotes is two million
    /// seconds, which deserves a warning.
    pub fn authentication_timeout(&mut self, entry: &Entry) -> Option<Option<Duration>> {
        let timeout = self.seconds(entry)?;
        if timeout.as_secs_f64() > TIMEOUT_SECONDS_USUAL_MAX {
            let reason = format!(
                "timeout of {} seconds is high, consider keeping it under 60 seconds; \
                 a duration needs quotes: \"1m\"",
                timeout.as_secs()
            );
            self.warning(&entry.position, reason);
        }
        Some(Some(timeout).filter(|timeout| !timeout.is_zero()))
    }

    /// A port; zero turns the listener off or means the default.
    pub fn port(&mut self, entry: &Entry) -> Option<Option<Port>> {
        let value = self.integer(entry)?;
        match parse_port(value) {
            Ok(port) => Some(port),
            Err(reason) => {
                self.problem(&entry.value.position, reason);
                None
            }
        }
    }

    /// `host:port`, or only a port.
    pub fn listen(&mut self, entry: &Entry) -> Option<Listen> {
        let result = match &entry.value.value {
            Value::Integer(port) => parse_port(*port).map(|port| Listen { host: None, port }),
            Value::String(text) => parse_listen(text),
            _ => {
                self.wrong_kind(&entry.key, &entry.value, "a port or host:port");
                return None;
            }
        };
        result
            .map_err(|reason| self.problem(&entry.value.position, reason))
            .ok()
    }

    /// A string, or an array of strings.
    pub fn strings(&mut self, entry: &Entry) -> Option<Vec<String>> {
        match &entry.value.value {
            Value::String(text) => Some(vec![text.clone()]),
            Value::Array(nodes) => Some(self.strings_of(&entry.key, nodes)),
            _ => {
                self.wrong_kind(&entry.key, &entry.value, "a string or an array of strings");
                None
            }
        }
    }

    /// An array of strings.
    pub fn string_array(&mut self, entry: &Entry) -> Option<Vec<String>> {
        let nodes = self.array(entry)?;
        Some(self.strings_of(&entry.key, nodes))
    }

    fn strings_of(&mut self, what: &str, nodes: &[Node]) -> Vec<String> {
        nodes
            .iter()
            .filter_map(|node| self.string_node(what, node))
            .collect()
    }

    pub fn write_timeout(&mut self, entry: &Entry) -> Option<WriteTimeout> {
        match self.string(entry)?.as_str() {
            "default" => Some(WriteTimeout::Default),
            "close" => Some(WriteTimeout::Close),
            "retry" => Some(WriteTimeout::Retry),
            _ => {
                let reason = "write_timeout must be 'default', 'close' or 'retry'";
                self.problem(&entry.value.position, reason);
                None
            }
        }
    }
}

/// Where to listen, as one setting says it.
pub(crate) struct Listen {
    pub host: Option<String>,
    pub port: Option<Port>,
}

pub(crate) fn parse_port(value: i64) -> Result<Option<Port>, String> {
    match value {
        0 => Ok(None),
        -1 => Ok(Some(Port::Random)),
        _ => match u16::try_from(value) {
            Ok(port) => Ok(Some(Port::Fixed(port))),
            Err(_) => Err(format!("port {value} is not between -1 and 65535")),
        },
    }
}

pub(crate) fn parse_listen(text: &str) -> Result<Listen, String> {
    let unparsed = || format!("could not parse address string {text:?}, expected host:port");
    let (host, port) = text.rsplit_once(':').ok_or_else(unparsed)?;
    let host = match host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
    {
        Some(host) => host,
        None if host.contains([':', '[', ']']) => return Err(unparsed()),
        None => host,
    };
    let port: i64 = port
        .parse()
        .map_err(|_| format!("could not parse port {port:?}"))?;
    let host = Some(host.to_owned()).filter(|host| !host.is_empty());
    Ok(Listen {
        host,
        port: parse_port(port)?,
    })
}
