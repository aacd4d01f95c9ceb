//! The log against a simple model, with crashes at any moment.
//!
//! Every change is written down as small steps, in the order in which the log takes them. After a
//! crash the log must look as after some number of steps, and not fewer than were acknowledged.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;

const GROUPS: u64 = 4;

/// One call, relative to the state it meets.
#[derive(Clone, Debug)]
enum Op {
    Append {
        group: u64,
        count: u64,
        len: usize,
    },
    Truncate {
        group: u64,
        back: u64,
    },
    Purge {
        group: u64,
        ahead: u64,
    },
    Value {
        group: u64,
        key: u8,
        len: usize,
        lazy: bool,
    },
    Remove {
        group: u64,
    },
    Commit,
    CommitAll,
    /// Move the clock, sync if that is due.
    Pass,
    Fail(SimOp),
    Capacity {
        segments: Option<u64>,
    },
    Crash,
    Kill,
    Reopen,
}

/// One record, as the model sees it.
#[derive(Clone, Debug)]
enum Step {
    Start { group: u64, index: u64 },
    Push { group: u64, bytes: Bytes },
    Truncate { group: u64, index: u64 },
    Purge { group: u64, first: u64 },
    Value { group: u64, key: u8, bytes: Bytes },
    Remove { group: u64 },
}

#[derive(Clone, Debug, Default, PartialEq)]
struct GroupModel {
    first: u64,
    entries: Vec<Bytes>,
    values: BTreeMap<u8, Bytes>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    groups: BTreeMap<u64, GroupModel>,
}

impl Model {
    fn apply(&mut self, step: &Step) {
        match step {
            Step::Start { group, index } => self.group(*group).first = *index,
            Step::Push { group, bytes } => self.group(*group).entries.push(bytes.clone()),
            Step::Truncate { group, index } => {
                let model = self.group(*group);
                model.entries.truncate((index - model.first) as usize);
            }
            Step::Purge { group, first } => {
                let model = self.group(*group);
                let gone = (first - model.first).min(model.entries.len() as u64);
                model.entries.drain(..gone as usize);
                model.first = *first;
            }
            Step::Value { group, key, bytes } => {
                self.group(*group).values.insert(*key, bytes.clone());
            }
            Step::Remove { group } => {
                self.groups.remove(group);
            }
        }
    }

    fn group(&mut self, group: u64) -> &mut GroupModel {
        self.groups.entry(group).or_default()
    }

    /// What the log says, in the form of the model.
    fn of(wal: &Wal) -> Result<Model, String> {
        let mut model = Model::default();
        for id in wal.groups() {
            let log = wal.log(id);
            let (first, next) = (log.first_index(), log.next_index());
            let mut entries = Vec::new();
            while first + (entries.len() as u64) < next {
                let from = first + entries.len() as u64;
                entries.extend(
                    log.read(from..next, 2000)
                        .map_err(|error| error.to_string())?,
                );
            }
            let values = (0..=3)
                .filter_map(|key| Some((key, log.state(key)?)))
                .collect();
            model.groups.insert(
                id.0,
                GroupModel {
                    first,
                    entries,
                    values,
                },
            );
        }
        Ok(model)
    }
}

struct Run {
    fs: SimFs,
    clock: TestClock,
    options: Options,
    wal: Wal,
    /// What was surely on the disk when the log was opened.
    base: Model,
    /// All that was asked for since.
    now: Model,
    steps: Vec<Step>,
    acked: Arc<AtomicUsize>,
    /// How many steps a sync was seen to cover, when answers do not mean that.
    flushed: usize,
    serial: u64,
}

impl Run {
    fn new(seed: u64, configure: impl FnOnce(&mut Options)) -> Run {
        let (fs, clock) = (SimFs::new(seed), TestClock::default());
        let mut options = Options {
            now: clock.now(),
            batch_limit_bytes: 2000,
            ..small_options()
        };
        options.on_fatal = Arc::new(|_| {});
        configure(&mut options);
        let wal = Wal::open(Arc::new(fs.clone()), &dir(), options.clone()).unwrap();
        let (base, now) = (Model::default(), Model::default());
        let acked = Arc::default();
        Run {
            fs,
            clock,
            options,
            wal,
            base,
            now,
            steps: vec![],
            acked,
            flushed: 0,
            serial: 0,
        }
    }

    fn run(&mut self, ops: &[Op]) -> Result<(), String> {
        for op in ops {
            self.step(op)
                .map_err(|error| format!("at {op:?}: {error}"))?;
        }
        self.fs.crash();
        self.reopen(false)?;
        self.wal.close().map_err(|error| error.to_string())?;
        self.reopen(true)
    }

    fn step(&mut self, op: &Op) -> Result<(), String> {
        match *op {
            Op::Append { group, count, len } => self.append(group, count, len),
            Op::Truncate { group, back } => self.truncate(group, back),
            Op::Purge { group, ahead } => self.purge(group, ahead),
            Op::Value {
                group,
                key,
                len,
                lazy,
            } => self.set_value(group, key, len, lazy),
            Op::Remove { group } => {
                if self.wal.remove(GroupId(group)).is_ok() {
                    self.note(Step::Remove { group });
                }
            }
            Op::Commit => {
                self.wal.commit_pending();
            }
            Op::CommitAll => commit_all(&self.wal),
            Op::Pass => {
                self.clock.advance(Duration::from_millis(400));
                let acked = self.acked.load(Ordering::Relaxed);
                if self.wal.flush_interval_due() {
                    self.flushed = acked;
                }
            }
            Op::Fail(op) => self.fs.fail_next(op),
            Op::Capacity { segments } => {
                self.fs
                    .set_capacity_bytes(segments.map(|segments| segments * SEGMENT));
            }
            Op::Crash => {
                self.fs.crash();
                return self.reopen(false);
            }
            Op::Kill => {
                self.fs.kill();
                return self.reopen(false);
            }
            Op::Reopen => {
                let clean = self.wal.close().is_ok();
                return self.reopen(clean);
            }
        }
        match Model::of(&self.wal)? == self.now {
            true => Ok(()),
            false => Err("what was asked for is not readable at once".into()),
        }
    }

    fn append(&mut self, group: u64, count: u64, len: usize) {
        let log = self.wal.log(GroupId(group));
        let fresh = !self.now.groups.get(&group).is_some_and(started);
        let first = if fresh {
            self.serial % 3
        } else {
            log.next_index()
        };
        let entries: Vec<Bytes> = (0..count).map(|_| self.bytes(len)).collect();
        let steps = count as usize + usize::from(fresh && !self.has_floor(group));
        let done = self.done(steps);
        if log.append(first, entries.clone(), done).is_ok() {
            if steps > count as usize {
                self.note(Step::Start {
                    group,
                    index: first,
                });
            }
            for bytes in entries {
                self.note(Step::Push { group, bytes });
            }
        }
    }

    fn truncate(&mut self, group: u64, back: u64) {
        let Some(model) = self.now.groups.get(&group).filter(|model| started(model)) else {
            return;
        };
        let kept = (model.entries.len() as u64).saturating_sub(back);
        let index = model.first + kept;
        let done = self.done(1);
        if self
            .wal
            .log(GroupId(group))
            .truncate_from(index, done)
            .is_ok()
        {
            self.note(Step::Truncate { group, index });
        }
    }

    fn purge(&mut self, group: u64, ahead: u64) {
        let Some(model) = self.now.groups.get(&group).filter(|model| started(model)) else {
            return;
        };
        let first = model.first + ahead + 1;
        if self.wal.log(GroupId(group)).purge_to(first - 1).is_ok() {
            self.note(Step::Purge { group, first });
        }
    }

    fn set_value(&mut self, group: u64, key: u8, len: usize, lazy: bool) {
        let log = self.wal.log(GroupId(group));
        let bytes = self.bytes(len);
        let done = self.done(1);
        let result = match lazy {
            true => log.set_state_lazy(key, bytes.clone()),
            false => log.set_state(key, bytes.clone(), done),
        };
        if result.is_ok() {
            self.note(Step::Value { group, key, bytes });
        }
    }

    fn has_floor(&self, group: u64) -> bool {
        self.now.groups.get(&group).is_some_and(started)
    }

    fn note(&mut self, step: Step) {
        self.now.apply(&step);
        self.steps.push(step);
    }

    /// An answer that covers all steps so far and the next few.
    fn done(&self, steps: usize) -> impl FnOnce(Result<(), Error>) + Send + 'static {
        let (acked, covered) = (self.acked.clone(), self.steps.len() + steps);
        move |result| {
            if result.is_ok() {
                acked.fetch_max(covered, Ordering::Relaxed);
            }
        }
    }

    /// Bytes unlike any before.
    fn bytes(&mut self, len: usize) -> Bytes {
        self.serial += 1;
        let mut bytes = self.serial.to_le_bytes().to_vec();
        bytes.resize(len.max(8), self.serial as u8);
        bytes.into()
    }

    /// Opens the log again and finds out how many steps it kept.
    fn reopen(&mut self, clean: bool) -> Result<(), String> {
        self.fs.set_capacity_bytes(None);
        let opened = Wal::open(Arc::new(self.fs.clone()), &dir(), self.options.clone());
        self.wal = match opened {
            Ok(wal) => wal,
            // A failure that a test asked for may hit the opening; then the machine stops again.
            Err(_) => {
                self.fs.crash();
                Wal::open(Arc::new(self.fs.clone()), &dir(), self.options.clone())
                    .map_err(|error| error.to_string())?
            }
        };
        if !self.wal.damaged().is_empty() {
            return Err(format!("damage after a crash: {:?}", self.wal.damaged()));
        }
        let found = Model::of(&self.wal)?;
        let floor = match (clean, self.options.sync) {
            (true, _) => self.steps.len(),
            (false, SyncPolicy::Always) => self.acked.load(Ordering::Relaxed),
            (false, SyncPolicy::Interval(_)) => self.flushed,
        };
        self.adopt(found, floor)
    }

    fn adopt(&mut self, found: Model, floor: usize) -> Result<(), String> {
        let mut model = std::mem::take(&mut self.base);
        for (taken, step) in self.steps.iter().enumerate() {
            if taken >= floor && model == found {
                break;
            }
            model.apply(step);
        }
        if model != found {
            let total = self.steps.len();
            return Err(format!(
                "no number of steps from {floor} to {total} explains {found:?}; all: {model:?}"
            ));
        }
        self.base = model.clone();
        self.now = model;
        self.steps.clear();
        self.flushed = 0;
        self.acked = Arc::default();
        Ok(())
    }
}

/// Whether the log of the group ever held anything. The model starts logs at 0 to 2, so a group
/// known only by its values must not look like one that starts at 0.
fn started(model: &GroupModel) -> bool {
    model.first > 0 || !model.entries.is_empty()
}

fn op() -> impl Strategy<Value = Op> {
    let group = || 0..GROUPS;
    let failing = prop::sample::select(vec![
        SimOp::Write,
        SimOp::Sync,
        SimOp::SyncDir,
        SimOp::Rename,
        SimOp::Allocate,
    ]);
    prop_oneof![
        12 => (group(), 1u64..5, 0usize..1500)
            .prop_map(|(group, count, len)| Op::Append { group, count, len }),
        2 => (group(), 0u64..6).prop_map(|(group, back)| Op::Truncate { group, back }),
        4 => (group(), 0u64..12).prop_map(|(group, ahead)| Op::Purge { group, ahead }),
        4 => (group(), 0u8..3, 0usize..100, any::<bool>())
            .prop_map(|(group, key, len, lazy)| Op::Value { group, key, len, lazy }),
        1 => group().prop_map(|group| Op::Remove { group }),
        6 => Just(Op::Commit),
        4 => Just(Op::CommitAll),
        2 => Just(Op::Pass),
        1 => failing.prop_map(Op::Fail),
        1 => prop::option::of(2u64..5).prop_map(|segments| Op::Capacity { segments }),
        2 => Just(Op::Crash),
        1 => Just(Op::Kill),
        1 => Just(Op::Reopen),
    ]
}

fn check(cases: u32, configure: impl Fn(&mut Options)) -> Result<(), String> {
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new(config);
    let input = (any::<u64>(), prop::collection::vec(op(), 1..150));
    let result = runner.run(&input, |(seed, ops)| {
        Run::new(seed, &configure)
            .run(&ops)
            .map_err(TestCaseError::fail)
    });
    result.map_err(|error| error.to_string())
}

#[test]
fn nothing_acknowledged_is_lost() {
    check(150, |_| {}).unwrap();
}

#[test]
fn nothing_synced_is_lost_when_answers_come_before_the_sync() {
    let sync = SyncPolicy::Interval(Duration::from_secs(1));
    check(100, |options| options.sync = sync).unwrap();
}

/// The model must notice the one bug that matters most.
#[test]
fn an_answer_before_the_sync_is_caught() {
    let result = check(150, |options| options.acknowledge_before_sync = true);
    let error = result.expect_err("the model did not notice a lost acknowledged write");
    assert!(error.contains("no number of steps"), "{error}");
}
