use super::*;

/// An operator with one account, whose key signs users.
struct World {
    rules: Rules,
    account: AccountClaims,
    account_key: KeyPair,
    user_key: KeyPair,
}

impl World {
    fn new() -> World {
        let operator_key = key(Kind::Operator, 1);
        let account_key = key(Kind::Account, 2);
        let mut account = AccountClaims::new(&account_key.public_key());
        account.name = "sales".to_owned();
        account.issuer = operator_key.public_key();
        account.body.limits = jwt::OperatorLimits::unlimited();
        let operators = vec![OperatorClaims::new(&operator_key.public_key())];
        let rules = Rules {
            operators,
            ..Rules::default()
        };
        World {
            rules,
            account,
            account_key,
            user_key: key(Kind::User, 3),
        }
    }

    fn user(&self) -> UserClaims {
        let mut user = UserClaims::new(&self.user_key.public_key());
        user.name = "ann".to_owned();
        user.body.limits = UserLimits::unlimited();
        user
    }

    fn login_as(&self, user: &UserClaims, signer: &KeyPair) -> Result<Login, AuthError> {
        let jwt = user.encode(signer, NOW_S).expect("it encodes");
        let sig = signed_nonce(&self.user_key);
        let options = ConnectOptions {
            jwt,
            sig,
            ..ConnectOptions::default()
        };
        self.login_with(&options)
    }

    fn login(&self, user: &UserClaims) -> Result<Login, AuthError> {
        self.login_as(user, &self.account_key)
    }

    fn login_with(&self, options: &ConnectOptions) -> Result<Login, AuthError> {
        let authenticator = Authenticator::new(self.rules.clone());
        let accounts = Accounts(vec![Arc::new(self.account.clone())]);
        authenticator.authenticate(&attempt(options), &accounts)
    }
}

#[test]
fn a_signed_user_gets_what_its_token_says() {
    let mut world = World::new();
    world.account.body.limits.payload = 100;
    world.account.expires_at_s = Some(NOW_S + 50);
    let mut user = world.user();
    user.expires_at_s = Some(NOW_S + 10);
    user.body.limits.subs = 5;
    user.body.limits.publish.deny = vec!["no".to_owned()];
    user.tags = vec!["team:blue".to_owned()];
    let login = world.login(&user).expect("a login");
    assert_eq!(login.account, world.account_key.public_key());
    assert_eq!(login.user, world.user_key.public_key());
    assert_eq!(login.nkey.as_deref(), Some(login.user.as_str()));
    assert_eq!(login.issuer.as_deref(), Some(login.account.as_str()));
    let limits = crate::Limits {
        max_payload: Some(100),
        max_subscriptions: Some(5),
    };
    assert_eq!(login.limits, limits);
    assert_eq!(login.expires_at_s, Some(NOW_S + 10));
    assert_eq!(login.account_expires_at_s, Some(NOW_S + 50));
    assert!(login.permissions.can_publish(b"yes") && !login.permissions.can_publish(b"no"));
    assert_eq!((login.name_tag.as_str(), login.tags.len()), ("ann", 1));
}

#[test]
fn nonces_and_bearers() {
    let mut world = World::new();
    let mut user = world.user();
    let jwt = user.encode(&world.account_key, NOW_S).expect("it encodes");
    let unsigned = ConnectOptions {
        jwt,
        ..ConnectOptions::default()
    };
    let error = world.login_with(&unsigned).err();
    assert_eq!(error, Some(AuthError::Nonce(nkey::Error::Signature)));
    let sig = signed_nonce(&key(Kind::User, 4));
    let foreign = ConnectOptions { sig, ..unsigned };
    let error = world.login_with(&foreign).err();
    assert_eq!(error, Some(AuthError::Nonce(nkey::Error::Signature)));

    user.body.limits.bearer_token = true;
    let jwt = user.encode(&world.account_key, NOW_S).expect("it encodes");
    let bearer = ConnectOptions {
        jwt,
        ..ConnectOptions::default()
    };
    assert!(world.login_with(&bearer).is_ok());
    world.account.body.limits.disallow_bearer = true;
    assert_eq!(
        world.login_with(&bearer).err(),
        Some(AuthError::BearerToken)
    );
}

#[test]
fn the_chain_of_signatures() {
    let mut world = World::new();
    let name = world.account.subject.clone();
    let user = world.user();
    let stranger = key(Kind::Account, 7);
    let strange = stranger.public_key();
    let error = world.login_as(&user, &stranger).err();
    assert_eq!(error, Some(AuthError::UnknownAccount(strange.clone())));
    let mut posing = world.user();
    posing.body.issuer_account = name.clone();
    let error = world.login_as(&posing, &stranger).err();
    assert_eq!(error, Some(AuthError::UnknownSigner(strange.clone())));
    world
        .account
        .body
        .signing_keys
        .push(SigningKey::Plain(strange.clone()));
    assert_eq!(
        world.login_as(&posing, &stranger).expect("a login").issuer,
        Some(strange)
    );

    world.rules.operators[0].body.strict_signing_key_usage = true;
    world.rules.operators[0].body.signing_keys = vec![world.account.issuer.clone()];
    assert!(world.login_as(&posing, &stranger).is_ok());
    let error = world.login(&user).err();
    assert_eq!(error, Some(AuthError::UnknownSigner(name.clone())));
    world.rules.operators[0].body.strict_signing_key_usage = false;

    world.account.issuer = key(Kind::Operator, 8).public_key();
    assert_eq!(
        world.login(&user).err(),
        Some(AuthError::AccountNotTrusted(name.clone()))
    );
    world.rules.trusted_keys.push(world.account.issuer.clone());
    assert!(world.login(&user).is_ok());
    world.rules.pinned_accounts = vec!["other".to_owned()];
    assert_eq!(
        world.login(&user).err(),
        Some(AuthError::AccountNotPinned(name))
    );
}

#[test]
fn time_revocation_place_and_kind() {
    let mut world = World::new();
    let name = world.account.subject.clone();
    let check = |world: &World, change: &dyn Fn(&mut UserClaims), expected: AuthError| {
        let mut user = world.user();
        change(&mut user);
        assert_eq!(world.login(&user).err(), Some(expected));
    };
    check(
        &world,
        &|user| user.expires_at_s = Some(NOW_S - 1),
        AuthError::UserTime,
    );
    check(
        &world,
        &|user| user.not_before_s = Some(NOW_S + 1),
        AuthError::UserTime,
    );
    check(
        &world,
        &|user| user.body.limits.src = vec!["10.0.0.0/8".to_owned()],
        AuthError::Source,
    );
    let kind = AuthError::ConnectionKind(ConnectionKind::Standard);
    for kinds in [["MQTT"], ["UNKNOWN"]] {
        let kinds: Vec<String> = kinds.map(str::to_owned).to_vec();
        check(
            &world,
            &|user| user.body.limits.allowed_connection_types = kinds.clone(),
            kind.clone(),
        );
    }
    let proxy = |user: &mut UserClaims| user.body.limits.proxy_required = true;
    check(&world, &proxy, AuthError::ProxyRequired);

    // NOW_S is eight o'clock in the morning.
    let range = |start: &str, end: &str| TimeRange {
        start: start.into(),
        end: end.into(),
    };
    let night = |user: &mut UserClaims| {
        user.body.limits.times = vec![range("22:00:00", "06:00:00")];
    };
    check(&world, &night, AuthError::TimeOfDay);
    let elsewhere = |user: &mut UserClaims| {
        user.body.limits.times = vec![range("00:00:00", "23:59:59")];
        user.body.limits.times_location = "Nowhere/Land".to_owned();
    };
    check(&world, &elsewhere, AuthError::TimeOfDay);
    let mut user = world.user();
    user.body.limits.times = vec![range("00:00:00", "09:00:00")];
    user.expires_at_s = Some(NOW_S + 100_000);
    assert_eq!(
        world.login(&user).expect("a login").expires_at_s,
        Some(NOW_S + 3600)
    );

    let revoked = AuthError::UserRevoked {
        user: world.user_key.public_key(),
        account: name.clone(),
    };
    world
        .account
        .body
        .revocations
        .0
        .insert("*".to_owned(), NOW_S);
    check(&world, &|_| {}, revoked);
    world.account.expires_at_s = Some(NOW_S - 1);
    check(&world, &|_| {}, AuthError::AccountTime(name));
}

#[test]
fn missing_and_broken_tokens() {
    let mut world = World::new();
    let nothing = ConnectOptions::default();
    assert_eq!(world.login_with(&nothing).err(), Some(AuthError::NoToken));
    let broken = ConnectOptions {
        jwt: "x".to_owned(),
        ..ConnectOptions::default()
    };
    assert!(matches!(
        world.login_with(&broken),
        Err(AuthError::UserToken(_))
    ));
    let mut sentinel = world.user();
    sentinel.body.limits.bearer_token = true;
    let sentinel = sentinel
        .encode(&world.account_key, NOW_S)
        .expect("it encodes");
    world.rules.default_sentinel = Some(sentinel);
    assert!(world.login_with(&nothing).is_ok());
    assert!(world.login_with(&broken).is_ok());
    let authenticator = Authenticator::new(world.rules);
    let needed = authenticator.account_needed(&attempt(&nothing));
    assert_eq!(needed, Some(world.account.subject));
}

fn scoped(world: &mut World, template: UserLimits) -> KeyPair {
    let scoped_key = key(Kind::Account, 6);
    let scope = UserScope::new(&scoped_key.public_key(), template);
    world.account.body.signing_keys = vec![SigningKey::Scoped(Box::new(scope))];
    scoped_key
}

fn scoped_user(world: &World) -> UserClaims {
    let mut user = world.user();
    user.body.limits = UserLimits::default();
    user.body.issuer_account = world.account.subject.clone();
    user.tags = vec![
        "team:red".to_owned(),
        "team:blue".to_owned(),
        "x:1".to_owned(),
    ];
    user
}

#[test]
fn scoped_keys_decide_for_their_users() {
    let mut world = World::new();
    world.account.tags = vec!["zone:eu".to_owned()];
    let mut template = UserLimits {
        payload: 10,
        ..UserLimits::unlimited()
    };
    template.subscribe.allow = [
        "u.{{name()}}.{{ subject() }}",
        "a.{{account-name()}}.{{account-subject()}}",
        "{{tag(team)}}.{{tag(x)}}.{{account-tag(zone)}}.>",
        "{{tag(absent)}}.dropped",
        "plain",
    ]
    .map(str::to_owned)
    .to_vec();
    template.publish.allow = vec!["{{tag(absent)}}".to_owned()];
    let scoped_key = scoped(&mut world, template);
    let user = scoped_user(&world);
    let login = world.login_as(&user, &scoped_key).expect("a login");
    assert_eq!(login.limits.max_payload, Some(10));
    let rules = login.permissions.rules().expect("rules").clone();
    let expected = PermissionRules {
        publish: SubjectRules {
            allow: None,
            deny: vec![">".to_owned()],
        },
        subscribe: SubjectRules {
            allow: Some(vec![
                format!("u.ann.{}", user.subject),
                format!("a.sales.{}", world.account.subject),
                "red.1.eu.>".to_owned(),
                "blue.1.eu.>".to_owned(),
                "plain".to_owned(),
            ]),
            deny: Vec::new(),
        },
        allow_responses: None,
    };
    assert_eq!(rules, expected);
    let mut greedy = user;
    greedy.body.limits.payload = 1000;
    assert_eq!(
        world.login_as(&greedy, &scoped_key).err(),
        Some(AuthError::ScopedUser)
    );
}

#[test]
fn templates_that_cannot_be_filled_safely_are_refused() {
    for (deny, reason) in [
        ("{{tag(absent)}}", "the filled subject is not valid"),
        ("{{unknown()}}", "unknown function"),
        ("{{tag}}", "unknown function"),
        ("{{name()", "braces are not closed"),
    ] {
        let mut world = World::new();
        let mut template = UserLimits::unlimited();
        template.publish.deny = vec![deny.to_owned()];
        let scoped_key = scoped(&mut world, template);
        let error = world.login_as(&scoped_user(&world), &scoped_key).err();
        assert_eq!(
            error,
            Some(AuthError::Template {
                template: deny.to_owned(),
                reason
            })
        );
    }
    let mut world = World::new();
    let mut template = UserLimits::unlimited();
    let bomb = ["{{tag(n)}}"; 5].join(".");
    template.publish.allow = vec![bomb.clone()];
    let scoped_key = scoped(&mut world, template);
    let mut user = scoped_user(&world);
    user.tags = (0..10).map(|value| format!("n:{value}")).collect();
    let error = world.login_as(&user, &scoped_key).err();
    let reason = "too many combinations of tags";
    assert_eq!(
        error,
        Some(AuthError::Template {
            template: bomb,
            reason
        })
    );
}

#[test]
fn default_permissions_are_for_users_without_their_own() {
    let mut world = World::new();
    world.account.body.default_permissions.publish.allow = vec!["default".to_owned()];
    let mut user = world.user();
    let permissions = world.login(&user).expect("a login").permissions;
    assert!(permissions.can_publish(b"default") && !permissions.can_publish(b"own"));
    user.body.limits.publish.allow = vec!["own".to_owned()];
    let permissions = world.login(&user).expect("a login").permissions;
    assert!(!permissions.can_publish(b"default") && permissions.can_publish(b"own"));
}

#[test]
fn golden_tokens_log_in() {
    let golden = golden();
    let operator = OperatorClaims::decode(&golden["operator"]).expect("a valid token");
    let rules = Rules {
        operators: vec![operator],
        ..Rules::default()
    };
    let authenticator = Authenticator::new(rules);
    let account = authenticator
        .verify_account(&golden["account"], NOW_S)
        .expect("an account");
    let self_signed = authenticator.verify_account(&golden["account_self_signed"], NOW_S);
    assert!(matches!(self_signed, Err(AuthError::AccountNotTrusted(_))));
    let accounts = Accounts(vec![Arc::new(account)]);
    let login = |token: &str, signature: Option<&str>| {
        let options = ConnectOptions {
            jwt: golden[token].clone(),
            sig: signature
                .map(|name| golden[name].clone())
                .unwrap_or_default(),
            ..ConnectOptions::default()
        };
        assert_eq!(golden["nonce"].as_bytes(), NONCE);
        authenticator.authenticate(&attempt(&options), &accounts)
    };
    let plain = login("user", Some("nonce_signature")).expect("a login");
    assert_eq!(plain.limits.max_payload, Some(1024));
    assert_eq!(plain.limits.max_subscriptions, Some(100));
    assert!(
        plain
            .permissions
            .can_subscribe(b"sub.yes", Some(b"queue.1"))
    );
    assert!(!plain.permissions.can_subscribe(b"sub.yes", None));
    assert!(!plain.permissions.can_subscribe(b"sub.no", Some(b"queue.1")));
    let scoped = login("scoped_user", Some("scoped_nonce_signature")).expect("a login");
    assert!(scoped.permissions.can_subscribe(b"user.ann.1", None));
    assert!(scoped.permissions.can_subscribe(b"team.red.in", None));
    assert!(!scoped.permissions.can_subscribe(b"team.green.in", None));
    assert!(!scoped.permissions.can_publish(b"secret.1"));
    let bearer = login("bearer_user", None).expect("a login");
    assert!(bearer.permissions.can_publish(b"default.1"));
    assert!(!bearer.permissions.can_publish(b"other"));
    assert!(login("user", Some("scoped_nonce_signature")).is_err());
}
