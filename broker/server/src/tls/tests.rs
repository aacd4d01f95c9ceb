use std::path::PathBuf;

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};
use settings::options::CertificatePair;
use tempfile::TempDir;

use super::*;

/// A self-signed certificate in files, and its DER.
fn certificate(dir: &TempDir, name: &str, params: CertificateParams) -> (CertificatePair, Vec<u8>) {
    let key = KeyPair::generate().unwrap();
    let made = params.self_signed(&key).unwrap();
    let file = |end: &str| -> PathBuf { dir.path().join(format!("{name}.{end}")) };
    std::fs::write(file("pem"), made.pem()).unwrap();
    std::fs::write(file("key"), key.serialize_pem()).unwrap();
    let pair = CertificatePair {
        cert_file: file("pem"),
        key_file: file("key"),
    };
    (pair, made.der().to_vec())
}

fn host(name: &str) -> CertificateParams {
    CertificateParams::new(vec![name.to_owned()]).unwrap()
}

#[test]
fn a_client_sees_the_certificate_of_the_name_it_asks_for() {
    let dir = tempfile::tempdir().unwrap();
    let (one, first) = certificate(&dir, "one", host("one.example"));
    let (two, second) = certificate(&dir, "two", host("*.two.example"));
    let tls = Tls {
        certificates: vec![one, two],
        ..Tls::default()
    };
    let choice = Choice::read(&tls, &aws_lc_rs::default_provider()).unwrap();
    assert_eq!(choice.shown(Some("one.example")), first);
    assert_eq!(choice.shown(Some("a.two.example")), second);
    assert_eq!(choice.shown(Some("three.example")), first);
    assert_eq!(choice.shown(None), first);
    server(&tls).unwrap();
}

#[test]
fn the_certificate_that_expires_first_counts() {
    let dir = tempfile::tempdir().unwrap();
    let until = |name: &str, year| {
        let mut params = host(name);
        params.not_after = rcgen::date_time_ymd(year, 1, 2);
        certificate(&dir, name, params).0
    };
    let tls = Tls {
        certificates: vec![until("one.example", 2040), until("two.example", 2031)],
        ..Tls::default()
    };
    let end = not_after(&tls).unwrap();
    let since = end.duration_since(std::time::SystemTime::UNIX_EPOCH);
    // 2 January 2031, midnight.
    assert_eq!(since.unwrap().as_secs(), 1_925_078_400);
    assert_eq!(not_after(&Tls::default()), None);
}

#[test]
fn a_key_of_another_certificate_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let (one, _) = certificate(&dir, "one", host("one.example"));
    let (two, _) = certificate(&dir, "two", host("two.example"));
    let tls = Tls {
        cert_file: Some(one.cert_file),
        key_file: Some(two.key_file),
        ..Tls::default()
    };
    let error = server(&tls).unwrap_err();
    assert!(format!("{error:#}").contains("two.key"), "{error:#}");
}

#[test]
fn ciphers_and_curves_are_those_that_were_chosen() {
    let tls = Tls {
        cipher_suites: vec!["TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384".to_owned()],
        curve_preferences: vec!["CurveP384".to_owned(), "X25519".to_owned()],
        ..Tls::default()
    };
    let provider = provider(&tls).unwrap();
    let older: Vec<_> = provider
        .cipher_suites
        .iter()
        .filter(|suite| suite.tls13().is_none())
        .map(|suite| suite.suite().as_str())
        .collect();
    assert_eq!(older, [Some("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384")]);
    let groups: Vec<_> = provider
        .kx_groups
        .iter()
        .map(|group| group.name())
        .collect();
    assert_eq!(groups, [NamedGroup::secp384r1, NamedGroup::X25519]);
    let none = Tls {
        curve_preferences: vec!["SecP384r1MLKEM1024".to_owned()],
        ..Tls::default()
    };
    assert!(super::provider(&none).is_err());
}

#[test]
fn names_of_a_certificate_come_in_the_order_in_which_users_are_looked_for() {
    let dir = tempfile::tempdir().unwrap();
    let mut params = host("derek.example");
    let more = [
        SanType::Rfc822Name("derek@example.com".try_into().unwrap()),
        SanType::URI("spiffe://example.com/derek".try_into().unwrap()),
    ];
    params.subject_alt_names.extend(more);
    params.distinguished_name = DistinguishedName::new();
    for (kind, value) in [
        (DnType::OrganizationName, "Synadia"),
        (DnType::CommonName, "derek"),
    ] {
        params.distinguished_name.push(kind, value);
    }
    let (_, der) = certificate(&dir, "derek", params);
    let wanted = [
        "derek@example.com",
        "derek.example",
        "spiffe://example.com/derek",
        "CN=derek,O=Synadia",
        "CN=derek, O=Synadia",
        "O=Synadia,CN=derek",
        "O=Synadia, CN=derek",
    ];
    assert_eq!(names(&der), wanted);
    assert!(names(b"no certificate").is_empty());
}

#[test]
fn pinned_keys_need_verification() {
    let dir = tempfile::tempdir().unwrap();
    let (pair, _) = certificate(&dir, "one", host("one.example"));
    let mut tls = Tls {
        ca_file: Some(pair.cert_file.clone()),
        certificates: vec![pair],
        pinned_certs: ["00".repeat(32)].into(),
        ..Tls::default()
    };
    assert!(server(&tls).is_err());
    tls.verify = true;
    server(&tls).unwrap();
}
