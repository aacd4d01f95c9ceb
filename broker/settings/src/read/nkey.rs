//! Whether a text is spelled as a public key. What the key is worth is for others to find out.

/// The kinds of public keys, by their prefix byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Operator,
    Server,
    Cluster,
    Account,
    User,
    Curve,
}

impl Kind {
    fn prefix(self) -> u8 {
        // The upper five bits of the first byte are the letter the key starts with.
        let letter = match self {
            Kind::Operator => b'O',
            Kind::Server => b'N',
            Kind::Cluster => b'C',
            Kind::Account => b'A',
            Kind::User => b'U',
            Kind::Curve => b'X',
        };
        (letter - b'A') << 3
    }
}

const ALL: [Kind; 6] = [
    Kind::Operator,
    Kind::Server,
    Kind::Cluster,
    Kind::Account,
    Kind::User,
    Kind::Curve,
];

/// Prefix, key and checksum.
const KEY_SIZE_BYTES: usize = 1 + 32 + 2;

pub fn is_public(text: &str, kind: Kind) -> bool {
    public_prefix(text) == Some(kind.prefix())
}

pub fn is_any_public(text: &str) -> bool {
    ALL.iter().any(|kind| is_public(text, *kind))
}

fn public_prefix(text: &str) -> Option<u8> {
    let bytes = base32(text)?;
    if bytes.len() != KEY_SIZE_BYTES {
        return None;
    }
    let (body, checksum) = bytes.split_at_checked(KEY_SIZE_BYTES - 2)?;
    (checksum == crc16(body).to_le_bytes()).then(|| body.first().copied())?
}

fn base32(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(KEY_SIZE_BYTES);
    let mut bits: u32 = 0;
    let mut bit_count = 0;
    for c in text.bytes() {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'2'..=b'7' => c - b'2' + 26,
            _ => return None,
        };
        bits = ((bits << 5) | u32::from(value)) & 0xfff;
        bit_count += 5;
        if bit_count >= 8 {
            bit_count -= 8;
            bytes.push(u8::try_from((bits >> bit_count) & 0xff).ok()?);
        }
    }
    Some(bytes)
}

/// CRC-16 of the XMODEM protocol, which nkeys end with.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, &byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 {
                crc << 1
            } else {
                (crc << 1) ^ 0x1021
            }
        })
    })
}
