use super::*;

/// An account with the streams O, whose messages are small, and A, which sources B.
fn context() -> Context {
    let origin = StreamSubjects {
        name: "O".to_owned(),
        max_msg_size: 100,
        allow_direct: true,
        ..StreamSubjects::default()
    };
    let sourcing = StreamSubjects {
        name: "A".to_owned(),
        origins: vec!["B".to_owned()],
        ..StreamSubjects::default()
    };
    Context {
        streams: vec![origin, sourcing],
        ..Context::default()
    }
}

fn create_named(name: &str, fields: &str) -> Result<StreamConfig, ApiError> {
    let config = serde_json::from_str(&format!("{{\"name\":{name:?},{fields}}}")).unwrap();
    validate_create(&config, &context())
}

#[test]
fn mirrors_and_sources_that_cannot_be_are_refused_with_the_server_s_words() {
    let cases = [
        (
            r#""mirror":{"name":"O"},"subjects":["x"]"#,
            10034,
            "stream mirrors can not contain subjects",
        ),
        (
            r#""mirror":{"name":"O"},"sources":[{"name":"O"}]"#,
            10031,
            "stream mirrors can not also contain other sources",
        ),
        (
            r#""mirror":{"name":"O"},"first_seq":5"#,
            10143,
            "stream mirrors can not have first sequence configured",
        ),
        (
            r#""mirror":{"name":""}"#,
            10142,
            "mirrored stream name is invalid",
        ),
        (r#""mirror":{"name":"X"}"#, 10052, "detected cycle"),
        (r#""sources":[{"name":"X"}]"#, 10052, "detected cycle"),
        (
            r#""mirror":{"name":"O","filter_subject":"a","subject_transforms":[{"src":"a","dest":"b"}]}"#,
            10150,
            "mirror with multiple subject transforms cannot also have a single subject filter",
        ),
        (
            r#""mirror":{"name":"O","subject_transforms":[{"src":"a..","dest":"b"}]}"#,
            10151,
            "mirror transform source: invalid subject a..",
        ),
        (
            r#""mirror":{"name":"O","subject_transforms":[{"src":"a.*","dest":"b.$2"}]}"#,
            10154,
            "mirror transform: invalid mapping destination: wildcard index out of range in $2: [2]",
        ),
        (
            r#""mirror":{"name":"O","subject_transforms":[{"src":"a.*","dest":"b"},{"src":"a.b","dest":"c"}]}"#,
            10152,
            "mirror subject filters can not overlap",
        ),
        (
            r#""mirror":{"name":"O"},"max_msg_size":10"#,
            10030,
            "stream mirror must have max message size >= source",
        ),
        (
            r#""sources":[{"name":"O"}],"max_msg_size":10"#,
            10046,
            "stream source must have max message size >= target",
        ),
        (
            r#""sources":[{"name":"O"},{"name":"O"}]"#,
            10140,
            "duplicate source configuration detected",
        ),
        (
            r#""sources":[{"name":"a b"}]"#,
            10141,
            "sourced stream name is invalid",
        ),
        (
            r#""sources":[{"name":"O","external":{"api":"a","deliver":"d.*"}}]"#,
            10024,
            "stream external delivery prefix d.* must not contain wildcards",
        ),
        (
            r#""sources":[{"name":"O","external":{"api":"$JS.API","deliver":"d"}}]"#,
            10021,
            "stream external api prefix $JS.API must not overlap with $JS.API",
        ),
        (
            r#""sources":[{"name":"O","external":{"api":"a..b","deliver":""}}]"#,
            10052,
            "stream external api prefix \"a..b\" must be a valid subject without wildcards",
        ),
        (
            r#""mirror":{"name":"O","filter_subject":"a..b"}"#,
            10049,
            "subject filter 'a..b' for the mirror invalid subject",
        ),
        (
            r#""mirror":{"name":"O"},"subject_delete_marker_ttl":5000000000"#,
            10052,
            "subject delete markers forbidden on mirrors",
        ),
        (
            r#""mirror":{"name":"O"},"allow_atomic":true"#,
            10198,
            "stream mirrors can not also use atomic publishing",
        ),
        (
            r#""sources":[{"name":"O"}],"allow_msg_schedules":true"#,
            10187,
            "stream source can not also schedule messages",
        ),
    ];
    for (fields, err_code, description) in cases {
        let error = create_named("X", fields).unwrap_err();
        let found = (error.err_code, &*error.description);
        assert_eq!(found, (err_code, description), "{fields}");
    }
}

#[test]
fn a_loop_over_other_streams_is_found() {
    let error = create_named("B", r#""sources":[{"name":"A"}]"#).unwrap_err();
    assert_eq!(&*error.description, "detected cycle");
    create_named("C", r#""sources":[{"name":"A"}]"#).unwrap();
}

#[test]
fn a_mirror_inherits_direct_gets_and_has_no_subjects() {
    let config = create_named("X", r#""mirror":{"name":"O"}"#).unwrap();
    assert!(config.mirror_direct);
    assert!(config.subjects.is_empty());
    assert_eq!(config.duplicate_window_ns, 0);
}

#[test]
fn a_mirror_can_be_promoted_but_not_changed() {
    let old = create_named("X", r#""mirror":{"name":"O"}"#).unwrap();
    let update = |fields: &str| {
        let new = serde_json::from_str(&format!("{{\"name\":\"X\",{fields}}}")).unwrap();
        validate_update(&old, &new, &context())
    };
    for fields in [
        r#""mirror":{"name":"P"}"#,
        r#""mirror":{"name":"O","opt_start_seq":5}"#,
    ] {
        assert_eq!(update(fields), Err(ApiError::STREAM_MIRROR_NOT_UPDATABLE));
    }
    let promoted = update(r#""subjects":["x.>"],"mirror_direct":true"#).unwrap();
    assert_eq!(promoted.mirror, None);
    assert!(!promoted.mirror_direct);
}

#[test]
fn a_consumer_that_a_person_made_decides_what_is_read() {
    let consumer = r#""consumer":{"name":"C","deliver_subject":"d"}"#;
    let config = create_named("M", &format!(r#""mirror":{{"name":"O",{consumer}}}"#)).unwrap();
    assert!(config.mirror.unwrap().consumer.is_some());
    let both = format!(r#""sources":[{{"name":"O",{consumer}}},{{"name":"O"}}]"#);
    assert!(create_named("S", &both).is_ok());
    let twice = format!(r#""sources":[{{"name":"O",{consumer}}},{{"name":"O",{consumer}}}]"#);
    assert_eq!(create_named("S", &twice).unwrap_err().err_code, 10140);
    let rewritten = r#""subject_transforms":[{"src":"a","dest":"b"}]"#;
    let shared =
        format!(r#""sources":[{{"name":"O",{consumer}}},{{"name":"O",{rewritten},{consumer}}}]"#);
    assert_eq!(create_named("S", &shared).unwrap_err().err_code, 10216);
    let wrong = [
        r#""consumer":{}"#.to_owned(),
        r#""consumer":{"name":"C"}"#.to_owned(),
        r#""consumer":{"name":"C.D","deliver_subject":"d"}"#.to_owned(),
        r#""consumer":{"name":"C","deliver_subject":"d.*"}"#.to_owned(),
        format!(r#""filter_subject":"o",{consumer}"#),
        format!(r#""opt_start_seq":3,{consumer}"#),
        format!(r#""opt_start_time":"2024-01-01T00:00:00Z",{consumer}"#),
    ];
    for fields in wrong {
        let mirror = create_named("M", &format!(r#""mirror":{{"name":"O",{fields}}}"#));
        assert_eq!(mirror.unwrap_err().err_code, 10213, "{fields}");
        let source = create_named("S", &format!(r#""sources":[{{"name":"O",{fields}}}]"#));
        assert_eq!(source.unwrap_err().err_code, 10215, "{fields}");
    }
}
