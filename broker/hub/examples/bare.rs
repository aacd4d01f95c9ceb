//! A hub alone on a port: what core messaging costs without the rest of the server.
//!
//! `cargo run --release -p hub --example bare -- 24999`

use std::{env, sync::Arc};

use futures::future::{BoxFuture, FutureExt};
use hub::{AuthFailure, Authenticator, ConnectRequest, Hub, Options};
use identity::Login;
use tokio::net::TcpListener;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Open;

impl Authenticator for Open {
    fn auth_required(&self) -> bool {
        false
    }

    fn nonce_required(&self) -> bool {
        false
    }

    fn authenticate(&self, _: ConnectRequest) -> BoxFuture<'_, Result<Login, AuthFailure>> {
        async { Ok(Login::unrestricted("$G", "")) }.boxed()
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let port: u16 = env::args()
        .nth(1)
        .and_then(|port| port.parse().ok())
        .unwrap_or(4222);
    let mut options = Options::default();
    options.server.server_id = "NBARE".to_owned();
    options.server.server_name = "bare".to_owned();
    options.server.host = "127.0.0.1".to_owned();
    options.server.port = port;
    let hub = Hub::new(options, Arc::new(Open));
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    hub.serve_clients(listener).await;
    Ok(())
}
