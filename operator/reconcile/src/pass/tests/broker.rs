//! A broker with as much behaviour as passes can tell: it holds claims and configurations.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use identity::jwt::AccountClaims;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::broker::{Broker, Caller, RequestError};

pub(super) struct FakeBroker {
    operator: String,
    is_reachable: AtomicBool,
    pushes: AtomicUsize,
    requests: AtomicUsize,
    claims: Mutex<BTreeMap<String, String>>,
    /// By `STREAM` or `STREAM.CONSUMER`.
    configs: Mutex<BTreeMap<String, Value>>,
}

impl FakeBroker {
    pub(super) fn new(operator: &str) -> FakeBroker {
        FakeBroker {
            operator: operator.to_owned(),
            is_reachable: AtomicBool::new(true),
            pushes: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            claims: Mutex::default(),
            configs: Mutex::default(),
        }
    }

    pub(super) fn set_reachable(&self, is_reachable: bool) {
        self.is_reachable.store(is_reachable, Ordering::Relaxed);
    }

    pub(super) fn pushes(&self) -> usize {
        self.pushes.load(Ordering::Relaxed)
    }

    /// Requests since this was asked last.
    pub(super) fn requests(&self) -> usize {
        self.requests.swap(0, Ordering::Relaxed)
    }

    pub(super) fn lose_claims(&self) {
        self.claims.lock().clear();
    }

    pub(super) fn meddle(&self, name: &str, field: &str, value: Value) {
        let mut configs = self.configs.lock();
        configs.get_mut(name).expect("it exists")[field] = value;
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.configs.lock().contains_key(name)
    }

    pub(super) fn claims(&self, account: &str) -> AccountClaims {
        let token = self.claims.lock().get(account).cloned();
        AccountClaims::decode(&token.expect("it is known")).expect("a valid token")
    }

    pub(super) fn is_revoked(&self, user: &str) -> bool {
        self.claims.lock().values().any(|token| {
            let claims = AccountClaims::decode(token).expect("a valid token");
            claims.body.revocations.0.contains_key(user)
        })
    }

    fn answer(&self, subject: &str, payload: &[u8]) -> Vec<u8> {
        let parts: Vec<&str> = subject.split('.').collect();
        match parts.as_slice() {
            ["$SYS", "REQ", "ACCOUNT", account, "CLAIMS", "LOOKUP"] => {
                let token = self.claims.lock().get(*account).cloned();
                token.unwrap_or_default().into_bytes()
            }
            ["$SYS", "REQ", "CLAIMS", "DELETE"] => {
                self.claims.lock().clear();
                json!({"data": {"code": 200}}).to_string().into_bytes()
            }
            ["$SYS", "REQ", "CLAIMS", "UPDATE"] => self.push(payload).to_string().into_bytes(),
            ["$JS", "API", "STREAM", "LIST"] => {
                let body: Value = serde_json::from_slice(payload).expect("an offset");
                self.list(body["offset"].as_u64().expect("a number"))
                    .to_string()
                    .into_bytes()
            }
            ["$JS", "API", kind, verb, name @ ..] => {
                let body = serde_json::from_slice(payload).unwrap_or_default();
                self.jetstream(kind, verb, &name.join("."), &body)
                    .to_string()
                    .into_bytes()
            }
            other => panic!("{other:?}"),
        }
    }

    /// A page holds two streams.
    fn list(&self, offset: u64) -> Value {
        let configs = self.configs.lock();
        let streams = configs.iter().filter(|(name, _)| !name.contains('.'));
        let infos = streams.map(|(_, config)| json!({"config": config, "state": {"messages": 0}}));
        let infos: Vec<Value> = infos.collect();
        let page: Vec<&Value> = infos.iter().skip(offset as usize).take(2).collect();
        json!({"total": infos.len(), "offset": offset, "limit": 2, "streams": page})
    }

    fn push(&self, payload: &[u8]) -> Value {
        let token = String::from_utf8(payload.to_vec()).expect("a text");
        let claims = AccountClaims::decode(&token).expect("a valid token");
        assert_eq!(claims.issuer, self.operator);
        self.pushes.fetch_add(1, Ordering::Relaxed);
        self.claims.lock().insert(claims.subject, token);
        json!({"data": {"code": 200}})
    }

    fn jetstream(&self, kind: &str, verb: &str, name: &str, body: &Value) -> Value {
        let mut configs = self.configs.lock();
        let missing = if kind == "STREAM" { 10059 } else { 10014 };
        match verb {
            "INFO" => {}
            "DELETE" => {
                configs.remove(name);
                return json!({"success": true});
            }
            _ => {
                let config = if kind == "STREAM" {
                    body
                } else {
                    &body["config"]
                };
                let mut config = config.clone();
                config["metadata"]["_nats.ver"] = "2.15.2".into();
                configs.insert(name.to_owned(), config);
            }
        }
        match configs.get(name) {
            Some(config) => json!({"config": config, "state": {"messages": 0}}),
            None => {
                json!({"error": {"code": 404, "err_code": missing, "description": "not found"}})
            }
        }
    }
}

impl Broker for FakeBroker {
    fn request<'a>(
        &'a self,
        _caller: &'a Caller,
        subject: &'a str,
        payload: Vec<u8>,
        _timeout: Duration,
    ) -> BoxFuture<'a, Result<Vec<u8>, RequestError>> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let answer = if self.is_reachable.load(Ordering::Relaxed) {
            Ok(self.answer(subject, &payload))
        } else {
            Err(RequestError::NotReachable("connection refused".to_owned()))
        };
        ready(answer).boxed()
    }

    fn forget<'a>(&'a self, _caller: &'a Caller) -> BoxFuture<'a, ()> {
        ready(()).boxed()
    }
}
