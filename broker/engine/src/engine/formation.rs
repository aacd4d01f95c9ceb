//! Joins the rules of `consensus::formation` to this server: its disk, its peers, its meta group.

use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;

use consensus::formation::{
    Action, ClusterId, Event, Formation, Identity, Membership, Message, Roster, Settings,
};
use consensus::{ChangeError, NodeId, Start as GroupStart};
use storage::fs::{FileSystem, read_file, write_file_atomic};
use tokio::sync::mpsc;

use super::{Engine, mending};
use crate::meta::MetaCommand;
use crate::meta_group::Change;
use crate::peer::Question;
use crate::planner::Planner;

/// Time between two looks at what is missing.
const TICK: Duration = Duration::from_millis(250);
/// How long a founding message may take.
const SEND_TIMEOUT: Duration = Duration::from_secs(2);
/// Messages put off while the identity cannot be stored; more are dropped and sent again.
const MAX_ACTIONS: usize = 1024;
/// Founding messages waiting to be handled; more are dropped and sent again.
const MAX_WAITING: usize = 1024;
const IDENTITY_BYTES_MAX: u64 = 1 << 20;

/// How this server's cluster is founded, and the way to the task that does it.
pub struct Founding {
    settings: Settings,
    events: mpsc::Sender<Event>,
    waiting: Option<mpsc::Receiver<Event>>,
}

impl Founding {
    /// `expected` counts the servers of the cluster, this one included; `cluster` is the random id
    /// of a cluster founded by this server.
    pub fn new(name: String, expected: usize, settle: Duration, cluster: u64) -> Self {
        let (events, waiting) = mpsc::channel(MAX_WAITING);
        let settle_ms = settle.as_millis() as u64;
        let settings = Settings {
            name,
            expected,
            settle_ms,
            cluster: ClusterId(cluster),
        };
        Founding {
            settings,
            events,
            waiting: Some(waiting),
        }
    }
}

/// The identity stored in `dir`, or a fresh one with the given node id, stored before it is used.
pub fn load_identity(fs: &dyn FileSystem, dir: &Path, node: u64) -> std::io::Result<Identity> {
    let file = dir.join("identity");
    if fs.exists(&file)? {
        let bytes = read_file(fs, &file, IDENTITY_BYTES_MAX)?;
        return Identity::decode(&bytes).ok_or_else(|| {
            let text = format!(
                "{} is damaged; move the store directory away to have this server join anew",
                file.display()
            );
            std::io::Error::new(std::io::ErrorKind::InvalidData, text)
        });
    }
    fs.create_dir_all(dir)?;
    let identity = Identity::fresh(NodeId(node));
    write_file_atomic(fs, &file, &identity.encode())?;
    Ok(identity)
}

pub(super) fn receive(engine: &Engine, from: NodeId, message: &[u8]) {
    if let Some(message) = Message::decode(message) {
        tell(engine, Event::Received(from, message));
    }
}

pub(super) fn peer_changed(engine: &Engine, node: NodeId, is_up: bool) {
    tell(
        engine,
        if is_up {
            Event::Connected(node)
        } else {
            Event::Disconnected(node)
        },
    );
}

fn tell(engine: &Engine, event: Event) {
    if let Some(founding) = &*engine.shared.founding.lock() {
        founding.events.try_send(event).ok();
    }
}

/// Founds or joins the cluster, and keeps its membership in order from then on.
pub(super) async fn run(engine: Engine, changes: mpsc::UnboundedReceiver<Change>) {
    let taken = engine
        .shared
        .founding
        .lock()
        .as_mut()
        .and_then(|founding| Some((founding.settings.clone(), founding.waiting.take()?)));
    let identity = engine.shared.identity.lock().take();
    let (Some((settings, mut events)), Some(identity)) = (taken, identity) else {
        return;
    };
    let mut driver = Driver {
        formation: Formation::new(settings, identity),
        engine,
        changes: Some(changes),
        roster: Roster::new(),
        started: tokio::time::Instant::now(),
        said: String::new(),
        actions: VecDeque::new(),
        is_stuck: false,
    };
    let mut ticks = tokio::time::interval(TICK);
    loop {
        let event = tokio::select! {
            biased;
            event = events.recv() => event,
            _ = ticks.tick() => Some(Event::Tick),
        };
        let Some(event) = event else { return };
        if event == Event::Tick {
            driver.tick();
        }
        driver.handle(event);
    }
}

struct Driver {
    formation: Formation,
    engine: Engine,
    /// Until the meta group is opened.
    changes: Option<mpsc::UnboundedReceiver<Change>>,
    roster: Roster,
    started: tokio::time::Instant,
    /// The status logged last.
    said: String,
    /// What is still to be done, in order; more than nothing only while the disk refuses an identity.
    actions: VecDeque<Action>,
    is_stuck: bool,
}

impl Driver {
    fn handle(&mut self, event: Event) {
        let now_ms = self.started.elapsed().as_millis() as u64;
        let actions = self.formation.on_event(event, now_ms);
        let room = MAX_ACTIONS.saturating_sub(self.actions.len());
        for (at, action) in actions.into_iter().enumerate() {
            // What is sent is sent again by and by.
            if at < room || !matches!(action, Action::Send(..)) {
                self.actions.push_back(action);
            }
        }
        while let Some(action) = self.actions.pop_front() {
            if let Action::Persist(identity) = &action
                && !self.persist(identity)
            {
                // Going on would promise something that a restart forgets.
                self.actions.push_front(action);
                break;
            }
            self.act(action);
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            // Done before.
            Action::Persist(_) => {}
            Action::Send(to, message) => self.send(to, &message),
            Action::Start(membership) => self.start(membership),
            Action::Admit {
                node,
                name,
                replaces,
            } => {
                let engine = self.engine.clone();
                if engine.meta().is_leader()
                    && let Some(membership) = self.formation.membership().cloned()
                {
                    // Only with its replica open can it catch up.
                    self.send(node, &Message::Welcome(membership));
                    self.engine
                        .spawn(async move { admit(engine, node, name, replaces).await });
                }
            }
            Action::Refuse(node, refusal) => {
                tracing::error!(peer = %node, %refusal, "server refused");
            }
            Action::Replaced { by } => {
                tracing::error!(
                    %by,
                    "another server took this one's name and place while it was away; jetstream \
                     stays off here: empty the store directory and choose another server_name"
                );
                self.engine.shared.ready.send_replace(false);
            }
        }
    }

    /// Whether the identity is stored now; if not, it is tried again at the next event.
    fn persist(&mut self, identity: &Identity) -> bool {
        let env = self.engine.env();
        let file = env.options.store_dir.join("identity");
        let stored = write_file_atomic(&*env.fs, &file, &identity.encode());
        if let Err(error) = &stored
            && !self.is_stuck
        {
            let file = file.display().to_string();
            tracing::error!(file, %error, "identity cannot be stored; the cluster waits for it");
        }
        self.is_stuck = stored.is_err();
        !self.is_stuck
    }

    fn send(&self, to: NodeId, message: &Message) {
        let question = Question::Formation {
            message: message.encode().to_vec(),
        };
        let call = self
            .engine
            .env()
            .peers
            .call(to, question.encode(), SEND_TIMEOUT);
        self.engine.spawn(async move {
            call.await;
        });
    }

    fn start(&mut self, membership: Membership) {
        let Some(changes) = self.changes.take() else {
            return;
        };
        tracing::info!(cluster = %membership.cluster, "jetstream cluster joined");
        let engine = self.engine.clone();
        self.engine.spawn(async move {
            let here = engine.env().node();
            let start = match membership.founders.contains(&here) {
                true => GroupStart::Founding(membership.founders),
                false => GroupStart::Join,
            };
            let meta = engine.meta().clone();
            mending::open_meta(&engine, &meta, start).await;
            engine.run_meta(changes).await;
        });
    }

    fn tick(&mut self) {
        self.say_status();
        let is_member = self.formation.membership().is_some();
        self.engine.look_for_leader(is_member);
        let Some(group) = self.engine.meta().group() else {
            return;
        };
        let members = group.members();
        let here = self.engine.env().node();
        // A replica that joins anew has to be let in like a new server. It may not know any members
        // yet; one that was removed from them for good does.
        let joins_anew = members.voters.is_empty() || members.learners.contains(&here);
        if joins_anew || !members.voters.contains(&here) && self.engine.shared.rejoins() {
            let peers: Vec<NodeId> = self.engine.shared.peers_up.lock().iter().copied().collect();
            for peer in peers {
                self.send(peer, &Message::Join);
            }
        }
        let roster: Roster = self.engine.meta().read(|meta| {
            let servers = meta.servers().iter();
            let present = servers.filter(|(node, _)| members.voters.contains(node));
            present
                .map(|(node, facts)| (facts.name.clone(), *node))
                .collect()
        });
        if roster != self.roster {
            self.roster = roster.clone();
            self.handle(Event::Roster(roster));
        }
        let facts = self.engine.shared.facts();
        let known = self
            .engine
            .meta()
            .read(|meta| meta.servers().get(&here) == Some(&facts));
        if known {
            return;
        }
        if self.engine.meta().is_leader() {
            self.engine.shared.put_facts(here, facts);
        } else if let Some(leader) = self.engine.shared.meta_leader() {
            let question = Question::Facts { node: here, facts }.encode();
            let call = self.engine.env().peers.call(leader, question, SEND_TIMEOUT);
            self.engine.spawn(async move {
                call.await;
            });
        }
    }

    fn say_status(&mut self) {
        if self.formation.membership().is_some() {
            return;
        }
        let status = self.formation.status();
        if status != self.said {
            tracing::info!(status, "waiting for the jetstream cluster");
            self.said = status;
        }
    }
}

/// On the meta leader: lets a server in, in place of an earlier holder of its name if there was one.
async fn admit(engine: Engine, node: NodeId, name: String, replaces: Option<NodeId>) {
    if !engine.meta().is_leader() {
        return;
    }
    let changed = engine.meta().change_members(|voters| {
        if let Some(old) = replaces {
            voters.remove(&old);
        }
        voters.insert(node);
    });
    match changed.await {
        Ok(()) => {}
        // It asks again until it is let in.
        Err(ChangeError::InProgress) => return,
        Err(error) => {
            tracing::warn!(server = name, %error, "server could not be admitted yet");
            return;
        }
    }
    if let Some(old) = replaces {
        replace_everywhere(&engine, old, Some(node));
        engine
            .meta()
            .propose(&MetaCommand::RemoveServer { node: old })
            .ok();
    }
    tracing::info!(server = name, "server admitted to the jetstream cluster");
}

/// Moves all replicas of a server that is gone to `new`, or wherever there is room. A stream that
/// had its only replica there stays assigned to it: there is nothing it could be rebuilt from.
pub fn replace_everywhere(engine: &Engine, old: NodeId, new: Option<NodeId>) {
    let affected: Vec<_> = engine.meta().read(|meta| {
        meta.streams()
            .filter(|stream| stream.replicas.contains(&old))
            .cloned()
            .collect()
    });
    let now_ns = engine.env().now_ns();
    let mut planner = Planner::new(engine);
    planner.exclude(old);
    for stream in affected {
        let staying: Vec<NodeId> = stream
            .replicas
            .iter()
            .copied()
            .filter(|node| *node != old)
            .collect();
        let name = stream.config.name.clone();
        let replicas = match new {
            Some(new) => staying.into_iter().chain([new]).collect(),
            None if staying.is_empty() && !engine.is_online(old) => {
                tracing::error!(stream = name, "the only replica of a stream is gone");
                continue;
            }
            None => match planner.place(&stream.config, &staying) {
                Ok(replicas) => replicas,
                Err(error) => {
                    tracing::warn!(stream = name, %error, "no server for a replica that was lost");
                    continue;
                }
            },
        };
        let command = MetaCommand::UpdateStream {
            stream: Box::new(stream.moved_to(replicas, now_ns, None)),
            reply: None,
        };
        engine.meta().propose(&command).ok();
    }
}
