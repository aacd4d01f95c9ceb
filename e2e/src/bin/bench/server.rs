//! A server under test.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::tls::Certificate;
use crate::websocket::WebSocket;
use crate::{Outcome, tls};

const START_DEADLINE: Duration = Duration::from_secs(60);
/// Between two attempts to reach a server that starts.
const RETRY: Duration = Duration::from_millis(1);
/// Clock ticks a second, in which Linux counts a process's CPU.
const TICKS: f64 = 100.0;

/// How clients reach the server.
#[derive(Clone, Copy, PartialEq)]
pub enum Access {
    Plain,
    Tls,
    WebSocket,
    /// WebSocket with permessage-deflate.
    Deflate,
}

/// What a scenario needs of its server.
pub struct Setup {
    pub access: Access,
    /// More of the configuration block `jetstream`.
    pub jetstream: &'static str,
}

/// A running server with its own directory.
pub struct Server {
    program: String,
    child: Child,
    port: u16,
    access: Access,
    certificate: Certificate,
    dir: PathBuf,
}

impl Server {
    /// Starts a server and waits until it answers.
    pub fn start(program: &str, setup: &Setup) -> Outcome<Server> {
        let port = free_port()?;
        let dir = std::env::temp_dir().join(format!("weir-bench-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&dir)?;
        let certificate = Certificate::make(&dir)?;
        let access = match setup.access {
            Access::Plain => format!("listen: \"127.0.0.1:{port}\""),
            Access::Tls => format!("listen: \"127.0.0.1:{port}\"\n{}", certificate.block()),
            Access::WebSocket | Access::Deflate => format!(
                "listen: \"127.0.0.1:{}\"\nwebsocket {{ listen: \"127.0.0.1:{port}\", no_tls: true, compression: {} }}",
                free_port()?,
                setup.access == Access::Deflate
            ),
        };
        let (store, jetstream) = (dir.display(), setup.jetstream);
        std::fs::write(
            dir.join("server.conf"),
            format!("{access}\njetstream {{ store_dir: \"{store}\"\n{jetstream}\n}}\n"),
        )?;
        let server = Server {
            program: program.to_owned(),
            child: spawn(program, &dir)?,
            port,
            access: setup.access,
            certificate,
            dir,
        };
        server.wait()?;
        Ok(server)
    }

    /// Kills the server, starts it again on the same data and returns when that was.
    pub fn restart(&mut self) -> Outcome<Instant> {
        self.child.kill()?;
        self.child.wait()?;
        let started = Instant::now();
        self.child = spawn(&self.program, &self.dir)?;
        Ok(started)
    }

    /// Waits until the server accepts clients.
    pub fn wait(&self) -> Outcome<Client> {
        let started = Instant::now();
        loop {
            match self.connect() {
                Ok(client) => return Ok(client),
                Err(error) if started.elapsed() > START_DEADLINE => {
                    return Err(format!("{} does not answer: {error}", self.program).into());
                }
                Err(_) => thread::sleep(RETRY),
            }
        }
    }

    pub fn connect(&self) -> Outcome<Client> {
        let socket = TcpStream::connect(("127.0.0.1", self.port))?;
        socket.set_nodelay(true)?;
        match self.access {
            Access::Plain => Client::greet(Box::new(socket)),
            Access::Tls => Client::greet(Box::new(tls::Link::open(socket, &self.certificate)?)),
            Access::WebSocket => Client::greet(Box::new(WebSocket::open(socket, false)?)),
            Access::Deflate => Client::greet(Box::new(WebSocket::open(socket, true)?)),
        }
    }

    /// Seconds of CPU used so far.
    pub fn cpu_s(&self) -> Outcome<f64> {
        cpu_s(&format!("/proc/{}/stat", self.child.id()))
    }

    /// KiB of memory in use.
    pub fn memory_kib(&self) -> Outcome<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS"))
            .ok_or("no memory")?;
        Ok(line.split_whitespace().nth(1).ok_or("no memory")?.parse()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        std::fs::remove_dir_all(&self.dir).ok();
    }
}

/// Seconds of CPU, user and system, that a `stat` file of `/proc` tells.
pub fn cpu_s(stat: &str) -> Outcome<f64> {
    let stat = std::fs::read_to_string(stat)?;
    let fields = stat.rsplit_once(')').ok_or("no process")?.1;
    let ticks: Result<Vec<f64>, _> = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(str::parse)
        .collect();
    Ok(ticks?.iter().sum::<f64>() / TICKS)
}

fn spawn(program: &str, dir: &std::path::Path) -> Outcome<Child> {
    let started = Command::new(program)
        .arg("-c")
        .arg(dir.join("server.conf"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    Ok(started.map_err(|error| format!("{program}: {error}"))?)
}

fn free_port() -> Outcome<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
