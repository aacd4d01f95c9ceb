//! nats-server's configuration language: text in, tree of [`Value`](crate::Value)s out.
//!
//! One parser object reads one file. Blocks under construction are its stack of scopes, which is
//! also where a `$variable` is looked up. An included file has a parser of its own, with scopes of
//! its own; the two share only what bounds the work: nesting, number of values, includes.

mod cursor;
mod include;
mod scalar;
mod text;
mod variable;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::value::{Entry, Map, Node, Value};
use crate::{Position, Problem, Problems, Source};

use cursor::Cursor;

/// Blocks and arrays inside each other. Deeper input is refused before it exhausts the stack.
pub const NESTING_MAX: usize = 64;
/// Files that include each other.
pub const INCLUDE_DEPTH_MAX: usize = 16;
/// Values of a whole configuration, counting each use of a variable.
pub const VALUE_COUNT_MAX: usize = 1_000_000;
/// Bytes of one file.
pub const FILE_SIZE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Parses a file and everything it includes.
pub fn parse(path: &Path, source: &Source<'_>) -> Result<Map, Problems> {
    let text = (source.read_file)(path).map_err(|error| {
        Problem::general(format!(
            "error opening config file: {}: {error}",
            path.display()
        ))
    })?;
    let mut shared = Shared::default();
    // Harnesses look for these words to tell a broken file from a wrong option.
    let map = parse_text(&text, path, source, &mut shared)
        .map_err(|problem| Problem::general(format!("Parse error in {problem}")))?;
    if shared.problems.is_empty() {
        Ok(map)
    } else {
        Err(Problems(shared.problems))
    }
}

fn parse_text(
    text: &str,
    path: &Path,
    source: &Source<'_>,
    shared: &mut Shared,
) -> Result<Map, Problem> {
    let mut parser = Parser::new(text, path, source, shared);
    if text.len() > FILE_SIZE_BYTES_MAX {
        let reason = format!("file is larger than {FILE_SIZE_BYTES_MAX} bytes");
        return Err(parser.problem(reason));
    }
    parser.statements(Block::File)?;
    Ok(parser.scopes.pop().unwrap_or_default())
}

/// What the parsers of all files of one configuration have in common.
#[derive(Default)]
struct Shared {
    value_count: usize,
    include_depth: usize,
    /// Environment variables whose values are being parsed, to notice cycles.
    environment: Vec<String>,
    /// Errors that do not keep the rest of the file from being read.
    problems: Vec<Problem>,
}

struct Parser<'a, 'b> {
    cursor: Cursor<'a>,
    file: Arc<str>,
    dir: PathBuf,
    source: &'a Source<'a>,
    /// The blocks being read, outermost first. The outermost is the file itself.
    scopes: Vec<Map>,
    nesting: usize,
    shared: &'b mut Shared,
}

/// What surrounds a statement.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    File,
    /// Braces around statements of the file, as JSON has them.
    Grouping,
    Map,
}

impl<'a, 'b> Parser<'a, 'b> {
    fn new(
        text: &'a str,
        path: &Path,
        source: &'a Source<'a>,
        shared: &'b mut Shared,
    ) -> Parser<'a, 'b> {
        Parser {
            cursor: Cursor::new(text),
            file: path.display().to_string().into(),
            dir: path.parent().map(Path::to_path_buf).unwrap_or_default(),
            source,
            scopes: vec![Map::default()],
            nesting: 0,
            shared,
        }
    }

    fn position(&self) -> Position {
        Position {
            file: self.file.clone(),
            line: self.cursor.line(),
            column: self.cursor.column(),
        }
    }

    fn problem(&self, reason: impl Into<String>) -> Problem {
        Problem::at(&self.position(), reason)
    }

    /// Reads statements up to the end of the file or the closing brace.
    fn statements(&mut self, block: Block) -> Result<(), Problem> {
        let opened = self.position();
        loop {
            self.skip_space_and_comments();
            match self.cursor.peek() {
                None if block == Block::File => return Ok(()),
                None => return Err(Problem::at(&opened, "block is not closed with '}'")),
                Some('{') if block != Block::Map => {
                    self.cursor.next();
                    self.nested(|parser| parser.statements(Block::Grouping))?;
                }
                Some('}') => {
                    let brace = self.position();
                    self.cursor.next();
                    if block != Block::File {
                        return Ok(());
                    }
                    // A brace too many is let pass at the very end, where nothing can hide in it.
                    self.skip_space_and_comments();
                    if self.cursor.peek().is_some() {
                        return Err(Problem::at(&brace, "unexpected '}': no block is open"));
                    }
                }
                // What separates statements may also stand between groups of them.
                Some(',' | ';') if block == Block::Grouping => {
                    self.cursor.next();
                }
                Some(_) => self.statement(block)?,
            }
        }
    }

    fn statement(&mut self, block: Block) -> Result<(), Problem> {
        let position = self.position();
        let (key, quoted) = self.key()?;
        if !quoted
            && key.eq_ignore_ascii_case("include")
            && self.cursor.peek().is_some_and(char::is_whitespace)
        {
            self.include()?;
            return self.end_of_statement(block);
        }
        self.cursor.skip_while(char::is_whitespace);
        if matches!(self.cursor.peek(), Some('=' | ':')) {
            self.cursor.next();
            // In a block the value may come on the next line, but not at the top of a file, where
            // a forgotten value would swallow the next key.
            match block {
                Block::Map => self.cursor.skip_while(char::is_whitespace),
                Block::File | Block::Grouping => self.cursor.skip_while(is_blank),
            }
        }
        let value = self.value(&key)?;
        self.insert(Entry {
            key,
            position,
            value,
            used_as_variable: false,
        });
        self.end_of_statement(block)
    }

    fn key(&mut self) -> Result<(String, bool), Problem> {
        match self.cursor.peek() {
            Some(quote @ ('"' | '\'')) => {
                let opened = self.position();
                self.cursor.next();
                let key = self.cursor.take_while(|c| c != quote);
                if self.cursor.next().is_none() {
                    return Err(Problem::at(
                        &opened,
                        format!("key is not closed with {quote}"),
                    ));
                }
                Ok((key.to_owned(), true))
            }
            Some(found @ ('=' | ':')) => {
                Err(self.problem(format!("unexpected key separator '{found}'")))
            }
            Some(found @ (',' | ';' | ']')) => {
                Err(self.problem(format!("expected a key, but got '{found}'")))
            }
            _ => {
                let key = self
                    .cursor
                    .take_while(|c| !c.is_whitespace() && c != '=' && c != ':');
                Ok((key.to_owned(), false))
            }
        }
    }

    /// Reads what must follow a value: the end of its line or something that stands for it.
    fn end_of_statement(&mut self, block: Block) -> Result<(), Problem> {
        self.cursor.skip_while(is_blank);
        match self.cursor.peek() {
            None | Some('#') => Ok(()),
            Some('/') if self.cursor.starts_with("//") => Ok(()),
            Some('\n' | '\r' | ';' | ',') => {
                self.cursor.next();
                Ok(())
            }
            Some('}') if block == Block::File => {
                self.cursor.next();
                Ok(())
            }
            Some('}') => Ok(()),
            Some(found) => Err(self.problem(format!(
                "expected the value to end with a new line, ',', ';' or a comment, but got {found:?}"
            ))),
        }
    }

    fn array(&mut self) -> Result<Vec<Node>, Problem> {
        let opened = self.position();
        let mut nodes = Vec::new();
        loop {
            self.skip_space_and_comments();
            match self.cursor.peek() {
                None => return Err(Problem::at(&opened, "array is not closed with ']'")),
                Some(']') => {
                    self.cursor.next();
                    return Ok(nodes);
                }
                Some(',') => return Err(self.problem("unexpected ',' in array")),
                Some(_) => nodes.push(self.value("array element")?),
            }
            self.cursor.skip_while(is_blank);
            match self.cursor.peek() {
                None | Some('#' | ']') => {}
                Some('/') if self.cursor.starts_with("//") => {}
                Some(',' | '\n' | '\r') => {
                    self.cursor.next();
                }
                Some(found) => {
                    return Err(self.problem(format!(
                        "expected ',', a new line or ']' after an array element, but got {found:?}"
                    )));
                }
            }
        }
    }

    /// Reads a value where one must be. `what` names it in errors.
    fn value(&mut self, what: &str) -> Result<Node, Problem> {
        let position = self.position();
        self.count_values(1, &position)?;
        let value = match self.cursor.peek() {
            Some('[') => {
                self.cursor.next();
                Value::Array(self.nested(Self::array)?)
            }
            Some('{') => {
                self.cursor.next();
                self.scopes.push(Map::default());
                self.nested(|parser| parser.statements(Block::Map))?;
                Value::Map(self.scopes.pop().unwrap_or_default())
            }
            Some('\n' | '\r') => {
                return Err(self.problem(format!("expected value of {what:?}, found new line")));
            }
            None | Some(',' | ';' | ']' | '}') => {
                return Err(self.problem(format!("{what:?} has no value")));
            }
            Some(_) => self.scalar()?,
        };
        Ok(Node { value, position })
    }

    fn nested<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        if self.nesting == NESTING_MAX {
            let reason = format!("more than {NESTING_MAX} blocks and arrays inside each other");
            return Err(self.problem(reason));
        }
        self.nesting += 1;
        let result = read(self);
        self.nesting -= 1;
        result
    }

    fn insert(&mut self, entry: Entry) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(entry);
        }
    }

    fn count_values(&mut self, count: usize, position: &Position) -> Result<(), Problem> {
        self.shared.value_count = self.shared.value_count.saturating_add(count);
        if self.shared.value_count > VALUE_COUNT_MAX {
            let reason = format!("configuration has more than {VALUE_COUNT_MAX} values");
            return Err(Problem::at(position, reason));
        }
        Ok(())
    }

    fn skip_space_and_comments(&mut self) {
        loop {
            self.cursor.skip_while(char::is_whitespace);
            if !self.cursor.starts_with("#") && !self.cursor.starts_with("//") {
                return;
            }
            self.cursor.skip_while(|c| c != '\n' && c != '\r');
        }
    }
}

/// White space that does not end a line.
fn is_blank(c: char) -> bool {
    c == ' ' || c == '\t'
}

#[cfg(test)]
mod tests;
