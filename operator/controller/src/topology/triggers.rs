//! When objects are looked at because of others.

use std::collections::HashMap;
use std::sync::Arc;

use api::{Account, AccountRef, Consumer, Kind, ResourceId, Stream, status};
use futures::stream::{self, Stream as FutureStream};
use kube::core::DeserializeGuard;
use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt};
use parking_lot::Mutex;
use reconcile::account_id;
use serde_json::{Value, json};
use tokio::sync::broadcast;

use super::kinds::Topological;
use super::world::Guarded;

/// What was of interest about objects when they were seen last. As large as the number of objects.
#[derive(Clone, Default)]
pub struct Interest(Arc<Mutex<HashMap<(String, String), Value>>>);

impl Interest {
    /// Whether an object differs from how it was seen last in what is of interest.
    pub fn is_new<K: Resource>(&self, object: &K, interest: Value) -> bool {
        let id = (object.namespace().unwrap_or_default(), object.name_any());
        let mut seen = self.0.lock();
        let is_new = seen.get(&id) != Some(&interest);
        seen.insert(id, interest);
        is_new
    }
}

/// A stream of changes that ends when there can be no more.
pub fn changes(receiver: broadcast::Receiver<()>) -> impl FutureStream<Item = ()> + Send + 'static {
    stream::unfold(receiver, |mut receiver| async move {
        match receiver.recv().await {
            // Some were missed: that is a change too.
            Ok(()) | Err(broadcast::error::RecvError::Lagged(_)) => Some(((), receiver)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    })
}

/// The objects of an account that changed.
pub fn of_account<K: Topological>(
    store: Guarded<K>,
) -> impl Fn(DeserializeGuard<Account>) -> Vec<ObjectRef<DeserializeGuard<K>>> + Send + Sync + 'static
{
    let seen = Interest::default();
    move |found| {
        let Ok(account) = found.0 else {
            return Vec::new();
        };
        let status = account.status.as_ref();
        let key = status.map(|status| (&status.public_key, &status.signing_key));
        let interest = json!({
            "generation": account.metadata.generation,
            "deleted": account.metadata.deletion_timestamp.is_some(),
            "key": key,
        });
        if !seen.is_new(&account, interest) {
            return Vec::new();
        }
        let id = ResourceId {
            kind: Kind::Account,
            namespace: account.namespace().unwrap_or_default(),
            name: account.name_any(),
        };
        fitting(&store, |object: &K| {
            let resource = object.clone().into_resource();
            let belongs = |points: &AccountRef| account_id(&resource.id().namespace, points) == id;
            resource.target().0.is_some_and(belongs)
        })
    }
}

/// The consumers of a stream that changed.
pub fn of_stream(
    store: Guarded<Consumer>,
) -> impl Fn(DeserializeGuard<Stream>) -> Vec<ObjectRef<DeserializeGuard<Consumer>>>
+ Send
+ Sync
+ 'static {
    let seen = Interest::default();
    move |found| {
        let Ok(stream) = found.0 else {
            return Vec::new();
        };
        let status = stream.status.as_ref();
        let interest = json!({
            "generation": stream.metadata.generation,
            "deleted": stream.metadata.deletion_timestamp.is_some(),
            "synced": status.is_some_and(|found| found.sync.is_true(status::SYNCED)),
        });
        if !seen.is_new(&stream, interest) {
            return Vec::new();
        }
        fitting(&store, |consumer: &Consumer| {
            let points = consumer.spec.stream_ref.as_ref();
            consumer.namespace() == stream.namespace()
                && points.is_some_and(|points| points.name == stream.name_any())
        })
    }
}

fn fitting<K: Topological>(
    store: &Guarded<K>,
    fits: impl Fn(&K) -> bool,
) -> Vec<ObjectRef<DeserializeGuard<K>>> {
    let objects = store.state();
    let fitting = objects
        .iter()
        .filter(|object| object.0.as_ref().is_ok_and(&fits));
    fitting
        .map(|object| ObjectRef::from_obj(object.as_ref()))
        .collect()
}
