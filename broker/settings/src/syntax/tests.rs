use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use proptest::prelude::*;

use crate::value::{Entry, Map, Node, Value};
use crate::{Position, Problems, Source};

use super::{INCLUDE_DEPTH_MAX, NESTING_MAX};

/// Parses `main.conf` of some files, with some environment.
fn parse_all(files: &[(&str, &str)], environment: &[(&str, &str)]) -> Result<Map, Problems> {
    let files: BTreeMap<&Path, &str> = files
        .iter()
        .map(|(path, text)| (Path::new(*path), *text))
        .collect();
    let source = Source {
        read_file: &|path: &Path| {
            let text = files
                .get(path)
                .ok_or(io::Error::from(io::ErrorKind::NotFound))?;
            Ok((*text).to_owned())
        },
        environment: &|name: &str| {
            let found = environment.iter().find(|(known, _)| *known == name)?;
            Some(found.1.to_owned())
        },
    };
    super::parse(Path::new("main.conf"), &source)
}

fn parse(text: &str) -> Result<Map, Problems> {
    parse_all(&[("main.conf", text)], &[])
}

/// A value in a short notation, without places.
fn plain(value: &Value) -> String {
    match value {
        Value::Bool(value) => value.to_string(),
        Value::Integer(value) => value.to_string(),
        Value::Float(value) => format!("{value:?}"),
        Value::String(value) => format!("{value:?}"),
        Value::Datetime(value) => format!("@{value}"),
        Value::Array(nodes) => {
            let nodes: Vec<_> = nodes.iter().map(|node| plain(&node.value)).collect();
            format!("[{}]", nodes.join(" "))
        }
        Value::Map(map) => format!("{{{}}}", plain_map(map)),
    }
}

fn plain_map(map: &Map) -> String {
    let entry = |entry: &Entry| format!("{}={}", entry.key, plain(&entry.value.value));
    map.entries.iter().map(entry).collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn check(text: &str, expected: &str) {
    match parse(text) {
        Ok(map) => assert_eq!(plain_map(&map), expected, "in {text:?}"),
        Err(problems) => panic!("{text:?}: {problems}"),
    }
}

#[track_caller]
fn check_error(text: &str, expected: &str) {
    match parse(text) {
        Ok(map) => panic!("{text:?} parsed as {}", plain_map(&map)),
        Err(problems) => {
            let problems = problems.to_string();
            assert!(
                problems.contains(expected),
                "{text:?}: {problems:?} is not {expected:?}"
            );
        }
    }
}

#[test]
fn statements_end_in_many_ways() {
    check("a=1", "a=1");
    check("a = 1\nb : 2\nc 3", "a=1 b=2 c=3");
    check("a: 1; b: 2, c: 3", "a=1 b=2 c=3");
    check("{a: 1, b: 2}", "a=1 b=2");
    check("{ {a: 1}, {b: 2} }", "a=1 b=2");
    check("a: 1 }", "a=1");
    check("a {b: 1\nc: 2;d: 3}", "a={b=1 c=2 d=3}");
    check("a {\n b:\n 1\n}", "a={b=1}");
    check("a\n\n {b 1}", "a={b=1}");
    check("'a b': 1, \"c=d\": 2", "a b=1 c=d=2");
    check("a: 1\na: 2", "a=2");
    check("\u{feff}a: 1\r\nb: 2\r\n", "a=1 b=2");
}

#[test]
fn comments_end_with_their_line() {
    check("# x\na: 1 # y\n// z\nb: 2 // w", "a=1 b=2");
    check("a [ # x\n1, # y\n2 // z\n]", "a=[1 2]");
    // Where a value is expected there are no comments.
    check("a: #1", "a=\"#1\"");
}

#[test]
fn arrays_take_commas_and_new_lines() {
    check("a: []", "a=[]");
    check("a: [1, 2,3]", "a=[1 2 3]");
    check("a: [\n x\n 'y'\n {b: 1}\n]", "a=[\"x\" \"y\" {b=1}]");
    check("a: [[1], [2]]", "a=[[1] [2]]");
    check("a: [b, c, ]", "a=[\"b\" \"c\"]");
    check_error("a: [b c]", "main.conf:1:7: expected ','");
    check_error("a: [,b]", "main.conf:1:5: unexpected ',' in array");
}

#[test]
fn numbers_have_sizes() {
    check(
        "a: 1k, b: 1kb, c: 1Ki, d: 1KIB",
        "a=1000 b=1024 c=1024 d=1024",
    );
    check(
        "a: 2m, b: 2MB, c: 1g, d: 1gib",
        "a=2000000 b=2097152 c=1000000000 d=1073741824",
    );
    check(
        "a: 1t, b: 1p, c: 1e",
        "a=1000000000000 b=1000000000000000 c=1000000000000000000",
    );
    check(
        "a: -1, b: -2k, c: -1.5, d: 0.25",
        "a=-1 b=-2000 c=-1.5 d=0.25",
    );
    check("a: 9223372036854775807", "a=9223372036854775807");
    check_error("a: 9223372036854775808", "is out of the range");
    check_error("a: 10e", "is out of the range");
    check_error("a: 1kbb", "unknown size suffix");
    check_error("a: -x", "expected a digit");
    check_error("a: 1.x", "floats must have a digit");
    check_error("a: 1.5s", "main.conf:1:7: expected the value to end");
}

#[test]
fn words_may_start_with_digits() {
    check("a: 10s, b: 1h30m", "a=\"10s\" b=\"1h30m\"");
    check(
        "a: 127.0.0.1:4222, b: 10.0.0.1",
        "a=\"127.0.0.1:4222\" b=\"10.0.0.1\"",
    );
    check("a: 5e7bcd", "a=\"5e7bcd\"");
    check("a: 2016-05-04T18:53:41Z", "a=@2016-05-04T18:53:41Z");
    check("a: 2024-02-29T00:00:00Z", "a=@2024-02-29T00:00:00Z");
    check_error("a: 2023-02-29T00:00:00Z", "expected a date like");
    check_error("a: 2016-5-4", "expected a date like");
    check_error("a: 12-3", "expected a date like");
}

#[test]
fn strings_come_in_four_kinds() {
    check(r#"a: "x\t\"\\\x41\n""#, r#"a="x\t\"\\A\n""#);
    check(r"a: 'x\t\q'", r#"a="x\\t\\q""#);
    check(r"a: x\ty", r#"a="x\ty""#);
    check("a: \"two\nlines\"", "a=\"two\\nlines\"");
    check("a (\n x ) \n)\nb: 1", "a=\"\\n x ) \\n\" b=1");
    check(
        "a: yes, b: ON, c: False, d: no",
        "a=true b=true c=false d=false",
    );
    check("a: \"true\"", "a=\"true\"");
    check("a: nats://u:p@h:4222/x#y", "a=\"nats://u:p@h:4222/x#y\"");
    check_error(r#"a: "\q""#, "main.conf:1:6: invalid escape");
    check_error(r#"a: "\x4g""#, "two hexadecimal digits");
    check_error(r#"a: "\xff""#, "do not form valid UTF-8");
    check_error("a: \"x", "main.conf:1:4: string is not closed");
    check_error("a (\n x", "block string is not closed");
}

#[test]
fn variables_come_from_the_blocks_around_and_the_environment() {
    check("A: 1\nb: $A", "A=1 b=1");
    check("A: 1\nb { A: 2, c { d: $A } }", "A=1 b={A=2 c={d=2}}");
    check("A { x: [1] }\nb: $A", "A={x=[1]} b={x=[1]}");
    check("a: $2a$11$x, b: '$A'", "a=\"$2a$11$x\" b=\"$A\"");
    check_error(
        "a: $B\nb: $C",
        "main.conf:2:4: variable reference for 'C' can not be found",
    );
    check_error(
        "a: $B\nb: $C",
        "main.conf:1:4: variable reference for 'B' can not be found",
    );

    let environment = [
        ("N", "5"),
        ("S", "'x y'"),
        ("L", "[1, 2]"),
        ("V", "$N"),
        ("E", ""),
        ("R", "$R"),
    ];
    let parse = |text: &str| parse_all(&[("main.conf", text)], &environment);
    let map = parse("a: $N, b: $S, c: $L, d: $V, e: $E").unwrap();
    assert_eq!(plain_map(&map), "a=5 b=\"x y\" c=[1 2] d=5 e=\"\"");
    let problems = parse("\n a: $R").unwrap_err().to_string();
    assert!(problems.contains("main.conf:2:5: "), "{problems}");
    assert!(problems.contains("cycle for 'R'"), "{problems}");
}

#[test]
fn a_variable_remembers_that_it_was_used() {
    let map = parse("A: 1\nB: 2\nc: $A").unwrap();
    let used: Vec<_> = map
        .entries
        .iter()
        .map(|entry| entry.used_as_variable)
        .collect();
    assert_eq!(used, [true, false, false]);
}

#[test]
fn included_files_are_found_next_to_theirs() {
    let files = [
        (
            "main.conf",
            "a: 1\ninclude dir/one.conf\nc { include 'dir/two.conf' }\nd: $b",
        ),
        ("dir/one.conf", "b: 2\ninclude \"two.conf\"; e: 4"),
        ("dir/two.conf", "x: 3"),
    ];
    let map = parse_all(&files, &[]).unwrap();
    assert_eq!(plain_map(&map), "a=1 b=2 x=3 e=4 c={x=3} d=2");
    assert_eq!(
        map.get("x").unwrap().position.to_string(),
        "dir/two.conf:1:1"
    );

    let problems = parse_all(&[("main.conf", " include x")], &[])
        .unwrap_err()
        .to_string();
    assert!(
        problems.starts_with("Parse error in main.conf:1:10: error parsing include file"),
        "{problems}"
    );
    let files = [("main.conf", "include x"), ("x", "\na: }")];
    let problems = parse_all(&files, &[]).unwrap_err().to_string();
    assert_eq!(problems, "Parse error in x:2:4: \"a\" has no value");
    // A key with a separator is only a key.
    assert!(parse("include: 1").is_ok());
}

#[test]
fn work_is_bounded() {
    let problems = parse_all(&[("main.conf", "include main.conf")], &[])
        .unwrap_err()
        .to_string();
    assert!(
        problems.contains(&format!("more than {INCLUDE_DEPTH_MAX} files")),
        "{problems}"
    );

    let deep = "a [".to_owned() + &"[".repeat(NESTING_MAX - 2) + &"]".repeat(NESTING_MAX - 1);
    assert!(parse(&deep).is_ok());
    check_error(&"a {".repeat(NESTING_MAX + 1), "inside each other");
    check_error(&"{".repeat(100_000), "inside each other");

    // Ten times ten times ten ... values, from a few bytes.
    let mut text = String::from("v0: [1,1,1,1,1,1,1,1,1,1]\n");
    for level in 1..10 {
        let uses = vec![format!("$v{}", level - 1); 10].join(", ");
        text += &format!("v{level}: [{uses}]\n");
    }
    check_error(&text, "has more than 1000000 values");
}

#[test]
fn errors_name_their_place() {
    check_error("a: 1\n  b", "main.conf:2:4: \"b\" has no value");
    check_error(
        "a:\n1",
        "main.conf:1:3: expected value of \"a\", found new line",
    );
    check_error("a: 1 b", "main.conf:1:6: expected the value to end");
    check_error("a {\n b: 1\n", "main.conf:1:4: block is not closed");
    check_error("a {\n b: {c: }\n}", "main.conf:2:9: \"c\" has no value");
    check_error("= 1", "main.conf:1:1: unexpected key separator '='");
    check_error("a: 1\n, b: 2", "main.conf:2:1: expected a key");
    check_error("'a: 1", "main.conf:1:1: key is not closed");
    check_error("} a: 1", "main.conf:1:1: unexpected '}'");
    check_error("ä: 'ö' x", "main.conf:1:8: expected the value to end");
}

fn position() -> Position {
    Position {
        file: "main.conf".into(),
        line: 1,
        column: 1,
    }
}

fn arbitrary_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Integer),
        (-1.0e12..1.0e12).prop_map(Value::Float),
        any::<String>().prop_map(Value::String),
        "[ -~]{0,12}".prop_map(Value::String),
        Just(Value::Datetime("2006-01-02T15:04:05Z".into())),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        let node = inner.prop_map(|value| Node {
            value,
            position: position(),
        });
        prop_oneof![
            prop::collection::vec(node.clone(), 0..6).prop_map(Value::Array),
            arbitrary_map(node).prop_map(Value::Map),
        ]
    })
}

fn arbitrary_map(node: impl Strategy<Value = Node>) -> impl Strategy<Value = Map> {
    prop::collection::btree_map("[a-zA-Z0-9 $={},;#'.-]{0,8}", node, 0..6).prop_map(|entries| {
        let entry = |(key, value)| Entry {
            key,
            position: position(),
            value,
            used_as_variable: false,
        };
        Map {
            entries: entries.into_iter().map(entry).collect(),
        }
    })
}

proptest! {
    #[test]
    fn no_input_panics(text in any::<String>()) {
        let _ = parse(&text);
    }

    #[test]
    fn no_input_of_the_language_panics(
        text in r#"([a-c$(){}\[\]"'=:,;#/\\0-9.\- \n]|include |\$a|\$2a\$|1k){0,40}"#
    ) {
        let _ = parse(&text);
    }

    #[test]
    fn printed_values_parse_to_themselves(
        map in arbitrary_map(
            arbitrary_value().prop_map(|value| Node { value, position: position() }),
        )
    ) {
        let text = map.to_string();
        let parsed = parse(&text);
        prop_assert!(parsed.is_ok(), "{text}\n{parsed:?}");
        prop_assert_eq!(plain_map(&parsed.unwrap()), plain_map(&map));
    }
}
