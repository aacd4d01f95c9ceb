//! Hubs on free ports, and a client that reads and writes bytes.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use futures::future::{BoxFuture, FutureExt};
use hub::{AuthFailure, Authenticator, ClusterOptions, ConnectRequest, Hub, Options, RouteUrl};
use identity::{Login, PermissionRules, Permissions};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// Nothing in these tests takes this long unless it is broken.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// CONNECT of a modern client library.
pub const MODERN: &str = concat!(
    r#"CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true,"protocol":1}"#,
    "\r\n"
);

/// Lets everybody in, or only the users it was given.
#[derive(Default)]
pub struct Users {
    pub users: Vec<(&'static str, &'static str, PermissionRules)>,
}

impl Authenticator for Users {
    fn auth_required(&self) -> bool {
        !self.users.is_empty()
    }

    fn nonce_required(&self) -> bool {
        false
    }

    fn authenticate(&self, request: ConnectRequest) -> BoxFuture<'_, Result<Login, AuthFailure>> {
        let login = self.find(&request);
        async move { login.ok_or(AuthFailure::Violation) }.boxed()
    }
}

impl Users {
    fn find(&self, request: &ConnectRequest) -> Option<Login> {
        if self.users.is_empty() {
            return Some(Login::unrestricted("$G", ""));
        }
        let (user, account, rules) = self
            .users
            .iter()
            .find(|(user, _, _)| *user == request.options.user)?;
        let mut login = Login::unrestricted(account, user);
        login.permissions = Permissions::new(rules.clone());
        Some(login)
    }
}

pub struct Server {
    pub hub: Arc<Hub>,
    pub clients: SocketAddr,
    pub routes: Option<SocketAddr>,
}

impl Server {
    pub async fn start() -> Server {
        Server::with(options("NTEST"), Users::default()).await
    }

    pub async fn with(options: Options, users: impl Authenticator) -> Server {
        let clustered = options.cluster.is_some();
        let hub = Hub::new(options, Arc::new(users));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let clients = listener.local_addr().unwrap();
        let serving = hub.clone();
        tokio::spawn(async move { serving.serve_clients(listener).await });
        let mut routes = None;
        if clustered {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            routes = Some(listener.local_addr().unwrap());
            let serving = hub.clone();
            tokio::spawn(async move { serving.serve_routes(listener).await });
        }
        Server {
            hub,
            clients,
            routes,
        }
    }

    pub async fn member(id: &str, seeds: &[&Server]) -> Server {
        let mut options = options(id);
        options.cluster = Some(cluster());
        let server = Server::with(options, Users::default()).await;
        server.join(seeds);
        server
    }

    pub fn join(&self, seeds: &[&Server]) {
        let urls: Vec<RouteUrl> = seeds.iter().map(|seed| seed.route_url()).collect();
        self.hub.set_routes(&urls);
    }

    pub fn route_url(&self) -> RouteUrl {
        let address = self.routes.expect("a server with a cluster port");
        RouteUrl {
            host: address.ip().to_string(),
            port: address.port(),
            user: None,
        }
    }

    pub async fn connect(&self) -> Client<TcpStream> {
        let stream = TcpStream::connect(self.clients).await.unwrap();
        let mut client = Client::new(stream);
        client.info().await;
        client
    }

    /// A client that has said hello, with everything a modern library negotiates.
    pub async fn modern(&self) -> Client<TcpStream> {
        let mut client = self.connect().await;
        client.send(MODERN).await;
        client.send("PING\r\n").await;
        client.expect("PONG\r\n").await;
        client.info().await;
        client
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.hub.shutdown();
    }
}

pub fn options(id: &str) -> Options {
    let mut options = Options::default();
    options.server.server_id = id.to_owned();
    options.server.server_name = id.to_lowercase();
    options.server.host = "127.0.0.1".to_owned();
    options
}

pub fn cluster() -> ClusterOptions {
    ClusterOptions {
        name: "test".to_owned(),
        host: "127.0.0.1".to_owned(),
        ..ClusterOptions::default()
    }
}

pub struct Client<S> {
    stream: S,
    unread: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub fn new(stream: S) -> Client<S> {
        Client {
            stream,
            unread: Vec::new(),
        }
    }

    pub fn into_stream(self) -> S {
        self.stream
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    async fn fill(&mut self) -> bool {
        let read = timeout(DEADLINE, self.stream.read_buf(&mut self.unread)).await;
        let read = read.unwrap_or_else(|_| panic!("no bytes in time, have {:?}", self.text()));
        matches!(read, Ok(1..))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.unread).into_owned()
    }

    /// The next bytes are exactly these.
    pub async fn expect(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        while self.unread.len() < bytes.len() {
            if !bytes.starts_with(&self.unread) || !self.fill().await {
                break;
            }
        }
        let expected = String::from_utf8_lossy(bytes);
        assert!(
            self.unread.starts_with(bytes),
            "expected {expected:?}, got {:?}",
            self.text()
        );
        self.unread.drain(..bytes.len());
    }

    /// The connection ends here.
    pub async fn expect_end(&mut self) {
        while self.fill().await {}
        assert_eq!(self.text(), "", "bytes before the end");
    }

    pub async fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.unread.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.unread.drain(..end + 2).collect();
                return String::from_utf8(line).unwrap();
            }
            assert!(
                self.fill().await,
                "the connection ended after {:?}",
                self.text()
            );
        }
    }

    /// The next line is an INFO line.
    pub async fn info(&mut self) -> serde_json::Value {
        let line = self.line().await;
        let json = line
            .strip_prefix("INFO ")
            .unwrap_or_else(|| panic!("no INFO: {line:?}"));
        assert!(json.ends_with(" \r\n"), "{json:?}");
        serde_json::from_str(json).unwrap()
    }

    /// Everything sent so far has been acted upon when this returns.
    pub async fn sync(&mut self) {
        self.send("PING\r\n").await;
        self.expect("PONG\r\n").await;
    }
}

/// Waits until `condition` holds.
pub async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let until = tokio::time::Instant::now() + DEADLINE;
    while !condition() {
        assert!(tokio::time::Instant::now() < until, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
