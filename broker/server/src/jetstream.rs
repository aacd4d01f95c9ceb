//! Starts JetStream on this server: its log, its consensus, its engine.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use consensus::{Blocking, Consensus, Limits, Timing};
use engine::clock::SteadyClock;
use engine::env::{Env, Options as EngineOptions};
use engine::random::Random;
use engine::{Engine, Founding};
use hub::Hub;
use settings::Options;
use settings::options::SyncInterval;
use storage::fs::{DiskFs, FileSystem};
use storage::wal::{self, SyncPolicy, Wal};

use crate::bus::HubBus;
use crate::links::{Answers, Calls, Introduction, Links};
use crate::peers::Peers;
use crate::routes;

/// How long the first servers wait for the rest once a majority is there.
const FOUNDING_SETTLE: Duration = Duration::from_secs(1);
/// Share of the free disk and of the memory that JetStream offers unless told otherwise.
const OFFERED_PERCENT: u64 = 75;

/// JetStream on this server, running.
pub struct JetStream {
    pub engine: Engine,
    pub wal: Wal,
    pub store_dir: PathBuf,
    writer: Option<std::thread::JoinHandle<()>>,
}

impl JetStream {
    /// Starts JetStream with everything it stored. In a cluster it becomes ready later, once the
    /// cluster is formed.
    pub async fn start(options: &Options, hub: &Arc<Hub>) -> anyhow::Result<Self> {
        let store_dir = options.jetstream.data_dir(&std::env::temp_dir());
        let fs: Arc<dyn FileSystem> = Arc::new(DiskFs);
        fs.create_dir_all(&store_dir).with_context(|| {
            format!("could not create storage directory {}", store_dir.display())
        })?;
        let clustered = options.cluster.port.is_some();
        let identity = engine::load_identity(&*fs, &store_dir, rand::random())?;
        let (wal, writer) = open_wal(options, &fs, &store_dir)?;
        let links = Links::new(hub.clone(), identity.node);
        let peers = Peers::new(Arc::new(links.clone()));
        let consensus = Consensus::new(consensus::Options {
            node: identity.node,
            wal: wal.clone(),
            transport: Arc::new(peers.clone()),
            timing: Timing::default(),
            limits: Limits::default(),
            blocking: Blocking::Threads,
            seed: rand::random(),
        });
        let env = Env {
            options: engine_options(options, hub, &fs, store_dir.clone(), clustered)?,
            bus: Arc::new(HubBus::new(hub.clone())),
            clock: SteadyClock::of_system(),
            fs,
            wal: wal.clone(),
            consensus: consensus.clone(),
            peers: Arc::new(Calls {
                links: links.clone(),
                peers: peers.clone(),
            }),
            random: Random::new(rand::random()),
        };
        let (engine, start) = Engine::new(env)?;
        if clustered {
            let Some(name) = options.server_name.clone() else {
                bail!("jetstream cluster requires `server_name` to be set");
            };
            let answers = Arc::new(Answers::default());
            answers.parts.set((consensus, engine.clone())).ok();
            links.accept_streams(answers);
            links.follow_routes(engine.clone(), peers);
            hub.set_route_info_extra(serde_json::to_value(Introduction::new(identity.node))?);
            let expected = routes::expected_servers(options);
            let founding = Founding::new(name, expected, FOUNDING_SETTLE, rand::random());
            engine.start_clustered(start, founding, identity);
        } else {
            engine.start_alone(start).await?;
        }
        Ok(JetStream {
            engine,
            wal,
            store_dir,
            writer: Some(writer),
        })
    }

    /// Hands over all leaderships and makes everything durable.
    pub async fn shutdown(mut self) {
        self.engine.shutdown().await;
        if let Err(error) = self.wal.close() {
            tracing::error!(%error, "write-ahead log did not close");
        }
        if let Some(writer) = self.writer.take() {
            tokio::task::spawn_blocking(move || writer.join().ok())
                .await
                .ok();
        }
    }
}

fn open_wal(
    options: &Options,
    fs: &Arc<dyn FileSystem>,
    store_dir: &std::path::Path,
) -> anyhow::Result<(Wal, std::thread::JoinHandle<()>)> {
    let dir = store_dir.join("wal");
    let mut settings = wal::Options::new(wal::monotonic_clock());
    settings.sync = match options.jetstream.sync_interval {
        // Unlike nats-server, nothing is acknowledged before it is on the disk unless asked for.
        SyncInterval::Unset | SyncInterval::Always => SyncPolicy::Always,
        SyncInterval::Every(interval) => SyncPolicy::Interval(interval),
    };
    settings.on_fatal = Arc::new(|error: &wal::Error| {
        tracing::error!(
            fatal = true,
            %error,
            "write-ahead log failed; stopping, and nothing unsafe was acknowledged"
        );
        std::process::exit(1);
    });
    let wal = Wal::open(fs.clone(), &dir, settings)
        .with_context(|| format!("write-ahead log in {}", dir.display()))?;
    for damage in wal.damaged() {
        tracing::error!(
            segment = damage.segment,
            offset = damage.offset,
            length = damage.len,
            groups = ?damage.groups,
            "write-ahead log is damaged"
        );
    }
    let writing = wal.clone();
    let writer = std::thread::Builder::new()
        .name("wal".to_owned())
        .spawn(move || writing.run_writer())?;
    Ok((wal, writer))
}

fn engine_options(
    options: &Options,
    hub: &Hub,
    fs: &Arc<dyn FileSystem>,
    store_dir: PathBuf,
    clustered: bool,
) -> anyhow::Result<EngineOptions> {
    let free = fs
        .space(&store_dir)
        .map(|space| space.free)
        .unwrap_or(1 << 40);
    let server = &hub.options().server;
    Ok(EngineOptions {
        server_name: server.server_name.clone(),
        server_id: server.server_id.clone(),
        cluster: clustered.then(|| routes::cluster_name(options)),
        domain: options.jetstream.domain.clone().unwrap_or_default(),
        tags: options.server_tags.clone(),
        unique_tag: options.jetstream.unique_tag.clone(),
        store_dir,
        max_file_bytes: options
            .jetstream
            .max_store_bytes
            .unwrap_or(free / 100 * OFFERED_PERCENT),
        max_memory_bytes: options
            .jetstream
            .max_memory_bytes
            .unwrap_or(memory_bytes() / 100 * OFFERED_PERCENT),
        start_id: rand::random(),
    })
}

/// The machine's memory in bytes.
pub fn memory_bytes() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram as u64 * u64::from(info.mem_unit)
}
