//! One `weir-server` process.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::wait::until;
use crate::{ports, weir_server};

/// How much of the log a failing test shows, in bytes.
const LOG_TAIL_BYTES: usize = 6_000;

/// What a broker is started with; can be used again after it died.
#[derive(Clone)]
pub struct Setup {
    pub name: String,
    pub store_dir: PathBuf,
    pub client_port: u16,
    pub monitor_port: u16,
    /// This broker's route port and those of the whole cluster.
    pub routes: Option<(u16, Vec<u16>)>,
    /// Further lines of the configuration file.
    pub extra: String,
    /// A tmpfs of this many bytes as the parent of the store directory, seen by the broker alone.
    pub disk_bytes: Option<u64>,
}

impl Setup {
    /// A broker of its own that stores in `dir`.
    pub fn alone(name: &str, dir: &Path) -> Self {
        Setup {
            name: name.to_owned(),
            store_dir: dir.join(name),
            client_port: ports::free(),
            monitor_port: ports::free(),
            routes: None,
            extra: String::new(),
            disk_bytes: None,
        }
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.client_port)
    }

    fn config(&self) -> String {
        let mut text = format!(
            "server_name: {:?}\nlisten: \"127.0.0.1:{}\"\nhttp: \"127.0.0.1:{}\"\n\
             jetstream {{ store_dir: {:?} }}\n\
             accounts {{ $SYS {{ users: [{{user: sys, password: sys}}] }} }}\n",
            self.name, self.client_port, self.monitor_port, self.store_dir
        );
        if let Some((own, all)) = &self.routes {
            let routes: Vec<String> = all
                .iter()
                .map(|port| format!("\"nats://127.0.0.1:{port}\""))
                .collect();
            writeln!(
                text,
                "cluster {{ name: e2e, listen: \"127.0.0.1:{own}\", routes: [{}] }}",
                routes.join(", ")
            )
            .expect("strings take everything");
        }
        text + &self.extra
    }
}

/// A running `weir-server`; killed when dropped.
pub struct Broker {
    pub setup: Setup,
    child: Child,
    files: TempDir,
}

impl Broker {
    /// Starts a broker without waiting for it.
    pub fn spawn(setup: Setup) -> Self {
        let files = tempfile::tempdir().expect("temporary directories can be made");
        let config = files.path().join("server.conf");
        std::fs::write(&config, setup.config()).expect("the configuration can be written");
        let mut command = match setup.disk_bytes {
            None => Command::new(weir_server()),
            Some(bytes) => on_small_disk(&setup.store_dir, bytes),
        };
        let log = files.path().join("server.log");
        let output = std::fs::File::create(&log).expect("the log can be created");
        let child = command
            .arg("-c")
            .arg(&config)
            .args(["--ports_file_dir"])
            .arg(files.path())
            .stdin(std::process::Stdio::null())
            .stdout(output.try_clone().expect("files can be shared"))
            .stderr(output)
            .kill_on_drop(true)
            .spawn()
            .expect("weir-server can be started");
        Broker {
            setup,
            child,
            files,
        }
    }

    /// Starts a broker and waits until it takes connections.
    pub async fn start(setup: Setup) -> Self {
        let mut broker = Self::spawn(setup);
        broker.ready().await;
        broker
    }

    /// Waits until the broker takes connections.
    pub async fn ready(&mut self) {
        let ports = self
            .files
            .path()
            .join(format!("weir-server_{}.ports", self.pid()));
        until("broker gets ready", async || {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("broker ended with {status}:\n{}", self.log());
            }
            std::fs::metadata(&ports)
        })
        .await;
    }

    pub fn pid(&self) -> u32 {
        self.child.id().expect("the broker still runs")
    }

    /// Everything the broker has written.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.files.path().join("server.log")).unwrap_or_default()
    }

    /// Waits until the log contains `text`.
    pub async fn logs(&self, text: &str) {
        until(
            &format!("log of {} says {text:?}", self.setup.name),
            async || {
                let log = self.log();
                if log.contains(text) { Ok(()) } else { Err(log) }
            },
        )
        .await;
    }

    /// Gives the running broker other further lines of its configuration file.
    pub fn reconfigure(&mut self, extra: &str) {
        self.setup.extra = extra.to_owned();
        let config = self.files.path().join("server.conf");
        std::fs::write(config, self.setup.config()).expect("the configuration can be written");
        self.signal(Signal::HUP);
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid() as i32).expect("process ids are positive");
        kill_process(pid, signal).expect("the broker can be signalled");
    }

    /// Waits until the process has ended.
    pub async fn ended(&mut self) -> ExitStatus {
        let wait = tokio::time::timeout(crate::DEADLINE, self.child.wait());
        match wait.await {
            Ok(status) => status.expect("the process can be waited for"),
            Err(_) => panic!("{} does not end:\n{}", self.setup.name, self.log()),
        }
    }

    /// Ends the process without a warning, as a crash would.
    pub async fn kill(mut self) -> Setup {
        self.signal(Signal::KILL);
        self.ended().await;
        self.setup.clone()
    }

    /// Stops the process as an orchestrator would, and expects success.
    pub async fn stop(mut self) -> Setup {
        self.signal(Signal::TERM);
        let status = self.ended().await;
        assert!(status.success(), "{status}:\n{}", self.log());
        self.setup.clone()
    }

    pub async fn client(&self) -> async_nats::Client {
        connect(&[self.setup.url()]).await
    }

    /// A client of the system account.
    pub async fn system_client(&self) -> async_nats::Client {
        until("system account connects", async || {
            async_nats::ConnectOptions::with_user_and_password("sys".into(), "sys".into())
                .connect(self.setup.url())
                .await
        })
        .await
    }

    /// The store directory as the broker sees it, also on a disk of its own.
    pub fn visible_store_dir(&self) -> PathBuf {
        match self.setup.disk_bytes {
            None => self.setup.store_dir.clone(),
            Some(_) => {
                let path = self.setup.store_dir.strip_prefix("/");
                Path::new(&format!("/proc/{}/root", self.pid()))
                    .join(path.expect("store directories are absolute"))
            }
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let start = log.len().saturating_sub(LOG_TAIL_BYTES);
            let start = log.ceil_char_boundary(start);
            eprintln!("--- log of {}\n{}", self.setup.name, &log[start..]);
        }
    }
}

/// A client that keeps trying all of these.
pub async fn connect(urls: &[String]) -> async_nats::Client {
    until("client connects", async || {
        async_nats::ConnectOptions::new()
            .reconnect_delay_callback(|_| std::time::Duration::from_millis(100))
            .connect(urls)
            .await
    })
    .await
}

/// Starts a server in a mount namespace of its own, where the parent of `store_dir` is a small
/// disk. Who is not root becomes it in a user namespace.
fn on_small_disk(store_dir: &Path, bytes: u64) -> Command {
    let disk = store_dir.parent().expect("stores are in a directory");
    let mut command = Command::new("unshare");
    if !rustix::process::getuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command
        .args(["--mount", "sh", "-c"])
        .arg("mount -t tmpfs -o size=\"$0\" tmpfs \"$1\" && shift && exec \"$@\"")
        .arg(bytes.to_string())
        .arg(disk)
        .arg(weir_server());
    command
}
