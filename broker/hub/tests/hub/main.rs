//! Byte-level tests: real sockets, hubs of this process.

mod client;
mod handlers;
mod hostile;
mod login;
mod proxied;
mod queues;
mod routes;
mod sharing;
mod slow;
mod support;
mod tls;
mod websocket;
