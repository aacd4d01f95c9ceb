//! Connections to real brokers, one for each account.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Auth, Client, ConnectOptions, RequestErrorKind};
use futures::FutureExt;
use futures::future::BoxFuture;
use identity::jwt::{self, UserClaims};
use identity::nkey::{KeyPair, Kind};
use tokio::sync::Mutex;

use super::{Broker, Caller, RequestError};
use crate::environment::Environment;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections are idle most of the time, and reconnect as long as they are kept.
const RECONNECT_DELAY_MAX: Duration = Duration::from_secs(5);
/// Tokens are made anew for every connection, so they need not live long.
const TOKEN_LIFE_S: i64 = 24 * 3600;
const USER_NAME: &str = "weir";

/// The servers of a broker cluster, and the open connections to them.
pub struct Servers {
    urls: Vec<String>,
    environment: Environment,
    /// By the account's public key.
    clients: Mutex<HashMap<String, Client>>,
}

impl Servers {
    /// URLs such as `nats://127.0.0.1:4222` or `tls://broker:4222`. Nothing is connected yet.
    pub fn new(urls: Vec<String>, environment: Environment) -> Servers {
        Servers {
            urls,
            environment,
            clients: Mutex::new(HashMap::new()),
        }
    }

    async fn client(&self, caller: &Caller) -> Result<Client, RequestError> {
        let account = caller.account.public_key();
        // Connecting is slow, and only one task reconciles, so the others may wait for it.
        let mut clients = self.clients.lock().await;
        if let Some(client) = clients.get(&account) {
            return Ok(client.clone());
        }
        let client = self.connect(caller).await?;
        clients.insert(account, client.clone());
        Ok(client)
    }

    async fn connect(&self, caller: &Caller) -> Result<Client, RequestError> {
        let user = KeyPair::from_entropy(Kind::User, self.environment.entropy());
        let signer = Arc::new(Signer {
            account: caller.account.clone(),
            user,
            environment: self.environment.clone(),
        });
        let options = ConnectOptions::with_auth_callback(move |nonce| {
            let signer = Arc::clone(&signer);
            async move { signer.sign(&nonce).map_err(async_nats::AuthError::new) }
        });
        options
            .name("weir reconcile")
            .connection_timeout(CONNECT_TIMEOUT)
            .reconnect_delay_callback(|attempts| {
                let delay = Duration::from_millis(100).saturating_mul(attempts.min(50) as u32);
                delay.min(RECONNECT_DELAY_MAX)
            })
            .connect(self.urls.as_slice())
            .await
            .map_err(|error| RequestError::NotReachable(error.to_string()))
    }
}

impl Broker for Servers {
    fn request<'a>(
        &'a self,
        caller: &'a Caller,
        subject: &'a str,
        payload: Vec<u8>,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<Vec<u8>, RequestError>> {
        async move {
            let client = self.client(caller).await?;
            let request = async_nats::Request::new()
                .payload(payload.into())
                .timeout(Some(timeout));
            let answer = client.send_request(subject.to_owned(), request).await;
            let answer = answer.map_err(|error| match error.kind() {
                RequestErrorKind::NoResponders | RequestErrorKind::TimedOut => {
                    let subject = subject.to_owned();
                    RequestError::NoAnswer { subject }
                }
                _ => RequestError::NotReachable(error.to_string()),
            })?;
            Ok(answer.payload.to_vec())
        }
        .boxed()
    }

    fn forget<'a>(&'a self, caller: &'a Caller) -> BoxFuture<'a, ()> {
        async move {
            let account = caller.account.public_key();
            let client = self.clients.lock().await.remove(&account);
            if let Some(client) = client
                && let Err(error) = client.drain().await
            {
                tracing::debug!(account, %error, "closing a connection");
            }
        }
        .boxed()
    }
}

/// Proves to be a user of an account.
struct Signer {
    account: KeyPair,
    user: KeyPair,
    environment: Environment,
}

impl Signer {
    fn sign(&self, nonce: &[u8]) -> Result<Auth, jwt::Error> {
        let now_s = self.environment.now().as_second();
        let mut claims = UserClaims::new(&self.user.public_key());
        claims.name = USER_NAME.to_owned();
        claims.expires_at_s = Some(now_s + TOKEN_LIFE_S);
        claims.body.limits = jwt::UserLimits::unlimited();
        let mut auth = Auth::new();
        auth.jwt = Some(claims.encode(&self.account, now_s)?);
        auth.signature = Some(self.user.sign(nonce));
        Ok(auth)
    }
}
