//! The binary form of commands and state: varints and length-prefixed bytes.
//!
//! Readers never trust a length: every field has a limit given by the caller, and byte fields are
//! slices of the input, not copies.

use bytes::{BufMut, Bytes, BytesMut};

/// Input that cannot have been written by this crate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("encoded {what} is damaged at byte {offset}")]
pub struct Damaged {
    /// The field that could not be read.
    pub what: &'static str,
    /// Offset of that field in the input.
    pub offset: usize,
}

/// Appends fields to a buffer.
#[derive(Debug, Default)]
pub struct Writer {
    out: BytesMut,
}

impl Writer {
    /// An empty buffer with room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Writer {
        Writer {
            out: BytesMut::with_capacity(capacity),
        }
    }

    pub fn u8(&mut self, value: u8) {
        self.out.put_u8(value);
    }

    pub fn bool(&mut self, value: bool) {
        self.out.put_u8(u8::from(value));
    }

    /// A LEB128 varint: one byte below 128, ten at most.
    pub fn u64(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.out.put_u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.out.put_u8(value as u8);
    }

    /// Eight bytes: for values that use their whole range, such as times in nanoseconds.
    pub fn i64(&mut self, value: i64) {
        self.out.put_i64_le(value);
    }

    /// Bytes with their length before them.
    pub fn bytes(&mut self, value: &[u8]) {
        self.u64(value.len() as u64);
        self.out.put_slice(value);
    }

    pub fn str(&mut self, value: &str) {
        self.bytes(value.as_bytes());
    }

    pub fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Writer, T)) {
        self.bool(value.is_some());
        if let Some(value) = value {
            write(self, value);
        }
    }

    pub fn finish(self) -> Bytes {
        self.out.freeze()
    }
}

/// Takes fields from a buffer in the order they were written.
#[derive(Clone, Debug)]
pub struct Reader {
    input: Bytes,
    offset: usize,
}

impl Reader {
    pub fn new(input: Bytes) -> Reader {
        Reader { input, offset: 0 }
    }

    /// Bytes not read yet.
    pub fn remaining(&self) -> usize {
        self.input.len() - self.offset
    }

    pub fn damaged(&self, what: &'static str) -> Damaged {
        Damaged {
            what,
            offset: self.offset,
        }
    }

    pub fn u8(&mut self, what: &'static str) -> Result<u8, Damaged> {
        let value = *self
            .input
            .get(self.offset)
            .ok_or_else(|| self.damaged(what))?;
        self.offset += 1;
        Ok(value)
    }

    pub fn bool(&mut self, what: &'static str) -> Result<bool, Damaged> {
        match self.u8(what)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.damaged(what)),
        }
    }

    pub fn u64(&mut self, what: &'static str) -> Result<u64, Damaged> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8(what)?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(self.damaged(what));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.damaged(what))
    }

    pub fn i64(&mut self, what: &'static str) -> Result<i64, Damaged> {
        let bytes = self.take(8, what)?;
        let array: [u8; 8] = bytes[..].try_into().map_err(|_| self.damaged(what))?;
        Ok(i64::from_le_bytes(array))
    }

    /// A count of items of at least one byte each, so that no count can exceed what follows it.
    pub fn count(&mut self, limit: usize, what: &'static str) -> Result<usize, Damaged> {
        let count = self.u64(what)?;
        match usize::try_from(count) {
            Ok(count) if count <= limit && count <= self.remaining() => Ok(count),
            _ => Err(self.damaged(what)),
        }
    }

    /// A slice of the input of at most `limit` bytes.
    pub fn bytes(&mut self, limit: usize, what: &'static str) -> Result<Bytes, Damaged> {
        let length = self.count(limit, what)?;
        self.take(length, what)
    }

    pub fn string(&mut self, limit: usize, what: &'static str) -> Result<String, Damaged> {
        let bytes = self.bytes(limit, what)?;
        match std::str::from_utf8(&bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(self.damaged(what)),
        }
    }

    pub fn option<T>(
        &mut self,
        what: &'static str,
        read: impl FnOnce(&mut Reader) -> Result<T, Damaged>,
    ) -> Result<Option<T>, Damaged> {
        if self.bool(what)? {
            read(self).map(Some)
        } else {
            Ok(None)
        }
    }

    /// Succeeds only if everything has been read.
    pub fn finish(self, what: &'static str) -> Result<(), Damaged> {
        if self.remaining() == 0 {
            Ok(())
        } else {
            Err(self.damaged(what))
        }
    }

    fn take(&mut self, length: usize, what: &'static str) -> Result<Bytes, Damaged> {
        if length > self.remaining() {
            return Err(self.damaged(what));
        }
        let bytes = self.input.slice(self.offset..self.offset + length);
        self.offset += length;
        Ok(bytes)
    }
}
