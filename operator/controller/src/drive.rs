//! Runs one controller: what all kinds have in common.

use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use kube::Resource;
use kube::runtime::Controller;
use kube::runtime::controller::{self, Action};
use kube::runtime::reflector::ObjectRef;
use serde::de::DeserializeOwned;

use crate::backoff::Backoff;
use crate::context::Context;
use crate::explain::chain;
use crate::stop::Stop;

/// Changes of one object that come together are looked at once.
const DEBOUNCE: Duration = Duration::from_millis(100);

/// Reconciles the objects of a controller until told to stop; those that are being reconciled then
/// are finished. An object that fails is tried again after a wait that doubles.
pub async fn drive<K, E, F>(
    controller: Controller<K>,
    context: Arc<Context>,
    stop: Stop,
    reconcile: impl Fn(Arc<K>, Arc<Context>) -> F + Clone + Send + Sync + 'static,
) where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    E: std::error::Error + Send + Sync + 'static,
    F: Future<Output = Result<Action, E>> + Send + 'static,
{
    let kind = K::kind(&()).into_owned();
    let backoff: Arc<Backoff<ObjectRef<K>>> = Arc::new(Backoff::default());
    let config = controller::Config::default()
        .debounce(DEBOUNCE)
        .concurrency(context.concurrency);
    let measured = {
        let (kind, backoff) = (kind.clone(), Arc::clone(&backoff));
        move |object: Arc<K>, context: Arc<Context>| {
            let (kind, backoff) = (kind.clone(), Arc::clone(&backoff));
            let reconcile = reconcile.clone();
            async move {
                let started = Instant::now();
                let reference = ObjectRef::from_obj(object.as_ref());
                let outcome = reconcile(object, Arc::clone(&context)).await;
                let result = if outcome.is_ok() { "ok" } else { "error" };
                context.metrics.reconciled(&kind, result, started.elapsed());
                if outcome.is_ok() {
                    backoff.forget(&reference);
                }
                outcome
            }
        }
    };
    let on_error = {
        let backoff = Arc::clone(&backoff);
        move |object: Arc<K>, error: &E, _: Arc<Context>| {
            let reference = ObjectRef::from_obj(object.as_ref());
            let wait = backoff.failed(reference.clone());
            tracing::warn!(object = %reference, error = %chain(error), wait_s = wait.as_secs(), "reconciliation failed");
            Action::requeue(wait)
        }
    };
    controller
        .with_config(config)
        .graceful_shutdown_on(stop.wait())
        .run(measured, on_error, Arc::clone(&context))
        .for_each(|outcome| {
            match outcome {
                Ok(_) | Err(controller::Error::ReconcilerFailed(..)) => {}
                // It was deleted while it waited for its turn.
                Err(controller::Error::ObjectNotFound(reference)) => {
                    backoff.forget(&reference.into_kind_unchecked(()));
                }
                Err(error) => {
                    context.metrics.watch_failed(&kind);
                    tracing::warn!(kind, error = %chain(&error), "watch failed and is tried again");
                }
            }
            std::future::ready(())
        })
        .await;
}
