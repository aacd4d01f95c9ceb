//! How fast the write-ahead log is on a real disk.
//!
//! ```text
//! cargo run --release -p storage --example wal_bench -- DIR [ENTRY_BYTES] [SECONDS]
//! ```
//!
//! First one append at a time, each awaited: the price of one group commit. Then a window of
//! unanswered appends from two threads over a thousand groups: what the group commit saves.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use storage::fs::DiskFs;
use storage::wal::{GroupId, Options, Stats, Wal, monotonic_clock};

const GROUPS: u64 = 1000;
const THREADS: u64 = 2;
/// Appends of one thread that wait for their answer at the same time.
const WINDOW: usize = 4096;

struct Settings {
    dir: PathBuf,
    entry: Bytes,
    duration: Duration,
}

fn main() {
    let mut args = std::env::args().skip(1);
    let dir = PathBuf::from(
        args.next()
            .expect("usage: wal_bench DIR [ENTRY_BYTES] [SECONDS]"),
    );
    let mut number = |default| {
        args.next()
            .map_or(default, |arg| arg.parse().expect("a number"))
    };
    let (entry_bytes, seconds) = (number(256), number(3));
    let settings = Settings {
        dir,
        entry: vec![7; entry_bytes as usize].into(),
        duration: Duration::from_secs(seconds),
    };
    run("one at a time", &settings, one_at_a_time);
    run("a window of appends", &settings, window);
}

fn run(name: &str, settings: &Settings, load: fn(&Wal, &Settings) -> u64) {
    let options = Options::new(monotonic_clock());
    let wal = Wal::open(Arc::new(DiskFs), &settings.dir, options).expect("the log opens");
    let writer = {
        let wal = wal.clone();
        std::thread::spawn(move || wal.run_writer())
    };
    let start = Instant::now();
    let appends = load(&wal, settings);
    let seconds = start.elapsed().as_secs_f64();
    report(name, appends as f64 / seconds, &wal.stats());
    for group in wal.groups() {
        wal.remove(group).expect("the log is open");
    }
    wal.close().expect("the log closes");
    writer.join().expect("the writer ends");
}

fn report(name: &str, rate: f64, stats: &Stats) {
    println!(
        "{name}: {rate:.0} appends/s, {:.1} MB/s to disk, {} commits of {:.1} records",
        stats.bytes_written as f64 / 1e6 * rate / stats.records as f64,
        stats.commits,
        stats.records as f64 / stats.commits as f64,
    );
    println!(
        "  commit mean {} us, p50 <= {} us, p99 <= {} us; sync mean {} us, p99 <= {} us",
        stats.commit_latency_us.sum / stats.commit_latency_us.count.max(1),
        stats.commit_latency_us.quantile(0.5),
        stats.commit_latency_us.quantile(0.99),
        stats.sync_duration_us.sum / stats.sync_duration_us.count.max(1),
        stats.sync_duration_us.quantile(0.99),
    );
}

fn one_at_a_time(wal: &Wal, settings: &Settings) -> u64 {
    let log = wal.log(GroupId(1));
    let (answer, answered) = mpsc::sync_channel(1);
    let start = Instant::now();
    let mut index = 1;
    while start.elapsed() < settings.duration {
        let answer = answer.clone();
        let done = move |result| answer.send(result).expect("somebody waits");
        log.append(index, vec![settings.entry.clone()], done)
            .expect("the append is taken");
        answered.recv().expect("an answer").expect("durable");
        index += 1;
    }
    index - 1
}

fn window(wal: &Wal, settings: &Settings) -> u64 {
    std::thread::scope(|scope| {
        let run = |thread| scope.spawn(move || window_of_thread(wal, settings, thread));
        let threads: Vec<_> = (0..THREADS).map(run).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .sum()
    })
}

fn window_of_thread(wal: &Wal, settings: &Settings, thread: u64) -> u64 {
    let own = (0..GROUPS).filter(|group| group % THREADS == thread);
    let logs: Vec<_> = own.map(|group| wal.log(GroupId(100 + group))).collect();
    let (answer, answered) = mpsc::channel();
    let start = Instant::now();
    let (mut sent, mut done) = (0, 0);
    while start.elapsed() < settings.duration {
        let index = 1 + sent / logs.len() as u64;
        let log = &logs[(sent % logs.len() as u64) as usize];
        let answer = answer.clone();
        let callback = move |result| answer.send(result).expect("somebody waits");
        log.append(index, vec![settings.entry.clone()], callback)
            .expect("the append is taken");
        if index.is_multiple_of(64) {
            log.purge_to(index - 32).expect("the purge is taken");
        }
        sent += 1;
        if (sent - done) as usize >= WINDOW {
            answered.recv().expect("an answer").expect("durable");
            done += 1 + answered.try_iter().count() as u64;
        }
    }
    while done < sent {
        answered.recv().expect("an answer").expect("durable");
        done += 1;
    }
    sent
}
