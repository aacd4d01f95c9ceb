//! Messages that are stored again on another subject at times they say.
//!
//! A message with a `Nats-Schedule` stays where it is and is the schedule. What it makes and when
//! is decided here, with the time of commands: a leader only has to propose a tick in time.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use messages::{Filters, Purge, StoredMessage};
use wire::headers::Builder;

use super::StreamMachine;
use super::effect::{Changes, Effect};
use super::headers::{self, PublishHeaders};
use super::publish::{Origin, Refusal};
use crate::codec::{Damaged, Reader, Writer};
use crate::command::Publish;
use crate::config::StreamConfig;
use crate::error::ApiError;
use crate::schedule::{Invalid, Schedule};
use crate::timestamp::Timestamp;

/// Most schedules in an encoded state.
const MAX_SCHEDULES: usize = 256 * 1024 * 1024;
/// Longest subject, bytes.
const MAX_SUBJECT_BYTES: usize = 64 * 1024;
/// Most schedules that one command carries out. The next tick goes on.
const MAX_DUE: usize = 1000;

/// The schedules of a stream: one for each subject that has one.
#[derive(Debug, Default)]
pub(super) struct Schedules {
    by_subject: BTreeMap<Bytes, Entry>,
    by_time: BTreeSet<(i64, Bytes)>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// The message that is the schedule.
    seq: u64,
    due_ns: i64,
}

impl Schedules {
    fn set(&mut self, subject: &Bytes, seq: u64, due_ns: i64) {
        self.remove(subject);
        self.by_subject
            .insert(subject.clone(), Entry { seq, due_ns });
        self.by_time.insert((due_ns, subject.clone()));
    }

    fn remove(&mut self, subject: &Bytes) -> Option<Entry> {
        let entry = self.by_subject.remove(subject)?;
        self.by_time.remove(&(entry.due_ns, subject.clone()));
        Some(entry)
    }

    fn next_due(&self, now_ns: i64) -> Option<Bytes> {
        let (due_ns, subject) = self.by_time.first()?;
        (*due_ns <= now_ns).then(|| subject.clone())
    }

    /// When the next schedule is due, nanoseconds since 1970.
    pub(super) fn next_deadline(&self) -> Option<i64> {
        self.by_time.first().map(|(due_ns, _)| *due_ns)
    }

    pub(super) fn encode(&self, out: &mut Writer) {
        out.u64(self.by_subject.len() as u64);
        for (subject, entry) in &self.by_subject {
            out.bytes(subject);
            out.u64(entry.seq);
            out.i64(entry.due_ns);
        }
    }

    pub(super) fn decode(input: &mut Reader) -> Result<Schedules, Damaged> {
        let mut schedules = Schedules::default();
        for _ in 0..input.count(MAX_SCHEDULES, "schedule count")? {
            let subject = input.bytes(MAX_SUBJECT_BYTES, "schedule subject")?;
            let seq = input.u64("schedule sequence")?;
            schedules.set(&subject, seq, input.i64("schedule time")?);
        }
        Ok(schedules)
    }
}

/// What a message has to do with schedules.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scheduling {
    None,
    /// It is a schedule.
    Begin(Schedule),
    /// It ends the schedule of this subject.
    End(Bytes),
}

/// Judges the headers of schedules.
pub(super) fn judge(
    headers: &PublishHeaders<'_>,
    subject: &[u8],
    config: &StreamConfig,
) -> Result<Scheduling, ApiError> {
    let Some(pattern) = headers.schedule else {
        return judge_end(headers, subject, config);
    };
    if !config.allow_msg_schedules {
        return Err(ApiError::MESSAGE_SCHEDULES_DISABLED);
    }
    let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
    let schedule = Schedule::parse(text(pattern), headers.schedule_time_zone.map(text));
    let schedule = schedule.map_err(|invalid| match invalid {
        Invalid::Pattern => ApiError::MESSAGE_SCHEDULES_PATTERN_INVALID,
        Invalid::TimeZone => ApiError::MESSAGE_SCHEDULES_TIME_ZONE_INVALID,
    })?;
    let is_ours = |other: &[u8]| {
        let ours = config.subjects.iter();
        other != subject
            && subject::is_valid_publish(other)
            && ours
                .into_iter()
                .any(|filter| subject::matches(filter.as_bytes(), other))
    };
    let target = headers.schedule_target.filter(|target| is_ours(target));
    let target = target.ok_or(ApiError::MESSAGE_SCHEDULES_TARGET_INVALID)?;
    if let Some(ttl) = headers.schedule_ttl {
        headers::ttl(ttl).ok_or(ApiError::MESSAGE_SCHEDULES_TTL_INVALID)?;
        if !config.allow_msg_ttl {
            return Err(ApiError::MESSAGE_TTL_DISABLED);
        }
    }
    if headers
        .schedule_source
        .is_some_and(|source| source == target || !is_ours(source))
    {
        return Err(ApiError::MESSAGE_SCHEDULES_SOURCE_INVALID);
    }
    let by_subject = |rollup: Option<&[u8]>| rollup.is_none_or(|rollup| rollup == b"sub");
    if !by_subject(headers.rollup) || !by_subject(headers.schedule_rollup) {
        return Err(ApiError::MESSAGE_SCHEDULES_ROLLUP_INVALID);
    }
    Ok(Scheduling::Begin(schedule))
}

fn judge_end(
    headers: &PublishHeaders<'_>,
    subject: &[u8],
    config: &StreamConfig,
) -> Result<Scheduling, ApiError> {
    let scheduler = headers
        .scheduler
        .filter(|scheduler| *scheduler != subject && subject::is_valid_publish(scheduler));
    match (headers.schedule_next, scheduler) {
        (Some(b"purge"), Some(_)) if !config.allow_msg_schedules => {
            Err(ApiError::MESSAGE_SCHEDULES_DISABLED)
        }
        (Some(b"purge"), Some(scheduler)) => Ok(Scheduling::End(Bytes::copy_from_slice(scheduler))),
        (None, None) if headers.scheduler.is_none() => Ok(Scheduling::None),
        _ => Err(ApiError::MESSAGE_SCHEDULES_SCHEDULER_INVALID),
    }
}

/// A schedule as it is stored: it replaces the one its subject had.
pub(super) fn replacing(message: &Publish) -> Publish {
    let headers = match wire::headers::get(&message.headers, "Nats-Rollup") {
        Some(_) => message.headers.clone(),
        None => Builder::extending(&message.headers)
            .add("Nats-Rollup", "sub")
            .build()
            .into(),
    };
    Publish {
        headers,
        ..message.clone()
    }
}

impl StreamMachine {
    /// Takes note of a message that is stored now.
    pub(super) fn follow_schedule(
        &mut self,
        scheduling: Scheduling,
        subject: &Bytes,
        seq: u64,
        changes: &mut Changes,
    ) -> Result<(), messages::Error> {
        match scheduling {
            Scheduling::None => {}
            Scheduling::Begin(schedule) => match schedule.next_ns(self.now_ns, self.now_ns) {
                Some(due_ns) => self.schedules.set(subject, seq, due_ns),
                None => drop(self.schedules.remove(subject)),
            },
            Scheduling::End(scheduler) => self.end_schedule(&scheduler, changes)?,
        }
        Ok(())
    }

    /// Removes a schedule with its message.
    fn end_schedule(
        &mut self,
        subject: &Bytes,
        changes: &mut Changes,
    ) -> Result<(), messages::Error> {
        self.schedules.remove(subject);
        let before = self.store.state();
        let purge = Purge {
            filters: Filters::one(subject.clone()),
            before_seq: u64::MAX,
            keep: 0,
        };
        if self.store.purge(&purge)? > 0 {
            changes.removed(before.first_seq, before.last_seq);
        }
        Ok(())
    }

    /// Carries out what is due at the stream's time.
    pub(super) fn run_schedules(
        &mut self,
        changes: &mut Changes,
        effects: &mut Vec<Effect>,
    ) -> Result<(), messages::Error> {
        for _ in 0..MAX_DUE {
            let Some(subject) = self.schedules.next_due(self.now_ns) else {
                break;
            };
            let Some(entry) = self.schedules.remove(&subject) else {
                break;
            };
            // A schedule ends with its message.
            if let Some(message) = self.read_to_decide(entry.seq)? {
                self.run_schedule(&subject, entry, &message, changes, effects)?;
            }
        }
        Ok(())
    }

    fn run_schedule(
        &mut self,
        subject: &Bytes,
        entry: Entry,
        message: &StoredMessage,
        changes: &mut Changes,
        effects: &mut Vec<Effect>,
    ) -> Result<(), messages::Error> {
        let headers = PublishHeaders::parse(&message.headers);
        let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
        let pattern = text(headers.schedule.unwrap_or_default());
        let Ok(schedule) = Schedule::parse(pattern, headers.schedule_time_zone.map(text)) else {
            return Ok(());
        };
        let next_ns = match schedule {
            Schedule::At(_) => None,
            schedule => schedule.next_ns(entry.due_ns, self.now_ns),
        };
        let made = self.made_by(subject, message, &headers, next_ns)?;
        match self.publish(&made, Origin::Schedule, changes, effects) {
            // What the stream can not take now is missed, and comes the next time.
            Ok(_) | Err(Refusal::Rule(_)) => {}
            Err(Refusal::Store(error)) => return Err(error),
        }
        match next_ns {
            Some(due_ns) => self.schedules.set(subject, entry.seq, due_ns),
            None => self.end_schedule(subject, changes)?,
        }
        Ok(())
    }

    /// The message that a schedule makes.
    fn made_by(
        &self,
        subject: &Bytes,
        message: &StoredMessage,
        headers: &PublishHeaders<'_>,
        next_ns: Option<i64>,
    ) -> Result<Publish, messages::Error> {
        let source = headers
            .schedule_source
            .and_then(|source| self.store.last_for(source));
        let source = match source {
            Some(seq) => self.read_to_decide(seq)?,
            None => None,
        };
        let content = source.as_ref().unwrap_or(message);
        let kept = wire::headers::without(&content.headers, |name| {
            name.starts_with(b"Nats-Schedule")
                || name.starts_with(b"Nats-Expected-")
                || [&b"Nats-Rollup"[..], b"Nats-TTL", b"Nats-Msg-Id"].contains(&name)
        });
        let next = next_ns.map_or("purge".to_owned(), |due_ns| Timestamp(due_ns).to_string());
        let mut block = Builder::extending(&kept)
            .add("Nats-Scheduler", subject)
            .add("Nats-Schedule-Next", next);
        if let Some(ttl) = headers.schedule_ttl {
            block = block.add("Nats-TTL", ttl);
        }
        if let Some(rollup) = headers.schedule_rollup {
            block = block.add("Nats-Rollup", rollup);
        }
        Ok(Publish {
            subject: Bytes::copy_from_slice(headers.schedule_target.unwrap_or_default()),
            headers: block.build().into(),
            payload: content.payload.clone(),
        })
    }
}
