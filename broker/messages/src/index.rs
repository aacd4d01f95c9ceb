//! Where the messages are, and how their subjects connect.

/// The subjects of one store that a set of filters matches.
#[derive(Default)]
pub(crate) struct Selection;
