//! A server that was killed comes back with a full stream.

use std::thread;
use std::time::Duration;

use crate::Outcome;
use crate::row::Figures;
use crate::server::Server;
use crate::streams::{STREAM, create, fill};

const DEADLINE: Duration = Duration::from_secs(120);
/// Between two questions.
const PAUSE: Duration = Duration::from_millis(1);

/// Measures the time from the start until the stream answers with all its messages, and the memory
/// and the CPU used by then.
pub fn restart(server: &mut Server, messages: usize) -> Outcome<Figures> {
    let mut client = create(server, "file")?;
    fill(&mut client, messages)?;
    drop(client);
    let started = server.restart()?;
    let mut client = server.wait()?;
    client.send(b"SUB inbox.* 1\r\n")?;
    let expected = format!("\"messages\":{messages},");
    loop {
        let answer = client.request(&format!("$JS.API.STREAM.INFO.{STREAM}"), "")?;
        if answer.contains(&expected) {
            break;
        }
        if started.elapsed() > DEADLINE {
            return Err(format!("messages are missing: {answer}").into());
        }
        thread::sleep(PAUSE);
    }
    let elapsed = started.elapsed();
    Ok(vec![
        ("s", elapsed.as_secs_f64()),
        ("MiB", server.memory_kib()? / 1024.0),
        ("CPU s", server.cpu_s()?),
    ])
}
