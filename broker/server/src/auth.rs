//! Answers the hub's question who a connection is.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use futures::future::BoxFuture;
use hub::{AuthFailure, ConnectRequest};
use identity::Login;
use identity::authenticator::{Attempt, AuthError, Authenticator, ConnectionKind};

use crate::resolver::Resolver;
use crate::tls;

/// The rules in force. They are replaced as a whole when the configuration is read again.
pub type CurrentRules = Arc<ArcSwap<Authenticator>>;

/// The configured rules and the accounts they may refer to.
pub struct Gate {
    rules: CurrentRules,
    accounts: Arc<Resolver>,
}

impl Gate {
    pub fn new(rules: CurrentRules, accounts: Arc<Resolver>) -> Self {
        Gate { rules, accounts }
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
            let (authenticator, accounts) = (self.rules.load_full(), self.accounts.clone());
            if !authenticator.required_of(request.kind) {
                return judge(&authenticator, &accounts, &request);
            }
            // A password hash takes tens of milliseconds by design.
            let judged =
                tokio::task::spawn_blocking(move || judge(&authenticator, &accounts, &request));
            judged.await.unwrap_or(Err(AuthFailure::Violation))
        })
    }
}

fn judge(
    authenticator: &Authenticator,
    accounts: &Resolver,
    request: &ConnectRequest,
) -> Result<Login, AuthFailure> {
    let certificates = request.tls.as_ref().map(|tls| &tls.certificates);
    let own = certificates.and_then(|certificates| certificates.first());
    let certificate_names = match (authenticator.maps_certificates(), own) {
        (true, Some(own)) => tls::names(own),
        _ => Vec::new(),
    };
    let attempt = Attempt {
        options: &request.options,
        nonce: request.nonce.as_bytes(),
        kind: request.kind,
        peer: Some(request.peer.ip()),
        certificate_names: &certificate_names,
        now_s: now_s(),
    };
    authenticator
        .authenticate(&attempt, accounts)
        .map_err(|error| {
            tracing::debug!(peer = %request.peer, %error, "login refused");
            match error {
                AuthError::UnknownUser => AuthFailure::UnknownUser,
                AuthError::UserRevoked { .. } => AuthFailure::UserRevoked,
                AuthError::UserTime => AuthFailure::UserExpired,
                AuthError::AccountTime(_) => AuthFailure::AccountExpired,
                _ => AuthFailure::Violation,
            }
        })
}

/// Unix time in seconds.
pub fn now_s() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
