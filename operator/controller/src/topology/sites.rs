//! Servers that resources are brought to: those of Clusters, and those that a resource names itself.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::{Connection, Resource};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use parking_lot::Mutex;
use reconcile::{
    Caller, Entry, Environment, External, KeyStore, Obstacle, OwnerId, Reconciler, Roots, Servers,
    Tls,
};

use super::clusters::ClusterView;
use crate::secrets::{Secrets, Surroundings};

/// How old a list of streams may be when resources are compared with it.
const LISTS_AGE: Duration = Duration::from_secs(15);
/// How long keys and certificates are used before they are looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// Servers that resources name themselves; beyond it those that were not used for longest are forgotten.
const MAX_EXTERNALS: usize = 64;

/// The sites that are in use.
pub struct Sites {
    client: Client,
    environment: Environment,
    clusters: Mutex<HashMap<(String, String), Arc<ClusterSite>>>,
    externals: Mutex<HashMap<(String, Connection), Arc<ExternalSite>>>,
}

/// The brokers of a Cluster.
pub struct ClusterSite {
    pub reconciler: Reconciler,
    pub secrets: Arc<Secrets>,
    pub surroundings: Surroundings,
    /// What the site was made of; another one is made when it differs.
    made_of: Materials,
    looked: Mutex<Instant>,
}

/// Servers that a resource names itself.
pub struct ExternalSite {
    pub external: External,
    made_of: (Option<String>, Option<Tls>),
    looked: Mutex<Instant>,
}

#[derive(PartialEq)]
struct Materials {
    surroundings: Surroundings,
    seeds: [reconcile::Secret; 2],
}

impl Sites {
    pub fn new(client: Client, environment: Environment) -> Sites {
        Sites {
            client,
            environment,
            clusters: Mutex::new(HashMap::new()),
            externals: Mutex::new(HashMap::new()),
        }
    }

    /// The brokers of a Cluster. Connections are made when they are needed.
    pub async fn cluster(
        &self,
        cluster: &ClusterView,
        owner: &OwnerId,
    ) -> Result<Arc<ClusterSite>, Obstacle> {
        let id = (cluster.namespace.clone(), cluster.name.clone());
        let known = self.clusters.lock().get(&id).cloned();
        if let Some(known) = &known
            && known.looked.lock().elapsed() < LOOK_AGAIN
            && known.surroundings.url == cluster.url()
        {
            return Ok(Arc::clone(known));
        }
        let secrets = Secrets::new(self.client.clone(), &cluster.namespace, &cluster.name);
        let made_of = self.materials(cluster, &secrets).await?;
        if let Some(known) = known
            && known.made_of == made_of
        {
            *known.looked.lock() = Instant::now();
            return Ok(known);
        }
        let site = Arc::new(
            self.make(cluster, owner, Arc::new(secrets), made_of)
                .await?,
        );
        self.clusters.lock().insert(id, Arc::clone(&site));
        Ok(site)
    }

    /// Servers that a resource names itself.
    pub async fn external(
        &self,
        resource: &Resource,
        connection: &Connection,
        owner: &OwnerId,
    ) -> Result<Arc<ExternalSite>, Obstacle> {
        let namespace = resource.id().namespace;
        let id = (namespace.clone(), connection.clone());
        let known = self.externals.lock().get(&id).cloned();
        if let Some(known) = &known
            && known.looked.lock().elapsed() < LOOK_AGAIN
        {
            return Ok(Arc::clone(known));
        }
        let creds = match &connection.creds_secret_ref {
            Some(points) => Some(self.entry(&namespace, &points.name, &points.key).await?),
            None => None,
        };
        let tls = match &connection.tls {
            Some(tls) => Some(self.tls(&namespace, &tls.secret_name).await?),
            None => None,
        };
        if let Some(known) = known
            && known.made_of == (creds.clone(), tls.clone())
        {
            *known.looked.lock() = Instant::now();
            return Ok(known);
        }
        let site = Arc::new(self.connect(connection, owner, creds, tls)?);
        let mut externals = self.externals.lock();
        if externals.len() >= MAX_EXTERNALS {
            let oldest = externals.iter().min_by_key(|(_, site)| *site.looked.lock());
            let oldest = oldest.map(|(id, _)| id.clone());
            oldest.and_then(|oldest| externals.remove(&oldest));
        }
        externals.insert(id, Arc::clone(&site));
        Ok(site)
    }

    /// Ends the connections of Clusters that are gone.
    pub fn keep(&self, exists: impl Fn(&str, &str) -> bool) {
        let mut clusters = self.clusters.lock();
        clusters.retain(|(namespace, name), _| exists(namespace, name));
    }

    async fn materials(
        &self,
        cluster: &ClusterView,
        secrets: &Secrets,
    ) -> Result<Materials, Obstacle> {
        let mut seeds = Vec::new();
        for entry in [Entry::OperatorSeed, Entry::SystemAccountSeed] {
            let found = secrets.load(&entry).await;
            let found = found.map_err(|error| not_yet("KeyStoreNotReady", &error))?;
            // Who starts the brokers makes their keys, once.
            let message = format!(
                "Cluster {}/{} has no keys yet",
                cluster.namespace, cluster.name
            );
            seeds.push(found.ok_or_else(|| not_yet("ClusterNotReady", &message))?);
        }
        let authorities = match &cluster.tls_secret {
            Some(secret) => Some(self.entry(&cluster.namespace, secret, "ca.crt").await?),
            None => None,
        };
        let [operator, system] = <[_; 2]>::try_from(seeds)
            .map_err(|_| not_yet("ClusterNotReady", &"it has no keys yet"))?;
        Ok(Materials {
            surroundings: Surroundings {
                url: cluster.url(),
                authorities,
            },
            seeds: [operator, system],
        })
    }

    async fn make(
        &self,
        cluster: &ClusterView,
        owner: &OwnerId,
        secrets: Arc<Secrets>,
        made_of: Materials,
    ) -> Result<ClusterSite, Obstacle> {
        let roots = Roots::load(&*secrets, &self.environment).await;
        let roots = roots.map_err(|error| not_yet("KeyStoreNotReady", &error))?;
        let mut servers = Servers::new(vec![cluster.url()], self.environment.clone());
        if let Some(authorities) = &made_of.surroundings.authorities {
            let tls = Tls {
                authorities: authorities.clone(),
                identity: None,
            };
            servers = servers
                .with_tls(&tls)
                .map_err(|error| not_yet("CertificatesNotUsable", &error))?;
        }
        let reconciler = Reconciler::new(
            Arc::new(servers),
            Arc::clone(&secrets) as Arc<dyn KeyStore>,
            self.environment.clone(),
            roots,
            owner.clone(),
        );
        Ok(ClusterSite {
            reconciler: reconciler.with_lists(LISTS_AGE),
            secrets,
            surroundings: made_of.surroundings.clone(),
            made_of,
            looked: Mutex::new(Instant::now()),
        })
    }

    fn connect(
        &self,
        connection: &Connection,
        owner: &OwnerId,
        creds: Option<String>,
        tls: Option<Tls>,
    ) -> Result<ExternalSite, Obstacle> {
        let caller = match &creds {
            Some(text) => {
                Caller::from_creds(text).map_err(|error| not_yet("CredentialsNotUsable", &error))?
            }
            None => Caller::Anonymous,
        };
        let mut servers = Servers::new(connection.servers.clone(), self.environment.clone());
        if let Some(tls) = &tls {
            servers = servers
                .with_tls(tls)
                .map_err(|error| not_yet("CertificatesNotUsable", &error))?;
        }
        Ok(ExternalSite {
            external: External::new(
                Arc::new(servers),
                caller,
                self.environment.clone(),
                owner.clone(),
                LISTS_AGE,
            ),
            made_of: (creds, tls),
            looked: Mutex::new(Instant::now()),
        })
    }

    async fn tls(&self, namespace: &str, secret: &str) -> Result<Tls, Obstacle> {
        let data = self
            .secret(namespace, secret)
            .await?
            .data
            .unwrap_or_default();
        let text = |key: &str| {
            let ByteString(bytes) = data.get(key)?;
            String::from_utf8(bytes.clone()).ok()
        };
        let authorities = text("ca.crt").ok_or_else(|| no_entry(secret, "ca.crt"))?;
        let identity = text("tls.crt").zip(text("tls.key").map(reconcile::Secret::new));
        Ok(Tls {
            authorities,
            identity,
        })
    }

    async fn entry(&self, namespace: &str, secret: &str, key: &str) -> Result<String, Obstacle> {
        let data = self.secret(namespace, secret).await?.data;
        let bytes = data.and_then(|mut data| data.remove(key));
        let text = bytes.and_then(|ByteString(bytes)| String::from_utf8(bytes).ok());
        text.ok_or_else(|| no_entry(secret, key))
    }

    async fn secret(&self, namespace: &str, name: &str) -> Result<Secret, Obstacle> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let found = api.get_opt(name).await;
        let found = found.map_err(|error| not_yet("SecretNotReadable", &error))?;
        let message = format!("Secret {name} does not exist; create it or correct the reference");
        found.ok_or_else(|| not_yet("SecretNotFound", &message))
    }
}

fn no_entry(secret: &str, key: &str) -> Obstacle {
    let message = format!("Secret {secret} has no text {key}; add it or correct the reference");
    not_yet("SecretIncomplete", &message)
}

fn not_yet(reason: &'static str, message: &impl ToString) -> Obstacle {
    Obstacle::Retrying {
        reason,
        message: message.to_string(),
    }
}
