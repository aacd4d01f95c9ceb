mod callout;
mod configured;
mod operator;

use super::*;
use crate::jwt::tests::golden;
use crate::jwt::{SigningKey, TimeRange, UserClaims, UserLimits, UserScope};
use crate::nkey::{KeyPair, Kind};
use crate::{PermissionRules, SubjectRules};

const NOW_S: i64 = 1_800_000_000;
const NONCE: &[u8] = b"WVWzKeYzRDEkSzQ";

/// The accounts that a test knows.
#[derive(Default)]
struct Accounts(Vec<Arc<AccountClaims>>);

impl AccountLookup for Accounts {
    fn account(&self, public_key: &str) -> Option<Arc<AccountClaims>> {
        self.0
            .iter()
            .find(|account| account.subject == public_key)
            .cloned()
    }
}

fn key(kind: Kind, number: u8) -> KeyPair {
    KeyPair::from_entropy(kind, [number; 32])
}

fn signed_nonce(pair: &KeyPair) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(pair.sign(NONCE))
}

fn attempt(options: &ConnectOptions) -> Attempt<'_> {
    Attempt {
        options,
        nonce: NONCE,
        kind: ConnectionKind::Standard,
        peer: Some("127.0.0.1".parse().expect("an address")),
        certificate_names: &[],
        now_s: NOW_S,
    }
}

fn user(name: &str, secret: Secret) -> User {
    User {
        name: name.to_owned(),
        secret,
        account: "A".to_owned(),
        permissions: Permissions::default(),
        allowed_connections: Vec::new(),
        proxy_required: false,
    }
}

fn password(text: &str) -> Secret {
    Secret::Password(text.to_owned())
}

fn login(rules: &Rules, options: ConnectOptions) -> Result<Login, AuthError> {
    Authenticator::new(rules.clone()).authenticate(&attempt(&options), &Accounts::default())
}

fn options(user: &str, pass: &str) -> ConnectOptions {
    ConnectOptions {
        user: user.to_owned(),
        pass: pass.to_owned(),
        ..ConnectOptions::default()
    }
}
