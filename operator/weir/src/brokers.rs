//! The broker processes: this very program, started again with a configuration file.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use reconcile::Bootstrap;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

/// The hidden first argument that makes this program a broker.
pub const SUBCOMMAND: &str = "broker";

/// Between the client port and the cluster port of one broker, and the monitoring port.
const CLUSTER_PORT_OFFSET: u16 = 2000;
const MONITOR_PORT_OFFSET: u16 = 4000;
/// How long a broker has for handing over and writing out before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
/// How often it is checked that all brokers run.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A broker that ran this long was started well.
const SETTLED_AFTER: Duration = Duration::from_secs(5);
/// Starts in a row that may end at once.
const MAX_FAILURES: u32 = 3;

/// A cluster of brokers on loopback.
pub struct Brokers {
    processes: Vec<Broker>,
}

struct Broker {
    name: String,
    configuration: PathBuf,
    log: PathBuf,
    child: Child,
    started: Instant,
    /// Starts in a row that ended at once.
    failures: u32,
}

/// Where the brokers are.
pub struct Layout<'a> {
    pub data: &'a Path,
    pub replicas: u16,
    pub first_port: u16,
}

impl Layout<'_> {
    pub fn client_urls(&self) -> Vec<String> {
        self.ports()
            .map(|port| format!("nats://127.0.0.1:{port}"))
            .collect()
    }

    pub fn monitor_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.first_port + MONITOR_PORT_OFFSET)
    }

    fn ports(&self) -> impl Iterator<Item = u16> + use<> {
        let first = self.first_port;
        (0..self.replicas).map(move |index| first + index)
    }

    fn directory(&self, name: &str) -> PathBuf {
        self.data.join(name)
    }

    /// The configuration of one broker, in nats-server's language.
    fn configuration(&self, index: u16, bootstrap: &Bootstrap) -> String {
        let name = broker_name(index);
        let port = self.first_port + index;
        let store = self.directory(&name);
        let mut text = format!(
            "server_name: {name}\n\
             listen: \"127.0.0.1:{port}\"\n\
             http: \"127.0.0.1:{}\"\n\
             jetstream {{ store_dir: {} }}\n\
             operator: {}\n\
             system_account: {}\n\
             resolver {{ type: full, dir: {}, allow_delete: true }}\n\
             resolver_preload {{ {}: {} }}\n",
            port + MONITOR_PORT_OFFSET,
            quoted(&store.display().to_string()),
            bootstrap.operator_token,
            bootstrap.system_account,
            quoted(&store.join("accounts").display().to_string()),
            bootstrap.system_account,
            bootstrap.system_account_token,
        );
        if self.replicas > 1 {
            let routes: Vec<String> = self
                .ports()
                .map(|port| format!("\"nats://127.0.0.1:{}\"", port + CLUSTER_PORT_OFFSET))
                .collect();
            text.push_str(&format!(
                "cluster {{ name: weir, listen: \"127.0.0.1:{}\", routes: [{}] }}\n",
                port + CLUSTER_PORT_OFFSET,
                routes.join(", "),
            ));
        }
        text
    }
}

impl Brokers {
    /// Starts all brokers.
    pub fn start(layout: &Layout<'_>, bootstrap: &Bootstrap) -> anyhow::Result<Self> {
        let mut processes = Vec::new();
        for index in 0..layout.replicas {
            let name = broker_name(index);
            let directory = layout.directory(&name);
            std::fs::create_dir_all(&directory)
                .with_context(|| format!("data directory {}", directory.display()))?;
            let configuration = directory.join("broker.conf");
            std::fs::write(&configuration, layout.configuration(index, bootstrap))
                .with_context(|| format!("configuration {}", configuration.display()))?;
            let log = directory.join("broker.log");
            let child = spawn(&configuration, &log)?;
            let started = Instant::now();
            processes.push(Broker {
                name,
                configuration,
                log,
                child,
                started,
                failures: 0,
            });
        }
        Ok(Brokers { processes })
    }

    /// Starts brokers again that end without being told to. Resolves when one cannot be kept running,
    /// with what its log says last.
    pub async fn keep_running(&mut self) -> anyhow::Error {
        loop {
            for broker in &mut self.processes {
                if let Ok(Some(status)) = broker.child.try_wait()
                    && let Err(error) = broker.start_again(status)
                {
                    return error;
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Stops the brokers one after the other, so that each can hand over to one that still runs.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        for broker in &mut self.processes {
            let Some(id) = broker.child.id() else {
                continue;
            };
            if let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) {
                kill_process(pid, Signal::TERM)?;
            }
            if tokio::time::timeout(STOP_TIMEOUT, broker.child.wait())
                .await
                .is_err()
            {
                broker.child.kill().await?;
                bail!(
                    "broker {} did not stop in time and was killed; no data are lost",
                    broker.name
                );
            }
        }
        Ok(())
    }
}

impl Broker {
    fn start_again(&mut self, status: ExitStatus) -> anyhow::Result<()> {
        let lived = self.started.elapsed() > SETTLED_AFTER;
        self.failures = if lived { 0 } else { self.failures + 1 };
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let last = log.lines().last().unwrap_or("its log is empty");
        if self.failures >= MAX_FAILURES {
            bail!("broker {} does not stay up ({status}): {last}", self.name);
        }
        eprintln!("broker {} ended ({status}) and is started again", self.name);
        self.child = spawn(&self.configuration, &self.log)?;
        self.started = Instant::now();
        Ok(())
    }
}

/// Starts one broker process.
fn spawn(configuration: &Path, log: &Path) -> anyhow::Result<Child> {
    let program = std::env::current_exe().context("this program cannot be found again")?;
    Command::new(&program)
        .arg(SUBCOMMAND)
        .arg("-c")
        .arg(configuration)
        .arg("-l")
        .arg(log)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        // Ctrl-C reaches the terminal's whole group: brokers are stopped in order instead.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("broker with {} cannot be started", configuration.display()))
}

fn broker_name(index: u16) -> String {
    format!("weir-{index}")
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
