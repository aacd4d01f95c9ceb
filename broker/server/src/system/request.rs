//! What system requests ask, and whom.

use monitor::statsz::ServerInfo;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Options that are longer than this are not read, in bytes.
const MAX_BODY: usize = 64 * 1024;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Each server that the filter names.
    Server(OfServer),
    /// This server alone, to do something.
    Order(Order),
    /// Each server, about the account that the subject names.
    Account(OfAccount),
    /// Each server, about the account of who asks.
    OwnAccount(OfAccount),
    /// The server of who asks, about themselves.
    User,
}

impl Asked {
    pub fn is_order(self) -> bool {
        matches!(self, Asked::Order(_))
    }

    /// Whether the answer takes answers of other servers.
    pub fn waits_for_others(self) -> bool {
        matches!(self, Asked::Server(OfServer::Safez))
    }

    /// The account that a request is about: the one named in `$SYS.REQ.ACCOUNT.<name>.<service>`,
    /// or else that of who asks.
    pub fn about(self, subject: &[u8], asker: &str) -> String {
        let Asked::Account(_) = self else {
            return asker.to_owned();
        };
        let name = subject
            .split(|byte| *byte == b'.')
            .nth(3)
            .unwrap_or_default();
        String::from_utf8_lossy(name).into_owned()
    }
}

/// Pages about a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfServer {
    Idz,
    Statsz,
    Varz,
    Subsz,
    Connz,
    Routez,
    Gatewayz,
    Leafz,
    Accountz,
    Jsz,
    Healthz,
    Safez,
    Expvarz,
}

impl OfServer {
    pub const ALL: &[(&str, OfServer)] = &[
        ("IDZ", OfServer::Idz),
        ("STATSZ", OfServer::Statsz),
        ("VARZ", OfServer::Varz),
        ("SUBSZ", OfServer::Subsz),
        ("CONNZ", OfServer::Connz),
        ("ROUTEZ", OfServer::Routez),
        ("GATEWAYZ", OfServer::Gatewayz),
        ("LEAFZ", OfServer::Leafz),
        ("ACCOUNTZ", OfServer::Accountz),
        ("JSZ", OfServer::Jsz),
        ("HEALTHZ", OfServer::Healthz),
        ("SAFEZ", OfServer::Safez),
        ("EXPVARZ", OfServer::Expvarz),
    ];
}

/// Things a server can be told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Reload,
    /// End one connection.
    Kick,
    /// Ask one client to leave.
    LameDuck,
}

impl Order {
    pub const ALL: &[(&str, Order)] = &[
        ("RELOAD", Order::Reload),
        ("KICK", Order::Kick),
        ("LDM", Order::LameDuck),
    ];
}

/// Pages about an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfAccount {
    Subsz,
    Connz,
    Leafz,
    Jsz,
    Info,
    Statz,
    Conns,
}

impl OfAccount {
    pub const ALL: &[(&str, OfAccount)] = &[
        ("SUBSZ", OfAccount::Subsz),
        ("CONNZ", OfAccount::Connz),
        ("LEAFZ", OfAccount::Leafz),
        ("JSZ", OfAccount::Jsz),
        ("INFO", OfAccount::Info),
        ("STATZ", OfAccount::Statz),
        ("CONNS", OfAccount::Conns),
    ];
}

/// Which servers a request is for; an empty field does not matter.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Filter {
    server_name: String,
    cluster: String,
    host: String,
    /// Names must be equal, not only contain the text.
    exact_match: bool,
    /// The server has all of them.
    tags: Vec<String>,
    domain: String,
}

impl Filter {
    pub fn accepts(&self, server: &ServerInfo) -> bool {
        let named = |wanted: &str, is: &str| match self.exact_match {
            _ if wanted.is_empty() => true,
            true => wanted == is,
            false => is.contains(wanted),
        };
        named(&self.server_name, &server.name)
            && named(&self.cluster, &server.cluster)
            && named(&self.host, &server.host)
            && self.tags.iter().all(|tag| server.tags.contains(tag))
            && (self.domain.is_empty() || self.domain == server.domain)
    }
}

/// The connection that an order is about.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct OneConnection {
    pub cid: u64,
}

/// Reads the options in a request's body. None are the same as empty ones.
pub fn options<T: Default + DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(T::default());
    }
    if body.len() > MAX_BODY {
        return Err(format!(
            "request of {} bytes is too long, at most {MAX_BODY}",
            body.len()
        ));
    }
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> ServerInfo {
        ServerInfo {
            name: "n1-east".into(),
            host: "10.0.0.1".into(),
            id: "NA".into(),
            cluster: "C1".into(),
            domain: "hub".into(),
            ver: String::new(),
            tags: vec!["az:1".into(), "ssd".into()],
            metadata: Default::default(),
            feature_flags: Default::default(),
            jetstream: true,
            flags: 1,
            seq: 1,
            time: Default::default(),
        }
    }

    #[test]
    fn a_filter_names_servers_in_part_or_exactly() {
        let accepts = |body: &str| {
            options::<Filter>(body.as_bytes())
                .unwrap()
                .accepts(&server())
        };
        assert!(accepts(""));
        assert!(accepts("{}"));
        assert!(accepts(r#"{"server_name":"east","cluster":"C"}"#));
        assert!(!accepts(r#"{"server_name":"east","exact_match":true}"#));
        assert!(accepts(
            r#"{"server_name":"n1-east","exact_match":true,"sort":"cid"}"#
        ));
        assert!(!accepts(r#"{"cluster":"C2"}"#));
        assert!(accepts(r#"{"tags":["ssd","az:1"]}"#));
        assert!(!accepts(r#"{"tags":["ssd","az:2"]}"#));
        assert!(accepts(r#"{"domain":"hub"}"#));
        assert!(!accepts(r#"{"domain":"hu"}"#));
    }

    #[test]
    fn only_requests_about_named_accounts_look_at_the_subject() {
        let subject = b"$SYS.REQ.ACCOUNT.ORDERS.CONNZ";
        assert_eq!(
            Asked::Account(OfAccount::Connz).about(subject, "A"),
            "ORDERS"
        );
        assert_eq!(Asked::OwnAccount(OfAccount::Connz).about(subject, "A"), "A");
        assert_eq!(Asked::Account(OfAccount::Connz).about(b"short", "A"), "");
    }

    #[test]
    fn a_body_that_cannot_be_read_is_an_error() {
        assert!(options::<Filter>(b"{\"sort\":").is_err());
        assert!(
            options::<Filter>(&vec![b'['; MAX_BODY + 1])
                .unwrap_err()
                .contains("too long")
        );
    }
}
