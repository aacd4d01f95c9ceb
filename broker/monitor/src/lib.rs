//! Monitoring: nats-server's pages, its health check, and metrics for Prometheus.
//!
//! Every page is a function from [`Sources`], the live parts of a server, and its options to a
//! structure with nats-server's JSON keys; [`serve`] puts them on HTTP and the server's system
//! services put them on the bus. The crate changes nothing and remembers nothing but how often it
//! was asked. Only `metrics` knows Prometheus.
//!
//! Questions that probes and rolling restarts ask have three answers:
//!
//! | question | ask |
//! |---|---|
//! | has the process started, is it alive (a broker that catches up is) | `/healthz?js-enabled-only=true` |
//! | can it serve clients: JetStream has recovered and knows its meta leader | `/healthz?js-server-only=true` |
//! | are all its streams in order, too | `/healthz` |
//! | can it be stopped now, and has it caught up | `/safez`, see [`safez`] |
//!
//! Start with [`varz::varz`], then `http`.

pub mod accountz;
pub mod connz;
pub mod expvarz;
pub mod healthz;
mod http;
mod index;
pub mod jsz;
mod metrics;
pub mod options;
mod process;
pub mod query;
pub mod routez;
pub mod safez;
mod sources;
pub mod statsz;
pub mod subsz;
mod text;
pub mod unserved;
pub mod varz;

pub use http::{router, serve};
pub use query::BadRequest;
pub use sources::{JetStreamFacts, ServerFacts, Sources};
pub use text::now;
