//! Strings: `'raw'`, `"escaped"`, `( block )` and bare words.

use super::Parser;
use crate::value::Value;
use crate::{Position, Problem};

impl Parser<'_, '_> {
    pub(super) fn raw_string(&mut self) -> Result<Value, Problem> {
        let opened = self.position();
        self.cursor.next();
        let text = self.cursor.take_while(|c| c != '\'');
        match self.cursor.next() {
            Some(_) => Ok(Value::String(text.to_owned())),
            None => Err(Problem::at(&opened, "string is not closed with '")),
        }
    }

    pub(super) fn escaped_string(&mut self) -> Result<Value, Problem> {
        let opened = self.position();
        self.cursor.next();
        let mut bytes = Vec::new();
        loop {
            let plain = self.cursor.take_while(|c| c != '"' && c != '\\');
            bytes.extend_from_slice(plain.as_bytes());
            match self.cursor.next() {
                Some('"') => return utf8(bytes, &opened).map(Value::String),
                Some(_) => bytes.push(self.escape()?),
                None => return Err(Problem::at(&opened, "string is not closed with \"")),
            }
        }
    }

    /// Text that ends with a `)` alone on its line. Everything after the `(` belongs to it, line
    /// ends too.
    pub(super) fn block_string(&mut self) -> Result<Value, Problem> {
        let opened = self.position();
        self.cursor.next();
        let rest = self.cursor.rest();
        let mut searched = 0;
        while let Some(found) = rest.get(searched..).and_then(|rest| rest.find("\n)")) {
            let end = searched + found + 1;
            let after = rest.get(end + 1..).unwrap_or_default();
            if after.is_empty() || after.starts_with('\n') || after.starts_with("\r\n") {
                self.cursor.skip_bytes(end + 1);
                return Ok(Value::String(
                    rest.get(..end).unwrap_or_default().to_owned(),
                ));
            }
            searched = end;
        }
        Err(Problem::at(
            &opened,
            "block string is not closed with ')' alone on a line",
        ))
    }

    /// An unquoted value: a boolean, a variable or a string.
    pub(super) fn bare_word(&mut self) -> Result<Value, Problem> {
        let position = self.position();
        let (word, escaped) = self.word()?;
        if escaped {
            return Ok(Value::String(word));
        }
        match word.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => return Ok(Value::Bool(true)),
            "false" | "no" | "off" => return Ok(Value::Bool(false)),
            _ => {}
        }
        match word.strip_prefix('$') {
            Some(name) if is_bcrypt(name) => Ok(Value::String(word)),
            Some(name) => self.variable(name, &position),
            None => Ok(Value::String(word)),
        }
    }

    /// A word whose first characters are digits, so that it can be neither boolean nor variable.
    pub(super) fn word_after_digits(&mut self) -> Result<Value, Problem> {
        self.word().map(|(word, _)| Value::String(word))
    }

    /// The characters up to the end of an unquoted value, and whether some were escaped.
    fn word(&mut self) -> Result<(String, bool), Problem> {
        let position = self.position();
        let mut bytes = Vec::new();
        let mut escaped = false;
        loop {
            let plain = self
                .cursor
                .take_while(|c| !ends_word(c) && c != '\\' && c != '\'');
            bytes.extend_from_slice(plain.as_bytes());
            match self.cursor.peek() {
                Some('\\') => {
                    self.cursor.next();
                    escaped = true;
                    bytes.push(self.escape()?);
                }
                // A quote ends the word and is not part of it, whatever that is good for.
                Some('\'') => {
                    self.cursor.next();
                    return Ok((utf8(bytes, &position)?, escaped));
                }
                _ => return Ok((utf8(bytes, &position)?, escaped)),
            }
        }
    }

    /// The byte an escape stands for. The backslash has been read.
    fn escape(&mut self) -> Result<u8, Problem> {
        let position = self.position();
        match self.cursor.next() {
            Some('t') => Ok(b'\t'),
            Some('n') => Ok(b'\n'),
            Some('r') => Ok(b'\r'),
            Some('"') => Ok(b'"'),
            Some('\\') => Ok(b'\\'),
            Some('x') => {
                let high = self.cursor.next().and_then(|c| c.to_digit(16));
                let low = self.cursor.next().and_then(|c| c.to_digit(16));
                high.zip(low)
                    .and_then(|(high, low)| u8::try_from(high * 16 + low).ok())
                    .ok_or_else(|| {
                        Problem::at(&position, "expected two hexadecimal digits after '\\x'")
                    })
            }
            found => Err(Problem::at(
                &position,
                format!(
                    "invalid escape character {:?}, expected one of \\xXX, \\t, \\n, \\r, \\\", \\\\",
                    found.map(String::from).unwrap_or_default()
                ),
            )),
        }
    }
}

fn ends_word(c: char) -> bool {
    matches!(c, '\n' | '\r' | ' ' | '\t' | ';' | ',' | ']' | '}')
}

/// Hashed passwords start with a dollar sign and need no quotes all the same.
fn is_bcrypt(name: &str) -> bool {
    ["2a$", "2b$", "2y$"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

fn utf8(bytes: Vec<u8>, position: &Position) -> Result<String, Problem> {
    String::from_utf8(bytes)
        .map_err(|_| Problem::at(position, "escapes of the string do not form valid UTF-8"))
}
