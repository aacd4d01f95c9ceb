//! The main benchmarks, side by side: the same work on two servers in turn, with the ratio.
//!
//! `cargo run --release -p e2e --bin bench -- nats-server target/release/weir-server [ROUNDS] [PART_OF_NAME ...]`
//!
//! CPU is what the server used, user and system, for the same work: it is steadier than a rate on a
//! machine that also runs the load. Clients speak the protocol over plain sockets, so that they cost
//! little themselves. The rows named `floor` need no server: a bare relay carries the same bytes.

mod client;
mod connections;
mod flow;
mod interest;
mod relay;
mod restart;
mod row;
mod server;
mod streams;
mod tls;
mod websocket;

use flow::{Flow, flow};
use restart::restart;
use row::{Figures, Row};
use server::{Access, Server, Setup};
use streams::{Pulls, publish, pull};

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const ROUNDS: usize = 3;
/// What nats-server does when nothing else is configured.
const LAZY: &str = "sync_interval: 2m";

/// One benchmark.
struct Scenario {
    name: &'static str,
    work: Work,
}

enum Work {
    /// Measured on a fresh server.
    Server(Setup, fn(&mut Server) -> Outcome<Figures>),
    /// What the machine allows at most.
    Floor(fn() -> Outcome<Figures>),
}

const fn plain(name: &'static str, run: fn(&mut Server) -> Outcome<Figures>) -> Scenario {
    over(name, Access::Plain, run)
}

const fn over(
    name: &'static str,
    access: Access,
    run: fn(&mut Server) -> Outcome<Figures>,
) -> Scenario {
    let jetstream = "";
    Scenario {
        name,
        work: Work::Server(Setup { access, jetstream }, run),
    }
}

const fn stream(
    name: &'static str,
    jetstream: &'static str,
    run: fn(&mut Server) -> Outcome<Figures>,
) -> Scenario {
    let access = Access::Plain;
    Scenario {
        name,
        work: Work::Server(Setup { access, jetstream }, run),
    }
}

const fn floor(name: &'static str, run: fn() -> Outcome<Figures>) -> Scenario {
    Scenario {
        name,
        work: Work::Floor(run),
    }
}

const SCENARIOS: &[Scenario] = &[
    floor("floor 1:1, 128 B", || relay::relay(&Flow::of(1, 128))),
    floor("floor 1:1, 4096 B", || relay::relay(&Flow::of(1, 4096))),
    plain("core 1:1, 128 B", |server| flow(server, &Flow::of(1, 128))),
    plain("core 1:1, 4096 B", |server| {
        flow(server, &Flow::of(1, 4096))
    }),
    plain("core 1:10, 128 B", |server| {
        flow(server, &Flow::of(10, 128))
    }),
    over("tls 1:1, 128 B", Access::Tls, |server| {
        flow(server, &Flow::of(1, 128))
    }),
    over("tls 1:1, 4096 B", Access::Tls, |server| {
        flow(server, &Flow::of(1, 4096))
    }),
    over("websocket 1:1, 128 B", Access::WebSocket, |server| {
        flow(server, &Flow::of(1, 128))
    }),
    over("deflate 1:1, 128 B", Access::Deflate, |server| {
        flow(server, &Flow::of(1, 128))
    }),
    plain("idle connections", connections::idle),
    plain("1,000,000 subscriptions", interest::many),
    plain("10,000 wildcards", interest::wide),
    stream("stream, as it comes", "", |server| publish(server, "file")),
    stream("stream, fsync", "sync_interval: always", |server| {
        publish(server, "file")
    }),
    stream("stream, lazy", LAZY, |server| publish(server, "file")),
    stream("stream, memory", LAZY, |server| publish(server, "memory")),
    stream("stream, consume", LAZY, |server| {
        pull(server, Pulls::Overlapping)
    }),
    stream("stream, fetch", LAZY, |server| {
        pull(server, Pulls::OneByOne)
    }),
    stream("restart, 100,000", "", |server| restart(server, 100_000)),
    stream("restart, 1,000,000", "", |server| {
        restart(server, 1_000_000)
    }),
    stream("restart, 3,000,000", "", |server| {
        restart(server, 3_000_000)
    }),
];

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [first, second, rest @ ..] = &arguments[..] else {
        return Err("usage: bench SERVER_A SERVER_B [ROUNDS] [PART_OF_NAME ...]".into());
    };
    let (rounds, parts) = match rest.split_first() {
        Some((number, parts)) if number.parse::<usize>().is_ok() => (number.parse()?, parts),
        _ => (ROUNDS, rest),
    };
    let chosen = |name: &str| parts.is_empty() || parts.iter().any(|part| name.contains(&**part));
    for scenario in SCENARIOS.iter().filter(|scenario| chosen(scenario.name)) {
        let mut row = Row::new(scenario.name);
        for _ in 0..rounds {
            match &scenario.work {
                Work::Floor(run) => row.add(0, run()?),
                Work::Server(setup, run) => {
                    for (at, program) in [first, second].into_iter().enumerate() {
                        let mut server = Server::start(program, setup)?;
                        let figures = run(&mut server)
                            .map_err(|error| format!("{}, {program}: {error}", scenario.name))?;
                        row.add(at, figures);
                    }
                }
            }
        }
        println!("{row}");
    }
    Ok(())
}
