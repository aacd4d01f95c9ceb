//! What servers have, worded as resources that would adopt it.
//!
//! Every resource is taken through the steps backwards and forwards: fields that it can not say, and that
//! would therefore be found to differ, are told.

mod names;
mod spec;
#[cfg(test)]
mod tests;

use api::{AccountRef, Connection, Kind};
use serde_json::{Map, Value, json};

use crate::broker::{Broker, Caller, RequestError, call};
use crate::config::{Config, compare};
use crate::dereference::{Place, References};
use crate::observe::{Freshness, Listings, Observer};
use crate::validate::{Address, Validated, complete_consumer, validate};
use names::Names;

/// More pages than any server has.
const PAGES_MAX: u32 = 10_000;

/// Where the resources are to belong.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    Account(AccountRef),
    Connection(Connection),
}

/// What exported resources have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct Export {
    pub target: Target,
    /// Namespace of the resources; none is written if there is none.
    pub namespace: Option<String>,
    /// JetStream domain.
    pub domain: Option<String>,
}

/// One resource, as a document.
#[derive(Clone, Debug, PartialEq)]
pub struct Exported {
    pub kind: Kind,
    /// Its name on the server.
    pub found: String,
    pub document: Value,
    /// Fields that the resource can not say, by the names that servers have for them.
    pub lost: Vec<String>,
}

/// Everything that a caller sees on servers: streams, buckets, object stores and durable consumers.
///
/// # Errors
/// If the servers can not be asked.
pub async fn export(
    broker: &dyn Broker,
    caller: &Caller,
    export: &Export,
    now: k8s_openapi::jiff::Timestamp,
) -> Result<Vec<Exported>, RequestError> {
    let listings = Listings::new(std::time::Duration::ZERO);
    let observer = Observer {
        broker,
        caller,
        domain: export.domain.as_deref(),
        listings: &listings,
        now,
    };
    let mut names = Names::default();
    let mut found = Vec::new();
    for info in pages(observer, "STREAM.LIST", "streams").await? {
        let stream = worded_stream(export, &info["config"], &mut names);
        let (kind, name) = (stream.kind, stream.found.clone());
        let resource = stream.document["metadata"]["name"].clone();
        found.push(stream);
        let list = format!("CONSUMER.LIST.{name}");
        for info in pages(observer, &list, "consumers").await? {
            // Those that clients make for themselves come and go with them.
            if info["config"]["durable_name"]
                .as_str()
                .unwrap_or_default()
                .is_empty()
            {
                continue;
            }
            let of = match kind {
                Kind::Stream => Of::Resource(resource.as_str().unwrap_or_default()),
                _ => Of::Name(&name),
            };
            let config = observer
                .info(&Address::Stream(name.clone()), Freshness::Now)
                .await?
                .map(|info| info["config"].clone());
            let stream = config.unwrap_or_default();
            found.push(worded_consumer(
                export,
                &of,
                &stream,
                &info["config"],
                &mut names,
            ));
        }
    }
    Ok(found)
}

/// The stream of an exported consumer.
enum Of<'a> {
    Resource(&'a str),
    Name(&'a str),
}

async fn pages(
    observer: Observer<'_>,
    request: &str,
    field: &str,
) -> Result<Vec<Value>, RequestError> {
    let subject = observer.subject(request);
    let mut all = Vec::new();
    for _ in 0..PAGES_MAX {
        let from = json!({ "offset": all.len() });
        let mut page = call(observer.broker, observer.caller, &subject, &from).await?;
        let total = page["total"].as_u64().unwrap_or_default();
        let Value::Array(found) = page[field].take() else {
            break;
        };
        if found.is_empty() {
            break;
        }
        all.extend(found);
        if all.len() as u64 >= total {
            break;
        }
    }
    Ok(all)
}

fn worded_stream(export: &Export, config: &Value, names: &mut Names) -> Exported {
    let name = config["name"].as_str().unwrap_or_default();
    for (kind, prefix) in [(Kind::KVBucket, "KV_"), (Kind::ObjectStore, "OBJ_")] {
        let Some(bucket) = name.strip_prefix(prefix) else {
            continue;
        };
        let spec = match kind {
            Kind::KVBucket => spec::kv_bucket(bucket, config),
            _ => spec::object_store(bucket, config),
        };
        let document = export.document(kind, bucket, spec);
        // What differs from a bucket is a stream that is only called so.
        if lost(&document, config, &Value::Null).is_some_and(|lost| lost.is_empty()) {
            return export.named(kind, name, document, Vec::new(), names);
        }
    }
    let document = export.document(Kind::Stream, name, spec::stream(config));
    let lost = lost(&document, config, &Value::Null).unwrap_or_else(unreadable);
    export.named(Kind::Stream, name, document, lost, names)
}

fn worded_consumer(
    export: &Export,
    of: &Of<'_>,
    stream: &Value,
    config: &Value,
    names: &mut Names,
) -> Exported {
    let name = config["durable_name"].as_str().unwrap_or_default();
    let mut spec = spec::consumer(config);
    match of {
        Of::Resource(stream) => spec.insert("streamRef".to_owned(), json!({ "name": stream })),
        Of::Name(stream) => spec.insert("streamName".to_owned(), json!(stream)),
    };
    let document = export.document(Kind::Consumer, name, spec);
    let lost = lost(&document, config, stream).unwrap_or_else(unreadable);
    export.named(Kind::Consumer, name, document, lost, names)
}

fn unreadable() -> Vec<String> {
    vec!["everything: the resource is not valid".to_owned()]
}

impl Export {
    fn document(&self, kind: Kind, name: &str, mut spec: Map<String, Value>) -> Value {
        match &self.target {
            Target::Account(account) => spec.insert("accountRef".to_owned(), json!(account)),
            Target::Connection(connection) => {
                spec.insert("connection".to_owned(), json!(connection))
            }
        };
        if let Some(domain) = &self.domain {
            spec.insert("domain".to_owned(), json!(domain));
        }
        json!({
            "apiVersion": api::API_VERSION,
            "kind": kind.as_str(),
            "metadata": { "name": names::resource_name(name) },
            "spec": spec,
        })
    }

    /// The document under a name of its own.
    fn named(
        &self,
        kind: Kind,
        found: &str,
        mut document: Value,
        lost: Vec<String>,
        names: &mut Names,
    ) -> Exported {
        let name = document["metadata"]["name"].as_str().unwrap_or_default();
        document["metadata"]["name"] = names.unused(kind, name).into();
        if let Some(namespace) = &self.namespace {
            document["metadata"]["namespace"] = namespace.as_str().into();
        }
        Exported {
            kind,
            found: found.to_owned(),
            document,
            lost,
        }
    }
}

/// The fields in which the server would be found to differ from a resource; `None` if it is no valid
/// resource.
fn lost(document: &Value, config: &Value, stream: &Value) -> Option<Vec<String>> {
    let resource = api::parse_document(document.clone()).ok()?;
    let references = References {
        place: Place::Connection,
        stream: Some("S".to_owned()),
        exporters: Vec::new(),
        max_ack_pending: None,
    };
    let Ok(Validated::Asset(mut asset)) = validate(&resource, references) else {
        return None;
    };
    if resource.kind() == Kind::Consumer {
        let empty = Map::new();
        let stream = stream.as_object().unwrap_or(&empty);
        complete_consumer(&mut asset, &Config::from_map(stream));
    }
    let observed = Config::from_map(config.as_object()?);
    let differences = compare(&asset.config, &observed, asset.fields);
    Some(
        differences
            .iter()
            .map(|found| found.field.api.to_owned())
            .collect(),
    )
}
