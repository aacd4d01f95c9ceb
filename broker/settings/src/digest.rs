//! One number for the whole configuration: two files with the same digest say the same.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::value::{Map, Value};

/// From here on floats are written with an exponent.
const EXPONENT_FROM: f64 = 1e21;
const EXPONENT_BELOW: f64 = 1e-6;

impl Map {
    /// `sha256:` and the hash, in hex, of the values as JSON with sorted keys and a line feed.
    /// nats-server finds the same digest for the same file.
    pub fn digest(&self) -> String {
        let mut json = String::new();
        map(&mut json, self);
        json.push('\n');
        let mut digest = String::from("sha256:");
        for byte in Sha256::digest(json.as_bytes()) {
            // Writing to a string cannot fail.
            let _ = write!(digest, "{byte:02x}");
        }
        digest
    }
}

fn map(out: &mut String, map: &Map) {
    let sorted: BTreeMap<&str, &Value> = map
        .entries
        .iter()
        .map(|entry| (entry.key.as_str(), &entry.value.value))
        .collect();
    out.push('{');
    for (index, (key, inner)) in sorted.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        string(out, key);
        out.push(':');
        value(out, inner);
    }
    out.push('}');
}

fn value(out: &mut String, value_: &Value) {
    // Writing to a string cannot fail.
    let _ = match value_ {
        Value::Bool(value) => write!(out, "{value}"),
        Value::Integer(value) => write!(out, "{value}"),
        Value::Float(value) => write!(out, "{}", float(*value)),
        Value::String(text) | Value::Datetime(text) => {
            string(out, text);
            Ok(())
        }
        Value::Array(nodes) => {
            out.push('[');
            for (index, node) in nodes.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                value(out, &node.value);
            }
            out.push(']');
            Ok(())
        }
        Value::Map(inner) => {
            map(out, inner);
            Ok(())
        }
    };
}

fn float(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 || (EXPONENT_BELOW..EXPONENT_FROM).contains(&size) {
        return format!("{value}");
    }
    let text = format!("{value:e}");
    match text.contains("e-") {
        true => text,
        false => text.replace('e', "e+"),
    }
}

fn string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            // What could end a script is escaped, too.
            '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::{Source, parse};

    fn digest(text: &'static str) -> String {
        let source = Source {
            read_file: &|_| Ok(text.to_owned()),
            environment: &|_| None,
        };
        parse(Path::new("test.conf"), &source).unwrap().digest()
    }

    /// The digests are those that `nats-server -t` prints.
    #[test]
    fn digests_are_those_of_nats_server() {
        let cases = [
            (
                "port: 26001\nserver_tags: [\"a:b\"]\n",
                "f39400aaef8f08a0fae57aef02d0ee01099fdf5b35c2365ec4e66454039bcd23",
            ),
            // Variables count, texts are escaped, sizes are numbers.
            (
                "A = 5000\nB = \"<&>\\x01 \\t \\\"q\\\"\"\nport: 26001\nmax_payload: $A\n\
                 server_tags: [$B]\nping_interval: \"1m\"\nauthorization { timeout: 1.5 }\n\
                 max_pending: 100MB\n",
                "4f85fb87ae87e8d520fa86e63bd73269b86e185c71a83a79680f1f4416a215c0",
            ),
            (
                "accounts { A { p: word, users: [{q: other, user: $p, password: $q}]} }\n",
                "d5176f65c7bc8adcc6411a52b134b1500280d36f67c79604bcf7b03f96bd218a",
            ),
            (
                "server_metadata {b: \"\u{e9}\", a: \"2016\"}\nauthorization { timeout: 30.0 }\n",
                "0b33c0f14f2e65f509a61a95294e6b8ef24798a6f33db3806abc56fe599ecd28",
            ),
            (
                "PORT: 26001\nauthorization { timeout: 0.0000001 }\n",
                "a3a04cbb9e4b72beff669c4643d772732a109aea8fa481d8a61c325cb32013e5",
            ),
            (
                "debug: yes, trace: false\nserver_metadata {b: \"2\", a: \"1\"}\n",
                "877347f503ff9e18fe90aca8e80dd78f8346ed9063abc4f3e66c9301667b1b14",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(digest(text), format!("sha256:{expected}"), "{text}");
        }
    }
}
