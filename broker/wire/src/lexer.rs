//! Control lines, common to every protocol of this crate: verb, arguments, size, payload.

use memchr::{memchr, memchr2};

use crate::Error;

/// Bytes that end a payload and, usually, a line.
pub(crate) const CRLF: &[u8] = b"\r\n";

/// Most digits of a size that a peer may send; more is not a number to us (below 1 GB).
const SIZE_DIGITS_MAX: usize = 9;

/// A verb in upper case, and what may stand between it and its arguments.
pub(crate) struct Word<V> {
    pub text: &'static [u8],
    pub verb: V,
    pub gap: Gap,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gap {
    /// At least one space or tab.
    Required,
    /// Spaces and tabs, or nothing: `CONNECT{}` is understood.
    Optional,
    /// The verb has no arguments, and the rest of the line is ignored.
    Ignored,
}

/// A piece of input, or how many bytes the buffer must hold before it can be complete.
pub(crate) enum Step<T> {
    Ready(T),
    Incomplete { needed: usize },
}

/// A complete control line.
pub(crate) struct Line<'a, V> {
    pub verb: V,
    /// Arguments without the line end.
    pub args: &'a [u8],
    /// Length of the whole line in bytes, with its end.
    pub len: usize,
}

/// Reads one control line whose verb is among `words`. A verb that cannot become one of them is
/// refused at its first wrong byte, without waiting for the end of the line.
pub(crate) fn line<'a, V: Copy>(
    buf: &'a [u8],
    words: &[Word<V>],
    max_control_line: usize,
) -> Result<Step<Line<'a, V>>, Error> {
    let mut may_become_a_word = buf.is_empty();
    for word in words {
        let shared = word.text.len().min(buf.len());
        let (Some(typed), Some(expected)) = (buf.get(..shared), word.text.get(..shared)) else {
            continue;
        };
        if !typed.eq_ignore_ascii_case(expected) {
            continue;
        }
        if shared == word.text.len() {
            let rest = buf.get(shared..).unwrap_or_default();
            return arguments(rest, word.gap, shared, max_control_line).map(|step| match step {
                Step::Ready((args, len)) => Step::Ready(Line {
                    verb: word.verb,
                    args,
                    len,
                }),
                Step::Incomplete { needed } => Step::Incomplete { needed },
            });
        }
        may_become_a_word = true;
    }
    if may_become_a_word {
        return Ok(Step::Incomplete {
            needed: buf.len() + 1,
        });
    }
    Err(Error::UnknownOperation)
}

/// Reads the arguments in `rest`, which begins `offset` bytes after the begin of the line. Returns
/// them with the length of the whole line.
#[inline]
pub(crate) fn arguments(
    rest: &[u8],
    gap: Gap,
    offset: usize,
    max_control_line: usize,
) -> Result<Step<(&[u8], usize)>, Error> {
    if gap == Gap::Required && rest.first().is_some_and(|byte| !is_blank(*byte)) {
        return Err(Error::UnknownOperation);
    }
    let Some(end) = memchr(b'\n', rest) else {
        // One byte more than the limit may be the carriage return of a line that just fits, and
        // one the blank before the arguments.
        if rest.len() > max_control_line.saturating_add(2) {
            return Err(Error::MaxControlLine);
        }
        return Ok(Step::Incomplete {
            needed: offset + rest.len() + 1,
        });
    };
    let args = trim_start(rest.get(..end).unwrap_or_default());
    let args = args.strip_suffix(b"\r").unwrap_or(args);
    if args.len() > max_control_line {
        return Err(Error::MaxControlLine);
    }
    Ok(Step::Ready((args, offset + end + 1)))
}

/// The payload of `size` bytes that follows a control line of `line_len` bytes, and the length of
/// both with the final line end.
#[inline]
pub(crate) fn payload(
    buf: &[u8],
    line_len: usize,
    size: usize,
) -> Result<Step<(&[u8], usize)>, Error> {
    let end = line_len.saturating_add(size);
    let total = end.saturating_add(CRLF.len());
    if let (Some(body), Some(CRLF)) = (buf.get(line_len..end), buf.get(end..total)) {
        return Ok(Step::Ready((body, total)));
    }
    let tail = buf.get(end..total.min(buf.len())).unwrap_or_default();
    if CRLF.starts_with(tail) {
        return Ok(Step::Incomplete { needed: total });
    }
    Err(Error::UnknownOperation)
}

/// Arguments separated by spaces and tabs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Args<'a>(pub &'a [u8]);

impl<'a> Iterator for Args<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = trim_start(self.0);
        if rest.is_empty() {
            return None;
        }
        let (arg, rest) =
            rest.split_at_checked(memchr2(b' ', b'\t', rest).unwrap_or(rest.len()))?;
        self.0 = rest;
        Some(arg)
    }
}

impl<'a> Args<'a> {
    /// Exactly the arguments, at most `N` of them; `None` when there are more.
    pub(crate) fn collect_up_to<const N: usize>(mut self) -> Option<([&'a [u8]; N], usize)> {
        let mut args: [&[u8]; N] = [&[]; N];
        let mut count = 0;
        for slot in &mut args {
            let Some(arg) = self.next() else {
                return Some((args, count));
            };
            *slot = arg;
            count += 1;
        }
        if self.next().is_some() {
            None
        } else {
            Some((args, count))
        }
    }
}

/// A size as peers write it: one to nine digits.
#[inline]
pub(crate) fn size(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() || digits.len() > SIZE_DIGITS_MAX {
        return None;
    }
    let mut value = 0usize;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + usize::from(digit);
    }
    Some(value)
}

#[inline]
fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

#[inline]
fn trim_start(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    text
}
