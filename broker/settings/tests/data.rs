//! Every file of `tests/data` says in its first line what is to be thought of it.

use std::fs;
use std::path::{Path, PathBuf};

use settings::flags::Flags;
use settings::{Options, Source};

fn read_file(path: &Path) -> std::io::Result<String> {
    fs::read_to_string(path)
}

fn verdict(file: &Path) -> Result<(), String> {
    let source = Source {
        read_file: &read_file,
        environment: &|_| None,
    };
    let flags = Flags {
        config_file: Some(file.to_path_buf()),
        ..Flags::default()
    };
    Options::check(&flags, &source)
        .map(drop)
        .map_err(|problems| problems.to_string())
}

fn check(file: &Path) -> Result<(), String> {
    let text = fs::read_to_string(file).map_err(|error| error.to_string())?;
    let first = text.lines().next().unwrap_or_default();
    let expected = first
        .strip_prefix("# expect: ")
        .ok_or("first line expects nothing")?;
    match (expected.strip_prefix("error "), verdict(file)) {
        (None, Ok(())) if expected == "ok" => Ok(()),
        (Some(wanted), Err(found)) if found.contains(wanted) => Ok(()),
        (_, found) => Err(format!("expected {expected:?}, found {found:?}")),
    }
}

#[test]
fn every_file_is_judged_as_it_expects() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut files: Vec<PathBuf> = fs::read_dir(dir)
        .expect("the folder is part of the crate")
        .map(|entry| entry.expect("it can be listed").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "conf")
        })
        .collect();
    files.sort();
    assert!(files.len() > 60, "only {} files found", files.len());

    let failures: Vec<String> = files
        .iter()
        .filter_map(|file| {
            check(file)
                .err()
                .map(|reason| format!("{}: {reason}", file.display()))
        })
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
