//! Breaks things, one after the other.

use std::time::Duration;

use consensus::NodeId;
use storage::fs::SimOp;
use tokio::time::Instant;

use crate::broker::ACCOUNT;
use crate::cluster::Cluster;
use crate::dice::Dice;
use crate::network::Weather;
use crate::workload::{EVENTS, STREAMS};

/// Longest jump of a clock in one direction.
const JUMP_MAX_S: u64 = 60;
/// How long an isolated leader waits to be replaced.
const USURPING_MAX: Duration = Duration::from_secs(8);

/// Something that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Crash,
    PowerFailure,
    Isolate,
    CutLink,
    CutOneWay,
    BadWeather,
    SlowLink,
    SlowDisk,
    ClockJump,
    StepDown,
    Usurp,
    DiskFull,
    SyncFailure,
    Rot,
    FlipBit,
    Checkpoint,
    Heal,
}

/// Everything that can go wrong, with its weight.
pub const ALL: &[(Fault, u64)] = &[
    (Fault::Crash, 5),
    (Fault::PowerFailure, 1),
    (Fault::Isolate, 3),
    (Fault::CutLink, 2),
    (Fault::CutOneWay, 2),
    (Fault::BadWeather, 2),
    (Fault::SlowLink, 2),
    (Fault::SlowDisk, 2),
    (Fault::ClockJump, 2),
    (Fault::StepDown, 3),
    (Fault::Usurp, 1),
    (Fault::DiskFull, 2),
    (Fault::SyncFailure, 1),
    (Fault::Rot, 3),
    (Fault::FlipBit, 1),
    (Fault::Checkpoint, 3),
    (Fault::Heal, 6),
];

/// What brings out that votes do not last.
pub const ELECTIONS: &[(Fault, u64)] = &[(Fault::Usurp, 4), (Fault::Heal, 1)];

/// What brings out that acknowledged writes do not last.
pub const POWER: &[(Fault, u64)] = &[(Fault::PowerFailure, 1), (Fault::Heal, 2)];

/// Bits flip on one broker after the other, checkpoints included, and brokers start again.
pub const BITS: &[(Fault, u64)] = &[
    (Fault::FlipBit, 6),
    (Fault::Crash, 1),
    (Fault::Checkpoint, 3),
    (Fault::StepDown, 1),
    (Fault::Heal, 1),
];

/// What may happen while brokers look for each other for the first time.
pub const FOUNDING: &[(Fault, u64)] = &[
    (Fault::Crash, 3),
    (Fault::PowerFailure, 1),
    (Fault::Isolate, 3),
    (Fault::CutLink, 3),
    (Fault::CutOneWay, 3),
    (Fault::BadWeather, 2),
    (Fault::SlowLink, 2),
    (Fault::Heal, 3),
];

/// Breaks things for a while. What it broke stays broken.
pub async fn rage(cluster: &mut Cluster, faults: &[(Fault, u64)], seed: u64, lasting: Duration) {
    let mut dice = Dice::of(seed, "nemesis");
    let end = Instant::now() + lasting;
    while Instant::now() < end {
        let pause = Duration::from_millis(dice.between(50, 1500));
        tokio::time::sleep(pause.min(end - Instant::now())).await;
        cluster.bury_broken().await;
        restart_some(cluster, &mut dice);
        if let Some(fault) = draw(faults, &mut dice) {
            strike(cluster, fault, &mut dice).await;
        }
    }
}

fn draw(faults: &[(Fault, u64)], dice: &mut Dice) -> Option<Fault> {
    let total: u64 = faults.iter().map(|(_, weight)| weight).sum();
    if total == 0 {
        return None;
    }
    let mut point = dice.roll(total);
    for (fault, weight) in faults {
        if point < *weight {
            return Some(*fault);
        }
        point -= weight;
    }
    None
}

/// Most crashed brokers come back soon.
fn restart_some(cluster: &mut Cluster, dice: &mut Dice) {
    for node in cluster.nodes() {
        if !cluster.brokers[&node].is_up() && dice.percent(60) {
            cluster.start(node);
        }
    }
}

async fn strike(cluster: &mut Cluster, fault: Fault, dice: &mut Dice) {
    let nodes = cluster.nodes();
    let running = cluster.running();
    let (Some(one), Some(other)) = (dice.pick(&nodes), dice.pick(&nodes)) else {
        return;
    };
    let network = cluster.world.network.clone();
    let victim = dice.pick(&running).unwrap_or(one);
    cluster
        .world
        .trace
        .say(format!("{fault:?} ({} {} {})", one.0, other.0, victim.0));
    match fault {
        Fault::Crash => cluster.crash(victim).await,
        Fault::PowerFailure => cluster.power_failure().await,
        Fault::Isolate => {
            network.isolate(one, &nodes);
        }
        Fault::CutLink if one != other => {
            network.cut(one, other);
            network.cut(other, one);
        }
        Fault::CutOneWay if one != other => network.cut(one, other),
        Fault::CutLink | Fault::CutOneWay => {}
        Fault::BadWeather => network.set_weather(Weather {
            loss_percent: dice.roll(20),
            delay_max: Duration::from_millis(dice.between(1, 200)),
        }),
        Fault::SlowLink => {
            let delay_max = Duration::from_millis(dice.between(100, 1500));
            network.slow_down(one, other, delay_max);
        }
        Fault::Heal => network.heal(),
        Fault::StepDown => step_down(cluster, dice),
        Fault::Usurp => usurp(cluster).await,
        Fault::Checkpoint => checkpoint(cluster, victim),
        Fault::Rot | Fault::FlipBit => rot(cluster, fault, victim, dice).await,
        Fault::SlowDisk | Fault::ClockJump | Fault::DiskFull | Fault::SyncFailure => {
            hurt_machine(cluster, fault, victim, dice);
        }
    }
}

fn hurt_machine(cluster: &mut Cluster, fault: Fault, victim: NodeId, dice: &mut Dice) {
    let used_bytes = cluster.used_bytes(victim);
    let Some(broker) = cluster.broker(victim) else {
        return;
    };
    match fault {
        // Half of the time the disk gets well again.
        Fault::SlowDisk if dice.percent(50) => broker.pace.set_longest(crate::disk::QUICK),
        Fault::SlowDisk => broker
            .pace
            .set_longest(Duration::from_millis(dice.between(10, 800))),
        Fault::ClockJump => {
            let jump_ns = dice.between(0, 2 * JUMP_MAX_S * 1_000_000_000) as i64;
            broker
                .clock
                .set_offset_ns(jump_ns - (JUMP_MAX_S * 1_000_000_000) as i64);
        }
        Fault::DiskFull if dice.percent(50) => broker.fs.set_capacity_bytes(None),
        Fault::DiskFull => broker
            .fs
            .set_capacity_bytes(Some(used_bytes + dice.roll(100_000))),
        _ => broker.fs.fail_next(SimOp::Sync),
    }
}

/// Damages what one broker has on its disk, while the others have everything: of two replicas that
/// lost the same nobody could expect to have it back.
async fn rot(cluster: &mut Cluster, fault: Fault, victim: NodeId, dice: &mut Dice) {
    if !cluster.is_whole() {
        return;
    }
    cluster.crash(victim).await;
    let broker = &cluster.brokers[&victim];
    let done = match fault {
        Fault::FlipBit => broker.flip_bit(dice),
        _ => broker.rot(dice),
    };
    let done = done.unwrap_or_default();
    cluster
        .world
        .trace
        .say(format!("disk of broker {} rots: {done}", victim.0));
    cluster.start(victim);
}

fn step_down(cluster: &mut Cluster, dice: &mut Dice) {
    let Some(stream) = dice.pick(&STREAMS) else {
        return;
    };
    let leader = cluster.leader_of(stream);
    let engine = leader.and_then(|leader| cluster.brokers[&leader].engine());
    let group = engine.and_then(|engine| engine.asset(ACCOUNT, stream)?.group().cloned());
    if let Some(group) = group {
        // It may take long or fail; nobody waits for it.
        tokio::spawn(async move { group.transfer_leader(None).await.ok() });
    }
}

/// Has a leader replaced behind its back; then its successor is gone, and it meets the one that
/// voted for the successor, freshly started.
async fn usurp(cluster: &mut Cluster) {
    let nodes = cluster.nodes();
    let network = cluster.world.network.clone();
    let Some(old) = cluster.leader_of(EVENTS) else {
        return;
    };
    network.heal();
    network.isolate(old, &nodes);
    let deadline = Instant::now() + USURPING_MAX;
    let successor = loop {
        tokio::time::sleep(Duration::from_millis(10)).await;
        match cluster.leader_of(EVENTS).filter(|leader| *leader != old) {
            Some(successor) => break successor,
            None if Instant::now() > deadline => return,
            None => {}
        }
    };
    // Time for it to get something acknowledged.
    tokio::time::sleep(Duration::from_millis(150)).await;
    let voter = nodes
        .iter()
        .find(|node| **node != old && **node != successor);
    if let Some(voter) = voter {
        cluster.crash(*voter).await;
        network.heal();
        network.isolate(successor, &nodes);
        cluster.start(*voter);
    }
    tokio::time::sleep(Duration::from_millis(800)).await;
}

fn checkpoint(cluster: &mut Cluster, victim: NodeId) {
    let Some(engine) = cluster.brokers[&victim].engine() else {
        return;
    };
    for asset in engine.assets() {
        tokio::spawn(async move { asset.checkpoint().await });
    }
}
