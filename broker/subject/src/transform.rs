//! Subject transforms: rewriting a subject that matches a source pattern.
//!
//! A destination is a subject whose tokens may be functions of the source's wildcards, written
//! `$1`, `{{wildcard(1)}}`, `{{partition(8,1,2)}}`, `{{split(1,-)}}` and so on.

mod function;
mod renaming;

use crate::{is_valid_subscribe, matches, tokens};
use function::Function;
pub use renaming::Renaming;

/// A rewrite from one subject space to another.
#[derive(Clone, Debug)]
pub struct Transform {
    source: String,
    /// `None` leaves matching subjects as they are.
    destination: Option<Vec<Function>>,
    /// Positions of the source's `*` tokens.
    wildcards: Vec<usize>,
}

/// Why a transform can not work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransformError {
    #[error("invalid subject")]
    BadSubject,
    #[error("invalid mapping destination: {reason} in {token}")]
    Destination { token: String, reason: &'static str },
}

impl Transform {
    /// A transform of subjects that match `source` (empty for all) into `destination` (empty for
    /// no change).
    pub fn new(source: &str, destination: &str) -> Result<Transform, TransformError> {
        let source = if source.is_empty() { ">" } else { source };
        if !is_valid_subscribe(source.as_bytes()) {
            return Err(TransformError::BadSubject);
        }
        let tokens = source.split('.').enumerate();
        let wildcards: Vec<usize> = tokens
            .filter(|(_, token)| *token == "*")
            .map(|(position, _)| position)
            .collect();
        let destination = match destination {
            "" => None,
            text => Some(functions(source, text, &wildcards)?),
        };
        Ok(Transform {
            source: source.to_owned(),
            destination,
            wildcards,
        })
    }

    /// The new subject, or `None` if `subject` does not match the source. `seed` decides what
    /// `{{random(n)}}` gives, so that all who know it see the same.
    pub fn apply(&self, subject: &[u8], seed: u64) -> Option<Vec<u8>> {
        if !matches(self.source.as_bytes(), subject) {
            return None;
        }
        let Some(functions) = &self.destination else {
            return Some(subject.to_vec());
        };
        let tokens: Vec<&[u8]> = tokens(subject).collect();
        let mut out = Vec::with_capacity(subject.len() + 16);
        for function in functions {
            if !out.is_empty() {
                out.push(b'.');
            }
            match function {
                Function::Rest => {
                    let fixed = self.source.split('.').count() - 1;
                    out.extend_from_slice(&tokens[fixed..].join(&b'.'));
                }
                function => function.write(&mut out, &tokens, &self.wildcards, subject, seed),
            }
        }
        Some(out)
    }
}

fn functions(
    source: &str,
    destination: &str,
    wildcards: &[usize],
) -> Result<Vec<Function>, TransformError> {
    let open = |subject: &str| subject == ">" || subject.ends_with(".>");
    let tokens = || destination.split('.');
    // White space is allowed inside the arguments of a function, nowhere else.
    let bad = |token: &str| {
        token.is_empty() || (!token.starts_with("{{") && token.contains(char::is_whitespace))
    };
    if tokens().any(|token| token == "*" || bad(token)) || open(source) != open(destination) {
        return Err(TransformError::BadSubject);
    }
    let parsed: Vec<Function> = tokens().map(Function::parse).collect::<Result<_, _>>()?;
    let rest = parsed
        .iter()
        .position(|function| *function == Function::Rest);
    if rest.is_some_and(|position| position + 1 != parsed.len()) {
        return Err(TransformError::BadSubject);
    }
    for (function, token) in parsed.iter().zip(tokens()) {
        let beyond = |index: &&usize| **index == 0 || **index > wildcards.len();
        if let Some(index) = function.arguments().iter().find(beyond) {
            let token = format!("{token}: [{index}]");
            return Err(function::refuse(&token, "wildcard index out of range"));
        }
    }
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewrite(source: &str, destination: &str, subject: &str) -> Option<String> {
        let transform = Transform::new(source, destination).unwrap();
        transform
            .apply(subject.as_bytes(), 0)
            .map(|subject| String::from_utf8(subject).unwrap())
    }

    #[test]
    fn functions_rewrite_tokens() {
        let cases = [
            ("foo.*.*", "bar.$2.$1", "foo.a.b", "bar.b.a"),
            ("foo.*.>", "bar.{{wildcard(1)}}.>", "foo.a.b.c", "bar.a.b.c"),
            ("", "x.>", "foo.bar", "x.foo.bar"),
            ("foo", "bar", "foo", "bar"),
            ("*", "{{split(1,-)}}", "a-b-c", "a.b.c"),
            ("*", "{{Split(1, -)}}.x", "-a--b-", "a.b.x"),
            ("*", "{{splitfromleft(1,3)}}", "abcdef", "abc.def"),
            ("*", "{{splitFromRight(1,2)}}", "abcdef", "abcd.ef"),
            ("*", "{{sliceFromLeft(1,2)}}", "abcde", "ab.cd.e"),
            ("*", "{{sliceFromRight(1,2)}}", "abcde", "a.bc.de"),
            ("*", "{{left(1,2)}}", "abcde", "ab"),
            ("*", "{{right(1,2)}}", "abcde", "de"),
            (
                "pp.*.*",
                "{{partition(10,1,2)}}.{{partition(5)}}",
                "pp.foo.bar",
                "0.2",
            ),
            ("foo.*", "$JS.$1", "foo.a", "$JS.a"),
        ];
        for (source, destination, subject, expected) in cases {
            assert_eq!(
                rewrite(source, destination, subject).as_deref(),
                Some(expected)
            );
        }
        assert_eq!(rewrite("foo.*", "bar.$1", "baz.a"), None);
        assert_eq!(rewrite("foo.*", "", "foo.a").as_deref(), Some("foo.a"));
    }

    #[test]
    fn impossible_transforms_are_refused() {
        for (source, destination) in [
            ("foo.*", "bar.*"),
            ("foo.>", "bar"),
            ("foo", "bar.>"),
            ("foo..a", "bar"),
            ("foo.*", "bar.$2"),
            ("foo", "bar.{{wildcard(1)}}"),
            ("foo.*", "bar.{{unknown(1)}}"),
            ("foo.*", "bar.{{wildcard()}}"),
            ("foo.*", "bar.{{wildcard(1,2)}}"),
            ("foo.*", "bar.{{left(1)}}"),
            ("foo.*", "bar.{{left(1,x)}}"),
        ] {
            assert!(
                Transform::new(source, destination).is_err(),
                "{source} to {destination}"
            );
        }
    }
}
