//! How many commands a group commits each second, with its log on a disk in memory.
//!
//! `cargo run --release -p consensus --example throughput`

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use consensus::{
    Blocking, BoxFuture, Consensus, Group, GroupId, Lane, Limits, Machine, MachineError, NodeId,
    Options, ProposeError, Role, SnapshotReader, SnapshotWriter, Start, Timing, Transport,
    TransportError,
};
use parking_lot::Mutex;
use storage::fs::SimFs;
use storage::wal::{self, Wal};
use tokio::sync::Notify;

/// A box for any error is enough for an example.
type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// How long each case runs.
const RUN: Duration = Duration::from_secs(3);

/// Counts commands.
#[derive(Default)]
struct Counter {
    applied: AtomicU64,
    moved: Notify,
}

impl Machine for Counter {
    fn apply(&self, _: u64, _: Bytes) {}

    fn apply_batch(&self, commands: &mut Vec<(u64, Bytes)>) {
        self.applied
            .fetch_add(commands.len() as u64, Ordering::Release);
        commands.clear();
        self.moved.notify_one();
    }

    fn role(&self, _: Role) {
        self.moved.notify_one();
    }

    fn checkpoint(&self, _: Bytes) -> Result<(), MachineError> {
        Ok(())
    }

    fn seal(&self) -> Option<Bytes> {
        None
    }

    fn snapshot(&self) -> Result<Box<dyn SnapshotReader>, MachineError> {
        Err(MachineError::new("a counter has no snapshot"))
    }

    fn receive(&self) -> Result<Box<dyn SnapshotWriter>, MachineError> {
        Err(MachineError::new("a counter has no snapshot"))
    }
}

type Servers = Arc<Mutex<BTreeMap<NodeId, Consensus>>>;

/// Calls the other server in the same process.
struct Direct {
    from: NodeId,
    servers: Servers,
}

impl Transport for Direct {
    fn call(
        &self,
        to: NodeId,
        _: Lane,
        request: Bytes,
        _: Duration,
    ) -> BoxFuture<'static, Result<Bytes, TransportError>> {
        let server = self.servers.lock().get(&to).cloned();
        match server {
            Some(server) => {
                let answer = server.handle(self.from, request);
                Box::pin(async move { Ok(answer.await) })
            }
            None => Box::pin(async move { Err(TransportError::Unreachable { to }) }),
        }
    }
}

fn server(node: u64, servers: &Servers) -> Outcome<Consensus> {
    let started = Instant::now();
    let mut options = wal::Options::new(Arc::new(move || started.elapsed()));
    options.segment_size_bytes = 16 << 20;
    let wal = Wal::open(Arc::new(SimFs::new(node)), Path::new("/wal"), options)?;
    let writer = wal.clone();
    std::thread::spawn(move || writer.run_writer());
    let consensus = Consensus::new(Options {
        node: NodeId(node),
        wal,
        transport: Arc::new(Direct {
            from: NodeId(node),
            servers: servers.clone(),
        }),
        timing: Timing::default(),
        limits: Limits::default(),
        blocking: Blocking::Threads,
        seed: node,
    });
    servers.lock().insert(NodeId(node), consensus.clone());
    Ok(consensus)
}

/// Keeps `window` commands in flight for a while. Returns commands per second.
async fn drive(group: &Group, counter: &Counter, size: usize, window: u64) -> f64 {
    while !matches!(group.role(), Role::Leader { .. }) {
        counter.moved.notified().await;
    }
    let command = Bytes::from(vec![7; size]);
    let begun = Instant::now();
    let first = counter.applied.load(Ordering::Acquire);
    let mut proposed = first;
    while begun.elapsed() < RUN {
        let applied = counter.applied.load(Ordering::Acquire);
        while proposed < applied + window {
            match group.propose(command.clone()) {
                Ok(()) => proposed += 1,
                Err(ProposeError::Busy) => break,
                Err(error) => panic!("{error}"),
            }
        }
        counter.moved.notified().await;
    }
    let applied = counter.applied.load(Ordering::Acquire) - first;
    applied as f64 / begun.elapsed().as_secs_f64()
}

async fn case(replicas: u64, size: usize, window: u64) -> Outcome<()> {
    let servers = Servers::default();
    let id = GroupId(1);
    let members: BTreeSet<NodeId> = (1..=replicas).map(NodeId).collect();
    let mut groups = Vec::new();
    for node in 1..=replicas {
        let consensus = server(node, &servers)?;
        let counter = Arc::new(Counter::default());
        let group = if replicas == 1 {
            consensus.local(id, counter.clone()).await?
        } else {
            let start = Start::Founding(members.clone());
            consensus.replicated(id, start, counter.clone()).await?
        };
        groups.push((group, counter));
    }
    let leader = loop {
        let leads =
            |(group, _): &&(Group, Arc<Counter>)| matches!(group.role(), Role::Leader { .. });
        match groups.iter().find(leads) {
            Some(leader) => break leader,
            None => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    let rate = drive(&leader.0, &leader.1, size, window).await;
    println!("replicas {replicas}  command {size:6} B  in flight {window:5}  {rate:10.0}/s");
    for (group, _) in &groups {
        group.halt().await;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Outcome<()> {
    for replicas in [1, 3] {
        for (size, window) in [(128, 1), (128, 64), (128, 1024), (64 * 1024, 32)] {
            case(replicas, size, window).await?;
        }
    }
    Ok(())
}
