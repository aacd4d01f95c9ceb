//! New client connections, up to the point where their driver takes over.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, TlsStream, rustls};
use wire::{Error, ServerInfo, encode};

use crate::{
    auth::PeerTls,
    batch,
    client::Session,
    connection::{Connection, NewConnection, traits},
    delivery::OriginKind,
    drive::Driver,
    hub::{Hub, Phase},
    info::{self, Door},
    options::{HandshakeFirst, TlsOptions},
    proxied,
    transport::Transport,
    websocket::Greeted,
};

/// Pauses after a failed accept: descriptors may be free again by then.
const ACCEPT_PAUSE_MIN: Duration = Duration::from_millis(10);
const ACCEPT_PAUSE_MAX: Duration = Duration::from_secs(1);
/// First byte of every TLS handshake record.
const TLS_HANDSHAKE_BYTE: u8 = 0x16;

impl Hub {
    /// Accepts clients until lame duck mode or shutdown closes the listener.
    pub async fn serve_clients(self: &Arc<Self>, listener: TcpListener) {
        learn_port(&self.client_port, &listener);
        let hub = self.clone();
        self.accept_until(Phase::LameDuck, listener, move |stream, peer| {
            hub.clone().welcome(stream, peer);
        })
        .await;
    }

    /// Calls `welcome` with every accepted connection until the hub reaches `end`.
    pub(crate) async fn accept_until(
        &self,
        end: Phase,
        listener: TcpListener,
        welcome: impl Fn(TcpStream, SocketAddr),
    ) {
        let mut pause = ACCEPT_PAUSE_MIN;
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.reached(end) => return,
            };
            match accepted {
                Ok((stream, peer)) => {
                    pause = ACCEPT_PAUSE_MIN;
                    // A listener for both families sees IPv4 addresses in their mapped form.
                    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                    self.mishaps.contain(|| welcome(stream, peer));
                }
                Err(error) => {
                    tracing::warn!(%error, "accept failed, trying again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(ACCEPT_PAUSE_MAX);
                }
            }
        }
    }

    fn welcome(self: Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        // Small messages must not wait for each other; a socket that refuses the option works too.
        let _ = stream.set_nodelay(true);
        let greeting = Greeting::new(&self, Door::Clients, peer);
        if self.clients.lock().len() >= self.limits().max_connections {
            tokio::spawn(refuse(stream, greeting));
            return;
        }
        if self.limits().proxy_protocol {
            tokio::spawn(proxied::welcome(self, stream, greeting));
            return;
        }
        match self.tls() {
            Some(tls) => {
                tokio::spawn(secure(self, stream, greeting, tls, false));
            }
            None => {
                let driver = self.start_client(Io::Plain(stream), greeting, true);
                tokio::spawn(driver.run());
            }
        }
    }

    pub(crate) fn start_client(
        self: &Arc<Self>,
        io: Io,
        greeting: Greeting,
        greet: bool,
    ) -> Driver<Session> {
        let (mut socket, mut transport, mut facts, mut cookies) = (None, None, None, None);
        match io {
            Io::Plain(stream) => socket = Some(stream),
            Io::Tls(stream) => {
                facts = Some(Box::new(peer_tls(&stream)));
                transport = Some(Transport::Tls(stream));
            }
            Io::WebSocket(greeted) => {
                facts = greeted.tls;
                cookies = Some(greeted.cookies);
                transport = Some(Transport::WebSocket(greeted.websocket));
            }
        }
        let connection = Connection::new(NewConnection {
            id: greeting.cid,
            kind: OriginKind::Client,
            peer: greeting.peer,
            socket,
            max_pending: self.limits().max_pending,
            tls: facts,
            nonce: greeting.nonce.into(),
        });
        connection.set_trait(traits::WEBSOCKET, cookies.is_some());
        connection.facts.lock().cookies = cookies;
        let kind = Door::of(&connection).kind();
        if self.authenticator().auth_required_of(kind) {
            let limit_ms = self.limits().auth_timeout.as_millis() as u64;
            connection.deadline_ms.store(limit_ms, Ordering::Relaxed);
        }
        self.clients
            .lock()
            .insert(connection.id, connection.clone());
        if greet {
            let info = &greeting.info;
            batch::run(|| connection.send(0, |out| encode::info(out, info)));
        }
        if self.phase() == Phase::Stopped {
            connection.close(wire::CloseReason::ServerShutdown);
        }
        let session = Session::new(self.clone(), connection.clone());
        Driver::new(connection, session, transport, self.mishaps.clone())
    }
}

/// What a connection is told first.
pub(crate) struct Greeting {
    cid: u64,
    peer: SocketAddr,
    nonce: String,
    info: Box<ServerInfo>,
}

impl Greeting {
    fn new(hub: &Hub, door: Door, peer: SocketAddr) -> Greeting {
        let cid = hub.next_id();
        let wanted = hub.authenticator().nonce_required();
        let nonce = if wanted { info::nonce() } else { String::new() };
        let info = Box::new(hub.first_info(door, cid, peer.ip().to_string(), &nonce));
        Greeting {
            cid,
            peer,
            nonce,
            info,
        }
    }

    pub fn for_websocket(hub: &Hub, peer: SocketAddr) -> Greeting {
        Greeting::new(hub, Door::WebSockets, peer)
    }

    /// Says nothing of where the client is: it is not known yet.
    pub fn hide_address(&mut self) {
        self.info.client_ip.clear();
    }

    /// The client is elsewhere than it seemed.
    pub fn come_from(&mut self, peer: SocketAddr) {
        self.peer = peer;
        self.info.client_ip = peer.ip().to_string();
    }

    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    pub fn line(&self) -> Vec<u8> {
        let mut line = Vec::new();
        encode::info(&mut line, &self.info);
        line
    }
}

pub(crate) enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    WebSocket(Greeted),
}

async fn refuse(mut stream: TcpStream, greeting: Greeting) {
    let mut line = greeting.line();
    let text = Error::MaxConnections.text().unwrap_or_default();
    encode::err(&mut line, &text);
    // A client that does not wait for the reason does not learn it.
    let _ = stream.write_all(&line).await;
}

/// A client on a port with TLS: finds out who speaks first, and what. It may have been greeted
/// already.
pub(crate) async fn secure(
    hub: Arc<Hub>,
    mut stream: TcpStream,
    greeting: Greeting,
    tls: Arc<TlsOptions>,
    is_greeted: bool,
) {
    let handshake_first = match tls.handshake_first {
        _ if is_greeted => false,
        HandshakeFirst::No => false,
        HandshakeFirst::Yes => true,
        HandshakeFirst::Auto(pause) => {
            matches!(timeout(pause, speaks_tls(&stream)).await, Ok(true))
        }
    };
    if !handshake_first && !is_greeted && stream.write_all(&greeting.line()).await.is_err() {
        return;
    }
    let Ok(speaks_tls) = timeout(tls.timeout, speaks_tls(&stream)).await else {
        return;
    };
    if !speaks_tls {
        if tls.allow_non_tls && !handshake_first {
            hub.start_client(Io::Plain(stream), greeting, false)
                .run()
                .await;
        } else {
            let mut line = Vec::new();
            encode::err(&mut line, &Error::TlsRequired.text().unwrap_or_default());
            let _ = stream.write_all(&line).await;
        }
        return;
    }
    if let Some(limit) = tls.connection_rate_limit
        && !hub.handshakes.allows(limit)
    {
        let mut line = Vec::new();
        let text = Error::ConnectionThrottled.text().unwrap_or_default();
        encode::err(&mut line, &text);
        let _ = stream.write_all(&line).await;
        return;
    }
    let handshake = TlsAcceptor::from(tls.config.clone()).accept(stream);
    match timeout(tls.timeout, handshake).await {
        Ok(Ok(stream)) => {
            let io = Io::Tls(Box::new(TlsStream::Server(stream)));
            let driver = hub.start_client(io, greeting, handshake_first);
            Box::pin(driver.run()).await;
        }
        Ok(Err(error)) => {
            tracing::debug!(cid = greeting.cid, peer = %greeting.peer, %error, "tls handshake failed");
        }
        Err(_) => {
            tracing::debug!(cid = greeting.cid, peer = %greeting.peer, "tls handshake timed out");
        }
    }
}

async fn speaks_tls(stream: &TcpStream) -> bool {
    let mut first = [0];
    matches!(stream.peek(&mut first).await, Ok(1) if first[0] == TLS_HANDSHAKE_BYTE)
}

pub(crate) fn peer_tls(stream: &TlsStream<TcpStream>) -> PeerTls {
    let session = stream.get_ref().1;
    let version = match session.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_2) => "1.2",
        _ => "1.3",
    };
    let suite = session.negotiated_cipher_suite();
    let cipher = suite
        .and_then(|suite| suite.suite().as_str())
        .unwrap_or_default();
    let certificates = session.peer_certificates().unwrap_or_default();
    PeerTls {
        version,
        cipher: cipher.replacen("TLS13_", "TLS_", 1),
        certificates: certificates.iter().map(|der| der.to_vec()).collect(),
    }
}

/// Sets a port that was configured as 0 to the one the system chose.
pub(crate) fn learn_port(port: &AtomicU64, listener: &TcpListener) {
    if let (Ok(address), 0) = (listener.local_addr(), port.load(Ordering::Relaxed)) {
        port.store(u64::from(address.port()), Ordering::Relaxed);
    }
}
