//! Subject filters, with the memory of which subjects of a store they match.

use std::fmt;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::index::Selection;

/// A set of subject filters; a message matches if any of them does. Without filters, everything
/// matches.
///
/// Keep one value per consumer and reuse it: it remembers the subjects it matched in the store it
/// was last used with, so that later questions do not match subjects again. Clones start without
/// that memory.
#[derive(Default)]
pub struct Filters {
    patterns: Vec<Bytes>,
    /// Locked only within one question to one store.
    pub(crate) selection: Mutex<Selection>,
}

impl Filters {
    /// Matches every message.
    pub fn everything() -> Self {
        Filters::default()
    }

    /// Matches what any of `patterns` matches; none at all, or one `>`, means everything.
    pub fn new(patterns: impl IntoIterator<Item = Bytes>) -> Self {
        let mut patterns: Vec<Bytes> = patterns.into_iter().collect();
        if patterns.iter().any(|pattern| &pattern[..] == b">") {
            patterns.clear();
        }
        Filters {
            patterns,
            selection: Mutex::default(),
        }
    }

    /// Matches one filter.
    pub fn one(pattern: impl Into<Bytes>) -> Self {
        Filters::new([pattern.into()])
    }

    /// The patterns; empty if everything matches.
    pub fn patterns(&self) -> &[Bytes] {
        &self.patterns
    }

    /// The pattern, if it is only one and without wildcards.
    pub(crate) fn literal(&self) -> Option<&[u8]> {
        match &self.patterns[..] {
            [pattern] if subject::is_literal(pattern) => Some(pattern),
            _ => None,
        }
    }

    pub fn is_everything(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether a literal subject matches.
    pub fn matches(&self, subject: &[u8]) -> bool {
        self.is_everything() || self.patterns.iter().any(|p| subject::matches(p, subject))
    }
}

impl Clone for Filters {
    fn clone(&self) -> Self {
        Filters {
            patterns: self.patterns.clone(),
            selection: Mutex::default(),
        }
    }
}

impl PartialEq for Filters {
    fn eq(&self, other: &Self) -> bool {
        self.patterns == other.patterns
    }
}

impl Eq for Filters {}

impl fmt::Debug for Filters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.patterns).finish()
    }
}
