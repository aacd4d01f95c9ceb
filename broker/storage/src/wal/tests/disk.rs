//! On a real disk, with the writer on its own thread.

use std::sync::mpsc;
use std::thread;

use super::*;
use crate::fs::DiskFs;

const WAIT: Duration = Duration::from_secs(60);

struct Running {
    wal: Wal,
    writer: thread::JoinHandle<()>,
}

impl Running {
    fn start(path: &Path, sync: SyncPolicy) -> Running {
        let options = Options {
            segment_size_bytes: 256 << 10,
            cache_limit_bytes: 64 << 10,
            sync,
            ..Options::new(monotonic_clock())
        };
        let wal = Wal::open(Arc::new(DiskFs), path, options).unwrap();
        let driver = wal.clone();
        let writer = thread::spawn(move || driver.run_writer());
        Running { wal, writer }
    }

    fn stop(self) {
        self.wal.close().unwrap();
        self.writer.join().unwrap();
    }
}

/// Appends one entry after the other, each when the one before is durable.
fn append_slowly(wal: &Wal, group: u64, count: u64) {
    let log = wal.log(GroupId(group));
    let (answer, answered) = mpsc::channel();
    for index in log.next_index()..count {
        let answer = answer.clone();
        let done = move |result| answer.send(result).unwrap();
        log.append(index, vec![entry(group, index, 300)], done)
            .unwrap();
        answered.recv_timeout(WAIT).unwrap().unwrap();
        if index % 100 == 99 {
            log.purge_to(index - 50).unwrap();
        }
    }
}

fn concurrent_appenders(sync: SyncPolicy) {
    let dir = tempfile::tempdir().unwrap();
    for round in 1..=2 {
        let running = Running::start(dir.path(), sync);
        thread::scope(|scope| {
            for group in 0..8 {
                let wal = &running.wal;
                scope.spawn(move || append_slowly(wal, group, round * 250));
            }
        });
        let stats = running.wal.stats();
        assert!(
            stats.commits < stats.records,
            "appends of several threads share commits"
        );
        running.stop();
    }
    let running = Running::start(dir.path(), sync);
    assert_eq!(running.wal.damaged(), []);
    for group in 0..8 {
        let log = running.wal.log(GroupId(group));
        assert_eq!((log.first_index(), log.next_index()), (450, 500));
        assert_entries(&log, 450..500, 300);
    }
    running.stop();
}

#[test]
fn concurrent_appenders_share_syncs_and_lose_nothing() {
    concurrent_appenders(SyncPolicy::Always);
}

#[test]
fn an_interval_answers_before_it_syncs_and_still_syncs() {
    let interval = Duration::from_millis(5);
    concurrent_appenders(SyncPolicy::Interval(interval));

    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path(), SyncPolicy::Interval(interval));
    append_slowly(&running.wal, 1, 1);
    let deadline = std::time::Instant::now() + WAIT;
    while running.wal.core.shared.lock().unsynced {
        assert!(
            std::time::Instant::now() < deadline,
            "an idle log is synced in the end"
        );
        thread::yield_now();
    }
    running.stop();
}

#[test]
fn readers_see_right_bytes_while_segments_are_reused_under_them() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path(), SyncPolicy::Interval(Duration::from_secs(60)));
    let log = running.wal.log(GroupId(1));
    append(&log, 0, 1, 300);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut read = 0;
            while log.next_index() < 20_000 {
                let (first, next) = (log.first_index(), log.next_index());
                match log.read(first..next, 100_000) {
                    Ok(entries) => {
                        for (index, bytes) in (first..).zip(entries) {
                            assert_eq!(bytes, entry(1, index, 300));
                            read += 1;
                        }
                    }
                    Err(Error::NotFound { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            read
        });
        for first in (1..20_000).step_by(10) {
            append(&log, first, 10, 300);
            if first > 2000 && first % 100 == 1 {
                log.purge_to(first - 2000).unwrap();
            }
        }
        append(&log, 20_001, 1, 300);
        assert!(reader.join().unwrap() > 0);
    });
    assert!(running.wal.stats().file_reads > 0);
    running.stop();
}
