//! The servers of one pool.

use std::collections::BTreeMap;

use api::cluster::{PodTemplate, PullPolicy};
use k8s_openapi::api::apps::v1::{
    StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec,
    StatefulSetUpdateStrategy,
};
use k8s_openapi::api::core::v1::{
    Affinity, Capabilities, Container, ContainerPort, EnvVar, EnvVarSource, HTTPGetAction,
    KeyToPath, Lifecycle, LifecycleHandler, LocalObjectReference, ObjectFieldSelector,
    PersistentVolumeClaim, PersistentVolumeClaimSpec, PodAffinityTerm, PodAntiAffinity,
    PodSecurityContext, PodSpec, PodTemplateSpec, Probe, SeccompProfile, SecretVolumeSource,
    SecurityContext, SleepAction, TopologySpreadConstraint, Volume, VolumeMount,
    VolumeResourceRequirements, WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::super::certificates::Listener;
use super::super::names;
use super::super::scale::SERVERS_ANNOTATION;
use super::super::validate::{ValidCluster, ValidPool};
use super::metadata;

/// The user of the image.
const USER: i64 = 65532;
const GRACE_PERIOD_S: u16 = 60;
/// New connections stop coming before the server is told to stop.
const PRE_STOP_S: i64 = 2;
const HOSTNAME_LABEL: &str = "kubernetes.io/hostname";
const ZONE_LABEL: &str = "topology.kubernetes.io/zone";

pub fn stateful_set(cluster: &ValidCluster, pool: &ValidPool, servers: u16) -> StatefulSet {
    let labels = names::pool_selector(&cluster.name, &pool.name);
    let mut metadata = metadata::owned(cluster, &pool.stateful_set);
    let pool_label = (names::POOL_LABEL.to_owned(), pool.name.clone());
    metadata.labels.get_or_insert_default().extend([pool_label]);
    let noted = (SERVERS_ANNOTATION.to_owned(), servers.to_string());
    metadata.annotations = Some(BTreeMap::from([noted]));
    let replicas = match cluster.spec.hibernated {
        true => 0,
        false => servers,
    };
    StatefulSet {
        metadata,
        spec: Some(StatefulSetSpec {
            replicas: Some(i32::from(replicas)),
            service_name: Some(names::servers_service(&cluster.name)),
            // Servers form the cluster together: none is ready before most of them are there.
            pod_management_policy: Some("Parallel".to_owned()),
            // The operator knows when a server can be restarted; Kubernetes does not.
            update_strategy: Some(StatefulSetUpdateStrategy {
                type_: Some("OnDelete".to_owned()),
                ..StatefulSetUpdateStrategy::default()
            }),
            persistent_volume_claim_retention_policy: Some(retention()),
            selector: LabelSelector {
                match_labels: Some(labels.clone()),
                ..LabelSelector::default()
            },
            template: template(cluster, pool, labels),
            volume_claim_templates: Some(vec![claim(cluster, pool)]),
            ..StatefulSetSpec::default()
        }),
        ..StatefulSet::default()
    }
}

/// A person who deletes the StatefulSet, or a cluster that hibernates, must not lose data: what becomes of
/// claims, the operator decides itself.
fn retention() -> StatefulSetPersistentVolumeClaimRetentionPolicy {
    StatefulSetPersistentVolumeClaimRetentionPolicy {
        when_deleted: Some("Retain".to_owned()),
        when_scaled: Some("Retain".to_owned()),
    }
}

fn claim(cluster: &ValidCluster, pool: &ValidPool) -> PersistentVolumeClaim {
    let size = Quantity(pool.template_size.clone());
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(names::DATA_VOLUME.to_owned()),
            labels: Some(names::pool_selector(&cluster.name, &pool.name)),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            storage_class_name: pool.storage.class_name.clone(),
            resources: Some(VolumeResourceRequirements {
                requests: Some(BTreeMap::from([("storage".to_owned(), size)])),
                ..VolumeResourceRequirements::default()
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        ..PersistentVolumeClaim::default()
    }
}

fn template(
    cluster: &ValidCluster,
    pool: &ValidPool,
    labels: BTreeMap<String, String>,
) -> PodTemplateSpec {
    let spec = &cluster.spec;
    let more = spec.pod_template.clone().unwrap_or_default();
    let mut all_labels = more.labels.clone();
    all_labels.extend(labels);
    let annotations = Some(more.annotations.clone()).filter(|annotations| !annotations.is_empty());
    let grace = more
        .termination_grace_period_seconds
        .unwrap_or(GRACE_PERIOD_S);
    let secrets = spec.image_pull_secrets.iter();
    let secrets: Vec<_> = secrets
        .map(|name| LocalObjectReference { name: name.clone() })
        .collect();
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(all_labels),
            annotations,
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            service_account_name: Some(cluster.name.clone()),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            image_pull_secrets: some(secrets),
            priority_class_name: more.priority_class_name.clone(),
            termination_grace_period_seconds: Some(i64::from(grace)),
            node_selector: Some(pool.node_selector.clone()).filter(|labels| !labels.is_empty()),
            tolerations: some(pool.tolerations.clone()),
            affinity: Some(apart(cluster, &more)),
            topology_spread_constraints: some(spread(cluster, &more)),
            security_context: Some(PodSecurityContext {
                run_as_non_root: Some(true),
                run_as_user: Some(USER),
                run_as_group: Some(USER),
                fs_group: Some(USER),
                fs_group_change_policy: Some("OnRootMismatch".to_owned()),
                seccomp_profile: Some(seccomp()),
                ..PodSecurityContext::default()
            }),
            containers: vec![container(cluster, pool)],
            volumes: Some(volumes(cluster)),
            ..PodSpec::default()
        }),
    }
}

fn container(cluster: &ValidCluster, pool: &ValidPool) -> Container {
    let config = format!("{}/$(POD_NAME).conf", names::CONFIG_PATH);
    Container {
        name: names::CONTAINER.to_owned(),
        image: Some(cluster.image.clone()),
        image_pull_policy: cluster.spec.image_pull_policy.map(|policy| {
            let policy = match policy {
                PullPolicy::Always => "Always",
                PullPolicy::IfNotPresent => "IfNotPresent",
                PullPolicy::Never => "Never",
            };
            policy.to_owned()
        }),
        args: Some(vec!["-c".to_owned(), config]),
        env: Some(vec![EnvVar {
            name: "POD_NAME".to_owned(),
            value_from: Some(EnvVarSource {
                field_ref: Some(ObjectFieldSelector {
                    field_path: "metadata.name".to_owned(),
                    ..ObjectFieldSelector::default()
                }),
                ..EnvVarSource::default()
            }),
            ..EnvVar::default()
        }]),
        ports: Some(ports(cluster)),
        resources: Some(pool.resources.clone()),
        // Reading the log after a crash takes its time: half an hour. Then the server answers.
        startup_probe: Some(probe("/healthz?js-enabled-only=true", 2, 900)),
        // A server that answers at all is not restarted: that would only make it catch up again.
        liveness_probe: Some(probe("/varz", 10, 6)),
        // It takes part in the cluster, whether or not all its streams have caught up.
        readiness_probe: Some(probe("/healthz?js-server-only=true", 5, 3)),
        lifecycle: Some(Lifecycle {
            pre_stop: Some(LifecycleHandler {
                sleep: Some(SleepAction {
                    seconds: PRE_STOP_S,
                }),
                ..LifecycleHandler::default()
            }),
            ..Lifecycle::default()
        }),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            run_as_non_root: Some(true),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".to_owned()]),
                ..Capabilities::default()
            }),
            seccomp_profile: Some(seccomp()),
            ..SecurityContext::default()
        }),
        volume_mounts: Some(mounts(cluster)),
        ..Container::default()
    }
}

fn probe(path: &str, period_s: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String("monitor".to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_s),
        timeout_seconds: Some(5),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

fn ports(cluster: &ValidCluster) -> Vec<ContainerPort> {
    let mut ports = vec![
        port("client", names::CLIENT_PORT),
        port("cluster", names::CLUSTER_PORT),
        port("monitor", names::MONITOR_PORT),
    ];
    if cluster.spec.listeners.websocket.is_some() {
        ports.push(port("websocket", names::WEBSOCKET_PORT));
    }
    ports
}

fn port(name: &str, number: i32) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: number,
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

/// A Secret in the pods.
struct Mounted {
    volume: &'static str,
    secret: String,
    /// Its entries and the names of their files. Default: all under their own names.
    items: Option<Vec<KeyToPath>>,
    path: &'static str,
}

fn secrets(cluster: &ValidCluster) -> Vec<Mounted> {
    let mut all = vec![Mounted {
        volume: "config",
        secret: names::config_secret(&cluster.name),
        items: None,
        path: names::CONFIG_PATH,
    }];
    let encrypted = Listener::ALL
        .into_iter()
        .filter(|listener| cluster.certificates.of(*listener).is_some());
    all.extend(encrypted.map(|listener| {
        let (volume, path) = match listener {
            Listener::Client => ("client-tls", names::CLIENT_TLS_PATH),
            Listener::Cluster => ("cluster-tls", names::ROUTE_TLS_PATH),
            Listener::WebSocket => ("websocket-tls", names::WEBSOCKET_TLS_PATH),
        };
        let items = listener.entries().map(|(key, file)| KeyToPath {
            key,
            path: file.to_owned(),
            mode: None,
        });
        Mounted {
            volume,
            secret: names::certificates_secret(&cluster.name),
            items: Some(items.to_vec()),
            path,
        }
    }));
    all
}

fn volumes(cluster: &ValidCluster) -> Vec<Volume> {
    let secrets = secrets(cluster).into_iter();
    secrets
        .map(|mounted| Volume {
            name: mounted.volume.to_owned(),
            secret: Some(SecretVolumeSource {
                secret_name: Some(mounted.secret),
                default_mode: Some(0o440),
                items: mounted.items,
                ..SecretVolumeSource::default()
            }),
            ..Volume::default()
        })
        .collect()
}

fn mounts(cluster: &ValidCluster) -> Vec<VolumeMount> {
    let data = VolumeMount {
        name: names::DATA_VOLUME.to_owned(),
        mount_path: names::DATA_PATH.to_owned(),
        ..VolumeMount::default()
    };
    let secrets = secrets(cluster).into_iter();
    let secrets = secrets.map(|mounted| VolumeMount {
        name: mounted.volume.to_owned(),
        mount_path: mounted.path.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    });
    std::iter::once(data).chain(secrets).collect()
}

/// Keeps servers of the whole cluster on different nodes.
fn apart(cluster: &ValidCluster, more: &PodTemplate) -> Affinity {
    let term = PodAffinityTerm {
        topology_key: HOSTNAME_LABEL.to_owned(),
        label_selector: Some(all_servers(cluster)),
        ..PodAffinityTerm::default()
    };
    let anti_affinity = match more.one_per_node {
        true => PodAntiAffinity {
            required_during_scheduling_ignored_during_execution: Some(vec![term]),
            ..PodAntiAffinity::default()
        },
        false => PodAntiAffinity {
            preferred_during_scheduling_ignored_during_execution: Some(vec![
                WeightedPodAffinityTerm {
                    weight: 100,
                    pod_affinity_term: term,
                },
            ]),
            ..PodAntiAffinity::default()
        },
    };
    Affinity {
        pod_anti_affinity: Some(anti_affinity),
        ..Affinity::default()
    }
}

/// Spreads servers of the whole cluster over zones.
fn spread(cluster: &ValidCluster, more: &PodTemplate) -> Vec<TopologySpreadConstraint> {
    let default = vec![ZONE_LABEL.to_owned()];
    let labels = more.spread_over.clone().unwrap_or(default);
    labels
        .into_iter()
        .map(|label| TopologySpreadConstraint {
            max_skew: 1,
            topology_key: label,
            when_unsatisfiable: "ScheduleAnyway".to_owned(),
            label_selector: Some(all_servers(cluster)),
            ..TopologySpreadConstraint::default()
        })
        .collect()
}

fn all_servers(cluster: &ValidCluster) -> LabelSelector {
    LabelSelector {
        match_labels: Some(names::selector(&cluster.name)),
        ..LabelSelector::default()
    }
}

fn seccomp() -> SeccompProfile {
    SeccompProfile {
        type_: "RuntimeDefault".to_owned(),
        ..SeccompProfile::default()
    }
}

fn some<T>(items: Vec<T>) -> Option<Vec<T>> {
    (!items.is_empty()).then_some(items)
}
