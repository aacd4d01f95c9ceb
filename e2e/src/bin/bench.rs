//! The main benchmarks, side by side: the same work on two servers in turn, with the ratio.
//!
//! `cargo run --release -p e2e --bin bench -- nats-server target/release/weir-server [ROUNDS]`
//!
//! CPU is what the server used, user and system, for the same work: it is steadier than a rate on a
//! machine that also runs the load. Clients speak the protocol over plain sockets, so that they cost
//! little themselves.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const CORE_MESSAGES: usize = 1_000_000;
const STREAM_MESSAGES: usize = 100_000;
const STREAM_WINDOW: usize = 512;
const IDLE_CONNECTIONS: usize = 1000;
const IDLE_SUBSCRIPTIONS: usize = 4;
const PAYLOAD_BYTES: usize = 128;
const START_DEADLINE: Duration = Duration::from_secs(30);

/// What one run measured, by the name of the figure.
type Figures = Vec<(&'static str, f64)>;

/// One benchmark: its name, the server's extra configuration, and what it measures.
struct Scenario {
    name: &'static str,
    jetstream: &'static str,
    run: fn(&Server) -> Outcome<Figures>,
}

const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "core 1:1, 128 B",
        jetstream: "",
        run: |server| flow(server, 1),
    },
    Scenario {
        name: "core 1:10, 128 B",
        jetstream: "",
        run: |server| flow(server, 10),
    },
    Scenario {
        name: "core, idle connections",
        jetstream: "",
        run: idle,
    },
    Scenario {
        name: "stream, as it comes",
        jetstream: "",
        run: publish,
    },
    Scenario {
        name: "stream, fsync",
        jetstream: "sync_interval: always",
        run: publish,
    },
];

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [first, second, rest @ ..] = &arguments[..] else {
        return Err("usage: bench SERVER_A SERVER_B [ROUNDS]".into());
    };
    let rounds: usize = rest.first().map_or(Ok(3), |rounds| rounds.parse())?;
    for scenario in SCENARIOS {
        let mut figures: [Vec<Vec<(&str, f64)>>; 2] = [Vec::new(), Vec::new()];
        for _ in 0..rounds {
            for (program, into) in [first, second].into_iter().zip(&mut figures) {
                let server = Server::start(program, scenario.jetstream)?;
                into.push((scenario.run)(&server)?);
            }
        }
        print_row(scenario.name, &figures);
    }
    Ok(())
}

fn print_row(name: &str, figures: &[Vec<Vec<(&str, f64)>>; 2]) {
    let keys: Vec<&str> = figures[0]
        .first()
        .into_iter()
        .flatten()
        .map(|(key, _)| *key)
        .collect();
    let mut row = format!("{name:<24}");
    for (at, key) in keys.iter().enumerate() {
        let median = |runs: &Vec<Vec<(&str, f64)>>| {
            let mut values: Vec<f64> = runs.iter().map(|run| run[at].1).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let (a, b) = (median(&figures[0]), median(&figures[1]));
        row.push_str(&format!("  {key} {a:.4} -> {b:.4} (x{:.2})", b / a));
    }
    println!("{row}");
}

/// A running server with its own directory.
struct Server {
    child: Child,
    port: u16,
    dir: PathBuf,
}

impl Server {
    fn start(program: &str, jetstream: &str) -> Outcome<Server> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let dir = std::env::temp_dir().join(format!("weir-bench-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&dir)?;
        let configuration = dir.join("server.conf");
        let store = dir.display();
        std::fs::write(
            &configuration,
            format!(
                "listen: \"127.0.0.1:{port}\"\njetstream {{ store_dir: \"{store}\"\n{jetstream}\n}}\n"
            ),
        )?;
        let child = Command::new(program)
            .arg("-c")
            .arg(&configuration)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("{program}: {error}"))?;
        let server = Server { child, port, dir };
        let started = Instant::now();
        while server.connect().is_err() {
            if started.elapsed() > START_DEADLINE {
                return Err(format!("{program} does not answer").into());
            }
            thread::yield_now();
        }
        Ok(server)
    }

    fn connect(&self) -> Outcome<Client> {
        Client::open(self.port)
    }

    /// Seconds of CPU used so far.
    fn cpu_s(&self) -> Outcome<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields = stat.rsplit_once(')').ok_or("no process")?.1;
        let ticks: Result<Vec<f64>, _> = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(str::parse)
            .collect();
        Ok(ticks?.iter().sum::<f64>() / 100.0)
    }

    fn memory_kib(&self) -> Outcome<f64> {
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

/// A lean client.
struct Client {
    reader: BufReader<TcpStream>,
    writer: TcpStream,
    line: Vec<u8>,
}

impl Client {
    fn open(port: u16) -> Outcome<Client> {
        let writer = TcpStream::connect(("127.0.0.1", port))?;
        writer.set_nodelay(true)?;
        let reader = BufReader::with_capacity(256 * 1024, writer.try_clone()?);
        let mut client = Client {
            reader,
            writer,
            line: Vec::new(),
        };
        client.read_line()?;
        client.send(
            b"CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true}\r\n",
        )?;
        client.sync()?;
        Ok(client)
    }

    fn send(&mut self, bytes: &[u8]) -> Outcome<()> {
        Ok(self.writer.write_all(bytes)?)
    }

    fn read_line(&mut self) -> Outcome<&[u8]> {
        self.line.clear();
        if self.reader.read_until(b'\n', &mut self.line)? == 0 {
            return Err("connection closed".into());
        }
        Ok(&self.line)
    }

    /// Waits until the server has handled everything sent before.
    fn sync(&mut self) -> Outcome<()> {
        self.send(b"PING\r\n")?;
        while !self.read_line()?.starts_with(b"PONG") {}
        Ok(())
    }

    /// Reads one message and returns its payload's length.
    fn message(&mut self) -> Outcome<usize> {
        loop {
            let line = self.read_line()?;
            if line.starts_with(b"PING") {
                self.send(b"PONG\r\n")?;
                continue;
            }
            if line.starts_with(b"-ERR") {
                return Err(String::from_utf8_lossy(line).into());
            }
            if !line.starts_with(b"MSG") && !line.starts_with(b"HMSG") {
                continue;
            }
            let text = std::str::from_utf8(line)?.trim_end();
            let size: usize = text.rsplit(' ').next().ok_or("no size")?.parse()?;
            self.line.resize(size + 2, 0);
            self.reader.read_exact(&mut self.line)?;
            return Ok(size);
        }
    }
}

/// One publisher, some subscribers.
fn flow(server: &Server, subscribers: usize) -> Outcome<Figures> {
    let messages = CORE_MESSAGES / subscribers;
    let mut readers = Vec::new();
    for _ in 0..subscribers {
        let mut client = server.connect()?;
        client.send(b"SUB bench.> 1\r\n")?;
        client.sync()?;
        readers.push(thread::spawn(move || -> Outcome<()> {
            for _ in 0..messages {
                client.message()?;
            }
            Ok(())
        }));
    }
    let mut publisher = server.connect()?;
    let one = [
        format!("PUB bench.s {PAYLOAD_BYTES}\r\n").as_bytes(),
        &[b'x'; PAYLOAD_BYTES],
        b"\r\n",
    ]
    .concat();
    let many = one.repeat(400);
    let (cpu, started) = (server.cpu_s()?, Instant::now());
    let mut left = messages;
    while left > 0 {
        let count = left.min(400);
        publisher.send(&many[..one.len() * count])?;
        left -= count;
    }
    publisher.sync()?;
    for reader in readers {
        reader.join().map_err(|_| "reader failed")??;
    }
    let delivered = (messages * subscribers) as f64;
    let cpu_us = (server.cpu_s()? - cpu) * 1e6 / delivered;
    Ok(vec![
        ("us/message", cpu_us),
        ("messages/s", delivered / started.elapsed().as_secs_f64()),
    ])
}

/// Memory of connections that do nothing.
fn idle(server: &Server) -> Outcome<Figures> {
    let before = server.memory_kib()?;
    let mut held = Vec::new();
    for number in 0..IDLE_CONNECTIONS {
        let mut client = server.connect()?;
        for sid in 0..IDLE_SUBSCRIPTIONS {
            client.send(format!("SUB idle.{number}.{sid} {sid}\r\n").as_bytes())?;
        }
        client.sync()?;
        held.push(client.writer);
    }
    Ok(vec![(
        "KiB/connection",
        (server.memory_kib()? - before) / IDLE_CONNECTIONS as f64,
    )])
}

/// Asynchronous publishes to a file stream.
fn publish(server: &Server) -> Outcome<Figures> {
    let mut client = server.connect()?;
    client.send(b"SUB inbox.* 1\r\n")?;
    let config = r#"{"name":"BENCH","subjects":["js"],"storage":"file","num_replicas":1}"#;
    client.send(
        format!(
            "PUB $JS.API.STREAM.CREATE.BENCH inbox.a {}\r\n{config}\r\n",
            config.len()
        )
        .as_bytes(),
    )?;
    client.message()?;
    let one = [
        format!("PUB js inbox.p {PAYLOAD_BYTES}\r\n").as_bytes(),
        &[b'x'; PAYLOAD_BYTES],
        b"\r\n",
    ]
    .concat();
    let half = one.repeat(STREAM_WINDOW / 2);
    let (cpu, started) = (server.cpu_s()?, Instant::now());
    client.send(&half)?;
    for _ in 0..STREAM_MESSAGES / (STREAM_WINDOW / 2) - 1 {
        client.send(&half)?;
        for _ in 0..STREAM_WINDOW / 2 {
            client.message()?;
        }
    }
    for _ in 0..STREAM_WINDOW / 2 {
        client.message()?;
    }
    let done = (STREAM_MESSAGES / (STREAM_WINDOW / 2) * (STREAM_WINDOW / 2)) as f64;
    let cpu_us = (server.cpu_s()? - cpu) * 1e6 / done;
    Ok(vec![
        ("us/message", cpu_us),
        ("acks/s", done / started.elapsed().as_secs_f64()),
    ])
}
