//! Before a route exists: dialling, accepting, TLS, and who keeps trying.

use std::{collections::BTreeMap, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream, rustls::pki_types::ServerName};
use wire::CloseReason;

use super::{
    Dialling, Routes,
    info::{PeerInfo, info_line, join},
    peer::{self, AsyncStream},
    session::RouteSession,
};
use crate::{
    auth::PeerTls,
    connection::{Connection, NewConnection, traits},
    delivery::OriginKind,
    drive::Driver,
    hub::{Hub, Phase},
    listener::learn_port,
    options::{ClusterOptions, RouteUrl},
    transport::Transport,
};

/// Longest line a server may send before its route exists.
const LINE_MAX_BYTES: usize = 1024 * 1024;
/// Bytes read at once while looking for that line.
const READ_BYTES: usize = 4096;
/// A server only known by hearsay is given up after this many failures in a row.
const HEARSAY_ATTEMPTS: u32 = 20;

/// A connection to another server that has not become a route yet.
pub(super) struct Opened {
    io: Io,
    peer: SocketAddr,
    info: PeerInfo,
}

enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Io {
    fn into_stream(self) -> Box<dyn AsyncStream> {
        match self {
            Io::Plain(stream) => Box::new(stream),
            Io::Tls(stream) => stream,
        }
    }

    async fn read_line(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            Io::Plain(stream) => read_line(stream, buffer).await,
            Io::Tls(stream) => read_line(stream, buffer).await,
        }
    }
}

impl Opened {
    pub fn into_stream(self) -> Box<dyn AsyncStream> {
        self.io.into_stream()
    }
}

/// Reads until `buffer` starts with a whole line, and returns the line's length with its end.
async fn read_line(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
) -> io::Result<usize> {
    loop {
        if let Some(end) = memchr::memchr(b'\n', buffer) {
            return Ok(end + 1);
        }
        if buffer.len() > LINE_MAX_BYTES {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the first line has no end",
            ));
        }
        buffer.reserve(READ_BYTES);
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Connects to a cluster port, reads the server's INFO and encrypts when it asks for it.
pub(super) async fn open(cluster: &ClusterOptions, address: &str) -> io::Result<Opened> {
    let mut stream = TcpStream::connect(address).await?;
    let _ = stream.set_nodelay(true);
    let peer = stream.peer_addr()?;
    let mut buffer = Vec::new();
    let line_len = read_line(&mut stream, &mut buffer).await?;
    let line = buffer[..line_len].trim_ascii();
    let json = line.strip_prefix(b"INFO ").unwrap_or_default();
    let info = PeerInfo::parse(json, peer)?;
    if info.cluster != cluster.name {
        let text = format!("{address} belongs to another cluster: {:?}", info.cluster);
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    let io = match &cluster.tls {
        Some(tls) => {
            let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
            let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned());
            let name = name.map_err(io::Error::other)?;
            let connector = TlsConnector::from(tls.client.clone());
            let stream = timeout(tls.timeout, connector.connect(name, stream)).await??;
            Io::Tls(Box::new(TlsStream::Client(stream)))
        }
        None if info.tls_required => {
            let text = format!("{address} wants tls: configure it for this cluster too");
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        None => Io::Plain(stream),
    };
    Ok(Opened { io, peer, info })
}

impl Routes {
    /// Ends the routes that were configured and are not among those wanted now.
    fn give_up_but(&self, wanted: &BTreeMap<String, Option<(String, String)>>) {
        self.table.lock().dialled.retain(|address, dialling| {
            let is_wanted = wanted.get(address) == Some(&dialling.user);
            is_wanted || !dialling.is_configured
        });
    }

    /// Forgets a task that ends by itself.
    fn give_up(&self, address: &str, id: u64) {
        let mut table = self.table.lock();
        if table
            .dialled
            .get(address)
            .is_some_and(|dialling| dialling.id == id)
        {
            table.dialled.remove(address);
        }
    }
}

impl Hub {
    /// Accepts the other servers of the cluster until shutdown.
    pub async fn serve_routes(self: &Arc<Self>, listener: TcpListener) {
        learn_port(&self.routes.port, &listener);
        let hub = self.clone();
        self.accept_until(Phase::Stopped, listener, move |stream, peer| {
            tokio::spawn(accept(hub.clone(), stream, peer));
        })
        .await;
    }

    /// Keeps a route to each of these servers, for as long as the hub lives or until other ones are
    /// set. Routes to servers that were set before and are not any more end. Users, if there are
    /// any, are used in place of the cluster's own.
    pub fn set_routes(self: &Arc<Self>, urls: &[RouteUrl]) {
        let wanted: BTreeMap<String, Option<(String, String)>> = urls
            .iter()
            .map(|url| (join(&url.host, url.port), url.user.clone()))
            .collect();
        self.routes.give_up_but(&wanted);
        for (address, user) in wanted {
            self.dial_in_background(address, user, true);
        }
    }

    /// Starts to dial an address nobody dials yet.
    pub(super) fn dial_in_background(
        self: &Arc<Self>,
        address: String,
        user: Option<(String, String)>,
        is_configured: bool,
    ) {
        if !self.routes.is_clustered() {
            return;
        }
        let id = self.next_id();
        let (goes_on, stopped) = watch::channel(());
        let mut table = self.routes.table.lock();
        let known = table.dialled.get(&address);
        if known.is_some_and(|known| known.is_configured || !is_configured) {
            return;
        }
        let dialling = Dialling {
            id,
            user: user.clone(),
            is_configured,
            _goes_on: goes_on,
        };
        table.dialled.insert(address.clone(), dialling);
        drop(table);
        let target = Target {
            id,
            address,
            user,
            is_configured,
        };
        tokio::spawn(keep_dialling(self.clone(), target, stopped));
    }

    fn start_route(
        self: &Arc<Self>,
        io: Io,
        peer: SocketAddr,
        role: super::session::Role,
        leftover: Vec<u8>,
    ) -> (Arc<Connection>, Driver<RouteSession>) {
        let (socket, transport) = match io {
            Io::Plain(stream) => (Some(stream), None),
            Io::Tls(stream) => (None, Some(Transport::Tls(stream))),
        };
        let encrypted = transport.as_ref().map(|_| {
            Box::new(PeerTls {
                version: "1.3",
                cipher: String::new(),
                certificates: Vec::new(),
            })
        });
        let connection = Connection::new(NewConnection {
            id: self.next_id(),
            kind: OriginKind::Route,
            peer,
            socket,
            max_pending: self
                .routes
                .options()
                .map_or(0, |cluster| cluster.max_pending),
            tls: encrypted,
            nonce: Box::default(),
        });
        let session = RouteSession::new(self.clone(), connection.clone(), role);
        let driver = Driver::new(connection.clone(), session, transport, self.mishaps.clone())
            .with_leftover(leftover);
        (connection, driver)
    }

    fn route_timeout(&self) -> Duration {
        self.routes
            .options()
            .map_or(Duration::ZERO, |cluster| cluster.auth_timeout)
    }
}

/// A server, or something that pretends to be one, connected to the cluster port.
async fn accept(hub: Arc<Hub>, stream: TcpStream, peer: SocketAddr) {
    let limit = hub.route_timeout();
    match timeout(limit, greet(&hub, stream)).await {
        Ok(Ok((io, buffer, line_len))) if buffer.starts_with(peer::VERB) => {
            hub.take_over(&buffer, line_len, io.into_stream(), peer);
        }
        Ok(Ok((io, buffer, _))) => {
            let role = super::session::Role::Accepted;
            let (connection, driver) = hub.start_route(io, peer, role, buffer);
            tokio::spawn(expect_introduction(connection, limit));
            driver.run().await;
        }
        Ok(Err(error)) => tracing::debug!(%peer, %error, "route handshake failed"),
        Err(_) => tracing::debug!(%peer, "route handshake timed out"),
    }
}

/// Sends INFO, encrypts if configured, and reads until the first line is complete.
async fn greet(hub: &Hub, mut stream: TcpStream) -> io::Result<(Io, Vec<u8>, usize)> {
    let _ = stream.set_nodelay(true);
    let mut line = Vec::new();
    info_line(&mut line, &hub.route_info());
    stream.write_all(&line).await?;
    let tls = hub.routes.options().and_then(|cluster| cluster.tls.clone());
    let mut io = match tls {
        Some(tls) => {
            let stream = TlsAcceptor::from(tls.server.clone()).accept(stream).await?;
            Io::Tls(Box::new(TlsStream::Server(stream)))
        }
        None => Io::Plain(stream),
    };
    let mut buffer = Vec::new();
    let line_len = io.read_line(&mut buffer).await?;
    Ok((io, buffer, line_len))
}

/// Ends a route whose peer does not introduce itself.
async fn expect_introduction(connection: Arc<Connection>, limit: Duration) {
    sleep(limit).await;
    if !connection.has_trait(traits::INTRODUCED) {
        connection.close(CloseReason::AuthenticationTimeout);
    }
}

struct Target {
    /// Of the entry in the table.
    id: u64,
    address: String,
    user: Option<(String, String)>,
    is_configured: bool,
}

/// What one attempt to reach a server led to.
enum Attempt {
    /// There was a route, and it ended.
    Ended,
    /// There is a route to that server already.
    Known(String),
    /// The address leads back here.
    Myself,
    Failed(io::Error),
}

async fn keep_dialling(hub: Arc<Hub>, target: Target, mut stopped: watch::Receiver<()>) {
    let Some(mut cluster) = hub.routes.options() else {
        return;
    };
    let mut pause = cluster.retry_min;
    let mut failures = 0u32;
    loop {
        if let Some(now) = hub.routes.options() {
            cluster = now;
        }
        match dial(&hub, &cluster, &target, &mut stopped).await {
            _ if hub.phase() == Phase::Stopped || stopped.has_changed().is_err() => return,
            Attempt::Myself => return,
            Attempt::Ended => (pause, failures) = (cluster.retry_min, 0),
            Attempt::Known(server_id) => {
                (pause, failures) = (cluster.retry_min, 0);
                tokio::select! {
                    () = hub.routes.disconnected(&server_id) => {}
                    _ = stopped.changed() => return,
                    () = hub.reached(Phase::Stopped) => return,
                }
            }
            Attempt::Failed(error) => {
                failures = failures.saturating_add(1);
                let address = &target.address;
                // The first failures are what a starting cluster looks like.
                if failures.is_power_of_two() {
                    tracing::info!(%address, %error, failures, "route not established, trying again");
                }
            }
        }
        if !target.is_configured && failures >= HEARSAY_ATTEMPTS {
            hub.routes.give_up(&target.address, target.id);
            return;
        }
        let jitter = pause.mul_f64(0.5 + 0.5 * rand::random::<f64>());
        tokio::select! {
            () = sleep(jitter) => {}
            _ = stopped.changed() => return,
            () = hub.reached(Phase::Stopped) => return,
        }
        pause = (pause * 2).min(cluster.retry_max);
    }
}

async fn dial(
    hub: &Arc<Hub>,
    cluster: &ClusterOptions,
    target: &Target,
    stopped: &mut watch::Receiver<()>,
) -> Attempt {
    if let Some(server_id) = hub.routes.connected_at(&target.address) {
        return Attempt::Known(server_id);
    }
    let opened = match timeout(cluster.auth_timeout, open(cluster, &target.address)).await {
        Ok(Ok(opened)) => opened,
        Ok(Err(error)) => return Attempt::Failed(error),
        Err(_) => return Attempt::Failed(io::ErrorKind::TimedOut.into()),
    };
    let server_id = opened.info.server_id.clone();
    if server_id == hub.options().server.server_id {
        return Attempt::Myself;
    }
    if hub.routes.is_connected(&server_id) {
        return Attempt::Known(server_id);
    }
    let role = super::session::Role::Dialled {
        is_configured: target.is_configured,
    };
    let (connection, driver) = hub.start_route(opened.io, opened.peer, role, Vec::new());
    let user = target.user.clone().or_else(|| cluster.user.clone());
    super::session::introduce(hub, &connection, user);
    tokio::spawn(expect_introduction(
        connection.clone(),
        cluster.auth_timeout,
    ));
    let mut running = pin!(driver.run());
    tokio::select! {
        () = &mut running => {}
        _ = stopped.changed() => {
            connection.close(CloseReason::RouteRemoved);
            running.await;
        }
    }
    if connection.has_trait(traits::INTRODUCED) {
        return Attempt::Ended;
    }
    let reason = connection.close_reason().name();
    Attempt::Failed(io::Error::other(format!(
        "the other server did not accept: {reason}"
    )))
}
