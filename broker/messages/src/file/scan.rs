//! Finding the records in a segment when there is no sidecar to say where they are.

use std::ops::RangeInclusive;

use super::record::{self, FIXED_SIZE_BYTES, Head};

/// A record found intact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scanned<'a> {
    pub(super) seq: u64,
    pub(super) offset: usize,
    pub(super) size: usize,
    pub(super) subject: &'a [u8],
}

/// Finds all intact records with ascending sequences in a range. Bytes that are no record are
/// skipped up to the next one.
pub(super) fn scan(bytes: &[u8], seqs: RangeInclusive<u64>) -> Vec<Scanned<'_>> {
    let mut found = Vec::new();
    let mut next_seq = *seqs.start();
    let mut offset = 0;
    while bytes.len() - offset >= FIXED_SIZE_BYTES {
        match intact_at(bytes, offset, next_seq..=*seqs.end()) {
            Some(record) => {
                next_seq = record.seq + 1;
                offset += record.size;
                found.push(record);
            }
            None => offset = resume(bytes, offset, next_seq..=*seqs.end()),
        }
    }
    found
}

fn intact_at(bytes: &[u8], offset: usize, seqs: RangeInclusive<u64>) -> Option<Scanned<'_>> {
    let rest = &bytes[offset..];
    let head = Head::parse(rest).filter(|head| seqs.contains(&head.seq))?;
    let record = &rest[..head.size];
    let (seq, size, subject) = (head.seq, head.size, head.subject(record));
    record::is_intact(record).then_some(Scanned {
        seq,
        offset,
        size,
        subject,
    })
}

/// Where to look after a damaged record: behind it if its size can be believed, so that bytes in a
/// payload are not taken for a record, else at the next place where one is intact.
fn resume(bytes: &[u8], offset: usize, seqs: RangeInclusive<u64>) -> usize {
    if let Some(head) = Head::parse(&bytes[offset..]) {
        let behind = offset + head.size;
        let is_end = behind == bytes.len();
        if is_end || intact_at(bytes, behind, seqs.clone()).is_some() {
            return behind;
        }
    }
    let candidates = offset + 1..bytes.len();
    let next = candidates
        .into_iter()
        .find(|at| intact_at(bytes, *at, seqs.clone()).is_some());
    next.unwrap_or(bytes.len())
}
