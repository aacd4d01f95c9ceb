//! A world of servers that form a cluster while everything goes wrong.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use super::*;

/// Milliseconds between two ticks.
const TICK_MS: u64 = 250;

struct World {
    now_ms: u64,
    settle_ms: u64,
    servers: BTreeMap<u64, Server>,
    /// Messages under way, by sender and receiver.
    wires: BTreeMap<(u64, u64), VecDeque<Message>>,
    links: BTreeSet<(u64, u64)>,
    /// The servers of each cluster that was ever founded.
    rosters: BTreeMap<ClusterId, Roster>,
    refused: Vec<(u64, Refusal)>,
    lives: u64,
}

struct Server {
    name: String,
    expected: usize,
    disk: Identity,
    running: Option<Formation>,
}

impl World {
    fn new(count: u64, settle_ms: u64) -> Self {
        let mut world = Self {
            now_ms: 0,
            settle_ms,
            servers: BTreeMap::new(),
            wires: BTreeMap::new(),
            links: BTreeSet::new(),
            rosters: BTreeMap::new(),
            refused: Vec::new(),
            lives: 0,
        };
        for id in 1..=count {
            world.add(id, &format!("n{id}"), count as usize);
        }
        world
    }

    fn add(&mut self, id: u64, name: &str, expected: usize) {
        let disk = Identity::fresh(NodeId(id));
        let server = Server {
            name: name.to_owned(),
            expected,
            disk,
            running: None,
        };
        self.servers.insert(id, server);
        self.boot(id);
    }

    fn boot(&mut self, id: u64) {
        self.lives += 1;
        let cluster = ClusterId(id * 1_000_000 + self.lives);
        let settle_ms = self.settle_ms;
        let server = self.servers.get_mut(&id).expect("a server");
        let settings = Settings {
            name: server.name.clone(),
            expected: server.expected,
            settle_ms,
            cluster,
        };
        server.running = Some(Formation::new(settings, server.disk.clone()));
        self.event(id, Event::Tick, usize::MAX);
    }

    fn crash(&mut self, id: u64) {
        self.servers.get_mut(&id).expect("a server").running = None;
        let linked: Vec<_> = self
            .links
            .iter()
            .copied()
            .filter(|(a, b)| *a == id || *b == id)
            .collect();
        for (a, b) in linked {
            self.disconnect(a, b);
        }
    }

    fn connect(&mut self, a: u64, b: u64) {
        let (a, b) = (a.min(b), a.max(b));
        if a != b && self.is_up(a) && self.is_up(b) && self.links.insert((a, b)) {
            self.event(a, Event::Connected(NodeId(b)), usize::MAX);
            self.event(b, Event::Connected(NodeId(a)), usize::MAX);
        }
    }

    fn disconnect(&mut self, a: u64, b: u64) {
        let (a, b) = (a.min(b), a.max(b));
        if self.links.remove(&(a, b)) {
            self.wires.remove(&(a, b));
            self.wires.remove(&(b, a));
            self.event(a, Event::Disconnected(NodeId(b)), usize::MAX);
            self.event(b, Event::Disconnected(NodeId(a)), usize::MAX);
        }
    }

    fn is_up(&self, id: u64) -> bool {
        self.servers
            .get(&id)
            .is_some_and(|server| server.running.is_some())
    }

    /// Delivers one message of a wire: the one at `place`, or the last.
    fn deliver(&mut self, from: u64, to: u64, place: usize, actions_max: usize) {
        let Some(wire) = self.wires.get_mut(&(from, to)) else {
            return;
        };
        let place = place.min(wire.len().saturating_sub(1));
        if let Some(message) = wire.remove(place) {
            let read = Message::decode(&message.encode()).expect("messages survive the wire");
            assert_eq!(read, message);
            self.event(to, Event::Received(NodeId(from), message), actions_max);
        }
    }

    /// Lets one server see an event. It dies after `actions_max` of the actions that follow.
    fn event(&mut self, id: u64, event: Event, actions_max: usize) {
        let now_ms = self.now_ms;
        let server = self.servers.get_mut(&id).expect("a server");
        let Some(formation) = &mut server.running else {
            return;
        };
        let actions = formation.on_event(event, now_ms);
        let dies = actions.len() > actions_max;
        for action in actions.into_iter().take(actions_max) {
            self.act(id, action);
        }
        if dies {
            self.crash(id);
        }
        self.check();
    }

    fn act(&mut self, id: u64, action: Action) {
        match action {
            Action::Persist(identity) => {
                let read = Identity::decode(&identity.encode());
                assert_eq!(
                    read.as_ref(),
                    Some(&identity),
                    "identities survive the disk"
                );
                self.servers.get_mut(&id).expect("a server").disk = identity;
            }
            Action::Send(to, message) => {
                let (a, b) = (id.min(to.0), id.max(to.0));
                if self.links.contains(&(a, b)) {
                    self.wires.entry((id, to.0)).or_default().push_back(message);
                }
            }
            Action::Start(membership) => self.start(id, &membership),
            Action::Admit {
                node,
                name,
                replaces,
            } => self.admit(id, node, name, replaces),
            Action::Refuse(peer, refusal) => {
                self.refused.push((id, refusal));
                while self
                    .wires
                    .get(&(id, peer.0))
                    .is_some_and(|wire| !wire.is_empty())
                {
                    self.deliver(id, peer.0, 0, usize::MAX);
                }
                self.disconnect(id, peer.0);
            }
            Action::Replaced { .. } => self.crash(id),
        }
    }

    fn start(&mut self, id: u64, membership: &Membership) {
        let disk = &self.servers[&id].disk;
        assert_eq!(
            disk.cluster.as_ref(),
            Some(membership),
            "started before it was durable"
        );
        let names = &self.servers;
        let roster = self.rosters.entry(membership.cluster).or_insert_with(|| {
            let founders = membership.founders.iter();
            founders
                .map(|node| (names[&node.0].name.clone(), *node))
                .collect()
        });
        let roster = roster.clone();
        self.event(id, Event::Roster(roster), usize::MAX);
    }

    fn admit(&mut self, by: u64, node: NodeId, name: String, replaces: Option<NodeId>) {
        let cluster = self.servers[&by]
            .disk
            .cluster
            .as_ref()
            .expect("a member admits")
            .cluster;
        let roster = self.rosters.get_mut(&cluster).expect("a roster");
        assert_eq!(roster.get(&name).copied(), replaces);
        roster.insert(name, node);
        let roster = roster.clone();
        let members: Vec<u64> = self.members().into_iter().map(|(id, _)| id).collect();
        for id in members {
            self.event(id, Event::Roster(roster.clone()), usize::MAX);
        }
    }

    fn members(&self) -> Vec<(u64, ClusterId)> {
        let members = self.servers.iter();
        members
            .filter_map(|(id, server)| Some((*id, server.disk.cluster.as_ref()?.cluster)))
            .collect()
    }

    /// There is never more than one cluster.
    fn check(&self) {
        let clusters: BTreeSet<ClusterId> = self
            .members()
            .into_iter()
            .map(|(_, cluster)| cluster)
            .collect();
        assert!(clusters.len() <= 1, "two clusters: {clusters:?}");
    }

    /// Delivers everything and lets time pass.
    fn settle(&mut self, rounds: usize) {
        for _ in 0..rounds {
            self.now_ms += TICK_MS;
            for id in self.servers.keys().copied().collect::<Vec<_>>() {
                self.event(id, Event::Tick, usize::MAX);
            }
            // Bounded: an answer may ask for an answer, but not for ever.
            for _ in 0..50 {
                for (from, to) in self.wires.keys().copied().collect::<Vec<_>>() {
                    self.deliver(from, to, 0, usize::MAX);
                }
            }
        }
    }

    fn connect_all(&mut self) {
        let ids: Vec<u64> = self.servers.keys().copied().collect();
        for a in &ids {
            for b in &ids {
                self.connect(*a, *b);
            }
        }
    }

    fn started(&self) -> usize {
        self.members().len()
    }
}

#[test]
fn three_servers_found_one_cluster_of_all() {
    let mut world = World::new(3, 1000);
    world.connect_all();
    world.settle(1);
    assert_eq!(world.started(), 3);
    let founders = &world.servers[&1]
        .disk
        .cluster
        .as_ref()
        .expect("a member")
        .founders;
    assert_eq!(founders.len(), 3);
}

#[test]
fn one_expected_server_founds_alone() {
    let world = World::new(1, 1000);
    assert_eq!(world.started(), 1);
}

#[test]
fn a_minority_founds_nothing() {
    let mut world = World::new(5, 0);
    world.connect(1, 2);
    world.settle(100);
    assert_eq!(world.started(), 0);
    let status = world.servers[&1].running.as_ref().expect("up").status();
    assert_eq!(status, "2 of 5 servers are connected, 3 are needed");
}

#[test]
fn a_majority_waits_a_while_and_the_rest_join_later() {
    let mut world = World::new(3, 1000);
    world.connect(1, 2);
    world.settle(2);
    assert_eq!(world.started(), 0, "it waits for the third");
    world.settle(4);
    assert_eq!(world.started(), 2);
    world.connect_all();
    world.settle(2);
    assert_eq!(world.started(), 3);
}

#[test]
fn a_server_with_an_empty_store_takes_its_place_again() {
    let mut world = World::new(3, 0);
    world.connect_all();
    world.settle(1);
    world.crash(2);
    world.servers.remove(&2);
    world.add(9, "n2", 3);
    world.connect_all();
    world.settle(2);
    assert_eq!(world.started(), 3);
    let roster = world.rosters.values().next().expect("a roster");
    assert_eq!(roster["n2"], NodeId(9));
    assert_eq!(roster.len(), 3);
}

#[test]
fn a_second_server_of_a_name_is_refused() {
    let mut world = World::new(3, 0);
    world.connect_all();
    world.settle(1);
    world.add(9, "n2", 3);
    world.connect(1, 9);
    world.settle(1);
    let refusal = Refusal::DuplicateName {
        name: "n2".to_owned(),
    };
    assert!(
        world.refused.contains(&(1, refusal.clone())),
        "{:?}",
        world.refused
    );
    assert!(world.refused.contains(&(9, refusal)), "it is told why");
    assert_eq!(world.started(), 3);
}

#[test]
fn a_store_of_another_cluster_is_refused() {
    let mut world = World::new(1, 0);
    let cluster = world.members()[0].1;
    let foreign = Membership {
        cluster: ClusterId(5),
        founders: BTreeSet::from([NodeId(7)]),
    };
    let hello = Hello {
        name: "x".to_owned(),
        expected: 1,
        cluster: Some(foreign),
        grant: None,
    };
    world.event(1, Event::Connected(NodeId(7)), usize::MAX);
    world.event(
        1,
        Event::Received(NodeId(7), Message::Hello(hello)),
        usize::MAX,
    );
    let refusal = Refusal::OtherCluster {
        name: "x".to_owned(),
        ours: cluster,
        theirs: ClusterId(5),
    };
    assert_eq!(world.refused, [(1, refusal)]);
}

#[test]
fn the_grant_to_an_initiator_that_lost_its_store_comes_back() {
    let mut world = World::new(3, 0);
    world.connect(1, 2);
    // Server 2 grants, and the initiator dies before it hears of it.
    loop {
        world.deliver(1, 2, 0, usize::MAX);
        if world.servers[&2].disk.grant.is_some() {
            break;
        }
        world.deliver(2, 1, 0, usize::MAX);
    }
    world.crash(1);
    world.connect(2, 3);
    world.settle(50);
    assert_eq!(world.started(), 0, "the initiator may have decided");
    world.servers.remove(&1);
    world.add(9, "n1", 3);
    world.connect_all();
    world.settle(2);
    assert_eq!(world.started(), 3);
}

#[test]
fn a_replaced_server_stops() {
    let mut world = World::new(3, 0);
    world.connect_all();
    world.settle(1);
    let roster = BTreeMap::from([("n1".to_owned(), NodeId(9))]);
    world.event(1, Event::Roster(roster), usize::MAX);
    assert!(!world.is_up(1));
}

#[derive(Debug, Clone)]
enum Step {
    Connect(u64, u64),
    Disconnect(u64, u64),
    Deliver {
        from: u64,
        to: u64,
        place: usize,
        actions_max: usize,
    },
    Crash(u64),
    Boot(u64),
    Tick(u64),
    Wait(u64),
}

fn steps(count: u64) -> impl Strategy<Value = Vec<Step>> {
    let id = move || 1..=count;
    // Most often nobody dies in the middle of its actions.
    let actions_max = prop_oneof![9 => Just(usize::MAX), 1 => 0..4usize];
    let step = prop_oneof![
        4 => (id(), id()).prop_map(|(a, b)| Step::Connect(a, b)),
        1 => (id(), id()).prop_map(|(a, b)| Step::Disconnect(a, b)),
        20 => (id(), id(), 0..3usize, actions_max).prop_map(|(from, to, place, actions_max)| {
            Step::Deliver { from, to, place, actions_max }
        }),
        1 => id().prop_map(Step::Crash),
        2 => id().prop_map(Step::Boot),
        3 => id().prop_map(Step::Tick),
        2 => (0..3000u64).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 0..400)
}

fn run(world: &mut World, steps: Vec<Step>) {
    for step in steps {
        match step {
            Step::Connect(a, b) => world.connect(a, b),
            Step::Disconnect(a, b) => world.disconnect(a, b),
            Step::Deliver {
                from,
                to,
                place,
                actions_max,
            } => {
                world.deliver(from, to, place, actions_max);
            }
            Step::Crash(id) => world.crash(id),
            Step::Boot(id) if !world.is_up(id) => world.boot(id),
            Step::Boot(_) => {}
            Step::Tick(id) => world.event(id, Event::Tick, usize::MAX),
            Step::Wait(ms) => world.now_ms += ms,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Whatever order messages come in, whoever dies when: never two clusters; and when all is well
    /// again, one cluster of all.
    #[test]
    fn there_is_never_more_than_one_cluster(
        (count, steps) in (1..=5u64).prop_flat_map(|count| (Just(count), steps(count))),
        settle_ms in prop_oneof![Just(0u64), Just(1000)],
    ) {
        let mut world = World::new(count, settle_ms);
        run(&mut world, steps);
        for id in 1..=count {
            if !world.is_up(id) {
                world.boot(id);
            }
        }
        world.connect_all();
        world.settle(60);
        prop_assert_eq!(world.started(), count as usize, "somebody is left out");
    }
}
