use bytes::Bytes;

use crate::{Erase, Error, Filters, MessageStore, Purge, ReadLimits, State};

use super::{filters, for_each_store, put};

fn put_all(store: &mut dyn MessageStore, subjects: &[&str]) {
    for subject in subjects {
        let seq = store.state().last_seq + 1;
        put(store, seq, subject);
    }
}

fn live(store: &dyn MessageStore) -> Vec<u64> {
    let everything = Filters::everything();
    let next = |seq: &u64| store.next_matching(&everything, seq + 1);
    std::iter::successors(store.next_matching(&everything, 0), next).collect()
}

#[test]
fn returns_what_was_stored() {
    for_each_store(|store| {
        let headers = b"NATS/1.0\r\nA: b\r\n\r\n";
        store
            .append(1, 11, b"orders.new", headers, b"hello")
            .expect("stored");
        store
            .append(2, 12, b"orders.old", b"", b"")
            .expect("stored");
        let first = store.get(1).expect("readable").expect("there");
        assert_eq!((first.seq, first.time_ns), (1, 11));
        assert_eq!(
            (&first.subject[..], &first.headers[..]),
            (&b"orders.new"[..], &headers[..])
        );
        assert_eq!(&first.payload[..], b"hello");
        let second = store.get(2).expect("readable").expect("there");
        assert!(second.headers.is_empty() && second.payload.is_empty());
        assert!(store.get(0).expect("readable").is_none());
        assert!(store.get(3).expect("readable").is_none());
    });
}

#[test]
fn an_untouched_store_has_nothing() {
    for_each_store(|store| {
        assert_eq!(store.state(), State::default());
        assert_eq!(store.deleted().count(), 0);
        assert!(live(store).is_empty());
        assert!(store.seal().is_none());
        assert_eq!(store.seq_at_time(0).expect("nothing to read"), 1);
    });
}

#[test]
fn sequences_only_go_up() {
    for_each_store(|store| {
        put(store, 5, "a");
        let error = store.append(5, 0, b"a", b"", b"").expect_err("taken");
        assert!(matches!(
            error,
            Error::OutOfOrder {
                seq: 5,
                last_seq: 5
            }
        ));
        put(store, 9, "a");
        assert_eq!(live(store), [5, 9]);
        assert_eq!(store.deleted().collect::<Vec<_>>(), [6..=8]);
        assert_eq!(store.state().num_deleted, 3);
    });
}

#[test]
fn refuses_what_no_record_can_hold() {
    for_each_store(|store| {
        let subject = vec![b'a'; 70_000];
        let error = store
            .append(1, 0, &subject, b"", b"")
            .expect_err("too long");
        assert!(matches!(error, Error::TooLarge { .. }));
        assert_eq!(store.state(), State::default());
    });
}

#[test]
fn state_follows_removals() {
    for_each_store(|store| {
        put_all(store, &["a", "b", "a", "c"]);
        let size = store.message_size(1, 0, "payload 1".len());
        assert_eq!(store.state().bytes, 4 * size);
        assert!(store.remove(1, Erase::No).expect("removed"));
        assert!(!store.remove(1, Erase::Yes).expect("already gone"));
        assert!(store.remove(3, Erase::Yes).expect("removed"));
        let state = store.state();
        assert_eq!((state.messages, state.bytes), (2, 2 * size));
        assert_eq!((state.first_seq, state.first_time_ns), (2, 2_000_000_000));
        assert_eq!((state.last_seq, state.last_time_ns), (4, 4_000_000_000));
        assert_eq!((state.num_deleted, state.num_subjects), (1, 2));
        assert!(store.get(3).expect("readable").is_none());
        store.remove(2, Erase::No).expect("removed");
        store.remove(4, Erase::No).expect("removed");
        let state = store.state();
        assert_eq!((state.messages, state.bytes, state.num_subjects), (0, 0, 0));
        assert_eq!(
            (state.first_seq, state.first_time_ns, state.last_seq),
            (5, 0, 4)
        );
        assert_eq!((state.last_time_ns, state.num_deleted), (4_000_000_000, 0));
    });
}

#[test]
fn knows_its_subjects() {
    for_each_store(|store| {
        put_all(store, &["b.2", "a", "b.1", "a", "b.2", "a"]);
        assert_eq!(
            (store.first_for(b"a"), store.last_for(b"a")),
            (Some(2), Some(6))
        );
        assert_eq!(
            (store.subject_count(b"a"), store.subject_count(b"x")),
            (3, 0)
        );
        assert_eq!((store.first_for(b"x"), store.last_for(b"x")), (None, None));
        let of = |name: &'static str, count| (Bytes::from_static(name.as_bytes()), count);
        let all = store.subjects(&Filters::everything());
        assert_eq!(all, [of("a", 3), of("b.1", 1), of("b.2", 2)]);
        assert_eq!(
            store.subjects(&filters(&["b.*"])),
            [of("b.1", 1), of("b.2", 2)]
        );
        store.remove(6, Erase::No).expect("removed");
        assert_eq!(store.last_for(b"a"), Some(4));
        let everything = Filters::everything();
        assert_eq!(store.last_per_subject(&everything, u64::MAX), [3, 4, 5]);
        assert_eq!(store.last_per_subject(&everything, 2), [1, 2]);
        assert_eq!(store.last_per_subject(&filters(&["b.>"]), 4), [1, 3]);
        assert_eq!(store.last_matching(&filters(&["b.*"]), 4), Some(3));
        assert_eq!(store.last_matching(&filters(&["*"]), u64::MAX), Some(4));
    });
}

#[test]
fn purges_as_asked() {
    for_each_store(|store| {
        let purge = |patterns: &[&str], before_seq, keep| {
            let filters = filters(patterns);
            Purge {
                filters,
                before_seq,
                keep,
            }
        };
        put_all(store, &["a", "b", "a", "b", "a", "b", "c"]);
        assert_eq!(store.purge(&purge(&["a"], u64::MAX, 1)).expect("purged"), 2);
        assert_eq!(live(store), [2, 4, 5, 6, 7]);
        assert_eq!(store.purge(&purge(&["b"], 6, 0)).expect("purged"), 2);
        assert_eq!(live(store), [5, 6, 7]);
        assert_eq!(store.purge(&purge(&[], u64::MAX, 2)).expect("purged"), 1);
        assert_eq!(live(store), [6, 7]);
        assert_eq!(store.purge(&Purge::everything()).expect("purged"), 2);
        assert_eq!((store.state().first_seq, store.state().last_seq), (8, 7));
        put_all(store, &["d"]);
        assert_eq!(live(store), [8]);
    });
}

#[test]
fn compacts_and_skips() {
    for_each_store(|store| {
        store.skip_to(100);
        assert_eq!((store.state().first_seq, store.state().last_seq), (100, 99));
        put_all(store, &["a", "b", "c"]);
        assert_eq!(store.compact(101).expect("compacted"), 1);
        assert_eq!((store.state().first_seq, store.state().messages), (101, 2));
        store.skip_to(50);
        assert_eq!(store.state().last_seq, 102);
        assert_eq!(store.compact(1000).expect("compacted"), 2);
        assert_eq!(
            (store.state().first_seq, store.state().last_seq),
            (1000, 999)
        );
        store.skip_to(u64::from(u32::MAX) * 3);
        put_all(store, &["a"]);
        store.skip_to(u64::from(u32::MAX) * 6);
        put_all(store, &["a"]);
        let a = filters(&["a"]);
        let second = u64::from(u32::MAX) * 6;
        assert_eq!(
            store.next_matching(&a, u64::from(u32::MAX) * 3 + 1),
            Some(second)
        );
        assert_eq!(
            store.get(second).expect("readable").expect("there").seq,
            second
        );
    });
}

#[test]
fn resets_to_the_beginning() {
    for_each_store(|store| {
        put_all(store, &["a", "b", "c", "a", "b", "c"]);
        store.reset();
        assert_eq!(store.state(), State::default());
        put(store, 1, "x");
        assert_eq!(
            &store.get(1).expect("readable").expect("there").subject[..],
            b"x"
        );
        assert_eq!(store.state().first_time_ns, 1_000_000_000);
    });
}

#[test]
fn reads_in_batches() {
    for_each_store(|store| {
        put_all(store, &["a"; 20]);
        store.remove(4, Erase::No).expect("removed");
        let seqs = |from, messages_max, bytes_max| -> Vec<u64> {
            let limits = ReadLimits {
                messages_max,
                bytes_max,
            };
            let batch = store.read_batch(from, limits).expect("readable");
            batch.iter().map(|message| message.seq).collect()
        };
        assert_eq!(seqs(2, 3, usize::MAX), [2, 3, 5]);
        assert_eq!(seqs(19, 10, usize::MAX), [19, 20]);
        assert_eq!(seqs(5, 10, 1), [5]);
        let size = store.message_size(1, 0, "payload 5".len()) as usize;
        assert_eq!(seqs(5, 10, 2 * size), [5, 6]);
        assert!(seqs(21, 10, 100).is_empty());
    });
}

#[test]
fn finds_messages_by_time() {
    for_each_store(|store| {
        put_all(store, &["a"; 40]);
        for seq in (1..=7).chain(20..=31) {
            store.remove(seq, Erase::No).expect("removed");
        }
        let at = |seconds: i64| {
            store
                .seq_at_time(seconds * 1_000_000_000)
                .expect("readable")
        };
        assert_eq!((at(0), at(8), at(9), at(19)), (8, 8, 9, 19));
        assert_eq!((at(20), at(32), at(40), at(41)), (32, 32, 40, 41));
        assert_eq!(store.seq_at_time(9_500_000_000).expect("readable"), 10);
    });
}

#[test]
fn keeps_the_seal() {
    for_each_store(|store| {
        put(store, 1, "a");
        store.checkpoint(b"applied 17").expect("durable");
        assert_eq!(store.seal().as_deref(), Some(&b"applied 17"[..]));
        assert!(!store.is_full() && store.damaged().is_empty());
        let message = store.get(1).expect("readable").expect("there");
        assert!(matches!(
            store.repair(message),
            Err(Error::NotDamaged { seq: 1 })
        ));
    });
}

/// nats-server's formulas: a file store adds 30 bytes and 4 more with headers.
#[test]
fn accounts_like_nats_server() {
    let file = super::open(&storage::fs::SimFs::new(1));
    assert_eq!(file.message_size(3, 0, 10), 22 + 3 + 10 + 8);
    assert_eq!(file.message_size(3, 5, 10), 22 + 3 + 4 + 5 + 10 + 8);
    let memory = crate::MemoryStore::new();
    assert_eq!(memory.message_size(3, 5, 10), 3 + 5 + 10 + 16);
}
