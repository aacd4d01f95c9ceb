//! The meta group's state: which servers there are and which streams they hold.
//!
//! Pure and deterministic. Consumers are not in here: they live in their stream's own group, so
//! that a hundred thousand of them cost this group nothing.

use std::collections::BTreeMap;

use bytes::Bytes;
use consensus::NodeId;
use jetstream::StreamConfig;
use serde::{Deserialize, Serialize};
use storage::wal::GroupId;

/// The meta group's own id. Streams get ids from [`FIRST_STREAM_GROUP`] on and never share one.
pub const META_GROUP: GroupId = GroupId(1);
const FIRST_STREAM_GROUP: u64 = 16;

/// A stream's place in the cluster, by account and stream name.
pub type StreamKey = (String, String);

/// A server as the cluster remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerFacts {
    pub name: String,
    pub tags: Vec<String>,
    /// Storage the server offers to streams, in bytes.
    pub max_file_bytes: u64,
    pub max_memory_bytes: u64,
}

/// A stream and the servers that hold it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assignment {
    pub account: String,
    pub config: StreamConfig,
    pub group: u64,
    pub replicas: Vec<NodeId>,
    /// The replicas the stream's group began with; replicas added later join it.
    pub founders: Vec<NodeId>,
    pub created_ns: i64,
}

impl Assignment {
    pub fn key(&self) -> StreamKey {
        (self.account.clone(), self.config.name.clone())
    }

    pub fn group_id(&self) -> GroupId {
        GroupId(self.group)
    }
}

/// Where to send the answer of an API request once its command is applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyTo {
    pub account: String,
    pub subject: String,
}

/// A change of the meta state. Every change goes through the group's log as JSON: they are rare.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum MetaCommand {
    PutServer {
        node: NodeId,
        facts: ServerFacts,
    },
    RemoveServer {
        node: NodeId,
    },
    AddStream {
        stream: Box<Assignment>,
        reply: Option<ReplyTo>,
    },
    UpdateStream {
        stream: Box<Assignment>,
        reply: Option<ReplyTo>,
    },
    RemoveStream {
        account: String,
        name: String,
        reply: Option<ReplyTo>,
    },
}

impl MetaCommand {
    pub fn encode(&self) -> Bytes {
        // Serialising plain data with string keys cannot fail.
        Bytes::from(serde_json::to_vec(self).unwrap_or_default())
    }

    pub fn decode(command: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(command)
    }
}

/// What an applied command changed, for the server that runs the assigned streams.
#[derive(Debug, Clone, PartialEq)]
pub enum MetaEvent {
    ServerChanged(NodeId),
    Added {
        key: StreamKey,
        reply: Option<ReplyTo>,
    },
    /// The stream exists already; its leader or the meta leader answers.
    AddRefused {
        key: StreamKey,
        identical: bool,
        reply: Option<ReplyTo>,
    },
    Updated {
        key: StreamKey,
        reply: Option<ReplyTo>,
    },
    Removed {
        stream: Box<Assignment>,
        reply: Option<ReplyTo>,
    },
    /// An update or removal named a stream that is not there.
    Missing {
        key: StreamKey,
        reply: Option<ReplyTo>,
    },
}

/// The state that every server of the cluster computes alike from the meta group's log.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MetaState {
    next_group: u64,
    servers: BTreeMap<NodeId, ServerFacts>,
    /// Accounts, then stream names.
    streams: BTreeMap<String, BTreeMap<String, Assignment>>,
}

impl MetaState {
    pub fn servers(&self) -> &BTreeMap<NodeId, ServerFacts> {
        &self.servers
    }

    pub fn server_named(&self, name: &str) -> Option<NodeId> {
        self.servers
            .iter()
            .find(|(_, facts)| facts.name == name)
            .map(|(node, _)| *node)
    }

    pub fn stream(&self, account: &str, name: &str) -> Option<&Assignment> {
        self.streams.get(account)?.get(name)
    }

    /// The streams of one account in name order.
    pub fn streams_of(&self, account: &str) -> impl Iterator<Item = &Assignment> {
        self.streams
            .get(account)
            .into_iter()
            .flat_map(|streams| streams.values())
    }

    /// All streams, by account and name.
    pub fn streams(&self) -> impl Iterator<Item = &Assignment> {
        self.streams.values().flat_map(|streams| streams.values())
    }

    /// Applies one committed command.
    pub fn apply(&mut self, command: MetaCommand) -> MetaEvent {
        match command {
            MetaCommand::PutServer { node, facts } => {
                self.servers.insert(node, facts);
                MetaEvent::ServerChanged(node)
            }
            MetaCommand::RemoveServer { node } => {
                self.servers.remove(&node);
                MetaEvent::ServerChanged(node)
            }
            MetaCommand::AddStream { stream, reply } => self.add(*stream, reply),
            MetaCommand::UpdateStream { stream, reply } => self.update(*stream, reply),
            MetaCommand::RemoveStream {
                account,
                name,
                reply,
            } => {
                let removed = self
                    .streams
                    .get_mut(&account)
                    .and_then(|all| all.remove(&name));
                match removed {
                    Some(stream) => MetaEvent::Removed {
                        stream: Box::new(stream),
                        reply,
                    },
                    None => MetaEvent::Missing {
                        key: (account, name),
                        reply,
                    },
                }
            }
        }
    }

    fn add(&mut self, mut stream: Assignment, reply: Option<ReplyTo>) -> MetaEvent {
        let key = stream.key();
        if let Some(existing) = self.stream(&key.0, &key.1) {
            let identical = existing.config == stream.config;
            return MetaEvent::AddRefused {
                key,
                identical,
                reply,
            };
        }
        stream.group = self.next_group.max(FIRST_STREAM_GROUP);
        self.next_group = stream.group + 1;
        self.streams
            .entry(key.0.clone())
            .or_default()
            .insert(key.1.clone(), stream);
        MetaEvent::Added { key, reply }
    }

    fn update(&mut self, stream: Assignment, reply: Option<ReplyTo>) -> MetaEvent {
        let key = stream.key();
        let existing = self
            .streams
            .get_mut(&key.0)
            .and_then(|all| all.get_mut(&key.1));
        match existing {
            Some(existing) => {
                existing.config = stream.config;
                existing.replicas = stream.replicas;
                MetaEvent::Updated { key, reply }
            }
            None => MetaEvent::Missing { key, reply },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assignment(name: &str) -> Assignment {
        let config = StreamConfig {
            name: name.to_owned(),
            ..StreamConfig::default()
        };
        Assignment {
            account: "A".into(),
            config,
            group: 0,
            replicas: vec![NodeId(1)],
            founders: vec![NodeId(1)],
            created_ns: 7,
        }
    }

    fn add(state: &mut MetaState, name: &str) -> MetaEvent {
        state.apply(MetaCommand::AddStream {
            stream: Box::new(assignment(name)),
            reply: None,
        })
    }

    #[test]
    fn group_ids_are_never_used_twice() {
        let mut state = MetaState::default();
        add(&mut state, "one");
        let first = state.stream("A", "one").map(|s| s.group);
        state.apply(MetaCommand::RemoveStream {
            account: "A".into(),
            name: "one".into(),
            reply: None,
        });
        add(&mut state, "one");
        assert_ne!(state.stream("A", "one").map(|s| s.group), first);
    }

    #[test]
    fn a_second_stream_of_a_name_is_refused() {
        let mut state = MetaState::default();
        add(&mut state, "one");
        let key = ("A".to_owned(), "one".to_owned());
        let again = add(&mut state, "one");
        assert_eq!(
            again,
            MetaEvent::AddRefused {
                key,
                identical: true,
                reply: None
            }
        );
    }

    #[test]
    fn commands_survive_their_encoding() {
        let command = MetaCommand::AddStream {
            stream: Box::new(assignment("one")),
            reply: None,
        };
        assert_eq!(MetaCommand::decode(&command.encode()).ok(), Some(command));
        assert!(MetaCommand::decode(b"{\"do\":\"unknown\"}").is_err());
    }
}
