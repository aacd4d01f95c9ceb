//! The HTTP service.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::routing::get;
use serde::Serialize;
use tokio::net::TcpListener;

use crate::options::{
    AccountStatzOptions, AccountzOptions, ConnzOptions, HealthzOptions, JszOptions, RoutezOptions,
    SubszOptions,
};
use crate::query::{BadRequest, Query};
use crate::safez::{self, SafezOptions};
use crate::{
    Sources, accountz, connz, expvarz, healthz, index, jsz, metrics, routez, subsz, unserved, varz,
};

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

type Page = fn(&Arc<Sources>, &Query) -> Result<Response<Body>, BadRequest>;

/// The endpoint that asks other servers before it answers.
const SAFEZ: &str = "/safez";

/// The endpoints, in the order of the index.
const PAGES: &[(&str, Page)] = &[
    ("/varz", |sources, _| Ok(json(&varz::varz(sources)))),
    ("/jsz", |sources, query| {
        Ok(json(&jsz::jsz(sources, &JszOptions::from_query(query)?)?))
    }),
    ("/connz", |sources, query| {
        Ok(json(&connz::connz(
            sources,
            &ConnzOptions::from_query(query)?,
        )?))
    }),
    ("/accountz", |sources, query| {
        let options = AccountzOptions {
            account: query.text("acc"),
        };
        Ok(json(&accountz::accountz(sources, &options)?))
    }),
    ("/accstatz", |sources, query| {
        let include_unused = query.flag("unused")?;
        let options = AccountStatzOptions {
            include_unused,
            ..Default::default()
        };
        Ok(json(&accountz::account_statz(sources, &options)))
    }),
    ("/subsz", subscriptions),
    ("/subscriptionsz", subscriptions),
    ("/routez", |sources, query| {
        Ok(json(&routez::routez(
            sources,
            &RoutezOptions::from_query(query)?,
        )))
    }),
    ("/leafz", |sources, _| Ok(json(&unserved::leafz(sources)))),
    ("/gatewayz", |sources, _| {
        Ok(json(&unserved::gatewayz(sources)))
    }),
    ("/healthz", health),
    ("/debug/vars", |sources, _| {
        Ok(json(&expvarz::expvarz(sources)))
    }),
    ("/metrics", |sources, _| Ok(prometheus(sources))),
];

/// The endpoints, for a listener of another kind (TLS).
pub fn router(sources: &Arc<Sources>, base_path: &str) -> Router {
    let base = base_path.trim_matches('/');
    let base = if base.is_empty() {
        String::new()
    } else {
        format!("/{base}")
    };
    let mut router = Router::new();
    for &(path, page) in PAGES {
        let answer = move |State(sources): State<Arc<Sources>>, RawQuery(query): RawQuery| async move {
            sources.count_request(path);
            let query = Query::parse(query.as_deref().unwrap_or_default());
            page(&sources, &query).unwrap_or_else(|error| refusal(&error))
        };
        router = router.route(&format!("{base}{path}"), get(answer));
    }
    let safety = |State(sources): State<Arc<Sources>>, RawQuery(query): RawQuery| async move {
        sources.count_request(SAFEZ);
        let query = Query::parse(query.as_deref().unwrap_or_default());
        safety(&sources, &query).await
    };
    router = router.route(&format!("{base}{SAFEZ}"), get(safety));
    let index = |State(sources): State<Arc<Sources>>| async move {
        sources.count_request("/");
        let page = index::page(&sources.hub.options().server.version);
        answer(
            StatusCode::OK,
            "text/html; charset=utf-8",
            page.into_bytes(),
        )
    };
    if !base.is_empty() {
        router = router.route(&base, get(index));
    }
    router
        .route(&format!("{base}/"), get(index))
        .fallback(async || {
            let text = b"404 page not found\n".to_vec();
            answer(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", text)
        })
        .with_state(sources.clone())
}

fn subscriptions(sources: &Arc<Sources>, query: &Query) -> Result<Response<Body>, BadRequest> {
    Ok(json(&subsz::subsz(
        sources,
        &SubszOptions::from_query(query)?,
    )?))
}

fn health(sources: &Arc<Sources>, query: &Query) -> Result<Response<Body>, BadRequest> {
    let mut health = healthz::healthz(sources, &HealthzOptions::from_query(query)?);
    let status = health
        .status_code
        .take()
        .and_then(|code| StatusCode::from_u16(code).ok());
    if !health.error.is_empty() {
        tracing::warn!(error = health.error, "health check failed");
    }
    let body = serde_json::to_vec(&health).unwrap_or_default();
    Ok(for_everyone(answer(
        status.unwrap_or_default(),
        "application/json",
        body,
    )))
}

async fn safety(sources: &Sources, query: &Query) -> Response<Body> {
    let server = query.text("server");
    let options = SafezOptions { server };
    let Some(reliance) = safez::safez(sources, &options).await else {
        let text = format!("the cluster has no server {:?}\n", options.server);
        return answer(
            StatusCode::NOT_FOUND,
            "text/plain; charset=utf-8",
            text.into_bytes(),
        );
    };
    let mut response = json(&reliance);
    if !reliance.safe {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}

fn prometheus(sources: &Arc<Sources>) -> Response<Body> {
    match metrics::page(sources) {
        Ok(page) => answer(StatusCode::OK, metrics::CONTENT_TYPE, page.into_bytes()),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be written");
            let text = error.to_string().into_bytes();
            answer(
                StatusCode::INTERNAL_SERVER_ERROR,
                "text/plain; charset=utf-8",
                text,
            )
        }
    }
}

fn json(page: &impl Serialize) -> Response<Body> {
    match serde_json::to_vec_pretty(page) {
        Ok(body) => for_everyone(answer(StatusCode::OK, "application/json", body)),
        Err(error) => {
            tracing::error!(%error, "monitoring page cannot be written");
            let text = error.to_string().into_bytes();
            answer(
                StatusCode::INTERNAL_SERVER_ERROR,
                "text/plain; charset=utf-8",
                text,
            )
        }
    }
}

fn refusal(error: &BadRequest) -> Response<Body> {
    let text = error.to_string().into_bytes();
    answer(StatusCode::BAD_REQUEST, "text/plain; charset=utf-8", text)
}

fn answer(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Pages of other sites may read it.
fn for_everyone(mut response: Response<Body>) -> Response<Body> {
    let any = HeaderValue::from_static("*");
    response
        .headers_mut()
        .insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any);
    response
}
