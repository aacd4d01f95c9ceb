//! A lean client.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use crate::Outcome;

const BUFFER_BYTES: usize = 256 * 1024;

/// What carries the protocol: a socket, TLS or WebSocket.
pub trait Link: Read + Send {
    /// What has to be written so that the server reads these bytes. Made once for what is sent often.
    fn pack(&self, bytes: &[u8]) -> Vec<u8>;

    /// Writes what [`Link::pack`] made.
    fn send_packed(&mut self, packed: &[u8]) -> io::Result<()>;
}

impl Link for TcpStream {
    fn pack(&self, bytes: &[u8]) -> Vec<u8> {
        bytes.to_vec()
    }

    fn send_packed(&mut self, packed: &[u8]) -> io::Result<()> {
        self.write_all(packed)
    }
}

/// One connection to a server.
pub struct Client {
    link: BufReader<Box<dyn Link>>,
    line: Vec<u8>,
    body: Vec<u8>,
}

/// One message, valid until the next one is read.
pub struct Received<'a> {
    line: &'a str,
    /// Header block and payload.
    pub body: &'a [u8],
}

impl<'a> Received<'a> {
    /// Where an answer goes, if one is asked for. The statuses of pulls ask for none.
    pub fn reply(&self) -> Option<&'a str> {
        let mut words = self.line.split(' ');
        let sizes = if words.next() == Some("HMSG") { 2 } else { 1 };
        let mut rest = words.skip(2);
        let reply = rest.next()?;
        (rest.count() == sizes).then_some(reply)
    }
}

impl Client {
    /// Introduces itself to the server at the other end.
    pub fn greet(link: Box<dyn Link>) -> Outcome<Client> {
        let mut client = Client {
            link: BufReader::with_capacity(BUFFER_BYTES, link),
            line: Vec::new(),
            body: Vec::new(),
        };
        client.read_line()?;
        client.send(
            b"CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true}\r\n",
        )?;
        client.sync()?;
        Ok(client)
    }

    pub fn send(&mut self, bytes: &[u8]) -> Outcome<()> {
        let packed = self.pack(bytes);
        self.send_packed(&packed)
    }

    pub fn pack(&self, bytes: &[u8]) -> Vec<u8> {
        self.link.get_ref().pack(bytes)
    }

    pub fn send_packed(&mut self, packed: &[u8]) -> Outcome<()> {
        Ok(self.link.get_mut().send_packed(packed)?)
    }

    /// Waits until the server has handled everything sent before.
    pub fn sync(&mut self) -> Outcome<()> {
        self.send(b"PING\r\n")?;
        loop {
            let line = self.read_line()?;
            if line.starts_with(b"PONG") {
                return Ok(());
            }
            if line.starts_with(b"-ERR") {
                return Err(String::from_utf8_lossy(line).into());
            }
        }
    }

    /// Whether everything that was received has been read.
    pub fn is_drained(&self) -> bool {
        self.link.buffer().is_empty()
    }

    /// Reads one message.
    pub fn message(&mut self) -> Outcome<Received<'_>> {
        loop {
            let line = self.read_line()?;
            if line.starts_with(b"MSG") || line.starts_with(b"HMSG") {
                break;
            }
            if line.starts_with(b"PING") {
                self.send(b"PONG\r\n")?;
            } else if line.starts_with(b"-ERR") {
                return Err(String::from_utf8_lossy(line).into());
            }
        }
        let line = std::str::from_utf8(&self.line)?.trim_end();
        let size: usize = line.rsplit(' ').next().ok_or("no size")?.parse()?;
        self.body.resize(size + 2, 0);
        self.link.read_exact(&mut self.body)?;
        let body = &self.body[..size];
        Ok(Received { line, body })
    }

    /// Sends a request and returns the answer's payload. Needs a subscription to `inbox.*`.
    pub fn request(&mut self, subject: &str, body: &str) -> Outcome<String> {
        let size = body.len();
        self.send(format!("PUB {subject} inbox.request {size}\r\n{body}\r\n").as_bytes())?;
        Ok(String::from_utf8(self.message()?.body.to_vec())?)
    }

    fn read_line(&mut self) -> Outcome<&[u8]> {
        self.line.clear();
        if self.link.read_until(b'\n', &mut self.line)? == 0 {
            return Err("connection closed".into());
        }
        Ok(&self.line)
    }
}
