//! Which web pages may connect.
//!
//! A browser says where the page comes from that opens the connection. A client that is no browser
//! says nothing, and is let through: it could say what it likes.

/// Rules about the `Origin` of a request.
#[derive(Debug, Clone, Default)]
pub struct Origins {
    /// The page must come from the host and port that it connects to.
    pub same: bool,
    /// If there are any: the page must come from one of these, `scheme://host[:port]`.
    pub allowed: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

impl Origins {
    /// Judges the origin of a request for `host` (its `Host` header), which came over TLS or not.
    /// The error says what is wrong.
    pub fn check(
        &self,
        origin: Option<&str>,
        host: &str,
        is_tls: bool,
    ) -> Result<(), &'static str> {
        let Some(origin) = origin.filter(|_| self.same || !self.allowed.is_empty()) else {
            return Ok(());
        };
        let origin = parse(origin).ok_or("invalid origin")?;
        if self.same {
            let scheme = if is_tls { "https" } else { "http" };
            let (host, port) = split_port(host, scheme).ok_or("invalid host")?;
            if origin.host != host || origin.port != port {
                return Err("not same origin");
            }
        }
        let is_allowed = |allowed: &String| parse(allowed).is_some_and(|allowed| allowed == origin);
        if !self.allowed.is_empty() && !self.allowed.iter().any(is_allowed) {
            return Err("not in the allowed list");
        }
        Ok(())
    }
}

fn parse(origin: &str) -> Option<Origin> {
    let (scheme, rest) = origin.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let authority = rest.split(['/', '?', '#']).next()?;
    let (host, port) = split_port(authority, &scheme)?;
    Some(Origin { scheme, host, port })
}

/// The host in lower case, and the port, which follows from the scheme if it is left away.
fn split_port(authority: &str, scheme: &str) -> Option<(String, u16)> {
    let default = if scheme == "https" { 443 } else { 80 };
    // The colons inside brackets belong to an IPv6 address.
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (authority, default),
    };
    (!host.is_empty()).then(|| (host.to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_must_come_from_where_it_connects_to() {
        let same = Origins {
            same: true,
            allowed: Vec::new(),
        };
        let check = |origin, host, tls| same.check(Some(origin), host, tls);
        assert_eq!(check("https://Example.com", "example.com", true), Ok(()));
        assert_eq!(check("http://example.com:80", "example.com", false), Ok(()));
        assert_eq!(check("http://[::1]:8080", "[::1]:8080", false), Ok(()));
        assert_eq!(check("http://[::1]", "[::1]", false), Ok(()));
        assert_eq!(
            check("https://example.com", "example.com:8443", true),
            Err("not same origin")
        );
        assert_eq!(
            check("https://example.org", "example.com", true),
            Err("not same origin")
        );
        assert_eq!(check("null", "example.com", true), Err("invalid origin"));
        assert_eq!(
            check("https://example.com:x", "example.com", true),
            Err("invalid origin")
        );
    }

    #[test]
    fn the_page_must_be_in_the_list() {
        let allowed = [
            "https://a.example".to_owned(),
            "http://b.example:8080".to_owned(),
        ];
        let origins = Origins {
            same: false,
            allowed: allowed.to_vec(),
        };
        let check = |origin| origins.check(Some(origin), "c.example", true);
        assert_eq!(check("https://a.example:443"), Ok(()));
        assert_eq!(check("http://b.example:8080"), Ok(()));
        for origin in ["http://a.example", "http://b.example", "https://c.example"] {
            assert_eq!(check(origin), Err("not in the allowed list"), "{origin}");
        }
    }

    #[test]
    fn who_is_no_browser_is_let_through() {
        let strict = Origins {
            same: true,
            allowed: vec!["https://a.example".to_owned()],
        };
        assert_eq!(strict.check(None, "c.example", true), Ok(()));
        assert_eq!(
            Origins::default().check(Some("null"), "c.example", true),
            Ok(())
        );
    }
}
