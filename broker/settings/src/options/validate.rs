//! What must hold between options, whether they come from the file or from flags.

use crate::options::{Credentials, Limits, Options};
use crate::{Problem, Problems};

impl Options {
    /// Refuses options that a server could not run with.
    pub fn validate(&self) -> Result<(), Problems> {
        let checks = [
            self.limits_agree(),
            self.names_are_words(),
            self.no_auth_user_exists(),
            self.operators_rule_alone(),
            self.callout_accounts_exist(),
            self.clustered(),
            self.websocket(),
        ];
        let problems: Vec<Problem> = checks
            .into_iter()
            .filter_map(Result::err)
            .map(Problem::general)
            .collect();
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Problems(problems))
        }
    }

    fn limits_agree(&self) -> Result<(), String> {
        let limits = &self.limits;
        if limits.lame_duck_grace_period >= limits.lame_duck_duration {
            return Err(format!(
                "lame duck grace period ({:?}) should be strictly lower than lame duck duration ({:?})",
                limits.lame_duck_grace_period, limits.lame_duck_duration
            ));
        }
        let payload = limits.max_payload_bytes;
        if payload != Limits::NO_PAYLOAD_LIMIT && u64::from(payload) > limits.max_pending_bytes {
            return Err(format!(
                "max_payload ({payload}) cannot be higher than max_pending ({})",
                limits.max_pending_bytes
            ));
        }
        Ok(())
    }

    fn names_are_words(&self) -> Result<(), String> {
        let has_space = |name: &Option<String>| name.as_ref().is_some_and(|n| n.contains(' '));
        if has_space(&self.server_name) {
            return Err("server name cannot contain spaces".into());
        }
        if has_space(&self.cluster.name) {
            return Err("cluster name cannot contain spaces".into());
        }
        Ok(())
    }

    fn no_auth_user_exists(&self) -> Result<(), String> {
        let Some(name) = &self.no_auth_user else {
            return Ok(());
        };
        if !self.operators.is_empty() {
            return Err("no_auth_user not compatible with Trusted Operator".into());
        }
        self.user_exists(name)
    }

    fn user_exists(&self, name: &str) -> Result<(), String> {
        let of_accounts = self.accounts.iter().flat_map(|account| &account.users);
        let mut users = self.authorization.users.iter().chain(of_accounts);
        let exists = users.any(|user| match &user.credentials {
            Credentials::Password { user, .. } => user == name,
            Credentials::Nkey(key) => key == name,
        });
        if !exists {
            return Err(format!(
                "no_auth_user: \"{name}\" not present as user or nkey in authorization block or \
                 account configuration"
            ));
        }
        Ok(())
    }

    /// With operators, accounts and users come from their JWTs and from nowhere else.
    fn operators_rule_alone(&self) -> Result<(), String> {
        if self.operators.is_empty() {
            return match self.default_sentinel {
                Some(_) => Err("default sentinel requires operators and accounts".into()),
                None => Ok(()),
            };
        }
        if !self.accounts.is_empty() {
            return Err("operators do not allow Accounts to be configured directly".into());
        }
        if !self.authorization.users.is_empty() {
            return Err("operators do not allow users to be configured directly".into());
        }
        if self.authorization.auth_callout.is_some() {
            return Err(
                "operators do not allow authorization callouts to be configured directly".into(),
            );
        }
        if !self.trusted_keys.is_empty() {
            return Err("conflicting options: give either operators or trusted keys".into());
        }
        Ok(())
    }

    fn callout_accounts_exist(&self) -> Result<(), String> {
        let Some(callout) = &self.authorization.auth_callout else {
            return Ok(());
        };
        let exists = |name: &String| self.accounts.iter().any(|account| account.name == *name);
        match callout.allowed_accounts.iter().find(|name| !exists(name)) {
            Some(name) => Err(format!(
                "auth_callout allowed account {name:?} not found in configured accounts"
            )),
            None => Ok(()),
        }
    }

    fn clustered(&self) -> Result<(), String> {
        if !self.jetstream.enabled || self.cluster.port.is_none() {
            return Ok(());
        }
        if self.server_name.is_none() {
            return Err("jetstream cluster requires `server_name` to be set".into());
        }
        if self.cluster.name.is_none() {
            return Err("jetstream cluster requires `cluster.name` to be set".into());
        }
        Ok(())
    }

    fn websocket(&self) -> Result<(), String> {
        let websocket = &self.websocket;
        if websocket.port.is_none() {
            return Ok(());
        }
        if websocket.tls.is_none() && !websocket.no_tls {
            return Err("websocket requires TLS configuration".into());
        }
        if let Some(name) = websocket.impossible_header() {
            return Err(format!("websocket: invalid header {name:?} not allowed"));
        }
        let with_operator = !self.operators.is_empty() || !self.trusted_keys.is_empty();
        if let Some(name) = &websocket.no_auth_user {
            if with_operator {
                return Err("no_auth_user not compatible with Trusted Operator".into());
            }
            self.user_exists(name)?;
        }
        let mut of_accounts = self.accounts.iter().flat_map(|account| &account.users);
        if !self.authorization.users.is_empty() || of_accounts.next().is_some() {
            if websocket.user.is_some() {
                return Err(
                    "websocket authentication username not compatible with presence of users/nkeys"
                        .into(),
                );
            }
            if websocket.token.is_some() {
                return Err(
                    "websocket authentication token not compatible with presence of users/nkeys"
                        .into(),
                );
            }
        }
        match &websocket.jwt_cookie {
            Some(cookie) if !with_operator => Err(format!(
                "trusted operators or trusted keys configuration is required for JWT authentication via cookie {cookie:?}"
            )),
            _ => Ok(()),
        }
    }
}
