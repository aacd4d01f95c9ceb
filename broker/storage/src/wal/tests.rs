use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::*;
use crate::fs::{SimFs, SimOp};

mod disk;
mod faults;
mod model;

const SEGMENT: u64 = 16 << 10;

fn dir() -> PathBuf {
    PathBuf::from("/wal")
}

/// A clock that a test moves.
#[derive(Clone, Default)]
struct TestClock(Arc<AtomicU64>);

impl TestClock {
    fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_micros() as u64, Ordering::Relaxed);
    }

    fn now(&self) -> Now {
        let micros = self.0.clone();
        Arc::new(move || Duration::from_micros(micros.load(Ordering::Relaxed)))
    }
}

fn small_options() -> Options {
    Options {
        segment_size_bytes: SEGMENT,
        size_limit_bytes: 8 * SEGMENT,
        cache_limit_bytes: 4 << 10,
        store_id: 77,
        ..Options::new(TestClock::default().now())
    }
}

fn open(fs: &SimFs) -> Wal {
    Wal::open(Arc::new(fs.clone()), &dir(), small_options()).unwrap()
}

fn commit_all(wal: &Wal) {
    while wal.commit_pending() {}
}

fn entry(group: u64, index: u64, len: usize) -> Bytes {
    let seed = (group * 31 + index) as u8;
    (0..len).map(|i| seed.wrapping_add(i as u8)).collect()
}

fn ignore(_: Result<(), Error>) {}

fn append(log: &Log, first: u64, count: u64, len: usize) {
    let entries = (first..first + count)
        .map(|i| entry(log.group().0, i, len))
        .collect();
    log.append(first, entries, ignore).unwrap();
}

fn assert_entries(log: &Log, range: Range<u64>, len: usize) {
    let mut index = range.start;
    while index < range.end {
        for bytes in log.read(index..range.end, 4096).unwrap() {
            assert_eq!(bytes, entry(log.group().0, index, len), "index={index}");
            index += 1;
        }
    }
}

/// Collects results in the order in which they arrive.
#[derive(Clone, Default)]
struct Answers(Arc<Mutex<Vec<Answer>>>);

type Answer = (u32, Result<(), String>);

impl Answers {
    fn expect(&self, name: u32) -> impl FnOnce(Result<(), Error>) + Send + 'static {
        let answers = self.0.clone();
        move |result| {
            answers
                .lock()
                .push((name, result.map_err(|error| error.to_string())))
        }
    }

    fn take(&self) -> Vec<Answer> {
        std::mem::take(&mut self.0.lock())
    }
}

#[test]
fn entries_are_readable_at_once_and_answered_in_order_after_one_sync() {
    let fs = SimFs::new(1);
    let wal = open(&fs);
    let answers = Answers::default();
    for group in 0..10 {
        let log = wal.log(GroupId(group));
        log.append(1, vec![entry(group, 1, 10)], answers.expect(group as u32))
            .unwrap();
        assert_entries(&log, 1..2, 10);
    }
    assert_eq!(answers.take(), []);
    let before = fs.counters().syncs;
    assert!(wal.commit_pending());
    assert_eq!(fs.counters().syncs, before + 1);
    let names: Vec<u32> = answers.take().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, (0..10).collect::<Vec<_>>());
    assert!(!wal.commit_pending());
}

#[test]
fn everything_comes_back_after_a_restart() {
    let fs = SimFs::new(1);
    let wal = open(&fs);
    let log = wal.log(GroupId(1));
    append(&log, 5, 40, 100);
    log.truncate_from(40, ignore).unwrap();
    append(&log, 40, 2, 7);
    log.purge_to(9).unwrap();
    log.set_state(3, Bytes::from_static(b"vote"), ignore)
        .unwrap();
    log.set_state_lazy(4, Bytes::from_static(b"committed"))
        .unwrap();
    append(&wal.log(GroupId(2)), 0, 1, 0);
    append(&wal.log(GroupId(3)), 0, 1, 0);
    wal.remove(GroupId(3)).unwrap();
    wal.close().unwrap();
    drop((wal, log));

    let wal = open(&fs);
    assert_eq!(wal.damaged(), []);
    assert_eq!(wal.groups(), [GroupId(1), GroupId(2)]);
    let log = wal.log(GroupId(1));
    assert_eq!((log.first_index(), log.next_index()), (10, 42));
    assert_entries(&log, 10..40, 100);
    assert_entries(&log, 40..42, 7);
    assert_eq!(log.state(3), Some(Bytes::from_static(b"vote")));
    assert_eq!(log.state(4), Some(Bytes::from_static(b"committed")));
    assert_eq!(wal.log(GroupId(2)).read(0..1, 0).unwrap(), [Bytes::new()]);
}

#[test]
fn an_append_must_continue_the_log() {
    let wal = open(&SimFs::new(1));
    let log = wal.log(GroupId(1));
    append(&log, 5, 3, 10);
    let error = log.append(9, vec![Bytes::new()], ignore).unwrap_err();
    assert!(
        matches!(
            error,
            Error::OutOfOrder {
                expected: 8,
                got: 9,
                ..
            }
        ),
        "{error}"
    );
    log.purge_to(20).unwrap();
    assert_eq!((log.first_index(), log.next_index()), (21, 21));
    append(&log, 21, 1, 10);
    let error = log.truncate_from(20, ignore).unwrap_err();
    assert!(matches!(error, Error::OutOfOrder { .. }), "{error}");
    let error = log.read(20..22, 100).unwrap_err();
    assert!(
        matches!(
            error,
            Error::NotFound {
                index: 20,
                first: 21,
                next: 22,
                ..
            }
        ),
        "{error}"
    );
    let large = Bytes::from(vec![0; SEGMENT as usize / 2]);
    let error = log.append(22, vec![large], ignore).unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
}

#[test]
fn an_empty_append_is_answered_in_its_turn() {
    let wal = open(&SimFs::new(1));
    let log = wal.log(GroupId(1));
    let answers = Answers::default();
    log.append(1, vec![entry(1, 1, 1)], answers.expect(1))
        .unwrap();
    log.append(2, vec![], answers.expect(2)).unwrap();
    assert_eq!(answers.take(), []);
    commit_all(&wal);
    assert_eq!(answers.take(), [(1, Ok(())), (2, Ok(()))]);
    assert_eq!(log.next_index(), 2);
}

#[test]
fn reads_stop_before_the_limit_but_never_before_the_first_entry() {
    let wal = open(&SimFs::new(1));
    let log = wal.log(GroupId(1));
    append(&log, 1, 100, 300);
    commit_all(&wal);
    append(&log, 101, 100, 300);
    commit_all(&wal);
    assert!(wal.stats().cached_bytes <= 4 << 10, "the cache has a limit");
    assert_eq!(log.read(1..201, 1000).unwrap().len(), 3);
    assert_eq!(log.read(1..201, 10).unwrap().len(), 1);
    assert_eq!(log.read(7..7, 10).unwrap().len(), 0);
    assert_entries(&log, 1..201, 300);
    assert!(wal.stats().file_reads > 0);
}

#[test]
fn segments_are_reused_when_all_logs_moved_on() {
    let fs = SimFs::new(1);
    let wal = open(&fs);
    let log = wal.log(GroupId(1));
    let idle = wal.log(GroupId(2));
    idle.set_state(1, Bytes::from_static(b"kept"), ignore)
        .unwrap();
    idle.purge_to(41).unwrap();
    for round in 0..100 {
        append(&log, 1 + round * 20, 20, 200);
        log.purge_to(round * 20).unwrap();
        commit_all(&wal);
    }
    let stats = wal.stats();
    assert!(stats.segments <= 3, "{stats:?}");
    assert!(stats.bytes_written > 20 * SEGMENT);
    fs.crash();
    let wal = open(&fs);
    assert_eq!(wal.damaged(), []);
    assert_eq!(
        wal.log(GroupId(2)).state(1),
        Some(Bytes::from_static(b"kept"))
    );
    assert_eq!(wal.log(GroupId(2)).next_index(), 42);
    assert_entries(&wal.log(GroupId(1)), 1981..2001, 200);
}

#[test]
fn groups_that_hold_the_oldest_segment_are_named_when_the_log_is_large() {
    let wal = open(&SimFs::new(1));
    let (old, new) = (wal.log(GroupId(1)), wal.log(GroupId(2)));
    append(&old, 1, 1, 100);
    for round in 0..30 {
        append(&new, 1 + round * 20, 20, 200);
        commit_all(&wal);
    }
    assert_eq!(wal.groups_to_checkpoint(), [GroupId(1), GroupId(2)]);
    new.purge_to(600).unwrap();
    commit_all(&wal);
    assert_eq!(wal.groups_to_checkpoint(), [GroupId(1)]);
    old.purge_to(1).unwrap();
    commit_all(&wal);
    assert_eq!(wal.groups_to_checkpoint(), []);
    assert!(wal.stats().size_bytes <= 2 * SEGMENT, "{:?}", wal.stats());
}

#[test]
fn groups_with_many_bytes_are_named() {
    let fs = SimFs::new(1);
    let wal = open(&fs);
    let (small, large) = (wal.log(GroupId(1)), wal.log(GroupId(2)));
    append(&small, 1, 1, 100);
    append(&large, 1, 10, 100);
    assert_eq!(wal.groups_above(99), [GroupId(1), GroupId(2)]);
    assert_eq!(wal.groups_above(100), [GroupId(2)]);
    commit_all(&wal);
    drop((small, large, wal));
    let wal = open(&fs);
    let large = wal.log(GroupId(2));
    assert_eq!(wal.groups_above(999), [GroupId(2)]);
    large.purge_to(4).unwrap();
    assert_eq!(wal.groups_above(599), [GroupId(2)]);
    assert_eq!(wal.groups_above(600), []);
    large.truncate_from(8, ignore).unwrap();
    assert_eq!(wal.groups_above(299), [GroupId(2)]);
    assert_eq!(wal.groups_above(300), []);
}

#[test]
fn restarts_do_not_pile_up_segments() {
    let fs = SimFs::new(1);
    for _ in 0..20 {
        let wal = open(&fs);
        wal.log(GroupId(1))
            .set_state(1, Bytes::from_static(b"x"), ignore)
            .unwrap();
        commit_all(&wal);
        assert!(wal.stats().segments <= 3, "{:?}", wal.stats());
        drop(wal);
    }
}

#[test]
fn lazy_values_ride_along() {
    let fs = SimFs::new(1);
    let wal = open(&fs);
    let woken = Arc::new(AtomicU64::new(0));
    let count = woken.clone();
    wal.set_wakeup(Arc::new(move || {
        count.fetch_add(1, Ordering::Relaxed);
    }));
    let log = wal.log(GroupId(1));
    log.set_state_lazy(1, Bytes::from_static(b"x")).unwrap();
    assert_eq!(woken.load(Ordering::Relaxed), 0);
    append(&log, 1, 1, 1);
    append(&log, 2, 1, 1);
    assert_eq!(
        woken.load(Ordering::Relaxed),
        1,
        "once, when it becomes non-empty"
    );
    assert!(wal.commit_pending());
    assert!(!wal.commit_pending());
    append(&log, 3, 1, 1);
    assert_eq!(woken.load(Ordering::Relaxed), 2);
}

#[test]
fn a_second_opener_is_refused() {
    let fs = SimFs::new(1);
    let wal = open(&fs);
    let second = Wal::open(Arc::new(fs.clone()), &dir(), small_options());
    assert!(matches!(second.err(), Some(Error::Locked { .. })));
    drop(wal);
    open(&fs);
}

#[test]
fn a_closed_log_refuses_and_answers_what_it_took() {
    let wal = open(&SimFs::new(1));
    let log = wal.log(GroupId(1));
    let answers = Answers::default();
    log.append(1, vec![Bytes::new()], answers.expect(1))
        .unwrap();
    wal.close().unwrap();
    assert_eq!(answers.take(), [(1, Ok(()))]);
    assert!(matches!(log.append(2, vec![], ignore), Err(Error::Closed)));
    wal.close().unwrap();
}
