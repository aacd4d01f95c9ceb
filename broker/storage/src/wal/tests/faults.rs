//! Broken disks, full disks and rotten bits.

use proptest::prelude::*;

use super::*;
use crate::fs::read_file;

const GROUPS: u64 = 3;
const ENTRIES: u64 = 60;

/// A closed log of several segments, each group with entries of 100 bytes and a value.
fn written_log(seed: u64) -> SimFs {
    let fs = SimFs::new(seed);
    let wal = open(&fs);
    for index in 0..ENTRIES {
        for group in 0..GROUPS {
            append(&wal.log(GroupId(group)), index, 1, 200);
            wal.log(GroupId(group))
                .set_state(1, value(index), ignore)
                .unwrap();
        }
        commit_all(&wal);
    }
    wal.close().unwrap();
    fs
}

fn value(index: u64) -> Bytes {
    format!("value {index}").into()
}

fn segments(fs: &SimFs) -> Vec<PathBuf> {
    let entries = fs.read_dir(&dir()).unwrap().into_iter();
    let logs = entries.filter(|entry| entry.name.ends_with(".log"));
    logs.map(|entry| dir().join(entry.name)).collect()
}

/// Whether the group is exactly as it was written. What can be read at all must be right.
fn is_whole(wal: &Wal, group: u64) -> bool {
    let log = wal.log(GroupId(group));
    let mut whole = (log.first_index(), log.next_index()) == (0, ENTRIES);
    for index in log.first_index()..log.next_index() {
        match log.read(index..index + 1, 1000) {
            Ok(entries) => assert_eq!(entries, [entry(group, index, 200)]),
            Err(Error::Damaged { .. }) => whole = false,
            Err(error) => panic!("{error}"),
        }
    }
    whole && log.state(1) == Some(value(ENTRIES - 1))
}

fn is_reported(wal: &Wal, group: u64) -> bool {
    wal.damaged()
        .iter()
        .any(|damage| damage.affects(GroupId(group)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_rotten_bit_is_reported_and_never_read(
        file in any::<prop::sample::Index>(),
        offset in any::<prop::sample::Index>(),
        bit in 0u8..8,
    ) {
        let fs = written_log(1);
        let files = segments(&fs);
        let path = file.get(&files);
        let len = read_file(&fs, path, 1 << 20).unwrap().len();
        fs.flip_bit(path, offset.index(len) as u64, bit).unwrap();
        for _ in 0..2 {
            let wal = open(&fs);
            for group in 0..GROUPS {
                prop_assert!(is_whole(&wal, group) || is_reported(&wal, group), "group={group}");
            }
            commit_all(&wal);
            fs.crash();
        }
    }
}

#[test]
fn a_deleted_segment_is_reported() {
    let fs = written_log(1);
    let files = segments(&fs);
    assert!(files.len() > 3, "{files:?}");
    fs.remove_file(&files[1]).unwrap();
    let wal = open(&fs);
    assert!((0..GROUPS).all(|group| !is_whole(&wal, group) && is_reported(&wal, group)));
}

#[test]
fn a_last_segment_that_was_deleted_is_reported() {
    let fs = SimFs::new(1);
    let wal = open(&fs);
    // Without a clean end: the last segment is found as a crash left it.
    for index in 0..ENTRIES {
        append(&wal.log(GroupId(1)), index, 1, 400);
        commit_all(&wal);
    }
    fs.crash();
    let files = segments(&fs);
    assert!(files.len() > 1, "{files:?}");
    fs.remove_file(files.last().unwrap()).unwrap();
    for _ in 0..2 {
        let wal = open(&fs);
        assert_eq!(wal.loss(GroupId(1)), Loss::Possible);
        assert!(wal.log(GroupId(1)).next_index() < ENTRIES);
        commit_all(&wal);
        fs.crash();
    }
}

#[test]
fn a_first_segment_that_was_deleted_is_reported() {
    let fs = written_log(1);
    fs.remove_file(&segments(&fs)[0]).unwrap();
    for _ in 0..2 {
        let wal = open(&fs);
        for group in 0..GROUPS {
            assert!(!is_whole(&wal, group));
            assert_eq!(wal.loss(GroupId(group)), Loss::Certain);
        }
        commit_all(&wal);
        fs.crash();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..Default::default() })]

    /// A torn write leaves a file of its full length.
    #[test]
    fn a_last_segment_that_was_cut_short_is_reported(len in 0..SEGMENT, crashed in any::<bool>()) {
        let fs = SimFs::new(1);
        let wal = open(&fs);
        for index in 0..50 {
            append(&wal.log(GroupId(1)), index, 1, 400);
            commit_all(&wal);
        }
        let file = segments(&fs).pop().unwrap();
        if !crashed {
            wal.close().unwrap();
        }
        fs.crash();
        let file = fs.open(&file, crate::fs::OpenMode::Write).unwrap();
        prop_assert!(len < file.len().unwrap());
        file.set_len(len).unwrap();
        for _ in 0..2 {
            let wal = open(&fs);
            let log = wal.log(GroupId(1));
            let whole = log.next_index() == 50 && log.read(0..50, 1 << 20).is_ok();
            prop_assert!(whole || wal.loss(GroupId(1)) != Loss::Nothing, "{:?}", wal.damaged());
            commit_all(&wal);
            fs.crash();
        }
    }
}

#[test]
fn crashes_alone_never_look_like_damage() {
    let fs = SimFs::new(1);
    for round in 0..20 {
        let wal = open(&fs);
        assert_eq!(wal.damaged(), [], "round={round}");
        let log = wal.log(GroupId(1));
        for _ in 0..round {
            append(&log, log.next_index(), 1, 300);
            if round % 3 > 0 {
                commit_all(&wal);
            }
        }
        if round % 4 == 0 {
            wal.close().unwrap();
        }
        fs.crash();
    }
}

#[test]
fn a_group_that_was_removed_misses_nothing_any_more() {
    let fs = written_log(1);
    let files = segments(&fs);
    let file = fs.open(&files[1], crate::fs::OpenMode::Write).unwrap();
    file.write_all_at(&[0xff; 2000], 5000).unwrap();
    let wal = open(&fs);
    assert!((0..GROUPS).all(|group| wal.loss(GroupId(group)) != Loss::Nothing));
    wal.remove(GroupId(0)).unwrap();
    append(&wal.log(GroupId(0)), 7, 1, 100);
    wal.close().unwrap();
    drop(wal);
    let wal = open(&fs);
    assert_eq!(wal.loss(GroupId(0)), Loss::Nothing);
    assert_entries(&wal.log(GroupId(0)), 7..8, 100);
    assert_ne!(wal.loss(GroupId(1)), Loss::Nothing);
    // The segment goes once nobody needs what is left in it.
    wal.damage_handled();
    for group in 1..GROUPS {
        assert_eq!(wal.loss(GroupId(group)), Loss::Nothing);
    }
    while let Some(group) = wal.groups_to_checkpoint().first() {
        wal.log(*group).purge_to(ENTRIES).unwrap();
        commit_all(&wal);
    }
    commit_all(&wal);
    wal.close().unwrap();
    drop(wal);
    assert_eq!(open(&fs).damaged(), []);
}

#[test]
fn damage_is_found_again_until_it_was_handled() {
    let fs = written_log(1);
    let path = segments(&fs).remove(0);
    // The first record of the segment is the start of group 0; the second its first entry.
    let body = u64::from(segment::FIRST_RECORD) + 2 * record::HEADER_LEN as u64 + 10;
    fs.flip_bit(&path, body, 0).unwrap();
    for handled in [false, true] {
        let wal = open(&fs);
        assert_eq!(wal.damaged().len(), 1);
        assert_eq!(wal.damaged()[0].groups, Some(vec![GroupId(0)]));
        let log = wal.log(GroupId(0));
        let error = log.read(0..ENTRIES, 1 << 20).unwrap_err();
        assert!(matches!(error, Error::Damaged { index: 0, .. }), "{error}");
        assert_eq!(
            log.read(1..ENTRIES, 1 << 20).unwrap().len() as u64,
            ENTRIES - 1
        );
        if handled {
            for group in 0..GROUPS {
                wal.log(GroupId(group)).purge_to(ENTRIES - 1).unwrap();
            }
            wal.damage_handled();
        }
        wal.close().unwrap();
    }
    assert_eq!(open(&fs).damaged(), []);
}

#[test]
fn a_read_checks_the_bytes_again() {
    let fs = SimFs::new(1);
    let wal = open(&fs);
    let log = wal.log(GroupId(1));
    append(&log, 0, 30, 300);
    commit_all(&wal);
    let path = segments(&fs).remove(0);
    fs.flip_bit(&path, u64::from(segment::FIRST_RECORD) + 100, 0)
        .unwrap();
    let error = log.read(0..30, 1 << 20).unwrap_err();
    assert!(matches!(error, Error::Damaged { index: 0, .. }), "{error}");
    assert_entries(&log, 1..30, 300);
    assert_eq!(
        wal.loss(GroupId(1)),
        Loss::Certain,
        "and whoever asks hears of it"
    );
    assert_eq!(wal.loss(GroupId(2)), Loss::Nothing);
}

#[test]
fn after_a_failed_sync_nothing_is_acknowledged_and_the_process_is_told_once() {
    let fs = SimFs::new(1);
    let told = Arc::new(AtomicU64::new(0));
    let count = told.clone();
    let mut options = small_options();
    options.on_fatal = Arc::new(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    let wal = Wal::open(Arc::new(fs.clone()), &dir(), options).unwrap();
    let log = wal.log(GroupId(1));
    let answers = Answers::default();
    log.append(1, vec![Bytes::new()], answers.expect(1))
        .unwrap();
    log.append(2, vec![Bytes::new()], answers.expect(2))
        .unwrap();
    fs.fail_next_sync();
    assert!(!wal.commit_pending());
    let answers = answers.take();
    assert_eq!(
        answers.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        [1, 2]
    );
    assert!(
        answers.iter().all(|(_, result)| result.is_err()),
        "{answers:?}"
    );
    assert!(matches!(
        log.append(3, vec![], ignore),
        Err(Error::Io { .. })
    ));
    assert!(!wal.commit_pending());
    assert!(wal.close().is_err());
    assert_eq!(told.load(Ordering::Relaxed), 1);
}

/// A log on a disk with room for three segments, filled until it refuses.
fn full_log(fs: &SimFs, clock: &TestClock) -> (Wal, Log) {
    let options = Options {
        now: clock.now(),
        ..small_options()
    };
    let wal = Wal::open(Arc::new(fs.clone()), &dir(), options).unwrap();
    fs.set_capacity_bytes(Some(3 * SEGMENT + SEGMENT / 2));
    let log = wal.log(GroupId(1));
    let refused = (0..1000).find_map(|index| {
        commit_all(&wal);
        log.append(index, vec![entry(1, index, 500)], ignore).err()
    });
    assert!(matches!(refused, Some(Error::Full)), "{refused:?}");
    assert!(wal.is_full());
    (wal, log)
}

#[test]
fn a_full_disk_refuses_entries_but_takes_values_and_purges_which_make_room() {
    let (fs, clock) = (SimFs::new(1), TestClock::default());
    let (wal, log) = full_log(&fs, &clock);
    let next = log.next_index();
    assert_eq!(wal.groups_to_checkpoint(), [GroupId(1)]);
    let answers = Answers::default();
    let large = Bytes::from(vec![1; 1000]);
    log.set_state(1, large.clone(), answers.expect(1)).unwrap();
    commit_all(&wal);
    assert_eq!(
        answers.take(),
        [(1, Ok(()))],
        "larger than any entry that was refused"
    );
    assert_entries(&log, 0..next, 500);
    log.purge_to(next - 5).unwrap();
    commit_all(&wal);
    assert!(!wal.is_full());
    append(&log, next, 1, 500);
    commit_all(&wal);
    fs.crash();
    let wal = open(&fs);
    assert_entries(&wal.log(GroupId(1)), next - 4..next + 1, 500);
    assert_eq!(wal.log(GroupId(1)).state(1), Some(large));
}

#[test]
fn a_full_disk_is_asked_again_and_works_when_somebody_made_room() {
    let (fs, clock) = (SimFs::new(1), TestClock::default());
    let (wal, log) = full_log(&fs, &clock);
    let woken = Arc::new(AtomicU64::new(0));
    let count = woken.clone();
    wal.set_wakeup(Arc::new(move || {
        count.fetch_add(1, Ordering::Relaxed);
    }));
    fs.set_capacity_bytes(None);
    clock.advance(Duration::from_secs(1));
    let next = log.next_index();
    assert!(matches!(
        log.append(next, vec![entry(1, next, 500)], ignore),
        Err(Error::Full)
    ));
    assert!(
        woken.load(Ordering::Relaxed) > 0,
        "a refusal wakes the writer to look for room"
    );
    assert!(wal.commit_pending());
    assert!(!wal.is_full());
    append(&log, next, 1, 500);
}

#[test]
fn a_log_on_a_full_disk_opens_and_makes_room_for_itself() {
    let fs = SimFs::new(1);
    let options = || Options {
        segment_size_bytes: 16 * SEGMENT,
        ..small_options()
    };
    let wal = Wal::open(Arc::new(fs.clone()), &dir(), options()).unwrap();
    append(&wal.log(GroupId(1)), 0, 400, 500);
    wal.close().unwrap();
    drop(wal);
    fs.remove_file(&dir().join("spare.tmp")).unwrap();
    fs.set_capacity_bytes(Some(21 * SEGMENT));
    let wal = Wal::open(Arc::new(fs.clone()), &dir(), options()).unwrap();
    assert!(wal.is_full());
    let log = wal.log(GroupId(1));
    assert_entries(&log, 0..400, 500);
    log.purge_to(398).unwrap();
    commit_all(&wal);
    log.append(400, vec![entry(1, 400, 500)], ignore).unwrap();
    log.purge_to(399).unwrap();
    commit_all(&wal);
    assert!(!wal.is_full(), "{:?}", wal.stats());
    fs.crash();
    assert_entries(&open(&fs).log(GroupId(1)), 400..401, 500);
}

#[test]
fn a_queue_that_is_too_long_refuses_more() {
    let options = Options {
        queue_limit_bytes: 4000,
        ..small_options()
    };
    let wal = Wal::open(Arc::new(SimFs::new(1)), &dir(), options).unwrap();
    let log = wal.log(GroupId(1));
    append(&log, 0, 6, 500);
    let error = log.append(6, vec![entry(1, 6, 2000)], ignore).unwrap_err();
    assert!(matches!(error, Error::Busy { .. }), "{error}");
    commit_all(&wal);
    append(&log, 6, 1, 2000);
}

#[test]
fn a_foreign_segment_is_refused() {
    let fs = written_log(1);
    let files = segments(&fs);
    fs.rename(&files[1], &files[0]).unwrap();
    let error = Wal::open(Arc::new(fs), &dir(), small_options()).err();
    assert!(matches!(error, Some(Error::Unusable { .. })), "{error:?}");
}
