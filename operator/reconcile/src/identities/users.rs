//! Credentials of users: signed by their accounts, kept for clients, unknown to servers.

#[cfg(test)]
mod tests;

use api::{DeletionPolicy, ResourceId, UserStatus};
use identity::Creds;
use identity::jwt::{UserClaims, UserLimits};
use identity::nkey::{KeyPair, Kind};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::accounts::UserSigner;
use super::{Registry, accounts};
use crate::bootstrap::RootsError;
use crate::keys::{Entry, Secret};
use crate::report::Action;
use crate::status::Verdict;
use crate::validate::ValidatedUser;

/// Makes the key store hold valid credentials.
pub(crate) async fn reconcile(
    registry: Registry<'_>,
    wanted: &ValidatedUser,
) -> (Verdict, UserStatus) {
    match try_reconcile(registry, wanted).await {
        Ok(reconciled) => reconciled,
        Err(error) => (Verdict::of_keys(&error), UserStatus::default()),
    }
}

async fn try_reconcile(
    registry: Registry<'_>,
    wanted: &ValidatedUser,
) -> Result<(Verdict, UserStatus), RootsError> {
    let Some(signer) = accounts::user_signer(registry, &wanted.account).await? else {
        let message = format!("{} has no key yet that servers know", wanted.account.id);
        let verdict = Verdict::retrying("AccountNotReady", &message);
        return Ok((verdict, UserStatus::default()));
    };
    let now_s = registry.environment.now().as_second();
    let kept = kept(registry, &wanted.id).await?;
    let (creds, verdict) = match judge(wanted, &signer, kept.as_ref(), now_s) {
        Judgement::Valid => (kept, Verdict::Synced),
        Judgement::Issue(action) => {
            let creds = issue(registry, wanted, &signer, kept, now_s)?;
            let text = Secret::new(creds.to_text());
            registry.store.save(&entry(&wanted.id), &text).await?;
            (Some(creds), Verdict::Changed(action))
        }
    };
    Ok((verdict, status(registry, &wanted.id, creds.as_ref())))
}

/// Makes credentials that clients may still hold worthless if the policy asks for it, and removes them.
pub(crate) async fn delete(registry: Registry<'_>, wanted: &ValidatedUser) -> Verdict {
    if wanted.deletion == DeletionPolicy::Delete {
        let kept = match kept(registry, &wanted.id).await {
            Ok(kept) => kept,
            Err(error) => return Verdict::of_keys(&error),
        };
        if let Some(kept) = kept
            && let Err(error) =
                accounts::revoke(registry, &wanted.account, &kept.key.public_key()).await
        {
            return error.verdict();
        }
    }
    remove(registry, &wanted.id).await
}

/// Removes the credentials.
pub(crate) async fn remove(registry: Registry<'_>, id: &ResourceId) -> Verdict {
    let entry = entry(id);
    let removed = async {
        let was_there = registry.store.load(&entry).await?.is_some();
        registry.store.remove(&entry).await?;
        Ok(was_there.then_some(Action::Deleted))
    };
    match removed.await {
        Ok(action) => Verdict::Gone(action),
        Err(error) => Verdict::of_keys(&RootsError::KeyStore(error)),
    }
}

/// What is to be done about kept credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Judgement {
    Valid,
    Issue(Action),
}

fn judge(
    wanted: &ValidatedUser,
    signer: &UserSigner,
    kept: Option<&Creds>,
    now_s: i64,
) -> Judgement {
    let Some(kept) = kept else {
        return Judgement::Issue(Action::Created);
    };
    let claims = match UserClaims::decode(&kept.jwt) {
        Ok(claims) if claims.subject == kept.key.public_key() => claims,
        _ => return Judgement::Issue(Action::Corrected),
    };
    if claims.issuer != signer.key.public_key() {
        // Signed by a key whose turn was before, or that will be the account's no more.
        let is_former = claims.issuer == signer.account || signer.others.has(&claims.issuer);
        return Judgement::Issue(match is_former {
            true => Action::Renewed,
            false => Action::Corrected,
        });
    }
    if content(&claims) != content(&claims_of(wanted, signer, &kept.key, now_s)) {
        return Judgement::Issue(Action::Updated);
    }
    let Some(life) = wanted.life else {
        return match claims.expires_at_s {
            None => Judgement::Valid,
            Some(_) => Judgement::Issue(Action::Updated),
        };
    };
    match claims.expires_at_s {
        // The life was shortened, or there was none.
        Some(expires) if expires > now_s + life.expires_after_s => {
            Judgement::Issue(Action::Updated)
        }
        None => Judgement::Issue(Action::Updated),
        Some(expires) if now_s >= expires - life.renew_before_s => {
            Judgement::Issue(Action::Renewed)
        }
        Some(_) => Judgement::Valid,
    }
}

fn issue(
    registry: Registry<'_>,
    wanted: &ValidatedUser,
    signer: &UserSigner,
    kept: Option<Creds>,
    now_s: i64,
) -> Result<Creds, RootsError> {
    let new = || KeyPair::from_entropy(Kind::User, registry.environment.entropy());
    let key = kept.map_or_else(new, |kept| kept.key);
    let jwt = claims_of(wanted, signer, &key, now_s).encode(&signer.key, now_s)?;
    Ok(Creds { jwt, key })
}

fn claims_of(wanted: &ValidatedUser, signer: &UserSigner, key: &KeyPair, now_s: i64) -> UserClaims {
    let mut claims = UserClaims::new(&key.public_key());
    claims.name = wanted.id.name.clone();
    claims.body = wanted.claims.clone();
    if signer.account != signer.key.public_key() {
        claims.body.issuer_account.clone_from(&signer.account);
    }
    claims.expires_at_s = wanted.life.map(|life| now_s + life.expires_after_s);
    claims
}

/// What must be the same for credentials to be still right.
fn content(claims: &UserClaims) -> (&str, &str, &UserLimits) {
    let body = &claims.body;
    (&claims.name, &body.issuer_account, &body.limits)
}

async fn kept(registry: Registry<'_>, id: &ResourceId) -> Result<Option<Creds>, RootsError> {
    let text = registry.store.load(&entry(id)).await?;
    // Damaged credentials are of no use to anybody, so new ones are made.
    Ok(text.and_then(|text| Creds::parse(text.expose()).ok()))
}

fn status(registry: Registry<'_>, id: &ResourceId, creds: Option<&Creds>) -> UserStatus {
    let claims = creds.and_then(|creds| UserClaims::decode(&creds.jwt).ok());
    let expires = claims.and_then(|claims| claims.expires_at_s);
    UserStatus {
        public_key: creds.map(|creds| creds.key.public_key()),
        credentials: Some(registry.store.place(&entry(id))),
        expires_at: expires
            .and_then(|time| Timestamp::from_second(time).ok())
            .map(Time),
        ..UserStatus::default()
    }
}

fn entry(id: &ResourceId) -> Entry {
    Entry::UserCreds {
        namespace: id.namespace.clone(),
        name: id.name.clone(),
    }
}
