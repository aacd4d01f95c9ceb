//! Connections that do nothing.

use std::time::Instant;

use crate::Outcome;
use crate::row::Figures;
use crate::server::Server;

const CONNECTIONS: usize = 4000;
const SUBSCRIPTIONS: usize = 4;

/// Measures the memory of idle connections, and how many are accepted a second.
pub fn idle(server: &mut Server) -> Outcome<Figures> {
    let (before, started) = (server.memory_kib()?, Instant::now());
    let mut held = Vec::new();
    for number in 0..CONNECTIONS {
        let mut client = server.connect()?;
        for sid in 0..SUBSCRIPTIONS {
            client.send(format!("SUB idle.{number}.{sid} {sid}\r\n").as_bytes())?;
        }
        client.sync()?;
        held.push(client);
    }
    let elapsed = started.elapsed();
    let used = server.memory_kib()? - before;
    Ok(vec![
        ("KiB/connection", used / CONNECTIONS as f64),
        ("connections/s", CONNECTIONS as f64 / elapsed.as_secs_f64()),
    ])
}
