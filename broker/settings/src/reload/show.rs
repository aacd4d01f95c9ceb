//! Values as Go prints them: people compare the log with that of nats-server.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use crate::options::Port;

pub fn port(port: Option<Port>) -> String {
    match port {
        None => "0".to_owned(),
        Some(Port::Random) => "-1".to_owned(),
        Some(Port::Fixed(port)) => port.to_string(),
    }
}

pub fn text(text: &Option<String>) -> String {
    text.clone().unwrap_or_default()
}

/// `map[a:1 b:2]`.
pub fn map<V: Display>(map: &BTreeMap<String, V>) -> String {
    let entries = map.iter().map(|(key, value)| format!("{key}:{value}"));
    format!("map[{}]", entries.collect::<Vec<_>>().join(" "))
}

/// `1h0m0s`, `2m0s`, `1.5s`, `300ms`.
pub fn duration(duration: Duration) -> String {
    let (seconds, nanos) = (duration.as_secs(), duration.subsec_nanos());
    if seconds == 0 {
        return match nanos {
            0 => "0s".to_owned(),
            1..1_000 => format!("{nanos}ns"),
            1_000..1_000_000 => format!("{}\u{b5}s", f64::from(nanos) / 1e3),
            _ => format!("{}ms", f64::from(nanos) / 1e6),
        };
    }
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let fraction = format!("{nanos:09}");
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    let seconds = format!("{}{point}{fraction}s", seconds % 60);
    match (hours, minutes) {
        (0, 0) => seconds,
        (0, _) => format!("{minutes}m{seconds}"),
        _ => format!("{hours}h{minutes}m{seconds}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_look_like_those_of_go() {
        let shown = [0, 7, 1_500, 300_000_000, 1_500_000_000].map(Duration::from_nanos);
        let shown = shown.map(duration);
        assert_eq!(shown, ["0s", "7ns", "1.5\u{b5}s", "300ms", "1.5s"]);
        assert_eq!(duration(Duration::from_secs(120)), "2m0s");
        assert_eq!(duration(Duration::from_millis(3_661_500)), "1h1m1.5s");
    }
}
