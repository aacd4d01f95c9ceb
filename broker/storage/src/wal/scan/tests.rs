use super::*;
use crate::wal::GroupId;

const SEED_OF_FILE: (u64, u64) = (1, 5);

/// Nothing is known but that the log ends here.
const LAST: Known = Known {
    end: None,
    is_last: true,
    synced_to: 0,
};

/// Builds a segment record by record.
struct File {
    bytes: Vec<u8>,
    seed: Seed,
    synced_to: u32,
}

impl File {
    fn new() -> File {
        let seed = Seed::new(SEED_OF_FILE.0, SEED_OF_FILE.1);
        File {
            bytes: vec![0; FIRST_RECORD as usize],
            seed,
            synced_to: FIRST_RECORD,
        }
    }

    /// Adds an entry; its offset.
    fn entry(&mut self, index: u64, len: usize) -> usize {
        let offset = self.bytes.len();
        self.add(Kind::Entry, index, &vec![index as u8; len]);
        offset
    }

    fn add(&mut self, kind: Kind, index: u64, body: &[u8]) {
        let (group, synced_to) = (GroupId(1), self.synced_to);
        let header = Header {
            kind,
            key: 0,
            group,
            index,
            body_len: 0,
            body_crc: 0,
            synced_to,
        };
        record::encode(&mut self.bytes, self.seed, &header, body);
    }

    fn sync(&mut self) {
        self.synced_to = self.bytes.len() as u32;
    }

    fn end(&self) -> u32 {
        self.bytes.len() as u32
    }

    /// Scans it as the last segment, with an unused rest.
    fn scan(&self) -> Scan {
        let mut bytes = self.bytes.clone();
        bytes.resize(bytes.len() + 4096, 0);
        scan(&bytes, self.seed, LAST)
    }
}

/// Short names for the stretches: the index of an entry, `!` with the index for a bad body, `-`
/// for what is no record.
fn names(scan: &Scan) -> Vec<String> {
    let name = |item: &Item| match item {
        Item::Record { header, .. } => header.index.to_string(),
        Item::BadBody { header, .. } => format!("!{}", header.index),
        Item::Bad { .. } => "-".to_owned(),
    };
    scan.items.iter().map(name).collect()
}

/// Three batches of two entries each; the offsets of the entries.
fn three_batches() -> (File, Vec<usize>) {
    let mut file = File::new();
    let mut offsets = Vec::new();
    for batch in 0..3 {
        offsets.push(file.entry(batch * 2, 100));
        offsets.push(file.entry(batch * 2 + 1, 100));
        if batch < 2 {
            file.sync();
        }
    }
    (file, offsets)
}

#[test]
fn a_whole_segment_reads_back() {
    let (file, _) = three_batches();
    let scan = file.scan();
    assert_eq!(names(&scan), ["0", "1", "2", "3", "4", "5"]);
    assert_eq!((scan.end, scan.synced_to), (file.end(), file.synced_to));
}

#[test]
fn an_empty_segment_ends_where_it_starts() {
    let scan = File::new().scan();
    assert_eq!((names(&scan).len(), scan.end), (0, FIRST_RECORD));
}

#[test]
fn a_torn_last_batch_is_cut_at_its_first_bad_record() {
    let (mut file, offsets) = three_batches();
    file.bytes[offsets[4] + 60] ^= 1;
    let scan = file.scan();
    assert_eq!(names(&scan), ["0", "1", "2", "3"]);
    assert_eq!(scan.end as usize, offsets[4]);
    let (mut file, offsets) = three_batches();
    file.bytes[offsets[5]..].fill(0);
    assert_eq!(names(&file.scan()), ["0", "1", "2", "3", "4"]);
}

#[test]
fn damage_before_the_last_batch_is_located_and_what_follows_is_found() {
    let (mut file, offsets) = three_batches();
    file.bytes[offsets[1] + 60] ^= 1;
    assert_eq!(names(&file.scan()), ["0", "!1", "2", "3", "4", "5"]);
    // A header with one wrong bit still tells whose record it was.
    file.bytes[offsets[3] + 20] ^= 1;
    assert_eq!(names(&file.scan()), ["0", "!1", "2", "!3", "4", "5"]);
    // A bad header: the next record is found by its own.
    file.bytes[offsets[3] + 20] ^= 2;
    let scan = file.scan();
    assert_eq!(names(&scan), ["0", "!1", "2", "-", "4", "5"]);
    let len = (offsets[4] - offsets[3]) as u32;
    assert_eq!(
        scan.items[3],
        Item::Bad {
            offset: offsets[3] as u32,
            len
        }
    );
}

#[test]
fn damage_that_runs_into_a_torn_batch_is_both() {
    let (mut file, offsets) = three_batches();
    file.bytes[offsets[3]..offsets[4] + 50].fill(0xff);
    let scan = file.scan();
    assert_eq!(names(&scan), ["0", "1", "2", "-"]);
    assert_eq!(scan.end as usize, offsets[4]);
}

#[test]
fn a_mark_vouches_for_the_last_batch() {
    let (mut file, offsets) = three_batches();
    file.bytes[offsets[5] + 60] ^= 1;
    assert_eq!(
        names(&file.scan()),
        ["0", "1", "2", "3", "4"],
        "torn, for all we know"
    );
    file.sync();
    let end = file.end();
    file.add(Kind::Mark, 0, &[]);
    let scan = file.scan();
    assert_eq!(
        names(&scan),
        ["0", "1", "2", "3", "4", "!5"],
        "damaged, as the mark says"
    );
    assert_eq!(scan.end, end, "the mark is not part of the records");
    assert_eq!(scan.ending, Some(Ending::Open));
}

#[test]
fn only_a_mark_right_behind_the_last_record_says_how_the_segment_ends() {
    let mut file = three_batches().0;
    file.sync();
    let end = file.end();
    assert_eq!(file.scan().ending, None);
    let mark = record::mark(file.seed, end, Ending::Continued);
    file.bytes.extend_from_slice(&mark);
    assert_eq!(file.scan().ending, Some(Ending::Continued));
    file.bytes.truncate(end as usize);
    file.entry(6, 100);
    file.bytes.extend_from_slice(&mark);
    assert_eq!(file.scan().ending, None, "it was of an earlier end");
}

#[test]
fn a_known_end_makes_everything_before_it_damage_and_hides_the_rest() {
    let (mut file, offsets) = three_batches();
    file.bytes[offsets[4] + 60] ^= 1;
    let known = |end| Known {
        end: Some(end),
        ..Known::default()
    };
    let scan = |end| scan(&file.bytes, file.seed, known(end));
    assert_eq!(names(&scan(file.end())), ["0", "1", "2", "3", "!4", "5"]);
    assert_eq!(names(&scan(offsets[4] as u32)), ["0", "1", "2", "3"]);
    let longer = scan(file.end() + 64);
    let missing = Item::Bad {
        offset: file.end(),
        len: 64,
    };
    assert_eq!(
        longer.items.last(),
        Some(&missing),
        "a file that was cut short lost something"
    );
}

#[test]
fn what_is_known_to_have_been_durable_is_not_taken_for_torn() {
    let (mut file, offsets) = three_batches();
    let known = Known {
        synced_to: file.end(),
        ..LAST
    };
    file.bytes[FIRST_RECORD as usize..].fill(0xa5);
    assert_eq!(names(&scan(&file.bytes, file.seed, LAST)).len(), 0);
    let found = scan(&file.bytes, file.seed, known);
    assert_eq!(
        (names(&found), found.end),
        (vec!["-".to_owned()], file.end())
    );
    // Zeros, too, and a file that ends before.
    file.bytes[offsets[2]..].fill(0);
    file.bytes.truncate(offsets[4]);
    let found = scan(&file.bytes, file.seed, known);
    assert_eq!(found.end, known.synced_to);
}

#[test]
fn records_of_an_earlier_life_of_the_file_are_not_read() {
    let (old, _) = three_batches();
    let mut file = File::new();
    file.seed = Seed::new(SEED_OF_FILE.0, SEED_OF_FILE.1 + 1);
    file.entry(40, 100);
    let mut bytes = file.bytes.clone();
    bytes.extend_from_slice(&old.bytes[file.bytes.len()..]);
    let scan = scan(&bytes, file.seed, LAST);
    assert_eq!(names(&scan), ["40"]);
}
