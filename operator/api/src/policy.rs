//! How far the reconciliation of a resource may go.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which changes are made on the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ManagementPolicy {
    /// Create, and correct whatever differs.
    #[default]
    Full,
    /// Create, and afterwards only report differences.
    CreateOnly,
    /// Change nothing, report differences.
    Observe,
}

/// What happens on the server when the resource is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// It is deleted too, with all its data.
    Delete,
    /// It stays.
    #[default]
    Retain,
}

/// What happens when the server already has something of that name that nobody manages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AdoptionPolicy {
    /// It is reported as a conflict and left alone.
    Never,
    /// It is taken over if it is configured just as the resource says.
    #[default]
    IfIdentical,
    /// It is taken over and changed to what the resource says.
    Always,
}

/// The policies of one resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policies {
    pub management: ManagementPolicy,
    pub deletion: DeletionPolicy,
    pub adoption: AdoptionPolicy,
}
