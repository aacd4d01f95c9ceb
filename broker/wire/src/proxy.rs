//! The header by which a proxy tells whose connection it passes on: the PROXY protocol, versions 1
//! and 2.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest header of version 1, its line end included.
pub const V1_BYTES_MAX: usize = 107;
const V1_PREFIX: &[u8] = b"PROXY ";
const V2_PREFIX: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The fixed part of version 2: the prefix, version and command, family, length of the rest.
const V2_FIXED_BYTES: usize = 16;
/// A connection is told from one without a header by so many bytes.
const TELLING_BYTES: usize = 6;

const V2_LOCAL: u8 = 0x20;
const V2_PROXY: u8 = 0x21;
const V2_UNSPECIFIED: u8 = 0;
const V2_INET: u8 = 1;
const V2_INET6: u8 = 2;
const V2_STREAM: u8 = 1;

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// The beginning of a header, maybe. So many bytes more may be read, and surely belong to it or
    /// to what it turns out not to be.
    Incomplete { more: usize },
    /// There is no header.
    Absent,
    /// A header. Without a source the connection is the proxy's own, such as a health check.
    Complete { source: Option<SocketAddr> },
}

/// Why a header is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("line is longer than {V1_BYTES_MAX} bytes")]
    TooLong,
    #[error("line is not PROXY, TCP4 or TCP6, two addresses of that kind and two ports")]
    Line,
    #[error("version or command is not known")]
    Command,
    #[error("only streams over IPv4 and IPv6 are supported")]
    Family,
    #[error("addresses are cut short")]
    Short,
    #[error("signature is wrong")]
    Signature,
}

/// Whether a header may begin with this byte.
pub fn may_begin_with(byte: u8) -> bool {
    V1_PREFIX.first() == Some(&byte) || V2_PREFIX.first() == Some(&byte)
}

/// Reads the header that `bytes` begin with. What is behind it is never asked for.
pub fn parse(bytes: &[u8]) -> Result<Parsed, Error> {
    if is_beginning(bytes, V1_PREFIX) {
        return parse_line(bytes);
    }
    if is_beginning(bytes, V2_PREFIX) {
        return parse_binary(bytes);
    }
    if bytes.len() > TELLING_BYTES && bytes.starts_with(b"\r\n\r\n\0\r") {
        return Err(Error::Signature);
    }
    Ok(Parsed::Absent)
}

/// Whether `bytes` and the prefix agree as far as both go.
fn is_beginning(bytes: &[u8], prefix: &[u8]) -> bool {
    bytes.iter().zip(prefix).all(|(a, b)| a == b)
}

fn parse_line(bytes: &[u8]) -> Result<Parsed, Error> {
    let Some(line) = bytes.strip_suffix(b"\r\n") else {
        // Where the line ends is only seen once it is there.
        return match bytes.len() < V1_BYTES_MAX {
            true => Ok(Parsed::Incomplete { more: 1 }),
            false => Err(Error::TooLong),
        };
    };
    let line = line.strip_prefix(V1_PREFIX).ok_or(Error::Line)?;
    let line = std::str::from_utf8(line).map_err(|_| Error::Line)?;
    let mut words = line.split_ascii_whitespace();
    let kind = words.next().ok_or(Error::Line)?;
    if kind == "UNKNOWN" {
        return Ok(Parsed::Complete { source: None });
    }
    let mut address = || -> Result<IpAddr, Error> {
        let address: IpAddr = words
            .next()
            .and_then(|word| word.parse().ok())
            .ok_or(Error::Line)?;
        match (kind, address) {
            ("TCP4", IpAddr::V4(_)) | ("TCP6", IpAddr::V6(_)) => Ok(address),
            _ => Err(Error::Line),
        }
    };
    let (source, _) = (address()?, address()?);
    let mut port = || words.next().and_then(port_of).ok_or(Error::Line);
    let (source_port, _) = (port()?, port()?);
    match words.next() {
        None => Ok(Parsed::Complete {
            source: Some(SocketAddr::new(source, source_port)),
        }),
        Some(_) => Err(Error::Line),
    }
}

/// Digits alone: no sign.
fn port_of(word: &str) -> Option<u16> {
    let digits = word.bytes().all(|byte| byte.is_ascii_digit());
    word.parse().ok().filter(|_| digits)
}

fn parse_binary(bytes: &[u8]) -> Result<Parsed, Error> {
    let Some((fixed, rest)) = bytes.split_first_chunk::<V2_FIXED_BYTES>() else {
        let more = V2_FIXED_BYTES - bytes.len();
        return Ok(Parsed::Incomplete { more });
    };
    let [.., command, family, high, low] = *fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if !matches!(command, V2_LOCAL | V2_PROXY) {
        return Err(Error::Command);
    }
    if rest.len() < length {
        let more = length - rest.len();
        return Ok(Parsed::Incomplete { more });
    }
    let source = match (command, family >> 4) {
        (V2_LOCAL, _) => None,
        _ if family & 0x0f != V2_STREAM => return Err(Error::Family),
        (_, V2_UNSPECIFIED) => None,
        (_, V2_INET) => Some(inet(rest)?),
        (_, V2_INET6) => Some(inet6(rest)?),
        _ => return Err(Error::Family),
    };
    Ok(Parsed::Complete { source })
}

/// Source and destination address, then source and destination port.
fn inet(bytes: &[u8]) -> Result<SocketAddr, Error> {
    let addresses: &[u8; 12] = bytes.first_chunk().ok_or(Error::Short)?;
    let [a, b, c, d, _, _, _, _, high, low, ..] = *addresses;
    let ip = Ipv4Addr::new(a, b, c, d);
    Ok(SocketAddr::new(ip.into(), u16::from_be_bytes([high, low])))
}

fn inet6(bytes: &[u8]) -> Result<SocketAddr, Error> {
    let (source, rest) = bytes.split_first_chunk::<16>().ok_or(Error::Short)?;
    let (_, ports) = rest.split_first_chunk::<16>().ok_or(Error::Short)?;
    let [high, low, _, _] = *ports.first_chunk().ok_or(Error::Short)?;
    let ip = Ipv6Addr::from(*source);
    Ok(SocketAddr::new(ip.into(), u16::from_be_bytes([high, low])))
}

#[cfg(test)]
mod tests;
