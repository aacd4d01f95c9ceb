//! What time and radiation do to a disk while its broker is down.

use std::path::{Path, PathBuf};

use storage::fs::{FileSystem, OpenMode, SimFs};

use crate::dice::Dice;

/// Damage in one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// One bit is not what was written.
    Bit,
    /// A few blocks hold something else.
    Blocks,
    /// The end of a file is gone.
    Cut,
    /// A file is gone.
    Deleted,
}

const BLOCK_BYTES: u64 = 4096;
const BLOCKS_MAX: u64 = 8;

/// Flips one bit in a file of the log, of a stream or of the meta group.
pub fn flip_bit(fs: &SimFs, store: &Path, dice: &mut Dice) -> std::io::Result<Option<String>> {
    let mut files = Vec::new();
    for part in ["wal", "streams", "meta"] {
        list(fs, &store.join(part), &mut files)?;
    }
    files.retain(|(path, len)| *len > 0 && path.extension().is_none_or(|it| it != "tmp"));
    if files.is_empty() {
        return Ok(None);
    }
    let (path, len) = files.swap_remove(dice.roll(files.len() as u64) as usize);
    // Most of a file may be unused.
    let used = if dice.percent(70) {
        len.min(8 * BLOCK_BYTES)
    } else {
        len
    };
    let at = dice.roll(used);
    fs.flip_bit(&path, at, dice.roll(8) as u8)?;
    Ok(Some(format!("bit at {at} of {}", path.display())))
}

/// Damages a file of the write-ahead log, or of a stream; what was done, for the trace.
pub fn rot(fs: &SimFs, store: &Path, dice: &mut Dice) -> std::io::Result<Option<String>> {
    let is_log = dice.percent(70);
    let dir = store.join(if is_log { "wal" } else { "streams" });
    let mut files = Vec::new();
    list(fs, &dir, &mut files)?;
    files.retain(|(path, len)| *len > 0 && path.extension().is_none_or(|it| it != "tmp"));
    if files.is_empty() {
        return Ok(None);
    }
    let (path, len) = files.swap_remove(dice.roll(files.len() as u64) as usize);
    // Files of streams are not the log: what is missing there whole is another matter.
    let kinds: &[Kind] = match is_log {
        true => &[Kind::Bit, Kind::Bit, Kind::Blocks, Kind::Cut, Kind::Deleted],
        false => &[Kind::Bit],
    };
    let Some(kind) = dice.pick(kinds) else {
        return Ok(None);
    };
    let at = dice.roll(len);
    match kind {
        Kind::Bit => fs.flip_bit(&path, at, dice.roll(8) as u8)?,
        Kind::Blocks => {
            let start = at / BLOCK_BYTES * BLOCK_BYTES;
            let end = len.min(start + BLOCK_BYTES * (1 + dice.roll(BLOCKS_MAX)));
            let junk: Vec<u8> = (start..end).map(|_| dice.roll(256) as u8).collect();
            let file = fs.open(&path, OpenMode::Write)?;
            file.write_all_at(&junk, start)?;
            file.sync_data()?;
        }
        Kind::Cut => {
            let file = fs.open(&path, OpenMode::Write)?;
            file.set_len(at)?;
            file.sync_data()?;
        }
        Kind::Deleted => {
            fs.remove_file(&path)?;
            fs.sync_dir(&dir)?;
        }
    }
    Ok(Some(format!("{kind:?} at {at} of {}", path.display())))
}

/// All files below a directory with their lengths, in the order of their names.
fn list(fs: &SimFs, dir: &Path, files: &mut Vec<(PathBuf, u64)>) -> std::io::Result<()> {
    if !fs.exists(dir)? {
        return Ok(());
    }
    for entry in fs.read_dir(dir)? {
        let path = dir.join(&entry.name);
        if entry.is_dir {
            list(fs, &path, files)?;
        } else {
            let len = fs.open(&path, OpenMode::Read)?.len()?;
            files.push((path, len));
        }
    }
    Ok(())
}
