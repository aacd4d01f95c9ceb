use std::collections::BTreeMap;

use super::*;
use crate::creds::Creds;

/// Tokens, keys and a `creds` file that the Go libraries made.
pub(crate) fn golden() -> BTreeMap<String, String> {
    serde_json::from_str(include_str!("golden.json")).expect("a map of texts")
}

const NOW_S: i64 = 1_800_000_000;

fn key(kind: Kind, number: u8) -> KeyPair {
    KeyPair::from_entropy(kind, [number; 32])
}

/// The claims inside a token, without looking at the signature.
fn payload(token: &str) -> Value {
    let payload = token.split('.').nth(1).expect("three parts");
    let payload = URL_SAFE_NO_PAD.decode(payload).expect("base64");
    serde_json::from_slice(&payload).expect("json")
}

/// A token with other claims but a true signature.
fn forge(signer: &KeyPair, header: &str, payload: &Value) -> String {
    let header = URL_SAFE_NO_PAD.encode(header);
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(payload.to_string()));
    format!(
        "{signed}.{}",
        URL_SAFE_NO_PAD.encode(signer.sign(signed.as_bytes()))
    )
}

const HEADER: &str = r#"{"typ":"JWT","alg":"ed25519-nkey"}"#;

#[test]
fn golden_operator() {
    let claims = OperatorClaims::decode(&golden()["operator"]).expect("a valid token");
    assert_eq!(claims.name, "golden operator");
    assert_eq!(claims.tags, ["golden"]);
    assert_eq!(claims.issuer, claims.subject);
    assert_eq!(claims.body.operator_service_urls, ["nats://localhost:4222"]);
    assert_eq!(claims.trusted_keys().count(), 2);
    let account = AccountClaims::decode(&golden()["account"]).expect("a valid token");
    assert!(claims.trusted_keys().any(|key| key == account.issuer));
}

#[test]
fn golden_activation() {
    let golden = golden();
    let claims = ActivationClaims::decode(&golden["activation"]).expect("a valid token");
    assert_eq!(claims.subject, golden["activation_importer"]);
    assert_eq!(claims.issuer, golden["activation_exporter"]);
    assert_eq!(claims.body.issuer_account, golden["activation_exporter"]);
    assert_eq!(claims.body.import_subject, "orders.>");
    assert_eq!(claims.body.kind, ExportKind::Service);
    assert!(claims.is_valid_at(4_102_444_800));
    assert!(!claims.is_valid_at(4_102_444_801));
    AccountClaims::decode(&golden["activation"]).expect_err("it is no account's");
}

#[test]
fn golden_account() {
    let claims = AccountClaims::decode(&golden()["account"]).expect("a valid token");
    let body = &claims.body;
    assert_eq!(
        (body.limits.payload, body.limits.subs, body.limits.conn),
        (4096, 100, NO_LIMIT)
    );
    assert!(body.limits.wildcards && !body.limits.jetstream.is_enabled());
    let tier = &body.limits.tiered_limits["R3"];
    assert!(tier.max_bytes_required && tier.is_enabled());
    assert_eq!(body.limits.tiered_limits["R1"].streams, 3);
    assert_eq!(
        body.revocations.0.values().collect::<Vec<_>>(),
        [&1_700_000_000]
    );
    assert_eq!(body.default_permissions.publish.allow, ["default.>"]);
    assert_eq!(body.mappings["a.*"][1].cluster, "east");
    assert_eq!(body.trace.as_ref().map(|trace| trace.sampling), Some(10));
    let help = body
        .exports
        .iter()
        .find(|export| export.name == "help")
        .expect("an export");
    assert_eq!(help.r#type, ExportKind::Service);
    assert_eq!(help.response_threshold, 3_000_000_000);
    let latency = help
        .service_latency
        .as_ref()
        .map(|latency| latency.sampling);
    assert_eq!(latency, Some(Sampling::Percent(25)));
    assert!(
        body.imports
            .iter()
            .any(|import| import.local_subject == "w.$1")
    );
    assert!(
        body.imports
            .iter()
            .any(|import| import.share && import.to == "local.svc")
    );

    let scoped = UserClaims::decode(&golden()["scoped_user"]).expect("a valid token");
    let scope = claims
        .signer(&scoped.issuer)
        .expect("a known signer")
        .expect("a scope");
    assert_eq!(
        (scope.role.as_str(), scope.template.subs),
        ("reader", NO_LIMIT)
    );
    assert_eq!(
        scope.template.responses,
        Some(ResponsePermission {
            max: 2,
            ttl: 1_000_000_000
        })
    );
    let user = UserClaims::decode(&golden()["user"]).expect("a valid token");
    assert_eq!(claims.signer(&user.issuer), Some(None));
    assert_eq!(claims.signer(&claims.subject), Some(None));
    assert_eq!(claims.signer(&user.subject), None);
}

#[test]
fn golden_user() {
    let claims = UserClaims::decode(&golden()["user"]).expect("a valid token");
    let limits = &claims.body.limits;
    assert_eq!((limits.payload, limits.subs), (1024, NO_LIMIT));
    assert_eq!(limits.src, ["127.0.0.0/8", "::1/128"]);
    assert_eq!(limits.subscribe.deny, ["sub.no"]);
    assert_eq!(claims.expires_at_s, Some(4_102_444_800));
    assert!(claims.is_valid_at(NOW_S));
    assert!(!claims.is_valid_at(1_600_000_000));
    assert!(!claims.is_valid_at(4_102_444_801));
    let scoped = UserClaims::decode(&golden()["scoped_user"]).expect("a valid token");
    assert_eq!(scoped.body.limits, UserLimits::default());
    let bearer = UserClaims::decode(&golden()["bearer_user"]).expect("a valid token");
    assert!(bearer.body.limits.bearer_token);
}

#[test]
fn golden_creds() {
    let creds = Creds::parse(&golden()["creds"]).expect("a valid file");
    let claims = UserClaims::decode(&creds.jwt).expect("a valid token");
    assert_eq!(claims.subject, creds.key.public_key());
    assert_eq!(creds.key.seed(), golden()["user_seed"]);
}

/// What the Go libraries wrote and this crate understood must come out again.
#[test]
fn nothing_is_lost_between_reading_and_writing() {
    fn check<B: Body + PartialEq + std::fmt::Debug>(token: &str, signer: &KeyPair) {
        let claims = Claims::<B>::decode(token).expect("a valid token");
        let again = claims
            .encode(signer, claims.issued_at_s)
            .expect("it encodes");
        let decoded = Claims::<B>::decode(&again).expect("its own token");
        assert_eq!(decoded.body, claims.body);
        let (ours, theirs) = (payload(&again), payload(token));
        assert_eq!(ours["nats"], theirs["nats"]);
        assert_eq!(
            (&ours["sub"], &ours["name"]),
            (&theirs["sub"], &theirs["name"])
        );
        if signer.public_key() == claims.issuer {
            assert_eq!(decoded.id, claims.id, "the id is the same hash");
        }
    }
    let golden = golden();
    let seed = |name: &str| KeyPair::from_seed(&golden[name]).expect("a seed");
    check::<Operator>(&golden["operator"], &seed("operator_seed"));
    check::<Account>(&golden["account"], &seed("operator_seed"));
    check::<Account>(&golden["account_self_signed"], &seed("account_seed"));
    check::<User>(&golden["user"], &seed("account_seed"));
    check::<User>(&golden["scoped_user"], &seed("account_seed"));
    check::<User>(&golden["bearer_user"], &seed("account_seed"));
}

#[test]
fn tampering_is_noticed() {
    let token = &golden()["user"];
    let (signed, signature) = token.rsplit_once('.').expect("three parts");
    let (header, _) = signed.split_once('.').expect("three parts");
    let mut claims = payload(token);
    claims["nats"]["payload"] = Value::from(1_000_000);
    let other = URL_SAFE_NO_PAD.encode(claims.to_string());
    let tampered = UserClaims::decode(&format!("{header}.{other}.{signature}"));
    assert!(
        matches!(tampered, Err(Error::Signature(nkey::Error::Signature))),
        "{tampered:?}"
    );
    for broken in ["", "..", "a.b", "a.b.c", signed, &token[..token.len() - 4]] {
        assert!(UserClaims::decode(broken).is_err(), "{broken}");
    }
    let long = UserClaims::decode(&"a".repeat(TOKEN_SIZE_MAX + 1));
    assert!(matches!(long, Err(Error::TooLong)));
}

#[test]
fn other_kinds_versions_and_algorithms_are_refused() {
    let account = key(Kind::Account, 1);
    let claims = UserClaims::new(&key(Kind::User, 2).public_key());
    let token = claims.encode(&account, NOW_S).expect("it encodes");
    let good = payload(&token);
    assert!(UserClaims::decode(&forge(&account, HEADER, &good)).is_ok());
    assert!(matches!(
        AccountClaims::decode(&token),
        Err(Error::Kind { .. })
    ));

    let refused = |header: &str, change: &dyn Fn(&mut Value)| {
        let mut claims = good.clone();
        change(&mut claims);
        UserClaims::decode(&forge(&account, header, &claims)).expect_err("it must be refused")
    };
    let version =
        |number: i64| refused(HEADER, &|claims| claims["nats"]["version"] = number.into());
    assert!(matches!(version(1), Error::Version(1)));
    assert!(matches!(version(3), Error::Version(3)));
    let signed_as_2 = refused(HEADER, &|claims| claims["type"] = "user".into());
    assert!(matches!(signed_as_2, Error::Signature(_)));
    for header in [
        r#"{"typ":"JWT","alg":"none"}"#,
        r#"{"typ":"JWT","alg":"ed25519"}"#,
        "{}",
    ] {
        assert!(
            matches!(refused(header, &|_| {}), Error::Header),
            "{header}"
        );
    }
    let operator = key(Kind::Operator, 3);
    let by_operator = refused(HEADER, &|claims| {
        claims["iss"] = operator.public_key().into()
    });
    assert!(matches!(by_operator, Error::Key));
    let about_account = refused(HEADER, &|claims| {
        claims["sub"] = account.public_key().into()
    });
    assert!(matches!(about_account, Error::Key));
    assert!(matches!(claims.encode(&operator, NOW_S), Err(Error::Key)));
}

/// A token as tools of version 1 made it.
fn of_version_1(signer: &KeyPair, claims: &Value) -> String {
    let header = URL_SAFE_NO_PAD.encode(r#"{"typ":"jwt","alg":"ed25519"}"#);
    let payload = URL_SAFE_NO_PAD.encode(claims.to_string());
    let signature = URL_SAFE_NO_PAD.encode(signer.sign(payload.as_bytes()));
    format!("{header}.{payload}.{signature}")
}

#[test]
fn tokens_of_version_1_are_understood() {
    let (operator, account) = (key(Kind::Operator, 1), key(Kind::Account, 2));
    let claims = serde_json::json!({
        "type": "operator", "tags": ["old"], "iat": NOW_S,
        "iss": operator.public_key(), "sub": operator.public_key(),
    });
    let decoded = OperatorClaims::decode(&of_version_1(&operator, &claims)).expect("a valid token");
    assert_eq!(decoded.tags, ["old"]);

    let claims = serde_json::json!({
        "type": "account", "iss": operator.public_key(), "sub": account.public_key(),
        "nats": { "limits": { "subs": 7, "conn": -1 }, "signing_keys": [key(Kind::Account, 3).public_key()] },
    });
    let token = of_version_1(&operator, &claims);
    let decoded = AccountClaims::decode(&token).expect("a valid token");
    assert_eq!(
        (decoded.body.limits.subs, decoded.body.limits.conn),
        (7, -1)
    );
    assert_eq!(decoded.body.signing_keys.len(), 1);
    assert!(matches!(
        UserClaims::decode(&token),
        Err(Error::Kind { .. })
    ));

    let claims = serde_json::json!({
        "type": "user", "iss": key(Kind::Account, 3).public_key(), "issuer_account": account.public_key(),
        "sub": key(Kind::User, 4).public_key(), "nats": { "pub": {}, "payload": 9 },
    });
    let token = of_version_1(&key(Kind::Account, 3), &claims);
    let user = UserClaims::decode(&token).expect("a valid token").body;
    assert_eq!(user.issuer_account, account.public_key());
    assert_eq!((user.limits.subs, user.limits.payload), (NO_LIMIT, 9));
    let by_another = of_version_1(&account, &claims);
    assert!(matches!(
        UserClaims::decode(&by_another),
        Err(Error::Signature(_))
    ));
}

#[test]
fn old_and_lax_notations_are_understood() {
    let account = key(Kind::Account, 1);
    let token = UserClaims::new(&key(Kind::User, 2).public_key()).encode(&account, NOW_S);
    let mut claims = payload(&token.expect("it encodes"));
    claims["nats"]["src"] = "10.0.0.0/8, 2001:DB8::/32".into();
    claims["nats"]["tags"] = Value::Null;
    claims["nats"]["unknown"] = 1.into();
    let user = UserClaims::decode(&forge(&account, HEADER, &claims)).expect("a valid token");
    assert_eq!(user.body.limits.src, ["10.0.0.0/8", "2001:db8::/32"]);
    assert!(user.tags.is_empty());
}

#[test]
fn revocations() {
    let mut claims = AccountClaims::new(&key(Kind::Account, 1).public_key());
    claims.body.revocations.0.insert("UA".to_owned(), 100);
    assert!(claims.is_revoked("UA", 100) && claims.is_revoked("UA", 99));
    assert!(!claims.is_revoked("UA", 101) && !claims.is_revoked("UB", 99));
    claims.body.revocations.0.insert("*".to_owned(), 200);
    assert!(claims.is_revoked("UA", 200) && claims.is_revoked("UB", 200));
    assert!(!claims.is_revoked("UB", 201));
}
