//! Who may connect to an account, and what they may do.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{AccountRef, DeletionPolicy, Duration, Quantity, SyncStatus};

/// A user of an account. Its credentials are kept where the program that reconciles keeps secrets.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "weir.dev",
    version = "v1alpha1",
    kind = "User",
    namespaced,
    cel,
    doc = "A user of an account: its permissions, and credentials that clients connect with.",
    status = "UserStatus",
    derive = "PartialEq",
    shortname = "wusr",
    category = "weir",
    printcolumn(
        name = "Account",
        type_ = "string",
        json_path = ".spec.accountRef.name"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Expires", type_ = "date", json_path = ".status.expiresAt"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[x_kube(validation = Rule::new("!has(self.rotateBefore) || has(self.expiresAfter)").message(
    "rotateBefore needs expiresAfter: credentials that never expire are never renewed; set expiresAfter or remove rotateBefore"
))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UserSpec {
    /// The account the user belongs to.
    #[x_kube(validation = Rule::new("self == oldSelf").message(
        "accountRef is fixed: credentials belong to one account; create another User instead"
    ))]
    pub account_ref: AccountRef,
    /// What the user may do. Default: what the account's `defaultPermissions` say, else everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Permissions>,
    /// Limits on each connection of the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<UserLimits>,
    /// How long credentials are valid. Default: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_after: Option<Duration>,
    /// How long before they expire credentials are renewed. Default: a third of `expiresAfter`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate_before: Option<Duration>,
    /// Whether deleting the resource revokes the credentials that clients still hold.
    #[serde(default = "delete")]
    pub deletion_policy: DeletionPolicy,
}

/// Subjects a user may publish and subscribe to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Permissions {
    /// Subjects to publish to. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish: Option<SubjectRules>,
    /// Subjects to subscribe to, each optionally followed by a space and a queue. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscribe: Option<SubjectRules>,
    /// Whether the user may answer requests whatever `publish` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_responses: Option<AllowResponses>,
}

/// Subjects that are allowed and denied. Denied wins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.allow) || has(self.deny)").message(
    "name subjects in allow or deny; to allow everything leave the whole block out, to allow nothing write deny: [\">\"]"
))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SubjectRules {
    /// Default: everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 1024),
        inner(
            length(min = 1, max = 1024),
            regex(pattern = r"^[^\s.]+(\.[^\s.]+)*( [^\s]+)?$")
        )
    )]
    pub allow: Option<Vec<String>>,
    /// Default: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 1024),
        inner(
            length(min = 1, max = 1024),
            regex(pattern = r"^[^\s.]+(\.[^\s.]+)*( [^\s]+)?$")
        )
    )]
    pub deny: Option<Vec<String>>,
}

/// How far a user may answer requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AllowResponses {
    /// Messages that may answer one request.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub max_messages: u32,
    /// How long after the request. Default: `2m`.
    #[serde(default = "two_minutes")]
    pub expires: Duration,
}

/// Limits on one connection. What is left out is unlimited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UserLimits {
    /// Subscriptions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub subscriptions: Option<u32>,
    /// Size of one message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_payload: Option<Quantity>,
    /// Networks to connect from, such as `10.0.0.0/8`. Default: everywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 256),
        inner(length(max = 64), regex(pattern = r"^[0-9a-fA-F.:]+/[0-9]{1,3}$"))
    )]
    pub allowed_networks: Vec<String>,
}

/// What is known about a user.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct UserStatus {
    #[serde(flatten)]
    pub sync: SyncStatus,
    /// The user's public key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
    /// Where the credentials are: a file or the name of a Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<String>,
    /// When the credentials expire.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
}

fn delete() -> DeletionPolicy {
    DeletionPolicy::Delete
}

fn one() -> u32 {
    1
}

fn two_minutes() -> Duration {
    Duration::from_secs(120)
}
