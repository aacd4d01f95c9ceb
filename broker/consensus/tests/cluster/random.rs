//! Random faults, the same for the same seed.

use std::time::Duration;

use crate::harness::{Cluster, node};

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// Lets things go wrong for a while, then checks. Returns a trace of what was applied.
async fn storm(seed: u64, rounds: usize) -> Vec<(u64, bytes::Bytes)> {
    let mut cluster = Cluster::start(3, seed).await;
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    for _ in 0..rounds {
        disturb(&mut cluster, &mut dice).await;
        work(&mut cluster, &mut dice).await;
    }
    cluster.network.heal();
    cluster.network.worsen(0, 1);
    for id in 1..=3 {
        if !cluster.server(id).is_up() {
            cluster.boot(id).await;
        }
    }
    let leader = cluster.leader().await;
    cluster.commit(leader, 1).await;
    cluster.agree().await;
    let commands = cluster.server(1).ledger().commands();
    cluster.end().await;
    commands
}

async fn disturb(cluster: &mut Cluster, dice: &mut Dice) {
    let id = 1 + dice.roll(3);
    match dice.roll(8) {
        0 if cluster.server(id).is_up() => cluster.crash(id).await,
        0 | 1 if !cluster.server(id).is_up() => cluster.boot(id).await,
        2 => cluster.network.isolate(node(id)),
        3 => cluster.network.cut_way(node(id), node(1 + dice.roll(3))),
        4 => cluster.network.worsen(dice.roll(20), 1 + dice.roll(100)),
        5 if cluster.server(id).is_up() => {
            let group = cluster.server(id).group().clone();
            let checkpoint = group.checkpoint();
            let _ = tokio::time::timeout(Duration::from_secs(1), checkpoint).await;
        }
        _ => {
            cluster.network.heal();
            cluster.network.worsen(0, 1);
        }
    }
}

/// Proposes wherever somebody believes to lead, and notes what was applied there.
async fn work(cluster: &mut Cluster, dice: &mut Dice) {
    let mut proposed = Vec::new();
    for id in 1..=3 {
        for _ in 0..dice.roll(20) {
            let command = cluster.fresh_command();
            if cluster.server(id).leads()
                && cluster.server(id).group().propose(command.clone()).is_ok()
            {
                proposed.push((id, command));
            }
        }
    }
    tokio::time::sleep(Duration::from_millis(dice.roll(3000))).await;
    for (id, command) in proposed {
        if cluster.server(id).is_up() && cluster.server(id).ledger().has(&command) {
            cluster.applied.push(command);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_applied_is_ever_lost() {
    for seed in 1..=20 {
        let applied = storm(seed, 25).await;
        assert!(!applied.is_empty());
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let begun = tokio::time::Instant::now();
            (storm(seed, 10).await, begun.elapsed())
        })
    };
    assert_eq!(run(3), run(3));
}
