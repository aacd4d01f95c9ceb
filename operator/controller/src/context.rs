//! What every controller is given.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::{ApiResource, DynamicObject};
use kube::core::NamespaceResourceScope;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Api, Client, Resource};
use reconcile::Environment;

use crate::metrics::Metrics;
use crate::options::Options;

/// The name under which fields are owned and events are reported.
pub const MANAGER: &str = "weir-operator";
/// The API allows no longer notes.
const MAX_NOTE_BYTES: usize = 1024;

pub struct Context {
    pub client: Client,
    pub metrics: Metrics,
    /// Time and randomness.
    pub environment: Environment,
    /// The brokers' image where a Cluster names none.
    pub broker_image: String,
    recorder: Recorder,
    /// What is watched; all if empty.
    namespaces: Vec<String>,
    pub concurrency: u16,
    /// What this installation is called in marks; the id of the Kubernetes cluster if there is none.
    pub installation: Option<String>,
}

/// All namespaces, or one.
#[derive(Clone)]
pub struct Scope {
    client: Client,
    namespace: Option<String>,
}

impl Scope {
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        match &self.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }
}

impl Context {
    pub fn new(client: Client, metrics: Metrics, options: &Options) -> Context {
        let reporter = Reporter {
            controller: MANAGER.to_owned(),
            instance: Some(options.identity()),
        };
        Context {
            recorder: Recorder::new(client.clone(), reporter),
            client,
            metrics,
            environment: Environment::system(),
            broker_image: options.broker_image.clone(),
            namespaces: options.watch_namespace.clone(),
            concurrency: options.concurrency,
            installation: options.installation.clone(),
        }
    }

    /// The parts of the API that are watched: all namespaces, or one by one.
    pub fn scopes(&self) -> Vec<Scope> {
        let client = || self.client.clone();
        if self.namespaces.is_empty() {
            return vec![Scope {
                client: client(),
                namespace: None,
            }];
        }
        let namespaces = self.namespaces.iter();
        namespaces
            .map(|namespace| Scope {
                client: client(),
                namespace: Some(namespace.clone()),
            })
            .collect()
    }

    /// The same for one kind.
    pub fn watched<K>(&self) -> Vec<Api<K>>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        self.scopes().iter().map(Scope::api).collect()
    }

    /// The same for objects that are read without a type.
    pub fn watched_as(&self, resource: &ApiResource) -> Vec<Api<DynamicObject>> {
        if self.namespaces.is_empty() {
            return vec![Api::all_with(self.client.clone(), resource)];
        }
        let namespaces = self.namespaces.iter();
        namespaces
            .map(|namespace| Api::namespaced_with(self.client.clone(), namespace, resource))
            .collect()
    }

    /// Tells people who look at an object what happened. Repeated events are counted by the API.
    /// Events are for people only, so that one that cannot be written is logged and forgotten.
    pub async fn event(&self, about: &ObjectReference, type_: EventType, reason: &str, note: &str) {
        let event = Event {
            type_,
            reason: reason.to_owned(),
            note: Some(shortened(note)),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        if let Err(error) = self.recorder.publish(&event, about).await {
            tracing::warn!(%error, reason, note, "event not written");
        }
    }
}

/// As much of a note as the API takes.
fn shortened(note: &str) -> String {
    let mut end = note.len().min(MAX_NOTE_BYTES);
    while !note.is_char_boundary(end) {
        end -= 1;
    }
    note[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_fit_and_stay_text() {
        assert_eq!(shortened("short"), "short");
        let long = "ä".repeat(MAX_NOTE_BYTES);
        assert_eq!(shortened(&long).len(), MAX_NOTE_BYTES);
        let odd = format!("a{long}");
        assert_eq!(shortened(&odd).len(), MAX_NOTE_BYTES - 1);
    }
}
