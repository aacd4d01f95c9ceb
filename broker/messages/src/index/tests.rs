//! The index against the simplest thing that gives the same answers.

use bytes::Bytes;
use proptest::prelude::*;

use crate::Filters;

use super::Index;

const SUBJECTS: &[&str] = &[
    "a", "b", "a.1", "a.2", "a.2.x", "b.1", "b.2", "b.3", "c.1.x", "c.2.x", "c.3.y",
];

fn filters_under_test() -> Vec<Filters> {
    let sets: &[&[&str]] = &[
        &[],
        &["a"],
        &["a.*"],
        &["*.*.x"],
        &["a", "b.2"],
        &["b.>"],
        &["nothing"],
        &["nothing.*"],
        &["n.5"],
        &["n.*"],
        &["n.>", "a"],
    ];
    let to_filters = |set: &&[&str]| Filters::new(set.iter().map(|s| Bytes::from(s.to_string())));
    sets.iter().map(to_filters).collect()
}

#[derive(Default)]
struct Model {
    messages: Vec<(u64, String)>,
}

impl Model {
    fn matching<'a>(&'a self, filters: &'a Filters) -> impl DoubleEndedIterator<Item = u64> + 'a {
        let fits = |(_, subject): &&(u64, String)| filters.matches(subject.as_bytes());
        self.messages.iter().filter(fits).map(|(seq, _)| *seq)
    }

    fn last_per_subject(&self, filters: &Filters, up_to: u64) -> Vec<u64> {
        let is_last = |seq: &u64| {
            let subject = &self
                .messages
                .iter()
                .find(|(s, _)| s == seq)
                .expect("listed")
                .1;
            let later = self
                .messages
                .iter()
                .filter(|(s, name)| s > seq && name == subject);
            !later.clone().any(|(s, _)| *s <= up_to)
        };
        self.matching(filters)
            .filter(|seq| *seq <= up_to)
            .filter(is_last)
            .collect()
    }
}

#[derive(Debug, Clone)]
enum Step {
    Append { gap: u64, subject: String },
    Remove { pick: usize },
    RemoveNewest { pick: usize },
    NewBlock,
    ShrinkBlock { pick: usize },
    Clear,
}

fn step() -> impl Strategy<Value = Step> {
    let gap = prop_oneof![9 => Just(1u64), 1 => 2u64..5];
    let subject = prop_oneof![
        3 => proptest::sample::select(SUBJECTS).prop_map(str::to_string),
        1 => (0..40).prop_map(|n| format!("n.{n}")),
    ];
    prop_oneof![
        20 => (gap, subject).prop_map(|(gap, subject)| Step::Append { gap, subject }),
        10 => any::<usize>().prop_map(|pick| Step::Remove { pick }),
        4 => (0usize..4).prop_map(|pick| Step::RemoveNewest { pick }),
        3 => Just(Step::NewBlock),
        2 => any::<usize>().prop_map(|pick| Step::ShrinkBlock { pick }),
        1 => Just(Step::Clear),
    ]
}

fn apply(index: &mut Index<()>, model: &mut Model, step: Step) {
    match step {
        Step::Append { gap, subject } => {
            let seq = index.last_seq + gap;
            if index.blocks.is_empty() {
                index.open_block(seq, ());
            }
            index.append(seq, subject.as_bytes(), 10);
            model.messages.push((seq, subject));
        }
        Step::Remove { pick } if !model.messages.is_empty() => {
            let at = pick % model.messages.len();
            remove(index, model, at);
        }
        Step::RemoveNewest { pick } if model.messages.len() > pick => {
            let at = model.messages.len() - 1 - pick;
            remove(index, model, at);
        }
        Step::NewBlock => index.open_block(index.last_seq + 1, ()),
        Step::ShrinkBlock { pick } if !index.blocks.is_empty() => {
            let at = pick % index.blocks.len();
            index.blocks[at].drop_dead();
        }
        Step::Clear if model.messages.len() > 40 => {
            index.take_all();
            model.messages.clear();
        }
        _ => {}
    }
}

fn remove(index: &mut Index<()>, model: &mut Model, at: usize) {
    let (seq, _) = model.messages.remove(at);
    let found = index.remove(seq).expect("the model has it");
    index.take_if_empty(found.at.block);
    assert!(index.remove(seq).is_none());
}

fn compare(index: &Index<()>, model: &Model, filters: &Filters, probe: u64) {
    let from: Vec<u64> = model
        .matching(filters)
        .filter(|seq| *seq >= probe)
        .collect();
    assert_eq!(
        index.next_matching(filters, probe),
        from.first().copied(),
        "next {filters:?}"
    );
    assert_eq!(
        index.count_matching(filters, probe),
        from.len() as u64,
        "count {filters:?}"
    );
    let last = model.matching(filters).rfind(|seq| *seq <= probe);
    assert_eq!(
        index.last_matching(filters, probe),
        last,
        "last {filters:?}"
    );
    let per_subject = model.last_per_subject(filters, probe);
    assert_eq!(
        index.last_per_subject(filters, probe),
        per_subject,
        "per subject {filters:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The filters are kept over the whole history, so that what they remember is tested too.
    #[test]
    fn answers_like_a_plain_list(steps in prop::collection::vec((step(), any::<u64>()), 1..120)) {
        let (mut index, mut model) = (Index::new(), Model::default());
        let filters = filters_under_test();
        for (step, probe) in steps {
            apply(&mut index, &mut model, step);
            let probe = probe % (index.last_seq + 3);
            filters.iter().for_each(|filters| compare(&index, &model, filters, probe));
            prop_assert_eq!(index.live, model.messages.len() as u64);
        }
        for filters in &filters {
            (0..index.last_seq + 2).for_each(|probe| compare(&index, &model, filters, probe));
        }
    }
}

/// Rare subjects among many others, where the chain is the way to go.
#[test]
fn finds_rare_subjects_far_away() {
    let mut index: Index<()> = Index::new();
    let rare = Filters::one("rare");
    let both = Filters::new(["rare", "other"].map(Bytes::from));
    for seq in 1..=50_000u64 {
        if seq % 10_000 == 1 {
            index.open_block(seq, ());
        }
        let subject = if seq % 7_000 == 0 { "rare" } else { "common" };
        index.append(seq, subject.as_bytes(), 100);
    }
    for filters in [&rare, &both] {
        assert_eq!(index.next_matching(filters, 0), Some(7_000));
        assert_eq!(index.next_matching(filters, 7_001), Some(14_000));
        assert_eq!(index.next_matching(filters, 20_000), Some(21_000));
        assert_eq!(index.next_matching(filters, 49_001), None);
        assert_eq!(index.count_matching(filters, 14_001), 5);
        assert_eq!(index.last_matching(filters, 20_999), Some(14_000));
    }
    index.remove(14_000);
    index.remove(49_000);
    assert_eq!(index.next_matching(&rare, 7_001), Some(21_000));
    assert_eq!(index.last_matching(&rare, u64::MAX), Some(42_000));
}

/// A message put back in the middle is found from everywhere, also from dead entries before it.
#[test]
fn identified_messages_join_their_chain() {
    let mut index: Index<()> = Index::new();
    index.open_block(1, ());
    for seq in 1..=9 {
        match seq {
            5 => index.append_unknown(seq, 10),
            _ => index.append(seq, b"s", 10),
        }
    }
    index.remove(4);
    let filters = Filters::one("s");
    assert_eq!(index.next_matching(&filters, 4), Some(6));
    let at = index.position(5).expect("it is there");
    assert!(index.is_unknown(at));
    index.identify(at, 5, b"s");
    let found: Vec<u64> = (1..=9)
        .filter_map(|from| index.next_matching(&filters, from))
        .collect();
    assert_eq!(found, [1, 2, 3, 5, 5, 6, 7, 8, 9]);
    assert_eq!(index.count_matching(&filters, 0), 8);
}
