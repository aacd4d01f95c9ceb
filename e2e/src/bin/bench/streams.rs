//! Publishing to a stream and reading from it.

use std::time::Instant;

use crate::Outcome;
use crate::client::Client;
use crate::flow::payload;
use crate::row::Figures;
use crate::server::Server;

pub const STREAM: &str = "BENCH";
const MESSAGES: usize = 100_000;
const PAYLOAD_BYTES: usize = 128;
/// Publishes without an acknowledgement, at most.
const WINDOW: usize = 500;
/// Messages that one pull asks for.
const BATCH: usize = 500;
/// Acknowledgements that are written at once, at most.
const ACKS: usize = 100;

/// When the next pull is sent.
#[derive(Clone, Copy, PartialEq)]
pub enum Pulls {
    /// While the one before is still being answered, as `consume` of the clients does.
    Overlapping,
    /// When all messages of the one before are there, as `fetch` does.
    OneByOne,
}

/// Asynchronous publishes: the server's CPU for each, and how many a second are acknowledged.
pub fn publish(server: &Server, storage: &str) -> Outcome<Figures> {
    let mut client = create(server, storage)?;
    let (cpu, started) = (server.cpu_s()?, Instant::now());
    fill(&mut client, MESSAGES)?;
    Ok(vec![
        (
            "us/message",
            (server.cpu_s()? - cpu) * 1e6 / MESSAGES as f64,
        ),
        ("acks/s", MESSAGES as f64 / started.elapsed().as_secs_f64()),
    ])
}

/// Reads a stream through a pull consumer and acknowledges each message.
pub fn pull(server: &Server, pulls: Pulls) -> Outcome<Figures> {
    let mut client = create(server, "file")?;
    fill(&mut client, MESSAGES)?;
    let subject = format!("$JS.API.CONSUMER.CREATE.{STREAM}.pull");
    let config = r#"{"durable_name":"pull","name":"pull","ack_policy":"explicit"}"#;
    let request = format!(r#"{{"stream_name":"{STREAM}","config":{config}}}"#);
    succeeded(client.request(&subject, &request)?)?;
    let request = format!(r#"{{"batch":{BATCH},"expires":30000000000}}"#);
    let size = request.len();
    let next =
        format!("PUB $JS.API.CONSUMER.MSG.NEXT.{STREAM}.pull inbox.n {size}\r\n{request}\r\n");

    let (cpu, started) = (server.cpu_s()?, Instant::now());
    let ahead = if pulls == Pulls::Overlapping {
        BATCH
    } else {
        0
    };
    let (mut asked, mut received, mut acks, mut waiting) = (0, 0, String::new(), 0);
    while received < MESSAGES {
        while asked < MESSAGES && asked <= received + ahead {
            client.send(next.as_bytes())?;
            asked += BATCH;
        }
        let message = client.message()?;
        let Some(reply) = message.reply() else {
            return Err("a pull ended early".into());
        };
        acks.push_str(&format!("PUB {reply} 4\r\n+ACK\r\n"));
        (received, waiting) = (received + 1, waiting + 1);
        if waiting == ACKS || client.is_drained() {
            client.send(acks.as_bytes())?;
            (acks, waiting) = (String::new(), 0);
        }
    }
    client.sync()?;
    Ok(vec![
        (
            "us/message",
            (server.cpu_s()? - cpu) * 1e6 / MESSAGES as f64,
        ),
        (
            "messages/s",
            MESSAGES as f64 / started.elapsed().as_secs_f64(),
        ),
    ])
}

/// Creates the stream and returns a client that takes answers at `inbox.*`.
pub fn create(server: &Server, storage: &str) -> Outcome<Client> {
    let mut client = server.connect()?;
    client.send(b"SUB inbox.* 1\r\n")?;
    let config = format!(
        r#"{{"name":"{STREAM}","subjects":["js"],"storage":"{storage}","num_replicas":1}}"#
    );
    let subject = format!("$JS.API.STREAM.CREATE.{STREAM}");
    succeeded(client.request(&subject, &config)?)?;
    Ok(client)
}

/// Publishes this many messages, a multiple of half the window, and waits for all acknowledgements.
pub fn fill(client: &mut Client, messages: usize) -> Outcome<()> {
    let mut half = Vec::new();
    for number in 0..WINDOW / 2 {
        half.extend(format!("PUB js inbox.p {PAYLOAD_BYTES}\r\n").as_bytes());
        half.extend(payload(number, PAYLOAD_BYTES));
        half.extend(b"\r\n");
    }
    let halves = messages / (WINDOW / 2);
    client.send(&half)?;
    for sent in 1..=halves {
        if sent < halves {
            client.send(&half)?;
        }
        for _ in 0..WINDOW / 2 {
            client.message()?;
        }
    }
    Ok(())
}

fn succeeded(answer: String) -> Outcome<()> {
    match answer.contains("\"error\"") {
        true => Err(answer.into()),
        false => Ok(()),
    }
}
