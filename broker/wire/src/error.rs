//! Every reason to refuse a client, and the names of the ways a connection ends.

/// A reason to refuse what a client did. [`Error::text`] is the exact text after `-ERR`, and
/// [`Error::closes`] says whether the connection ends with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("unknown protocol operation")]
    UnknownOperation,
    #[error("maximum control line exceeded")]
    MaxControlLine,
    #[error("maximum payload violation")]
    MaxPayload,
    /// Arguments that cannot be understood. The client is not told.
    #[error("malformed {verb} arguments")]
    Malformed { verb: &'static str },
    /// `HPUB` from a client that did not offer headers. The client is not told.
    #[error("message headers were not negotiated")]
    HeadersNotNegotiated,
    #[error("authorization violation")]
    AuthorizationViolation,
    #[error("authentication timeout")]
    AuthenticationTimeout,
    #[error("user authentication expired")]
    UserExpired,
    #[error("account authentication expired")]
    AccountExpired,
    #[error("user authentication revoked")]
    UserRevoked,
    #[error("maximum connections exceeded")]
    MaxConnections,
    #[error("maximum account active connections exceeded")]
    MaxAccountConnections,
    #[error("maximum subscriptions exceeded")]
    MaxSubscriptions,
    #[error("invalid subject")]
    InvalidSubject,
    #[error("invalid publish subject")]
    InvalidPublishSubject,
    #[error("permissions violation for publish to {subject:?}")]
    PublishDenied { subject: String },
    #[error("permissions violation for publish with reply of {reply:?}")]
    ReplyDenied { reply: String },
    #[error("permissions violation for subscription to {subject:?}")]
    SubscribeDenied {
        subject: String,
        queue: Option<String>,
    },
    /// A live subscription is cut because permissions shrank.
    #[error("permissions violation for live subscription to {subject:?}")]
    SubscriptionRevoked {
        subject: String,
        queue: Option<String>,
        sid: String,
    },
    #[error("subscription to {subject:?} has too many tokens")]
    TooManyTokens { subject: String },
    #[error("invalid client protocol")]
    InvalidClientProtocol,
    #[error("no responders requires headers support")]
    NoRespondersRequiresHeaders,
    #[error("secure connection required")]
    TlsRequired,
    #[error("too many new connections")]
    ConnectionThrottled,
    #[error("stale connection")]
    StaleConnection,
    #[error("failed account registration")]
    FailedAccountRegistration,
    #[error("attempted to connect to route port")]
    WrongPortRoute,
    #[error("attempted to connect to leaf node port")]
    WrongPortLeafNode,
    #[error("attempted to connect to gateway port")]
    WrongPortGateway,
    #[error("attempted to connect to wrong port")]
    WrongPort,
    /// The client does not read fast enough. The client is not told.
    #[error("slow consumer")]
    SlowConsumer,
}

impl Error {
    /// The text a client finds between the quotes of `-ERR`, byte for byte; `None` when it is told
    /// nothing.
    pub fn text(&self) -> Option<String> {
        let text = match self {
            Error::UnknownOperation => "Unknown Protocol Operation",
            Error::MaxControlLine => "maximum control line exceeded",
            Error::MaxPayload => "Maximum Payload Violation",
            Error::Malformed { .. } | Error::HeadersNotNegotiated | Error::SlowConsumer => {
                return None;
            }
            Error::AuthorizationViolation => "Authorization Violation",
            Error::AuthenticationTimeout => "Authentication Timeout",
            Error::UserExpired => "User Authentication Expired",
            Error::AccountExpired => "Account Authentication Expired",
            Error::UserRevoked => "User Authentication Revoked",
            Error::MaxConnections => "maximum connections exceeded",
            Error::MaxAccountConnections => "maximum account active connections exceeded",
            Error::MaxSubscriptions => "maximum subscriptions exceeded",
            Error::InvalidSubject => "Invalid Subject",
            Error::InvalidPublishSubject => "Invalid Publish Subject",
            Error::InvalidClientProtocol => "invalid client protocol",
            Error::NoRespondersRequiresHeaders => "no responders requires headers support",
            Error::TlsRequired => "Secure Connection - TLS Required",
            Error::ConnectionThrottled => {
                "Connection throttling is active. Please try again later."
            }
            Error::StaleConnection => "Stale Connection",
            Error::FailedAccountRegistration => "Failed Account Registration",
            Error::WrongPortRoute => "attempted to connect to route port",
            Error::WrongPortLeafNode => "attempted to connect to leaf node port",
            Error::WrongPortGateway => "attempted to connect to gateway port",
            Error::WrongPort => "attempted to connect to wrong port",
            Error::PublishDenied { .. }
            | Error::ReplyDenied { .. }
            | Error::SubscribeDenied { .. }
            | Error::SubscriptionRevoked { .. }
            | Error::TooManyTokens { .. } => return Some(self.denial()),
        };
        Some(text.to_owned())
    }

    fn denial(&self) -> String {
        const SUBSCRIPTION: &str = "Permissions Violation for Subscription to";
        match self {
            Error::PublishDenied { subject } => {
                format!("Permissions Violation for Publish to \"{subject}\"")
            }
            Error::ReplyDenied { reply } => {
                format!("Permissions Violation for Publish with Reply of \"{reply}\"")
            }
            Error::SubscribeDenied {
                subject,
                queue: None,
            } => {
                format!("{SUBSCRIPTION} \"{subject}\"")
            }
            Error::SubscribeDenied {
                subject,
                queue: Some(queue),
            } => {
                format!("{SUBSCRIPTION} \"{subject}\" using queue \"{queue}\"")
            }
            Error::SubscriptionRevoked {
                subject,
                queue: None,
                sid,
            } => {
                format!("{SUBSCRIPTION} \"{subject}\" (sid \"{sid}\")")
            }
            Error::SubscriptionRevoked {
                subject,
                queue: Some(queue),
                sid,
            } => {
                format!("{SUBSCRIPTION} \"{subject}\" using queue \"{queue}\" (sid \"{sid}\")")
            }
            Error::TooManyTokens { subject } => {
                format!("{SUBSCRIPTION} \"{subject}\", too many tokens")
            }
            other => other.to_string(),
        }
    }

    /// Whether the connection ends, after the text if there is one.
    pub fn closes(&self) -> bool {
        !matches!(
            self,
            Error::MaxSubscriptions
                | Error::InvalidSubject
                | Error::InvalidPublishSubject
                | Error::PublishDenied { .. }
                | Error::ReplyDenied { .. }
                | Error::SubscribeDenied { .. }
                | Error::SubscriptionRevoked { .. }
                | Error::TooManyTokens { .. }
        )
    }

    /// Under which reason monitoring lists a connection that ended with this error.
    pub fn close_reason(&self) -> CloseReason {
        match self {
            Error::UnknownOperation | Error::Malformed { .. } | Error::HeadersNotNegotiated => {
                CloseReason::ParseError
            }
            Error::MaxControlLine => CloseReason::MaxControlLineExceeded,
            Error::MaxPayload => CloseReason::MaxPayloadExceeded,
            Error::AuthorizationViolation => CloseReason::AuthenticationFailure,
            Error::AuthenticationTimeout => CloseReason::AuthenticationTimeout,
            Error::UserExpired | Error::AccountExpired => CloseReason::AuthenticationExpired,
            Error::UserRevoked => CloseReason::Revocation,
            Error::MaxConnections => CloseReason::MaxConnectionsExceeded,
            Error::MaxAccountConnections => CloseReason::MaxAccountConnectionsExceeded,
            Error::MaxSubscriptions => CloseReason::MaxSubscriptionsExceeded,
            Error::InvalidClientProtocol => CloseReason::BadClientProtocolVersion,
            Error::NoRespondersRequiresHeaders => CloseReason::NoRespondersRequiresHeaders,
            Error::TlsRequired => CloseReason::TlsHandshakeError,
            Error::StaleConnection => CloseReason::StaleConnection,
            Error::FailedAccountRegistration => CloseReason::MissingAccount,
            Error::WrongPortRoute
            | Error::WrongPortLeafNode
            | Error::WrongPortGateway
            | Error::WrongPort => CloseReason::WrongPort,
            Error::SlowConsumer => CloseReason::SlowConsumerPendingBytes,
            Error::ConnectionThrottled
            | Error::InvalidSubject
            | Error::InvalidPublishSubject
            | Error::PublishDenied { .. }
            | Error::ReplyDenied { .. }
            | Error::SubscribeDenied { .. }
            | Error::SubscriptionRevoked { .. }
            | Error::TooManyTokens { .. } => CloseReason::ProtocolViolation,
        }
    }
}

macro_rules! close_reasons {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// Why a connection ended, with the names that monitoring shows.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum CloseReason { $($(#[$doc])* $variant,)* }

        impl CloseReason {
            /// Every reason, in the order monitoring documents them.
            pub const ALL: &[CloseReason] = &[$(CloseReason::$variant,)*];

            /// The name that monitoring and disconnect events show.
            pub fn name(self) -> &'static str {
                match self { $(CloseReason::$variant => $name,)* }
            }
        }
    };
}

close_reasons! {
    ClientClosed = "Client Closed",
    AuthenticationTimeout = "Authentication Timeout",
    AuthenticationFailure = "Authentication Failure",
    TlsHandshakeError = "TLS Handshake Failure",
    SlowConsumerPendingBytes = "Slow Consumer (Pending Bytes)",
    SlowConsumerWriteDeadline = "Slow Consumer (Write Deadline)",
    WriteError = "Write Error",
    ReadError = "Read Error",
    ParseError = "Parse Error",
    StaleConnection = "Stale Connection",
    ProtocolViolation = "Protocol Violation",
    BadClientProtocolVersion = "Bad Client Protocol Version",
    WrongPort = "Incorrect Port",
    MaxConnectionsExceeded = "Maximum Connections Exceeded",
    MaxAccountConnectionsExceeded = "Maximum Account Connections Exceeded",
    MaxPayloadExceeded = "Maximum Message Payload Exceeded",
    MaxControlLineExceeded = "Maximum Control Line Exceeded",
    MaxSubscriptionsExceeded = "Maximum Subscriptions Exceeded",
    DuplicateRoute = "Duplicate Route",
    RouteRemoved = "Route Removed",
    ServerShutdown = "Server Shutdown",
    AuthenticationExpired = "Authentication Expired",
    WrongGateway = "Wrong Gateway",
    MissingAccount = "Missing Account",
    Revocation = "Credentials Revoked",
    InternalClient = "Internal Client",
    MessageHeaderViolation = "Message Header Violation",
    NoRespondersRequiresHeaders = "No Responders Requires Headers",
    ClusterNameConflict = "Cluster Name Conflict",
    DuplicateRemoteLeafNode = "Duplicate Remote LeafNode Connection",
    DuplicateClientId = "Duplicate Client ID",
    DuplicateServerName = "Duplicate Server Name",
    MinimumVersionRequired = "Minimum Version Required",
    ClusterNamesIdentical = "Cluster Names Identical",
    Kicked = "Kicked",
    ProxyNotTrusted = "Proxy Not Trusted",
    ProxyRequired = "Proxy Required",
    // What nats-server has no word for: it ends as a whole then.
    InternalError = "Internal Error",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_consequences() {
        let s = |text: &str| text.to_owned();
        let check = |error: Error, text: Option<&str>, closes: bool| {
            assert_eq!(error.text().as_deref(), text, "{error:?}");
            assert_eq!(error.closes(), closes, "{error:?}");
        };
        use Error::*;
        check(UnknownOperation, Some("Unknown Protocol Operation"), true);
        check(MaxControlLine, Some("maximum control line exceeded"), true);
        check(MaxPayload, Some("Maximum Payload Violation"), true);
        check(Malformed { verb: "PUB" }, None, true);
        check(HeadersNotNegotiated, None, true);
        check(SlowConsumer, None, true);
        check(
            AuthorizationViolation,
            Some("Authorization Violation"),
            true,
        );
        check(AuthenticationTimeout, Some("Authentication Timeout"), true);
        check(UserExpired, Some("User Authentication Expired"), true);
        check(AccountExpired, Some("Account Authentication Expired"), true);
        check(UserRevoked, Some("User Authentication Revoked"), true);
        check(MaxConnections, Some("maximum connections exceeded"), true);
        let account = "maximum account active connections exceeded";
        check(MaxAccountConnections, Some(account), true);
        check(
            MaxSubscriptions,
            Some("maximum subscriptions exceeded"),
            false,
        );
        check(InvalidSubject, Some("Invalid Subject"), false);
        check(
            InvalidPublishSubject,
            Some("Invalid Publish Subject"),
            false,
        );
        check(InvalidClientProtocol, Some("invalid client protocol"), true);
        let responders = "no responders requires headers support";
        check(NoRespondersRequiresHeaders, Some(responders), true);
        check(TlsRequired, Some("Secure Connection - TLS Required"), true);
        let throttled = "Connection throttling is active. Please try again later.";
        check(ConnectionThrottled, Some(throttled), true);
        check(StaleConnection, Some("Stale Connection"), true);
        check(
            FailedAccountRegistration,
            Some("Failed Account Registration"),
            true,
        );
        check(
            WrongPortRoute,
            Some("attempted to connect to route port"),
            true,
        );
        check(
            WrongPortLeafNode,
            Some("attempted to connect to leaf node port"),
            true,
        );
        check(
            WrongPortGateway,
            Some("attempted to connect to gateway port"),
            true,
        );
        check(WrongPort, Some("attempted to connect to wrong port"), true);

        let denied = r#"Permissions Violation for Publish to "a.b""#;
        check(PublishDenied { subject: s("a.b") }, Some(denied), false);
        let denied = r#"Permissions Violation for Publish with Reply of "r""#;
        check(ReplyDenied { reply: s("r") }, Some(denied), false);
        let denied = r#"Permissions Violation for Subscription to "a.*""#;
        check(
            SubscribeDenied {
                subject: s("a.*"),
                queue: None,
            },
            Some(denied),
            false,
        );
        let denied = r#"Permissions Violation for Subscription to "a" using queue "q""#;
        check(
            SubscribeDenied {
                subject: s("a"),
                queue: Some(s("q")),
            },
            Some(denied),
            false,
        );
        let denied = r#"Permissions Violation for Subscription to "a" (sid "7")"#;
        let revoked = SubscriptionRevoked {
            subject: s("a"),
            queue: None,
            sid: s("7"),
        };
        check(revoked, Some(denied), false);
        let denied = r#"Permissions Violation for Subscription to "a" using queue "q" (sid "7")"#;
        let revoked = SubscriptionRevoked {
            subject: s("a"),
            queue: Some(s("q")),
            sid: s("7"),
        };
        check(revoked, Some(denied), false);
        let denied = r#"Permissions Violation for Subscription to "a.b.c", too many tokens"#;
        check(
            TooManyTokens {
                subject: s("a.b.c"),
            },
            Some(denied),
            false,
        );
    }

    #[test]
    fn every_close_reason_has_its_own_name() {
        let mut names: Vec<&str> = CloseReason::ALL
            .iter()
            .map(|reason| reason.name())
            .collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CloseReason::ALL.len());
    }
}
