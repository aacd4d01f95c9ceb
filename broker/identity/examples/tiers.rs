//! Prints the configuration of an operator with an account whose JetStream limits are tiers, with the
//! token of a user in a comment: `e2e/compare/wire/tiers.conf`.

use identity::jwt::{
    AccountClaims, JetStreamLimits, OperatorClaims, OperatorLimits, UserClaims, UserLimits,
};
use identity::nkey::{KeyPair, Kind};

const ISSUED_AT_S: i64 = 1_700_000_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let operator = KeyPair::from_entropy(Kind::Operator, [11; 32]);
    let system = KeyPair::from_entropy(Kind::Account, [12; 32]);
    let mut claims = OperatorClaims::new(&operator.public_key());
    claims.name = "operator".to_owned();
    claims.body.system_account = system.public_key();
    println!("# Made by `cargo run --example tiers`.");
    let mut preloads = vec![("SYS", system, OperatorLimits::unlimited())];
    for (number, (name, limits)) in [("TIERED", tiered()), ("ONE", one()), ("NONE", none())]
        .into_iter()
        .enumerate()
    {
        let key = KeyPair::from_entropy(Kind::Account, [20 + number as u8; 32]);
        let user = KeyPair::from_entropy(Kind::User, [30 + number as u8; 32]);
        let mut user = UserClaims::new(&user.public_key());
        user.body.limits = UserLimits::unlimited();
        user.body.limits.bearer_token = true;
        println!(
            "# {} {}",
            name.to_lowercase(),
            user.encode(&key, ISSUED_AT_S)?
        );
        preloads.push((name, key, limits));
    }
    println!("operator: {}", claims.encode(&operator, ISSUED_AT_S)?);
    println!("resolver: MEMORY\nresolver_preload {{");
    let mut system_account = String::new();
    for (name, key, limits) in preloads {
        let mut account = AccountClaims::new(&key.public_key());
        account.name = name.to_owned();
        account.body.limits = limits;
        println!(
            "  {}: {}",
            key.public_key(),
            account.encode(&operator, ISSUED_AT_S)?
        );
        if name == "SYS" {
            system_account = key.public_key();
        }
    }
    println!("}}\nsystem_account: {system_account}");
    Ok(())
}

/// Few streams of one replica, and larger ones of three.
fn tiered() -> OperatorLimits {
    let one = JetStreamLimits {
        mem_storage: 2000,
        disk_storage: 3000,
        streams: 2,
        consumer: 1,
        max_ack_pending: 7,
        disk_max_stream_bytes: 2000,
        ..JetStreamLimits::default()
    };
    let three = JetStreamLimits {
        disk_storage: 5000,
        streams: 1,
        consumer: 2,
        max_bytes_required: true,
        ..JetStreamLimits::default()
    };
    with_tiers([("R1", one), ("R3", three)])
}

fn one() -> OperatorLimits {
    let limits = JetStreamLimits {
        mem_storage: -1,
        disk_storage: -1,
        streams: -1,
        consumer: -1,
        ..JetStreamLimits::default()
    };
    with_tiers([("R1", limits)])
}

fn none() -> OperatorLimits {
    with_tiers([])
}

fn with_tiers<const N: usize>(tiers: [(&str, JetStreamLimits); N]) -> OperatorLimits {
    let mut limits = OperatorLimits::unlimited();
    limits.tiered_limits = tiers
        .into_iter()
        .map(|(name, tier)| (name.to_owned(), tier))
        .collect();
    limits
}
