//! Asks the services that decide who may connect.
//!
//! Each question has a reply subject of its own; one subscription for each account hears all answers.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use hub::{ConnectRequest, Delivery, Hub, Publish};
use identity::authenticator::ConnectionKind;
use identity::authenticator::callout::{
    AUDIENCE, Answer, Delegation, REDACTED, SUBJECT, XKEY_HEADER,
};
use identity::jwt::{
    AskingClient, AskingServer, AuthorizationRequest, AuthorizationRequestClaims, PresentedOptions,
    PresentedTls,
};
use identity::nkey::{KeyPair, Kind};
use identity::xkey::XKey;
use parking_lot::{Mutex, RwLock};
use tokio::sync::oneshot;

use crate::auth::now_s;

/// Characters in a line of PEM.
const PEM_LINE: usize = 64;

/// The questions of this server to authentication services.
pub struct Callouts {
    server_key: KeyPair,
    xkey: XKey,
    /// What every reply subject begins with.
    inbox: String,
    hub: OnceLock<Weak<Hub>>,
    waiting: Arc<Mutex<HashMap<String, oneshot::Sender<Bytes>>>>,
    /// Accounts in which answers are heard.
    heard: Mutex<HashSet<String>>,
    tags: RwLock<Vec<String>>,
}

/// An answer, and the user key that the question was about.
pub struct Answered {
    bytes: Bytes,
    user: String,
}

impl Callouts {
    pub fn new(server_key: KeyPair) -> Callouts {
        Callouts {
            server_key,
            xkey: XKey::from_entropy(rand::random()),
            inbox: format!("$SYS._INBOX.AUTH.{:016x}.", rand::random::<u64>()),
            hub: OnceLock::new(),
            waiting: Arc::default(),
            heard: Mutex::default(),
            tags: RwLock::default(),
        }
    }

    /// The public key that answers can be sealed for.
    pub fn xkey(&self) -> String {
        self.xkey.public_key()
    }

    /// The tags that services are told.
    pub fn set_tags(&self, tags: &[String]) {
        *self.tags.write() = tags.to_vec();
    }

    /// Questions can be asked from now on.
    pub fn attach(&self, hub: &Arc<Hub>) {
        self.hub.get_or_init(|| Arc::downgrade(hub));
    }

    /// Asks, and waits for the answer at most as long as a client may take to log in.
    pub async fn ask(
        &self,
        delegation: &Delegation,
        request: &ConnectRequest,
    ) -> anyhow::Result<Answered> {
        let hub = self.hub.get().and_then(Weak::upgrade);
        let hub = hub.context("the server stops")?;
        let timeout = hub.limits().auth_timeout;
        let user = KeyPair::from_entropy(Kind::User, rand::random()).public_key();
        let question = self.question(&hub, delegation, request, (&user, timeout))?;
        self.hear(&hub, &delegation.account);
        let reply = format!("{}{:032x}", self.inbox, rand::random::<u128>());
        let (sender, answer) = oneshot::channel();
        let waits = Waits::new(&self.waiting, &reply, sender);
        let account = hub.account(&delegation.account);
        let publish = Publish {
            subject: SUBJECT.as_bytes(),
            reply: reply.as_bytes(),
            headers: &question.headers,
            payload: &question.payload,
            ..Publish::default()
        };
        if !hub.publish(&account, &publish) {
            bail!(
                "nobody listens on {SUBJECT} in account {}",
                delegation.account
            );
        }
        drop(hub);
        let answer = tokio::time::timeout(timeout, answer).await;
        drop(waits);
        match answer {
            Ok(Ok(bytes)) => Ok(Answered { bytes, user }),
            _ => bail!("no answer in time in account {}", delegation.account),
        }
    }

    /// The answer as the rules judge it.
    pub fn answer<'a>(&'a self, answered: &'a Answered, server: &'a str) -> Answer<'a> {
        Answer {
            bytes: &answered.bytes,
            user: &answered.user,
            server,
            xkey: &self.xkey,
        }
    }

    /// The public key of the server that asks.
    pub fn server(&self) -> String {
        self.server_key.public_key()
    }

    fn hear(&self, hub: &Arc<Hub>, account: &str) {
        if !self.heard.lock().insert(account.to_owned()) {
            return;
        }
        let waiting = self.waiting.clone();
        let handler = move |delivery: &Delivery<'_>| {
            let subject = String::from_utf8_lossy(delivery.subject);
            if let Some(asker) = waiting.lock().remove(&*subject) {
                // Whoever asked may have gone.
                asker.send(Bytes::copy_from_slice(delivery.payload())).ok();
            }
        };
        let subject = format!("{}*", self.inbox);
        hub.subscribe(account, &subject, None, Arc::new(handler));
    }

    fn question(
        &self,
        hub: &Hub,
        delegation: &Delegation,
        request: &ConnectRequest,
        (user, timeout): (&str, Duration),
    ) -> anyhow::Result<Question> {
        let mut claims = AuthorizationRequestClaims::new(&delegation.subject);
        claims.audience = AUDIENCE.to_owned();
        let now_s = now_s();
        claims.expires_at_s =
            Some(now_s.saturating_add(i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX)));
        claims.body = AuthorizationRequest {
            server: self.asking_server(hub, delegation),
            user_nkey: user.to_owned(),
            client_info: asking_client(request),
            connect_opts: presented_options(delegation, request),
            client_tls: presented_tls(hub, request),
        };
        let token = claims.encode(&self.server_key, now_s)?;
        let Some(recipient) = &delegation.xkey else {
            return Ok(Question {
                headers: Vec::new(),
                payload: token.into_bytes(),
            });
        };
        let payload = self
            .xkey
            .seal(token.as_bytes(), recipient, rand::random())?;
        let headers = format!("NATS/1.0\r\n{XKEY_HEADER}: {}\r\n\r\n", self.xkey());
        Ok(Question {
            headers: headers.into_bytes(),
            payload,
        })
    }

    fn asking_server(&self, hub: &Hub, delegation: &Delegation) -> AskingServer {
        let options = hub.options();
        let cluster = options.cluster.as_ref();
        AskingServer {
            name: options.server.server_name.clone(),
            host: options.server.host.clone(),
            id: options.server.server_id.clone(),
            version: options.server.version.clone(),
            cluster: cluster
                .map(|cluster| cluster.name.clone())
                .unwrap_or_default(),
            tags: self.tags.read().clone(),
            xkey: match delegation.xkey {
                Some(_) => self.xkey(),
                None => String::new(),
            },
        }
    }
}

struct Question {
    headers: Vec<u8>,
    payload: Vec<u8>,
}

/// Takes a question off the list, however its waiting ends.
struct Waits<'a> {
    waiting: &'a Mutex<HashMap<String, oneshot::Sender<Bytes>>>,
    reply: &'a str,
}

impl<'a> Waits<'a> {
    fn new(
        waiting: &'a Mutex<HashMap<String, oneshot::Sender<Bytes>>>,
        reply: &'a str,
        asker: oneshot::Sender<Bytes>,
    ) -> Self {
        waiting.lock().insert(reply.to_owned(), asker);
        Waits { waiting, reply }
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.waiting.lock().remove(self.reply);
    }
}

fn asking_client(request: &ConnectRequest) -> AskingClient {
    let options = &request.options;
    let user = [&options.nkey, &options.user];
    let user = user.into_iter().find(|name| !name.is_empty());
    let redacted = (!options.auth_token.is_empty()).then(|| REDACTED.to_owned());
    AskingClient {
        host: request.peer.ip().to_string(),
        id: request.cid,
        user: user.cloned().or(redacted).unwrap_or_default(),
        name: options.name.clone(),
        kind: "Client".to_owned(),
        r#type: match request.kind {
            ConnectionKind::WebSocket => "websocket".to_owned(),
            _ => "nats".to_owned(),
        },
        nonce: match options.sig.is_empty() {
            true => String::new(),
            false => request.nonce.clone(),
        },
    }
}

fn presented_options(delegation: &Delegation, request: &ConnectRequest) -> PresentedOptions {
    let options = &request.options;
    PresentedOptions {
        jwt: match delegation.token.as_str() {
            "" => options.jwt.clone(),
            sentinel => sentinel.to_owned(),
        },
        nkey: options.nkey.clone(),
        sig: options.sig.clone(),
        auth_token: options.auth_token.clone(),
        user: options.user.clone(),
        pass: options.pass.clone(),
        name: options.name.clone(),
        lang: options.lang.clone(),
        version: options.version.clone(),
        protocol: options.protocol,
    }
}

/// What a service learns of TLS. Certificates are only ever taken when they were verified, if the
/// server verifies at all.
fn presented_tls(hub: &Hub, request: &ConnectRequest) -> Option<PresentedTls> {
    let tls = request.tls.as_ref()?;
    let certificates: Vec<String> = tls.certificates.iter().map(|der| pem(der)).collect();
    let verified = match request.kind {
        ConnectionKind::WebSocket => hub.websocket().and_then(|websocket| {
            let tls = websocket.tls.as_ref()?;
            Some(tls.verify)
        }),
        _ => hub.tls().map(|tls| tls.verify),
    };
    let (certs, verified_chains) = match verified {
        _ if certificates.is_empty() => (Vec::new(), Vec::new()),
        Some(true) => (Vec::new(), vec![certificates]),
        _ => (certificates, Vec::new()),
    };
    Some(PresentedTls {
        version: tls.version.to_owned(),
        cipher: tls.cipher.clone(),
        certs,
        verified_chains,
    })
}

fn pem(der: &[u8]) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(PEM_LINE));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem + "-----END CERTIFICATE-----\n"
}
