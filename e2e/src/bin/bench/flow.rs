//! One publisher, some subscribers.

use std::thread;
use std::time::Instant;

use crate::Outcome;
use crate::row::Figures;
use crate::server::Server;

/// Bytes that are delivered, about.
const DELIVERED_BYTES: usize = 600_000_000;
/// Messages that are delivered at most.
const DELIVERED_MESSAGES: usize = 1_000_000;
/// What the publisher writes at once, at most.
const WRITE_BYTES: usize = 64 * 1024;

/// The work: how many messages of which size to how many subscribers.
pub struct Flow {
    pub subscribers: usize,
    pub payload_bytes: usize,
}

impl Flow {
    pub const fn of(subscribers: usize, payload_bytes: usize) -> Flow {
        Flow {
            subscribers,
            payload_bytes,
        }
    }

    /// Messages that the publisher writes at once.
    fn per_write(&self) -> usize {
        (WRITE_BYTES / (self.payload_bytes + 32)).max(1)
    }

    /// Writes of the publisher.
    pub fn writes(&self) -> usize {
        let delivered = (DELIVERED_BYTES / self.payload_bytes).min(DELIVERED_MESSAGES);
        delivered / self.subscribers / self.per_write()
    }

    /// Messages that the publisher sends.
    pub fn messages(&self) -> usize {
        self.writes() * self.per_write()
    }

    /// What the publisher writes at once.
    pub fn block(&self) -> Vec<u8> {
        let mut block = Vec::new();
        for number in 0..self.per_write() {
            block.extend(format!("PUB bench.s {}\r\n", self.payload_bytes).as_bytes());
            block.extend(payload(number, self.payload_bytes));
            block.extend(b"\r\n");
        }
        block
    }
}

/// Text like an application's, so that compressing it is neither futile nor trivial.
pub fn payload(number: usize, bytes: usize) -> Vec<u8> {
    let mut text = String::new();
    let mut state = number as u64;
    while text.len() < bytes {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        text.push_str(&format!(
            "{{\"order\": {}, \"item\": \"{:08x}\", \"paid\": true}} ",
            number * 7,
            state >> 32
        ));
    }
    text.truncate(bytes);
    text.into_bytes()
}

/// Measures the server's CPU for each delivered message, and how many a second arrive.
pub fn flow(server: &Server, flow: &Flow) -> Outcome<Figures> {
    let messages = flow.messages();
    let mut readers = Vec::new();
    for _ in 0..flow.subscribers {
        let mut client = server.connect()?;
        client.send(b"SUB bench.> 1\r\n")?;
        client.sync()?;
        readers.push(thread::spawn(move || -> Outcome<()> {
            for _ in 0..messages {
                client.message()?;
            }
            Ok(())
        }));
    }
    let mut publisher = server.connect()?;
    let block = publisher.pack(&flow.block());
    let (cpu, started) = (server.cpu_s()?, Instant::now());
    for _ in 0..flow.writes() {
        publisher.send_packed(&block)?;
    }
    publisher.sync()?;
    for reader in readers {
        reader.join().map_err(|_| "reader failed")??;
    }
    let delivered = (messages * flow.subscribers) as f64;
    Ok(vec![
        ("us/message", (server.cpu_s()? - cpu) * 1e6 / delivered),
        ("messages/s", delivered / started.elapsed().as_secs_f64()),
    ])
}
