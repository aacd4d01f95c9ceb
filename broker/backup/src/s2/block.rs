//! One compressed block: its length, then literals and copies of what came before.

use bytes::Buf;

use crate::error::Error;

const DAMAGED: Error = Error::Damaged("block");

/// Where bytes come from.
enum Element {
    /// From the input.
    Literal { length: usize },
    /// From so far back in the output.
    Copy { offset: usize, length: usize },
    /// From as far back as the last copy.
    Repeat { length: usize },
}

/// The content of a block of at most `bytes_max` bytes.
pub(super) fn decode(mut input: &[u8], bytes_max: usize) -> Result<Vec<u8>, Error> {
    let size = size(&mut input)?;
    if size > bytes_max {
        return Err(DAMAGED);
    }
    let mut out = Vec::with_capacity(size);
    let mut last_offset = 0;
    while input.has_remaining() {
        match element(&mut input)? {
            Element::Literal { length } => {
                let literal = input.get(..length).ok_or(DAMAGED)?;
                out.extend_from_slice(literal);
                input.advance(length);
            }
            Element::Copy { offset, length } => {
                last_offset = offset;
                copy(&mut out, offset, length, size)?;
            }
            Element::Repeat { length } => copy(&mut out, last_offset, length, size)?,
        }
        if out.len() > size {
            return Err(DAMAGED);
        }
    }
    match out.len() == size {
        true => Ok(out),
        false => Err(DAMAGED),
    }
}

/// The length that a block begins with, seven bits a byte.
fn size(input: &mut &[u8]) -> Result<usize, Error> {
    let mut size = 0;
    for shift in (0..32).step_by(7) {
        let byte = number(input, 1)?;
        size |= (byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(size);
        }
    }
    Err(DAMAGED)
}

/// The low two bits of an element's first byte tell its kind.
fn element(input: &mut &[u8]) -> Result<Element, Error> {
    let tag = number(input, 1)?;
    let upper = tag >> 2;
    Ok(match tag & 3 {
        0 => Element::Literal {
            length: 1 + match upper {
                // Longer ones have their length in the next one to four bytes.
                60.. => number(input, upper - 59)?,
                length => length,
            },
        },
        1 => {
            let offset = (tag >> 5) << 8 | number(input, 1)?;
            let length = upper & 7;
            match offset {
                0 => Element::Repeat {
                    length: 4 + repeat_length(input, length)?,
                },
                offset => Element::Copy {
                    offset,
                    length: 4 + length,
                },
            }
        }
        kind => Element::Copy {
            offset: number(input, if kind == 2 { 2 } else { 4 })?,
            length: 1 + upper,
        },
    })
}

fn repeat_length(input: &mut &[u8], code: usize) -> Result<usize, Error> {
    Ok(match code {
        5 => number(input, 1)? + 4,
        6 => number(input, 2)? + (1 << 8),
        7 => number(input, 3)? + (1 << 16),
        length => length,
    })
}

/// A number of so many bytes, the lowest first.
fn number(input: &mut &[u8], bytes: usize) -> Result<usize, Error> {
    if input.remaining() < bytes {
        return Err(DAMAGED);
    }
    Ok(input.get_uint_le(bytes) as usize)
}

/// Appends bytes of the output again. They may overlap those that are being appended.
fn copy(out: &mut Vec<u8>, offset: usize, length: usize, size: usize) -> Result<(), Error> {
    let start = out.len().checked_sub(offset).filter(|_| offset > 0);
    let start = start.ok_or(DAMAGED)?;
    if length > size - out.len() {
        return Err(DAMAGED);
    }
    let mut left = length;
    while left > 0 {
        let available = (out.len() - start).min(left);
        // What has been appended goes on as it began, so twice as much can be taken next.
        out.extend_from_within(start..start + available);
        left -= available;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(input: &[u8]) -> Result<String, Error> {
        decode(input, 1000).map(|out| String::from_utf8(out).unwrap())
    }

    #[test]
    fn copies_may_overlap_and_repeat_the_last_offset() {
        // "ab", a copy of 6 from 2 back, "c", then 4 and 12 from 2 back again.
        assert_eq!(text(b"\x08\x04ab\x09\x02"), Ok("abababab".to_owned()));
        assert_eq!(
            text(b"\x0d\x04ab\x09\x02\x00c\x01\x00"),
            Ok("ababababcbcbc".to_owned())
        );
        assert_eq!(
            text(b"\x15\x04ab\x09\x02\x00c\x15\x00\x04"),
            Ok("ababababcbcbcbcbcbcbc".to_owned())
        );
    }

    #[test]
    fn a_block_that_is_not_what_it_says_is_refused() {
        for block in [
            &b""[..],
            b"\x02\x00a",
            b"\x01\x04ab",
            b"\x04\x01\x00",
            b"\x08\x04ab\x09\x03",
            b"\x06\x04ab\x09\x02",
            b"\xff\xff\xff\xff\xff\x01",
            b"\x04\xfc\xff\xff\xff\xff",
        ] {
            assert!(text(block).is_err(), "{block:?}");
        }
    }
}
