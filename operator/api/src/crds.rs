//! The custom resource definitions that a Kubernetes cluster needs, generated from the types.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;
use serde_json::Value;

use crate::{Account, Cluster, Consumer, KVBucket, Kind, ObjectStore, Stream, User};

/// The definitions of all kinds, in the order in which they depend on each other.
pub fn definitions() -> Vec<CustomResourceDefinition> {
    let cluster = adapted(Cluster::crd());
    std::iter::once(cluster)
        .chain(Kind::ALL.into_iter().map(definition))
        .collect()
}

/// The definition of one kind.
pub fn definition(kind: Kind) -> CustomResourceDefinition {
    adapted(match kind {
        Kind::Account => Account::crd(),
        Kind::User => User::crd(),
        Kind::Stream => Stream::crd(),
        Kind::KVBucket => KVBucket::crd(),
        Kind::ObjectStore => ObjectStore::crd(),
        Kind::Consumer => Consumer::crd(),
    })
}

/// The text of the file that holds a definition.
///
/// # Errors
/// Those of the YAML library, which plain data does not cause.
pub fn to_yaml(definition: &CustomResourceDefinition) -> Result<String, serde_yaml::Error> {
    let text = serde_yaml::to_string(definition)?;
    Ok(format!(
        "# Generated from operator/api; UPDATE_CRDS=1 cargo test -p api writes it again.\n{text}"
    ))
}

/// The name of the file that holds a definition.
pub fn file_name(definition: &CustomResourceDefinition) -> String {
    format!("{}.yaml", definition.spec.names.plural)
}

/// The schema of one kind.
pub(crate) fn schema(kind: Kind) -> Value {
    let mut definition = definition(kind);
    let version = definition.spec.versions.pop();
    let schema = version.and_then(|version| version.schema?.open_api_v3_schema);
    // Plain data with text keys always becomes JSON.
    serde_json::to_value(schema).unwrap_or_default()
}

fn adapted(mut definition: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut definition.spec.versions {
        let schema = version.schema.as_mut();
        if let Some(schema) = schema.and_then(|schema| schema.open_api_v3_schema.as_mut()) {
            adapt(schema);
        }
    }
    definition
}

/// Brings a generated schema closer to what API servers do best with.
fn adapt(schema: &mut JSONSchemaProps) {
    // A field that is there and null would pass for one that is set. Leave it out instead.
    schema.nullable = None;
    // API servers warn about formats they do not know.
    if let Some(format) = schema.format.take_if(|format| format.starts_with("uint"))
        && format == "uint32"
    {
        schema.maximum.get_or_insert(f64::from(u32::MAX));
    }
    for property in schema
        .properties
        .iter_mut()
        .flat_map(|fields| fields.values_mut())
    {
        adapt(property);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        adapt(items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        adapt(values);
    }
}
