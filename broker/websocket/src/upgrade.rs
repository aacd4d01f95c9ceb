//! The HTTP request that starts a WebSocket connection, and its answer (RFC 6455, section 4).

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use crate::origin::Origins;

/// The longest request head that is read. Cookies may hold a user's token.
pub const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Header lines of a request at most.
const MAX_HEADERS: usize = 128;
/// What is hashed with the key (RFC 6455, section 1.3).
const ACCEPT_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const KEY_BYTES: usize = 16;
const DEFLATE: &str = "permessage-deflate";

/// What a request asks for.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Upgrade {
    pub path: String,
    pub host: String,
    key: String,
    /// The page that connects, if a browser does.
    pub origin: Option<String>,
    /// The peer can permessage-deflate.
    pub compression: bool,
    /// The peer asks not to mask its frames; only servers do.
    pub no_masking: bool,
    /// The first address of `X-Forwarded-For`.
    pub forwarded_for: Option<String>,
    /// Names and values, in order.
    pub cookies: Vec<(String, String)>,
}

/// Why a request is not answered with a WebSocket connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("request is not http")]
    NotHttp,
    #[error("request head longer than {MAX_HEAD_BYTES} bytes")]
    TooLong,
    #[error("request method must be GET")]
    Method,
    #[error("missing required Host header")]
    Host,
    #[error("invalid value for header 'Upgrade'")]
    UpgradeHeader,
    #[error("invalid value for header 'Connection'")]
    ConnectionHeader,
    #[error("key missing")]
    KeyMissing,
    #[error("invalid websocket key")]
    Key,
    #[error("invalid version")]
    Version,
    #[error("origin not allowed: {0}")]
    Origin(&'static str),
    #[error("{0} websocket endpoint not enabled")]
    NotServed(&'static str),
}

/// How much of a request has arrived.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed {
    Incomplete,
    /// The request, and the bytes of its head. What follows belongs to the connection.
    Complete {
        upgrade: Upgrade,
        consumed: usize,
    },
}

impl Upgrade {
    /// Reads a request as far as it has arrived.
    pub fn parse(bytes: &[u8]) -> Result<Parsed, Refusal> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        let consumed = match request.parse(bytes) {
            Ok(httparse::Status::Complete(consumed)) => consumed,
            Ok(httparse::Status::Partial) if bytes.len() < MAX_HEAD_BYTES => {
                return Ok(Parsed::Incomplete);
            }
            Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
                return Err(Refusal::TooLong);
            }
            Err(_) => return Err(Refusal::NotHttp),
        };
        let upgrade = Upgrade::read(&request)?;
        Ok(Parsed::Complete { upgrade, consumed })
    }

    fn read(request: &httparse::Request<'_, '_>) -> Result<Upgrade, Refusal> {
        let headers = Headers(request.headers);
        let host = headers.first("Host").ok_or(Refusal::Host)?;
        if request.method != Some("GET") {
            return Err(Refusal::Method);
        }
        if !headers.has_token("Upgrade", "websocket") {
            return Err(Refusal::UpgradeHeader);
        }
        if !headers.has_token("Connection", "upgrade") {
            return Err(Refusal::ConnectionHeader);
        }
        let key = headers
            .first("Sec-WebSocket-Key")
            .ok_or(Refusal::KeyMissing)?;
        if !headers.has_token("Sec-WebSocket-Version", "13") {
            return Err(Refusal::Version);
        }
        if STANDARD.decode(key).map(|key| key.len()) != Ok(KEY_BYTES) {
            return Err(Refusal::Key);
        }
        let origin = headers
            .first("Origin")
            .or_else(|| headers.first("Sec-WebSocket-Origin"));
        let path = request.path.unwrap_or("/");
        let path = path.split_once(['?', '#']).map_or(path, |(path, _)| path);
        Ok(Upgrade {
            path: path.to_owned(),
            host: host.to_owned(),
            key: key.to_owned(),
            origin: origin.map(str::to_owned),
            compression: headers.all("Sec-WebSocket-Extensions").any(offers_deflate),
            no_masking: headers.has_token("Nats-No-Masking", "true"),
            forwarded_for: headers.first("X-Forwarded-For").map(first_of_list),
            cookies: headers.all("Cookie").flat_map(cookies).collect(),
        })
    }

    /// Judges where the page comes from that connects.
    pub fn check_origin(&self, rules: &Origins, is_tls: bool) -> Result<(), Refusal> {
        rules
            .check(self.origin.as_deref(), &self.host, is_tls)
            .map_err(Refusal::Origin)
    }

    pub fn cookie(&self, name: &str) -> Option<&str> {
        let mut named = self.cookies.iter().filter(|(cookie, _)| cookie == name);
        named.next().map(|(_, value)| value.as_str())
    }
}

/// What a server grants of what was asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Granted<'a> {
    pub compression: bool,
    /// Configured header lines of the answer.
    pub headers: &'a [(String, String)],
}

/// The answer that starts the connection.
pub fn accept(upgrade: &Upgrade, granted: &Granted<'_>) -> String {
    let digest = Sha1::new_with_prefix(upgrade.key.as_bytes())
        .chain_update(ACCEPT_SUFFIX)
        .finalize();
    let mut answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n",
        STANDARD.encode(digest)
    );
    if granted.compression {
        let _ = write!(
            answer,
            "Sec-WebSocket-Extensions: {DEFLATE}; server_no_context_takeover; client_no_context_takeover\r\n"
        );
    }
    for (name, value) in granted.headers {
        let _ = write!(answer, "{name}: {value}\r\n");
    }
    answer.push_str("\r\n");
    answer
}

/// The answer to a request that is not granted. The connection ends after it.
pub fn refuse(refusal: Refusal) -> String {
    let status = match refusal {
        Refusal::Method => "405 Method Not Allowed",
        Refusal::Origin(_) => "403 Forbidden",
        Refusal::NotServed(_) => "404 Not Found",
        Refusal::TooLong => "431 Request Header Fields Too Large",
        _ => "400 Bad Request",
    };
    let body = format!("{refusal}\n");
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nSec-WebSocket-Version: 13\r\n\
         X-Content-Type-Options: nosniff\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

struct Headers<'a>(&'a [httparse::Header<'a>]);

impl<'a> Headers<'a> {
    /// The values of all lines of this name that are text.
    fn all(&self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self
            .0
            .iter()
            .filter(move |header| header.name.eq_ignore_ascii_case(name));
        named.filter_map(|header| std::str::from_utf8(header.value).ok())
    }

    fn first(&self, name: &'a str) -> Option<&'a str> {
        self.all(name)
            .map(str::trim)
            .find(|value| !value.is_empty())
    }

    /// Whether a list of tokens holds this one.
    fn has_token(&self, name: &'a str, token: &str) -> bool {
        let mut tokens = self.all(name).flat_map(|value| value.split(','));
        tokens.any(|found| found.trim().eq_ignore_ascii_case(token))
    }
}

/// Whether one of the offered extensions is permessage-deflate. Its parameters only say what the
/// peer could do without, or bound windows of the peer itself; the answer asks for none.
fn offers_deflate(extensions: &str) -> bool {
    extensions.split(',').any(|offer| {
        let name = offer.split(';').next().unwrap_or_default();
        let asks_for_small_window = offer.contains("server_max_window_bits");
        name.trim().eq_ignore_ascii_case(DEFLATE) && !asks_for_small_window
    })
}

fn first_of_list(value: &str) -> String {
    let first = value.split(',').next().unwrap_or_default();
    first.trim().to_owned()
}

fn cookies(line: &str) -> impl Iterator<Item = (String, String)> {
    line.split(';').filter_map(|cookie| {
        let (name, value) = cookie.split_once('=')?;
        let value = value.trim();
        let unquoted = value
            .strip_prefix('"')
            .and_then(|value| value.strip_suffix('"'));
        Some((name.trim().to_owned(), unquoted.unwrap_or(value).to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: [&str; 6] = [
        "GET /chat?x=1 HTTP/1.1",
        "Host: server.example",
        "upgrade: WebSocket",
        "Connection: keep-alive, Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
    ];

    fn request(lines: &[&str]) -> Vec<u8> {
        format!("{}\r\n\r\n", lines.join("\r\n")).into_bytes()
    }

    fn parse(lines: &[&str]) -> Result<Upgrade, Refusal> {
        match Upgrade::parse(&request(lines))? {
            Parsed::Complete { upgrade, .. } => Ok(upgrade),
            Parsed::Incomplete => panic!("the request is complete"),
        }
    }

    fn with(more: &[&str]) -> Upgrade {
        parse(&[&GOOD, more].concat()).unwrap()
    }

    #[test]
    fn the_example_of_the_standard() {
        let upgrade = parse(&GOOD).unwrap();
        assert_eq!(
            (upgrade.path.as_str(), upgrade.host.as_str()),
            ("/chat", "server.example")
        );
        let headers = [("X-Test".to_owned(), "a b".to_owned())];
        let granted = Granted {
            compression: true,
            headers: &headers,
        };
        assert_eq!(
            accept(&upgrade, &granted),
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
             Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n\
             X-Test: a b\r\n\r\n"
        );
    }

    #[test]
    fn each_part_is_needed() {
        let without = |left_out: &str| {
            let lines: Vec<_> = GOOD
                .into_iter()
                .filter(|line| !line.starts_with(left_out))
                .collect();
            parse(&lines).unwrap_err()
        };
        assert_eq!(without("Host"), Refusal::Host);
        assert_eq!(without("upgrade"), Refusal::UpgradeHeader);
        assert_eq!(without("Connection"), Refusal::ConnectionHeader);
        assert_eq!(without("Sec-WebSocket-Key"), Refusal::KeyMissing);
        assert_eq!(without("Sec-WebSocket-Version"), Refusal::Version);
        let mut lines = GOOD;
        lines[0] = "POST / HTTP/1.1";
        assert_eq!(parse(&lines), Err(Refusal::Method));
        let mut lines = GOOD;
        lines[4] = "Sec-WebSocket-Key: YWJj";
        assert_eq!(parse(&lines), Err(Refusal::Key));
        assert_eq!(
            Upgrade::parse(b"\x16\x03\x01\x02\x00"),
            Err(Refusal::NotHttp)
        );
    }

    #[test]
    fn what_else_is_asked_for() {
        let plain = parse(&GOOD).unwrap();
        assert!(!plain.compression && !plain.no_masking && plain.origin.is_none());
        assert!(
            with(&["Sec-WebSocket-Extensions: foo, permessage-deflate; client_max_window_bits"])
                .compression
        );
        assert!(
            !with(&["Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=9"])
                .compression
        );
        assert!(with(&["Nats-No-Masking: true"]).no_masking);
        assert_eq!(
            with(&["X-Forwarded-For: 1.2.3.4, 5.6.7.8"])
                .forwarded_for
                .unwrap(),
            "1.2.3.4"
        );
        let cookies = with(&["Cookie: a=b; jwt=\"x.y.z\"", "Cookie: c"]);
        assert_eq!(
            (
                cookies.cookie("a"),
                cookies.cookie("jwt"),
                cookies.cookie("c")
            ),
            (Some("b"), Some("x.y.z"), None)
        );
        let rules = Origins {
            same: true,
            allowed: Vec::new(),
        };
        let other = with(&["Origin: http://other.example"]);
        let refusal = other.check_origin(&rules, false).unwrap_err();
        assert!(refuse(refusal).starts_with("HTTP/1.1 403 Forbidden\r\n"));
        assert!(refuse(refusal).ends_with("origin not allowed: not same origin\n"));
    }

    #[test]
    fn a_request_arrives_in_pieces_and_ends() {
        let mut bytes = request(&GOOD);
        let head = bytes.len();
        bytes.extend_from_slice(b"\x82\x80");
        for end in 0..head {
            assert_eq!(
                Upgrade::parse(&bytes[..end]),
                Ok(Parsed::Incomplete),
                "{end}"
            );
        }
        assert!(
            matches!(Upgrade::parse(&bytes), Ok(Parsed::Complete { consumed, .. }) if consumed == head)
        );
        let endless = [&bytes[..head - 2], b"X: ", &[b'a'; MAX_HEAD_BYTES]].concat();
        assert_eq!(Upgrade::parse(&endless), Err(Refusal::TooLong));
    }

    proptest! {
        #[test]
        fn no_request_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            Upgrade::parse(&bytes).ok();
            Upgrade::parse(&[&request(&GOOD)[..20], &bytes].concat()).ok();
        }
    }
}
