//! The meta group's state: which servers there are and which streams they hold.
//!
//! Pure and deterministic. Consumers are not in here: they live in their stream's own group, so
//! that a hundred thousand of them cost this group nothing.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use consensus::NodeId;
use jetstream::StreamConfig;
use jetstream::config::Placement;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use storage::wal::GroupId;

use crate::audit::Audit;

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
    /// Distinguishes this start of the server from earlier ones.
    #[serde(default)]
    pub start: u64,
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
    /// The change of servers that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moving: Option<Move>,
    /// The stream begins as a backup that a client sends.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_restored: bool,
}

/// A change of servers that the stream's leader has not finished.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Move {
    pub begun_ns: i64,
    /// Servers that held the stream before. They hold it until the others have it.
    pub leaving: Vec<NodeId>,
    /// What cancelling goes back to; nothing if a server's state made the stream move.
    pub origin: Option<Origin>,
}

/// How a stream was placed before it was moved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    pub replicas: Vec<NodeId>,
    pub num_replicas: i64,
    pub placement: Option<Placement>,
}

impl Origin {
    pub fn of(stream: &Assignment) -> Origin {
        Origin {
            replicas: stream.replicas.clone(),
            num_replicas: stream.config.num_replicas,
            placement: stream.config.placement.clone(),
        }
    }
}

impl Assignment {
    /// The servers that hold the stream: its replicas, then those that it is about to leave.
    pub fn holders(&self) -> impl Iterator<Item = NodeId> {
        let leaving = self.moving.iter().flat_map(|moving| &moving.leaving);
        self.replicas.iter().chain(leaving).copied()
    }

    pub fn is_held_by(&self, node: NodeId) -> bool {
        self.holders().any(|holder| holder == node)
    }

    /// The same stream on other servers; a proposal for [`MetaCommand::UpdateStream`].
    pub fn moved_to(self, replicas: Vec<NodeId>, now_ns: i64, origin: Option<Origin>) -> Self {
        let moving = Some(Move {
            begun_ns: now_ns,
            leaving: Vec::new(),
            origin,
        });
        Assignment {
            replicas,
            moving,
            ..self
        }
    }

    /// What is under way once `new` takes the place of this. A move goes on until the stream's
    /// leader reports that the members are those assigned, also when it was taken back.
    fn next_move(&self, new: &Assignment) -> Option<Move> {
        let set = |nodes: &[NodeId]| nodes.iter().copied().collect::<BTreeSet<_>>();
        if self.moving.is_none() && set(&self.replicas) == set(&new.replicas) {
            return None;
        }
        let first = self.moving.as_ref().or(new.moving.as_ref());
        Some(Move {
            leaving: self
                .holders()
                .filter(|node| !new.replicas.contains(node))
                .collect(),
            ..first.cloned().unwrap_or_default()
        })
    }

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
    /// Who asks, as the server describes clients.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub client: Value,
    /// What is told about the request once it is answered, if somebody listens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<Box<Audit>>,
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
    /// The members of the stream's group are those assigned: whoever else holds it lets it go.
    FinishMove {
        account: String,
        name: String,
        group: u64,
        replicas: Vec<NodeId>,
    },
    /// The server is to be emptied, or not any more.
    SetEvacuating {
        node: NodeId,
        evacuating: bool,
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
    /// The stream's move is over; these servers do not hold it any more.
    Moved {
        key: StreamKey,
        left: Vec<NodeId>,
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
    /// Servers that are being emptied.
    #[serde(default)]
    evacuating: BTreeSet<NodeId>,
    /// Accounts, then stream names.
    streams: BTreeMap<String, BTreeMap<String, Assignment>>,
}

impl MetaState {
    pub fn servers(&self) -> &BTreeMap<NodeId, ServerFacts> {
        &self.servers
    }

    /// Whether the server is being emptied, so that it gets no replicas and leaderships.
    pub fn is_evacuating(&self, node: NodeId) -> bool {
        self.evacuating.contains(&node)
    }

    pub fn evacuating(&self) -> &BTreeSet<NodeId> {
        &self.evacuating
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
                let start = facts.start;
                let before = self.servers.insert(node, facts);
                // A server that was started again is there to be used.
                if before.is_some_and(|before| before.start != start) {
                    self.evacuating.remove(&node);
                }
                MetaEvent::ServerChanged(node)
            }
            MetaCommand::RemoveServer { node } => {
                self.servers.remove(&node);
                self.evacuating.remove(&node);
                MetaEvent::ServerChanged(node)
            }
            MetaCommand::SetEvacuating { node, evacuating } => {
                if evacuating && self.servers.contains_key(&node) {
                    self.evacuating.insert(node);
                } else {
                    self.evacuating.remove(&node);
                }
                MetaEvent::ServerChanged(node)
            }
            MetaCommand::FinishMove {
                account,
                name,
                group,
                replicas,
            } => self.finish_move((account, name), group, &replicas),
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
                existing.moving = existing.next_move(&stream);
                existing.config = stream.config;
                existing.replicas = stream.replicas;
                MetaEvent::Updated { key, reply }
            }
            None => MetaEvent::Missing { key, reply },
        }
    }

    fn finish_move(&mut self, key: StreamKey, group: u64, replicas: &[NodeId]) -> MetaEvent {
        let stream = self
            .streams
            .get_mut(&key.0)
            .and_then(|all| all.get_mut(&key.1));
        // It may have been told to move elsewhere meanwhile.
        let finished = stream.filter(|stream| stream.group == group && stream.replicas == replicas);
        let left = match finished {
            Some(stream) => {
                // The group exists: nobody may found it again, least of all who left it.
                stream.founders.clear();
                stream.moving.take().map(|moving| moving.leaving)
            }
            None => None,
        };
        MetaEvent::Moved {
            key,
            left: left.unwrap_or_default(),
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
            moving: None,
            is_restored: false,
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

    fn move_to(state: &mut MetaState, replicas: &[u64], origin: bool) {
        let stream = state.stream("A", "one").expect("the stream").clone();
        let origin = origin.then(|| Origin::of(&stream));
        let replicas = replicas.iter().copied().map(NodeId).collect();
        state.apply(MetaCommand::UpdateStream {
            stream: Box::new(stream.moved_to(replicas, 9, origin)),
            reply: None,
        });
    }

    fn finish(state: &mut MetaState, replicas: &[u64]) -> MetaEvent {
        state.apply(MetaCommand::FinishMove {
            account: "A".into(),
            name: "one".into(),
            group: FIRST_STREAM_GROUP,
            replicas: replicas.iter().copied().map(NodeId).collect(),
        })
    }

    #[test]
    fn a_server_that_is_left_holds_the_stream_until_the_move_is_over() {
        let mut state = MetaState::default();
        add(&mut state, "one");
        move_to(&mut state, &[2, 3], true);
        // Told again before it is over: the first server is not forgotten.
        move_to(&mut state, &[3, 4], true);
        let holders = |state: &MetaState| {
            let stream = state.stream("A", "one").expect("the stream");
            stream.holders().map(|node| node.0).collect::<Vec<_>>()
        };
        assert_eq!(holders(&state), [3, 4, 2, 1]);
        let origin = state
            .stream("A", "one")
            .and_then(|s| s.moving.clone()?.origin);
        assert_eq!(origin.map(|origin| origin.replicas), Some(vec![NodeId(1)]));

        let key = ("A".to_owned(), "one".to_owned());
        let late = MetaEvent::Moved {
            key: key.clone(),
            left: vec![],
        };
        assert_eq!(finish(&mut state, &[2, 3]), late, "that was taken back");
        let left = vec![NodeId(2), NodeId(1)];
        assert_eq!(finish(&mut state, &[3, 4]), MetaEvent::Moved { key, left });
        assert_eq!(holders(&state), [3, 4]);
        assert_eq!(state.stream("A", "one").map(|s| s.founders.len()), Some(0));
    }

    #[test]
    fn an_update_that_moves_nothing_is_no_move() {
        let mut state = MetaState::default();
        add(&mut state, "one");
        move_to(&mut state, &[1], true);
        assert_eq!(
            state.stream("A", "one").map(|s| s.moving.is_some()),
            Some(false)
        );
    }

    #[test]
    fn a_server_is_evacuated_until_it_starts_again() {
        let mut state = MetaState::default();
        let node = NodeId(1);
        let set = |evacuating| MetaCommand::SetEvacuating { node, evacuating };
        let put = |start| MetaCommand::PutServer {
            node,
            facts: ServerFacts {
                name: "n1".into(),
                tags: vec![],
                max_file_bytes: 0,
                max_memory_bytes: 0,
                start,
            },
        };
        state.apply(set(true));
        assert!(!state.is_evacuating(node), "it is not there");
        state.apply(put(1));
        state.apply(set(true));
        state.apply(put(1));
        assert!(state.is_evacuating(node));
        state.apply(put(2));
        assert!(!state.is_evacuating(node));
        state.apply(set(true));
        state.apply(set(false));
        assert!(!state.is_evacuating(node));
    }
}
