use super::*;

const DAY_S: i64 = 86400;
const TURNS: Turns = Turns {
    every_s: 30 * DAY_S,
    overlap_s: DAY_S,
};

fn key(number: u8) -> KeyPair {
    KeyPair::from_entropy(Kind::Account, [number; 32])
}

/// Claims of the account as the servers have them.
fn served(ring: &Ring) -> AccountClaims {
    let mut claims = AccountClaims::new(&key(0).public_key());
    claims.body.signing_keys = ring.claims();
    claims
}

fn never() -> KeyPair {
    panic!("no key is due")
}

/// A key made on day 0 and one made on day 30.
fn two_keys() -> Ring {
    let mut ring = Ring::default();
    assert!(ring.turn(Some(TURNS), None, 0, || key(1)));
    let claims = served(&ring);
    assert!(!ring.turn(Some(TURNS), Some(&claims), 30 * DAY_S - 1, never));
    assert!(ring.turn(Some(TURNS), Some(&claims), 30 * DAY_S, || key(2)));
    ring
}

#[test]
fn a_key_signs_only_after_the_servers_heard_of_it() {
    let mut ring = Ring::default();
    ring.turn(Some(TURNS), None, 0, || key(1));
    assert!(ring.signer(None).is_none());
    let first = served(&ring);
    let ring = two_keys();
    let signer = |claims: &AccountClaims| ring.signer(Some(claims)).map(KeyPair::public_key);
    assert_eq!(signer(&first), Some(key(1).public_key()));
    assert_eq!(signer(&served(&ring)), Some(key(2).public_key()));
}

#[test]
fn the_former_key_is_accepted_until_its_time_is_over() {
    let mut ring = two_keys();
    let both = served(&ring);
    assert_eq!(both.body.signing_keys.len(), 2);
    let end_s = 31 * DAY_S;
    assert!(!ring.turn(Some(TURNS), Some(&both), end_s - 1, never));
    assert!(ring.turn(Some(TURNS), Some(&both), end_s, never));
    assert!(ring.has(&key(2).public_key()) && !ring.has(&key(1).public_key()));
}

#[test]
fn a_key_stays_while_the_servers_know_no_successor() {
    let mut ring = two_keys();
    let mut first = served(&ring);
    first.body.signing_keys.truncate(1);
    let late_s = 40 * DAY_S;
    assert!(!ring.turn(Some(TURNS), Some(&first), late_s, never));
    assert!(ring.has(&key(1).public_key()));
}

#[test]
fn keys_stay_without_turns() {
    let mut ring = two_keys();
    let claims = served(&ring);
    assert!(!ring.turn(None, Some(&claims), 1000 * DAY_S, never));
    assert_eq!(ring.keys.len(), 2);
}

#[test]
fn keys_are_read_as_they_were_written() {
    let ring = two_keys();
    let read = Ring::parse(&ring.to_text()).expect("it was written so");
    assert_eq!(read.claims(), ring.claims());
    let made: Vec<i64> = read.keys.iter().map(|signer| signer.made_s).collect();
    assert_eq!(made, [0, 30 * DAY_S]);
    assert!(Ring::parse("nonsense 12").is_err());
}
