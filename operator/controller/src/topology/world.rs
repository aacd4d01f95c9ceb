//! What is known of the Kubernetes cluster without asking: the objects that are watched.

use api::{
    Account, AccountRef, Consumer, KVBucket, Kind, ObjectStore, Resource, ResourceId, Stream, User,
};
use kube::core::DeserializeGuard;
use kube::runtime::reflector::{ObjectRef, Store};
use reconcile::{Lookup, account_id};

use super::clusters::ClusterView;
use super::kinds::Topological;

/// A store of objects, those that are not understood included.
pub type Guarded<K> = Store<DeserializeGuard<K>>;

/// The objects of all kinds. One store for each watched namespace.
#[derive(Default)]
pub struct World {
    pub accounts: Vec<Guarded<Account>>,
    pub users: Vec<Guarded<User>>,
    pub streams: Vec<Guarded<Stream>>,
    pub kv_buckets: Vec<Guarded<KVBucket>>,
    pub object_stores: Vec<Guarded<ObjectStore>>,
    pub consumers: Vec<Guarded<Consumer>>,
    pub clusters: Vec<Store<super::clusters::ClusterObject>>,
}

/// Why the cluster of an account is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoCluster {
    #[error("Cluster {namespace}/{name} does not exist; create it or correct clusterRef")]
    NotFound { namespace: String, name: String },
    #[error("namespace {namespace} has no Cluster; create one, or name one in clusterRef")]
    None { namespace: String },
    #[error("namespace {namespace} has several Clusters; name one in clusterRef")]
    Several { namespace: String },
}

impl World {
    /// Waits until every store has seen all objects once.
    pub async fn ready(&self) {
        async fn ready<K>(stores: &[Store<K>])
        where
            K: kube::runtime::reflector::Lookup + Clone + 'static,
            K::DynamicType: Eq + std::hash::Hash + Clone,
        {
            for store in stores {
                // A store without its writer belongs to a program that ends.
                store.wait_until_ready().await.ok();
            }
        }
        ready(&self.accounts).await;
        ready(&self.streams).await;
        ready(&self.clusters).await;
    }

    /// The cluster whose brokers serve an account.
    pub fn cluster_of(&self, account: &Account) -> Result<ClusterView, NoCluster> {
        let namespace = account.metadata.namespace.clone().unwrap_or_default();
        if let Some(points) = &account.spec.cluster_ref {
            let namespace = points.namespace.clone().unwrap_or(namespace);
            let found = self
                .clusters()
                .find(|found| found.namespace == namespace && found.name == points.name);
            return found.ok_or_else(|| NoCluster::NotFound {
                namespace,
                name: points.name.clone(),
            });
        }
        let mut found = self.clusters().filter(|found| found.namespace == namespace);
        match (found.next(), found.next()) {
            (Some(only), None) => Ok(only),
            (None, _) => Err(NoCluster::None { namespace }),
            (Some(_), Some(_)) => Err(NoCluster::Several { namespace }),
        }
    }

    /// How many objects of a kind there are.
    pub fn count(&self, kind: Kind) -> usize {
        fn count<K: Topological>(stores: &[Guarded<K>]) -> usize {
            stores.iter().map(Store::len).sum()
        }
        match kind {
            Kind::Account => count(&self.accounts),
            Kind::User => count(&self.users),
            Kind::Stream => count(&self.streams),
            Kind::KVBucket => count(&self.kv_buckets),
            Kind::ObjectStore => count(&self.object_stores),
            Kind::Consumer => count(&self.consumers),
        }
    }

    pub fn has_cluster(&self, namespace: &str, name: &str) -> bool {
        let mut clusters = self.clusters();
        clusters.any(|found| found.namespace == namespace && found.name == name)
    }

    /// The account that a resource belongs to, or is.
    pub fn account_of(&self, resource: &Resource) -> Option<Account> {
        let found = match resource {
            Resource::Account(account) => return Some((**account).clone()),
            other => {
                let (points, _) = other.target();
                self.find(&account_id(&other.id().namespace, points?))?
            }
        };
        match found {
            Resource::Account(account) => Some(*account),
            _ => None,
        }
    }

    /// Resources of an account that are being deleted and have something to clean up still.
    pub fn leaving(&self, account: &ResourceId) -> usize {
        fn count<K: Topological>(
            stores: &[Guarded<K>],
            belongs: &dyn Fn(&Resource) -> bool,
        ) -> usize {
            let objects = stores.iter().flat_map(|store| store.state());
            let leaving = objects.filter(|object| {
                object.0.as_ref().is_ok_and(|object| {
                    object.meta().deletion_timestamp.is_some()
                        && belongs(&object.clone().into_resource())
                })
            });
            leaving.count()
        }
        let belongs = |resource: &Resource| {
            let (points, _) = resource.target();
            let belongs =
                |points: &AccountRef| account_id(&resource.id().namespace, points) == *account;
            points.is_some_and(belongs)
        };
        count(&self.users, &belongs)
            + count(&self.streams, &belongs)
            + count(&self.kv_buckets, &belongs)
            + count(&self.object_stores, &belongs)
            + count(&self.consumers, &belongs)
    }

    fn clusters(&self) -> impl Iterator<Item = ClusterView> {
        let stores = self.clusters.iter();
        stores
            .flat_map(|store| store.state())
            .map(|object| ClusterView::of(&object))
    }
}

impl Lookup for World {
    fn find(&self, id: &ResourceId) -> Option<Resource> {
        fn find<K: Topological>(stores: &[Guarded<K>], id: &ResourceId) -> Option<Resource> {
            let wanted = ObjectRef::new(&id.name).within(&id.namespace);
            let found = stores.iter().find_map(|store| store.get(&wanted))?;
            Some(found.0.as_ref().ok()?.clone().into_resource())
        }
        match id.kind {
            Kind::Account => find(&self.accounts, id),
            Kind::User => find(&self.users, id),
            Kind::Stream => find(&self.streams, id),
            Kind::KVBucket => find(&self.kv_buckets, id),
            Kind::ObjectStore => find(&self.object_stores, id),
            Kind::Consumer => find(&self.consumers, id),
        }
    }
}
