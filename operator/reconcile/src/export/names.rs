//! Names that Kubernetes accepts.

use std::collections::BTreeSet;

use api::Kind;

/// The longest name of a resource.
const LENGTH_MAX: usize = 253;

/// Names that are given already.
#[derive(Default)]
pub(super) struct Names(BTreeSet<(Kind, String)>);

impl Names {
    /// The name, or one like it that no other resource of the kind has.
    pub(super) fn unused(&mut self, kind: Kind, name: &str) -> String {
        let numbered = (2..).map(|number| format!("{name}-{number}"));
        let mut names = std::iter::once(name.to_owned()).chain(numbered);
        let unused = names.find(|name| !self.0.contains(&(kind, name.clone())));
        // There are more numbers than resources.
        let unused = unused.unwrap_or_default();
        self.0.insert((kind, unused.clone()));
        unused
    }
}

/// A name of something on a server in small letters, digits and dashes.
pub(super) fn resource_name(name: &str) -> String {
    let letters = name
        .chars()
        .map(|letter| match letter.to_ascii_lowercase() {
            letter if letter.is_ascii_lowercase() || letter.is_ascii_digit() => letter,
            _ => '-',
        });
    let letters: String = letters.take(LENGTH_MAX).collect();
    match letters.trim_matches('-') {
        "" => "unnamed".to_owned(),
        name => name.to_owned(),
    }
}
