//! The floor: the bytes of a flow through a thread that does nothing but read and write.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Instant;

use crate::Outcome;
use crate::flow::Flow;
use crate::row::Figures;
use crate::server::cpu_s;

/// As much as Weir reads at once.
const READ_BYTES: usize = 256 * 1024;

/// Measures the relay's CPU for each message of the flow, and how many a second arrive.
pub fn relay(flow: &Flow) -> Outcome<Figures> {
    let (mut from, mut publisher) = pair()?;
    let (mut subscriber, mut to) = pair()?;
    let reader = thread::spawn(move || -> Outcome<()> {
        let mut buffer = vec![0; READ_BYTES];
        while subscriber.read(&mut buffer)? > 0 {}
        Ok(())
    });
    let (block, writes) = (flow.block(), flow.writes());
    let started = Instant::now();
    let writer = thread::spawn(move || -> Outcome<()> {
        for _ in 0..writes {
            publisher.write_all(&block)?;
        }
        Ok(publisher.shutdown(Shutdown::Write)?)
    });
    let relay = thread::spawn(move || -> Outcome<f64> {
        let cpu = cpu_s("/proc/thread-self/stat")?;
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let read = from.read(&mut buffer)?;
            if read == 0 {
                to.shutdown(Shutdown::Write)?;
                return Ok(cpu_s("/proc/thread-self/stat")? - cpu);
            }
            to.write_all(&buffer[..read])?;
        }
    });
    writer.join().map_err(|_| "writer failed")??;
    let cpu = relay.join().map_err(|_| "relay failed")??;
    reader.join().map_err(|_| "reader failed")??;
    let messages = flow.messages() as f64;
    Ok(vec![
        ("us/message", cpu * 1e6 / messages),
        ("messages/s", messages / started.elapsed().as_secs_f64()),
    ])
}

/// The two ends of a connection over the loopback.
fn pair() -> Outcome<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let connected = TcpStream::connect(listener.local_addr()?)?;
    let (accepted, _) = listener.accept()?;
    Ok((accepted, connected))
}
