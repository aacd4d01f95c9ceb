use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec};
use kube::api::ObjectMeta;

use super::super::build::tests::found;
use super::super::dereference::Found;
use super::super::observe::{Observed, Reliance};
use super::super::validate::{ValidCluster, ValidPool};
use super::{Next, SERVERS_ANNOTATION, plan};
use api::cluster::ScaleDownPolicy;

fn cluster(replicas: u16) -> ValidCluster {
    let pool = ValidPool {
        name: "default".into(),
        stateful_set: "shop".into(),
        replicas,
        tags: Vec::new(),
        node_selector: BTreeMap::new(),
        tolerations: Vec::new(),
        resources: Default::default(),
        storage: Default::default(),
        template_size: "1Gi".into(),
    };
    ValidCluster {
        name: "shop".into(),
        namespace: "default".into(),
        owner: Default::default(),
        image: String::new(),
        pools: vec![pool],
        bootstrap: reconcile::Bootstrap {
            operator_token: String::new(),
            system_account: String::new(),
            system_account_token: String::new(),
        },
        certificates: Default::default(),
        windows: Vec::new(),
        leftover: Vec::new(),
        spec: Default::default(),
        node_labels: BTreeMap::new(),
    }
}

/// A StatefulSet that has so many servers, of which so many run.
fn has(servers: u16, running: i32) -> Found {
    let mut found = found();
    let noted = (SERVERS_ANNOTATION.to_owned(), servers.to_string());
    let set = StatefulSet {
        metadata: ObjectMeta {
            annotations: Some(BTreeMap::from([noted])),
            ..ObjectMeta::default()
        },
        spec: Some(StatefulSetSpec {
            replicas: Some(running),
            ..StatefulSetSpec::default()
        }),
        ..StatefulSet::default()
    };
    found.stateful_sets.insert("shop".to_owned(), set);
    found
}

fn observed(server: &str, reliance: Reliance) -> Observed {
    Observed {
        reliance: BTreeMap::from([(server.to_owned(), reliance)]),
        ..Observed::default()
    }
}

fn holding(replicas: u64, evacuating: bool) -> Observed {
    let reliance = Reliance {
        safe: true,
        current: true,
        replicas,
        evacuating,
        ..Reliance::default()
    };
    observed("shop-4", reliance)
}

fn size(plan: &super::Plan) -> u16 {
    plan.sizes["default"]
}

#[test]
fn new_servers_are_added_at_once() {
    let created = plan(&cluster(3), &found(), &Observed::default());
    assert_eq!((size(&created), created.next), (3, Next::Nothing));
    let grown = plan(&cluster(5), &has(3, 3), &Observed::default());
    assert_eq!((size(&grown), grown.next), (5, Next::Growing));
}

#[test]
fn a_server_that_left_comes_back_with_an_empty_volume() {
    let mut found = has(3, 3);
    found
        .claims
        .insert("data-shop-4".to_owned(), Default::default());
    let mut observed = Observed::default();
    // As long as nobody knows whether the others have removed it, nothing is done.
    let unknown = plan(&cluster(5), &found, &observed);
    assert_eq!((size(&unknown), unknown.clear), (3, Vec::new()));
    observed.meta_leader = Some("shop-0".into());
    observed.offline = vec!["shop-4".into()];
    let counted = plan(&cluster(5), &found, &observed);
    assert_eq!((size(&counted), counted.clear), (3, Vec::new()));
    observed.offline.clear();
    let left = plan(&cluster(5), &found, &observed);
    assert_eq!(
        (size(&left), left.clear),
        (3, vec!["data-shop-4".to_owned()])
    );
    assert_eq!(left.next, Next::Growing);
    found.claims.clear();
    assert_eq!(size(&plan(&cluster(5), &found, &observed)), 5);
    // A StatefulSet that was deleted is made again with the volumes that it had.
    found
        .claims
        .insert("data-shop-4".to_owned(), Default::default());
    found.stateful_sets.clear();
    assert_eq!(size(&plan(&cluster(5), &found, &observed)), 5);
}

#[test]
fn a_server_leaves_when_nothing_is_on_it() {
    let asked = plan(&cluster(3), &has(5, 5), &holding(7, false));
    let server = "shop-4".to_owned();
    assert_eq!(size(&asked), 5);
    assert_eq!(asked.next, Next::Evacuate { server });
    let moving = plan(&cluster(3), &has(5, 5), &holding(2, true));
    assert_eq!(size(&moving), 5);
    assert!(
        matches!(moving.next, Next::Wait { .. }),
        "{:?}",
        moving.next
    );
    assert!(moving.keep.is_empty());
    let empty = plan(&cluster(3), &has(5, 5), &holding(0, true));
    assert_eq!(size(&empty), 4);
}

#[test]
fn a_server_that_nobody_knows_about_stays() {
    let unknown = plan(&cluster(3), &has(5, 5), &Observed::default());
    assert_eq!(size(&unknown), 5);
    let mut stranger = Observed::default();
    stranger.strangers.insert("shop-4".into());
    assert_eq!(size(&plan(&cluster(3), &has(5, 5), &stranger)), 5);
    // One that the cluster says is none of its servers can go.
    stranger.meta_leader = Some("shop-0".into());
    assert_eq!(size(&plan(&cluster(3), &has(5, 5), &stranger)), 5);
    stranger
        .reliance
        .insert("shop-0".into(), Reliance::default());
    assert_eq!(size(&plan(&cluster(3), &has(5, 5), &stranger)), 4);
    let leading = Reliance {
        safe: true,
        leaders: 1,
        evacuating: true,
        ..Reliance::default()
    };
    let leading = plan(&cluster(3), &has(5, 5), &observed("shop-4", leading));
    assert_eq!(size(&leading), 5);
    let needed = plan(
        &cluster(3),
        &has(5, 5),
        &observed("shop-4", Reliance::default()),
    );
    assert_eq!(size(&needed), 5);
}

#[test]
fn a_policy_and_the_last_server_can_refuse() {
    let mut strict = cluster(3);
    strict.spec.scale_down.policy = ScaleDownPolicy::Refuse;
    let refused = plan(&strict, &has(5, 5), &holding(7, false));
    assert_eq!(size(&refused), 5);
    assert!(matches!(refused.next, Next::Refused { .. }));
    let allowed = plan(&strict, &has(5, 5), &holding(0, false));
    assert_eq!(size(&allowed), 4);
    let last = plan(&cluster(0), &has(1, 1), &Observed::default());
    assert!(matches!(last.next, Next::Refused { .. }));
}

#[test]
fn an_evacuation_that_is_wanted_no_longer_ends() {
    let back = plan(&cluster(5), &has(5, 5), &holding(2, true));
    assert_eq!((size(&back), back.keep), (5, vec!["shop-4".to_owned()]));
}

#[test]
fn a_cluster_that_hibernates_loses_nobody() {
    let mut cluster = cluster(3);
    cluster.spec.hibernated = true;
    let asleep = plan(&cluster, &has(5, 0), &Observed::default());
    assert_eq!((size(&asleep), &asleep.next), (5, &Next::Nothing));
    // Awake again, they leave properly.
    cluster.spec.hibernated = false;
    let awake = plan(&cluster, &has(5, 0), &Observed::default());
    assert_eq!(size(&awake), 5);
}

#[test]
fn servers_that_left_are_forgotten_by_the_brokers() {
    let mut observed = holding(0, false);
    observed.offline = vec!["shop-4".into(), "shop-1".into(), "other-9".into()];
    let plan = plan(&cluster(4), &has(4, 4), &observed);
    assert_eq!(plan.forget, ["shop-4"]);
}
