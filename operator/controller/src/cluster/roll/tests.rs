use std::collections::BTreeSet;

use super::super::fleet::{ConfigState, PodState, Server};
use super::super::observe::{Blocker, Reliance};
use super::{Decision, Rules, decide};

const RULES: Rules = Rules {
    require_quorum: true,
};

/// A server in order, of the version before.
fn server(ordinal: u16) -> Server {
    Server {
        name: format!("shop-{ordinal}"),
        pool: "default".into(),
        pod: PodState::Ready,
        outdated: true,
        config: ConfigState::Current,
        reliance: Some(Reliance {
            safe: true,
            current: true,
            ..Reliance::default()
        }),
        ..Server::default()
    }
}

fn three() -> Vec<Server> {
    (0..3).map(server).collect()
}

fn decided(servers: &[Server]) -> Decision {
    decide(servers, &BTreeSet::new(), RULES)
}

fn restart(ordinal: u16) -> Decision {
    Decision::Restart {
        server: format!("shop-{ordinal}"),
    }
}

/// Waits for this server.
fn waits_for(servers: &[Server], ordinal: u16) -> String {
    match decided(servers) {
        Decision::Wait { server, why } if server == format!("shop-{ordinal}") => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_last_comes_first_and_the_leader_last() {
    let mut servers = three();
    servers[2].leads_meta = true;
    assert_eq!(decided(&servers), restart(1));
    servers[1].outdated = false;
    assert_eq!(decided(&servers), restart(0));
    servers[0].outdated = false;
    assert_eq!(decided(&servers), restart(2));
    servers[2].outdated = false;
    assert_eq!(decided(&servers), Decision::Done);
}

#[test]
fn nothing_is_touched_while_one_is_away_starts_or_catches_up() {
    for state in [PodState::Missing, PodState::Stopping, PodState::Starting] {
        let mut servers = three();
        servers[2].outdated = false;
        servers[2].pod = state;
        waits_for(&servers, 2);
    }
    let mut servers = three();
    servers[2].outdated = false;
    servers[2].pod = PodState::Down;
    waits_for(&servers, 2);
    let mut servers = three();
    servers[2].reliance.as_mut().expect("it is known").current = false;
    assert_eq!(waits_for(&servers, 2), "it is catching up");
    servers[2].reliance = None;
    waits_for(&servers, 2);
}

#[test]
fn a_server_that_streams_need_is_left_alone() {
    let mut servers = three();
    let reliance = servers[2].reliance.as_mut().expect("it is known");
    reliance.safe = false;
    reliance.blockers = vec![Blocker {
        stream: "ORDERS".into(),
        reason: "1 current replicas without it, 2 are needed".into(),
    }];
    let why = waits_for(&servers, 2);
    assert!(why.contains("ORDERS"), "{why}");
    let rules = Rules {
        require_quorum: false,
    };
    assert_eq!(decide(&servers, &BTreeSet::new(), rules), restart(2));
}

#[test]
fn a_broken_version_is_replaced_where_it_is_down_already() {
    let mut servers = three();
    servers[2].pod = PodState::Down;
    servers[2].reliance = None;
    assert_eq!(decided(&servers), restart(2));
    // It is down and would be restarted as well: the one that has the newest version is waited for.
    servers[2].outdated = false;
    waits_for(&servers, 2);
}

#[test]
fn one_that_runs_without_becoming_ready_is_replaced_if_the_others_go_on() {
    let mut servers = three();
    servers[1].pod = PodState::Starting;
    assert_eq!(decided(&servers), restart(1));
    servers[0].pod = PodState::Starting;
    waits_for(&servers, 0);
    servers[0].pod = PodState::Ready;
    servers[1].reliance.as_mut().expect("it is known").safe = false;
    waits_for(&servers, 1);
}

#[test]
fn a_configuration_can_need_a_restart_too() {
    let mut servers = three();
    for server in &mut servers {
        server.outdated = false;
    }
    let config = BTreeSet::from(["shop-1".to_owned()]);
    assert_eq!(decide(&servers, &config, RULES), restart(1));
}

#[test]
fn too_few_servers_for_a_quorum_are_restarted_one_after_the_other() {
    let mut servers = three();
    servers.truncate(2);
    for server in &mut servers {
        server.reliance.as_mut().expect("it is known").safe = false;
    }
    assert_eq!(decided(&servers), restart(1));
    servers[1].pod = PodState::Starting;
    servers[1].outdated = false;
    waits_for(&servers, 1);
}
