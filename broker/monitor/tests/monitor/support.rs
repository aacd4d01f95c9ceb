//! A small server: a hub with real sockets, JetStream that stands alone, the HTTP service.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use consensus::{Blocking, BoxFuture, Consensus, Lane, Limits, NodeId, Timing, TransportError};
use engine::Engine;
use engine::bus::{Bus, Incoming, Outgoing};
use engine::env::{Env, PeerCalls};
use futures::FutureExt;
use futures::future;
use hub::{AuthFailure, Authenticator, ConnectRequest, Delivery, Hub, Publish};
use identity::Login;
use monitor::{JetStreamFacts, ServerFacts, Sources};
use storage::fs::SimFs;
use storage::wal::{self, Wal};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Longest time that anything in these tests may take.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Server {
    pub hub: Arc<Hub>,
    pub clients: SocketAddr,
    pub http: SocketAddr,
    wal: Option<Wal>,
}

impl Server {
    /// A server with the accounts `A` and `$SYS`.
    pub async fn start() -> Server {
        Server::with(None).await
    }

    pub async fn start_with_jetstream() -> Server {
        let fs = Arc::new(SimFs::new(1));
        let options = wal::Options::new(wal::monotonic_clock());
        let wal = Wal::open(fs.clone(), &PathBuf::from("wal"), options).unwrap();
        let writing = wal.clone();
        std::thread::spawn(move || writing.run_writer());
        Server::with(Some((fs, wal))).await
    }

    async fn with(jetstream: Option<(Arc<SimFs>, Wal)>) -> Server {
        let options = hub::Options {
            server: hub::ServerFacts {
                server_id: "NTEST".to_owned(),
                server_name: "n1".to_owned(),
                jetstream: jetstream.is_some(),
                ..Default::default()
            },
            ..Default::default()
        };
        let hub = Hub::new(options, Arc::new(Everybody));
        hub.account("$SYS");
        hub.account("A");
        let mut facts = ServerFacts {
            auth_required: true,
            config_digest: "sha256:0".to_owned(),
            ..ServerFacts::default()
        };
        let (mut engine, mut log) = (None, None);
        if let Some((fs, wal)) = jetstream {
            facts.jetstream = Some(jetstream_facts());
            engine = Some(start_engine(&hub, fs, wal.clone()).await);
            log = Some(wal);
        }
        let sources = Sources::new(hub.clone(), engine, log.clone(), facts, || Ok(()));
        let clients = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let http = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Server {
            hub: hub.clone(),
            clients: clients.local_addr().unwrap(),
            http: http.local_addr().unwrap(),
            wal: log,
        };
        tokio::spawn(async move { hub.serve_clients(clients).await });
        tokio::spawn(
            async move { monitor::serve(http, sources, "/base/", future::pending()).await },
        );
        server
    }

    pub async fn client(&self) -> Client {
        let stream = TcpStream::connect(self.clients).await.unwrap();
        let mut client = Client(BufReader::new(stream));
        assert!(client.line().await.starts_with("INFO "));
        client.send("CONNECT {\"verbose\":false,\"user\":\"a\",\"name\":\"test\",\"lang\":\"rust\",\"version\":\"1\"}").await;
        client.settle().await;
        client
    }

    /// Status, headers and body of a page.
    pub async fn get(&self, path: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.http).await.unwrap();
        let request = format!("GET /base{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        let read = stream.read_to_string(&mut response);
        tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        let (status, headers) = head.split_once("\r\n").unwrap();
        let status = status.split(' ').nth(1).unwrap().parse().unwrap();
        (status, headers.to_ascii_lowercase(), body.to_owned())
    }

    pub async fn page(&self, path: &str) -> serde_json::Value {
        let (_, _, body) = self.get(path).await;
        serde_json::from_str(&body).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.hub.shutdown();
        if let Some(wal) = &self.wal {
            // Ends the writer's thread; the disk is only simulated.
            wal.close().ok();
        }
    }
}

fn jetstream_facts() -> JetStreamFacts {
    JetStreamFacts {
        store_dir: "jetstream".to_owned(),
        max_memory_bytes: 1 << 20,
        max_store_bytes: 1 << 30,
        sync_interval: Duration::from_secs(120),
        strict: true,
        domain: String::new(),
        unique_tag: String::new(),
        default_max_consumers: 1000,
    }
}

async fn start_engine(hub: &Arc<Hub>, fs: Arc<SimFs>, wal: Wal) -> Engine {
    let consensus = Consensus::new(consensus::Options {
        node: NodeId(1),
        wal: wal.clone(),
        transport: Arc::new(Alone),
        timing: Timing::default(),
        limits: Limits::default(),
        blocking: Blocking::Threads,
        seed: 1,
    });
    let env = Env {
        options: engine::env::Options {
            server_name: "n1".to_owned(),
            server_id: "NTEST".to_owned(),
            cluster: None,
            domain: String::new(),
            tags: Vec::new(),
            unique_tag: None,
            store_dir: PathBuf::from("jetstream"),
            max_file_bytes: 1 << 30,
            max_memory_bytes: 1 << 20,
            start_id: 1,
        },
        bus: Arc::new(HubBus(hub.clone())),
        clock: engine::clock::SteadyClock::of_system(),
        fs,
        wal,
        consensus,
        peers: Arc::new(Alone),
        random: engine::random::Random::new(1),
    };
    let (engine, start) = Engine::new(env).unwrap();
    engine.start_alone(start).await.unwrap();
    engine.enable_account("A", engine::Allowance::Flat(Default::default()));
    engine
}

/// A client of account `A`.
pub struct Client(BufReader<TcpStream>);

impl Client {
    pub async fn send(&mut self, line: &str) {
        let line = format!("{line}\r\n");
        self.0.get_mut().write_all(line.as_bytes()).await.unwrap();
    }

    pub async fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.0.read_line(&mut line);
        tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
        line.trim_end().to_owned()
    }

    /// Returns once the server has read everything sent so far.
    pub async fn settle(&mut self) {
        self.send("PING").await;
        while self.line().await != "PONG" {}
    }

    /// Sends a request and returns the answer. The client must have subscribed to `inbox`.
    pub async fn request(&mut self, subject: &str, body: &str) -> serde_json::Value {
        self.send(&format!("PUB {subject} inbox {}\r\n{body}", body.len()))
            .await;
        while !self.line().await.starts_with("MSG inbox") {}
        serde_json::from_str(&self.line().await).unwrap()
    }
}

/// Lets everybody into account `A`.
struct Everybody;

impl Authenticator for Everybody {
    fn auth_required(&self) -> bool {
        true
    }

    fn nonce_required(&self) -> bool {
        false
    }

    fn authenticate(
        &self,
        request: ConnectRequest,
    ) -> future::BoxFuture<'_, Result<Login, AuthFailure>> {
        let login = Login::unrestricted("A", &request.options.user);
        future::ready(Ok(login)).boxed()
    }
}

/// No other servers.
struct Alone;

impl consensus::Transport for Alone {
    fn call(
        &self,
        _: NodeId,
        _: Lane,
        _: Bytes,
        _: Duration,
    ) -> BoxFuture<'static, Result<Bytes, TransportError>> {
        Box::pin(future::pending())
    }
}

impl PeerCalls for Alone {
    fn call(&self, _: NodeId, _: Bytes, _: Duration) -> BoxFuture<'static, Option<Bytes>> {
        Box::pin(future::ready(None))
    }

    fn is_online(&self, _: NodeId) -> bool {
        true
    }
}

struct HubBus(Arc<Hub>);

impl Bus for HubBus {
    fn subscribe(
        &self,
        account: &str,
        subject: &str,
        handler: Arc<dyn engine::bus::Handler>,
    ) -> engine::bus::SubscriptionId {
        let deliver = move |delivery: &Delivery<'_>| {
            handler.deliver(&Incoming {
                account: delivery.account.name(),
                subject: delivery.subject,
                reply: Some(delivery.reply).filter(|reply| !reply.is_empty()),
                headers: delivery.headers(),
                payload: delivery.payload(),
                connection: delivery.origin.connection,
            });
        };
        let id = self.0.subscribe(account, subject, None, Arc::new(deliver));
        engine::bus::SubscriptionId(id.0)
    }

    fn unsubscribe(&self, id: engine::bus::SubscriptionId) {
        self.0.unsubscribe(hub::SubscriptionId(id.0));
    }

    fn publish(&self, account: &str, messages: &[Outgoing]) {
        let account = self.0.account(account);
        for message in messages {
            let publish = Publish {
                subject: &message.subject,
                shown: message.shown.as_deref().unwrap_or_default(),
                reply: message.reply.as_deref().unwrap_or_default(),
                headers: &message.headers,
                payload: &message.payload,
            };
            self.0.publish(&account, &publish);
        }
    }

    fn has_interest(&self, account: &str, subject: &str) -> bool {
        self.0.has_interest(&self.0.account(account), subject)
    }
}
