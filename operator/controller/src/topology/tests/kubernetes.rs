//! An API server with as much behaviour as reconciliations can tell: it keeps objects and counts writes.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use http::{Method, Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::{Value, json};

/// Objects by the path of the API.
#[derive(Clone, Default)]
pub struct Kubernetes(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    writes: Vec<String>,
    version: u64,
}

impl Kubernetes {
    pub fn client(&self) -> Client {
        let state = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let state = state.clone();
            async move { Ok::<_, Infallible>(state.answer(request).await) }
        });
        Client::new(service, "default")
    }

    pub fn put(&self, path: &str, object: Value) {
        self.0.lock().objects.insert(path.to_owned(), object);
    }

    pub fn get(&self, path: &str) -> Option<Value> {
        self.0.lock().objects.get(path).cloned()
    }

    /// Method and path of each write since this was asked last. Events are not counted.
    pub fn writes(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().writes)
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let body = body.collect_bytes().await.expect("a body");
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let path = parts.uri.path().to_owned();
        let mut state = self.0.lock();
        if path.contains("/events") {
            return respond(StatusCode::CREATED, &body);
        }
        if parts.method != Method::GET {
            state.writes.push(format!("{} {path}", parts.method));
        }
        let (path, part) = match path.strip_suffix("/status") {
            Some(whole) => (whole.to_owned(), "status"),
            None => (path, ""),
        };
        state.version += 1;
        let version = state.version.to_string();
        match parts.method {
            Method::POST => {
                let name = body["metadata"]["name"].as_str().unwrap_or_default();
                let path = format!("{path}/{name}");
                let mut created = body;
                created["metadata"]["resourceVersion"] = version.into();
                state.objects.insert(path, created.clone());
                respond(StatusCode::CREATED, &created)
            }
            Method::DELETE => match state.objects.remove(&path) {
                Some(removed) => respond(StatusCode::OK, &removed),
                None => missing(),
            },
            Method::PATCH => match state.objects.get_mut(&path) {
                Some(found) if is_outdated(found, &body) => conflict(),
                Some(found) if part == "status" => {
                    found["status"] = body["status"].clone();
                    respond(StatusCode::OK, found)
                }
                Some(found) => {
                    merge(found, &body);
                    found["metadata"]["resourceVersion"] = version.into();
                    respond(StatusCode::OK, found)
                }
                None => missing(),
            },
            _ => match state.objects.get(&path) {
                Some(found) => respond(StatusCode::OK, found),
                None => missing(),
            },
        }
    }
}

fn is_outdated(found: &Value, patch: &Value) -> bool {
    let wanted = &patch["metadata"]["resourceVersion"];
    !wanted.is_null() && *wanted != found["metadata"]["resourceVersion"]
}

fn merge(into: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *into = patch.clone();
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    for (name, value) in fields {
        if value.is_null() {
            into.as_object_mut().and_then(|fields| fields.remove(name));
        } else {
            merge(&mut into[name], value);
        }
    }
}

fn missing() -> Response<Body> {
    failure(StatusCode::NOT_FOUND, "NotFound")
}

fn conflict() -> Response<Body> {
    failure(StatusCode::CONFLICT, "Conflict")
}

fn failure(code: StatusCode, reason: &str) -> Response<Body> {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": reason,
        "reason": reason, "code": code.as_u16(),
    });
    respond(code, &status)
}

fn respond(code: StatusCode, body: &Value) -> Response<Body> {
    let body = Body::from(body.to_string().into_bytes());
    let mut response = Response::new(body);
    *response.status_mut() = code;
    response
}
