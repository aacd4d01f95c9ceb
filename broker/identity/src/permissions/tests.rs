use super::*;

fn list(subjects: &[&str]) -> Vec<String> {
    subjects.iter().map(|subject| subject.to_string()).collect()
}

fn publish(allow: Option<&[&str]>, deny: &[&str]) -> Permissions {
    let publish = SubjectRules {
        allow: allow.map(list),
        deny: list(deny),
    };
    Permissions::new(PermissionRules {
        publish,
        ..PermissionRules::default()
    })
}

fn subscribe(allow: Option<&[&str]>, deny: &[&str]) -> Permissions {
    let subscribe = SubjectRules {
        allow: allow.map(list),
        deny: list(deny),
    };
    Permissions::new(PermissionRules {
        subscribe,
        ..PermissionRules::default()
    })
}

#[test]
fn the_default_allows_everything() {
    let permissions = Permissions::default();
    assert!(permissions.can_publish(b"a") && permissions.can_subscribe(b">", Some(b"q")));
    assert!(permissions.can_deliver(b"a", None) && !permissions.filters_delivery(b">", None));
    assert!(permissions.rules().is_none() && permissions.responses().is_none());
}

#[test]
fn publishing() {
    let check = |permissions: &Permissions, subject: &str, expected: bool| {
        assert_eq!(
            permissions.can_publish(subject.as_bytes()),
            expected,
            "{subject}"
        );
    };
    let both = publish(Some(&["a.>", "b"]), &["a.no", "a.*.no"]);
    check(&both, "a.b", true);
    check(&both, "b", true);
    check(&both, "c", false);
    check(&both, "a.no", false);
    check(&both, "a.x.no", false);
    check(&both, "a.x.no.more", true);
    check(&publish(None, &["a"]), "b", true);
    check(&publish(None, &["a"]), "a", false);
    check(&publish(Some(&[]), &[]), "a", false);
    check(&publish(Some(&["not valid"]), &[]), "not valid", false);
}

#[test]
fn subscribing() {
    let check = |permissions: &Permissions, subject: &str, expected: bool| {
        assert_eq!(
            permissions.can_subscribe(subject.as_bytes(), None),
            expected,
            "{subject}"
        );
        let queued = permissions.can_subscribe(subject.as_bytes(), Some(b"q"));
        assert_eq!(queued, expected, "{subject} in a queue");
    };
    let allow = subscribe(Some(&["a.*", "b.>", "c"]), &[]);
    check(&allow, "a.b", true);
    check(&allow, "a.*", true);
    check(&allow, "a.>", false);
    check(&allow, "b.x.>", true);
    check(&allow, "*", false);
    check(&allow, "c", true);
    let deny = subscribe(None, &["a.*", "b"]);
    check(&deny, "a.b", false);
    check(&deny, "a.*", false);
    check(&deny, "b", false);
    // Wider than the deny: allowed, and filtered.
    check(&deny, "a.>", true);
    check(&deny, ">", true);
}

#[test]
fn queues() {
    let check = |permissions: &Permissions, subject: &str, queue: Option<&str>, expected: bool| {
        let queue = queue.map(str::as_bytes);
        let can = permissions.can_subscribe(subject.as_bytes(), queue);
        assert_eq!(can, expected, "{subject} {queue:?}");
    };
    let allow = subscribe(Some(&["a v1", "a v2.*", "b", "b dev"]), &[]);
    check(&allow, "a", None, false);
    check(&allow, "a", Some("v1"), true);
    check(&allow, "a", Some("v2.x"), true);
    check(&allow, "a", Some("v2.*"), true);
    check(&allow, "a", Some("v3"), false);
    check(&allow, "b", None, true);
    check(&allow, "b", Some("dev"), true);
    check(&allow, "b", Some("prod"), false);
    let deny = subscribe(None, &["a prod", "b >"]);
    check(&deny, "a", None, true);
    check(&deny, "a", Some("dev"), true);
    check(&deny, "a", Some("prod"), false);
    check(&deny, "b", None, true);
    check(&deny, "b", Some("any"), false);
}

#[test]
fn deliveries_on_denied_subjects_are_filtered() {
    let deny = subscribe(None, &["a.no", "b.*.no", "c q.*"]);
    for wide in [&b">"[..], b"a.*", b"a.>", b"b.x.*", b"*.*"] {
        assert!(deny.can_subscribe(wide, None));
        assert!(deny.filters_delivery(wide, None), "{}", wide.escape_ascii());
    }
    assert!(!deny.filters_delivery(b"d.*", None));
    assert!(!deny.filters_delivery(b"c", None));
    assert!(deny.filters_delivery(b"c", Some(b"q.1")));
    assert!(!deny.can_deliver(b"a.no", None));
    assert!(!deny.can_deliver(b"b.x.no", Some(b"q")));
    assert!(deny.can_deliver(b"a.yes", None));
    assert!(deny.can_deliver(b"c", None) && deny.can_deliver(b"c", Some(b"other")));
    assert!(!deny.can_deliver(b"c", Some(b"q.1")));
}

#[test]
fn responses() {
    let rules = |max_msgs, expires_ns| {
        ResponseRules {
            max_msgs,
            expires_ns,
        }
        .with_defaults()
    };
    assert_eq!(rules(0, 0), rules(1, 120_000_000_000));
    assert_eq!(
        rules(-1, -1),
        ResponseRules {
            max_msgs: -1,
            expires_ns: -1
        }
    );
    let allow_responses = Some(rules(5, 7));
    let publish = SubjectRules {
        allow: Some(Vec::new()),
        deny: Vec::new(),
    };
    let rules = PermissionRules {
        publish,
        allow_responses,
        ..PermissionRules::default()
    };
    let permissions = Permissions::new(rules);
    assert_eq!(permissions.responses(), allow_responses);
    assert!(!permissions.can_publish(b"reply"));
}
