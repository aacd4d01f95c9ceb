//! New WebSocket clients, up to the point where their driver takes over.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, TlsStream};
use websocket::{
    Origins, Refusal, Upgrade,
    upgrade::{self, Granted, Parsed},
};
use wire::ConnectOptions;

use super::{Agreement, WebSocket};
use crate::{
    auth::PeerTls,
    drive::Driver,
    hub::{Hub, Phase},
    listener::{Greeting, Io, learn_port, peer_tls},
    options::TlsOptions,
    route::AsyncStream,
};

/// Payload of a frame for a browser at most: they do better with short ones.
const BROWSER_FRAME_BYTES: usize = 4096;
/// A message may be this many times as long as the largest payload.
const PAYLOADS_PER_MESSAGE: u64 = 8;
const MAX_MESSAGE_BYTES: u64 = 64 * 1024 * 1024;
/// Bytes of a request that are read at once.
const REQUEST_BYTES: usize = 2048;

/// The WebSocket listener.
#[derive(Clone, Default)]
pub struct WebSocketOptions {
    pub host: String,
    /// `serve_websockets` replaces it with the listener's own when it is 0.
    pub port: u16,
    /// `host:port` told to WebSocket clients in place of the listen addresses.
    pub advertise: Option<String>,
    pub tls: Option<TlsOptions>,
    pub origins: Origins,
    /// Time from the accepted connection to the end of the request.
    pub handshake_timeout: Duration,
    /// permessage-deflate is granted to those who can.
    pub compression: bool,
    /// Header lines added to every answer.
    pub headers: Vec<(String, String)>,
    pub cookies: Cookies,
    /// Pings in place of those of the other clients.
    pub ping_interval: Option<Duration>,
}

/// Names of cookies that stand for what CONNECT does not say.
#[derive(Clone, Debug, Default)]
pub struct Cookies {
    pub jwt: Option<String>,
    pub user: Option<String>,
    pub pass: Option<String>,
    pub token: Option<String>,
}

/// What the cookies of one client say.
#[derive(Clone, Debug, Default)]
pub(crate) struct CookieLogin {
    jwt: String,
    user: String,
    pass: String,
    token: String,
}

impl CookieLogin {
    fn new(names: &Cookies, upgrade: &Upgrade) -> CookieLogin {
        let value = |name: &Option<String>| {
            let found = name.as_deref().and_then(|name| upgrade.cookie(name));
            found.unwrap_or_default().to_owned()
        };
        CookieLogin {
            jwt: value(&names.jwt),
            user: value(&names.user),
            pass: value(&names.pass),
            token: value(&names.token),
        }
    }

    /// Says what the client did not say itself.
    pub fn complete(&self, options: &mut ConnectOptions) {
        for (option, cookie) in [
            (&mut options.jwt, &self.jwt),
            (&mut options.user, &self.user),
            (&mut options.pass, &self.pass),
            (&mut options.auth_token, &self.token),
        ] {
            if option.is_empty() {
                option.clone_from(cookie);
            }
        }
    }
}

/// What is known of a WebSocket client before its first operation.
pub(crate) struct Greeted {
    pub websocket: Box<WebSocket>,
    pub tls: Option<Box<PeerTls>>,
    pub cookies: Box<CookieLogin>,
}

/// Why a connection did not become a WebSocket connection.
#[derive(Debug, thiserror::Error)]
enum HandshakeError {
    #[error("{0}")]
    Refused(#[from] Refusal),
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

impl Hub {
    /// Accepts WebSocket clients until lame duck mode or shutdown closes the listener.
    pub async fn serve_websockets(self: &Arc<Self>, listener: TcpListener) {
        learn_port(&self.websocket_port, &listener);
        let hub = self.clone();
        self.accept_until(Phase::LameDuck, listener, move |stream, peer| {
            tokio::spawn(hub.clone().welcome_websocket(stream, peer));
        })
        .await;
    }

    async fn welcome_websocket(self: Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        let Some(options) = self.websocket() else {
            return;
        };
        // Small messages must not wait for each other; a socket that refuses the option works too.
        let _ = stream.set_nodelay(true);
        let shake = shake_hands(&options, self.limits().max_payload, stream);
        let outcome = match timeout(options.handshake_timeout, Box::pin(shake)).await {
            Ok(outcome) => outcome,
            Err(_) => {
                tracing::debug!(%peer, "websocket handshake timed out");
                return;
            }
        };
        let (greeted, forwarded_for) = match outcome {
            Ok(greeted) => greeted,
            Err(error) => {
                tracing::error!(%peer, %error, "websocket handshake error");
                return;
            }
        };
        let peer = SocketAddr::new(forwarded_for.unwrap_or(peer.ip()), peer.port());
        let greeting = Greeting::for_websocket(&self, peer);
        let is_full = self.clients.lock().len() >= self.limits().max_connections;
        let driver = self.start_client(Io::WebSocket(greeted), greeting, true);
        if is_full {
            driver.refuse(wire::Error::MaxConnections);
        }
        Box::pin(Driver::run(driver)).await;
    }

    /// Where WebSocket clients find this server.
    pub(crate) fn own_websocket_urls(&self) -> Vec<String> {
        let Some(options) = self.websocket() else {
            return Vec::new();
        };
        self.advertised(
            options.advertise.as_deref(),
            &options.host,
            &self.websocket_port,
        )
    }
}

/// TLS if it is configured, the request, and the answer. Returns what the client is from now on,
/// and the address that a proxy says it has.
async fn shake_hands(
    options: &WebSocketOptions,
    max_payload: usize,
    stream: TcpStream,
) -> Result<(Greeted, Option<IpAddr>), HandshakeError> {
    let (mut stream, tls): (Box<dyn AsyncStream>, _) = match &options.tls {
        None => (Box::new(stream), None),
        Some(tls) => {
            let stream = TlsAcceptor::from(tls.config.clone()).accept(stream).await?;
            let stream = Box::new(TlsStream::Server(stream));
            let facts = Box::new(peer_tls(&stream));
            (stream, Some(facts))
        }
    };
    let (upgrade, rest) = match read_request(&mut stream, options).await {
        Ok(request) => request,
        Err(error) => {
            if let HandshakeError::Refused(refusal) = &error {
                stream
                    .write_all(upgrade::refuse(*refusal).as_bytes())
                    .await?;
                stream.shutdown().await?;
            }
            return Err(error);
        }
    };
    let granted = Granted {
        compression: options.compression && upgrade.compression,
        headers: &options.headers,
    };
    let answer = upgrade::accept(&upgrade, &granted);
    stream.write_all(answer.as_bytes()).await?;
    stream.flush().await?;
    let is_browser = upgrade.origin.is_some();
    let agreement = Agreement {
        compression: granted.compression,
        max_frame: if is_browser {
            BROWSER_FRAME_BYTES
        } else {
            usize::MAX
        },
        max_message: (max_payload as u64)
            .saturating_mul(PAYLOADS_PER_MESSAGE)
            .min(MAX_MESSAGE_BYTES),
    };
    let forwarded_for = upgrade
        .forwarded_for
        .as_deref()
        .and_then(|ip| ip.parse().ok());
    let greeted = Greeted {
        websocket: Box::new(WebSocket::new(stream, agreement, rest)),
        tls,
        cookies: Box::new(CookieLogin::new(&options.cookies, &upgrade)),
    };
    Ok((greeted, forwarded_for))
}

/// Reads the request, and what came behind it.
async fn read_request(
    stream: &mut Box<dyn AsyncStream>,
    options: &WebSocketOptions,
) -> Result<(Upgrade, Vec<u8>), HandshakeError> {
    let mut bytes = Vec::with_capacity(REQUEST_BYTES);
    loop {
        bytes.reserve(REQUEST_BYTES);
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
        }
        let Parsed::Complete { upgrade, consumed } = Upgrade::parse(&bytes)? else {
            continue;
        };
        if upgrade.path.ends_with("/leafnode") {
            return Err(Refusal::NotServed("leafnode").into());
        }
        if upgrade.path.ends_with("/mqtt") {
            return Err(Refusal::NotServed("mqtt").into());
        }
        upgrade.check_origin(&options.origins, options.tls.is_some())?;
        return Ok((upgrade, bytes.split_off(consumed)));
    }
}
