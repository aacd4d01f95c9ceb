//! The monitoring endpoints and Prometheus metrics.

mod http;
mod process;
mod sources;

pub use http::{router, serve};
pub use sources::{JetStreamFacts, ServerFacts, Sources};
