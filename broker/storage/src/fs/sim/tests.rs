use super::*;
use crate::fs::{read_file, write_file_atomic};

fn path(name: &str) -> PathBuf {
    Path::new("/data").join(name)
}

fn disk(seed: u64) -> SimFs {
    let fs = SimFs::new(seed);
    fs.create_dir_all(Path::new("/data")).unwrap();
    fs
}

#[test]
fn synced_bytes_survive_a_crash_and_others_only_in_part() {
    let mut torn = 0;
    for seed in 0..20 {
        let fs = disk(seed);
        let file = fs.open(&path("a"), OpenMode::Write).unwrap();
        file.write_all_at(&[1; 4096], 0).unwrap();
        file.sync_data().unwrap();
        fs.sync_dir(Path::new("/data")).unwrap();
        file.write_all_at(&[2; 2048], 1024).unwrap();
        fs.crash();
        assert!(
            file.read_at(&mut [0], 0).is_err(),
            "a handle must not survive the crash"
        );
        let bytes = read_file(&fs, &path("a"), 1 << 20).unwrap();
        assert_eq!(bytes.len(), 4096);
        assert!(
            bytes[..1024]
                .iter()
                .chain(&bytes[3072..])
                .all(|byte| *byte == 1)
        );
        let new = bytes[1024..3072].iter().filter(|byte| **byte == 2).count();
        assert_eq!(new % BLOCK_LEN, 0, "blocks are written whole");
        torn += usize::from(new > 0 && new < 2048);
    }
    assert!(
        torn > 5,
        "most crashes tear a write of four blocks: torn={torn}"
    );
}

const BLOCK_LEN: usize = content::BLOCK as usize;

#[test]
fn names_survive_only_after_a_sync_of_the_directory() {
    let survived = |seed, sync: bool| {
        let fs = disk(seed);
        fs.open(&path("a"), OpenMode::CreateNew).unwrap();
        if sync {
            fs.sync_dir(Path::new("/data")).unwrap();
        }
        fs.crash();
        fs.exists(&path("a")).unwrap()
    };
    assert!((0..20).all(|seed| survived(seed, true)));
    assert!((0..20).any(|seed| !survived(seed, false)));
}

#[test]
fn an_atomic_write_leaves_the_old_or_the_new_content() {
    for seed in 0..20 {
        let fs = disk(seed);
        write_file_atomic(&fs, &path("a"), b"old").unwrap();
        let file = fs.open(&path("a.tmp"), OpenMode::Write).unwrap();
        file.write_all_at(b"half", 0).unwrap();
        fs.crash();
        assert_eq!(read_file(&fs, &path("a"), 100).unwrap(), b"old");
        write_file_atomic(&fs, &path("a"), b"new").unwrap();
        fs.crash();
        assert_eq!(read_file(&fs, &path("a"), 100).unwrap(), b"new");
    }
}

#[test]
fn a_full_disk_refuses_growth_and_takes_it_again_after_a_removal() {
    let fs = disk(1);
    fs.set_capacity_bytes(Some(1000));
    let file = fs.open(&path("a"), OpenMode::Write).unwrap();
    file.allocate(800).unwrap();
    let other = fs.open(&path("b"), OpenMode::Write).unwrap();
    let error = other.write_all_at(&[0; 300], 0).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(
        fs.space(&path("a")).unwrap(),
        Space {
            total: 1000,
            free: 200
        }
    );
    fs.remove_file(&path("a")).unwrap();
    other.write_all_at(&[0; 300], 0).unwrap();
}

#[test]
fn a_failed_sync_is_not_healed_by_the_next() {
    let lost = (0..20).any(|seed| {
        let fs = disk(seed);
        let file = fs.open(&path("a"), OpenMode::Write).unwrap();
        file.allocate(512).unwrap();
        file.sync_data().unwrap();
        fs.sync_dir(Path::new("/data")).unwrap();
        file.write_all_at(b"x", 0).unwrap();
        fs.fail_next_sync();
        assert!(file.sync_data().is_err());
        file.sync_data().unwrap();
        fs.crash();
        read_file(&fs, &path("a"), 512).unwrap()[0] == 0
    });
    assert!(lost);
}

#[test]
fn a_lock_has_one_holder_and_goes_with_the_process() {
    let fs = disk(1);
    let held = fs.lock(&path("lock")).unwrap();
    let refused = fs.lock(&path("lock")).err().unwrap();
    assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
    drop(held);
    let held = fs.lock(&path("lock")).unwrap();
    fs.kill();
    let _again = fs.lock(&path("lock")).unwrap();
    drop(held);
    assert!(
        fs.lock(&path("lock")).is_err(),
        "an old holder must not free a new lock"
    );
}

#[test]
fn a_flipped_bit_is_read_back() {
    let fs = disk(1);
    write_file_atomic(&fs, &path("a"), b"abc").unwrap();
    fs.flip_bit(&path("a"), 1, 0).unwrap();
    assert_eq!(read_file(&fs, &path("a"), 100).unwrap(), b"acc");
}

#[test]
fn the_same_seed_crashes_the_same_way() {
    let run = || {
        let fs = disk(7);
        let file = fs.open(&path("a"), OpenMode::Write).unwrap();
        fs.sync_dir(Path::new("/data")).unwrap();
        file.allocate(100_000).unwrap();
        file.sync_data().unwrap();
        file.write_all_at(&[9; 100_000], 0).unwrap();
        fs.crash();
        read_file(&fs, &path("a"), 1 << 20).unwrap()
    };
    assert_eq!(run(), run());
}
