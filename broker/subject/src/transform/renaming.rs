//! Renamings: transforms that lose nothing, and so can be undone.

use super::{Transform, TransformError, function};

/// Another name for every subject of a filter, and the way back.
#[derive(Clone, Debug)]
pub struct Renaming {
    there: Transform,
    back: Transform,
}

impl Renaming {
    /// Names the subjects that `from` matches after `to`. In `to` the wildcards of `from` are `$1`
    /// or `{{wildcard(1)}}`, each of them once; plain `*` stand for them in their order.
    pub fn new(from: &str, to: &str) -> Result<Renaming, TransformError> {
        let to = numbered(to);
        let there = Transform::new(from, &to)?;
        let functions = there.destination.as_deref().unwrap_or_default();
        let used: Option<Vec<usize>> = functions
            .iter()
            .filter(|function| !function.is_plain())
            .map(|function| function.as_wildcard())
            .collect();
        let used = used.ok_or_else(|| function::refuse(&to, "only wildcards can be undone"))?;
        let mut sorted = used.clone();
        sorted.sort_unstable();
        if !sorted.iter().copied().eq(1..=there.wildcards.len()) {
            let reason = "not using all of the token wildcard(s)";
            return Err(function::refuse(&to, reason));
        }
        let pattern: Vec<&str> = to
            .split('.')
            .zip(functions)
            .map(|(token, function)| match function.as_wildcard() {
                Some(_) => "*",
                None => token,
            })
            .collect();
        let mut wildcard = 0;
        let original: Vec<String> = from
            .split('.')
            .map(|token| match token {
                "*" => {
                    wildcard += 1;
                    let place = used.iter().position(|index| *index == wildcard);
                    format!("${}", place.map_or(0, |place| place + 1))
                }
                token => token.to_owned(),
            })
            .collect();
        let back = Transform::new(&pattern.join("."), &original.join("."))?;
        Ok(Renaming { there, back })
    }

    /// The filter of the old names.
    pub fn old(&self) -> &[u8] {
        self.there.source.as_bytes()
    }

    /// The filter of the new names.
    pub fn new_names(&self) -> &[u8] {
        self.back.source.as_bytes()
    }

    /// The new name of a subject, or of a filter all of whose subjects are renamed.
    pub fn rename(&self, old: &[u8]) -> Option<Vec<u8>> {
        self.there.apply(old, 0)
    }

    /// The old name behind a new one; also of filters.
    pub fn undo(&self, new: &[u8]) -> Option<Vec<u8>> {
        self.back.apply(new, 0)
    }
}

/// `to` with its plain wildcards numbered in their order.
fn numbered(to: &str) -> String {
    let mut wildcard = 0;
    let tokens: Vec<String> = to
        .split('.')
        .map(|token| match token {
            "*" => {
                wildcard += 1;
                format!("${wildcard}")
            }
            token => token.to_owned(),
        })
        .collect();
    tokens.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renaming_goes_both_ways() {
        let cases = [
            ("map.*.*", "mapped.$2.$1", "map.a.b", "mapped.b.a"),
            ("map.*.>", "x.{{wildcard(1)}}.y.>", "map.a.b.c", "x.a.y.b.c"),
            ("req", "local.req", "req", "local.req"),
            ("pre.>", "from.b.pre.>", "pre.a.b", "from.b.pre.a.b"),
            ("a.*.*", "b.*.*", "a.1.2", "b.1.2"),
            ("map.*.*", "mapped.$2.$1", "map.*.1", "mapped.1.*"),
            ("pre.>", "p.>", "pre.>", "p.>"),
        ];
        for (from, to, old, new) in cases {
            let renaming = Renaming::new(from, to).unwrap();
            let renamed = renaming.rename(old.as_bytes());
            assert_eq!(renamed.as_deref(), Some(new.as_bytes()), "{from} {to}");
            let back = renaming.undo(new.as_bytes());
            assert_eq!(back.as_deref(), Some(old.as_bytes()), "{from} {to}");
        }
        let renaming = Renaming::new("map.*.*", "mapped.$2.$1").unwrap();
        assert_eq!(renaming.new_names(), b"mapped.*.*");
        assert_eq!(renaming.undo(b"other.1.2"), None);
    }

    #[test]
    fn what_loses_something_is_refused() {
        for (from, to) in [
            ("a.*.*", "b.$1"),
            ("a.*", "b.$1.$1"),
            ("a.*", "b.{{partition(3,1)}}"),
            ("a", "b.*"),
            ("a.>", "b"),
        ] {
            assert!(Renaming::new(from, to).is_err(), "{from} to {to}");
        }
    }
}
