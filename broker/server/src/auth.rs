//! Answers the hub's question who a connection is.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use futures::future::BoxFuture;
use hub::{AuthFailure, ConnectRequest};
use identity::Login;
use identity::authenticator::{Attempt, AuthError, Authenticator, ConnectionKind};

use crate::resolver::Resolver;

/// The configured rules and the accounts they may refer to.
pub struct Gate {
    authenticator: Arc<Authenticator>,
    accounts: Arc<Resolver>,
}

impl Gate {
    pub fn new(authenticator: Arc<Authenticator>, accounts: Arc<Resolver>) -> Self {
        Gate {
            authenticator,
            accounts,
        }
    }
}

impl hub::Authenticator for Gate {
    fn auth_required(&self) -> bool {
        self.auth_required_of(ConnectionKind::Standard)
    }

    fn auth_required_of(&self, kind: ConnectionKind) -> bool {
        self.authenticator.announced_to(kind)
    }

    fn nonce_required(&self) -> bool {
        self.authenticator.needs_nonce()
    }

    fn authenticate(&self, request: ConnectRequest) -> BoxFuture<'_, Result<Login, AuthFailure>> {
        Box::pin(async move {
            if !self.authenticator.required_of(request.kind) {
                return judge(&self.authenticator, &self.accounts, &request);
            }
            // A password hash takes tens of milliseconds by design.
            let (authenticator, accounts) = (self.authenticator.clone(), self.accounts.clone());
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
    let attempt = Attempt {
        options: &request.options,
        nonce: request.nonce.as_bytes(),
        kind: request.kind,
        peer: Some(request.peer.ip()),
        certificate_names: &[],
        now_s: now_s(),
    };
    authenticator
        .authenticate(&attempt, accounts)
        .map_err(|error| {
            tracing::debug!(peer = %request.peer, %error, "login refused");
            match error {
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
