//! A place in a text that knows its line and column.

use std::str::Chars;

pub struct Cursor<'a> {
    chars: Chars<'a>,
    line: u32,
    column: u32,
}

impl<'a> Cursor<'a> {
    pub fn new(text: &'a str) -> Self {
        // Some editors start a file with a byte order mark, which is not part of its text.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self {
            chars: text.chars(),
            line: 1,
            column: 1,
        }
    }

    pub fn line(&self) -> u32 {
        self.line
    }

    /// The column in characters, from one.
    pub fn column(&self) -> u32 {
        self.column
    }

    pub fn peek(&self) -> Option<char> {
        self.chars.clone().next()
    }

    pub fn next(&mut self) -> Option<char> {
        let c = self.chars.next()?;
        if c == '\n' {
            self.line = self.line.saturating_add(1);
            self.column = 1;
        } else {
            self.column = self.column.saturating_add(1);
        }
        Some(c)
    }

    /// What has not been read.
    pub fn rest(&self) -> &'a str {
        self.chars.as_str()
    }

    pub fn starts_with(&self, prefix: &str) -> bool {
        self.rest().starts_with(prefix)
    }

    pub fn skip_while(&mut self, wanted: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&wanted) {
            self.next();
        }
    }

    pub fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let before = self.rest();
        self.skip_while(wanted);
        let length = before.len() - self.rest().len();
        before.get(..length).unwrap_or_default()
    }

    pub fn skip_bytes(&mut self, count: usize) {
        let end = self.rest().len().saturating_sub(count);
        while self.rest().len() > end {
            self.next();
        }
    }
}
