//! `weir-server`: the broker, with nats-server's flags and configuration.

use std::process::ExitCode;

/// Many small buffers of all sizes come and go: mimalloc hands their memory back sooner.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    server::run(std::env::args().skip(1))
}
