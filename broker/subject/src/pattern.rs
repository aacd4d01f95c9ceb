//! Validity of subjects and relations between filters, straight from the rules.

use memchr::{memchr, memchr2};

/// Splits a subject into its tokens. An empty subject has one empty token.
pub fn tokens(subject: &[u8]) -> Tokens<'_> {
    Tokens {
        rest: Some(subject),
    }
}

/// Iterator over the tokens of a subject; see [`tokens`].
#[derive(Clone, Debug)]
pub struct Tokens<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Iterator for Tokens<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        match memchr(b'.', rest) {
            Some(dot) => {
                self.rest = Some(&rest[dot + 1..]);
                Some(&rest[..dot])
            }
            None => {
                self.rest = None;
                Some(rest)
            }
        }
    }
}

/// Whether a client may subscribe to this subject: no empty token, no white space, and `>` only as
/// the last token.
pub fn is_valid_subscribe(subject: &[u8]) -> bool {
    let mut tokens = tokens(subject);
    while let Some(token) = tokens.next() {
        if token.is_empty() || token.iter().any(|byte| is_space(*byte)) {
            return false;
        }
        if token == b">" && tokens.rest.is_some() {
            return false;
        }
    }
    true
}

/// Whether a message may carry this subject: valid, and without wildcard tokens.
pub fn is_valid_publish(subject: &[u8]) -> bool {
    tokens(subject).all(|token| {
        !token.is_empty() && !is_wildcard(token) && !token.iter().any(|byte| is_space(*byte))
    })
}

/// Whether no token of the subject is a wildcard. `foo*` and `>bar` are ordinary tokens.
#[inline]
pub fn is_literal(subject: &[u8]) -> bool {
    // Most subjects have neither character at all, and one pass of memchr proves it.
    memchr2(b'*', b'>', subject).is_none() || !tokens(subject).any(is_wildcard)
}

/// Whether `filter` matches the literal subject `literal`.
pub fn matches(filter: &[u8], literal: &[u8]) -> bool {
    let mut wanted = tokens(filter);
    let mut given = tokens(literal);
    loop {
        match (wanted.next(), given.next()) {
            (Some(b">"), Some(_)) if wanted.rest.is_none() => return true,
            (Some(b"*"), Some(_)) => {}
            (Some(want), Some(token)) if want == token => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}

/// Whether some literal subject is matched by both filters.
pub fn overlaps(a: &[u8], b: &[u8]) -> bool {
    let mut left = tokens(a);
    let mut right = tokens(b);
    loop {
        match (left.next(), right.next()) {
            (Some(b">"), Some(_)) | (Some(_), Some(b">")) => return true,
            (Some(x), Some(y)) if x == b"*" || y == b"*" || x == y => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}

/// Whether every subject matched by `sub` is also matched by `of`.
pub fn is_subset(sub: &[u8], of: &[u8]) -> bool {
    let mut narrow = tokens(sub);
    let mut wide = tokens(of);
    loop {
        match (narrow.next(), wide.next()) {
            (Some(_), Some(b">")) => return true,
            (Some(b">"), Some(_)) => return false,
            (Some(_), Some(b"*")) => {}
            (Some(x), Some(y)) if x == y => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}

#[inline]
pub(crate) fn is_wildcard(token: &[u8]) -> bool {
    token == b"*" || token == b">"
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0x0c)
}
