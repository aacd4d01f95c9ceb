//! What a client sends: frames in, the bytes inside out.

use crate::close::{self, CloseCode};
use crate::deflate::{Inflate, TAIL};
use crate::header::{self, Header, Opcode};

/// What was agreed with the peer, and what it may not exceed.
#[derive(Debug, Clone, Copy)]
pub struct ReaderOptions {
    /// permessage-deflate was agreed.
    pub compression: bool,
    /// Bytes of one message at most, after decompression.
    pub max_message: u64,
}

/// Something the peer wants, beside data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Answer with a pong that says the same.
    Ping(Vec<u8>),
    /// The peer ends the connection; nothing it sends after this counts. The code is to be
    /// answered with itself; without one there is none in the answer either.
    Close(Option<u16>),
}

/// One step of [`Reader::read`].
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the input that are done with.
    pub consumed: usize,
    /// Bytes of the output that were filled.
    pub filled: usize,
    pub event: Option<Event>,
}

/// Why a connection cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    #[error("frame that the websocket protocol does not allow")]
    Protocol,
    #[error("frame of a client without a mask")]
    Unmasked,
    #[error("broken compression")]
    Compression,
    #[error("close reason that is not utf-8")]
    Reason,
    #[error("message longer than this server takes")]
    TooLong,
}

impl Failure {
    /// What the peer is told.
    pub fn code(self) -> CloseCode {
        match self {
            Failure::Protocol | Failure::Unmasked => CloseCode::ProtocolError,
            Failure::Compression | Failure::Reason => CloseCode::InvalidData,
            Failure::TooLong => CloseCode::MessageTooBig,
        }
    }
}

/// Reads the frames of a client. Holds no data but the header that is being read and a control
/// frame.
pub struct Reader {
    options: ReaderOptions,
    /// The beginning of a header.
    header: [u8; header::MAX_BYTES],
    header_bytes: usize,
    frame: Option<Frame>,
    message: Option<Message>,
    control: Vec<u8>,
    is_closed: bool,
}

/// The frame whose payload is being read.
struct Frame {
    opcode: Opcode,
    last: bool,
    mask: [u8; 4],
    read: u64,
    length: u64,
}

/// The message that the frame belongs to.
struct Message {
    inflate: Option<Inflate>,
    /// Bytes of the left-out tail that were given to the decompressor, once all frames were.
    tail: Option<usize>,
    bytes: u64,
}

impl Reader {
    pub fn new(options: ReaderOptions) -> Reader {
        Reader {
            options,
            header: [0; header::MAX_BYTES],
            header_bytes: 0,
            frame: None,
            message: None,
            control: Vec::new(),
            is_closed: false,
        }
    }

    /// Reads from `input`, which it unmasks in place, until it is used up, `output` is full or the
    /// peer wants something. Call again with the rest; and if `output` was filled, also without.
    pub fn read(&mut self, input: &mut [u8], output: &mut [u8]) -> Result<Progress, Failure> {
        let mut progress = Progress::default();
        loop {
            let rest = input.get_mut(progress.consumed..).unwrap_or_default();
            let room = output.get_mut(progress.filled..).unwrap_or_default();
            if self.is_closed {
                progress.consumed += rest.len();
                return Ok(progress);
            }
            if self
                .message
                .as_ref()
                .is_some_and(|message| message.tail.is_some())
            {
                progress.filled += self.end_message(room)?;
                if self.message.is_some() {
                    return Ok(progress);
                }
                continue;
            }
            let Some(frame) = &self.frame else {
                if rest.is_empty() {
                    return Ok(progress);
                }
                progress.consumed += self.read_header(rest)?;
                progress.event = self.end_frame()?;
                if progress.event.is_some() {
                    return Ok(progress);
                }
                continue;
            };
            if rest.is_empty() || (room.is_empty() && !frame.opcode.is_control()) {
                return Ok(progress);
            }
            let (consumed, filled) = self.read_payload(rest, room)?;
            progress.consumed += consumed;
            progress.filled += filled;
            progress.event = self.end_frame()?;
            if progress.event.is_some() {
                return Ok(progress);
            }
        }
    }

    /// Whether output waits inside although no more input came.
    pub fn has_more(&self) -> bool {
        self.message
            .as_ref()
            .is_some_and(|message| message.tail.is_some())
    }

    fn read_header(&mut self, input: &[u8]) -> Result<usize, Failure> {
        let mut consumed = 0;
        for byte in input {
            if let Some(place) = self.header.get_mut(self.header_bytes) {
                *place = *byte;
            }
            self.header_bytes += 1;
            consumed += 1;
            let [first, second, ..] = self.header;
            if self.header_bytes >= 2 && self.header_bytes == Header::size([first, second]) {
                let bytes = self.header.get(..self.header_bytes).unwrap_or_default();
                let header = Header::parse(bytes).map_err(|_| Failure::Protocol)?;
                self.header_bytes = 0;
                self.start_frame(header)?;
                break;
            }
        }
        Ok(consumed)
    }

    fn start_frame(&mut self, header: Header) -> Result<(), Failure> {
        let mask = header.mask.ok_or(Failure::Unmasked)?;
        match header.opcode {
            Opcode::Continuation if self.message.is_none() || header.compressed => {
                return Err(Failure::Protocol);
            }
            Opcode::Text | Opcode::Binary => {
                let unexpected = header.compressed && !self.options.compression;
                if self.message.is_some() || unexpected {
                    return Err(Failure::Protocol);
                }
                self.message = Some(Message {
                    inflate: header.compressed.then(Inflate::new),
                    tail: None,
                    bytes: 0,
                });
            }
            _ => {}
        }
        if !header.opcode.is_control() {
            let so_far = self.message.as_ref().map_or(0, |message| message.bytes);
            if so_far.saturating_add(header.length) > self.options.max_message {
                return Err(Failure::TooLong);
            }
        }
        self.frame = Some(Frame {
            opcode: header.opcode,
            last: header.last,
            mask,
            read: 0,
            length: header.length,
        });
        Ok(())
    }

    /// Reads payload of the frame. Returns the bytes consumed and filled.
    fn read_payload(
        &mut self,
        input: &mut [u8],
        output: &mut [u8],
    ) -> Result<(usize, usize), Failure> {
        let Some(frame) = &mut self.frame else {
            return Ok((0, 0));
        };
        let left = usize::try_from(frame.length - frame.read).unwrap_or(usize::MAX);
        let inflate = self.message.as_mut().filter(|_| !frame.opcode.is_control());
        let mut size = left.min(input.len());
        if matches!(&inflate, Some(Message { inflate: None, .. })) {
            size = size.min(output.len());
        }
        let payload = input.get_mut(..size).unwrap_or_default();
        unmask(payload, frame.mask, frame.read);
        let (consumed, filled) = match inflate {
            None => {
                self.control.extend_from_slice(payload);
                (size, 0)
            }
            Some(message) => match &mut message.inflate {
                None => {
                    let room = output.get_mut(..size).unwrap_or_default();
                    room.copy_from_slice(payload);
                    (size, size)
                }
                Some(inflate) => inflate
                    .step(payload, output)
                    .map_err(|_| Failure::Compression)?,
            },
        };
        // What the decompressor had no room for is read, and unmasked, again.
        let unread = payload.get_mut(consumed..).unwrap_or_default();
        unmask(unread, frame.mask, frame.read + consumed as u64);
        frame.read += consumed as u64;
        if !frame.opcode.is_control() {
            self.count(filled)?;
        }
        Ok((consumed, filled))
    }

    /// Counts data of the message.
    fn count(&mut self, filled: usize) -> Result<(), Failure> {
        let Some(message) = &mut self.message else {
            return Ok(());
        };
        message.bytes += filled as u64;
        if message.bytes > self.options.max_message {
            return Err(Failure::TooLong);
        }
        Ok(())
    }

    /// Ends the frame if all of it was read.
    fn end_frame(&mut self) -> Result<Option<Event>, Failure> {
        let Some(frame) = self.frame.take_if(|frame| frame.read == frame.length) else {
            return Ok(None);
        };
        if frame.opcode.is_control() {
            let payload = std::mem::take(&mut self.control);
            return self.control_event(frame.opcode, payload);
        }
        if frame.last
            && let Some(message) = &mut self.message
        {
            match message.inflate {
                Some(_) => message.tail = Some(0),
                None => self.message = None,
            }
        }
        Ok(None)
    }

    /// Gives the decompressor what senders leave away, and takes what is still inside.
    fn end_message(&mut self, output: &mut [u8]) -> Result<usize, Failure> {
        let Some(Message {
            inflate: Some(inflate),
            tail: Some(given),
            ..
        }) = &mut self.message
        else {
            self.message = None;
            return Ok(0);
        };
        let rest = TAIL.get(*given..).unwrap_or_default();
        let (read, filled) = inflate
            .step(rest, output)
            .map_err(|_| Failure::Compression)?;
        *given += read;
        let is_done = *given == TAIL.len() && filled < output.len();
        self.count(filled)?;
        if is_done {
            self.message = None;
        }
        Ok(filled)
    }

    fn control_event(
        &mut self,
        opcode: Opcode,
        payload: Vec<u8>,
    ) -> Result<Option<Event>, Failure> {
        match opcode {
            Opcode::Ping => Ok(Some(Event::Ping(payload))),
            Opcode::Close => {
                let code = close_code(&payload)?;
                self.is_closed = true;
                Ok(Some(Event::Close(code)))
            }
            _ => Ok(None),
        }
    }
}

fn close_code(payload: &[u8]) -> Result<Option<u16>, Failure> {
    let Some((number, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() {
            Ok(None)
        } else {
            Err(Failure::Protocol)
        };
    };
    let number = u16::from_be_bytes(*number);
    if !close::may_be_received(number) {
        return Err(Failure::Protocol);
    }
    std::str::from_utf8(reason).map_err(|_| Failure::Reason)?;
    Ok(Some(number))
}

/// Masks or unmasks payload that starts `offset` bytes into its frame.
fn unmask(payload: &mut [u8], mask: [u8; 4], offset: u64) {
    let mut turned = mask;
    turned.rotate_left((offset % 4) as usize);
    let word = u64::from_ne_bytes([turned, turned].concat().try_into().unwrap_or_default());
    let mut words = payload.chunks_exact_mut(8);
    for chunk in &mut words {
        if let Ok(bytes) = <[u8; 8]>::try_from(&*chunk) {
            chunk.copy_from_slice(&(u64::from_ne_bytes(bytes) ^ word).to_ne_bytes());
        }
    }
    for (byte, mask) in words.into_remainder().iter_mut().zip(turned.iter().cycle()) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests;
