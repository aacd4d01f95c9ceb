//! What a file store does when the disk does not do its part.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use storage::fs::{FileSystem, OpenMode, SimFs, SimOp, read_file};

use crate::tests::{TINY, filters, open, put};
use crate::{Erase, Error, FileStore, MessageStore, Purge, StoredMessage};

const SUBJECTS: &[&str] = &["a", "b.1", "b.2", "c"];

fn paths(fs: &SimFs, end: &str) -> Vec<PathBuf> {
    let names = fs
        .read_dir(Path::new("/store"))
        .expect("listed")
        .into_iter();
    let names = names
        .map(|entry| entry.name)
        .filter(|name| name.ends_with(end));
    names.map(|name| Path::new("/store").join(name)).collect()
}

fn size(fs: &SimFs, path: &Path) -> u64 {
    fs.open(path, OpenMode::Read)
        .and_then(|file| file.len())
        .expect("there")
}

/// A store of 20 messages with some removed, checkpointed and closed.
fn prepared(fs: &SimFs) -> Vec<StoredMessage> {
    let mut store = open(fs);
    for seq in 1..=20 {
        put(&mut store, seq, SUBJECTS[seq as usize % SUBJECTS.len()]);
    }
    for seq in [3, 4, 11, 18] {
        store.remove(seq, Erase::No).expect("removed");
    }
    store.checkpoint(b"sealed").expect("durable");
    messages(&store)
}

fn messages(store: &FileStore) -> Vec<StoredMessage> {
    (1..=20)
        .filter_map(|seq| store.get(seq).expect("readable"))
        .collect()
}

/// Checks that a store with damage tells nothing wrong, then repairs it and checks that all is well
/// again, also after reopening.
fn check_damaged(fs: &SimFs, originals: &[StoredMessage]) {
    let mut store = open(fs);
    let state = store.state();
    assert_eq!(state.messages, originals.len() as u64);
    for original in originals {
        match store.get(original.seq) {
            Ok(found) => assert_eq!(found.as_ref(), Some(original)),
            Err(error) => assert!(matches!(error, Error::Damaged { seq } if seq == original.seq)),
        }
    }
    for seq in store.damaged() {
        let original = originals
            .iter()
            .find(|message| message.seq == seq)
            .expect("it is live");
        store.repair(original.clone()).expect("repaired");
    }
    assert_whole(&store, originals);
    store.checkpoint(b"repaired").expect("durable");
    assert_whole(&store, originals);
    put(&mut store, 21, "c");
    store.checkpoint(b"later").expect("durable");
    drop(store);
    fs.crash();
    let mut store = open(fs);
    assert!(store.remove(21, Erase::No).expect("removed"));
    assert_whole(&store, originals);
}

fn assert_whole(store: &FileStore, originals: &[StoredMessage]) {
    assert_eq!(messages(store), originals);
    assert!(store.damaged().is_empty());
    let size =
        |m: &StoredMessage| store.message_size(m.subject.len(), m.headers.len(), m.payload.len());
    assert_eq!(store.state().bytes, originals.iter().map(size).sum::<u64>());
    for subject in SUBJECTS {
        let of_subject = originals.iter().filter(|m| m.subject == subject.as_bytes());
        let seqs: Vec<u64> = of_subject.map(|message| message.seq).collect();
        assert_eq!(store.last_for(subject.as_bytes()), seqs.last().copied());
        assert_eq!(
            store.count_matching(&filters(&[subject]), 0),
            seqs.len() as u64
        );
        let next = |from: &u64| store.next_matching(&filters(&[subject]), from + 1);
        let found: Vec<u64> = std::iter::successors(next(&0), next).collect();
        assert_eq!(found, seqs);
    }
}

/// Every byte of every segment, with and without the sidecars.
#[test]
fn a_flipped_bit_is_never_served() {
    let pristine = SimFs::new(7);
    prepared(&pristine);
    for (at, path) in paths(&pristine, ".seg").iter().enumerate() {
        for offset in 0..size(&pristine, path) {
            let fs = SimFs::new(7);
            let originals = prepared(&fs);
            fs.flip_bit(path, offset, (offset % 8) as u8)
                .expect("flipped");
            if (offset + at as u64).is_multiple_of(2) {
                paths(&fs, ".idx")
                    .iter()
                    .for_each(|path| fs.remove_file(path).expect("removed"));
            }
            check_damaged(&fs, &originals);
        }
    }
}

#[test]
fn a_truncated_segment_loses_only_what_was_cut() {
    let pristine = SimFs::new(7);
    prepared(&pristine);
    for path in paths(&pristine, ".seg") {
        for len in (0..size(&pristine, &path)).step_by(7) {
            let fs = SimFs::new(7);
            let originals = prepared(&fs);
            let file = fs.open(&path, OpenMode::Write).expect("opened");
            file.set_len(len).expect("cut");
            file.sync_data().expect("synced");
            check_damaged(&fs, &originals);
        }
    }
}

/// Damaged messages may also go, one by one, with restarts in between.
#[test]
fn removed_damage_takes_its_bytes_along() {
    for len in (0..300).step_by(11) {
        let fs = SimFs::new(7);
        let mut rest = prepared(&fs);
        let file = fs
            .open(&paths(&fs, ".seg")[0], OpenMode::Write)
            .expect("opened");
        file.set_len(len).expect("cut");
        file.sync_data().expect("synced");
        paths(&fs, ".idx")
            .iter()
            .for_each(|path| fs.remove_file(path).expect("removed"));
        while let Some(&seq) = open(&fs).damaged().last() {
            let mut store = open(&fs);
            if seq % 2 == 0 {
                let original = rest
                    .iter()
                    .find(|message| message.seq == seq)
                    .expect("it is live");
                store.repair(original.clone()).expect("repaired");
            } else {
                assert!(store.remove(seq, Erase::No).expect("removed"));
                rest.retain(|message| message.seq != seq);
            }
            store.checkpoint(b"one less").expect("durable");
        }
        assert_whole(&open(&fs), &rest);
    }
}

#[test]
fn a_missing_segment_is_damage_and_not_absence() {
    let pristine = SimFs::new(7);
    prepared(&pristine);
    for path in paths(&pristine, ".seg") {
        for end in [".none", ".idx"] {
            let fs = SimFs::new(7);
            let originals = prepared(&fs);
            fs.remove_file(&path).expect("removed");
            paths(&fs, end)
                .iter()
                .for_each(|path| fs.remove_file(path).expect("removed"));
            check_damaged(&fs, &originals);
        }
    }
}

#[test]
fn a_damaged_sidecar_is_not_believed() {
    let fs = SimFs::new(7);
    let originals = prepared(&fs);
    for path in paths(&fs, ".idx") {
        fs.flip_bit(&path, size(&fs, &path) / 2, 3)
            .expect("flipped");
    }
    assert_whole(&open(&fs), &originals);
}

#[test]
fn damage_that_was_removed_is_forgotten() {
    let fs = SimFs::new(7);
    prepared(&fs);
    let path = &paths(&fs, ".seg")[0];
    fs.flip_bit(path, 40, 0).expect("flipped");
    let mut store = open(&fs);
    assert!(matches!(store.get(2), Ok(Some(_))));
    assert!(matches!(store.get(1), Err(Error::Damaged { seq: 1 })));
    store.checkpoint(b"noted").expect("durable");
    drop(store);
    let mut store = open(&fs);
    assert_eq!(store.damaged(), [1]);
    assert!(store.remove(1, Erase::No).expect("removed"));
    assert!(store.damaged().is_empty());
    store.checkpoint(b"gone").expect("durable");
    assert!(open(&fs).damaged().is_empty());
}

#[test]
fn a_damaged_manifest_gives_way_to_the_one_before() {
    let fs = SimFs::new(7);
    let originals = prepared(&fs);
    let mut store = open(&fs);
    store.purge(&Purge::everything()).expect("purged");
    put(&mut store, 21, "c");
    store.checkpoint(b"newest").expect("durable");
    drop(store);
    let newest = Path::new("/store/manifest.0");
    fs.flip_bit(newest, 20, 1).expect("flipped");
    let store = open(&fs);
    assert_eq!(store.seal().as_deref(), Some(&b"sealed"[..]));
    assert_eq!(store.state().messages, originals.len() as u64);
    assert!(store.get(21).expect("readable").is_none());
    // The purged segments are deleted already, which shows as damage and never as absence.
    assert!(matches!(store.get(1), Err(Error::Damaged { seq: 1 })));
    drop(store);
    fs.flip_bit(Path::new("/store/manifest.1"), 20, 1)
        .expect("flipped");
    let failed = FileStore::open(Arc::new(fs.clone()), "/store", TINY);
    assert!(matches!(failed.err(), Some(Error::Manifest { .. })));
}

/// A process dies after a manifest got its name but before the name was durable.
#[test]
fn a_checkpoint_seen_after_a_restart_survives_a_crash() {
    for seed in 0..20 {
        let fs = SimFs::new(seed);
        let mut store = open(&fs);
        put(&mut store, 1, "a");
        store.checkpoint(b"first").expect("durable");
        put(&mut store, 2, "a");
        // Nothing but the name of the manifest needs the directory, because the segment is there.
        fs.fail_next(SimOp::SyncDir);
        assert!(store.checkpoint(b"second").is_err());
        drop(store);
        fs.kill();
        let seal = open(&fs).seal();
        fs.crash();
        assert_eq!(open(&fs).seal(), seal);
    }
}

#[test]
fn a_small_stream_costs_the_disk_little() {
    let fs = SimFs::new(7);
    let options = crate::FileOptions::default();
    let open = || FileStore::open(Arc::new(fs.clone()), "/store", options).expect("opened");
    let mut store = open();
    let before = fs.counters();
    for seq in 1..=100 {
        put(&mut store, seq, "a");
        store.get(seq).expect("readable").expect("there");
        if seq % 2 == 0 {
            store.remove(seq, Erase::No).expect("removed");
        }
    }
    assert_eq!(fs.counters(), before, "what is young lives in memory");
    store.checkpoint(b"one").expect("durable");
    let after = fs.counters();
    assert_eq!(
        (after.writes - before.writes, after.syncs - before.syncs),
        (2, 2)
    );
    drop(store);
    let store = open();
    let before = fs.counters();
    assert_eq!(
        (1..=100)
            .filter_map(|seq| store.get(seq).expect("readable"))
            .count(),
        50
    );
    assert_eq!(
        fs.counters().reads - before.reads,
        1,
        "a sequential reader reads ahead"
    );
}

#[test]
fn a_full_device_loses_nothing() {
    let fs = SimFs::new(7);
    let mut store = open(&fs);
    put(&mut store, 1, "a");
    store.checkpoint(b"one").expect("durable");
    fs.set_capacity_bytes(Some(400));
    for seq in 2..=40 {
        put(&mut store, seq, "a");
    }
    assert!(store.is_full());
    assert!(matches!(store.checkpoint(b"two"), Err(Error::Full)));
    let seqs = |store: &FileStore| -> Vec<u64> {
        (1..=40)
            .filter(|seq| store.get(*seq).expect("readable").is_some())
            .collect()
    };
    assert_eq!(seqs(&store), (1..=40).collect::<Vec<_>>());
    fs.set_capacity_bytes(None);
    store.checkpoint(b"two").expect("durable");
    assert!(!store.is_full());
    drop(store);
    fs.crash();
    let store = open(&fs);
    assert_eq!(store.seal().as_deref(), Some(&b"two"[..]));
    assert_eq!(seqs(&store), (1..=40).collect::<Vec<_>>());
}

#[test]
fn a_failed_sync_is_final() {
    let fs = SimFs::new(7);
    let mut store = open(&fs);
    put(&mut store, 1, "a");
    store.checkpoint(b"one").expect("durable");
    put(&mut store, 2, "a");
    fs.fail_next_sync();
    assert!(matches!(store.checkpoint(b"two"), Err(Error::SyncFailed)));
    assert!(matches!(store.checkpoint(b"two"), Err(Error::SyncFailed)));
    drop(store);
    fs.crash();
    let store = open(&fs);
    assert_eq!(store.seal().as_deref(), Some(&b"one"[..]));
    assert_eq!(store.state().last_seq, 1);
}

#[test]
fn erased_bytes_leave_the_disk() {
    let fs = SimFs::new(7);
    let mut store = open(&fs);
    for seq in 1..=20 {
        put(&mut store, seq, "a");
    }
    store.checkpoint(b"one").expect("durable");
    put(&mut store, 21, "a");
    // The last message is still in memory, the others are in finished and unfinished segments.
    let erased = [2, 9, 19, 20, 21];
    for seq in erased {
        assert!(store.remove(seq, Erase::Yes).expect("removed"));
    }
    store.checkpoint(b"two").expect("durable");
    store.checkpoint(b"three").expect("durable");
    drop(store);
    fs.crash();
    let files = paths(&fs, ".seg");
    let bytes: Vec<u8> = files
        .iter()
        .flat_map(|path| read_file(&fs, path, 1 << 20).expect("readable"))
        .collect();
    let holds = |seq: u64| {
        let payload = format!("payload {seq}");
        bytes.windows(payload.len() + 1).any(|window| {
            window.starts_with(payload.as_bytes()) && !window[payload.len()].is_ascii_digit()
        })
    };
    assert!(holds(8) && holds(18));
    assert!(!erased.into_iter().any(holds));
    let store = open(&fs);
    assert!(store.damaged().is_empty());
    assert_eq!(store.state().messages, 16);
}

#[test]
fn removed_messages_give_their_room_back() {
    let fs = SimFs::new(7);
    let mut store = open(&fs);
    for seq in 1..=400 {
        put(&mut store, seq, if seq % 10 == 0 { "keep" } else { "drop" });
    }
    store.checkpoint(b"full").expect("durable");
    let used = |fs: &SimFs| {
        paths(fs, ".seg")
            .iter()
            .map(|path| size(fs, path))
            .sum::<u64>()
    };
    let before = (used(&fs), paths(&fs, ".seg").len());
    let purge = Purge {
        filters: filters(&["drop"]),
        before_seq: u64::MAX,
        keep: 0,
    };
    assert_eq!(store.purge(&purge).expect("purged"), 360);
    for seal in ["one", "two", "three"] {
        store.checkpoint(seal.as_bytes()).expect("durable");
    }
    assert!(
        used(&fs) * 8 < before.0,
        "{} of {} bytes",
        used(&fs),
        before.0
    );
    assert!(paths(&fs, ".seg").len() * 5 < before.1);
    let kept = |store: &FileStore| {
        (1..=40).all(|at| {
            store
                .get(at * 10)
                .expect("readable")
                .is_some_and(|m| m.seq == at * 10)
        })
    };
    assert!(kept(&store));
    drop(store);
    fs.crash();
    let mut store = open(&fs);
    assert!(kept(&store));
    store.purge(&Purge::everything()).expect("purged");
    store.checkpoint(b"empty").expect("durable");
    store.checkpoint(b"empty").expect("durable");
    assert!(paths(&fs, ".seg").is_empty() && paths(&fs, ".idx").is_empty());
}

/// Whoever publishes a message chooses its payload, also one that looks like a record.
#[test]
fn a_record_within_a_payload_is_not_taken_for_one() {
    let fs = SimFs::new(7);
    let mut store = open(&fs);
    let new = |seq, payload| crate::store::NewMessage {
        seq,
        time_ns: 0,
        subject: b"forged",
        headers: b"",
        payload,
    };
    let forged = super::record::encode(new(2, b"not sent"));
    store.append(1, 0, b"a", b"", &forged).expect("stored");
    store.append(2, 0, b"a", b"", b"sent").expect("stored");
    store.checkpoint(b"one").expect("durable");
    drop(store);
    fs.flip_bit(&paths(&fs, ".seg")[0], 12, 0).expect("flipped");
    let store = open(&fs);
    assert_eq!(store.damaged(), [1]);
    assert_eq!(
        &store.get(2).expect("readable").expect("there").payload[..],
        b"sent"
    );
}
