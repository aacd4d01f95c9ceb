//! Secrets of a Kubernetes cluster as the place where keys are kept.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client};
use parking_lot::Mutex;
use reconcile::{Entry, KeyStore, KeyStoreError, Secret};
use serde_json::json;

use crate::context::MANAGER;

/// Says who writes a Secret. Others are read and never changed, but for the keys of clusters and accounts.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Thousands of streams of an account need its seed, one after the other.
const SEEDS_HELD: Duration = Duration::from_secs(15);

const OPERATOR_KEY: &str = "operator.nk";
const SYSTEM_KEY: &str = "system.nk";
const ACCOUNT_KEY: &str = "account.nk";
const SIGNING_KEYS: &str = "signing.nk";
const TOKEN_KEY: &str = "account.jwt";
const CREDS_KEY: &str = "user.creds";
const URL_KEY: &str = "url";
const CA_KEY: &str = "ca.crt";

/// Keeps keys in Secrets: those of a cluster of brokers beside it, those of accounts and users beside them.
pub struct Secrets {
    client: Client,
    cluster_namespace: String,
    cluster_name: String,
    /// Seeds that were read lately. As large as the number of accounts.
    seeds: Mutex<HashMap<Entry, (Instant, Secret)>>,
}

/// What a credentials Secret says beside the credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Where to connect, separated by commas.
    pub url: String,
    /// Who signs the servers' certificates, in PEM.
    pub authorities: Option<String>,
}

/// One entry of one Secret.
struct Place {
    namespace: String,
    secret: String,
    key: String,
}

impl Secrets {
    /// The keys of one cluster, and of all accounts and users.
    pub fn new(client: Client, cluster_namespace: &str, cluster_name: &str) -> Secrets {
        Secrets {
            client,
            cluster_namespace: cluster_namespace.to_owned(),
            cluster_name: cluster_name.to_owned(),
            seeds: Mutex::new(HashMap::new()),
        }
    }

    /// Completes a user's Secret, if it is not complete yet: where to connect, whom to trust, and that it goes
    /// when the user goes.
    ///
    /// # Errors
    /// Those of the API server.
    pub async fn complete(
        &self,
        namespace: &str,
        name: &str,
        surroundings: &Surroundings,
        owner: Option<OwnerReference>,
    ) -> kube::Result<()> {
        let api: Api<core::Secret> = Api::namespaced(self.client.clone(), namespace);
        let Some(found) = api.get_opt(name).await? else {
            return Ok(());
        };
        let Some(data) = missing(&found, surroundings) else {
            return Ok(());
        };
        let owners: Vec<OwnerReference> = owner.into_iter().collect();
        let patch = json!({
            "metadata": { "ownerReferences": owners },
            "data": data,
        });
        api.patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .map(drop)
    }

    fn place_of(&self, entry: &Entry) -> Place {
        let place = |namespace: &str, secret: String, key: &str| Place {
            namespace: namespace.to_owned(),
            secret,
            key: key.to_owned(),
        };
        let of_cluster = |key| {
            let secret = format!("{}-keys", self.cluster_name);
            place(&self.cluster_namespace, secret, key)
        };
        match entry {
            Entry::OperatorSeed => of_cluster(OPERATOR_KEY),
            Entry::SystemAccountSeed => of_cluster(SYSTEM_KEY),
            Entry::AccountSeed { namespace, name } => {
                place(namespace, format!("{name}-account"), ACCOUNT_KEY)
            }
            Entry::SigningSeeds { namespace, name } => {
                place(namespace, format!("{name}-account"), SIGNING_KEYS)
            }
            Entry::AccountToken { namespace, name } => {
                place(namespace, format!("{name}-account"), TOKEN_KEY)
            }
            Entry::UserCreds { namespace, name } => place(namespace, name.clone(), CREDS_KEY),
            Entry::Given {
                namespace,
                name,
                key,
            } => place(namespace, name.clone(), key),
        }
    }

    fn api(&self, place: &Place) -> Api<core::Secret> {
        Api::namespaced(self.client.clone(), &place.namespace)
    }

    async fn read(&self, entry: &Entry) -> Result<Option<Secret>, String> {
        let is_seed = matches!(entry, Entry::AccountSeed { .. } | Entry::Given { .. });
        if is_seed
            && let Some((read, seed)) = self.seeds.lock().get(entry)
            && read.elapsed() < SEEDS_HELD
        {
            return Ok(Some(seed.clone()));
        }
        let place = self.place_of(entry);
        let found = self.api(&place).get_opt(&place.secret).await;
        let found = found.map_err(|error| error.to_string())?;
        let data = found.and_then(|found| found.data?.remove(&place.key));
        let Some(ByteString(bytes)) = data else {
            return Ok(None);
        };
        let text = String::from_utf8(bytes).map_err(|_| "it is not a text".to_owned())?;
        let secret = Secret::new(text.trim_end());
        if is_seed {
            let mut seeds = self.seeds.lock();
            seeds.retain(|_, (read, _)| read.elapsed() < SEEDS_HELD);
            seeds.insert(entry.clone(), (Instant::now(), secret.clone()));
        }
        Ok(Some(secret))
    }

    /// Creates the Secret, or changes the one that was read just before: nobody's seed is overwritten by one
    /// that was made at the same time.
    async fn write(&self, entry: &Entry, secret: &Secret) -> Result<(), String> {
        let place = self.place_of(entry);
        let api = self.api(&place);
        let found = api.get_opt(&place.secret).await;
        let Some(found) = found.map_err(|error| error.to_string())? else {
            let new = new_secret(&place, secret);
            let created = api.create(&PostParams::default(), &new).await;
            return created.map(drop).map_err(|error| error.to_string());
        };
        if matches!(entry, Entry::UserCreds { .. }) && !is_managed(&found) {
            return Err(format!(
                "Secret {} exists and is not the operator's; rename the User, or delete the Secret",
                place.secret
            ));
        }
        let patch = json!({
            "metadata": { "resourceVersion": found.metadata.resource_version },
            "data": { place.key: ByteString(secret.expose().as_bytes().to_vec()) },
        });
        let patched = api
            .patch(&place.secret, &params(), &Patch::Merge(patch))
            .await;
        patched.map(drop).map_err(|error| error.to_string())
    }

    async fn delete(&self, entry: &Entry) -> Result<(), String> {
        self.seeds.lock().remove(entry);
        let place = self.place_of(entry);
        let api = self.api(&place);
        let found = api.get_opt(&place.secret).await;
        let found = match found.map_err(|error| error.to_string())? {
            Some(found) if is_managed(&found) => found,
            _ => return Ok(()),
        };
        let is_whole = matches!(entry, Entry::UserCreds { .. } | Entry::AccountSeed { .. });
        let outcome = if is_whole {
            let params = DeleteParams {
                preconditions: Some(Preconditions {
                    uid: found.metadata.uid,
                    resource_version: None,
                }),
                ..DeleteParams::default()
            };
            api.delete(&place.secret, &params).await.map(drop)
        } else {
            let patch = json!({ "data": { place.key: null } });
            api.patch(&place.secret, &params(), &Patch::Merge(patch))
                .await
                .map(drop)
        };
        match outcome {
            Err(error) if !is_missing(&error) => Err(error.to_string()),
            _ => Ok(()),
        }
    }
}

impl KeyStore for Secrets {
    fn load<'a>(
        &'a self,
        entry: &'a Entry,
    ) -> BoxFuture<'a, Result<Option<Secret>, KeyStoreError>> {
        async move { self.read(entry).await.map_err(|reason| fail(entry, reason)) }.boxed()
    }

    fn save<'a>(
        &'a self,
        entry: &'a Entry,
        secret: &'a Secret,
    ) -> BoxFuture<'a, Result<(), KeyStoreError>> {
        async move {
            let written = self.write(entry, secret).await;
            written.map_err(|reason| fail(entry, reason))
        }
        .boxed()
    }

    fn remove<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<(), KeyStoreError>> {
        async move {
            self.delete(entry)
                .await
                .map_err(|reason| fail(entry, reason))
        }
        .boxed()
    }

    fn place(&self, entry: &Entry) -> String {
        self.place_of(entry).secret
    }
}

fn fail(entry: &Entry, reason: String) -> KeyStoreError {
    KeyStoreError {
        entry: entry.clone(),
        reason,
    }
}

fn params() -> PatchParams {
    PatchParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    }
}

fn new_secret(place: &Place, secret: &Secret) -> core::Secret {
    let value = ByteString(secret.expose().as_bytes().to_vec());
    core::Secret {
        metadata: ObjectMeta {
            name: Some(place.secret.clone()),
            namespace: Some(place.namespace.clone()),
            labels: Some(BTreeMap::from([(
                MANAGED_BY.to_owned(),
                MANAGER.to_owned(),
            )])),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([(place.key.clone(), value)])),
        ..core::Secret::default()
    }
}

fn is_managed(secret: &core::Secret) -> bool {
    let labels = secret.metadata.labels.as_ref();
    labels
        .and_then(|labels| labels.get(MANAGED_BY))
        .map(String::as_str)
        == Some(MANAGER)
}

/// Whether an error says that there is nothing of that name.
pub fn is_missing(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

/// What a credentials Secret lacks; `None` if nothing, or if it is not the operator's.
fn missing(
    secret: &core::Secret,
    surroundings: &Surroundings,
) -> Option<BTreeMap<&'static str, Option<ByteString>>> {
    let bytes = |text: &str| ByteString(text.as_bytes().to_vec());
    let wanted = [
        (URL_KEY, Some(bytes(&surroundings.url))),
        (CA_KEY, surroundings.authorities.as_deref().map(bytes)),
    ];
    let found = |key: &str| secret.data.as_ref().and_then(|data| data.get(key));
    let is_complete = wanted
        .iter()
        .all(|(key, value)| found(key) == value.as_ref());
    let has_owner = secret.metadata.owner_references.is_some();
    (is_managed(secret) && !(is_complete && has_owner)).then(|| BTreeMap::from(wanted))
}
