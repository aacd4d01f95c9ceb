//! The few primitives all binary formats of this crate are made of.
//!
//! Integers are LEB128 varints: most indexes, terms and lengths are small, and a heartbeat of an
//! idle group should be about 40 bytes.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Bytes that do not follow the format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed {0}")]
pub(crate) struct Malformed(pub &'static str);

/// Longest encoding of a 64-bit integer.
const VARINT_BYTES_MAX: u32 = 10;

/// Appends an integer.
pub(crate) fn put_varint(to: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        to.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    to.put_u8(value as u8);
}

/// Appends a length and the bytes.
pub(crate) fn put_bytes(to: &mut BytesMut, bytes: &[u8]) {
    put_varint(to, bytes.len() as u64);
    to.extend_from_slice(bytes);
}

/// Takes one byte off the front.
pub(crate) fn take_u8(from: &mut Bytes) -> Result<u8, Malformed> {
    if from.is_empty() {
        return Err(Malformed("byte"));
    }
    Ok(from.get_u8())
}

/// Takes an integer off the front.
pub(crate) fn take_varint(from: &mut Bytes) -> Result<u64, Malformed> {
    let mut value = 0u64;
    for i in 0..VARINT_BYTES_MAX {
        let byte = take_u8(from)?;
        let part = u64::from(byte & 0x7f);
        if i == VARINT_BYTES_MAX - 1 && part > 1 {
            return Err(Malformed("integer"));
        }
        value |= part << (7 * i);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Malformed("integer"))
}

/// Takes a length and as many bytes off the front, without copying them.
pub(crate) fn take_bytes(from: &mut Bytes) -> Result<Bytes, Malformed> {
    let len = take_varint(from)?;
    if len > from.len() as u64 {
        return Err(Malformed("length"));
    }
    Ok(from.split_to(len as usize))
}

/// Takes a count of things that need at least one byte each, so that a count can never ask for
/// more memory than its message takes.
pub(crate) fn take_count(from: &mut Bytes) -> Result<usize, Malformed> {
    let count = take_varint(from)?;
    if count > from.len() as u64 {
        return Err(Malformed("count"));
    }
    Ok(count as usize)
}

/// Accepts only the end.
pub(crate) fn expect_end(from: &Bytes) -> Result<(), Malformed> {
    if from.is_empty() {
        Ok(())
    } else {
        Err(Malformed("end"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn integers_survive(value: u64) {
            let mut buf = BytesMut::new();
            put_varint(&mut buf, value);
            let mut bytes = buf.freeze();
            prop_assert_eq!(take_varint(&mut bytes), Ok(value));
            prop_assert!(bytes.is_empty());
        }

        #[test]
        fn arbitrary_bytes_never_panic(raw: Vec<u8>) {
            let bytes = Bytes::from(raw);
            let _ = take_varint(&mut bytes.clone());
            let _ = take_bytes(&mut bytes.clone());
            let count = take_count(&mut bytes.clone()).unwrap_or(0);
            prop_assert!(count <= bytes.len());
        }
    }

    #[test]
    fn integers_that_overflow_are_refused() {
        let mut bytes =
            Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]);
        assert!(take_varint(&mut bytes).is_err());
    }
}
