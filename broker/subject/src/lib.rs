//! Subjects, wildcards and the two indexes every message passes through.
//!
//! - [`pattern`]: is a subject valid, does a filter match it, do two filters overlap.
//! - [`Sublist`]: who is interested in a subject. [`MatchCache`] remembers recent answers.
//! - [`SubjectTree`]: a compact map from literal subjects to values, searchable by filter. Message
//!   stores keep their per-subject state in it.
//! - [`Transform`]: rewrites subjects. [`Renaming`]: one that can be undone.
//!
//! Subjects are plain bytes: tokens separated by `.`, where the token `*` matches one token and a
//! last token `>` matches one or more. This crate knows nothing of accounts, clients or streams.
//! Start with [`pattern::matches`]; everything else is a faster way to ask the same question.

mod cache;
pub mod pattern;
mod sublist;
mod transform;
mod tree;

pub use cache::MatchCache;
pub use pattern::{
    intersection, is_literal, is_subset, is_valid_publish, is_valid_subscribe, matches, overlaps,
    tokens,
};
pub use sublist::{Generation, Matches, QueueMatch, Sublist};
pub use transform::{Renaming, Transform, TransformError};
pub use tree::SubjectTree;
