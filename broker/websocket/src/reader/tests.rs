use proptest::prelude::*;

use super::*;
use crate::{Writer, WriterOptions};

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A frame of a client.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut header = Vec::new();
    Header {
        last: true,
        compressed: false,
        opcode: Opcode::Binary,
        mask: Some(MASK),
        length: payload.len() as u64,
    }
    .encode(&mut header);
    header[0] = first;
    let mut masked = payload.to_vec();
    unmask(&mut masked, MASK, 0);
    [header, masked].concat()
}

fn reader(compression: bool) -> Reader {
    Reader::new(ReaderOptions {
        compression,
        max_message: 100_000,
    })
}

/// Reads everything, `step` bytes at a time into room for `room` bytes.
fn read(
    reader: &mut Reader,
    bytes: &[u8],
    step: usize,
    room: usize,
) -> Result<(Vec<u8>, Vec<Event>), Failure> {
    let (mut data, mut events) = (Vec::new(), Vec::new());
    let mut input = bytes.to_vec();
    let mut done = 0;
    loop {
        let end = input.len().min(done + step);
        let mut output = vec![0; room];
        let progress = reader.read(&mut input[done..end], &mut output)?;
        done += progress.consumed;
        data.extend_from_slice(&output[..progress.filled]);
        let is_idle = progress.filled < room && progress.event.is_none();
        events.extend(progress.event);
        if done == input.len() && is_idle {
            return Ok((data, events));
        }
    }
}

fn check(compression: bool, bytes: &[u8], data: &[u8], events: &[Event]) {
    for (step, room) in [(usize::MAX, 1000), (1, 1), (2, 3), (7, 1000)] {
        let step = step.min(bytes.len());
        let outcome = read(&mut reader(compression), bytes, step, room).unwrap();
        assert_eq!(
            outcome,
            (data.to_vec(), events.to_vec()),
            "step {step}, room {room}"
        );
    }
}

#[test]
fn data_in_one_frame_or_several() {
    check(false, &frame(0x82, b"PING\r\n"), b"PING\r\n", &[]);
    check(false, &frame(0x81, b"PING\r\n"), b"PING\r\n", &[]);
    check(false, &frame(0x82, b""), b"", &[]);
    let pieces = [frame(0x02, b"PI"), frame(0x00, b"N"), frame(0x80, b"G\r\n")].concat();
    check(false, &pieces, b"PING\r\n", &[]);
    check(false, &frame(0x82, &[b'x'; 70_000]), &[b'x'; 70_000], &[]);
}

#[test]
fn control_frames_may_come_within_a_message() {
    let bytes = [
        frame(0x02, b"PI"),
        frame(0x89, b"are you there"),
        frame(0x8a, b"I am"),
        frame(0x80, b"NG\r\n"),
        frame(0x88, b"\x03\xe8bye"),
        frame(0x82, b"after the end"),
    ];
    let events = [
        Event::Ping(b"are you there".to_vec()),
        Event::Close(Some(1000)),
    ];
    check(false, &bytes.concat(), b"PING\r\n", &events);
    check(false, &frame(0x88, b""), b"", &[Event::Close(None)]);
}

#[test]
fn compressed_messages() {
    // RFC 7692, section 7.2.3.1: one frame, then two.
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    check(true, &frame(0xc2, &hello), b"Hello", &[]);
    let bytes = [
        frame(0x42, &hello[..3]),
        frame(0x89, b""),
        frame(0x80, &hello[3..]),
    ]
    .concat();
    check(true, &bytes, b"Hello", &[Event::Ping(Vec::new())]);
    // Compressed or not is a matter of each message.
    let bytes = [
        frame(0xc2, &hello),
        frame(0x82, b" plain "),
        frame(0xc2, &hello),
    ]
    .concat();
    check(true, &bytes, b"Hello plain Hello", &[]);
}

#[test]
fn what_ends_a_connection() {
    let fails = |compression, frames: &[Vec<u8>]| {
        let bytes = frames.concat();
        read(&mut reader(compression), &bytes, bytes.len(), 1000).unwrap_err()
    };
    let mut unmasked = Vec::new();
    let options = WriterOptions {
        compression: false,
        max_frame: usize::MAX,
    };
    Writer::new(options).data(b"PING\r\n", &mut unmasked);
    assert_eq!(fails(false, &[unmasked]), Failure::Unmasked);
    assert_eq!(fails(false, &[frame(0xc2, b"x")]), Failure::Protocol);
    assert_eq!(
        fails(true, &[frame(0xc2, b"\xff\xff")]),
        Failure::Compression
    );
    assert_eq!(fails(false, &[frame(0x80, b"x")]), Failure::Protocol);
    assert_eq!(
        fails(false, &[frame(0x02, b"x"), frame(0x82, b"x")]),
        Failure::Protocol
    );
    assert_eq!(
        fails(true, &[frame(0x02, b"x"), frame(0xc0, b"x")]),
        Failure::Protocol
    );
    assert_eq!(fails(false, &[frame(0x88, b"\x03")]), Failure::Protocol);
    assert_eq!(fails(false, &[frame(0x88, b"\x03\xed")]), Failure::Protocol);
    assert_eq!(
        fails(false, &[frame(0x88, b"\x03\xe8\xff")]),
        Failure::Reason
    );
    assert_eq!(
        fails(false, &[frame(0x82, &[0; 100_001])]),
        Failure::TooLong
    );
    let halves = [frame(0x02, &[0; 60_000]), frame(0x80, &[0; 60_000])];
    assert_eq!(fails(false, &halves), Failure::TooLong);
}

#[test]
fn a_small_message_that_grows_is_too_long() {
    let mut bomb = Vec::new();
    crate::deflate::compress(&vec![0; 1_000_000], &mut bomb);
    assert!(bomb.len() < 10_000);
    let bytes = frame(0xc2, &bomb);
    let outcome = read(&mut reader(true), &bytes, bytes.len(), 4096);
    assert_eq!(outcome.unwrap_err(), Failure::TooLong);
}

proptest! {
    /// Whatever a writer sends comes out of a reader, once it is masked.
    #[test]
    fn what_was_written_is_read(
        messages in proptest::collection::vec(proptest::collection::vec(0u8..4, 0..400), 1..5),
        compression: bool,
        max_frame in 1usize..500,
        step in 1usize..100,
        room in 1usize..100,
    ) {
        let writer = Writer::new(WriterOptions { compression, max_frame });
        let mut bytes = Vec::new();
        for message in &messages {
            let mut frames = Vec::new();
            writer.data(message, &mut frames);
            let mut rest = &frames[..];
            while !rest.is_empty() {
                let size = Header::size([rest[0], rest[1]]);
                let header = Header::parse(&rest[..size]).unwrap();
                let end = size + header.length as usize;
                bytes.extend(frame(rest[0], &rest[size..end]));
                rest = &rest[end..];
            }
        }
        let (data, events) = read(&mut reader(compression), &bytes, step, room).unwrap();
        prop_assert_eq!(data, messages.concat());
        prop_assert!(events.is_empty());
    }

    #[test]
    fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 1..300), compression: bool, step in 1usize..20) {
        read(&mut reader(compression), &bytes, step, 10).ok();
    }
}
