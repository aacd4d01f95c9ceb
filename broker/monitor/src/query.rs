//! The query of a URL.

use std::collections::BTreeMap;

/// A request that makes no sense; its text goes back to who asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadRequest(String);

impl BadRequest {
    pub fn new(text: impl Into<String>) -> BadRequest {
        BadRequest(text.into())
    }
}

/// Decoded parameters; of a repeated one the first counts.
#[derive(Clone, Debug, Default)]
pub struct Query(BTreeMap<String, String>);

impl Query {
    pub fn parse(query: &str) -> Query {
        let mut parameters = BTreeMap::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            parameters
                .entry(decode(name))
                .or_insert_with(|| decode(value));
        }
        Query(parameters)
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    pub fn text(&self, name: &str) -> String {
        self.get(name).unwrap_or_default().to_owned()
    }

    pub fn flag(&self, name: &str) -> Result<bool, BadRequest> {
        match self.get(name) {
            None | Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
            Some(other) => Err(invalid(name, other, "true or false")),
        }
    }

    pub fn number(&self, name: &str) -> Result<i64, BadRequest> {
        let Some(text) = self.get(name) else {
            return Ok(0);
        };
        text.parse().map_err(|_| invalid(name, text, "a number"))
    }

    pub fn unsigned(&self, name: &str) -> Result<u64, BadRequest> {
        let Some(text) = self.get(name) else {
            return Ok(0);
        };
        text.parse()
            .map_err(|_| invalid(name, text, "a number from 0"))
    }

    /// The `subs` parameter: whether to list subscriptions, and whether with their details.
    pub fn subscriptions(&self) -> Result<(bool, bool), BadRequest> {
        match self.get("subs") {
            Some("detail") => Ok((true, true)),
            _ => Ok((self.flag("subs")?, false)),
        }
    }
}

fn invalid(name: &str, value: &str, wanted: &str) -> BadRequest {
    BadRequest::new(format!(
        "invalid value {value:?} for '{name}': must be {wanted}"
    ))
}

/// Percent signs and pluses decoded; what is not valid stays as it is.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = bytes.get(at + 1..at + 3).and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 16).ok()
        });
        match (byte, hex) {
            (b'%', Some(value)) => {
                decoded.push(value);
                at += 3;
                continue;
            }
            (b'+', _) => decoded.push(b' '),
            _ => decoded.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded() {
        let query = Query::parse("test=foo.%3E&user=a+b&bad=%zz&end=%4&user=c&&flag");
        assert_eq!(query.text("test"), "foo.>");
        assert_eq!(query.text("user"), "a b");
        assert_eq!(query.text("bad"), "%zz");
        assert_eq!(query.text("end"), "%4");
        assert_eq!(query.text("flag"), "");
    }

    #[test]
    fn flags_and_numbers_are_checked() {
        let query = Query::parse("a=1&b=True&c=0&d=maybe&n=-3&m=x&u=-1");
        assert_eq!(query.flag("a"), Ok(true));
        assert_eq!(query.flag("b"), Ok(true));
        assert_eq!(query.flag("c"), Ok(false));
        assert_eq!(query.flag("absent"), Ok(false));
        let error = query.flag("d").unwrap_err().to_string();
        assert_eq!(
            error,
            "invalid value \"maybe\" for 'd': must be true or false"
        );
        assert_eq!(query.number("n"), Ok(-3));
        assert!(query.number("m").is_err());
        assert!(query.unsigned("u").is_err());
    }

    #[test]
    fn subscriptions_come_in_two_depths() {
        let depth = |text: &str| Query::parse(text).subscriptions();
        assert_eq!(depth(""), Ok((false, false)));
        assert_eq!(depth("subs=1"), Ok((true, false)));
        assert_eq!(depth("subs=detail"), Ok((true, true)));
        assert!(depth("subs=x").is_err());
    }
}
