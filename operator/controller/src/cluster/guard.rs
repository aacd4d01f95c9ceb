//! Protection from deletion: a finalizer that stays as long as the resource asks for it.

use api::cluster::Cluster;
use kube::api::{Patch, PatchParams};
use kube::runtime::events::EventType;
use kube::{Api, Resource, ResourceExt};

use crate::context::{Context, MANAGER};

const FINALIZER: &str = "weir.dev/deletion-protection";

/// Sets or takes back the finalizer, and tells people why a deletion waits.
pub async fn guard(cluster: &Cluster, context: &Context) -> kube::Result<()> {
    let is_guarded = cluster.finalizers().iter().any(|name| name == FINALIZER);
    let is_deleted = cluster.metadata.deletion_timestamp.is_some();
    let wanted = cluster.spec.deletion_protection;
    if is_deleted && is_guarded && wanted {
        let note =
            "the deletion waits, and servers go on; set deletionProtection: false to let it happen";
        context
            .event(
                &cluster.object_ref(&()),
                EventType::Warning,
                "DeletionProtected",
                note,
            )
            .await;
    }
    // A finalizer can not be added any more.
    if wanted == is_guarded || (is_deleted && wanted) {
        return Ok(());
    }
    let mut finalizers = cluster.finalizers().to_vec();
    match wanted {
        true => finalizers.push(FINALIZER.to_owned()),
        false => finalizers.retain(|name| name != FINALIZER),
    }
    let namespace = cluster.namespace().unwrap_or_default();
    let api: Api<Cluster> = Api::namespaced(context.client.clone(), &namespace);
    // With the version, so that a finalizer that somebody else sets meanwhile is not lost.
    let patch = serde_json::json!({ "metadata": {
        "finalizers": finalizers,
        "resourceVersion": cluster.resource_version(),
    } });
    let params = PatchParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    };
    match api
        .patch(&cluster.name_any(), &params, &Patch::Merge(&patch))
        .await
    {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        outcome => outcome.map(drop),
    }
}
