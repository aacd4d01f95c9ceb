//! What a request for one of the pages may ask: the same options from a URL's query and from the
//! JSON body of a system request.

use serde::{Deserialize, Deserializer};

use crate::query::{BadRequest, Query};

/// Entries of a page when the request does not say.
pub const DEFAULT_LIMIT: usize = 1024;

/// How connections are ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    #[default]
    Cid,
    Start,
    Subs,
    Pending,
    MsgsTo,
    MsgsFrom,
    BytesTo,
    BytesFrom,
    Last,
    Idle,
    Uptime,
    Stop,
    Reason,
    Rtt,
}

impl Sort {
    fn parse(text: &str) -> Result<Sort, BadRequest> {
        Ok(match text {
            "" | "cid" => Sort::Cid,
            "start" => Sort::Start,
            "subs" => Sort::Subs,
            "pending" => Sort::Pending,
            "msgs_to" => Sort::MsgsTo,
            "msgs_from" => Sort::MsgsFrom,
            "bytes_to" => Sort::BytesTo,
            "bytes_from" => Sort::BytesFrom,
            "last" => Sort::Last,
            "idle" => Sort::Idle,
            "uptime" => Sort::Uptime,
            "stop" => Sort::Stop,
            "reason" => Sort::Reason,
            "rtt" => Sort::Rtt,
            _ => return Err(BadRequest::new(format!("invalid sorting option: {text}"))),
        })
    }
}

/// Which connections are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConnectionState {
    #[default]
    Open,
    Closed,
    All,
}

impl ConnectionState {
    fn parse(text: &str) -> Result<ConnectionState, BadRequest> {
        match text.to_ascii_lowercase().as_str() {
            "" | "open" => Ok(ConnectionState::Open),
            "closed" => Ok(ConnectionState::Closed),
            "any" | "all" => Ok(ConnectionState::All),
            _ => Err(BadRequest::new(format!(
                "invalid connection state {text:?}: open, closed or all"
            ))),
        }
    }
}

/// System requests name the state by number, and a person may write its name.
impl<'de> Deserialize<'de> for ConnectionState {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Spelling {
            Number(u64),
            Name(String),
        }
        match Spelling::deserialize(deserializer)? {
            Spelling::Number(0) => Ok(ConnectionState::Open),
            Spelling::Number(1) => Ok(ConnectionState::Closed),
            Spelling::Number(2) => Ok(ConnectionState::All),
            Spelling::Number(other) => Err(serde::de::Error::custom(format!(
                "invalid connection state {other}"
            ))),
            Spelling::Name(name) => ConnectionState::parse(&name).map_err(serde::de::Error::custom),
        }
    }
}

/// Options of `connz`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ConnzOptions {
    pub sort: String,
    /// Show users and accounts.
    pub auth: bool,
    pub subscriptions: bool,
    pub subscriptions_detail: bool,
    pub offset: i64,
    /// 0 or less = [`DEFAULT_LIMIT`].
    pub limit: i64,
    /// Only this connection; 0 = all.
    pub cid: u64,
    pub mqtt_client: String,
    pub state: ConnectionState,
    pub user: String,
    pub acc: String,
    /// Only connections with a subscription that a message on this subject would reach.
    pub filter_subject: String,
}

impl ConnzOptions {
    pub fn from_query(query: &Query) -> Result<ConnzOptions, BadRequest> {
        let (subscriptions, subscriptions_detail) = query.subscriptions()?;
        Ok(ConnzOptions {
            sort: query.text("sort"),
            auth: query.flag("auth")?,
            subscriptions,
            subscriptions_detail,
            offset: query.number("offset")?,
            limit: query.number("limit")?,
            cid: query.unsigned("cid")?,
            mqtt_client: query.text("mqtt_client"),
            state: ConnectionState::parse(&query.text("state"))?,
            user: query.text("user"),
            acc: query.text("acc"),
            filter_subject: String::new(),
        })
    }

    /// The order, if it suits the connections asked for.
    pub fn sort(&self) -> Result<Sort, BadRequest> {
        let sort = Sort::parse(&self.sort)?;
        let open_too = self.state != ConnectionState::Closed;
        match sort {
            Sort::Stop if open_too => Err(BadRequest::new(
                "sort by stop only valid on closed connections",
            )),
            Sort::Reason if open_too => Err(BadRequest::new(
                "sort by reason only valid on closed connections",
            )),
            sort => Ok(sort),
        }
    }
}

/// Options of `routez`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RoutezOptions {
    pub subscriptions: bool,
    pub subscriptions_detail: bool,
}

impl RoutezOptions {
    pub fn from_query(query: &Query) -> Result<RoutezOptions, BadRequest> {
        let (subscriptions, subscriptions_detail) = query.subscriptions()?;
        Ok(RoutezOptions {
            subscriptions,
            subscriptions_detail,
        })
    }
}

/// Options of `subsz`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct SubszOptions {
    pub offset: i64,
    /// 0 or less = [`DEFAULT_LIMIT`].
    pub limit: i64,
    /// List them, not only count.
    pub subscriptions: bool,
    pub account: String,
    /// Only those that a message on this literal subject would reach.
    pub test: String,
}

impl SubszOptions {
    pub fn from_query(query: &Query) -> Result<SubszOptions, BadRequest> {
        Ok(SubszOptions {
            offset: query.number("offset")?,
            limit: query.number("limit")?,
            subscriptions: query.flag("subs")?,
            account: query.text("acc"),
            test: query.text("test"),
        })
    }
}

/// Options of `accountz`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct AccountzOptions {
    /// Details of this account; empty = the names of all.
    pub account: String,
}

/// Options of `accstatz`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct AccountStatzOptions {
    /// Only these; empty = all.
    pub accounts: Vec<String>,
    /// Also accounts without connections.
    pub include_unused: bool,
}

/// Options of `jsz`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct JszOptions {
    pub account: String,
    pub accounts: bool,
    pub streams: bool,
    pub consumer: bool,
    pub direct_consumer: bool,
    pub config: bool,
    /// Only the leader of the meta group answers.
    pub leader_only: bool,
    /// Only streams that this server leads.
    pub stream_leader_only: bool,
    pub raft: bool,
    pub offset: i64,
    /// 0 or less = [`DEFAULT_LIMIT`].
    pub limit: i64,
}

impl JszOptions {
    pub fn from_query(query: &Query) -> Result<JszOptions, BadRequest> {
        Ok(JszOptions {
            account: query.text("acc"),
            accounts: query.flag("accounts")?,
            streams: query.flag("streams")?,
            consumer: query.flag("consumers")?,
            direct_consumer: query.flag("direct-consumers")?,
            config: query.flag("config")?,
            leader_only: query.flag("leader-only")?,
            stream_leader_only: query.flag("stream-leader-only")?,
            raft: query.flag("raft")?,
            offset: query.number("offset")?,
            limit: query.number("limit")?,
        })
    }
}

/// Options of `healthz`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct HealthzOptions {
    /// The old name of `js-enabled-only`.
    pub js_enabled: bool,
    /// Stop once it is known that JetStream is there.
    pub js_enabled_only: bool,
    /// Look at the server and the meta group, not at streams.
    pub js_server_only: bool,
    /// Look at the meta group only.
    pub js_meta_only: bool,
    pub account: String,
    pub stream: String,
    pub consumer: String,
    /// List every problem, not only the first.
    pub details: bool,
}

impl HealthzOptions {
    pub fn from_query(query: &Query) -> Result<HealthzOptions, BadRequest> {
        Ok(HealthzOptions {
            js_enabled: query.flag("js-enabled")?,
            js_enabled_only: query.flag("js-enabled-only")?,
            js_server_only: query.flag("js-server-only")?,
            js_meta_only: query.flag("js-meta-only")?,
            account: query.text("account"),
            stream: query.text("stream"),
            consumer: query.text("consumer"),
            details: query.flag("details")?,
        })
    }
}

/// The window of a listing: where it starts and how many entries it has at most.
pub(crate) fn window(offset: i64, limit: i64) -> (usize, usize) {
    let offset = usize::try_from(offset).unwrap_or(0);
    let limit = usize::try_from(limit).ok().filter(|limit| *limit > 0);
    (offset, limit.unwrap_or(DEFAULT_LIMIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_must_exist_and_suit_the_state() {
        let ask = |query: &str| ConnzOptions::from_query(&Query::parse(query))?.sort();
        assert_eq!(ask(""), Ok(Sort::Cid));
        assert_eq!(ask("sort=bytes_to"), Ok(Sort::BytesTo));
        assert_eq!(ask("sort=stop&state=closed"), Ok(Sort::Stop));
        assert_eq!(
            ask("sort=stop").unwrap_err().to_string(),
            "sort by stop only valid on closed connections"
        );
        assert_eq!(
            ask("sort=foo").unwrap_err().to_string(),
            "invalid sorting option: foo"
        );
        assert!(ask("sort=reason&state=any").is_err());
    }

    #[test]
    fn a_system_request_names_the_state_by_number() {
        let options: ConnzOptions =
            serde_json::from_str(r#"{"state":1,"sort":"stop","auth":true,"unknown":1}"#).unwrap();
        assert_eq!(options.state, ConnectionState::Closed);
        assert!(options.auth);
        assert!(serde_json::from_str::<ConnzOptions>(r#"{"state":3}"#).is_err());
        let options: ConnzOptions = serde_json::from_str(r#"{"state":"all"}"#).unwrap();
        assert_eq!(options.state, ConnectionState::All);
    }

    #[test]
    fn health_options_have_dashes() {
        let options: HealthzOptions = serde_json::from_str(r#"{"js-server-only":true}"#).unwrap();
        assert!(options.js_server_only);
        let query = Query::parse("js-enabled-only=1&details=true");
        let options = HealthzOptions::from_query(&query).unwrap();
        assert!(options.js_enabled_only && options.details);
    }

    #[test]
    fn a_window_has_a_default_and_no_negative_side() {
        assert_eq!(window(0, 0), (0, DEFAULT_LIMIT));
        assert_eq!(window(-4, -1), (0, DEFAULT_LIMIT));
        assert_eq!(window(3, 5), (3, 5));
    }
}
