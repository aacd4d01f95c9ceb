//! Signed claims of operators, accounts and users: version 2 is written, version 1 is read, too.
//!
//! Operators sign accounts and accounts sign users, each with its own key or a signing key that its
//! own claims name. Decoding checks form and signature; whether the issuer is trusted and the time
//! is right is for the caller to ask.

mod account;
mod callout;
mod exchange;
mod generic;
mod operator;
mod user;
mod version_1;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha512_256};

use crate::nkey::{self, KeyPair, Kind};

pub use account::{
    Account, DefaultPermissions, ExternalAuthorization, JetStreamLimits, MessageTrace,
    OperatorLimits, Revocations, SigningKey, UserScope, WeightedMapping,
};
pub use callout::{
    AskingClient, AskingServer, AuthorizationRequest, AuthorizationResponse, PresentedOptions,
    PresentedTls,
};
pub use exchange::{Activation, Export, ExportKind, Import, Sampling, ServiceLatency};
pub use generic::Generic;
pub use operator::Operator;
pub use user::{Permission, ResponsePermission, TimeRange, User, UserLimits};

/// The value of a limit that does not limit.
pub const NO_LIMIT: i64 = -1;
/// The longest token that is read, in bytes.
pub const TOKEN_SIZE_MAX: usize = 1024 * 1024;

const VERSION: i64 = 2;
const ALGORITHM: &str = "ed25519-nkey";
/// Clocks count seconds, so claims are valid in the very second they expire.
const NEVER: i64 = 0;

pub type OperatorClaims = Claims<Operator>;
pub type AccountClaims = Claims<Account>;
pub type UserClaims = Claims<User>;
pub type ActivationClaims = Claims<Activation>;
pub type GenericClaims = Claims<Generic>;
pub type AuthorizationRequestClaims = Claims<AuthorizationRequest>;
pub type AuthorizationResponseClaims = Claims<AuthorizationResponse>;

/// What one kind of claims says beyond the common part.
pub trait Body: Serialize + DeserializeOwned + Default {
    /// The name of the kind in the token.
    const NAME: &'static str;
    /// Whose public key the subject is.
    const SUBJECT: Kind;
    /// Whose keys may sign.
    const ISSUERS: &'static [Kind];
}

/// Decoded claims. Times are Unix seconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claims<B> {
    /// The public key the claims are about.
    pub subject: String,
    /// The public key that signed; set by [`Claims::encode`].
    pub issuer: String,
    pub name: String,
    pub audience: String,
    /// Identifies this very token; set by [`Claims::encode`].
    pub id: String,
    /// Set by [`Claims::encode`].
    pub issued_at_s: i64,
    pub expires_at_s: Option<i64>,
    pub not_before_s: Option<i64>,
    /// Lower case.
    pub tags: Vec<String>,
    pub body: B,
}

/// Why a token is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("token is longer than {TOKEN_SIZE_MAX} bytes")]
    TooLong,
    #[error("token does not have three parts of base64")]
    Form,
    #[error("token header is not supported; only algorithm {ALGORITHM} is")]
    Header,
    #[error("token is of version {0}; only versions 1 and {VERSION} are supported, issue it again")]
    Version(i64),
    #[error("token is about {found:?}, not about {expected:?}")]
    Kind {
        expected: &'static str,
        found: String,
    },
    #[error("token subject or issuer is not a key of the right kind")]
    Key,
    #[error("token signature: {0}")]
    Signature(#[from] nkey::Error),
    #[error("token claims: {0}")]
    Claims(#[from] serde_json::Error),
}

#[derive(Serialize, Deserialize)]
struct Header {
    typ: String,
    alg: String,
}

/// The common part as it is written. The order of the fields decides the token's id.
#[derive(Clone, Serialize, Deserialize)]
struct Common {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    aud: String,
    #[serde(default, skip_serializing_if = "is_zero")]
    exp: i64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    jti: String,
    #[serde(default, skip_serializing_if = "is_zero")]
    iat: i64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    iss: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(default, skip_serializing_if = "is_zero")]
    nbf: i64,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    sub: String,
}

#[derive(Serialize, Deserialize)]
struct Token<B> {
    #[serde(flatten)]
    common: Common,
    nats: Tagged<B>,
}

#[derive(Serialize, Deserialize)]
struct Tagged<B> {
    #[serde(flatten)]
    body: B,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    r#type: String,
    version: i64,
}

impl<B: Body> Claims<B> {
    /// Claims about a public key that say nothing yet.
    pub fn new(subject: &str) -> Claims<B> {
        Claims {
            subject: subject.to_owned(),
            ..Claims::default()
        }
    }

    /// Decodes a token and checks its signature by the issuer that it names. Whether that issuer
    /// may be trusted is another question.
    pub fn decode(token: &str) -> Result<Claims<B>, Error> {
        if token.len() > TOKEN_SIZE_MAX {
            return Err(Error::TooLong);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Error::Form)?;
        let (header, payload) = signed.split_once('.').ok_or(Error::Form)?;
        let part = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| Error::Form);
        let header: Header = serde_json::from_slice(&part(header)?).map_err(|_| Error::Header)?;
        let mut claims: Value = serde_json::from_slice(&part(payload)?)?;
        let is_version_1 = version_1::is_one(&claims);
        let is_jwt = header.typ.eq_ignore_ascii_case("JWT");
        let is_algorithm = header.alg.eq_ignore_ascii_case(ALGORITHM)
            || is_version_1 && header.alg.eq_ignore_ascii_case(version_1::ALGORITHM);
        if !is_jwt || !is_algorithm {
            return Err(Error::Header);
        }
        let covered = match is_version_1 {
            true => payload,
            false => signed,
        };
        if is_version_1 {
            version_1::upgrade(&mut claims, VERSION);
        }
        check_kind::<B>(&claims)?;
        let token: Token<B> = serde_json::from_value(without_nulls(claims))?;
        let Common { iss, sub, .. } = &token.common;
        let issuer_fits = B::ISSUERS.iter().any(|kind| kind.is_public_key(iss));
        if !issuer_fits || !B::SUBJECT.is_public_key(sub) {
            return Err(Error::Key);
        }
        nkey::verify(iss, covered.as_bytes(), &part(signature)?)?;
        Ok(Claims::from_token(token))
    }

    /// Signs the claims. `now_s` becomes the time of issue.
    pub fn encode(&self, signer: &KeyPair, now_s: i64) -> Result<String, Error> {
        let issuer = signer.public_key();
        let issuer_fits = B::ISSUERS.iter().any(|kind| kind.is_public_key(&issuer));
        if !issuer_fits || !B::SUBJECT.is_public_key(&self.subject) {
            return Err(Error::Key);
        }
        let mut common = Common {
            aud: self.audience.clone(),
            exp: self.expires_at_s.unwrap_or(NEVER),
            jti: String::new(),
            iat: now_s,
            iss: issuer,
            name: self.name.clone(),
            nbf: self.not_before_s.unwrap_or(NEVER),
            sub: self.subject.clone(),
        };
        common.jti = id_of(&common)?;
        let nats = Tagged {
            body: &self.body,
            tags: self.tags.clone(),
            r#type: B::NAME.to_owned(),
            version: VERSION,
        };
        let header = Header {
            typ: "JWT".to_owned(),
            alg: ALGORITHM.to_owned(),
        };
        let header = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&header)?);
        let payload = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&Token { common, nats })?);
        let signed = format!("{header}.{payload}");
        let signature = URL_SAFE_NO_PAD.encode(signer.sign(signed.as_bytes()));
        Ok(format!("{signed}.{signature}"))
    }

    /// Whether the claims are valid at this time.
    pub fn is_valid_at(&self, now_s: i64) -> bool {
        self.expires_at_s.is_none_or(|expires| now_s <= expires)
            && self.not_before_s.is_none_or(|begin| now_s >= begin)
    }

    fn from_token(token: Token<B>) -> Claims<B> {
        let Token { common, nats } = token;
        Claims {
            subject: common.sub,
            issuer: common.iss,
            name: common.name,
            audience: common.aud,
            id: common.jti,
            issued_at_s: common.iat,
            expires_at_s: Some(common.exp).filter(|time| *time > NEVER),
            not_before_s: Some(common.nbf).filter(|time| *time > NEVER),
            tags: nats.tags,
            body: nats.body,
        }
    }
}

fn check_kind<B: Body>(claims: &Value) -> Result<(), Error> {
    let nats = claims.get("nats");
    let field = |name| nats.and_then(|nats| nats.get(name));
    let found = field("type").and_then(Value::as_str).unwrap_or_default();
    if found != B::NAME {
        return Err(Error::Kind {
            expected: B::NAME,
            found: found.to_owned(),
        });
    }
    match field("version").and_then(Value::as_i64).unwrap_or_default() {
        VERSION => Ok(()),
        other => Err(Error::Version(other)),
    }
}

/// The hash of the common part without an id.
fn id_of(common: &Common) -> Result<String, Error> {
    let hash = Sha512_256::digest(serde_json::to_vec(common)?);
    Ok(data_encoding::BASE32_NOPAD.encode(&hash))
}

/// Other tools write empty lists and maps as null.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key, without_nulls(value)))
            .collect(),
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

fn is_zero(value: &i64) -> bool {
    *value == 0
}

fn is_false(value: &bool) -> bool {
    !*value
}

#[cfg(test)]
pub(crate) mod tests;
