use super::super::callout::{self, Answer, Callout, Delegation, Verdict};
use super::*;
use crate::jwt::{AuthorizationResponseClaims, ExternalAuthorization, OperatorLimits};
use crate::xkey::XKey;

/// A server with a service, and what the service would answer about a user.
struct World {
    rules: Rules,
    accounts: Accounts,
    options: ConnectOptions,
    issuer: KeyPair,
    user: UserClaims,
    signer: KeyPair,
    response: AuthorizationResponseClaims,
}

fn server() -> String {
    key(Kind::Server, 5).public_key()
}

fn asked() -> String {
    key(Kind::User, 6).public_key()
}

impl World {
    fn configured() -> World {
        let issuer = key(Kind::Account, 1);
        let mut own = user("own", password("own"));
        own.account = "B".to_owned();
        let callout = Callout {
            issuer: issuer.public_key(),
            account: "A".to_owned(),
            auth_users: vec!["auth".to_owned()],
            ..Callout::default()
        };
        let rules = Rules {
            users: vec![user("auth", password("auth")), own],
            callout: Some(callout),
            accounts: vec!["A".to_owned(), "B".to_owned()],
            ..Rules::default()
        };
        let mut world = World::with(rules, issuer);
        world.user.audience = "B".to_owned();
        world
    }

    /// The service's account is that of `issuer`, and the client presents a token of it.
    fn operator() -> World {
        let operator = key(Kind::Operator, 1);
        let rules = Rules {
            operators: vec![OperatorClaims::new(&operator.public_key())],
            ..Rules::default()
        };
        let mut world = World::with(rules, key(Kind::Account, 1));
        let account = |number| {
            let mut account = AccountClaims::new(&key(Kind::Account, number).public_key());
            account.issuer = operator.public_key();
            account.body.limits = OperatorLimits::unlimited();
            account
        };
        let mut service = account(1);
        service.body.authorization = ExternalAuthorization {
            auth_users: vec![key(Kind::User, 7).public_key()],
            allowed_accounts: vec![account(2).subject],
            xkey: String::new(),
        };
        let mut place = account(2);
        place.body.signing_keys = vec![SigningKey::Plain(key(Kind::Account, 4).public_key())];
        let places = [service, place, account(3)];
        world.accounts = Accounts(places.into_iter().map(Arc::new).collect());
        let mut sentinel = UserClaims::new(&key(Kind::User, 8).public_key());
        sentinel.body.limits = UserLimits::unlimited();
        sentinel.body.limits.bearer_token = true;
        world.options.jwt = sentinel.encode(&world.issuer, NOW_S).expect("it encodes");
        world.signer = key(Kind::Account, 2);
        world
    }

    fn with(rules: Rules, issuer: KeyPair) -> World {
        let mut response = AuthorizationResponseClaims::new(&asked());
        response.audience = server();
        let mut user = UserClaims::new(&asked());
        user.body.limits = UserLimits::unlimited();
        World {
            rules,
            accounts: Accounts::default(),
            options: ConnectOptions::default(),
            signer: issuer.clone(),
            issuer,
            user,
            response,
        }
    }

    fn decide(&self) -> Verdict {
        Authenticator::new(self.rules.clone()).decide(&attempt(&self.options), &self.accounts)
    }

    fn delegation(&self) -> Delegation {
        match self.decide() {
            Verdict::Delegated(delegation) => delegation,
            Verdict::Decided(login) => panic!("nobody is asked: {login:?}"),
        }
    }

    fn answer(&self) -> Vec<u8> {
        let mut response = self.response.clone();
        if response.body.error.is_empty() {
            response.body.jwt = self.user.encode(&self.signer, NOW_S).expect("it encodes");
        }
        response
            .encode(&self.issuer, NOW_S)
            .expect("it encodes")
            .into_bytes()
    }

    fn accept(&self, bytes: &[u8]) -> Result<Login, AuthError> {
        let answer = Answer {
            bytes,
            user: &asked(),
            server: &server(),
            xkey: &server_xkey(),
        };
        let authenticator = Authenticator::new(self.rules.clone());
        let delegation = self.delegation();
        authenticator.accept(
            &delegation,
            &answer,
            &attempt(&self.options),
            &self.accounts,
        )
    }

    fn login(&self) -> Result<Login, AuthError> {
        self.accept(&self.answer())
    }
}

fn server_xkey() -> XKey {
    XKey::from_entropy([1; 32])
}

fn is_service_error(login: Result<Login, AuthError>) -> bool {
    matches!(login, Err(AuthError::Service(_)))
}

#[test]
fn a_service_lets_users_in() {
    let mut world = World::configured();
    let login = world.login().expect("a login");
    assert_eq!((login.account.as_str(), login.user), ("B", asked()));
    assert!(login.delegated && login.permissions.can_publish(callout::SUBJECT.as_bytes()));
    world.user.name = "Ann".to_owned();
    world.user.audience = "A".to_owned();
    world.user.expires_at_s = Some(NOW_S + 5);
    world.user.body.limits.subs = 0;
    let login = world.login().expect("a login");
    assert_eq!((login.account.as_str(), login.user.as_str()), ("A", "Ann"));
    assert_eq!(login.expires_at_s, Some(NOW_S + 5));
    assert_eq!(login.limits, crate::Limits::default());
    // Nobody asks the service but the server.
    assert!(!login.permissions.can_publish(callout::SUBJECT.as_bytes()));
    assert!(login.permissions.can_publish(b"other"));
}

#[test]
fn who_is_asked_about() {
    let mut world = World::configured();
    let decided = |world: &World| matches!(world.decide(), Verdict::Decided(_));
    for (name, pass, is_decided) in [
        ("auth", "auth", true),
        ("auth", "wrong", true),
        ("own", "own", false),
        ("own", "wrong", false),
        ("eve", "", false),
    ] {
        world.options = options(name, pass);
        assert_eq!(decided(&world), is_decided, "{name} {pass}");
    }
    let callout = world.rules.callout.as_mut().expect("a service");
    callout.allowed_accounts = vec!["C".to_owned()];
    world.options = options("own", "own");
    assert!(decided(&world));
    world.options.account = "A".to_owned();
    assert!(decided(&world));
}

#[test]
fn answers_that_are_no_good() {
    let refuse = |change: fn(&mut World)| {
        let mut world = World::configured();
        change(&mut world);
        world.login().expect_err("refused")
    };
    let other = || key(Kind::User, 9).public_key();
    let changes: [fn(&mut World); 9] = [
        |world| world.user.subject = key(Kind::User, 9).public_key(),
        |world| world.response.subject = key(Kind::User, 9).public_key(),
        |world| world.response.audience = key(Kind::Server, 9).public_key(),
        |world| world.response.audience = "A".to_owned(),
        |world| world.response.expires_at_s = Some(NOW_S - 1),
        |world| world.response.body.error = "no".to_owned(),
        |world| world.response.body.issuer_account = "A".to_owned(),
        |world| world.user.body.issuer_account = key(Kind::Account, 1).public_key(),
        |world| world.user.expires_at_s = Some(NOW_S - 1),
    ];
    for (at, change) in changes.into_iter().enumerate() {
        assert!(
            matches!(refuse(change), AuthError::Service(_)),
            "change {at}"
        );
    }
    let strangers: [fn(&mut World); 2] = [
        |world| world.issuer = key(Kind::Account, 9),
        |world| world.signer = key(Kind::Account, 9),
    ];
    for stranger in strangers {
        assert!(matches!(refuse(stranger), AuthError::UnknownSigner(_)));
    }
    let nowhere = |world: &mut World| world.user.audience = "C".to_owned();
    assert!(matches!(refuse(nowhere), AuthError::UnknownAccount(_)));
    let proxied = |world: &mut World| world.user.body.limits.proxy_required = true;
    assert_eq!(refuse(proxied), AuthError::ProxyRequired);
    let world = World::configured();
    for bytes in [
        &b""[..],
        b"eyJ",
        b"\xff",
        world.user.subject.as_bytes(),
        other().as_bytes(),
    ] {
        assert!(is_service_error(world.accept(bytes)));
    }
}

#[test]
fn sealed_answers_need_no_other_proof() {
    let mut world = World::configured();
    let service = XKey::from_entropy([2; 32]);
    let callout = world.rules.callout.as_mut().expect("a service");
    callout.xkey = Some(service.public_key());
    let seal = |key: &XKey, answer: &[u8]| {
        key.seal(answer, &server_xkey().public_key(), [0; 24])
            .expect("sealed")
    };
    world.issuer = key(Kind::Account, 9);
    assert!(world.accept(&seal(&service, &world.answer())).is_ok());
    assert!(matches!(world.login(), Err(AuthError::UnknownSigner(_))));
    let stranger = seal(&XKey::from_entropy([4; 32]), &world.answer());
    assert!(is_service_error(world.accept(&stranger)));
}

#[test]
fn operators_accounts_delegate() {
    let mut world = World::operator();
    let place = key(Kind::Account, 2).public_key();
    let login = world.login().expect("a login");
    assert_eq!(
        (&login.account, login.issuer.as_deref()),
        (&place, Some(place.as_str()))
    );
    // A signing key signs, too, and counts as the issuer.
    world.signer = key(Kind::Account, 4);
    world.user.body.issuer_account.clone_from(&place);
    let login = world.login().expect("a login");
    assert_eq!(login.issuer, Some(key(Kind::Account, 4).public_key()));
    // An account that the service may not choose.
    world.signer = key(Kind::Account, 3);
    world.user.body.issuer_account = String::new();
    assert!(matches!(
        world.login(),
        Err(AuthError::AccountNotAllowed(_))
    ));
    // Not a key of the account.
    world.user.body.issuer_account = place;
    assert!(matches!(world.login(), Err(AuthError::UnknownSigner(_))));
    world.options.jwt = String::new();
    assert!(matches!(
        world.decide(),
        Verdict::Decided(Err(AuthError::NoToken))
    ));
}

#[test]
fn logins_end_with_what_they_rest_on() {
    let mut world = World::operator();
    let login = world.login().expect("a login");
    let keeps = |world: &World, login: &Login| {
        Authenticator::new(world.rules.clone()).keeps(login, &world.accounts, NOW_S)
    };
    assert!(keeps(&world, &login).is_ok());
    let mut account = (*world.accounts.0[1]).clone();
    account.expires_at_s = Some(NOW_S + 9);
    world.accounts.0[1] = Arc::new(account.clone());
    let kept = keeps(&world, &login).expect("it stands");
    assert_eq!(kept.account_expires_at_s, Some(NOW_S + 9));
    let stranger = Login {
        issuer: Some(key(Kind::Account, 9).public_key()),
        ..login.clone()
    };
    assert!(matches!(
        keeps(&world, &stranger),
        Err(AuthError::UnknownSigner(_))
    ));
    account.body.revocations.0.insert(asked(), NOW_S);
    world.accounts.0[1] = Arc::new(account);
    assert!(matches!(
        keeps(&world, &login),
        Err(AuthError::UserRevoked { .. })
    ));
    world.accounts.0.remove(1);
    assert!(matches!(
        keeps(&world, &login),
        Err(AuthError::UnknownAccount(_))
    ));
}
