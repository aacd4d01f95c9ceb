//! Reconciliations against an API server that exists in memory only. Their servers can not be reached.

mod kubernetes;

use api::{Resource, SyncStatus};
use clap::Parser;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::Event;
use serde_json::{Value, json};

use super::object::{self, Error};
use super::writing::{self, FINALIZER};
use super::*;
use crate::metrics::Metrics;
use crate::options::{Cli, Command};
use crate::secrets::Secrets;
use kubernetes::Kubernetes;
use reconcile::{Entry, KeyStore, Secret, account_id};

const STREAM: &str = "/apis/weir.dev/v1alpha1/namespaces/shop/streams/orders";
const USER: &str = "/apis/weir.dev/v1alpha1/namespaces/shop/users/web";

/// Nobody listens there.
const NOWHERE: &str = "connection: {servers: ['nats://127.0.0.1:1']}";

fn document(kind: &str, name: &str, spec: &str) -> Value {
    let spec = spec.trim_end().replace('\n', "\n  ");
    let yaml = format!(
        "apiVersion: weir.dev/v1alpha1\nkind: {kind}\n\
         metadata: {{name: {name}, namespace: shop, generation: 1, uid: u, resourceVersion: '1'}}\n\
         spec:\n  {spec}\n"
    );
    let mut found = api::parse_documents(&yaml).unwrap_or_else(|problems| panic!("{problems:?}"));
    let object = match found.remove(0).value {
        Resource::Stream(stream) => serde_json::to_value(stream),
        Resource::User(user) => serde_json::to_value(user),
        Resource::Account(account) => serde_json::to_value(account),
        other => panic!("{other:?}"),
    };
    object.expect("plain data")
}

fn deleted(mut object: Value) -> Value {
    object["metadata"]["deletionTimestamp"] = "2030-01-01T00:00:00Z".into();
    object["metadata"]["finalizers"] = json!([FINALIZER, "another.dev/finalizer"]);
    object
}

fn stored<K: Topological>(objects: &[Value]) -> Vec<Guarded<K>> {
    let mut writer: Writer<DeserializeGuard<K>> = Writer::default();
    writer.apply_watcher_event(&Event::Init);
    for object in objects {
        let object = serde_json::from_value(object.clone()).expect("an object");
        writer.apply_watcher_event(&Event::InitApply(object));
    }
    writer.apply_watcher_event(&Event::InitDone);
    vec![writer.as_reader()]
}

fn topology(kubernetes: &Kubernetes, world: World) -> Arc<Topology> {
    let arguments = ["weir-operator", "run", "--installation", "here"];
    let Command::Run(options) = Cli::parse_from(arguments).command else {
        panic!("the program runs");
    };
    let metrics = Metrics::new().expect("names differ");
    let context = Context::new(kubernetes.client(), metrics, &options);
    Arc::new(Topology::new(Arc::new(context), world))
}

/// Reconciles the object as the API server has it.
async fn reconcile<K: Topological>(
    topology: &Arc<Topology>,
    kubernetes: &Kubernetes,
    path: &str,
) -> Result<kube::runtime::controller::Action, Error> {
    let object = kubernetes.get(path).expect("it exists");
    let object = serde_json::from_value(object).expect("an object");
    object::reconcile::<K>(Arc::clone(topology), Arc::new(object)).await
}

fn ready(kubernetes: &Kubernetes, path: &str) -> (String, String) {
    let object = kubernetes.get(path).expect("it exists");
    let conditions = object["status"]["conditions"].as_array().cloned();
    let conditions = conditions.unwrap_or_default();
    let ready = conditions.iter().find(|found| found["type"] == "Ready");
    let text = |field: &str| {
        let found = ready.and_then(|ready| ready[field].as_str());
        found.unwrap_or_default().to_owned()
    };
    (text("reason"), text("message"))
}

#[tokio::test]
async fn what_is_said_once_is_not_written_again() {
    let kubernetes = Kubernetes::default();
    kubernetes.put(STREAM, document("Stream", "orders", NOWHERE));
    let topology = topology(&kubernetes, World::default());
    for _ in 0..2 {
        let outcome = reconcile::<Stream>(&topology, &kubernetes, STREAM).await;
        assert!(matches!(outcome, Err(Error::NotYet(_))), "{outcome:?}");
    }
    assert_eq!(kubernetes.writes(), [format!("PATCH {STREAM}/status")]);
    assert_eq!(ready(&kubernetes, STREAM).0, "BrokerNotReachable");
}

#[tokio::test]
async fn references_that_lead_nowhere_wait_for_a_person() {
    let kubernetes = Kubernetes::default();
    let stream = document("Stream", "orders", "accountRef: {name: shop}");
    kubernetes.put(STREAM, stream);
    let lonely = topology(&kubernetes, World::default());
    reconcile::<Stream>(&lonely, &kubernetes, STREAM)
        .await
        .expect("nothing to try again");
    let (reason, message) = ready(&kubernetes, STREAM);
    assert_eq!(reason, "ReferenceNotUsable");
    assert!(
        message.contains("Account/shop/shop does not exist"),
        "{message}"
    );
    let world = World {
        accounts: stored::<Account>(&[document("Account", "shop", "displayName: Shop")]),
        ..World::default()
    };
    let topology = topology(&kubernetes, world);
    reconcile::<Stream>(&topology, &kubernetes, STREAM)
        .await
        .expect("nothing to try again");
    let (_, message) = ready(&kubernetes, STREAM);
    assert!(
        message.contains("namespace shop has no Cluster"),
        "{message}"
    );
}

#[tokio::test]
async fn only_what_needs_cleaning_up_is_held() {
    let kubernetes = Kubernetes::default();
    let topology = topology(&kubernetes, World::default());
    let delete = format!("{NOWHERE}\ndeletionPolicy: Delete");
    kubernetes.put(STREAM, document("Stream", "orders", &delete));
    reconcile::<Stream>(&topology, &kubernetes, STREAM)
        .await
        .ok();
    let held = kubernetes.get(STREAM).expect("it exists");
    assert_eq!(held["metadata"]["finalizers"], json!([FINALIZER]));
    let mut retained = document("Stream", "orders", NOWHERE);
    retained["metadata"] = held["metadata"].clone();
    kubernetes.put(STREAM, retained);
    reconcile::<Stream>(&topology, &kubernetes, STREAM)
        .await
        .ok();
    let freed = kubernetes.get(STREAM).expect("it exists");
    assert_eq!(freed["metadata"]["finalizers"], json!([]));
}

#[tokio::test]
async fn a_deletion_waits_for_its_servers_and_has_a_way_out() {
    let kubernetes = Kubernetes::default();
    let topology = topology(&kubernetes, World::default());
    let delete = format!("{NOWHERE}\ndeletionPolicy: Delete");
    kubernetes.put(STREAM, deleted(document("Stream", "orders", &delete)));
    let error = reconcile::<Stream>(&topology, &kubernetes, STREAM)
        .await
        .expect_err("nobody listens");
    assert!(
        error.to_string().contains("deletionPolicy becomes Retain"),
        "{error}"
    );
    kubernetes.writes();
    kubernetes.put(STREAM, deleted(document("Stream", "orders", NOWHERE)));
    reconcile::<Stream>(&topology, &kubernetes, STREAM)
        .await
        .expect("it is gone");
    assert_eq!(kubernetes.writes(), [format!("PATCH {STREAM}")]);
    let freed = kubernetes.get(STREAM).expect("it exists");
    assert_eq!(
        freed["metadata"]["finalizers"],
        json!(["another.dev/finalizer"])
    );
}

#[tokio::test]
async fn nothing_waits_for_brokers_that_are_gone_for_good() {
    let kubernetes = Kubernetes::default();
    let world = World {
        accounts: stored::<Account>(&[document("Account", "shop", "displayName: Shop")]),
        ..World::default()
    };
    let topology = topology(&kubernetes, world);
    let stream = "accountRef: {name: shop}\ndeletionPolicy: Delete";
    kubernetes.put(STREAM, deleted(document("Stream", "orders", stream)));
    reconcile::<Stream>(&topology, &kubernetes, STREAM)
        .await
        .expect("it is gone");
    let freed = kubernetes.get(STREAM).expect("it exists");
    assert_eq!(
        freed["metadata"]["finalizers"],
        json!(["another.dev/finalizer"])
    );
    // A user's credentials go with it.
    let secrets = Secrets::new(kubernetes.client(), "shop", "weir");
    let entry = Entry::UserCreds {
        namespace: "shop".to_owned(),
        name: "web".to_owned(),
    };
    secrets
        .save(&entry, &Secret::new("creds"))
        .await
        .expect("it is saved");
    kubernetes.put(
        USER,
        deleted(document("User", "web", "accountRef: {name: shop}")),
    );
    reconcile::<User>(&topology, &kubernetes, USER)
        .await
        .expect("it is gone");
    assert_eq!(secrets.load(&entry).await.expect("it loads"), None);
}

#[tokio::test]
async fn an_account_waits_for_what_leaves_with_it() {
    let stream = "accountRef: {name: shop}\ndeletionPolicy: Delete";
    let stays = document("Stream", "stays", stream);
    let leaves = deleted(document("Stream", "leaves", stream));
    let world = World {
        streams: stored::<Stream>(&[stays, leaves]),
        ..World::default()
    };
    let points = api::AccountRef {
        name: "shop".to_owned(),
        namespace: None,
    };
    assert_eq!(world.leaving(&account_id("shop", &points)), 1);
    assert_eq!(world.leaving(&account_id("other", &points)), 0);
}

#[tokio::test]
async fn a_foreign_secret_is_never_overwritten() {
    let kubernetes = Kubernetes::default();
    let path = "/api/v1/namespaces/shop/secrets/web";
    let foreign = json!({"metadata": {"name": "web", "resourceVersion": "1"}, "data": {}});
    kubernetes.put(path, foreign);
    let secrets = Secrets::new(kubernetes.client(), "shop", "weir");
    let entry = Entry::UserCreds {
        namespace: "shop".to_owned(),
        name: "web".to_owned(),
    };
    let error = secrets.save(&entry, &Secret::new("creds")).await;
    let error = error.expect_err("it is somebody else's").to_string();
    assert!(error.contains("rename the User"), "{error}");
    secrets.remove(&entry).await.expect("nothing of ours");
    assert_eq!(kubernetes.writes(), Vec::<String>::new());
}

#[tokio::test]
async fn credentials_say_where_to_connect() {
    let kubernetes = Kubernetes::default();
    let secrets = Secrets::new(kubernetes.client(), "shop", "weir");
    let entry = Entry::UserCreds {
        namespace: "shop".to_owned(),
        name: "web".to_owned(),
    };
    secrets
        .save(&entry, &Secret::new("creds"))
        .await
        .expect("it is saved");
    kubernetes.writes();
    let surroundings = crate::secrets::Surroundings {
        url: "nats://weir.shop.svc:4222".to_owned(),
        authorities: None,
    };
    let owner = k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference {
        name: "web".to_owned(),
        ..Default::default()
    };
    for _ in 0..2 {
        let completed = secrets.complete("shop", "web", &surroundings, Some(owner.clone()));
        completed.await.expect("it is complete");
    }
    assert_eq!(kubernetes.writes().len(), 1);
    let secret = kubernetes
        .get("/api/v1/namespaces/shop/secrets/web")
        .expect("it exists");
    assert_eq!(
        secret["data"]["url"],
        "bmF0czovL3dlaXIuc2hvcC5zdmM6NDIyMg=="
    );
    assert_eq!(secret["metadata"]["ownerReferences"][0]["name"], "web");
}

#[test]
fn numbers_and_afterthoughts_are_written_rarely() {
    let status = |reason: &str, messages: u64| {
        json!({
            "observedGeneration": 1, "messages": messages,
            "conditions": [{"type": "Ready", "reason": reason, "status": "True"}],
        })
    };
    let soon = Some(std::time::Duration::from_secs(5));
    let later = Some(std::time::Duration::from_secs(60));
    let check = |old: &Value, new: &Value, ago, is_news: bool| {
        assert_eq!(writing::is_news(old, new, ago), is_news, "{old} {new}");
    };
    let synced = status("Synced", 1);
    check(&synced, &synced, None, false);
    check(&synced, &status("Synced", 2), soon, false);
    check(&synced, &status("Synced", 2), later, true);
    check(&synced, &status("Synced", 2), None, true);
    check(&status("Corrected", 1), &synced, soon, false);
    check(&status("Corrected", 1), &synced, later, true);
    check(&synced, &status("Conflict", 1), soon, true);
    check(&status("NoLeader", 1), &synced, soon, true);
    check(&Value::Null, &synced, None, true);
}

#[test]
fn people_are_told_once() {
    let stream = document("Stream", "orders", NOWHERE);
    let stream: Stream = serde_json::from_value(stream).expect("a stream");
    let resource = stream.into_resource();
    let environment = reconcile::Environment::system();
    let obstacle = reconcile::Obstacle::Stalled {
        reason: "Invalid",
        message: "wrong".to_owned(),
    };
    let outcome = reconcile::held_up(&resource, obstacle, &environment);
    let told = writing::event(None, &outcome).expect("news");
    assert_eq!((told.1.as_str(), told.2.as_str()), ("Invalid", "wrong"));
    assert!(writing::event(Some(outcome.sync()), &outcome).is_none());
    assert!(writing::event(Some(&SyncStatus::default()), &outcome).is_some());
}
