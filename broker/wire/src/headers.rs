//! The header block of a message: `NATS/1.0`, an optional status, then `Name: value` lines and an
//! empty line.

use memchr::memmem;

use crate::lexer::CRLF;

/// How every header block begins.
pub const VERSION: &[u8] = b"NATS/1.0";

/// The value of the first header called exactly `name`, without leading spaces. The search is the
/// server's: case matters.
pub fn get<'a>(block: &'a [u8], name: &str) -> Option<&'a [u8]> {
    iter(block)
        .find(|(key, _)| *key == name.as_bytes())
        .map(|(_, value)| value)
}

/// Names and values in order. Values come without leading spaces; lines without a colon are
/// skipped.
pub fn iter(block: &[u8]) -> Headers<'_> {
    Headers {
        rest: next_line(block).map_or(&[], |(_, rest)| rest),
    }
}

/// Iterator over the headers of a block; see [`iter`].
#[derive(Clone, Debug)]
pub struct Headers<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        loop {
            let (line, rest) = next_line(self.rest)?;
            self.rest = rest;
            if line.is_empty() {
                return None;
            }
            if let Some((name, value)) = split_colon(line) {
                return Some((name, trim_start(value)));
            }
        }
    }
}

/// The status of a block that has one: `NATS/1.0 503` or `NATS/1.0 404 No Messages`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status<'a> {
    pub code: u16,
    pub description: &'a [u8],
}

/// The status in the first line of a block.
pub fn status(block: &[u8]) -> Option<Status<'_>> {
    let (first, _) = next_line(block)?;
    let rest = trim_start(first.strip_prefix(VERSION)?);
    let (code, description) = rest.split_at_checked(3)?;
    let code = u16::try_from(crate::lexer::size(code)?).ok()?;
    Some(Status {
        code,
        description: trim_start(description),
    })
}

/// Builds a header block.
#[derive(Clone, Debug)]
pub struct Builder {
    block: Vec<u8>,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder::new()
    }
}

impl Builder {
    /// A block without a status.
    pub fn new() -> Builder {
        let mut block = VERSION.to_vec();
        block.extend_from_slice(CRLF);
        Builder { block }
    }

    /// A block with a status; an empty description is left out.
    pub fn with_status(code: u16, description: &str) -> Builder {
        let mut block = VERSION.to_vec();
        block.push(b' ');
        crate::encode::number(&mut block, u64::from(code));
        if !description.is_empty() {
            block.push(b' ');
            block.extend_from_slice(description.as_bytes());
        }
        block.extend_from_slice(CRLF);
        Builder { block }
    }

    /// A block that starts with every line of `block`, which may be empty.
    pub fn extending(block: &[u8]) -> Builder {
        match block.strip_suffix(b"\r\n\r\n") {
            Some(lines) => {
                let mut block = lines.to_vec();
                block.extend_from_slice(CRLF);
                Builder { block }
            }
            None => Builder::new(),
        }
    }

    /// Adds a header. Line breaks would forge other headers, so the value ends before the first.
    pub fn add(mut self, name: &str, value: impl AsRef<[u8]>) -> Builder {
        let value = value.as_ref();
        let end = memchr::memchr2(b'\r', b'\n', value).unwrap_or(value.len());
        self.block.extend_from_slice(name.as_bytes());
        self.block.extend_from_slice(b": ");
        self.block
            .extend_from_slice(value.get(..end).unwrap_or_default());
        self.block.extend_from_slice(CRLF);
        self
    }

    /// The finished block, with its empty line.
    pub fn build(mut self) -> Vec<u8> {
        self.block.extend_from_slice(CRLF);
        self.block
    }
}

/// A copy of `block` without the headers that `unwanted` names; empty when none is left and there
/// is no status.
pub fn without(block: &[u8], unwanted: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let Some((first, mut rest)) = next_line(block) else {
        return Vec::new();
    };
    let mut kept = first.to_vec();
    kept.extend_from_slice(CRLF);
    let head = kept.len();
    while let Some((line, after)) = next_line(rest) {
        rest = after;
        if line.is_empty() {
            break;
        }
        if !split_colon(line).is_some_and(|(name, _)| unwanted(name)) {
            kept.extend_from_slice(line);
            kept.extend_from_slice(CRLF);
        }
    }
    if kept.len() == head && first == VERSION {
        return Vec::new();
    }
    kept.extend_from_slice(CRLF);
    kept
}

fn next_line(block: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memmem::find(block, CRLF)?;
    Some((block.get(..end)?, block.get(end + CRLF.len()..)?))
}

fn split_colon(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr::memchr(b':', line)?;
    Some((line.get(..colon)?, line.get(colon + 1..)?))
}

fn trim_start(mut value: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] = value {
        value = rest;
    }
    value
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BLOCK: &[u8] =
        b"NATS/1.0\r\nNats-Msg-Id: 7\r\nA:b\r\nA:  c \r\nEmpty:\r\nno colon\r\n\r\n";

    #[test]
    fn values_are_found_by_exact_name() {
        assert_eq!(get(BLOCK, "Nats-Msg-Id"), Some(&b"7"[..]));
        assert_eq!(get(BLOCK, "A"), Some(&b"b"[..]));
        assert_eq!(get(BLOCK, "Empty"), Some(&b""[..]));
        for name in [
            "nats-msg-id",
            "Msg-Id",
            "Nats-Msg",
            "b",
            "no colon",
            "NATS/1.0",
            "",
        ] {
            assert_eq!(get(BLOCK, name), None, "{name}");
        }
        assert_eq!(get(b"", "A"), None);
        assert_eq!(get(b"NATS/1.0\r\n\r\nA: payload\r\n", "A"), None);
    }

    #[test]
    fn all_headers_come_in_order() {
        let all: Vec<_> = iter(BLOCK).collect();
        let expected: [(&[u8], &[u8]); 4] = [
            (b"Nats-Msg-Id", b"7"),
            (b"A", b"b"),
            (b"A", b"c "),
            (b"Empty", b""),
        ];
        assert_eq!(all, expected);
    }

    #[test]
    fn status_lines() {
        let check = |block: &[u8], expected: Option<(u16, &[u8])>| {
            let found = status(block).map(|status| (status.code, status.description));
            assert_eq!(found, expected, "{}", block.escape_ascii());
        };
        check(b"NATS/1.0\r\n\r\n", None);
        check(b"NATS/1.0 503\r\n\r\n", Some((503, b"")));
        check(
            b"NATS/1.0 404 No Messages\r\n\r\n",
            Some((404, b"No Messages")),
        );
        check(b"NATS/1.0 4x4\r\n\r\n", None);
        check(b"HTTP/1.1 200 OK\r\n\r\n", None);
        check(b"NATS/1.0 503", None);
    }

    #[test]
    fn building() {
        let block = Builder::new().add("A", "b").add("C", b"d").build();
        assert_eq!(block, b"NATS/1.0\r\nA: b\r\nC: d\r\n\r\n");
        let status = Builder::with_status(503, "")
            .add("Nats-Subject", "x")
            .build();
        assert_eq!(status, b"NATS/1.0 503\r\nNats-Subject: x\r\n\r\n");
        assert_eq!(
            Builder::with_status(404, "No Messages").build(),
            b"NATS/1.0 404 No Messages\r\n\r\n"
        );
        let more = Builder::extending(b"NATS/1.0\r\nA: b\r\n\r\n")
            .add("C", "d")
            .build();
        assert_eq!(more, b"NATS/1.0\r\nA: b\r\nC: d\r\n\r\n");
        assert_eq!(
            Builder::extending(b"").add("C", "d").build(),
            b"NATS/1.0\r\nC: d\r\n\r\n"
        );
        assert_eq!(
            Builder::new().add("A", "b\r\nForged: c").build(),
            b"NATS/1.0\r\nA: b\r\n\r\n"
        );
    }

    #[test]
    fn removing() {
        assert_eq!(
            without(b"NATS/1.0\r\nA: b\r\nC: d\r\n\r\n", |name| name == b"A"),
            b"NATS/1.0\r\nC: d\r\n\r\n"
        );
        assert_eq!(
            without(b"NATS/1.0\r\nA: b\r\n\r\n", |name| name == b"A"),
            b""
        );
        assert_eq!(
            without(b"NATS/1.0 100\r\nA: b\r\n\r\n", |_| true),
            b"NATS/1.0 100\r\n\r\n"
        );
        assert_eq!(without(b"", |_| true), b"");
    }

    proptest! {
        #[test]
        fn arbitrary_blocks_never_panic(block in proptest::collection::vec(
            prop_oneof![any::<u8>(), Just(b'\r'), Just(b'\n'), Just(b':')], 0..60)
        ) {
            let block = [VERSION, &block].concat();
            prop_assert!(iter(&block).count() <= block.len());
            status(&block);
            without(&block, |name| name.is_empty());
        }
    }
}
