//! Brokers ask nothing of the Kubernetes API, so their account has no token.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::super::validate::ValidCluster;
use super::metadata;

pub fn service_account(cluster: &ValidCluster) -> ServiceAccount {
    ServiceAccount {
        metadata: metadata::owned(cluster, &cluster.name),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}
