//! What the subject of an API request asks for.

/// A request of the JetStream API, as far as its subject tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiRequest<'a> {
    pub verb: Verb,
    /// The stream, empty if the verb concerns none.
    pub stream: &'a str,
    /// The consumer, empty if the verb concerns none.
    pub consumer: &'a str,
    /// What follows: the filter subject of a create, the subject of a direct get, an account.
    pub rest: &'a str,
    /// The domain in `$JS.<domain>.API`.
    pub domain: Option<&'a str>,
}

macro_rules! verbs {
    ($($verb:ident $name:literal $response:literal;)*) => {
        /// What a request wants.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Verb {
            $(#[doc = $name] $verb,)*
        }

        impl Verb {
            /// Every verb.
            pub const ALL: &[Verb] = &[$(Verb::$verb),*];

            /// The fixed tokens of the subject, `STREAM.CREATE`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Verb::$verb => $name,)*
                }
            }

            /// The last part of the response's type; empty for verbs that answer with messages.
            pub fn response_name(self) -> &'static str {
                match self {
                    $(Verb::$verb => $response,)*
                }
            }
        }
    };
}

#[rustfmt::skip]
verbs! {
    AccountInfo "INFO" "account_info_response";
    StreamCreate "STREAM.CREATE" "stream_create_response";
    StreamUpdate "STREAM.UPDATE" "stream_update_response";
    StreamNames "STREAM.NAMES" "stream_names_response";
    StreamList "STREAM.LIST" "stream_list_response";
    StreamInfo "STREAM.INFO" "stream_info_response";
    StreamDelete "STREAM.DELETE" "stream_delete_response";
    StreamPurge "STREAM.PURGE" "stream_purge_response";
    StreamSnapshot "STREAM.SNAPSHOT" "stream_snapshot_response";
    StreamRestore "STREAM.RESTORE" "stream_restore_response";
    StreamMsgGet "STREAM.MSG.GET" "stream_msg_get_response";
    StreamMsgDelete "STREAM.MSG.DELETE" "stream_msg_delete_response";
    StreamPeerRemove "STREAM.PEER.REMOVE" "stream_remove_peer_response";
    StreamPeerEvacuate "STREAM.PEER.EVACUATE" "stream_evacuate_peer_response";
    StreamLeaderStepDown "STREAM.LEADER.STEPDOWN" "stream_leader_stepdown_response";
    StreamCancelMove "STREAM.CANCEL_MOVE" "stream_cancel_move_response";
    ConsumerCreate "CONSUMER.CREATE" "consumer_create_response";
    ConsumerDurableCreate "CONSUMER.DURABLE.CREATE" "consumer_create_response";
    ConsumerNames "CONSUMER.NAMES" "consumer_names_response";
    ConsumerList "CONSUMER.LIST" "consumer_list_response";
    ConsumerInfo "CONSUMER.INFO" "consumer_info_response";
    ConsumerDelete "CONSUMER.DELETE" "consumer_delete_response";
    ConsumerPause "CONSUMER.PAUSE" "consumer_pause_response";
    ConsumerUnpin "CONSUMER.UNPIN" "consumer_unpin_response";
    ConsumerReset "CONSUMER.RESET" "consumer_reset_response";
    ConsumerLeaderStepDown "CONSUMER.LEADER.STEPDOWN" "consumer_leader_stepdown_response";
    ConsumerPeerRemove "CONSUMER.PEER.REMOVE" "consumer_remove_peer_response";
    ConsumerPeerEvacuate "CONSUMER.PEER.EVACUATE" "consumer_evacuate_peer_response";
    ConsumerMsgNext "CONSUMER.MSG.NEXT" "";
    DirectGet "DIRECT.GET" "";
    MetaLeaderStepDown "META.LEADER.STEPDOWN" "meta_leader_stepdown_response";
    ServerRemove "SERVER.REMOVE" "meta_server_remove_response";
    ServerEvacuate "SERVER.EVACUATE" "meta_server_evacuate_response";
    MetaRescue "META.RESCUE" "meta_rescue_response";
    AccountPurge "ACCOUNT.PURGE" "account_purge_response";
    AccountStreamMove "ACCOUNT.STREAM.MOVE" "stream_update_response";
    AccountStreamCancelMove "ACCOUNT.STREAM.CANCEL_MOVE" "stream_cancel_move_response";
}

/// Which tokens follow the fixed ones.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tail {
    Nothing,
    Stream,
    StreamAndConsumer,
    /// A stream, then perhaps a subject.
    StreamAndSubject,
    /// A stream, then perhaps a consumer, then perhaps a subject.
    StreamConsumerSubject,
    Account,
    AccountAndStream,
}

impl Verb {
    fn tail(self) -> Tail {
        use Verb::*;
        match self {
            AccountInfo | StreamNames | StreamList | MetaLeaderStepDown | ServerRemove
            | ServerEvacuate | MetaRescue => Tail::Nothing,
            DirectGet => Tail::StreamAndSubject,
            ConsumerCreate => Tail::StreamConsumerSubject,
            ConsumerNames | ConsumerList => Tail::Stream,
            AccountPurge => Tail::Account,
            AccountStreamMove | AccountStreamCancelMove => Tail::AccountAndStream,
            verb if verb.name().starts_with("CONSUMER.") => Tail::StreamAndConsumer,
            _ => Tail::Stream,
        }
    }

    /// Only the system account may ask for this.
    pub fn is_system_only(self) -> bool {
        matches!(self.tail(), Tail::Account | Tail::AccountAndStream)
            || self.name().starts_with("META.")
            || self.name().starts_with("SERVER.")
    }
}

impl<'a> ApiRequest<'a> {
    /// Understands `$JS.API.…` and `$JS.<domain>.API.…`; `None` if the API has no such subject.
    pub fn parse(subject: &'a str) -> Option<ApiRequest<'a>> {
        let after = subject.strip_prefix("$JS.")?;
        let (domain, call) = match after.strip_prefix("API.") {
            Some(call) => (None, call),
            None => {
                let (domain, rest) = after.split_once('.')?;
                (Some(domain), rest.strip_prefix("API.")?)
            }
        };
        let mut request = Verb::ALL.iter().find_map(|verb| parse_call(*verb, call))?;
        request.domain = domain;
        Some(request)
    }
}

fn parse_call(verb: Verb, call: &str) -> Option<ApiRequest<'_>> {
    let mut request = ApiRequest {
        verb,
        stream: "",
        consumer: "",
        rest: "",
        domain: None,
    };
    let tail = match call.strip_prefix(verb.name())? {
        "" => return (verb.tail() == Tail::Nothing).then_some(request),
        tail => tail.strip_prefix('.')?,
    };
    if tail.split('.').any(str::is_empty) {
        return None;
    }
    let (first, rest) = tail.split_once('.').unwrap_or((tail, ""));
    match verb.tail() {
        Tail::Nothing => return None,
        Tail::Stream if rest.is_empty() => request.stream = first,
        Tail::StreamAndConsumer if !rest.is_empty() && !rest.contains('.') => {
            (request.stream, request.consumer) = (first, rest);
        }
        Tail::StreamAndSubject => (request.stream, request.rest) = (first, rest),
        Tail::StreamConsumerSubject => {
            request.stream = first;
            (request.consumer, request.rest) = rest.split_once('.').unwrap_or((rest, ""));
        }
        Tail::Account if rest.is_empty() => request.rest = first,
        Tail::AccountAndStream if !rest.is_empty() && !rest.contains('.') => {
            (request.rest, request.stream) = (first, rest);
        }
        _ => return None,
    }
    Some(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(subject: &str) -> Option<(Verb, &str, &str, &str, Option<&str>)> {
        let request = ApiRequest::parse(subject)?;
        Some((
            request.verb,
            request.stream,
            request.consumer,
            request.rest,
            request.domain,
        ))
    }

    #[test]
    fn subjects_are_taken_apart() {
        let cases = [
            ("$JS.API.INFO", (Verb::AccountInfo, "", "", "", None)),
            (
                "$JS.API.STREAM.INFO.S",
                (Verb::StreamInfo, "S", "", "", None),
            ),
            (
                "$JS.hub.API.STREAM.LIST",
                (Verb::StreamList, "", "", "", Some("hub")),
            ),
            (
                "$JS.API.STREAM.MSG.GET.S",
                (Verb::StreamMsgGet, "S", "", "", None),
            ),
            (
                "$JS.API.CONSUMER.CREATE.S",
                (Verb::ConsumerCreate, "S", "", "", None),
            ),
            (
                "$JS.API.CONSUMER.CREATE.S.C",
                (Verb::ConsumerCreate, "S", "C", "", None),
            ),
            (
                "$JS.API.CONSUMER.CREATE.S.C.a.*.>",
                (Verb::ConsumerCreate, "S", "C", "a.*.>", None),
            ),
            (
                "$JS.API.CONSUMER.DURABLE.CREATE.S.C",
                (Verb::ConsumerDurableCreate, "S", "C", "", None),
            ),
            (
                "$JS.API.CONSUMER.MSG.NEXT.S.C",
                (Verb::ConsumerMsgNext, "S", "C", "", None),
            ),
            ("$JS.API.DIRECT.GET.S", (Verb::DirectGet, "S", "", "", None)),
            (
                "$JS.API.DIRECT.GET.S.a.b",
                (Verb::DirectGet, "S", "", "a.b", None),
            ),
            (
                "$JS.API.ACCOUNT.PURGE.A",
                (Verb::AccountPurge, "", "", "A", None),
            ),
            (
                "$JS.API.ACCOUNT.STREAM.MOVE.A.S",
                (Verb::AccountStreamMove, "S", "", "A", None),
            ),
        ];
        for (subject, expected) in cases {
            assert_eq!(parts(subject), Some(expected), "{subject}");
        }
    }

    #[test]
    fn other_subjects_are_no_requests() {
        for subject in [
            "$JS.API",
            "$JS.API.",
            "$JS.API.STREAM.INFO",
            "$JS.API.STREAM.INFO.A.B",
            "$JS.API.STREAM.UNKNOWN.A",
            "$JS.API.STREAM.CREATE.",
            "$JS.API.CONSUMER.INFO.S",
            "$JS.API.CONSUMER.CREATE.S.C.a..b",
            "$JS.API.INFO.x",
            "$JS.ACK.S.C.1.1.1.1.0",
            "$JS.d.x.API.INFO",
            "foo",
        ] {
            assert_eq!(parts(subject), None, "{subject}");
        }
    }

    #[test]
    fn every_verb_is_reachable() {
        for verb in Verb::ALL {
            let reached = ["", ".A", ".A.B"].iter().any(|tail| {
                let subject = format!("$JS.API.{}{tail}", verb.name());
                ApiRequest::parse(&subject).is_some_and(|request| request.verb == *verb)
            });
            assert!(reached, "{}", verb.name());
        }
        assert_eq!(Verb::ALL.len(), 37);
    }
}
