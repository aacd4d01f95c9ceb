//! What all objects of a cluster say about themselves.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::super::names;
use super::super::validate::ValidCluster;

/// The metadata of an object that is deleted with its cluster.
pub fn owned(cluster: &ValidCluster, name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(cluster.namespace.clone()),
        labels: Some(names::labels(&cluster.name)),
        owner_references: Some(vec![cluster.owner.clone()]),
        ..ObjectMeta::default()
    }
}
