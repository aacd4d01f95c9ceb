//! `authorization` blocks and permissions.

use super::{Reader, nkey, set, subject, users};
use crate::options::{
    AuthCallout, Authorization, Permissions, ResponsePermission, SubjectPermission,
};
use crate::value::{Entry, Value};

impl Reader<'_> {
    pub fn authorization(&mut self, entry: &Entry) -> Option<Authorization> {
        let map = self.map(entry)?;
        let mut authorization = Authorization::default();
        for entry in &map.entries {
            match entry.key.to_ascii_lowercase().as_str() {
                "user" | "username" => set(&mut authorization.user, self.text(entry)),
                "pass" | "password" => set(&mut authorization.password, self.text(entry)),
                "token" => set(&mut authorization.token, self.text(entry)),
                "timeout" => {
                    set(
                        &mut authorization.timeout,
                        self.authentication_timeout(entry),
                    );
                }
                "users" => set(&mut authorization.users, users::read(self, entry)),
                "default_permission" | "default_permissions" | "permissions" => {
                    set(
                        &mut authorization.default_permissions,
                        self.permissions(entry).map(Some),
                    );
                }
                "auth_callout" | "auth_hook" => {
                    set(
                        &mut authorization.auth_callout,
                        self.auth_callout(entry).map(Some),
                    );
                }
                "proxy_required" => set(&mut authorization.proxy_required, self.boolean(entry)),
                _ => self.unknown(entry),
            }
        }
        Some(authorization)
    }

    fn auth_callout(&mut self, entry: &Entry) -> Option<AuthCallout> {
        let map = self.map(entry)?;
        let mut callout = AuthCallout::default();
        for entry in &map.entries {
            match entry.key.to_ascii_lowercase().as_str() {
                "issuer" => {
                    let issuer = self.key(entry, nkey::Kind::Account, "account nkey");
                    set(&mut callout.issuer, issuer);
                }
                "account" | "acc" => set(&mut callout.account, self.text(entry)),
                "auth_users" | "users" => set(&mut callout.auth_users, self.string_array(entry)),
                "xkey" | "key" => {
                    let xkey = self.key(entry, nkey::Kind::Curve, "xkey");
                    set(&mut callout.xkey, xkey.map(Some));
                }
                "allowed_accounts" => {
                    set(&mut callout.allowed_accounts, self.string_array(entry));
                }
                _ => self.unknown(entry),
            }
        }
        if map.get("issuer").is_none() {
            self.problem(&entry.position, "authorization callouts require an issuer");
        }
        if callout.auth_users.is_empty() {
            self.problem(
                &entry.position,
                "authorization callouts require authorized users",
            );
        }
        Some(callout)
    }

    pub fn key(&mut self, entry: &Entry, kind: nkey::Kind, what: &str) -> Option<String> {
        let key = self.string(entry)?;
        if !nkey::is_public(&key, kind) {
            let reason = format!("{:?} must be a valid public {what}, got {key:?}", entry.key);
            self.problem(&entry.value.position, reason);
            return None;
        }
        Some(key)
    }

    pub fn permissions(&mut self, entry: &Entry) -> Option<Permissions> {
        let map = self.map(entry)?;
        let mut permissions = Permissions::default();
        for entry in &map.entries {
            match entry.key.to_ascii_lowercase().as_str() {
                "pub" | "publish" | "import" => {
                    set(
                        &mut permissions.publish,
                        self.subject_permission(entry, false),
                    );
                }
                "sub" | "subscribe" | "export" => {
                    set(
                        &mut permissions.subscribe,
                        self.subject_permission(entry, true),
                    );
                }
                "publish_allow_responses" | "allow_responses" => {
                    set(&mut permissions.responses, self.allow_responses(entry));
                }
                _ => self.unknown(entry),
            }
        }
        if permissions.responses.is_some() {
            permissions.publish.allow.get_or_insert_default();
        }
        Some(permissions)
    }

    /// A subject, a list of them, or a block with `allow` and `deny`.
    fn subject_permission(&mut self, entry: &Entry, queues: bool) -> Option<SubjectPermission> {
        let Value::Map(map) = &entry.value.value else {
            let allow = self.subjects(entry, queues)?;
            return Some(SubjectPermission {
                allow: nonempty(allow),
                deny: Vec::new(),
            });
        };
        let mut permission = SubjectPermission::default();
        for entry in &map.entries {
            match entry.key.to_ascii_lowercase().as_str() {
                "allow" => set(
                    &mut permission.allow,
                    self.subjects(entry, queues).map(nonempty),
                ),
                "deny" => set(&mut permission.deny, self.subjects(entry, queues)),
                _ => self.unknown(entry),
            }
        }
        Some(permission)
    }

    pub fn subjects(&mut self, entry: &Entry, queues: bool) -> Option<Vec<String>> {
        let subjects = self.strings(entry)?;
        for subject in &subjects {
            if let Err(reason) = subject::check_permission(subject, queues) {
                self.problem(&entry.value.position, reason);
            }
        }
        Some(subjects)
    }

    fn allow_responses(&mut self, entry: &Entry) -> Option<Option<ResponsePermission>> {
        let map = match &entry.value.value {
            Value::Bool(allow) => return Some(allow.then(ResponsePermission::default)),
            Value::Map(map) => map,
            _ => {
                self.wrong_kind(&entry.key, &entry.value, "true, false or a block");
                return None;
            }
        };
        let mut responses = ResponsePermission::default();
        for entry in &map.entries {
            match entry.key.to_ascii_lowercase().as_str() {
                // Negative means no limit, zero the default.
                "max" | "max_msgs" | "max_messages" | "max_responses" => {
                    let max = self.limit(entry).filter(|max| *max != Some(0));
                    set(&mut responses.max_messages, max);
                }
                "expires" | "expiration" | "ttl" => {
                    let nanos = self.signed_duration(&entry.key, &entry.value);
                    let expires = nanos.filter(|&nanos| nanos != 0);
                    set(
                        &mut responses.expires,
                        expires.map(super::duration::from_nanos),
                    );
                }
                _ => self.unknown(entry),
            }
        }
        Some(Some(responses))
    }
}

/// An empty list of allowed subjects is as good as none: it allows everything.
fn nonempty(subjects: Vec<String>) -> Option<Vec<String>> {
    Some(subjects).filter(|subjects| !subjects.is_empty())
}
