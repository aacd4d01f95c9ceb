//! Keeps the segment files in order: starts the next one, reuses the oldest, holds a spare ready.

use std::time::Duration;

use super::group::MAX_SEGMENT;
use super::record::Ending;
use super::segment::{FIRST_RECORD, Segment};
use super::writer::{Core, RETRY_INTERVAL, Writer};
use super::{Damage, Error};

/// What can be done about the oldest segment.
enum Oldest {
    Needed,
    HasValues(u32),
    Free(u32, Segment),
}

impl Core {
    /// Makes the spare the segment to write to; `false` if there is none.
    pub(super) fn next_segment(&self, writer: &mut Writer) -> Result<bool, Error> {
        if writer.synced_to < writer.head {
            self.sync(writer)?;
            self.note_synced(&mut self.shared.lock(), true);
        }
        self.find_spare(writer)?;
        let Some(spare) = writer.spare.take() else {
            return Ok(false);
        };
        let number = writer.number + 1;
        if number > MAX_SEGMENT {
            let reason = "it is the last the format can number".into();
            return Err(Error::Unusable {
                path: self.store.path(writer.number),
                reason,
            });
        }
        let size = self.store.segment_size;
        self.store
            .start_segment(&*spare, number, size, writer.head)?;
        // Before anything is in the next segment this one says that there is one.
        let end = writer.head;
        self.store
            .end_segment(&*writer.file, writer.number, end, Ending::Continued)?;
        writer.file = spare.clone();
        writer.number = number;
        writer.size = self.store.segment_size;
        writer.head = FIRST_RECORD;
        writer.synced_to = FIRST_RECORD;
        let mut shared = self.shared.lock();
        let size = u64::from(writer.size);
        let segment = Segment {
            file: spare,
            size,
            entries: 0,
            values: 0,
            moving: false,
        };
        shared.segments.0.insert(number, segment);
        shared.room = writer.room();
        Ok(true)
    }

    /// Reuses segments that nobody needs and keeps a spare; `true` if anything changed.
    pub(super) fn look_after_files(&self, writer: &mut Writer) -> Result<bool, Error> {
        let mut changed = false;
        loop {
            let oldest = self.oldest(writer.number);
            match oldest {
                Oldest::Needed => break,
                Oldest::HasValues(number) => self.move_values(number),
                Oldest::Free(number, segment) => self.give_up(writer, number, segment)?,
            }
            changed = true;
        }
        let had_spare = writer.spare.is_some();
        self.find_spare(writer)?;
        Ok(changed || had_spare != writer.spare.is_some())
    }

    fn oldest(&self, active: u32) -> Oldest {
        let shared = &mut *self.shared.lock();
        let Some(mut oldest) = shared.segments.0.first_entry() else {
            return Oldest::Needed;
        };
        let number = *oldest.key();
        let segment = oldest.get_mut();
        // A missing segment is noticed by the one before it.
        let damaged = |damage: &Damage| {
            let here = damage.segment == u64::from(number);
            let behind = damage.segment == u64::from(number) + 1 && damage.len == 0;
            (here || behind) && damage.groups != Some(Vec::new())
        };
        if number == active || segment.entries > 0 || shared.damage.iter().any(damaged) {
            return Oldest::Needed;
        }
        if segment.values > 0 {
            let moving = std::mem::replace(&mut segment.moving, true);
            return if moving {
                Oldest::Needed
            } else {
                Oldest::HasValues(number)
            };
        }
        Oldest::Free(number, oldest.remove())
    }

    fn move_values(&self, number: u32) {
        let mut shared = self.shared.lock();
        shared.move_values(number);
        self.wake_writer(shared);
    }

    fn give_up(&self, writer: &mut Writer, number: u32, segment: Segment) -> Result<(), Error> {
        if writer.spare.is_some() || segment.size != u64::from(self.store.segment_size) {
            // There may be room for a spare now.
            writer.next_try = Duration::ZERO;
            return self.store.remove(number);
        }
        self.store.recycle(number)?;
        writer.spare = Some(segment.file);
        Ok(())
    }

    /// Makes a spare if there is none and it is time to try.
    fn find_spare(&self, writer: &mut Writer) -> Result<(), Error> {
        let now = (self.options.now)();
        if writer.spare.is_none() && now >= writer.next_try {
            writer.spare = self.store.make_spare(self.store.segment_size)?;
            writer.next_try = match writer.spare {
                Some(_) => Duration::ZERO,
                None => now + RETRY_INTERVAL,
            };
        }
        let full = writer.spare.is_none();
        let mut shared = self.shared.lock();
        if shared.full != full {
            tracing::warn!(full, "the room for the write-ahead log changed");
        }
        shared.full = full;
        shared.wants_room &= full;
        Ok(())
    }
}
