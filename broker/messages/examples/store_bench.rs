//! How fast a file store appends, reads and reopens.
//!
//! `cargo run --release -p messages --example store_bench -- DIR [MESSAGES] [SUBJECTS]`

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use messages::{FileOptions, FileStore, Filters, MessageStore, ReadLimits};
use storage::fs::{DiskFs, FileSystem};

const PAYLOAD_SIZE_BYTES: usize = 128;

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let dir = PathBuf::from(
        args.next()
            .ok_or_else(|| anyhow::anyhow!("a directory is needed"))?,
    );
    let messages: u64 = args.next().map_or(Ok(1_000_000), |text| text.parse())?;
    let subjects: u64 = args.next().map_or(Ok(1_000), |text| text.parse())?;
    let fs: Arc<dyn FileSystem> = Arc::new(DiskFs);
    let open = || FileStore::open(fs.clone(), &dir, FileOptions::default());

    let mut store = open()?;
    let payload = [b'x'; PAYLOAD_SIZE_BYTES];
    let names: Vec<String> = (0..subjects).map(|at| format!("orders.{at}.new")).collect();
    measure("append", messages, || {
        for seq in 1..=messages {
            let subject = names[(seq % subjects) as usize].as_bytes();
            store.append(seq, seq as i64, subject, b"", &payload)?;
        }
        Ok(())
    })?;
    measure("checkpoint", messages, || Ok(store.checkpoint(b"bench")?))?;
    measure("checkpoint again", messages, || {
        Ok(store.checkpoint(b"bench")?)
    })?;
    drop(store);

    let mut reopened = None;
    measure("reopen", messages, || {
        reopened = Some(open()?);
        Ok(())
    })?;
    let store = reopened.ok_or_else(|| anyhow::anyhow!("opened above"))?;
    measure("read in batches", messages, || read_all(&store))?;
    measure("read one by one", messages, || {
        for seq in 1..=messages {
            store.get(seq)?;
        }
        Ok(())
    })?;
    for pattern in ["orders.7.new", "orders.*.new", "orders.7.>"] {
        let filters = Filters::one(Bytes::from(pattern));
        let matching = store.count_matching(&filters, 0);
        measure(&format!("next matching {pattern}"), matching, || {
            let mut seq = 0;
            while let Some(next) = store.next_matching(&filters, seq) {
                seq = next + 1;
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn read_all(store: &FileStore) -> anyhow::Result<()> {
    let limits = ReadLimits {
        messages_max: 500,
        bytes_max: 256 << 10,
    };
    let mut from_seq = 0;
    while let Some(last) = store.read_batch(from_seq, limits)?.last() {
        from_seq = last.seq + 1;
    }
    Ok(())
}

fn measure(what: &str, count: u64, act: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    let start = Instant::now();
    act()?;
    let elapsed = start.elapsed();
    let nanos_each = elapsed.as_nanos() / u128::from(count.max(1));
    println!("{what:32} {elapsed:>12.2?} {nanos_each:>6} ns each of {count}");
    Ok(())
}
