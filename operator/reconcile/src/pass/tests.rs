//! Whole passes against a broker that exists in memory only.

mod broker;
mod driver;

use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};

use api::status::{CONFLICT, RECONCILING, STALLED};
use futures::executor::block_on;
use k8s_openapi::jiff::Timestamp;

use super::*;
use crate::keys::{Directory, Entry, Secret};
use crate::report::{Action, Status};
use broker::FakeBroker;
use identity::nkey::KeyPair;

const ORDERS: &str = include_str!("../../../../examples/orders.yaml");

/// A reconciler with everything it needs, in a folder of its own.
struct World {
    broker: Arc<FakeBroker>,
    store: Arc<Directory>,
    clock: Arc<AtomicI64>,
    reconciler: Reconciler,
    _folder: tempfile::TempDir,
}

impl World {
    fn new() -> World {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Arc::new(Directory::new(folder.path()));
        let clock = Arc::new(AtomicI64::new(1_800_000_000));
        let counter = AtomicU8::new(1);
        let time = Arc::clone(&clock);
        let environment = Environment::new(
            move || Timestamp::from_second(time.load(Ordering::Relaxed)).expect("a time"),
            move || [counter.fetch_add(1, Ordering::Relaxed); 32],
        );
        let roots = block_on(Roots::load(&*store, &environment)).expect("roots");
        let broker = Arc::new(FakeBroker::new(&roots.operator.public_key()));
        let reconciler = Reconciler::new(
            Arc::clone(&broker) as Arc<dyn Broker>,
            Arc::clone(&store) as Arc<dyn KeyStore>,
            environment,
            roots,
            OwnerId::new("here"),
        );
        World {
            broker,
            store,
            clock,
            reconciler,
            _folder: folder,
        }
    }

    fn pass(&self, set: &ResourceSet) -> Report {
        block_on(self.reconciler.reconcile(set))
    }
}

fn read(yaml: &str) -> ResourceSet {
    let found = api::parse_documents(yaml).unwrap_or_else(|problems| panic!("{problems:?}"));
    found.into_iter().map(|found| found.value).collect()
}

fn shop() -> Resource {
    let orders = read(ORDERS);
    let account = orders
        .iter()
        .find(|resource| resource.kind() == Kind::Account);
    account.expect("an account").clone()
}

fn actions(report: &Report) -> Vec<(Kind, Action)> {
    report
        .changed()
        .map(|(id, action)| (id.kind, action))
        .collect()
}

fn only(report: &Report, kind: Kind) -> &Outcome {
    let mut fitting = report
        .outcomes
        .iter()
        .filter(|outcome| outcome.id.kind == kind);
    fitting.next().expect("an outcome")
}

#[test]
fn a_second_pass_changes_nothing() {
    let world = World::new();
    let set = read(ORDERS);
    let first = world.pass(&set);
    assert!(first.is_synced(), "{first:?}");
    assert_eq!(first.changed().count(), 6);
    assert!(first.changed().all(|(_, action)| action == Action::Created));
    let second = world.pass(&set);
    assert!(second.is_synced(), "{second:?}");
    assert_eq!(actions(&second), []);
}

#[test]
fn what_others_change_is_shown_and_corrected() {
    let world = World::new();
    let set = read(ORDERS);
    world.pass(&set);
    world.broker.meddle("ORDERS", "max_age", 5.into());
    let report = world.pass(&set);
    assert_eq!(actions(&report), [(Kind::Stream, Action::Corrected)]);
    let stream = only(&report, Kind::Stream);
    assert_eq!(stream.diff()[0].field, "limits.maxAge");
    assert!(stream.sync().is_true(api::status::DRIFTED));
    let report = world.pass(&set);
    assert!(
        !only(&report, Kind::Stream)
            .sync()
            .is_true(api::status::DRIFTED)
    );
}

#[test]
fn a_broker_that_is_away_is_waited_for() {
    let world = World::new();
    world.broker.set_reachable(false);
    let set = read(ORDERS);
    let report = world.pass(&set);
    assert!(report.needs_retry());
    let stream = only(&report, Kind::Stream);
    assert!(stream.sync().is_true(RECONCILING) && !stream.sync().is_true(STALLED));
    // Credentials need no broker.
    assert!(only(&report, Kind::User).is_synced());
    world.broker.set_reachable(true);
    assert!(world.pass(&set).is_synced());
}

#[test]
fn one_stream_has_one_resource() {
    let world = World::new();
    let twin = "---\napiVersion: weir.dev/v1alpha1\nkind: Stream\nmetadata: {name: zwilling}\n\
                spec: {accountRef: {name: shop}, name: ORDERS}\n";
    let report = world.pass(&read(&format!("{ORDERS}{twin}")));
    let conflicts: Vec<&str> = report
        .outcomes
        .iter()
        .filter(|outcome| outcome.sync().is_true(CONFLICT))
        .map(|outcome| outcome.id.name.as_str())
        .collect();
    assert_eq!(conflicts, ["zwilling"]);
}

#[test]
fn references_must_lead_somewhere() {
    let world = World::new();
    let set = read(ORDERS)
        .iter()
        .filter(|found| found.kind() != Kind::Account)
        .cloned()
        .collect();
    let report = world.pass(&set);
    assert!(!report.is_synced() && !report.needs_retry());
    let error = only(&report, Kind::Stream)
        .error
        .clone()
        .unwrap_or_default();
    assert!(
        error.contains("Account/default/shop does not exist"),
        "{error}"
    );
}

#[test]
fn other_namespaces_need_permission() {
    let world = World::new();
    let guest = "apiVersion: weir.dev/v1alpha1\nkind: User\n\
                 metadata: {name: guest, namespace: other}\n\
                 spec: {accountRef: {name: shop, namespace: default}}\n";
    let mut set = read(guest);
    set.insert(shop());
    let refused = world.pass(&set);
    let error = only(&refused, Kind::User).error.clone().unwrap_or_default();
    assert!(error.contains("allowedNamespaces"), "{error}");
    let Resource::Account(mut account) = shop() else {
        panic!("an account");
    };
    account.spec.allowed_namespaces = vec!["other".to_owned()];
    set.insert(Resource::Account(account));
    assert!(world.pass(&set).is_synced());
}

#[test]
fn claims_are_pushed_only_when_their_content_changes() {
    let world = World::new();
    let mut set = ResourceSet::from_iter([shop()]);
    world.pass(&set);
    world.clock.fetch_add(1000, Ordering::Relaxed);
    assert_eq!(actions(&world.pass(&set)), []);
    assert_eq!(world.broker.pushes(), 1);
    let Resource::Account(mut account) = shop() else {
        panic!("an account");
    };
    account.spec.display_name = Some("Another shop".to_owned());
    set.insert(Resource::Account(account));
    let report = world.pass(&set);
    assert_eq!(actions(&report), [(Kind::Account, Action::Updated)]);
    assert_eq!(only(&report, Kind::Account).diff()[0].field, "claims.name");
    world.broker.lose_claims();
    assert_eq!(
        actions(&world.pass(&set)),
        [(Kind::Account, Action::Corrected)]
    );
}

#[test]
fn deleted_users_are_revoked() {
    let world = World::new();
    let set = read(ORDERS);
    world.pass(&set);
    let entry = Entry::UserCreds {
        namespace: "default".to_owned(),
        name: "web".to_owned(),
    };
    let creds = block_on(world.store.load(&entry))
        .expect("it loads")
        .expect("credentials");
    let key = identity::Creds::parse(creds.expose())
        .expect("credentials")
        .key
        .public_key();
    let left: ResourceSet = set
        .iter()
        .filter(|found| found.id().name != "web")
        .cloned()
        .collect();
    let mut deleting = left.clone();
    let now = world.reconciler.environment().now();
    left.removed_since(&set, now)
        .into_iter()
        .for_each(|gone| deleting.insert(gone));
    let report = world.pass(&deleting);
    assert!(report.is_synced(), "{report:?}");
    assert!(report.outcomes.iter().any(|outcome| outcome.is_gone));
    assert_eq!(block_on(world.store.load(&entry)).expect("it loads"), None);
    assert!(world.broker.is_revoked(&key));
    world.clock.fetch_add(1000, Ordering::Relaxed);
    assert_eq!(actions(&world.pass(&left)), [], "the revocation stays");
    assert!(world.broker.is_revoked(&key));
}

#[test]
fn deletion_follows_the_policies() {
    let world = World::new();
    let retained = read(ORDERS);
    let deleted =
        read(&ORDERS.replace("  name: ORDERS", "  name: ORDERS\n  deletionPolicy: Delete"));
    let delete = |set: &ResourceSet| {
        let now = world.reconciler.environment().now();
        let gone: ResourceSet = ResourceSet::default()
            .removed_since(set, now)
            .into_iter()
            .collect();
        world.pass(&gone)
    };
    world.pass(&retained);
    let report = delete(&retained);
    assert!(
        report.outcomes.iter().all(|outcome| outcome.is_gone),
        "{report:?}"
    );
    assert!(world.broker.has("ORDERS"));
    world.pass(&deleted);
    assert!(delete(&deleted).is_synced());
    assert!(!world.broker.has("ORDERS"));
    assert!(world.broker.has("KV_settings"));
}

#[test]
fn damaged_keys_are_never_replaced() {
    let world = World::new();
    let entry = Entry::AccountSeed {
        namespace: "default".to_owned(),
        name: "shop".to_owned(),
    };
    block_on(world.store.save(&entry, &Secret::new("SA-rotten"))).expect("it is saved");
    let report = world.pass(&ResourceSet::from_iter([shop()]));
    let account = only(&report, Kind::Account);
    assert!(account.sync().is_true(STALLED), "{account:?}");
    let kept = block_on(world.store.load(&entry)).expect("it loads");
    assert_eq!(kept, Some(Secret::new("SA-rotten")));
}

#[test]
fn many_streams_are_compared_with_one_list() {
    let mut world = World::new();
    let lists = Duration::from_secs(15);
    world.reconciler = world.reconciler.with_lists(lists);
    let stream = |number: usize| {
        format!(
            "---\napiVersion: weir.dev/v1alpha1\nkind: Stream\nmetadata: {{name: s{number}}}\n\
             spec: {{accountRef: {{name: shop}}}}\n"
        )
    };
    let streams: String = (0..40).map(stream).collect();
    let mut set = read(&streams);
    set.insert(shop());
    world.pass(&set);
    world.clock.fetch_add(1000, Ordering::Relaxed);
    world.broker.requests();
    let report = world.pass(&set);
    assert!(report.is_synced() && report.changed().count() == 0);
    // The account's claims, some streams one by one, then pages of two.
    assert_eq!(world.broker.requests(), 1 + 15 + 20);
    world.broker.meddle("s39", "max_age", 5.into());
    world.clock.fetch_add(1000, Ordering::Relaxed);
    let report = world.pass(&set);
    assert_eq!(actions(&report), [(Kind::Stream, Action::Corrected)]);
    // The list is not asked about what was changed meanwhile.
    assert_eq!(actions(&world.pass(&set)), []);
}

#[test]
fn an_unchanged_world_is_reported_in_the_same_words() {
    let world = World::new();
    let set = read(ORDERS);
    world.pass(&set);
    world.pass(&set);
    world.clock.fetch_add(1000, Ordering::Relaxed);
    let settled = world.pass(&set);
    world.clock.fetch_add(1000, Ordering::Relaxed);
    assert_eq!(world.pass(&set), settled);
}

#[test]
fn consumers_are_where_their_stream_is() {
    let world = World::new();
    let mut set = read(ORDERS);
    let elsewhere = "apiVersion: weir.dev/v1alpha1\nkind: Consumer\nmetadata: {name: far}\n\
                     spec: {connection: {servers: ['nats://a:4222']}, streamRef: {name: orders}}\n";
    let far = read(elsewhere);
    far.iter().for_each(|found| set.insert(found.clone()));
    let report = world.pass(&set);
    let id = far.iter().next().expect("one").id();
    let error = report.get(&id).and_then(|found| found.error.clone());
    let error = error.unwrap_or_default();
    assert!(error.contains("belongs elsewhere"), "{error}");
}

#[test]
fn a_seed_that_is_given_is_used_and_stays() {
    let world = World::new();
    let Resource::Account(mut account) = shop() else {
        panic!("an account");
    };
    account.spec.key_secret_ref = Some(api::SecretKeyRef {
        name: "old".to_owned(),
        key: "seed".to_owned(),
    });
    account.spec.deletion_policy = api::DeletionPolicy::Delete;
    let mut set = ResourceSet::from_iter([Resource::Account(account)]);
    let report = world.pass(&set);
    assert!(report.needs_retry());
    let error = only(&report, Kind::Account)
        .error
        .clone()
        .unwrap_or_default();
    assert!(
        error.contains("given/default/old/seed does not exist"),
        "{error}"
    );
    let key = KeyPair::from_entropy(identity::nkey::Kind::Account, [7; 32]);
    let entry = Entry::Given {
        namespace: "default".to_owned(),
        name: "old".to_owned(),
        key: "seed".to_owned(),
    };
    block_on(world.store.save(&entry, &Secret::new(key.seed()))).expect("it is saved");
    let report = world.pass(&set);
    let Status::Account(status) = &only(&report, Kind::Account).status else {
        panic!("an account");
    };
    assert_eq!(status.public_key, Some(key.public_key()));
    set = ResourceSet::default()
        .removed_since(&set, world.reconciler.environment().now())
        .into_iter()
        .collect();
    assert!(world.pass(&set).is_synced());
    assert!(
        block_on(world.store.load(&entry))
            .expect("it loads")
            .is_some()
    );
}

#[test]
fn accounts_use_what_others_export() {
    let world = World::new();
    let set = read(
        "apiVersion: weir.dev/v1alpha1\nkind: Account\nmetadata: {name: a}\n\
         spec:\n  imports: [{accountRef: {name: b}, subject: orders.>, localSubject: theirs.>}]\n\
         ---\napiVersion: weir.dev/v1alpha1\nkind: Account\nmetadata: {name: b}\n\
         spec:\n  exports: [{subject: orders.>}]\n  \
         mappings: [{subject: old, destinations: [{subject: new}]}]\n",
    );
    // The key of the one that exports is made later.
    assert!(world.pass(&set).needs_retry());
    let report = world.pass(&set);
    assert!(report.is_synced(), "{report:?}");
    let key = |name: &str| {
        let outcome = report.outcomes.iter().find(|found| found.id.name == name);
        let Some(Status::Account(status)) = outcome.map(|found| &found.status) else {
            panic!("an account");
        };
        status.public_key.clone().expect("a key")
    };
    let importer = world.broker.claims(&key("a"));
    let import = &importer.body.imports[0];
    assert_eq!(
        (&import.account, &*import.local_subject),
        (&key("b"), "theirs.>")
    );
    let exporter = world.broker.claims(&key("b"));
    assert_eq!(exporter.body.exports[0].subject, "orders.>");
    assert_eq!(exporter.body.mappings["old"][0].subject, "new");
    assert_eq!(actions(&world.pass(&set)), []);
}

#[test]
fn keys_that_sign_users_take_turns() {
    const DAY_S: i64 = 86400;
    let world = World::new();
    let rotation = "\n  signingKeys: {rotation: {every: 30d, overlap: 1d}}\n  displayName:";
    let set = read(&ORDERS.replacen("\n  displayName:", rotation, 1));
    let look = || {
        let report = world.pass(&set);
        assert!(report.is_synced(), "{report:?}");
        let Status::Account(account) = &only(&report, Kind::Account).status else {
            panic!("an account's status");
        };
        let own = account.public_key.clone().expect("a key");
        let signer = account.signing_key.clone().expect("a signing key");
        let accepted = world.broker.claims(&own).body.signing_keys.len();
        (report, signer, accepted)
    };
    let issuer = || {
        let entry = Entry::UserCreds {
            namespace: "default".to_owned(),
            name: "web".to_owned(),
        };
        let creds = block_on(world.store.load(&entry)).expect("it loads");
        let creds = identity::Creds::parse(creds.expect("it exists").expose()).expect("creds");
        identity::jwt::UserClaims::decode(&creds.jwt)
            .expect("claims")
            .issuer
    };
    let (_, first, accepted) = look();
    assert_eq!((issuer(), accepted), (first.clone(), 1));
    assert_eq!(actions(&look().0), []);

    world.clock.fetch_add(30 * DAY_S, Ordering::Relaxed);
    let (report, second, accepted) = look();
    assert_ne!(first, second);
    assert_eq!((issuer(), accepted), (second.clone(), 2));
    let renewed = (Kind::User, Action::Renewed);
    let changed = [(Kind::Account, Action::Updated), renewed, renewed];
    assert_eq!(actions(&report), changed);

    world.clock.fetch_add(DAY_S, Ordering::Relaxed);
    let (report, last, accepted) = look();
    assert_eq!((issuer(), last, accepted), (second.clone(), second, 1));
    assert_eq!(actions(&report), [(Kind::Account, Action::Updated)]);
}
