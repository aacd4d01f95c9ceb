//! What users are told about themselves.

use std::time::{SystemTime, UNIX_EPOCH};

use hub::OriginKind;
use identity::{PermissionRules, ResponseRules, SubjectRules};
use serde::Serialize;

use super::{Request, Shared};

#[derive(Debug, Serialize)]
pub struct UserInfo {
    user: String,
    account: String,
    account_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    user_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    permissions: Option<Permissions>,
    /// Nanoseconds until the login ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<i64>,
}

#[derive(Debug, Serialize)]
struct Permissions {
    publish: Option<Subjects>,
    subscribe: Option<Subjects>,
    #[serde(skip_serializing_if = "Option::is_none")]
    responses: Option<Responses>,
}

#[derive(Debug, Serialize)]
struct Subjects {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allow: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    deny: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Responses {
    max: i64,
    /// Nanoseconds.
    ttl: i64,
}

/// Who sent the request; `None` unless it was a client that is still there.
pub(super) fn info(shared: &Shared, request: &Request) -> Option<UserInfo> {
    if request.origin.kind != OriginKind::Client {
        return None;
    }
    let connection = shared.hub.connection(request.origin.connection)?;
    let login = connection.login.as_deref();
    Some(UserInfo {
        user: connection.user,
        account: request.account.name().to_owned(),
        account_name: request.account.tag(),
        user_name: login.map_or(String::new(), |login| login.name_tag.clone()),
        permissions: login
            .and_then(|login| login.permissions.rules())
            .map(permissions),
        expires: login.and_then(|login| login.expires_at_s).map(|at_s| {
            let now = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            let at_ns = at_s.saturating_mul(1_000_000_000);
            at_ns.saturating_sub(i64::try_from(now.as_nanos()).unwrap_or(i64::MAX))
        }),
    })
}

fn permissions(rules: &PermissionRules) -> Permissions {
    Permissions {
        publish: subjects(&rules.publish),
        subscribe: subjects(&rules.subscribe),
        responses: rules.allow_responses.map(responses),
    }
}

fn subjects(rules: &SubjectRules) -> Option<Subjects> {
    if rules.allow.is_none() && rules.deny.is_empty() {
        return None;
    }
    Some(Subjects {
        allow: rules.allow.clone().unwrap_or_default(),
        deny: rules.deny.clone(),
    })
}

fn responses(rules: ResponseRules) -> Responses {
    let rules = rules.with_defaults();
    Responses {
        max: rules.max_msgs,
        ttl: rules.expires_ns,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_shown_as_they_were_written() {
        let rules = PermissionRules {
            publish: SubjectRules {
                allow: Some(vec!["foo.>".into()]),
                deny: Vec::new(),
            },
            subscribe: SubjectRules::default(),
            allow_responses: Some(ResponseRules {
                max_msgs: 3,
                expires_ns: 5,
            }),
        };
        let shown = serde_json::to_value(permissions(&rules)).unwrap();
        let wanted = serde_json::json!({
            "publish": {"allow": ["foo.>"]},
            "subscribe": null,
            "responses": {"max": 3, "ttl": 5},
        });
        assert_eq!(shown, wanted);
    }
}
