//! The resources that one installation wants.

use std::collections::BTreeMap;

use api::{AccountRef, Resource, ResourceId};

/// Where the resources are that others point to.
pub trait Lookup: Send + Sync {
    fn find(&self, id: &ResourceId) -> Option<Resource>;
}

/// All resources of an installation, those that are being deleted included.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResourceSet {
    resources: BTreeMap<ResourceId, Resource>,
}

impl ResourceSet {
    /// The resources in the order in which they depend on each other.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Resource> {
        self.resources.values()
    }

    pub fn get(&self, id: &ResourceId) -> Option<&Resource> {
        self.resources.get(id)
    }

    /// Adds a resource, or replaces it.
    pub fn insert(&mut self, resource: Resource) {
        self.resources.insert(resource.id(), resource);
    }

    pub fn remove(&mut self, id: &ResourceId) -> Option<Resource> {
        self.resources.remove(id)
    }

    /// What this set no longer holds of an earlier one, marked as being deleted.
    pub fn removed_since(
        &self,
        earlier: &ResourceSet,
        now: k8s_openapi::jiff::Timestamp,
    ) -> Vec<Resource> {
        let gone = earlier.iter().filter(|old| self.get(&old.id()).is_none());
        gone.cloned()
            .map(|mut resource| {
                let time = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now);
                resource
                    .metadata_mut()
                    .deletion_timestamp
                    .get_or_insert(time);
                resource
            })
            .collect()
    }
}

impl Lookup for ResourceSet {
    fn find(&self, id: &ResourceId) -> Option<Resource> {
        self.get(id).cloned()
    }
}

impl FromIterator<Resource> for ResourceSet {
    fn from_iter<I: IntoIterator<Item = Resource>>(resources: I) -> ResourceSet {
        let by_id = |resource: Resource| (resource.id(), resource);
        ResourceSet {
            resources: resources.into_iter().map(by_id).collect(),
        }
    }
}

/// The id of the account that a resource in a namespace points to.
pub fn account_id(namespace: &str, points: &AccountRef) -> ResourceId {
    ResourceId {
        kind: api::Kind::Account,
        namespace: points
            .namespace
            .clone()
            .unwrap_or_else(|| namespace.to_owned()),
        name: points.name.clone(),
    }
}
