//! The HTTP service.

use std::sync::Arc;

use tokio::net::TcpListener;

use crate::Sources;

/// Serves the endpoints under `base_path` until `shutdown` resolves.
pub async fn serve(
    listener: TcpListener,
    sources: Arc<Sources>,
    base_path: &str,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    axum::serve(listener, router(&sources, base_path))
        .with_graceful_shutdown(shutdown)
        .await
}

/// The endpoints, for a listener of another kind (TLS).
pub fn router(sources: &Arc<Sources>, base_path: &str) -> axum::Router {
    let _ = (sources, base_path);
    axum::Router::new()
}
