//! Claims of accounts: signed by the operator, kept by the servers.

use std::collections::BTreeMap;

use api::{AccountStatus, DeletionPolicy, FieldDiff, ResourceId};
use identity::jwt::{AccountClaims, Generic, GenericClaims, Import, Revocations};
use identity::nkey::{KeyPair, Kind};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::signing::Ring;
use super::{Registry, signing};
use crate::bootstrap::{RootsError, load, load_or_make};
use crate::broker::{Caller, LOOKUP_TIMEOUT, REQUEST_TIMEOUT, RequestError, read_answer};
use crate::dereference::AccountPlace;
use crate::keys::{Entry, Secret};
use crate::report::Action;
use crate::status::Verdict;
use crate::validate::{Exporter, ValidatedAccount};

/// How it went, with what is known about the account.
pub(crate) struct Reconciled {
    pub(crate) verdict: Verdict,
    pub(crate) diff: Vec<FieldDiff>,
    pub(crate) status: AccountStatus,
}

/// Why claims could not be brought to the servers.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Keys(#[from] RootsError),
    #[error(transparent)]
    Request(#[from] RequestError),
}

impl Error {
    pub(crate) fn verdict(&self) -> Verdict {
        match self {
            Error::Keys(error) => Verdict::of_keys(error),
            Error::Request(error) => Verdict::of_request(error),
        }
    }
}

/// Makes the servers hold the claims of an account.
pub(crate) async fn reconcile(registry: Registry<'_>, wanted: &ValidatedAccount) -> Reconciled {
    match try_reconcile(registry, wanted).await {
        Ok(reconciled) => reconciled,
        Err(error) => Reconciled {
            verdict: error.verdict(),
            diff: Vec::new(),
            status: AccountStatus::default(),
        },
    }
}

async fn try_reconcile(
    registry: Registry<'_>,
    wanted: &ValidatedAccount,
) -> Result<Reconciled, Error> {
    let lock = registry.locks.of(&wanted.id);
    let _alone = lock.lock().await;
    if wanted.signing.is_some() && wanted.may_change(false) {
        // Before there is a key of its own, so that this one never signs a user.
        signing::keep(registry, &wanted.id, wanted.signing, None).await?;
    }
    let Some(key) = key_for(registry, wanted).await? else {
        let message = "it does not exist, and managementPolicy Observe creates nothing";
        return Ok(Reconciled {
            verdict: Verdict::stalled("NotFound", &message),
            diff: Vec::new(),
            status: AccountStatus::default(),
        });
    };
    let imports = match imports(registry, wanted).await? {
        Ok(imports) => imports,
        Err(exporter) => {
            let message = format!("{exporter}, which it imports from, has no key yet");
            return Ok(Reconciled {
                verdict: Verdict::retrying("ExporterNotReady", &message),
                diff: Vec::new(),
                status: AccountStatus::default(),
            });
        }
    };
    let kept = kept_claims(registry, &wanted.id).await?;
    let served = registry.lookup(&key.public_key()).await?;
    let may_change = wanted.may_change(served.is_some());
    let ring = match may_change {
        true => signing::keep(registry, &wanted.id, wanted.signing, served.as_ref()).await?,
        false => signing::load(registry, &wanted.id).await?,
    };
    let mut claims = claims(wanted, &key, [kept.as_ref(), served.as_ref()]);
    claims.body.imports = imports;
    claims.body.signing_keys = ring.claims();
    let diff = differences(&claims, served.as_ref());
    let is_trusted = |served: &AccountClaims| served.issuer == registry.roots.operator.public_key();
    let is_served = diff.is_empty() && served.as_ref().is_some_and(is_trusted);
    let status = AccountStatus {
        public_key: Some(key.public_key()),
        signing_key: ring
            .signer(if may_change {
                Some(&claims)
            } else {
                served.as_ref()
            })
            .map(KeyPair::public_key),
        claims_hash: Some(hash(&claims)),
        ..AccountStatus::default()
    };
    let (verdict, diff) = if is_served {
        (Verdict::Synced, diff)
    } else if may_change {
        registry.push(&wanted.id, &claims).await?;
        let is_same_wish = kept
            .as_ref()
            .is_some_and(|kept| hash(kept) == hash(&claims));
        let action = match (&served, is_same_wish) {
            (_, true) => Action::Corrected,
            (None, false) => Action::Created,
            (Some(_), false) => Action::Updated,
        };
        let diff = if action == Action::Created {
            Vec::new()
        } else {
            diff
        };
        (Verdict::Changed(action), diff)
    } else {
        let policy = crate::plan::Blocked::Policy(wanted.policies.management);
        (Verdict::of_blocked(policy), diff)
    };
    Ok(Reconciled {
        verdict,
        diff,
        status,
    })
}

/// Imports with the keys of those who export; or who has no key yet.
async fn imports(
    registry: Registry<'_>,
    wanted: &ValidatedAccount,
) -> Result<Result<Vec<Import>, ResourceId>, RootsError> {
    let mut imports = Vec::new();
    for (import, exporter) in &wanted.imports {
        let account = match exporter {
            Exporter::Key(key) => key.clone(),
            Exporter::Account(place) => match key(registry, place).await? {
                Some(key) => key.public_key(),
                None => return Ok(Err(place.id.clone())),
            },
        };
        imports.push(Import {
            account,
            ..import.clone()
        });
    }
    Ok(Ok(imports))
}

/// Does to the servers what the deletion of an account asks for.
pub(crate) async fn delete(registry: Registry<'_>, wanted: &ValidatedAccount) -> Verdict {
    if wanted.policies.deletion == DeletionPolicy::Retain || !wanted.may_change(false) {
        return Verdict::Gone(None);
    }
    let lock = registry.locks.of(&wanted.id);
    let _alone = lock.lock().await;
    registry.locks.forget(&wanted.id);
    match try_delete(registry, wanted).await {
        Ok(action) => Verdict::Gone(action),
        Err(error) => error.verdict(),
    }
}

async fn try_delete(
    registry: Registry<'_>,
    wanted: &ValidatedAccount,
) -> Result<Option<Action>, Error> {
    let Some(key) = load(registry.store, &wanted.key).await? else {
        return Ok(None);
    };
    let operator = &registry.roots.operator;
    let mut request = GenericClaims::new(&operator.public_key());
    request.body = Generic(BTreeMap::from([(
        "accounts".to_owned(),
        json!([key.public_key()]),
    )]));
    let now_s = registry.environment.now().as_second();
    let token = request.encode(operator, now_s).map_err(RootsError::from)?;
    registry
        .claims_request("$SYS.REQ.CLAIMS.DELETE", token)
        .await?;
    registry
        .broker
        .forget(&Caller::Account(Box::new(key)))
        .await;
    // The token goes first: a seed without a token is found again, the reverse is not.
    let mut entries = vec![token_entry(&wanted.id), signing::entry(&wanted.id)];
    if !matches!(wanted.key, Entry::Given { .. }) {
        entries.push(wanted.key.clone());
    }
    for entry in entries {
        registry
            .store
            .remove(&entry)
            .await
            .map_err(RootsError::from)?;
    }
    Ok(Some(Action::Deleted))
}

/// Takes away from a user what it may do, also from those who still hold its credentials. An account
/// that servers do not know has nothing to take away.
pub(crate) async fn revoke(
    registry: Registry<'_>,
    account: &AccountPlace,
    user: &str,
) -> Result<(), Error> {
    let lock = registry.locks.of(&account.id);
    let _alone = lock.lock().await;
    let Some(key) = load(registry.store, &account.key).await? else {
        return Ok(());
    };
    let kept = kept_claims(registry, &account.id).await?;
    let served = registry.lookup(&key.public_key()).await?;
    let Some(mut claims) = served.or(kept) else {
        return Ok(());
    };
    let until_s = registry.environment.now().as_second();
    let revocations = &mut claims.body.revocations.0;
    if revocations.get(user).is_some_and(|until| *until >= until_s) {
        return Ok(());
    }
    revocations.insert(user.to_owned(), until_s);
    registry.push(&account.id, &claims).await
}

/// The key of an account, if it has one.
pub(crate) async fn key(
    registry: Registry<'_>,
    account: &AccountPlace,
) -> Result<Option<KeyPair>, RootsError> {
    load(registry.store, &account.key).await
}

/// What signs the users of an account.
pub(crate) struct UserSigner {
    pub(crate) key: KeyPair,
    /// Further keys whose users the servers accept.
    pub(crate) others: Ring,
    /// The account's public key.
    pub(crate) account: String,
}

/// Who signs the account's users, once the servers know the key.
pub(crate) async fn user_signer(
    registry: Registry<'_>,
    account: &AccountPlace,
) -> Result<Option<UserSigner>, RootsError> {
    let Some(own) = key(registry, account).await? else {
        return Ok(None);
    };
    let others = signing::load(registry, &account.id).await?;
    let public_key = own.public_key();
    let key = match others.is_empty() {
        true => Some(own),
        false => {
            let pushed = kept_claims(registry, &account.id).await?;
            others.signer(pushed.as_ref()).cloned()
        }
    };
    Ok(key.map(|key| UserSigner {
        key,
        others,
        account: public_key,
    }))
}

async fn key_for(
    registry: Registry<'_>,
    wanted: &ValidatedAccount,
) -> Result<Option<KeyPair>, RootsError> {
    let seed = &wanted.key;
    if !wanted.may_change(false) {
        return load(registry.store, seed).await;
    }
    let key = load_or_make(registry.store, registry.environment, seed, Kind::Account).await?;
    Ok(Some(key))
}

/// The claims that were signed last.
async fn kept_claims(
    registry: Registry<'_>,
    id: &ResourceId,
) -> Result<Option<AccountClaims>, RootsError> {
    let token = registry.store.load(&token_entry(id)).await?;
    // A damaged token is only a copy; it is signed again.
    Ok(token.and_then(|token| AccountClaims::decode(token.expose()).ok()))
}

impl Registry<'_> {
    fn system(&self) -> Caller {
        Caller::Account(Box::new(self.roots.system_account.clone()))
    }

    /// The claims that the servers have for an account.
    async fn lookup(&self, account: &str) -> Result<Option<AccountClaims>, RequestError> {
        let subject = format!("$SYS.REQ.ACCOUNT.{account}.CLAIMS.LOOKUP");
        let answer = self
            .broker
            .request(&self.system(), &subject, Vec::new(), LOOKUP_TIMEOUT)
            .await;
        match answer {
            // Some servers say nothing about claims that they do not have.
            Err(RequestError::NoAnswer { .. }) => Ok(None),
            Err(error) => Err(error),
            Ok(token) => {
                let token = String::from_utf8_lossy(&token);
                Ok(AccountClaims::decode(token.trim()).ok())
            }
        }
    }

    async fn push(&self, id: &ResourceId, claims: &AccountClaims) -> Result<(), Error> {
        let now_s = self.environment.now().as_second();
        let token = claims
            .encode(&self.roots.operator, now_s)
            .map_err(RootsError::from)?;
        self.claims_request("$SYS.REQ.CLAIMS.UPDATE", token.clone())
            .await?;
        let entry = token_entry(id);
        let kept = self.store.save(&entry, &Secret::new(token)).await;
        kept.map_err(RootsError::from)?;
        Ok(())
    }

    async fn claims_request(&self, subject: &str, token: String) -> Result<(), RequestError> {
        let answer = self
            .broker
            .request(&self.system(), subject, token.into_bytes(), REQUEST_TIMEOUT)
            .await?;
        read_answer(subject, &answer).map(drop)
    }
}

/// What an account's claims should be. Revocations outlive the resources that caused them.
fn claims(
    wanted: &ValidatedAccount,
    key: &KeyPair,
    earlier: [Option<&AccountClaims>; 2],
) -> AccountClaims {
    let mut claims = AccountClaims::new(&key.public_key());
    claims.name = wanted.display_name.clone();
    claims.body = wanted.claims.clone();
    let earlier = earlier.into_iter().flatten();
    let all = earlier.flat_map(|claims| &claims.body.revocations.0);
    let mut revocations = BTreeMap::new();
    for (user, until_s) in all {
        let latest = revocations.entry(user.clone()).or_insert(*until_s);
        *latest = (*latest).max(*until_s);
    }
    claims.body.revocations = Revocations(revocations);
    claims
}

/// Field by field, in the names of claims.
fn differences(wanted: &AccountClaims, served: Option<&AccountClaims>) -> Vec<FieldDiff> {
    let content = |claims: Option<&AccountClaims>| {
        let mut fields = BTreeMap::new();
        if let Some(claims) = claims {
            fields.insert("name".to_owned(), claims.name.clone());
            // Claims are plain data, which always becomes JSON.
            let body = serde_json::to_value(&claims.body).unwrap_or_default();
            flatten("", &body, &mut fields);
        }
        fields
    };
    let (wanted, served) = (content(Some(wanted)), content(served));
    let names = wanted
        .keys()
        .chain(served.keys().filter(|name| !wanted.contains_key(*name)));
    let shown = |value: Option<&String>| value.cloned().unwrap_or_else(|| "none".to_owned());
    names
        .filter(|name| wanted.get(*name) != served.get(*name))
        .map(|name| FieldDiff {
            field: format!("claims.{name}"),
            observed: shown(served.get(name)),
            desired: shown(wanted.get(name)),
        })
        .collect()
}

fn flatten(path: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                flatten(&path, value, into);
            }
        }
        Value::Null => {}
        other => {
            into.insert(path.to_owned(), other.to_string());
        }
    }
}

/// What identifies the content of claims, whenever they were signed.
fn hash(claims: &AccountClaims) -> String {
    let mut fields = BTreeMap::from([("name".to_owned(), claims.name.clone())]);
    flatten(
        "",
        &serde_json::to_value(&claims.body).unwrap_or_default(),
        &mut fields,
    );
    let text = serde_json::to_vec(&fields).unwrap_or_default();
    data_encoding::HEXLOWER.encode(&Sha256::digest(text)[..16])
}

fn token_entry(id: &ResourceId) -> Entry {
    Entry::AccountToken {
        namespace: id.namespace.clone(),
        name: id.name.clone(),
    }
}
