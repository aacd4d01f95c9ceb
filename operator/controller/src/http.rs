//! `/metrics` for Prometheus, `/healthz` and `/readyz` for the kubelet.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::context::Context;
use crate::stop::Stop;

const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

#[derive(Clone)]
pub struct Pages {
    context: Arc<Context>,
    ready: Arc<AtomicBool>,
}

impl Pages {
    pub fn new(context: Arc<Context>) -> Pages {
        let ready = Arc::new(AtomicBool::new(false));
        Pages { context, ready }
    }

    /// Whether the operator works, or waits until it leads.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }

    /// Serves until told to stop.
    pub async fn serve(self, listener: TcpListener, stop: Stop) -> std::io::Result<()> {
        let router = Router::new()
            .route("/metrics", get(metrics))
            // An answer shows that the program's tasks run. Whether the API server answers is no
            // reason to restart it.
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .with_state(self);
        axum::serve(listener, router)
            .with_graceful_shutdown(stop.wait())
            .await
    }
}

async fn metrics(State(pages): State<Pages>) -> Response {
    match pages.context.metrics.render() {
        Ok(text) => ([(header::CONTENT_TYPE, METRICS_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn ready(State(pages): State<Pages>) -> (StatusCode, &'static str) {
    match pages.ready.load(Ordering::Relaxed) {
        true => (StatusCode::OK, "ok\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
    }
}
