use proptest::prelude::*;

use super::*;

/// The index as the rules define it.
#[derive(Default)]
struct Naive(Vec<(Vec<u8>, Option<Vec<u8>>, u32)>);

impl Naive {
    fn answer(&self, subject: &[u8]) -> Vec<(Option<Vec<u8>>, u32)> {
        let matching = self
            .0
            .iter()
            .filter(|(filter, ..)| crate::matches(filter, subject));
        sorted(
            matching
                .map(|(_, queue, value)| (queue.clone(), *value))
                .collect(),
        )
    }
}

fn answer(list: &Sublist<u32>, subject: &[u8]) -> Vec<(Option<Vec<u8>>, u32)> {
    let mut matches = Matches::default();
    list.match_into(subject, &mut matches);
    let mut names: Vec<_> = matches.queues().iter().map(|group| &group.name).collect();
    names.sort();
    names.dedup();
    assert_eq!(
        names.len(),
        matches.queues().len(),
        "every group is named once"
    );
    assert_eq!(list.has_interest(subject), !matches.is_empty());
    let plain = matches.plain().iter().map(|value| (None, *value));
    let queued = matches.queues().iter().flat_map(|group| {
        group
            .members
            .iter()
            .map(|value| (Some(group.name.clone()), *value))
    });
    sorted(plain.chain(queued).collect())
}

fn sorted<T: Ord>(mut values: Vec<T>) -> Vec<T> {
    values.sort();
    values
}

#[derive(Clone, Debug)]
enum Change {
    Insert(String, Option<String>, u32),
    Remove(usize),
    RemoveOther(String, Option<String>, u32),
}

fn token() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[abc]",
        1 => Just("*".to_owned()),
        1 => Just("*a".to_owned()),
        1 => Just("a-token-longer-than-sixteen-bytes".to_owned()),
    ]
}

fn filter() -> impl Strategy<Value = String> {
    (proptest::collection::vec(token(), 0..5), any::<bool>()).prop_map(|(mut tokens, rest)| {
        if rest || tokens.is_empty() {
            tokens.push(">".to_owned());
        }
        tokens.join(".")
    })
}

fn literal() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        6 => "[abc]",
        1 => Just("*a".to_owned()),
        1 => Just("a-token-longer-than-sixteen-bytes".to_owned())
    ];
    proptest::collection::vec(token, 1..6).prop_map(|tokens| tokens.join("."))
}

fn queue() -> impl Strategy<Value = Option<String>> {
    proptest::option::weighted(0.4, "[qr]")
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => (prop_oneof![filter(), literal()], queue(), 0..4u32)
            .prop_map(|(filter, queue, value)| Change::Insert(filter, queue, value)),
        2 => any::<usize>().prop_map(Change::Remove),
        1 => (filter(), queue(), 0..4u32)
            .prop_map(|(filter, queue, value)| Change::RemoveOther(filter, queue, value)),
    ]
}

fn apply(change: Change, list: &mut Sublist<u32>, naive: &mut Naive) {
    let before = list.generation();
    let (filter, queue, value) = match change {
        Change::Insert(filter, queue, value) => {
            let queue = queue.map(String::into_bytes);
            list.insert(filter.as_bytes(), queue.as_deref(), value);
            naive.0.push((filter.into_bytes(), queue, value));
            assert_ne!(list.generation(), before);
            return;
        }
        Change::Remove(index) if naive.0.is_empty() => (index.to_string().into_bytes(), None, 0),
        Change::Remove(index) => naive.0[index % naive.0.len()].clone(),
        Change::RemoveOther(filter, queue, value) => {
            (filter.into_bytes(), queue.map(String::into_bytes), value)
        }
    };
    let known = naive
        .0
        .iter()
        .position(|entry| *entry == (filter.clone(), queue.clone(), value));
    let removed = list.remove(&filter, queue.as_deref(), &value);
    assert_eq!(removed, known.is_some());
    assert_eq!(removed, list.generation() != before);
    if let Some(index) = known {
        naive.0.swap_remove(index);
    }
}

proptest! {
    #[test]
    fn agrees_with_the_naive_index(
        changes in proptest::collection::vec(change(), 1..60),
        subjects in proptest::collection::vec(literal(), 1..12),
    ) {
        let mut list = Sublist::new();
        let mut naive = Naive::default();
        for change in changes {
            apply(change, &mut list, &mut naive);
            prop_assert_eq!(list.len(), naive.0.len());
        }
        for subject in &subjects {
            let subject = subject.as_bytes();
            prop_assert_eq!(answer(&list, subject), naive.answer(subject));
        }
        let mut seen = Vec::new();
        list.for_each(|subject, queue, value| {
            seen.push((subject.to_vec(), queue.map(<[u8]>::to_vec), *value));
        });
        prop_assert_eq!(sorted(seen), sorted(naive.0.clone()));
        for (subject, queue, value) in naive.0 {
            prop_assert!(list.remove(&subject, queue.as_deref(), &value));
        }
        prop_assert!(list.is_empty());
        prop_assert!(!list.has_interest(b"a"));
    }
}

#[test]
fn one_group_spans_filters() {
    let mut list = Sublist::new();
    list.insert(b"a.*", Some(b"q"), 1);
    list.insert(b"a.b", Some(b"q"), 2);
    list.insert(b">", Some(b"r"), 3);
    let mut matches = Matches::default();
    list.match_into(b"a.b", &mut matches);
    let groups: Vec<_> = matches
        .queues()
        .iter()
        .map(|group| (&*group.name, sorted(group.members.clone())))
        .collect();
    assert_eq!(sorted(groups), [(&b"q"[..], vec![1, 2]), (b"r", vec![3])]);
}

#[test]
fn reused_matches_forget_the_last_answer() {
    let mut list = Sublist::new();
    list.insert(b"a", Some(b"first"), 1);
    list.insert(b"b", Some(b"second"), 2);
    let mut matches = Matches::default();
    list.match_into(b"a", &mut matches);
    list.match_into(b"b", &mut matches);
    assert_eq!(matches.queues().len(), 1);
    assert_eq!(matches.queues()[0].name, b"second");
    assert_eq!(matches.queues()[0].members, [2]);
    list.match_into(b"c", &mut matches);
    assert!(matches.is_empty());
}

#[test]
fn a_deep_and_wide_trie_is_walked_without_recursion() {
    let mut list = Sublist::new();
    let deep = vec!["*"; 2000].join(".");
    list.insert(deep.as_bytes(), None, 1);
    let subject = vec!["a"; 2000].join(".");
    assert_eq!(answer(&list, subject.as_bytes()), [(None, 1)]);
    assert!(list.remove(deep.as_bytes(), None, &1));
    assert!(!list.has_interest(subject.as_bytes()));
}
