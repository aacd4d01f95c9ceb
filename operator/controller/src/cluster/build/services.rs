//! One Service for clients, and one that gives each server a name.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::super::names;
use super::super::validate::ValidCluster;
use super::metadata;

/// Leads clients to any server that is ready.
pub fn client(cluster: &ValidCluster) -> Service {
    let mut ports = vec![port("client", names::CLIENT_PORT)];
    if cluster.spec.listeners.websocket.is_some() {
        ports.push(port("websocket", names::WEBSOCKET_PORT));
    }
    Service {
        metadata: metadata::owned(cluster, &cluster.name),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            selector: Some(names::selector(&cluster.name)),
            ports: Some(ports),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

/// Gives each server a name.
pub fn servers(cluster: &ValidCluster) -> Service {
    Service {
        metadata: metadata::owned(cluster, &names::servers_service(&cluster.name)),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            // Servers must find each other before they are ready: only together they become it.
            publish_not_ready_addresses: Some(true),
            selector: Some(names::selector(&cluster.name)),
            ports: Some(vec![
                port("client", names::CLIENT_PORT),
                port("cluster", names::CLUSTER_PORT),
                port("monitor", names::MONITOR_PORT),
            ]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

fn port(name: &str, number: i32) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port: number,
        protocol: Some("TCP".to_owned()),
        target_port: Some(IntOrString::String(name.to_owned())),
        ..ServicePort::default()
    }
}
