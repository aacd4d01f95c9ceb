//! Claims of no special kind: requests that an operator signs, such as deleting accounts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Body;
use crate::nkey::Kind;

/// Free claims.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generic(pub BTreeMap<String, Value>);

impl Generic {
    /// The list of texts under a name; what is not text is left out.
    pub fn strings(&self, name: &str) -> Vec<String> {
        let list = self.0.get(name).and_then(Value::as_array);
        list.into_iter()
            .flatten()
            .filter_map(|item| item.as_str().map(str::to_owned))
            .collect()
    }
}

impl Body for Generic {
    const NAME: &'static str = "generic";
    const SUBJECT: Kind = Kind::Operator;
    const ISSUERS: &'static [Kind] = &[Kind::Operator];
}
