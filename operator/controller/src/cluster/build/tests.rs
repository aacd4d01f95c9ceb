//! Fixtures go through the real validation; what is built from them is compared with files, which
//! `UPDATE_FIXTURES=1` writes again. Servers' configurations are read by the broker's own reader.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use api::cluster::Cluster;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::jiff::Timestamp;
use reconcile::{Directory, Environment, Roots};
use serde::Serialize;
use settings::Options;
use settings::options::{Port, Resolver};

use super::super::certificates::{Certificates, Listener, TlsSecret};
use super::super::dereference::Found;
use super::super::names;
use super::super::validate::{Invalid, ValidCluster, validate};
use super::{Built, Sizes, build};

const IMAGE: &str = "weir:test";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cluster/fixtures")
}

fn fixture(name: &str) -> Cluster {
    let text = std::fs::read_to_string(folder().join(format!("{name}.yaml"))).expect("a fixture");
    serde_yaml::from_str(&text).expect("a Cluster")
}

/// Keys that are the same in every run.
pub fn found() -> Found {
    let seed = std::sync::atomic::AtomicU8::new(0);
    let environment = Environment::new(
        || Timestamp::UNIX_EPOCH,
        move || [seed.fetch_add(1, std::sync::atomic::Ordering::Relaxed); 32],
    );
    let keys = tempfile::tempdir().expect("a folder");
    let store = Directory::new(keys.path());
    let roots = futures::executor::block_on(Roots::load(&store, &environment)).expect("keys");
    let tls = |name: &str| {
        let secret = certificate(name);
        (name.to_owned(), secret)
    };
    Found {
        bootstrap: roots.bootstrap(0).expect("it signs"),
        roots,
        tls: BTreeMap::from(["shop-client", "shop-routes", "shop-websocket"].map(tls)),
        kept_tls: BTreeMap::new(),
        stateful_sets: BTreeMap::new(),
        pods: BTreeMap::new(),
        claims: BTreeMap::new(),
        nodes: BTreeMap::new(),
        node_labels: BTreeMap::new(),
    }
}

/// A new one each time.
fn certificate(secret: &str) -> TlsSecret {
    let made = rcgen::generate_simple_self_signed(vec!["shop".to_owned()]).expect("it is made");
    TlsSecret {
        name: secret.to_owned(),
        certificate: made.cert.pem(),
        key: reconcile::Secret::new(made.signing_key.serialize_pem()),
        authority: made.cert.pem(),
    }
}

fn valid(name: &str) -> ValidCluster {
    let mut valid = validate(&fixture(name), &found(), IMAGE).expect("it is valid");
    let zone = BTreeMap::from([("topology.kubernetes.io/zone".to_owned(), "z1".to_owned())]);
    valid.node_labels.insert("shop-0".to_owned(), zone);
    valid
}

fn built(name: &str) -> Built {
    build(&valid(name), &Sizes::new())
}

/// Reads a server's configuration as the broker would.
fn options(secret: &Secret, server: &str) -> Options {
    let files = secret.data.clone().unwrap_or_default();
    let source = settings::Source {
        read_file: &|path: &Path| {
            let name = path.file_name().and_then(|name| name.to_str());
            let file = name.and_then(|name| files.get(name));
            match file {
                Some(file) => Ok(String::from_utf8_lossy(&file.0).into_owned()),
                None if is_mounted(path) => Ok(String::new()),
                None => Err(std::io::ErrorKind::NotFound.into()),
            }
        },
        environment: &|_| None,
    };
    let path = Path::new(names::CONFIG_PATH).join(names::config_file(server));
    Options::read(&path, &source).unwrap_or_else(|problems| panic!("{problems}"))
}

/// Whether the file is one of a Secret with certificates.
fn is_mounted(path: &Path) -> bool {
    let folders = [
        names::CLIENT_TLS_PATH,
        names::ROUTE_TLS_PATH,
        names::WEBSOCKET_TLS_PATH,
    ];
    folders.iter().any(|folder| path.starts_with(folder))
}

/// The objects as documents, without the texts of configurations.
fn documents(built: &Built) -> String {
    fn document(out: &mut String, object: &impl Serialize) {
        out.push_str("---\n");
        out.push_str(&serde_yaml::to_string(object).expect("it is plain data"));
    }
    let objects = &built.objects;
    let mut out = String::new();
    document(&mut out, &objects.service_account);
    for secret in std::iter::once(&objects.config).chain(&objects.certificates) {
        let mut secret = secret.clone();
        for text in secret.data.iter_mut().flatten() {
            text.1.0.clear();
        }
        document(&mut out, &secret);
    }
    document(&mut out, &objects.client_service);
    document(&mut out, &objects.servers_service);
    if let Some(budget) = &objects.disruption_budget {
        document(&mut out, budget);
    }
    if let Some(policy) = &objects.network_policy {
        document(&mut out, policy);
    }
    for set in &objects.stateful_sets {
        document(&mut out, set);
    }
    out
}

fn check(name: &str, suffix: &str, text: &str) {
    let path = folder().join(format!("{name}.{suffix}"));
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        std::fs::write(&path, text).expect("the folder is writable");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == text,
        "{} is not what is built; look at the difference after UPDATE_FIXTURES=1 cargo test -p weir-operator",
        path.display()
    );
}

#[test]
fn objects_are_those_of_the_files() {
    for name in ["minimal", "everything"] {
        check(name, "objects.yaml", &documents(&built(name)));
    }
}

#[test]
fn configurations_are_those_of_the_files() {
    for name in ["minimal", "everything"] {
        let data = built(name).objects.config.data.unwrap_or_default();
        let text = &data.get("shop-0.conf").expect("a configuration").0;
        let text = String::from_utf8_lossy(text).into_owned();
        // Tokens are signed, and long. Certificates, and so their hashes, are others each time.
        let lines = text.lines().map(|line| match line.find(": eyJ") {
            Some(at) => format!("{}: TOKEN", &line[..at]),
            None if line.starts_with("server_metadata") => "server_metadata HASH".to_owned(),
            None => line.to_owned(),
        });
        let lines: Vec<String> = lines.collect();
        check(name, "conf", &(lines.join("\n") + "\n"));
    }
}

#[test]
fn the_broker_reads_what_is_meant() {
    let built = built("everything");
    let options = options(&built.objects.config, "shop-fast-0");
    assert_eq!(options.server_name.as_deref(), Some("shop-fast-0"));
    assert_eq!(options.server_tags, ["env:prod", "disk:nvme"]);
    assert_eq!(options.port, Port::Fixed(4222));
    assert_eq!(options.monitoring.http_port, Some(Port::Fixed(8222)));
    assert_eq!(options.limits.max_connections, 1000);
    assert_eq!(options.limits.max_payload_bytes, 2 << 20);
    assert_eq!(
        options.limits.write_deadline,
        std::time::Duration::from_millis(2500)
    );
    let tls = options.tls.expect("clients use TLS");
    assert!(tls.verify && tls.ca_file.is_some());
    let websocket = &options.websocket;
    assert_eq!(websocket.port, Some(Port::Fixed(8080)));
    assert!(websocket.tls.as_ref().is_some_and(|tls| !tls.verify));
    assert_eq!(websocket.allowed_origins, ["https://shop.example"]);
    assert!(websocket.same_origin && websocket.compression && !websocket.no_tls);
    let jetstream = &options.jetstream;
    assert!(jetstream.enabled);
    assert_eq!(jetstream.store_dir.as_deref(), Some(Path::new("/data")));
    assert_eq!(jetstream.max_store_bytes, Some(8 << 30));
    assert_eq!(jetstream.domain.as_deref(), Some("hub"));
    assert_eq!(jetstream.unique_tag.as_deref(), Some("zone:"));
    assert_eq!(jetstream.limits.max_ha_assets, Some(500));
    let routes = &options.cluster.routes;
    let first = "nats://shop-0.shop-servers.sales.svc:6222";
    assert_eq!(routes.len(), 3);
    assert_eq!(routes[0], first);
    assert!(routes[2].contains("shop-fast-0.shop-servers"));
    assert!(options.cluster.no_advertise);
    assert!(options.cluster.tls.is_some_and(|tls| tls.verify));
    assert_eq!(options.operators.len(), 1);
    assert!(options.system_account.is_some());
    assert_eq!(options.resolver_preload.len(), 1);
    assert!(matches!(options.resolver, Some(Resolver::Directory { .. })));
    assert_eq!(
        options.server_metadata.get(names::CONFIG_METADATA),
        built.config_hashes.get("shop-fast-0")
    );
    assert!(options.unserved.is_empty() && options.warnings.is_empty());
}

#[test]
fn websocket_clients_are_served_without_encryption_only_if_they_are_asked_for() {
    let mut cluster = valid("minimal");
    assert_eq!(cluster.websocket_url(), None);
    let service = |built: &Built| {
        let spec = built.objects.client_service.spec.clone();
        spec.and_then(|spec| spec.ports).unwrap_or_default().len()
    };
    assert_eq!(service(&build(&cluster, &Sizes::new())), 1);
    cluster.spec.listeners.websocket = Some(Default::default());
    let built = build(&cluster, &Sizes::new());
    assert_eq!(service(&built), 2);
    let websocket = options(&built.objects.config, "shop-0").websocket;
    assert!(websocket.no_tls && websocket.port == Some(Port::Fixed(8080)));
    let url = "ws://shop.default.svc:8080";
    assert_eq!(cluster.websocket_url().as_deref(), Some(url));
}

#[test]
fn a_server_has_the_tags_of_its_node() {
    let options = options(&built("everything").objects.config, "shop-0");
    assert_eq!(options.server_tags, ["env:prod", "zone:z1"]);
}

#[test]
fn a_server_that_is_being_replaced_keeps_the_tags_of_its_node() {
    let mut found = found();
    let zone = BTreeMap::from([("topology.kubernetes.io/zone".to_owned(), "z2".to_owned())]);
    found.node_labels.insert("n2".to_owned(), zone);
    found.nodes.insert("shop-1".to_owned(), "n2".to_owned());
    let cluster = validate(&fixture("everything"), &found, IMAGE).expect("it is valid");
    let pool = &cluster.pools[0];
    assert_eq!(cluster.tags(pool, "shop-1"), ["env:prod", "zone:z2"]);
    assert_eq!(cluster.tags(pool, "shop-0"), ["env:prod"]);
}

#[test]
fn the_same_input_gives_the_same_objects_and_another_one_other_hashes() {
    let cluster = valid("everything");
    let first = build(&cluster, &Sizes::new());
    assert_eq!(first, build(&cluster, &Sizes::new()));
    let mut found = found();
    let renewed = certificate("shop-client");
    found.tls.insert(renewed.name.clone(), renewed);
    let renewed = validate(&fixture("everything"), &found, IMAGE).expect("it is valid");
    let second = build(&renewed, &Sizes::new());
    for (server, hash) in &first.config_hashes {
        assert_ne!(second.config_hashes.get(server), Some(hash));
    }
    // A new certificate is no reason to restart.
    assert_eq!(first.objects.stateful_sets, second.objects.stateful_sets);
}

#[test]
fn servers_keep_the_certificate_they_have_when_what_is_named_can_not_be_used() {
    let cluster = fixture("everything");
    let mut found = found();
    let good = validate(&cluster, &found, IMAGE).expect("it is valid");
    assert_eq!(good.certificates.problem, None);
    let before = build(&good, &Sizes::new());
    let mounted = before.objects.certificates.clone().expect("there are some");
    type Damage<'a> = (&'a str, &'a dyn Fn(&mut TlsSecret));
    let damages: [Damage<'_>; 4] = [
        ("tls.crt is no certificate", &|tls| {
            tls.certificate = "?".to_owned()
        }),
        ("tls.key is no private key", &|tls| {
            tls.key = reconcile::Secret::new("?")
        }),
        ("does not go with", &|tls| tls.key = certificate("").key),
        ("ca.crt", &|tls| tls.authority = "?".to_owned()),
    ];
    for (why, damage) in damages {
        let named = found.tls.get("shop-client").expect("it is there").clone();
        damage(found.tls.get_mut("shop-client").expect("it is there"));
        found.kept_tls.clear();
        let refused = validate(&cluster, &found, IMAGE).expect_err("servers have none yet");
        assert_eq!(refused.reason(), "CertificateUnusable");
        assert!(refused.to_string().contains(why), "{refused}");
        found.kept_tls = Certificates::kept(&mounted);
        let valid = validate(&cluster, &found, IMAGE).expect("servers have one");
        assert_eq!(valid.certificates.problem, Some(refused));
        assert_eq!(
            build(&valid, &Sizes::new()).objects.certificates,
            before.objects.certificates
        );
        found.tls.insert("shop-client".to_owned(), named);
    }
    found.tls.remove("shop-client");
    let valid = validate(&cluster, &found, IMAGE).expect("servers have one");
    let reason = valid.certificates.problem.as_ref().map(Invalid::reason);
    assert_eq!(reason, Some("SecretNotFound"));
    let kept = valid.certificates.of(Listener::Client).expect("it is kept");
    assert_eq!(kept.name, "shop-client");
}

#[test]
fn a_cluster_that_hibernates_has_no_pods_and_keeps_its_configuration() {
    let mut cluster = valid("minimal");
    cluster.spec.hibernated = true;
    let built = build(&cluster, &Sizes::new());
    let spec = built.objects.stateful_sets[0]
        .spec
        .clone()
        .expect("a specification");
    assert_eq!(spec.replicas, Some(0));
    assert_eq!(built.config_hashes.len(), 3);
}

#[test]
fn the_size_of_existing_claims_stays_in_the_template() {
    let mut found = found();
    let first = built("minimal").objects.stateful_sets.remove(0);
    found.stateful_sets.insert("shop".to_owned(), first.clone());
    let mut cluster = fixture("minimal");
    cluster.spec.storage.size = api::Quantity::from_bytes(20 << 30);
    let valid = validate(&cluster, &found, IMAGE).expect("it is valid");
    let second = build(&valid, &Sizes::new()).objects.stateful_sets.remove(0);
    let claims = |set: k8s_openapi::api::apps::v1::StatefulSet| {
        set.spec.and_then(|spec| spec.volume_claim_templates)
    };
    assert_eq!(claims(first), claims(second));
}

#[test]
fn a_pool_that_is_gone_leaves_nothing() {
    let mut found = found();
    let mut cluster = valid("minimal");
    cluster.pools[0].replicas = 0;
    let empty = build(&cluster, &Sizes::new())
        .objects
        .stateful_sets
        .remove(0);
    found.stateful_sets.insert("shop-old".to_owned(), empty);
    let cluster = validate(&fixture("minimal"), &found, IMAGE).expect("it is valid");
    assert_eq!(cluster.leftover, ["shop-old"]);
}

#[test]
fn what_is_missing_is_named() {
    let refused = |change: &dyn Fn(&mut Cluster, &mut Found)| -> Invalid {
        let (mut cluster, mut found) = (fixture("everything"), found());
        change(&mut cluster, &mut found);
        validate(&cluster, &found, IMAGE).expect_err("it is not valid")
    };
    let missing = refused(&|_, found| found.tls.clear());
    assert_eq!(missing.reason(), "SecretNotFound");
    assert!(missing.to_string().contains("shop-client"), "{missing}");
    let incomplete = refused(&|_, found| {
        for tls in found.tls.values_mut() {
            tls.authority.clear();
        }
    });
    assert_eq!(incomplete.reason(), "SecretIncomplete");
    assert!(incomplete.to_string().contains("ca.crt"), "{incomplete}");
    let amount = refused(&|cluster, _| {
        let resources = cluster.spec.resources.get_or_insert_default();
        let wrong =
            k8s_openapi::apimachinery::pkg::util::intstr::IntOrString::String("much".into());
        resources.limits.insert("memory".to_owned(), wrong);
    });
    assert!(
        amount.to_string().contains("resources.limits.memory"),
        "{amount}"
    );
    let window = refused(&|cluster, _| {
        let windows = &mut cluster.spec.update.maintenance_windows;
        windows.push(api::cluster::MaintenanceWindow {
            days: Vec::new(),
            start: "22:30".to_owned(),
            duration: api::Duration::from_secs(25 * 3600),
        });
    });
    assert!(window.to_string().contains("22:30"), "{window}");
    let in_use = refused(&|_, found| {
        let set = built("minimal").objects.stateful_sets.remove(0);
        found.stateful_sets.insert("shop-old".to_owned(), set);
    });
    assert_eq!(in_use.reason(), "PoolInUse");
    let many = refused(&|cluster, _| cluster.spec.replicas = 64);
    assert_eq!(many.reason(), "InvalidSpec");
}
