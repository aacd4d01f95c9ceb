//! `weir-server`: the broker, with nats-server's flags and configuration.

use std::process::ExitCode;

/// Many small buffers of all sizes come and go: mimalloc hands their memory back sooner.
/// Without huge pages (`no_thp`), which hold half of the memory of a server for a few touched bytes.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    server::run(std::env::args().skip(1))
}
