//! Validity of subjects and relations between filters, straight from the rules.

use memchr::{memchr, memchr2};

/// Splits a subject into its tokens. An empty subject has one empty token.
pub fn tokens(subject: &[u8]) -> Tokens<'_> {
    Tokens {
        rest: Some(subject),
    }
}

/// Iterator over the tokens of a subject; see [`tokens`].
#[derive(Clone, Debug)]
pub struct Tokens<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Iterator for Tokens<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        match memchr(b'.', rest) {
            Some(dot) => {
                self.rest = Some(&rest[dot + 1..]);
                Some(&rest[..dot])
            }
            None => {
                self.rest = None;
                Some(rest)
            }
        }
    }
}

/// Whether a client may subscribe to this subject: no empty token, no white space, and `>` only as
/// the last token.
pub fn is_valid_subscribe(subject: &[u8]) -> bool {
    let mut tokens = tokens(subject);
    while let Some(token) = tokens.next() {
        if token.is_empty() || token.iter().any(|byte| is_space(*byte)) {
            return false;
        }
        if token == b">" && tokens.rest.is_some() {
            return false;
        }
    }
    true
}

/// Whether a message may carry this subject: valid, and without wildcard tokens.
pub fn is_valid_publish(subject: &[u8]) -> bool {
    tokens(subject).all(|token| {
        !token.is_empty() && !is_wildcard(token) && !token.iter().any(|byte| is_space(*byte))
    })
}

/// Whether no token of the subject is a wildcard. `foo*` and `>bar` are ordinary tokens.
#[inline]
pub fn is_literal(subject: &[u8]) -> bool {
    // Most subjects have neither character at all, and one pass of memchr proves it.
    memchr2(b'*', b'>', subject).is_none() || !tokens(subject).any(is_wildcard)
}

/// Whether `filter` matches the literal subject `literal`.
pub fn matches(filter: &[u8], literal: &[u8]) -> bool {
    let mut wanted = tokens(filter);
    let mut given = tokens(literal);
    loop {
        match (wanted.next(), given.next()) {
            (Some(b">"), Some(_)) if wanted.rest.is_none() => return true,
            (Some(b"*"), Some(_)) => {}
            (Some(want), Some(token)) if want == token => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}

/// Whether some literal subject is matched by both filters.
pub fn overlaps(a: &[u8], b: &[u8]) -> bool {
    let mut left = tokens(a);
    let mut right = tokens(b);
    loop {
        match (left.next(), right.next()) {
            (Some(b">"), Some(_)) | (Some(_), Some(b">")) => return true,
            (Some(x), Some(y)) if x == b"*" || y == b"*" || x == y => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}

/// The filter of exactly those subjects that both filters match; `None` if there are none.
pub fn intersection(a: &[u8], b: &[u8]) -> Option<Vec<u8>> {
    let mut left = tokens(a);
    let mut right = tokens(b);
    let mut common: Vec<&[u8]> = Vec::new();
    loop {
        // What follows a token counts from there on, so it is looked at before the token is taken.
        let (left_rest, right_rest) = (left.rest, right.rest);
        match (left.next(), right.next()) {
            (None, None) => return Some(common.join(&b'.')),
            (Some(b">"), Some(_)) => {
                common.extend(right_rest);
                return Some(common.join(&b'.'));
            }
            (Some(_), Some(b">")) => {
                common.extend(left_rest);
                return Some(common.join(&b'.'));
            }
            (Some(x), Some(y)) if x == b"*" => common.push(y),
            (Some(x), Some(y)) if y == b"*" || x == y => common.push(x),
            _ => return None,
        }
    }
}

/// Whether every subject matched by `sub` is also matched by `of`.
pub fn is_subset(sub: &[u8], of: &[u8]) -> bool {
    let mut narrow = tokens(sub);
    let mut wide = tokens(of);
    loop {
        match (narrow.next(), wide.next()) {
            (Some(_), Some(b">")) => return true,
            (Some(b">"), Some(_)) => return false,
            (Some(_), Some(b"*")) => {}
            (Some(x), Some(y)) if x == y => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}

#[inline]
pub(crate) fn is_wildcard(token: &[u8]) -> bool {
    token == b"*" || token == b">"
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0x0c)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn validity() {
        let check = |subject: &str, subscribe: bool, publish: bool| {
            assert_eq!(
                is_valid_subscribe(subject.as_bytes()),
                subscribe,
                "{subject:?}"
            );
            assert_eq!(is_valid_publish(subject.as_bytes()), publish, "{subject:?}");
        };
        check("foo", true, true);
        check("foo.bar", true, true);
        check("$SYS.x", true, true);
        check("foo.*", true, false);
        check("*", true, false);
        check(">", true, false);
        check("foo.>", true, false);
        check("foo*.>bar.**", true, true);
        check("foo.>.bar", false, false);
        check("", false, false);
        check(".", false, false);
        check("foo.", false, false);
        check(".foo", false, false);
        check("foo..bar", false, false);
        check("foo bar", false, false);
        check("foo\tbar", false, false);
        check("foo\rbar", false, false);
        check("foo\nbar", false, false);
        check("foo\x0cbar", false, false);
        check("föö.\u{0}", true, true);
    }

    #[test]
    fn matching() {
        let check = |filter: &str, literal: &str, expected: bool| {
            let matched = matches(filter.as_bytes(), literal.as_bytes());
            assert_eq!(matched, expected, "{filter:?} {literal:?}");
        };
        check("foo", "foo", true);
        check("foo", "foo.bar", false);
        check("foo.bar", "foo", false);
        check("foo.*", "foo.bar", true);
        check("foo.*", "foo", false);
        check("foo.*", "foo.bar.baz", false);
        check("*.bar", "foo.bar", true);
        check("foo.>", "foo", false);
        check("foo.>", "foo.bar", true);
        check("foo.>", "foo.bar.baz", true);
        check(">", "foo", true);
        check("foo*", "foobar", false);
        check("foo*", "foo*", true);
    }

    #[test]
    fn relations() {
        let check = |a: &str, b: &str, overlap: bool, subset: bool| {
            assert_eq!(
                overlaps(a.as_bytes(), b.as_bytes()),
                overlap,
                "{a:?} overlaps {b:?}"
            );
            assert_eq!(
                is_subset(a.as_bytes(), b.as_bytes()),
                subset,
                "{a:?} within {b:?}"
            );
        };
        check("foo", "foo", true, true);
        check("foo", "bar", false, false);
        check("foo.bar", "foo.*", true, true);
        check("foo.*", "foo.bar", true, false);
        check("foo.*", "*.bar", true, false);
        check("foo.*", "foo.>", true, true);
        check("foo.>", "foo.*", true, false);
        check("foo.>", ">", true, true);
        check(">", "foo.>", true, false);
        check("foo", "foo.>", false, false);
        check("foo.>", "foo", false, false);
        check("*.*", "*", false, false);
        check("foo.*.baz", "foo.bar.>", true, false);
    }

    fn filter() -> impl Strategy<Value = String> {
        let token = prop_oneof!["[ab]", Just("*".to_owned())];
        (proptest::collection::vec(token, 0..4), any::<bool>()).prop_map(|(mut tokens, rest)| {
            if rest || tokens.is_empty() {
                tokens.push(">".to_owned());
            }
            tokens.join(".")
        })
    }

    /// Every literal of up to five tokens out of `a`, `b` and `c`. Filters of up to four tokens
    /// out of `a` and `b` cannot differ beyond that.
    fn literals() -> Vec<String> {
        let mut all = vec![String::new()];
        let mut longest = all.clone();
        for _ in 0..5 {
            longest = longest
                .iter()
                .flat_map(|head| {
                    ["a", "b", "c"].map(|token| {
                        if head.is_empty() {
                            token.to_owned()
                        } else {
                            format!("{head}.{token}")
                        }
                    })
                })
                .collect();
            all.extend(longest.clone());
        }
        all.remove(0);
        all
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn relations_agree_with_matching(a in filter(), b in filter()) {
            let (a, b) = (a.as_bytes(), b.as_bytes());
            let pairs: Vec<(bool, bool)> = literals()
                .iter()
                .map(|literal| (matches(a, literal.as_bytes()), matches(b, literal.as_bytes())))
                .collect();
            prop_assert_eq!(overlaps(a, b), pairs.iter().any(|(in_a, in_b)| *in_a && *in_b));
            let common = intersection(a, b);
            prop_assert_eq!(common.is_some(), overlaps(a, b));
            for (literal, (in_a, in_b)) in literals().iter().zip(&pairs) {
                let in_both = common.as_ref().is_some_and(|both| matches(both, literal.as_bytes()));
                prop_assert_eq!(in_both, *in_a && *in_b);
            }
            prop_assert_eq!(is_subset(a, b), pairs.iter().all(|(in_a, in_b)| !in_a || *in_b));
        }
    }
}
