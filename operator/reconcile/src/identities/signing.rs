//! Keys that sign an account's users in place of its own one, and that take turns.
//!
//! A new key is kept before the servers hear of it, and signs users only after they did. The one before
//! is accepted for a while longer, so that clients can read their new credentials.

#[cfg(test)]
mod tests;

use api::ResourceId;
use identity::jwt::{AccountClaims, SigningKey};
use identity::nkey::{KeyPair, Kind};

use super::Registry;
use crate::bootstrap::RootsError;
use crate::keys::{Entry, Secret};
use crate::validate::{Signing, Turns};

/// Keys of one account, the oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ring {
    keys: Vec<Signer>,
}

#[derive(Clone, Debug)]
struct Signer {
    key: KeyPair,
    /// Seconds since 1970.
    made_s: i64,
}

impl Ring {
    /// Keys with when they were made, the oldest first.
    #[cfg(test)]
    pub(crate) fn of<const N: usize>(keys: [(KeyPair, i64); N]) -> Ring {
        let keys = keys.into_iter();
        Ring {
            keys: keys.map(|(key, made_s)| Signer { key, made_s }).collect(),
        }
    }

    /// The keys as claims of the account name them.
    pub(crate) fn claims(&self) -> Vec<SigningKey> {
        let keys = self.keys.iter();
        keys.map(|signer| SigningKey::Plain(signer.key.public_key()))
            .collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The newest key that the servers have heard of.
    pub(crate) fn signer(&self, served: Option<&AccountClaims>) -> Option<&KeyPair> {
        let known = self.keys.iter().rev().map(|signer| &signer.key);
        known.into_iter().find(|key| names(served, key))
    }

    pub(crate) fn has(&self, public_key: &str) -> bool {
        let mut keys = self.keys.iter();
        keys.any(|signer| signer.key.public_key() == public_key)
    }

    /// Makes a key if the last one has signed for long enough, and drops those whose time is over: not
    /// before the servers have heard of their successor. Whether anything changed.
    fn turn(
        &mut self,
        turns: Option<Turns>,
        served: Option<&AccountClaims>,
        now_s: i64,
        make: impl FnOnce() -> KeyPair,
    ) -> bool {
        let before = self.keys.len();
        let overlap_s = turns.map(|turns| turns.overlap_s);
        let retired = self.keys.windows(2).take_while(|pair| {
            let [_, successor] = pair else { return false };
            let is_over = overlap_s.is_some_and(|overlap_s| now_s >= successor.made_s + overlap_s);
            is_over && names(served, &successor.key)
        });
        let retired = retired.count();
        self.keys.drain(..retired);
        let is_due = match (self.keys.last(), turns) {
            (None, _) => true,
            (Some(last), Some(turns)) => now_s >= last.made_s + turns.every_s,
            (Some(_), None) => false,
        };
        if is_due {
            self.keys.push(Signer {
                key: make(),
                made_s: now_s,
            });
        }
        is_due || before != self.keys.len()
    }

    /// A line for each key: its seed, and when it was made.
    fn to_text(&self) -> String {
        let lines = self.keys.iter();
        let lines = lines.map(|signer| format!("{} {}\n", signer.key.seed(), signer.made_s));
        lines.collect()
    }

    fn parse(text: &str) -> Result<Ring, identity::nkey::Error> {
        let keys = text.lines().map(|line| {
            let (seed, made) = line.split_once(' ').unwrap_or((line, ""));
            Ok(Signer {
                key: KeyPair::from_seed(seed)?,
                // Of a key that nobody knows the age of the turn is over.
                made_s: made.trim().parse().unwrap_or_default(),
            })
        });
        Ok(Ring {
            keys: keys.collect::<Result<_, _>>()?,
        })
    }
}

fn names(served: Option<&AccountClaims>, key: &KeyPair) -> bool {
    let public_key = key.public_key();
    let mut named = served
        .into_iter()
        .flat_map(|claims| &claims.body.signing_keys);
    named.any(|named| matches!(named, SigningKey::Plain(named) if *named == public_key))
}

/// The keys that the account's claims should name; kept, with a new one if it is time for it. An account
/// that asks for none any more keeps those that it has: users are signed with them.
pub(crate) async fn keep(
    registry: Registry<'_>,
    account: &ResourceId,
    wanted: Option<Signing>,
    served: Option<&AccountClaims>,
) -> Result<Ring, RootsError> {
    let mut ring = load(registry, account).await?;
    if ring.is_empty() && wanted.is_none() {
        return Ok(ring);
    }
    let turns = wanted.and_then(|signing| signing.turns);
    let now_s = registry.environment.now().as_second();
    let make = || KeyPair::from_entropy(Kind::Account, registry.environment.entropy());
    if ring.turn(turns, served, now_s, make) {
        let text = Secret::new(ring.to_text());
        registry.store.save(&entry(account), &text).await?;
    }
    Ok(ring)
}

/// The keys that there are.
pub(crate) async fn load(registry: Registry<'_>, account: &ResourceId) -> Result<Ring, RootsError> {
    let entry = entry(account);
    let Some(text) = registry.store.load(&entry).await? else {
        return Ok(Ring::default());
    };
    Ring::parse(text.expose()).map_err(|reason| RootsError::Damaged { entry, reason })
}

pub(crate) fn entry(account: &ResourceId) -> Entry {
    Entry::SigningSeeds {
        namespace: account.namespace.clone(),
        name: account.name.clone(),
    }
}
