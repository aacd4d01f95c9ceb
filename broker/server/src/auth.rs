//! Answers the hub's question who a connection is.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use futures::future::BoxFuture;
use hub::{AuthFailure, ConnectRequest};
use identity::Login;
use identity::authenticator::callout::{Delegation, Verdict};
use identity::authenticator::{Attempt, AuthError, Authenticator, ConnectionKind};

use crate::callout::Callouts;
use crate::resolver::Resolver;
use crate::tls;

/// The rules in force. They are replaced as a whole when the configuration is read again.
pub type CurrentRules = Arc<ArcSwap<Authenticator>>;

/// The configured rules, the accounts they may refer to, and the services they may leave it to.
pub struct Gate {
    rules: CurrentRules,
    accounts: Arc<Resolver>,
    callouts: Arc<Callouts>,
}

impl Gate {
    pub fn new(rules: CurrentRules, accounts: Arc<Resolver>, callouts: Arc<Callouts>) -> Self {
        Gate {
            rules,
            accounts,
            callouts,
        }
    }

    async fn judge(&self, request: ConnectRequest) -> Result<Login, AuthError> {
        let (authenticator, accounts) = (self.rules.load_full(), self.accounts.clone());
        if !authenticator.required_of(request.kind) {
            return authenticator.authenticate(&attempt(&request, &[]), &*accounts);
        }
        if let Some(login) = &request.login
            && login.delegated
            && authenticator.is_operator_mode()
        {
            return authenticator.keeps(login, &*accounts, now_s());
        }
        // A password hash takes tens of milliseconds by design.
        let judged = tokio::task::spawn_blocking(move || {
            let names = certificate_names(&authenticator, &request);
            let verdict = authenticator.decide(&attempt(&request, &names), &*accounts);
            (verdict, request, authenticator)
        });
        let Ok((verdict, request, authenticator)) = judged.await else {
            return Err(AuthError::Refused);
        };
        match verdict {
            Verdict::Decided(login) => login,
            Verdict::Delegated(delegation) => {
                self.delegate(&authenticator, &delegation, &request).await
            }
        }
    }

    async fn delegate(
        &self,
        authenticator: &Authenticator,
        delegation: &Delegation,
        request: &ConnectRequest,
    ) -> Result<Login, AuthError> {
        let asked = self.callouts.ask(delegation, request).await;
        let answered = asked.map_err(|error| AuthError::Service(error.to_string()))?;
        let server = self.callouts.server();
        let answer = self.callouts.answer(&answered, &server);
        authenticator.accept(delegation, &answer, &attempt(request, &[]), &*self.accounts)
    }
}

impl hub::Authenticator for Gate {
    fn auth_required(&self) -> bool {
        self.auth_required_of(ConnectionKind::Standard)
    }

    fn auth_required_of(&self, kind: ConnectionKind) -> bool {
        self.rules.load().announced_to(kind)
    }

    fn nonce_required(&self) -> bool {
        self.rules.load().needs_nonce()
    }

    fn authenticate(&self, request: ConnectRequest) -> BoxFuture<'_, Result<Login, AuthFailure>> {
        Box::pin(async move {
            let peer = request.peer;
            let judged = self.judge(request).await;
            judged.map_err(|error| {
                match &error {
                    // People who run a service must see what it does wrong.
                    AuthError::Service(_) => tracing::warn!(%peer, %error, "login refused"),
                    _ => tracing::debug!(%peer, %error, "login refused"),
                }
                failure(&error)
            })
        })
    }
}

fn certificate_names(authenticator: &Authenticator, request: &ConnectRequest) -> Vec<String> {
    let certificates = request.tls.as_ref().map(|tls| &tls.certificates);
    let own = certificates.and_then(|certificates| certificates.first());
    match (authenticator.maps_certificates(), own) {
        (true, Some(own)) => tls::names(own),
        _ => Vec::new(),
    }
}

fn attempt<'a>(request: &'a ConnectRequest, certificate_names: &'a [String]) -> Attempt<'a> {
    Attempt {
        options: &request.options,
        nonce: request.nonce.as_bytes(),
        kind: request.kind,
        peer: Some(request.peer.ip()),
        certificate_names,
        now_s: now_s(),
    }
}

fn failure(error: &AuthError) -> AuthFailure {
    match error {
        AuthError::UnknownUser => AuthFailure::UnknownUser,
        AuthError::UserRevoked { .. } => AuthFailure::UserRevoked,
        AuthError::UserTime => AuthFailure::UserExpired,
        AuthError::AccountTime(_) => AuthFailure::AccountExpired,
        _ => AuthFailure::Violation,
    }
}

/// Unix time in seconds.
pub fn now_s() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
