//! The header of one frame (RFC 6455, section 5.2).

/// The longest header: two bytes, eight of length, four of mask.
pub const MAX_BYTES: usize = 14;
/// What the payload of a control frame may have at most.
pub const MAX_CONTROL_BYTES: usize = 125;

const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const RSV2_AND_3: u8 = 0x30;
const OPCODE: u8 = 0x0f;
const MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7f;
/// In place of a length: the next two bytes are it.
const LENGTH_16: u8 = 126;
/// In place of a length: the next eight bytes are it.
const LENGTH_64: u8 = 127;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    fn new(bits: u8) -> Option<Opcode> {
        Some(match bits {
            0 => Opcode::Continuation,
            1 => Opcode::Text,
            2 => Opcode::Binary,
            8 => Opcode::Close,
            9 => Opcode::Ping,
            10 => Opcode::Pong,
            _ => return None,
        })
    }

    fn bits(self) -> u8 {
        match self {
            Opcode::Continuation => 0,
            Opcode::Text => 1,
            Opcode::Binary => 2,
            Opcode::Close => 8,
            Opcode::Ping => 9,
            Opcode::Pong => 10,
        }
    }

    pub fn is_control(self) -> bool {
        matches!(self, Opcode::Close | Opcode::Ping | Opcode::Pong)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub last: bool,
    /// RSV1: the first frame of a compressed message.
    pub compressed: bool,
    pub opcode: Opcode,
    pub mask: Option<[u8; 4]>,
    pub length: u64,
}

/// What is wrong with a header whatever was agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

impl Header {
    /// How long the header is that starts with these two bytes.
    pub fn size(first: [u8; 2]) -> usize {
        let length = match first[1] & LENGTH {
            LENGTH_16 => 2,
            LENGTH_64 => 8,
            _ => 0,
        };
        let mask = if first[1] & MASKED != 0 { 4 } else { 0 };
        2 + length + mask
    }

    /// Reads a whole header.
    pub fn parse(bytes: &[u8]) -> Result<Header, Malformed> {
        let (&[first, second], mut rest) = bytes.split_first_chunk().ok_or(Malformed)?;
        if first & RSV2_AND_3 != 0 {
            return Err(Malformed);
        }
        let length = match second & LENGTH {
            LENGTH_16 => u64::from(u16::from_be_bytes(take(&mut rest)?)),
            LENGTH_64 => u64::from_be_bytes(take(&mut rest)?),
            short => u64::from(short),
        };
        let mask = match second & MASKED {
            0 => None,
            _ => Some(take(&mut rest)?),
        };
        let header = Header {
            last: first & FIN != 0,
            compressed: first & RSV1 != 0,
            opcode: Opcode::new(first & OPCODE).ok_or(Malformed)?,
            mask,
            length,
        };
        let too_long = header.length > MAX_CONTROL_BYTES as u64;
        if header.opcode.is_control() && (!header.last || header.compressed || too_long) {
            return Err(Malformed);
        }
        if header.length > i64::MAX as u64 {
            return Err(Malformed);
        }
        Ok(header)
    }

    /// Appends the header of a frame that a server sends.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let fin = if self.last { FIN } else { 0 };
        let rsv1 = if self.compressed { RSV1 } else { 0 };
        out.push(fin | rsv1 | self.opcode.bits());
        let masked = if self.mask.is_some() { MASKED } else { 0 };
        if let Ok(short) = u8::try_from(self.length)
            && short < LENGTH_16
        {
            out.push(masked | short);
        } else if let Ok(medium) = u16::try_from(self.length) {
            out.push(masked | LENGTH_16);
            out.extend_from_slice(&medium.to_be_bytes());
        } else {
            out.push(masked | LENGTH_64);
            out.extend_from_slice(&self.length.to_be_bytes());
        }
        out.extend_from_slice(self.mask.as_ref().map_or(&[], |mask| mask));
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Malformed> {
    let (head, tail) = rest.split_first_chunk().ok_or(Malformed)?;
    *rest = tail;
    Ok(*head)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn examples_of_the_standard() {
        // RFC 6455, section 5.7.
        let check = |bytes: &[u8], opcode, last, length, mask| {
            assert_eq!(Header::size([bytes[0], bytes[1]]), bytes.len());
            let header = Header::parse(bytes).unwrap();
            let compressed = false;
            assert_eq!(
                header,
                Header {
                    last,
                    compressed,
                    opcode,
                    mask,
                    length
                }
            );
        };
        check(&[0x81, 0x05], Opcode::Text, true, 5, None);
        check(
            &[0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d],
            Opcode::Text,
            true,
            5,
            Some([0x37, 0xfa, 0x21, 0x3d]),
        );
        check(&[0x01, 0x03], Opcode::Text, false, 3, None);
        check(&[0x80, 0x02], Opcode::Continuation, true, 2, None);
        check(&[0x82, 0x7e, 0x01, 0x00], Opcode::Binary, true, 256, None);
        check(
            &[0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0],
            Opcode::Binary,
            true,
            65536,
            None,
        );
    }

    #[test]
    fn what_no_frame_may_be() {
        // Reserved bits, reserved opcodes, control frames in pieces, compressed or too long.
        for bytes in [
            &[0xa2, 0][..],
            &[0x92, 0],
            &[0x83, 0],
            &[0x8b, 0],
            &[0x09, 0],
            &[0xc9, 0],
            &[0x89, 126, 0, 126],
        ] {
            assert_eq!(Header::parse(bytes), Err(Malformed), "{bytes:x?}");
        }
        assert_eq!(
            Header::parse(&[0x82, 0x7f, 0x80, 0, 0, 0, 0, 0, 0, 0]),
            Err(Malformed)
        );
        assert_eq!(Header::parse(&[0x82]), Err(Malformed));
        assert_eq!(Header::parse(&[0x82, 0xfe, 1]), Err(Malformed));
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_read(last: bool, compressed: bool, mask: Option<[u8; 4]>, length in 0..=i64::MAX as u64) {
            let header = Header { last, compressed, opcode: Opcode::Binary, mask, length };
            let mut bytes = Vec::new();
            header.encode(&mut bytes);
            prop_assert_eq!(Header::size([bytes[0], bytes[1]]), bytes.len());
            prop_assert!(bytes.len() <= MAX_BYTES);
            prop_assert_eq!(Header::parse(&bytes), Ok(header));
        }

        #[test]
        fn no_header_panics(bytes in proptest::collection::vec(any::<u8>(), 0..16)) {
            Header::parse(&bytes).ok();
        }
    }
}
