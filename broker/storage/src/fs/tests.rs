//! What every file system must do, checked against the real one and the simulated one.

use super::*;

fn on_both(check: impl Fn(&dyn FileSystem, &Path)) {
    let dir = tempfile::tempdir().unwrap();
    check(&DiskFs, dir.path());
    let sim = SimFs::new(1);
    sim.create_dir_all(Path::new("/sim")).unwrap();
    check(&sim, Path::new("/sim"));
}

fn kind<T>(result: io::Result<T>) -> Option<io::ErrorKind> {
    result.err().map(|error| error.kind())
}

#[test]
fn files_are_opened_as_asked() {
    on_both(|fs, dir| {
        let path = dir.join("a");
        assert_eq!(
            kind(fs.open(&path, OpenMode::Read)),
            Some(io::ErrorKind::NotFound)
        );
        let file = fs.open(&path, OpenMode::CreateNew).unwrap();
        assert!(file.is_empty().unwrap());
        file.write_all_at(b"abc", 0).unwrap();
        assert_eq!(
            kind(fs.open(&path, OpenMode::CreateNew)),
            Some(io::ErrorKind::AlreadyExists)
        );
        assert_eq!(fs.open(&path, OpenMode::Write).unwrap().len().unwrap(), 3);
        assert!(
            fs.open(&path, OpenMode::Read)
                .unwrap()
                .write_all_at(b"x", 0)
                .is_err()
        );
        let lost = dir.join("missing").join("a");
        assert_eq!(
            kind(fs.open(&lost, OpenMode::Write)),
            Some(io::ErrorKind::NotFound)
        );
    });
}

#[test]
fn reads_and_writes_meet_at_any_offset() {
    on_both(|fs, dir| {
        let file = fs.open(&dir.join("a"), OpenMode::Write).unwrap();
        let pieces: Vec<Vec<u8>> = (0..3000u32)
            .map(|i| vec![i as u8; i as usize % 7])
            .collect();
        let whole = pieces.concat();
        let bufs: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
        file.write_all_vectored_at(&bufs, 700).unwrap();
        file.sync_data().unwrap();
        assert_eq!(file.len().unwrap(), 700 + whole.len() as u64);
        let mut read = vec![1; whole.len() + 800];
        assert_eq!(file.read_at(&mut read, 0).unwrap(), 700 + whole.len());
        assert!(
            read[..700].iter().all(|byte| *byte == 0),
            "a hole reads as zeros"
        );
        assert_eq!(read[700..700 + whole.len()], whole);
        assert_eq!(file.read_at(&mut read, 1 << 20).unwrap(), 0);
        let short = read_exact_at(&*file, &mut read, 700);
        assert_eq!(kind(short), Some(io::ErrorKind::UnexpectedEof));
    });
}

#[test]
fn files_grow_and_shrink() {
    on_both(|fs, dir| {
        let file = fs.open(&dir.join("a"), OpenMode::Write).unwrap();
        file.write_all_at(&[1; 2000], 0).unwrap();
        file.allocate(1000).unwrap();
        assert_eq!(file.len().unwrap(), 2000, "reserving never cuts");
        file.allocate(5000).unwrap();
        assert_eq!(file.len().unwrap(), 5000);
        file.set_len(100).unwrap();
        file.set_len(3000).unwrap();
        let bytes = read_file(fs, &dir.join("a"), 3000).unwrap();
        assert!(bytes[..100].iter().all(|byte| *byte == 1));
        assert!(
            bytes[100..].iter().all(|byte| *byte == 0),
            "what was cut off does not return"
        );
        let large = read_file(fs, &dir.join("a"), 2999);
        assert_eq!(kind(large), Some(io::ErrorKind::InvalidData));
    });
}

#[test]
fn directories_list_what_was_created_renamed_and_removed() {
    on_both(|fs, dir| {
        let sub = dir.join("x").join("y");
        fs.create_dir_all(&sub).unwrap();
        fs.create_dir_all(&sub).unwrap();
        for name in ["b", "a", "c"] {
            write_file_atomic(fs, &sub.join(name), name.as_bytes()).unwrap();
        }
        fs.rename(&sub.join("c"), &sub.join("a")).unwrap();
        fs.remove_file(&sub.join("b")).unwrap();
        assert_eq!(
            kind(fs.remove_file(&sub.join("b"))),
            Some(io::ErrorKind::NotFound)
        );
        let names = |dir: &Path| fs.read_dir(dir).unwrap();
        assert_eq!(
            names(&sub),
            [DirEntry {
                name: "a".into(),
                is_dir: false
            }]
        );
        assert_eq!(
            names(&dir.join("x")),
            [DirEntry {
                name: "y".into(),
                is_dir: true
            }]
        );
        assert_eq!(read_file(fs, &sub.join("a"), 10).unwrap(), b"c");
        fs.remove_dir_all(&dir.join("x")).unwrap();
        assert!(!fs.exists(&sub).unwrap());
        assert_eq!(kind(fs.read_dir(&sub)), Some(io::ErrorKind::NotFound));
        let space = fs.space(dir).unwrap();
        assert!(space.free > 0 && space.free <= space.total, "{space:?}");
    });
}

#[test]
fn a_lock_has_one_holder() {
    on_both(|fs, dir| {
        let path = dir.join("lock");
        let held = fs.lock(&path).unwrap();
        assert_eq!(kind(fs.lock(&path)), Some(io::ErrorKind::WouldBlock));
        drop(held);
        fs.lock(&path).unwrap();
    });
}
