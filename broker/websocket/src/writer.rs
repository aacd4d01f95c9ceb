//! What a server sends: bytes in, frames out.

use crate::deflate;
use crate::header::{self, Header, Opcode};

/// Shorter data are not worth compressing; nats-server draws the line here too.
const COMPRESS_MIN_BYTES: usize = 65;

/// What was agreed with the peer.
#[derive(Debug, Clone, Copy)]
pub struct WriterOptions {
    /// permessage-deflate was agreed.
    pub compression: bool,
    /// Payload of one frame at most. Browsers do better with short frames.
    pub max_frame: usize,
}

/// Writes the frames of a server. Keeps nothing from one call to the next.
#[derive(Debug, Clone, Copy)]
pub struct Writer {
    options: WriterOptions,
}

impl Writer {
    pub fn new(options: WriterOptions) -> Writer {
        Writer { options }
    }

    /// Appends `data` as one binary message.
    pub fn data(&self, data: &[u8], out: &mut Vec<u8>) {
        if self.options.compression && data.len() >= COMPRESS_MIN_BYTES {
            let mut compressed = Vec::new();
            deflate::compress(data, &mut compressed);
            self.frames(&compressed, true, out);
        } else {
            self.frames(data, false, out);
        }
    }

    /// Answers a ping.
    pub fn pong(&self, payload: &[u8], out: &mut Vec<u8>) {
        control(Opcode::Pong, payload, out);
    }

    /// Ends the connection, or agrees to its end. A reason that is too long is cut.
    pub fn close(&self, code: Option<u16>, reason: &str, out: &mut Vec<u8>) {
        let Some(code) = code else {
            control(Opcode::Close, &[], out);
            return;
        };
        let mut end = reason.len().min(header::MAX_CONTROL_BYTES - 2);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        let reason = reason.get(..end).unwrap_or_default();
        control(
            Opcode::Close,
            &[&code.to_be_bytes(), reason.as_bytes()].concat(),
            out,
        );
    }

    fn frames(&self, payload: &[u8], compressed: bool, out: &mut Vec<u8>) {
        let mut rest = payload;
        let mut opcode = Opcode::Binary;
        loop {
            let (piece, after) = rest.split_at(rest.len().min(self.options.max_frame));
            Header {
                last: after.is_empty(),
                compressed: compressed && opcode == Opcode::Binary,
                opcode,
                mask: None,
                length: piece.len() as u64,
            }
            .encode(out);
            out.extend_from_slice(piece);
            if after.is_empty() {
                return;
            }
            rest = after;
            opcode = Opcode::Continuation;
        }
    }
}

fn control(opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
    let payload = payload.get(..header::MAX_CONTROL_BYTES).unwrap_or(payload);
    Header {
        last: true,
        compressed: false,
        opcode,
        mask: None,
        length: payload.len() as u64,
    }
    .encode(out);
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(compression: bool, max_frame: usize, data: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        Writer::new(WriterOptions {
            compression,
            max_frame,
        })
        .data(data, &mut out);
        out
    }

    #[test]
    fn data_are_binary_frames_without_a_mask() {
        assert_eq!(written(false, usize::MAX, b"PING\r\n"), b"\x82\x06PING\r\n");
        assert_eq!(written(false, 4, b"PING\r\n"), b"\x02\x04PING\x80\x02\r\n");
        assert_eq!(written(false, 3, b"PING\r\n"), b"\x02\x03PIN\x80\x03G\r\n");
    }

    #[test]
    fn only_longer_data_are_compressed() {
        assert_eq!(written(true, usize::MAX, &[b'a'; 64])[..2], [0x82, 64]);
        let frame = written(true, usize::MAX, &[b'a'; 65]);
        assert_eq!(frame[0], 0xc2);
        assert!(frame.len() < 30, "{}", frame.len());
        // Only the first frame of a message says that it is compressed.
        let frames = written(true, 2, &[b'a'; 65]);
        assert_eq!((frames[0], frames[4] & 0x7f), (0x42, 0));
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let mut out = Vec::new();
        let writer = Writer::new(WriterOptions {
            compression: false,
            max_frame: 4096,
        });
        writer.close(Some(1008), &"ä".repeat(100), &mut out);
        assert_eq!(out[..4], [0x88, 124, 0x03, 0xf0]);
        assert_eq!(std::str::from_utf8(&out[4..]).unwrap().chars().count(), 61);
        out.clear();
        writer.close(None, "", &mut out);
        assert_eq!(out, [0x88, 0]);
        out.clear();
        writer.pong(b"abc", &mut out);
        assert_eq!(out, b"\x8a\x03abc");
    }
}
