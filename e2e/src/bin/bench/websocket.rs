//! WebSocket as clients of NATS speak it, with and without permessage-deflate.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

use crate::{Outcome, client};

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
const DEFLATE: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; server_no_context_takeover\r\n";
const BUFFER_BYTES: usize = 256 * 1024;
/// Any value does: it only has to be there.
const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];
/// What one frame of a client carries at most.
const FRAME_BYTES: usize = 16 * 1024;
/// Bits of a frame's first byte.
const LAST: u8 = 0x80;
const COMPRESSED: u8 = 0x40;
const KIND: u8 = 0x0f;
/// Kinds of frames.
const CONTINUED: u8 = 0;
const BINARY: u8 = 2;
/// What the end of a compressed message leaves out (RFC 7692, 7.2.1).
const SYNC_MARK: [u8; 4] = [0, 0, 0xff, 0xff];

/// A client's end of a WebSocket.
pub struct WebSocket {
    socket: BufReader<TcpStream>,
    deflate: bool,
    /// Bytes of the present frame that are still to come, if it is not compressed.
    left: usize,
    /// What a compressed message held, and how much of it was read.
    inflated: Vec<u8>,
    read: usize,
    inflater: Decompress,
}

impl WebSocket {
    pub fn open(mut socket: TcpStream, deflate: bool) -> Outcome<WebSocket> {
        let extensions = if deflate { DEFLATE } else { "" };
        socket.write_all(format!("{REQUEST}{extensions}\r\n").as_bytes())?;
        let mut socket = BufReader::with_capacity(BUFFER_BYTES, socket);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if socket.read_line(&mut head)? == 0 {
                return Err(format!("no answer to the upgrade: {head}").into());
            }
        }
        let agreed = head.contains("permessage-deflate") == deflate;
        if !head.starts_with("HTTP/1.1 101") || !agreed {
            return Err(format!("the upgrade was answered with {head}").into());
        }
        Ok(WebSocket {
            socket,
            deflate,
            left: 0,
            inflated: Vec::new(),
            read: 0,
            inflater: Decompress::new(false),
        })
    }

    /// Reads frame headers until there is data to read.
    fn next_frame(&mut self) -> io::Result<()> {
        let (first, length) = self.header()?;
        match first & KIND {
            BINARY | CONTINUED if first & COMPRESSED == 0 => self.left = length,
            BINARY => self.inflate(first, length)?,
            // Pings come rarely, and no benchmark lasts until an answer is missed.
            _ => io::copy(
                &mut self.socket.by_ref().take(length as u64),
                &mut io::sink(),
            )
            .map(drop)?,
        }
        Ok(())
    }

    fn header(&mut self) -> io::Result<(u8, usize)> {
        let mut start = [0; 2];
        self.socket.read_exact(&mut start)?;
        let length = match start[1] {
            126 => {
                let mut long = [0; 2];
                self.socket.read_exact(&mut long)?;
                usize::from(u16::from_be_bytes(long))
            }
            127 => {
                let mut long = [0; 8];
                self.socket.read_exact(&mut long)?;
                u64::from_be_bytes(long) as usize
            }
            short => usize::from(short),
        };
        Ok((start[0], length))
    }

    /// Reads a compressed message, whose first frame's header was read.
    fn inflate(&mut self, mut first: u8, mut length: usize) -> io::Result<()> {
        let mut packed = Vec::new();
        loop {
            let from = packed.len();
            packed.resize(from + length, 0);
            self.socket.read_exact(&mut packed[from..])?;
            if first & LAST != 0 {
                break;
            }
            (first, length) = self.header()?;
        }
        packed.extend(SYNC_MARK);
        (self.read, self.inflater) = (0, Decompress::new(false));
        self.inflated.clear();
        while (self.inflater.total_in() as usize) < packed.len() {
            self.inflated.reserve(BUFFER_BYTES);
            let rest = &packed[self.inflater.total_in() as usize..];
            self.inflater
                .decompress_vec(rest, &mut self.inflated, FlushDecompress::Sync)?;
        }
        Ok(())
    }
}

impl Read for WebSocket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.read < self.inflated.len() {
                let read = (&self.inflated[self.read..]).read(buffer)?;
                self.read += read;
                return Ok(read);
            }
            if self.left > 0 {
                let most = buffer.len().min(self.left);
                let read = self.socket.read(&mut buffer[..most])?;
                self.left -= read;
                return match read {
                    0 => Err(ErrorKind::UnexpectedEof.into()),
                    _ => Ok(read),
                };
            }
            self.next_frame()?;
        }
    }
}

impl client::Link for WebSocket {
    fn pack(&self, bytes: &[u8]) -> Vec<u8> {
        let mut frames = Vec::new();
        for part in bytes.chunks(FRAME_BYTES) {
            if self.deflate {
                push_frame(&mut frames, LAST | COMPRESSED | BINARY, &deflated(part));
            } else {
                push_frame(&mut frames, LAST | BINARY, part);
            }
        }
        frames
    }

    fn send_packed(&mut self, packed: &[u8]) -> io::Result<()> {
        self.socket.get_mut().write_all(packed)
    }
}

fn push_frame(frames: &mut Vec<u8>, first: u8, payload: &[u8]) {
    frames.push(first);
    match payload.len() {
        short @ 0..126 => frames.push(0x80 | short as u8),
        long => {
            frames.push(0x80 | 126);
            // No frame has more than `FRAME_BYTES`, compressed or not, by far.
            frames.extend((long as u16).to_be_bytes());
        }
    }
    frames.extend(MASK);
    let masks = MASK.iter().cycle();
    frames.extend(payload.iter().zip(masks).map(|(byte, mask)| byte ^ mask));
}

fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(bytes.len() + 1024);
    let mut deflater = Compress::new(Compression::fast(), false);
    deflater
        .compress_vec(bytes, &mut packed, FlushCompress::Sync)
        .expect("compressing can not fail");
    packed.truncate(packed.len() - SYNC_MARK.len());
    packed
}
