use identity::nkey::{KeyPair, Kind};

use super::*;
use crate::dereference::{AccountPlace, Place, References};
use crate::identities::signing::Ring;
use crate::validate::{Validated, validate};

const NOW_S: i64 = 1_800_000_000;

fn user(spec: &str) -> ValidatedUser {
    let yaml = format!(
        "apiVersion: weir.dev/v1alpha1\nkind: User\nmetadata: {{name: web}}\nspec:\n  \
         accountRef: {{name: shop}}\n  {}\n",
        spec.replace('\n', "\n  ")
    );
    let mut found = api::parse_documents(&yaml).unwrap_or_else(|problems| panic!("{problems:?}"));
    let resource = found.remove(0).value;
    let references = References {
        place: Place::Account(AccountPlace {
            id: resource.id(),
            key: Entry::OperatorSeed,
        }),
        stream: None,
        exporters: Vec::new(),
        max_ack_pending: None,
    };
    match validate(&resource, references) {
        Ok(Validated::User(user)) => user,
        other => panic!("{other:?}"),
    }
}

fn key(number: u8) -> KeyPair {
    KeyPair::from_entropy(Kind::Account, [number; 32])
}

/// An account whose own key signs.
fn account(number: u8) -> UserSigner {
    UserSigner {
        account: key(number).public_key(),
        key: key(number),
        others: Ring::default(),
    }
}

/// Credentials as they were issued at this time.
fn issued(wanted: &ValidatedUser, at_s: i64) -> Creds {
    issued_by(&account(1), wanted, at_s)
}

fn issued_by(signer: &UserSigner, wanted: &ValidatedUser, at_s: i64) -> Creds {
    let key = KeyPair::from_entropy(Kind::User, [9; 32]);
    let claims = claims_of(wanted, signer, &key, at_s);
    let jwt = claims.encode(&signer.key, at_s).expect("it encodes");
    Creds { jwt, key }
}

#[test]
fn credentials_are_kept_while_they_are_right() {
    let plain = user("permissions: {publish: {allow: [a]}}");
    let judge_at = |wanted: &ValidatedUser, kept: &Creds, now_s: i64| {
        judge(wanted, &account(1), Some(kept), now_s)
    };
    let kept = issued(&plain, NOW_S);
    assert_eq!(
        judge(&plain, &account(1), None, NOW_S),
        Judgement::Issue(Action::Created)
    );
    assert_eq!(judge_at(&plain, &kept, NOW_S + 1_000_000), Judgement::Valid);
    let other_account = judge(&plain, &account(2), Some(&kept), NOW_S);
    assert_eq!(other_account, Judgement::Issue(Action::Corrected));
    let changed = user("permissions: {publish: {allow: [a, b]}}");
    assert_eq!(
        judge_at(&changed, &kept, NOW_S),
        Judgement::Issue(Action::Updated)
    );
}

#[test]
fn credentials_follow_the_key_that_signs() {
    let wanted = user("permissions: {publish: {allow: [a]}}");
    let own = issued(&wanted, NOW_S);
    let signs = |number: u8| UserSigner {
        key: key(number),
        others: Ring::of([(key(2), 0), (key(3), 1)]),
        ..account(1)
    };
    let judged = |signer: &UserSigner, kept: &Creds| judge(&wanted, signer, Some(kept), NOW_S);
    let renewed = Judgement::Issue(Action::Renewed);
    assert_eq!(judged(&signs(2), &own), renewed);
    let first = issued_by(&signs(2), &wanted, NOW_S);
    let claims = UserClaims::decode(&first.jwt).expect("claims");
    assert_eq!(claims.body.issuer_account, key(1).public_key());
    assert_eq!(judged(&signs(2), &first), Judgement::Valid);
    assert_eq!(judged(&signs(3), &first), renewed);
    let strange = issued(&wanted, NOW_S);
    let stranger = UserSigner {
        account: key(7).public_key(),
        ..signs(3)
    };
    let corrected = Judgement::Issue(Action::Corrected);
    assert_eq!(judged(&stranger, &strange), corrected);
}

#[test]
fn credentials_are_renewed_before_they_expire() {
    let check = |spec: &str, second: i64, expected: Judgement| {
        let wanted = user(spec);
        let kept = issued(&wanted, NOW_S);
        let found = judge(&wanted, &account(1), Some(&kept), NOW_S + second);
        assert_eq!(found, expected, "{spec} after {second}");
    };
    check("expiresAfter: 90m", 3599, Judgement::Valid);
    check("expiresAfter: 90m", 3600, Judgement::Issue(Action::Renewed));
    check(
        "expiresAfter: 90m\nrotateBefore: 10m",
        4799,
        Judgement::Valid,
    );
    check(
        "expiresAfter: 90m\nrotateBefore: 10m",
        4800,
        Judgement::Issue(Action::Renewed),
    );
    check(
        "expiresAfter: 90m",
        99_999,
        Judgement::Issue(Action::Renewed),
    );
}

#[test]
fn a_changed_life_is_followed() {
    let check = |before: &str, after: &str| {
        let kept = issued(&user(before), NOW_S);
        let found = judge(&user(after), &account(1), Some(&kept), NOW_S);
        assert_eq!(
            found,
            Judgement::Issue(Action::Updated),
            "{before} to {after}"
        );
    };
    check("deletionPolicy: Delete", "expiresAfter: 1h");
    check("expiresAfter: 1h", "deletionPolicy: Delete");
    check("expiresAfter: 2h", "expiresAfter: 1h");
}
