use messages::MemoryStore;

use super::*;

/// Six messages of three subjects, one second apart; the third is deleted.
fn store() -> MemoryStore {
    let mut store = MemoryStore::new();
    for seq in 1..=6u64 {
        let subject = ["kv.c", "kv.a", "kv.b"][seq as usize % 3];
        let headers: &[u8] = if seq == 5 {
            b"NATS/1.0\r\nK: v\r\n\r\n"
        } else {
            b""
        };
        let payload = format!("v{seq}");
        let time_ns = seq as i64 * 1_000_000_000;
        store
            .append(
                seq,
                time_ns,
                subject.as_bytes(),
                headers,
                payload.as_bytes(),
            )
            .unwrap();
    }
    store.remove(3, messages::Erase::No).unwrap();
    store
}

fn request(json: &str) -> MsgGetRequest {
    crate::json::parse(json.as_bytes()).unwrap()
}

fn get(json: &str) -> Result<u64, ApiError> {
    match msg_get(&store(), &request(json)) {
        Ok(message) => Ok(message.seq),
        Err(ReadError::Api(error)) => Err(error),
        Err(ReadError::Store(error)) => panic!("{error}"),
    }
}

#[test]
fn a_message_is_found_by_sequence_subject_or_time() {
    let cases = [
        (r#"{"seq":2}"#, Ok(2)),
        (r#"{"seq":3}"#, Err(ApiError::NO_MESSAGE_FOUND)),
        (r#"{"seq":9}"#, Err(ApiError::NO_MESSAGE_FOUND)),
        (r#"{"last_by_subj":"kv.a"}"#, Ok(4)),
        (r#"{"last_by_subj":"kv.*"}"#, Ok(6)),
        (
            r#"{"last_by_subj":"kv.z"}"#,
            Err(ApiError::NO_MESSAGE_FOUND),
        ),
        (r#"{"next_by_subj":"kv.a","seq":2}"#, Ok(4)),
        (r#"{"next_by_subj":"kv.c"}"#, Ok(6)),
        (r#"{"start_time":"1970-01-01T00:00:02.5Z"}"#, Ok(4)),
        (
            r#"{"start_time":"1970-01-01T00:00:09Z"}"#,
            Err(ApiError::NO_MESSAGE_FOUND),
        ),
        (
            r#"{"start_time":"1970-01-01T00:00:02Z","next_by_subj":"kv.c"}"#,
            Ok(6),
        ),
        ("{}", Err(ApiError::BAD_REQUEST)),
        (
            r#"{"seq":1,"last_by_subj":"kv.a"}"#,
            Err(ApiError::BAD_REQUEST),
        ),
    ];
    for (json, expected) in cases {
        assert_eq!(get(json), expected, "{json}");
    }
}

#[test]
fn a_message_is_given_in_base64() {
    let message = msg_get(&store(), &request(r#"{"seq":5}"#)).unwrap();
    let json = serde_json::to_string(&message).unwrap();
    let expected = concat!(
        r#"{"subject":"kv.b","seq":5,"hdrs":"TkFUUy8xLjANCks6IHYNCg0K","data":"djU=","#,
        r#""time":"1970-01-01T00:00:05Z"}"#
    );
    assert_eq!(json, expected);
}

/// All replies of a direct get: header block and payload.
fn direct(json: &str) -> Vec<(String, String)> {
    let store = store();
    let request = match parse_request(json.as_bytes(), "") {
        Ok(request) => request,
        Err(malformed) => return vec![text(malformed.reply())],
    };
    let mut replies = Vec::new();
    match DirectGet::start(&store, "KV", &request, 1000).unwrap() {
        Err(only) => replies.push(text(only)),
        Ok(mut get) => {
            while let Some(reply) = get.next(&store).unwrap() {
                replies.push(text(reply));
            }
        }
    }
    replies
}

fn text(reply: DirectReply) -> (String, String) {
    let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    (text(reply.headers), text(reply.payload))
}

/// The payloads of the replies; for replies without one, the status line.
fn outline(json: &str) -> Vec<String> {
    let summarise = |(headers, payload): (String, String)| match payload.is_empty() {
        true => headers
            .lines()
            .next()
            .unwrap_or_default()
            .replace("NATS/1.0 ", ""),
        false => payload,
    };
    direct(json).into_iter().map(summarise).collect()
}

#[test]
fn direct_gets_answer_with_messages_or_a_status() {
    let cases: &[(&str, &[&str])] = &[
        ("", &["408 Empty Request"]),
        ("{}", &["408 Empty Request"]),
        (r#"{"batch":2}"#, &["408 Empty Request"]),
        ("bad", &["408 Malformed Request"]),
        ("[]", &["408 Malformed Request"]),
        (r#"{"colour":1}"#, &["408 Empty Request"]),
        (r#"{"seq":1,"last_by_subj":"kv.a"}"#, &["408 Bad Request"]),
        (r#"{"batch":1,"last_by_subj":"kv.a"}"#, &["408 Bad Request"]),
        (
            r#"{"next_by_subj":"a","multi_last":["b"]}"#,
            &["408 Bad Request"],
        ),
        (r#"{"seq":2}"#, &["v2"]),
        (r#"{"seq":3}"#, &["404 Message Not Found"]),
        (r#"{"last_by_subj":"kv.b"}"#, &["v5"]),
        (r#"{"last_by_subj":"kv.z"}"#, &["404 Message Not Found"]),
        (r#"{"next_by_subj":"kv.a","seq":2}"#, &["v4"]),
        (r#"{"seq":2,"batch":2}"#, &["v2", "v4", "204 EOB"]),
        (r#"{"seq":5,"batch":9}"#, &["v5", "v6", "204 EOB"]),
        (r#"{"seq":9,"batch":9}"#, &["404 Message Not Found"]),
        (
            r#"{"batch":9,"next_by_subj":"kv.b"}"#,
            &["v2", "v5", "204 EOB"],
        ),
        (
            r#"{"seq":1,"batch":9,"max_bytes":7}"#,
            &["v1", "v2", "204 EOB"],
        ),
        (
            r#"{"start_time":"1970-01-01T00:00:05Z","batch":1}"#,
            &["v5", "204 EOB"],
        ),
        (r#"{"multi_last":["kv.*"]}"#, &["v4", "v5", "v6", "204 EOB"]),
        (
            r#"{"multi_last":["kv.*"],"up_to_seq":4}"#,
            &["v2", "v4", "204 EOB"],
        ),
        (r#"{"multi_last":["kv.*"],"batch":1}"#, &["v4", "204 EOB"]),
        (
            r#"{"multi_last":["kv.*"],"up_to_time":"1970-01-01T00:00:05Z"}"#,
            &["v2", "v4", "204 EOB"],
        ),
        (r#"{"multi_last":["nn.*"]}"#, &["404 No Results"]),
    ];
    for (json, expected) in cases {
        assert_eq!(outline(json), *expected, "{json}");
    }
}

#[test]
fn a_single_direct_get_names_the_message() {
    let expected = "NATS/1.0\r\nK: v\r\nNats-Stream: KV\r\nNats-Subject: kv.b\r\n\
        Nats-Sequence: 5\r\nNats-Time-Stamp: 1970-01-01T00:00:05Z\r\n\r\n";
    assert_eq!(
        direct(r#"{"seq":5}"#),
        [(expected.to_owned(), "v5".to_owned())]
    );
    assert_eq!(
        direct(r#"{"seq":5,"no_hdr":true}"#),
        [(String::new(), "v5".to_owned())]
    );
}

#[test]
fn a_batch_counts_down() {
    let replies = direct(r#"{"seq":4,"batch":2}"#);
    assert!(
        replies[0]
            .0
            .ends_with("Nats-Num-Pending: 2\r\nNats-Last-Sequence: 0\r\n\r\n")
    );
    assert!(
        replies[1]
            .0
            .ends_with("Nats-Num-Pending: 1\r\nNats-Last-Sequence: 4\r\n\r\n")
    );
    let end = "NATS/1.0 204 EOB\r\nNats-Num-Pending: 1\r\nNats-Last-Sequence: 5\r\n\r\n";
    assert_eq!(replies[2].0, end);
    let replies = direct(r#"{"multi_last":["kv.a","kv.c"]}"#);
    let end = "NATS/1.0 204 EOB\r\nNats-Num-Pending: 0\r\nNats-Last-Sequence: 6\r\n\
        Nats-UpTo-Sequence: 6\r\n\r\n";
    assert_eq!(replies[2].0, end);
}

#[test]
fn too_many_subjects_are_refused() {
    let mut store = MemoryStore::new();
    for seq in 1..=MULTI_LAST_MAX as u64 + 1 {
        store
            .append(seq, 0, format!("k.{seq}").as_bytes(), b"", b"")
            .unwrap();
    }
    let wanted = parse_request(br#"{"multi_last":["k.*"]}"#, "").unwrap();
    let refused = DirectGet::start(&store, "KV", &wanted, 1000)
        .unwrap()
        .unwrap_err();
    assert_eq!(refused.headers, "NATS/1.0 413 Too Many Results\r\n\r\n");
}

#[test]
fn stream_info_gives_details_only_when_asked() {
    let config = crate::StreamConfig {
        name: "KV".to_owned(),
        ..Default::default()
    };
    let machine = StreamMachine::new(config, 0, Box::new(store()));
    let (_, plain) = machine.info_state(&InfoRequest::default());
    assert_eq!((plain.num_deleted, plain.num_subjects), (1, 3));
    assert!(plain.deleted.is_empty() && plain.subjects.is_empty());
    let details = InfoRequest {
        deleted_details: true,
        subjects_filter: "kv.*".to_owned(),
        offset: 1,
    };
    let (paged, state) = machine.info_state(&details);
    assert_eq!(
        (paged.total, paged.offset, paged.limit),
        (3, 1, SUBJECTS_PAGE)
    );
    assert_eq!(state.deleted, [3]);
    assert_eq!(
        state.subjects,
        [("kv.b".to_owned(), 2), ("kv.c".to_owned(), 1)]
    );
}
