//! `include FILE`.

use super::{INCLUDE_DEPTH_MAX, Parser, is_blank, parse_text};
use crate::Problem;

impl Parser<'_, '_> {
    /// Reads the file named next and puts its keys into the current block, as if they were written
    /// there. The name is relative to the folder of the file that includes it.
    pub(super) fn include(&mut self) -> Result<(), Problem> {
        self.cursor.skip_while(is_blank);
        let position = self.position();
        let name = match self.cursor.peek() {
            Some(quote @ ('"' | '\'')) => {
                self.cursor.next();
                let name = self.cursor.take_while(|c| c != quote);
                if self.cursor.next().is_none() {
                    let reason = format!("name of include file is not closed with {quote}");
                    return Err(Problem::at(&position, reason));
                }
                name
            }
            _ => self
                .cursor
                .take_while(|c| !c.is_whitespace() && c != ';' && c != '}'),
        };
        if name.is_empty() {
            return Err(Problem::at(
                &position,
                "expected the name of a file to include",
            ));
        }
        if self.shared.include_depth == INCLUDE_DEPTH_MAX {
            let reason = format!(
                "more than {INCLUDE_DEPTH_MAX} files include each other; does {name:?} include itself?"
            );
            return Err(Problem::at(&position, reason));
        }

        let path = self.dir.join(name);
        let text = (self.source.read_file)(&path).map_err(|error| {
            let reason = format!("error parsing include file {name:?}, open {path:?}: {error}");
            Problem::at(&position, reason)
        })?;
        self.shared.include_depth += 1;
        let included = parse_text(&text, &path, self.source, self.shared)?;
        self.shared.include_depth -= 1;
        for entry in included.entries {
            self.insert(entry);
        }
        Ok(())
    }
}
