//! The keys of a broker cluster, in a Secret beside its Cluster.
//!
//! The Secret has no owner: who deletes a Cluster by mistake gets it back with its data, and data
//! without their keys can be read by nobody.

use std::collections::BTreeMap;

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret as KubeSecret;
use kube::api::{ObjectMeta, Patch, PatchParams};
use kube::{Api, Client};
use reconcile::{Entry, KeyStore, KeyStoreError, Secret};

use crate::context::MANAGER;

const OPERATOR_KEY: &str = "operator.nk";
const SYSTEM_KEY: &str = "system.nk";

/// Keeps the keys that everything else of one cluster is signed with.
#[derive(Clone)]
pub struct RootSecrets {
    secrets: Api<KubeSecret>,
    cluster: String,
}

impl RootSecrets {
    pub fn new(client: Client, namespace: &str, cluster: &str) -> RootSecrets {
        RootSecrets {
            secrets: Api::namespaced(client, namespace),
            cluster: cluster.to_owned(),
        }
    }

    /// The Secret's name.
    pub fn secret_name(&self) -> String {
        format!("{}-keys", self.cluster)
    }

    async fn read(&self, key: &str) -> kube::Result<Option<Secret>> {
        let found = self.secrets.get_opt(&self.secret_name()).await?;
        let data = found.and_then(|secret| secret.data).unwrap_or_default();
        Ok(data
            .get(key)
            .map(|seed| Secret::new(String::from_utf8_lossy(&seed.0).trim())))
    }

    async fn write(&self, key: &str, secret: Option<&Secret>) -> kube::Result<()> {
        let Some(found) = self.secrets.get_opt(&self.secret_name()).await? else {
            return self.create(key, secret).await;
        };
        let value = secret.map(|secret| ByteString(secret.expose().as_bytes().to_vec()));
        let data = BTreeMap::from([(key, value)]);
        // With the version: two that make keys at the same time must not replace each other's.
        let patch = Patch::Merge(serde_json::json!({
            "metadata": { "resourceVersion": found.metadata.resource_version },
            "data": data,
        }));
        let params = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        self.secrets
            .patch(&self.secret_name(), &params, &patch)
            .await
            .map(drop)
    }

    async fn create(&self, key: &str, secret: Option<&Secret>) -> kube::Result<()> {
        let Some(secret) = secret else {
            return Ok(());
        };
        let labels = crate::cluster::names::labels(&self.cluster);
        let new = KubeSecret {
            metadata: ObjectMeta {
                name: Some(self.secret_name()),
                labels: Some(labels),
                ..ObjectMeta::default()
            },
            string_data: Some(BTreeMap::from([(
                key.to_owned(),
                secret.expose().to_owned(),
            )])),
            ..KubeSecret::default()
        };
        let params = kube::api::PostParams {
            field_manager: Some(MANAGER.to_owned()),
            ..kube::api::PostParams::default()
        };
        self.secrets.create(&params, &new).await.map(drop)
    }
}

/// The entry of the Secret that holds a key; accounts and users have Secrets of their own.
fn key(entry: &Entry) -> Result<&'static str, KeyStoreError> {
    match entry {
        Entry::OperatorSeed => Ok(OPERATOR_KEY),
        Entry::SystemAccountSeed => Ok(SYSTEM_KEY),
        other => Err(KeyStoreError {
            entry: other.clone(),
            reason: "is not a key of a cluster".to_owned(),
        }),
    }
}

impl KeyStore for RootSecrets {
    fn load<'a>(
        &'a self,
        entry: &'a Entry,
    ) -> BoxFuture<'a, Result<Option<Secret>, KeyStoreError>> {
        async move {
            self.read(key(entry)?)
                .await
                .map_err(|error| explain(entry, &error))
        }
        .boxed()
    }

    fn save<'a>(
        &'a self,
        entry: &'a Entry,
        secret: &'a Secret,
    ) -> BoxFuture<'a, Result<(), KeyStoreError>> {
        async move {
            let written = self.write(key(entry)?, Some(secret)).await;
            written.map_err(|error| explain(entry, &error))
        }
        .boxed()
    }

    fn remove<'a>(&'a self, entry: &'a Entry) -> BoxFuture<'a, Result<(), KeyStoreError>> {
        async move {
            let written = self.write(key(entry)?, None).await;
            written.map_err(|error| explain(entry, &error))
        }
        .boxed()
    }

    fn place(&self, entry: &Entry) -> String {
        let key = key(entry).unwrap_or("?");
        format!("entry {key} of Secret {}", self.secret_name())
    }
}

fn explain(entry: &Entry, error: &kube::Error) -> KeyStoreError {
    KeyStoreError {
        entry: entry.clone(),
        reason: error.to_string(),
    }
}
