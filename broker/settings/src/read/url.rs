//! URLs of routes and listeners.

use crate::options::Port;

/// Whether a text can be taken as a URL. Servers connect to `scheme://[user[:password]@]host:port`,
/// and old files leave the scheme out.
pub fn is_url(text: &str) -> bool {
    let text = text.trim();
    let Some((scheme, rest)) = text.split_once("://") else {
        // `name:port` is let pass, as a scheme with something behind it, but `1.2.3.4:port` is not.
        let segment = text.split('/').next().unwrap_or_default();
        let scheme_fits = segment
            .split_once(':')
            .is_none_or(|(scheme, _)| is_scheme(scheme));
        return scheme_fits && !text.is_empty() && !text.contains(char::is_control);
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let port_is_number = match host.strip_prefix('[') {
        Some(address) => match address.split_once(']') {
            Some((_, "")) => true,
            Some((_, port)) => port.strip_prefix(':').is_some_and(is_port),
            None => false,
        },
        None => host.split_once(':').is_none_or(|(_, port)| is_port(port)),
    };
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        && !rest.contains(|c: char| c.is_control() || c == ' ')
        && port_is_number
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|c| c.is_ascii_digit())
}

/// What `--cluster` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterUrl {
    pub host: Option<String>,
    pub port: Option<Port>,
    pub login: Option<(String, String)>,
}

/// Reads `nats://[user:password@]host:port`, where the port may be -1.
pub fn cluster_url(text: &str) -> Result<ClusterUrl, String> {
    let (_, rest) = text
        .split_once("://")
        .ok_or_else(|| format!("cluster url {text:?} must be like nats://host:port"))?;
    let authority = rest.split('/').next().unwrap_or_default();
    let (login, address) = match authority.rsplit_once('@') {
        Some((login, address)) => (Some(login), address),
        None => (None, authority),
    };
    let login = match login.map(|login| login.split_once(':')) {
        Some(Some((user, password))) => Some((unescaped(user)?, unescaped(password)?)),
        Some(None) => return Err("expected cluster password to be set".into()),
        None => None,
    };
    let listen = super::scalars::parse_listen(address)?;
    Ok(ClusterUrl {
        host: listen.host,
        port: listen.port,
        login,
    })
}

/// Replaces `%41` by the byte it stands for.
fn unescaped(text: &str) -> Result<String, String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, plain) = part
            .split_at_checked(2)
            .ok_or_else(|| "'%' in a url must be followed by two digits".to_owned())?;
        let byte = u8::from_str_radix(digits, 16)
            .map_err(|_| "'%' in a url must be followed by two digits".to_owned())?;
        bytes.push(byte);
        bytes.extend_from_slice(plain.as_bytes());
    }
    String::from_utf8(bytes).map_err(|_| "url is not valid UTF-8".to_owned())
}
