//! Numbered storage in chunks: growing never moves what is there, and never needs twice the memory.

use std::ops::{Index, IndexMut};

/// Values per chunk. The first chunk grows by doubling, so that small trees stay small.
const CHUNK: usize = 1024;

/// Numbered storage. Numbers of removed values are given out again.
#[derive(Clone, Debug)]
pub(super) struct Arena<T> {
    chunks: Vec<Vec<Entry<T>>>,
    /// The removed number to give out next.
    free: Option<u32>,
    count: usize,
}

#[derive(Clone, Debug)]
enum Entry<T> {
    Used(T),
    Free { next: Option<u32> },
}

impl<T> Default for Arena<T> {
    fn default() -> Arena<T> {
        Arena {
            chunks: Vec::new(),
            free: None,
            count: 0,
        }
    }
}

impl<T> Arena<T> {
    pub(super) fn insert(&mut self, value: T) -> u32 {
        self.count += 1;
        if let Some(number) = self.free {
            let entry = self.entry_mut(number);
            if let Entry::Free { next } = *entry {
                *entry = Entry::Used(value);
                self.free = next;
                return number;
            }
        }
        let full = self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK);
        if full {
            let capacity = if self.chunks.is_empty() { 0 } else { CHUNK };
            self.chunks.push(Vec::with_capacity(capacity));
        }
        let index = self.chunks.len() - 1;
        let chunk = &mut self.chunks[index];
        chunk.push(Entry::Used(value));
        (index * CHUNK + chunk.len() - 1) as u32
    }

    /// Removes a value that is there.
    pub(super) fn remove(&mut self, number: u32) -> T {
        let next = self.free;
        match std::mem::replace(self.entry_mut(number), Entry::Free { next }) {
            Entry::Used(value) => {
                self.count -= 1;
                self.free = Some(number);
                value
            }
            Entry::Free { .. } => unreachable!("number {number} was removed twice"),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    fn entry_mut(&mut self, number: u32) -> &mut Entry<T> {
        &mut self.chunks[number as usize / CHUNK][number as usize % CHUNK]
    }
}

impl<T> Index<u32> for Arena<T> {
    type Output = T;

    #[inline]
    fn index(&self, number: u32) -> &T {
        match &self.chunks[number as usize / CHUNK][number as usize % CHUNK] {
            Entry::Used(value) => value,
            Entry::Free { .. } => unreachable!("number {number} was removed"),
        }
    }
}

impl<T> IndexMut<u32> for Arena<T> {
    #[inline]
    fn index_mut(&mut self, number: u32) -> &mut T {
        match self.entry_mut(number) {
            Entry::Used(value) => value,
            Entry::Free { .. } => unreachable!("number {number} was removed"),
        }
    }
}
