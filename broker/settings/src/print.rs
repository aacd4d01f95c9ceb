//! Values written as a configuration that parses to the same values.

use std::fmt::{self, Write};

use crate::value::{Map, Value};

impl fmt::Display for Map {
    /// Writes the statements of a file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        statements(f, self, 0)
    }
}

fn statements(f: &mut fmt::Formatter<'_>, map: &Map, depth: usize) -> fmt::Result {
    for entry in &map.entries {
        indent(f, depth)?;
        // A quoted key has no escapes, so the quote is one that the key does not hold.
        let quote = if entry.key.contains('"') { '\'' } else { '"' };
        write!(f, "{quote}{}{quote}: ", entry.key)?;
        value(f, &entry.value.value, depth)?;
        f.write_char('\n')?;
    }
    Ok(())
}

fn value(f: &mut fmt::Formatter<'_>, value_: &Value, depth: usize) -> fmt::Result {
    match value_ {
        Value::Bool(value) => write!(f, "{value}"),
        Value::Integer(value) => write!(f, "{value}"),
        // The language has no exponents, and a float without a point is an integer.
        Value::Float(value) if value.fract() == 0.0 => write!(f, "{value:.1}"),
        Value::Float(value) => write!(f, "{value}"),
        Value::String(text) => string(f, text),
        Value::Datetime(text) => f.write_str(text),
        Value::Array(nodes) => {
            f.write_str("[\n")?;
            for node in nodes {
                indent(f, depth + 1)?;
                value(f, &node.value, depth + 1)?;
                f.write_char('\n')?;
            }
            indent(f, depth)?;
            f.write_char(']')
        }
        Value::Map(map) => {
            f.write_str("{\n")?;
            statements(f, map, depth + 1)?;
            indent(f, depth)?;
            f.write_char('}')
        }
    }
}

fn string(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            c => f.write_char(c)?,
        }
    }
    f.write_char('"')
}

fn indent(f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
    write!(f, "{:width$}", "", width = depth * 2)
}
