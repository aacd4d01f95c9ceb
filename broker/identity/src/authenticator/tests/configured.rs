use super::*;

fn refused(rules: &Rules, options: ConnectOptions) {
    assert_eq!(login(rules, options).err(), Some(AuthError::Refused));
}

fn unknown(rules: &Rules, options: ConnectOptions) {
    assert_eq!(login(rules, options).err(), Some(AuthError::UnknownUser));
}

#[test]
fn without_rules_everybody_is_let_in() {
    let authenticator = Authenticator::default();
    assert!(!authenticator.required() && !authenticator.needs_nonce());
    let login = login(&Rules::default(), options("any", "thing")).expect("a login");
    assert_eq!(
        (login.account.as_str(), login.user.as_str()),
        (GLOBAL_ACCOUNT, "")
    );
    let chosen = ConnectOptions {
        account: "A".to_owned(),
        ..ConnectOptions::default()
    };
    assert_eq!(
        super::login(&Rules::default(), chosen).err(),
        Some(AuthError::AccountChosen)
    );
}

#[test]
fn passwords() {
    let hash = &golden()["bcrypt_of_s3cr3t"];
    let users = vec![user("ann", password("a")), user("bob", password(hash))];
    let rules = Rules {
        users,
        ..Rules::default()
    };
    let login = login(&rules, options("ann", "a")).expect("a login");
    assert_eq!((login.account.as_str(), login.user.as_str()), ("A", "ann"));
    assert!(super::login(&rules, options("bob", "s3cr3t")).is_ok());
    for (name, pass) in [
        ("ann", ""),
        ("ann", "b"),
        ("ann", "aa"),
        ("bob", "a"),
        ("bob", hash),
    ] {
        refused(&rules, options(name, pass));
    }
    unknown(&rules, options("eve", "a"));
    refused(&rules, ConnectOptions::default());
}

#[test]
fn shared_secrets() {
    let shared = Some(SharedSecret::Token("t".to_owned()));
    let rules = Rules {
        shared,
        ..Rules::default()
    };
    let token = |token: &str| ConnectOptions {
        auth_token: token.to_owned(),
        ..ConnectOptions::default()
    };
    assert_eq!(
        login(&rules, token("t")).expect("a login").account,
        GLOBAL_ACCOUNT
    );
    refused(&rules, token("x"));
    refused(&rules, token(""));
    let shared = SharedSecret::User {
        name: "u".to_owned(),
        password: "p".to_owned(),
    };
    let rules = Rules {
        shared: Some(shared),
        ..Rules::default()
    };
    assert_eq!(login(&rules, options("u", "p")).expect("a login").user, "u");
    unknown(&rules, options("x", "p"));
    refused(&rules, options("u", "x"));
}

#[test]
fn nkeys() {
    let pair = key(Kind::User, 1);
    let users = vec![
        user(&pair.public_key(), Secret::Nkey),
        user("ann", password("a")),
    ];
    let rules = Rules {
        users,
        ..Rules::default()
    };
    assert!(Authenticator::new(rules.clone()).needs_nonce());
    let signed = |nkey: String, sig: String| ConnectOptions {
        nkey,
        sig,
        ..ConnectOptions::default()
    };
    let login = login(&rules, signed(pair.public_key(), signed_nonce(&pair))).expect("a login");
    assert_eq!(login.nkey, Some(pair.public_key()));
    let other = signed_nonce(&key(Kind::User, 2));
    let wrong = super::login(&rules, signed(pair.public_key(), other));
    assert_eq!(wrong.err(), Some(AuthError::Nonce(nkey::Error::Signature)));
    unknown(&rules, signed("ann".to_owned(), signed_nonce(&pair)));
    unknown(
        &rules,
        signed(key(Kind::User, 2).public_key(), signed_nonce(&pair)),
    );
    // A public key is no password user.
    refused(&rules, options(&pair.public_key(), ""));
    assert!(super::login(&rules, options("ann", "a")).is_ok());
}

#[test]
fn a_user_for_those_who_present_nothing() {
    let users = vec![user("ann", password("a"))];
    let rules = Rules {
        users,
        no_auth_user: Some("ann".to_owned()),
        ..Rules::default()
    };
    let authenticator = Authenticator::new(rules.clone());
    assert!(authenticator.required() && !authenticator.announced_to(ConnectionKind::Standard));
    assert_eq!(
        login(&rules, ConnectOptions::default())
            .expect("a login")
            .user,
        "ann"
    );
    refused(&rules, options("ann", "wrong"));
    refused(&rules, options("", "wrong"));
}

#[test]
fn certificates() {
    let users = vec![user("CN=ann", password(""))];
    let rules = Rules {
        users,
        map_certificates: true,
        ..Rules::default()
    };
    let authenticator = Authenticator::new(rules);
    let options = ConnectOptions::default();
    let names = ["ann@example.com".to_owned(), "CN=ann".to_owned()];
    let attempt = Attempt {
        certificate_names: &names,
        ..attempt(&options)
    };
    let accounts = Accounts::default();
    assert_eq!(
        authenticator
            .authenticate(&attempt, &accounts)
            .expect("a login")
            .user,
        "CN=ann"
    );
    let attempt = Attempt {
        certificate_names: &names[..1],
        ..attempt
    };
    let unknown = authenticator.authenticate(&attempt, &accounts);
    assert_eq!(unknown.err(), Some(AuthError::Refused));
}

#[test]
fn connection_kinds_and_proxies() {
    let proxy = key(Kind::Server, 9);
    let mut ann = user("ann", password("a"));
    ann.allowed_connections = vec![ConnectionKind::WebSocket];
    let mut bob = user("bob", password("b"));
    bob.proxy_required = true;
    let trusted_proxies = vec![proxy.public_key()];
    let rules = Rules {
        users: vec![ann, bob],
        trusted_proxies,
        ..Rules::default()
    };
    let kind = AuthError::ConnectionKind(ConnectionKind::Standard);
    assert_eq!(login(&rules, options("ann", "a")).err(), Some(kind));
    assert_eq!(
        login(&rules, options("bob", "b")).err(),
        Some(AuthError::ProxyRequired)
    );
    let proxied = |proxy_sig: String| ConnectOptions {
        proxy_sig,
        ..options("bob", "b")
    };
    assert!(login(&rules, proxied(signed_nonce(&proxy))).is_ok());
    let foreign = login(&rules, proxied(signed_nonce(&key(Kind::Server, 8))));
    assert_eq!(foreign.err(), Some(AuthError::ProxyNotTrusted));
    assert_eq!(
        AuthError::ProxyNotTrusted.close_reason(),
        CloseReason::ProxyNotTrusted
    );
}
