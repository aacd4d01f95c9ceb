//! The custom resource definitions that a Kubernetes cluster needs, generated from the types.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::Value;

use crate::{Account, Consumer, KVBucket, Kind, Stream, User};

/// The definition of one kind.
pub fn definition(kind: Kind) -> CustomResourceDefinition {
    match kind {
        Kind::Account => Account::crd(),
        Kind::User => User::crd(),
        Kind::Stream => Stream::crd(),
        Kind::KVBucket => KVBucket::crd(),
        Kind::Consumer => Consumer::crd(),
    }
}

/// The schema of one kind.
pub(crate) fn schema(kind: Kind) -> Value {
    let mut definition = definition(kind);
    let version = definition.spec.versions.pop();
    let schema = version.and_then(|version| version.schema?.open_api_v3_schema);
    // Plain data with text keys always becomes JSON.
    serde_json::to_value(schema).unwrap_or_default()
}
