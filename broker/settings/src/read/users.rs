//! Users, and what must be true of all of them together.

use super::{Reader, nkey, set};
use crate::options::{ConnectionType, Credentials, Options, User};
use crate::value::{Entry, Map, Node};

pub fn read(reader: &mut Reader<'_>, entry: &Entry) -> Option<Vec<User>> {
    let nodes = reader.array(entry)?;
    Some(nodes.iter().filter_map(|node| reader.user(node)).collect())
}

/// Checks that the ways to authenticate do not contradict each other.
pub fn check(reader: &mut Reader<'_>, map: &Map, options: &Options) {
    let entry = map
        .entries
        .iter()
        .find(|entry| entry.key.eq_ignore_ascii_case("authorization"));
    let Some(entry) = entry else { return };
    let authorization = &options.authorization;
    let has_user = authorization.user.is_some();
    let has_token = authorization.token.is_some();
    if (has_user || authorization.password.is_some()) && has_token {
        reader.problem(&entry.position, "Cannot have a user/pass and token");
    }
    let lists_users = match &entry.value.value {
        crate::Value::Map(map) => map
            .entries
            .iter()
            .any(|entry| entry.key.eq_ignore_ascii_case("users")),
        _ => false,
    };
    let account_users = options
        .accounts
        .iter()
        .any(|account| !account.users.is_empty());
    if lists_users || account_users {
        if has_user {
            let reason = "Can not have a single user/pass and a users array";
            reader.problem(&entry.position, reason);
        }
        if has_token {
            reader.problem(&entry.position, "Can not have a token and a users array");
        }
    }
    let callout = authorization.auth_callout.iter();
    for name in callout.flat_map(|callout| &callout.allowed_accounts) {
        if !options.accounts.iter().any(|account| account.name == *name) {
            let reason =
                format!("auth_callout allowed account {name:?} not found in configured accounts");
            reader.problem(&entry.position, reason);
        }
    }
}

impl Reader<'_> {
    fn user(&mut self, node: &Node) -> Option<User> {
        let map = self.map_node("users", node)?;
        let problem_count = self.problems.len();
        let mut name: Option<String> = None;
        let mut password: Option<String> = None;
        let mut key: Option<String> = None;
        let mut user = User {
            credentials: Credentials::Nkey(String::new()),
            permissions: None,
            connection_types: Vec::new(),
            proxy_required: false,
        };
        for entry in &map.entries {
            match entry.key.to_ascii_lowercase().as_str() {
                "nkey" => set(&mut key, self.text(entry)),
                "user" | "username" => set(&mut name, self.text(entry)),
                "pass" | "password" => set(&mut password, self.text(entry)),
                "permission" | "permissions" | "authorization" => {
                    set(&mut user.permissions, self.permissions(entry).map(Some));
                }
                "allowed_connection_types" | "connection_types" | "clients" => {
                    set(&mut user.connection_types, self.connection_types(entry));
                }
                "proxy_required" => set(&mut user.proxy_required, self.boolean(entry)),
                _ => self.unknown(entry),
            }
        }
        let position = &node.position;
        user.credentials = match (key, name) {
            (Some(key), None) if password.is_none() => {
                if !nkey::is_public(&key, nkey::Kind::User) {
                    self.problem(
                        position,
                        format!("not a valid public nkey for a user: {key:?}"),
                    );
                }
                Credentials::Nkey(key)
            }
            (Some(_), _) => {
                self.problem(position, "Nkey users do not take usernames or passwords");
                return None;
            }
            (None, Some(user)) => Credentials::Password {
                user,
                password: password.unwrap_or_default(),
            },
            (None, None) => {
                // An error in the name itself has been reported already.
                if self.problems.len() == problem_count {
                    self.problem(position, "User entry requires a user");
                }
                return None;
            }
        };
        let (Credentials::Nkey(name) | Credentials::Password { user: name, .. }) =
            &user.credentials;
        if !self.users_seen.insert(name.clone()) {
            self.problem(position, format!("Duplicate user {name:?} detected"));
        }
        Some(user)
    }

    fn connection_types(&mut self, entry: &Entry) -> Option<Vec<ConnectionType>> {
        let names = self.strings(entry)?;
        let mut types = Vec::new();
        for name in names {
            match connection_type(&name) {
                Some(connection_type) => types.push(connection_type),
                None => {
                    let reason = format!("invalid connection type {name:?}");
                    self.problem(&entry.value.position, reason);
                }
            }
        }
        Some(types)
    }
}

fn connection_type(name: &str) -> Option<ConnectionType> {
    Some(match name.to_ascii_uppercase().as_str() {
        "STANDARD" => ConnectionType::Standard,
        "WEBSOCKET" => ConnectionType::Websocket,
        "LEAFNODE" => ConnectionType::Leafnode,
        "LEAFNODE_WS" => ConnectionType::LeafnodeWebsocket,
        "MQTT" => ConnectionType::Mqtt,
        "MQTT_WS" => ConnectionType::MqttWebsocket,
        "IN_PROCESS" => ConnectionType::InProcess,
        _ => return None,
    })
}
