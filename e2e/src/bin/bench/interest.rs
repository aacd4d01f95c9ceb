//! Many subscriptions: what they weigh, and what finding those of a subject costs.

use std::thread;
use std::time::Instant;

use crate::Outcome;
use crate::row::Figures;
use crate::server::Server;

const CONNECTIONS: usize = 100;
const SUBSCRIPTIONS: usize = 10_000;

/// Tokens of the subjects, each of which a subscription may have a wildcard for: 2^14 patterns.
const TOKENS: usize = 14;
const WILDCARDS: usize = 10_000;
const WILD_CONNECTIONS: usize = 10;
const MESSAGES: usize = 100;

/// Measures the memory of a million subscriptions, each to a subject of its own.
pub fn many(server: &mut Server) -> Outcome<Figures> {
    let before = server.memory_kib()?;
    let (cpu, started) = (server.cpu_s()?, Instant::now());
    let mut held = Vec::new();
    for number in 0..CONNECTIONS {
        let mut client = server.connect()?;
        let lines: String = (0..SUBSCRIPTIONS)
            .map(|sid| format!("SUB many.{number}.{sid} {sid}\r\n"))
            .collect();
        client.send(lines.as_bytes())?;
        client.sync()?;
        held.push(client);
    }
    let total = (CONNECTIONS * SUBSCRIPTIONS) as f64;
    let elapsed = started.elapsed();
    Ok(vec![
        ("MiB", (server.memory_kib()? - before) / 1024.0),
        ("us/subscription", (server.cpu_s()? - cpu) * 1e6 / total),
        ("subscriptions/s", total / elapsed.as_secs_f64()),
    ])
}

/// Publishes to ever new subjects that 10,000 different wildcards match.
pub fn wide(server: &mut Server) -> Outcome<Figures> {
    let mut readers = Vec::new();
    for number in 0..WILD_CONNECTIONS {
        let mut client = server.connect()?;
        let mine = (number..WILDCARDS).step_by(WILD_CONNECTIONS);
        let lines: String = mine
            .clone()
            .map(|pattern| format!("SUB {}.* {pattern}\r\n", subject(pattern)))
            .collect();
        client.send(lines.as_bytes())?;
        client.sync()?;
        let expected = mine.count() * MESSAGES;
        readers.push(thread::spawn(move || -> Outcome<()> {
            for _ in 0..expected {
                client.message()?;
            }
            Ok(())
        }));
    }
    let mut publisher = server.connect()?;
    let (cpu, started) = (server.cpu_s()?, Instant::now());
    for message in 0..MESSAGES {
        publisher.send(format!("PUB {}.{message} 2\r\nok\r\n", subject(0)).as_bytes())?;
        publisher.sync()?;
    }
    for reader in readers {
        reader.join().map_err(|_| "reader failed")??;
    }
    let elapsed = started.elapsed();
    let cpu_us = (server.cpu_s()? - cpu) * 1e6;
    Ok(vec![
        ("us/publish", cpu_us / MESSAGES as f64),
        ("publishes/s", MESSAGES as f64 / elapsed.as_secs_f64()),
    ])
}

/// The subject with a wildcard for each bit of `pattern`.
fn subject(pattern: usize) -> String {
    let token = |at: usize| match pattern >> at & 1 {
        0 => format!("t{at}"),
        _ => "*".to_owned(),
    };
    (0..TOKENS).map(token).collect::<Vec<_>>().join(".")
}
