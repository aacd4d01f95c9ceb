//! Connections to real brokers, one for each caller.

mod pool;

use std::sync::Arc;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::rustls::pki_types::pem::PemObject;
use async_nats::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use async_nats::rustls::{self, ClientConfig, RootCertStore};
use async_nats::{Auth, Client, ConnectOptions, RequestErrorKind};
use futures::FutureExt;
use futures::future::BoxFuture;
use identity::Creds;
use identity::jwt::{self, UserClaims};
use identity::nkey::{KeyPair, Kind};

use super::{Broker, Caller, RequestError};
use crate::environment::Environment;
use pool::Pool;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A server whose node is lost says nothing. It is left after three of these.
const PING_EVERY: Duration = Duration::from_secs(5);
/// Connections are idle most of the time, and reconnect as long as they are kept.
const RECONNECT_DELAY_MAX: Duration = Duration::from_secs(5);
/// Tokens are made anew for every connection, so they need not live long.
const TOKEN_LIFE_S: i64 = 24 * 3600;
const USER_NAME: &str = "weir";

/// The servers of a broker cluster, and the open connections to them.
pub struct Servers {
    urls: Vec<String>,
    tls: Option<ClientConfig>,
    environment: Environment,
    pool: Pool<Client>,
}

/// How servers and client prove who they are. Texts are in PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Who signs the servers' certificates.
    pub authorities: String,
    /// The client's certificate and key, for servers that ask for one.
    pub identity: Option<(String, crate::Secret)>,
}

impl Servers {
    /// URLs such as `nats://127.0.0.1:4222` or `tls://broker:4222`. Nothing is connected yet.
    pub fn new(urls: Vec<String>, environment: Environment) -> Servers {
        Servers {
            urls,
            tls: None,
            environment,
            pool: Pool::default(),
        }
    }

    /// Uses these certificates instead of the system's.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn with_tls(mut self, tls: &Tls) -> Result<Servers, String> {
        self.tls = Some(client_config(tls)?);
        Ok(self)
    }

    async fn client(&self, caller: &Caller) -> Result<Client, RequestError> {
        let client = self.pool.get(&caller.id(), self.connect(caller)).await?;
        // Requests would wait for their whole time although nobody hears them.
        match client.connection_state() {
            State::Connected => Ok(client),
            State::Pending | State::Disconnected => {
                let message = "the connection is lost and is made again";
                Err(RequestError::NotReachable(message.to_owned()))
            }
        }
    }

    async fn connect(&self, caller: &Caller) -> Result<Client, RequestError> {
        let options = match caller {
            Caller::Account(account) => self.signing(account),
            Caller::Creds(creds) => with_creds(creds),
            Caller::Anonymous => ConnectOptions::new(),
        };
        let options = match &self.tls {
            Some(config) => options.tls_client_config(config.clone()),
            None => options,
        };
        options
            .name("weir reconcile")
            .connection_timeout(CONNECT_TIMEOUT)
            .ping_interval(PING_EVERY)
            .reconnect_delay_callback(|attempts| {
                let delay = Duration::from_millis(100).saturating_mul(attempts.min(50) as u32);
                delay.min(RECONNECT_DELAY_MAX)
            })
            .connect(self.urls.as_slice())
            .await
            .map_err(|error| RequestError::NotReachable(error.to_string()))
    }

    fn signing(&self, account: &KeyPair) -> ConnectOptions {
        let user = KeyPair::from_entropy(Kind::User, self.environment.entropy());
        let signer = Arc::new(Signer {
            account: account.clone(),
            user,
            environment: self.environment.clone(),
        });
        ConnectOptions::with_auth_callback(move |nonce| {
            let signer = Arc::clone(&signer);
            async move { signer.sign(&nonce).map_err(async_nats::AuthError::new) }
        })
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
        // A connection ends when nobody holds it any more.
        self.pool.remove(&caller.id());
        futures::future::ready(()).boxed()
    }
}

fn with_creds(creds: &Arc<Creds>) -> ConnectOptions {
    let creds = Arc::clone(creds);
    ConnectOptions::with_auth_callback(move |nonce| {
        let mut auth = Auth::new();
        auth.jwt = Some(creds.jwt.clone());
        auth.signature = Some(creds.key.sign(&nonce));
        async move { Ok(auth) }
    })
}

fn client_config(tls: &Tls) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&tls.authorities)? {
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() {
        return Err("ca.crt holds no certificate".to_owned());
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots);
    let Some((certificate, key)) = &tls.identity else {
        return Ok(builder.with_no_client_auth());
    };
    let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes())
        .map_err(|error| format!("tls.key: {error}"))?;
    builder
        .with_client_auth_cert(certificates(certificate)?, key)
        .map_err(|error| error.to_string())
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| format!("certificate: {error}"))
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
