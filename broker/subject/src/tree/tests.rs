use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn literal() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        4 => "[ab]{1,3}",
        1 => Just("*a".to_owned()),
        1 => Just("a token much longer than a fragment holds inline".to_owned()),
        1 => "[!-)+,/-]",
    ];
    proptest::collection::vec(token, 1..5).prop_map(|tokens| tokens.join("."))
}

fn filter() -> impl Strategy<Value = String> {
    let token =
        prop_oneof![4 => "[ab]{1,3}", 2 => Just("*".to_owned()), 1 => Just("*a".to_owned())];
    (proptest::collection::vec(token, 0..5), any::<bool>()).prop_map(|(mut tokens, rest)| {
        if rest || tokens.is_empty() {
            tokens.push(">".to_owned());
        }
        tokens.join(".")
    })
}

/// Subjects come in clusters, so that they share prefixes and are prefixes of each other.
fn changes() -> impl Strategy<Value = Vec<(String, Option<u32>)>> {
    proptest::collection::vec(
        (literal(), proptest::option::weighted(0.7, any::<u32>())),
        0..120,
    )
}

fn matching(naive: &BTreeMap<Vec<u8>, u32>, filter: &[u8]) -> Vec<(Vec<u8>, u32)> {
    let matching = naive
        .iter()
        .filter(|(subject, _)| crate::matches(filter, subject));
    matching
        .map(|(subject, value)| (subject.clone(), *value))
        .collect()
}

fn found(tree: &SubjectTree<u32>, filter: &[u8]) -> Vec<(Vec<u8>, u32)> {
    tree.iter_matching(filter)
        .map(|(subject, value)| (subject, *value))
        .collect()
}

proptest! {
    #[test]
    fn agrees_with_an_ordered_map(
        changes in changes(),
        filters in proptest::collection::vec(filter(), 1..8),
    ) {
        let mut tree = SubjectTree::new();
        let mut naive = BTreeMap::new();
        for (subject, value) in changes {
            let key = subject.as_bytes();
            match value {
                Some(value) => {
                    prop_assert_eq!(tree.insert(key, value), naive.insert(key.to_vec(), value));
                }
                None => prop_assert_eq!(tree.remove(key), naive.remove(key)),
            }
            prop_assert_eq!(tree.len(), naive.len());
            prop_assert_eq!(tree.is_empty(), naive.is_empty());
            prop_assert_eq!(tree.get(key), naive.get(key));
        }
        for filter in filters.iter().map(String::as_bytes) {
            prop_assert_eq!(found(&tree, filter), matching(&naive, filter));
        }
        let all: Vec<_> = naive.keys().cloned().collect();
        prop_assert_eq!(tree.iter().map(|(subject, _)| subject).collect::<Vec<_>>(), all.clone());
        for subject in all {
            prop_assert_eq!(found(&tree, &subject).len(), 1);
            prop_assert_eq!(tree.remove(&subject), naive.remove(&subject));
            prop_assert_eq!(tree.get(&subject), None);
        }
        prop_assert!(tree.is_empty());
        prop_assert_eq!(tree.branches.len(), 0);
    }
}

#[test]
fn visiting_changes_values_and_stops_when_told() {
    let mut tree = SubjectTree::new();
    for subject in ["a.1", "a.2", "b.1", "a.3"] {
        tree.insert(subject.as_bytes(), 0);
    }
    let all = tree.visit_mut(b"a.*", |_, value| {
        *value += 1;
        ControlFlow::<()>::Continue(())
    });
    assert!(all.is_continue());
    let first = tree.visit(b"*.1", |subject, value| {
        ControlFlow::Break((subject.to_vec(), *value))
    });
    assert_eq!(first, ControlFlow::Break((b"a.1".to_vec(), 1)));
    assert_eq!(tree.get(b"b.1"), Some(&0));
    assert_eq!(tree.get(b"a.3"), Some(&1));
}

#[test]
fn get_or_insert_makes_a_value_once() {
    let mut tree = SubjectTree::new();
    *tree.get_or_insert_with(b"a.b", || 1) += 1;
    *tree.get_or_insert_with(b"a.b", || 100) += 1;
    assert_eq!(tree.get(b"a.b"), Some(&3));
}

#[test]
fn many_subjects_are_found_and_numbers_are_reused() {
    let mut tree = SubjectTree::new();
    let subject = |n: u32| format!("orders.{}.{}", n % 97, n);
    for n in 0..20_000 {
        tree.insert(subject(n).as_bytes(), n);
    }
    for n in (0..20_000).step_by(2) {
        assert_eq!(tree.remove(subject(n).as_bytes()), Some(n));
    }
    for n in (0..20_000).step_by(2) {
        tree.insert(subject(n).as_bytes(), n);
    }
    assert_eq!(tree.len(), 20_000);
    assert_eq!(
        tree.iter_matching(b"orders.5.>").count(),
        20_000usize.div_ceil(97)
    );
    assert!((0..20_000).all(|n| tree.get(subject(n).as_bytes()) == Some(&n)));
}
