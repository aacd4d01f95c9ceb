//! Finds where in a document a field stands.
//!
//! The YAML library tells positions only of errors. So the document is read once more by a visitor
//! that follows the path of the field and fails on purpose when it gets there.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Line and column of a field such as `spec.subjects[2]`, both from 1. If the field is missing, of
/// the closest part that is there.
pub(super) fn find(document: &str, field: &str) -> Option<(usize, usize)> {
    let steps = steps(field);
    (1..=steps.len()).rev().find_map(|length| {
        let follow = Follow {
            steps: &steps[..length],
        };
        let error = follow
            .deserialize(serde_yaml::Deserializer::from_str(document))
            .err()?;
        let is_there = error.to_string().contains(ARRIVED);
        let location = error.location().filter(|_| is_there)?;
        Some((location.line(), location.column()))
    })
}

/// The text of an error without the position, which the caller tells better.
pub(super) fn without_position(error: &serde_yaml::Error) -> String {
    let text = error.to_string();
    match text.find(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

const ARRIVED: &str = "arrived at the field";

#[derive(Debug, PartialEq)]
enum Step {
    Key(String),
    Index(usize),
}

fn steps(field: &str) -> Vec<Step> {
    let parts = field.split(['.', '[']).filter(|part| !part.is_empty());
    parts
        .map(|part| match part.strip_suffix(']') {
            Some(inside) => match inside.parse() {
                Ok(index) => Step::Index(index),
                Err(_) => Step::Key(inside.trim_matches('"').to_owned()),
            },
            None => Step::Key(part.to_owned()),
        })
        .collect()
}

struct Follow<'a> {
    steps: &'a [Step],
}

/// A key, at which the way may end.
struct Key<'a> {
    wanted: &'a str,
    is_last: bool,
}

impl<'de> DeserializeSeed<'de> for Follow<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        if self.steps.is_empty() {
            return from.deserialize_any(Arrive);
        }
        from.deserialize_any(self)
    }
}

/// Accepts nothing, so that reading fails at the very value.
struct Arrive;

impl Visitor<'_> for Arrive {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ARRIVED)
    }
}

impl<'de> Visitor<'de> for Follow<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map or a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((Step::Key(wanted), rest)) = self.steps.split_first() else {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(());
        };
        let is_last = rest.is_empty();
        while let Some(found) = map.next_key_seed(Key { wanted, is_last })? {
            if found {
                map.next_value_seed(Follow { steps: rest })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let (wanted, rest) = match self.steps.split_first() {
            Some((Step::Index(wanted), rest)) => (Some(*wanted), rest),
            _ => (None, self.steps),
        };
        for index in 0.. {
            let more = if Some(index) == wanted {
                list.next_element_seed(Follow { steps: rest })?.is_some()
            } else {
                list.next_element::<IgnoredAny>()?.is_some()
            };
            if !more {
                break;
            }
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<bool, D::Error> {
        from.deserialize_any(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<bool, E> {
        let found = name == self.wanted;
        if found && self.is_last {
            return Err(E::custom(ARRIVED));
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "kind: Stream\nspec:\n  subjects: [a, b]\n  limits:\n    maxAge: 1d\n";

    #[test]
    fn fields_are_found() {
        let check = |field: &str, place: Option<(usize, usize)>| {
            assert_eq!(find(DOCUMENT, field), place, "{field}");
        };
        check("kind", Some((1, 1)));
        check("spec.limits.maxAge", Some((5, 5)));
        check("spec.subjects[1]", Some((3, 17)));
        check("spec.subjects", Some((3, 3)));
    }

    #[test]
    fn missing_fields_are_where_they_belong() {
        assert_eq!(find(DOCUMENT, "spec.limits.maxBytes"), Some((4, 3)));
        assert_eq!(find(DOCUMENT, "spec.accountRef.name"), Some((2, 1)));
        assert_eq!(find(DOCUMENT, "metadata.name"), None);
        assert_eq!(find(DOCUMENT, ""), None);
        assert_eq!(find("{", "a"), None);
    }
}
