//! Routes are for the cluster's own servers only.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::super::names;
use super::super::validate::ValidCluster;
use super::metadata;

pub fn network_policy(cluster: &ValidCluster) -> NetworkPolicy {
    let said = &cluster.spec.network_policy;
    let clients = Some(said.clients_from.clone()).filter(|from| !from.is_empty());
    let monitors = match said.monitor_from.is_empty() {
        true => vec![everywhere(LabelSelector::default())],
        false => {
            let mut from = said.monitor_from.clone();
            from.push(everywhere(selects(operator())));
            from
        }
    };
    // The operator is a client too.
    let clients = clients.map(|mut from| {
        from.push(everywhere(selects(operator())));
        from
    });
    let own = NetworkPolicyPeer {
        pod_selector: Some(selects(names::selector(&cluster.name))),
        ..NetworkPolicyPeer::default()
    };
    let mut rules = vec![
        rule(names::CLIENT_PORT, clients.clone()),
        rule(names::CLUSTER_PORT, Some(vec![own])),
        rule(names::MONITOR_PORT, Some(monitors)),
    ];
    if cluster.spec.listeners.websocket.is_some() {
        rules.push(rule(names::WEBSOCKET_PORT, clients));
    }
    NetworkPolicy {
        metadata: metadata::owned(cluster, &cluster.name),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(selects(names::selector(&cluster.name))),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ingress: Some(rules),
            ..NetworkPolicySpec::default()
        }),
    }
}

fn rule(port: i32, from: Option<Vec<NetworkPolicyPeer>>) -> NetworkPolicyIngressRule {
    NetworkPolicyIngressRule {
        from,
        ports: Some(vec![NetworkPolicyPort {
            port: Some(IntOrString::Int(port)),
            protocol: Some("TCP".to_owned()),
            ..NetworkPolicyPort::default()
        }]),
    }
}

/// Such pods in all namespaces.
fn everywhere(pods: LabelSelector) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector::default()),
        pod_selector: Some(pods),
        ..NetworkPolicyPeer::default()
    }
}

fn selects(labels: BTreeMap<String, String>) -> LabelSelector {
    LabelSelector {
        match_labels: Some(labels),
        ..LabelSelector::default()
    }
}

/// Labels of the operator's pods, as the chart writes them.
fn operator() -> BTreeMap<String, String> {
    [
        ("app.kubernetes.io/name", "weir"),
        ("app.kubernetes.io/component", "operator"),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect()
}
