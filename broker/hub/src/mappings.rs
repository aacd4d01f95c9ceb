//! Subject mappings of an account: what clients publish to one subject goes to another.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use subject::{Transform, TransformError};

use crate::{account::Account, hub::Hub};

/// The weights of one mapping are percent.
const WHOLE: u32 = 100;

/// One mapping as it is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    pub source: String,
    pub destinations: Vec<Destination>,
}

/// Where a part of the messages goes. What the weights leave over stays where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    pub subject: String,
    pub weight_percent: u8,
    /// Counts only on servers of this cluster, in place of the destinations without a cluster.
    pub cluster: Option<String>,
}

/// Why mappings cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("mapping of {source_subject:?} to {destination:?}: {error}")]
pub struct MappingError {
    pub source_subject: String,
    pub destination: String,
    #[source]
    pub error: TransformError,
}

/// The mappings of one account, as this server applies them.
#[derive(Default)]
pub(crate) struct Mappings {
    compiled: ArcSwapOption<Vec<Compiled>>,
    /// As they were written, for those who ask.
    written: ArcSwapOption<Vec<Mapping>>,
}

struct Compiled {
    source: Vec<u8>,
    /// Each with the sum of the weights up to and including its own.
    destinations: Vec<(u32, Transform)>,
}

impl Hub {
    /// Replaces the mappings of an account. Where several sources match, a literal one counts, or
    /// else the first.
    pub fn set_mappings(&self, account: &str, mappings: &[Mapping]) -> Result<(), MappingError> {
        let cluster = self.options().cluster.as_ref();
        let cluster = cluster.map(|cluster| cluster.name.as_str());
        let mut compiled = mappings
            .iter()
            .map(|mapping| compile(mapping, cluster))
            .collect::<Result<Vec<_>, _>>()?;
        compiled.sort_by_key(|mapping| !subject::is_literal(&mapping.source));
        let account = self.known_account(account);
        if compiled.is_empty() && account.mappings.compiled.load().is_none() {
            return Ok(());
        }
        let compiled = (!compiled.is_empty()).then(|| compiled.into());
        account.mappings.compiled.store(compiled);
        let written = (!mappings.is_empty()).then(|| Arc::new(mappings.to_vec()));
        account.mappings.written.store(written);
        account.forget_matches();
        Ok(())
    }
}

impl Account {
    /// The account's subject mappings.
    pub fn mappings(&self) -> Vec<Mapping> {
        let written = self.mappings.written.load();
        written
            .as_ref()
            .map_or(Vec::new(), |written| written.to_vec())
    }

    /// Where a message to this subject goes instead; `None` if nowhere else.
    #[inline]
    pub(crate) fn mapped(&self, subject: &[u8]) -> Option<Vec<u8>> {
        let mappings = self.mappings.compiled.load();
        mapped(mappings.as_ref()?, subject, rand::random())
    }
}

fn compile(mapping: &Mapping, cluster: Option<&str>) -> Result<Compiled, MappingError> {
    let of = |cluster: Option<&str>| -> Vec<&Destination> {
        let all = mapping.destinations.iter();
        all.filter(|destination| destination.cluster.as_deref() == cluster)
            .collect()
    };
    let mut chosen = of(cluster);
    if chosen.is_empty() {
        chosen = of(None);
    }
    let mut sum = 0;
    let mut destinations = Vec::new();
    for destination in chosen {
        let transform = Transform::new(&mapping.source, &destination.subject).map_err(|error| {
            MappingError {
                source_subject: mapping.source.clone(),
                destination: destination.subject.clone(),
                error,
            }
        })?;
        sum += u32::from(destination.weight_percent);
        destinations.push((sum, transform));
    }
    Ok(Compiled {
        source: mapping.source.clone().into_bytes(),
        destinations,
    })
}

fn mapped(mappings: &[Compiled], subject: &[u8], random: u64) -> Option<Vec<u8>> {
    let mapping = mappings
        .iter()
        .find(|mapping| subject::matches(&mapping.source, subject))?;
    let ticket = (random % u64::from(WHOLE)) as u32;
    let (_, transform) = mapping.destinations.iter().find(|(sum, _)| ticket < *sum)?;
    transform.apply(subject, random / u64::from(WHOLE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(subject: &str, weight_percent: u8, cluster: Option<&str>) -> Destination {
        Destination {
            subject: subject.to_owned(),
            weight_percent,
            cluster: cluster.map(str::to_owned),
        }
    }

    fn compiled(
        source: &str,
        destinations: Vec<Destination>,
        cluster: Option<&str>,
    ) -> Vec<Compiled> {
        let mapping = Mapping {
            source: source.to_owned(),
            destinations,
        };
        vec![compile(&mapping, cluster).unwrap()]
    }

    fn text(mappings: &[Compiled], subject: &str, random: u64) -> Option<String> {
        mapped(mappings, subject.as_bytes(), random)
            .map(|subject| String::from_utf8(subject).unwrap())
    }

    #[test]
    fn weights_share_messages_out_and_leave_the_rest_alone() {
        let mappings = compiled(
            "a.*",
            vec![to("b.$1", 30, None), to("c.$1", 50, None)],
            None,
        );
        let mut counts = [0; 3];
        for random in 0..100 {
            let index = match text(&mappings, "a.x", random).as_deref() {
                Some("b.x") => 0,
                Some("c.x") => 1,
                None => 2,
                other => panic!("{other:?}"),
            };
            counts[index] += 1;
        }
        assert_eq!(counts, [30, 50, 20]);
        assert_eq!(text(&mappings, "other.x", 0), None);
    }

    #[test]
    fn destinations_of_the_own_cluster_come_before_the_others() {
        let destinations = || {
            vec![
                to("all", 100, None),
                to("east", 100, Some("east")),
                to("west", 100, Some("west")),
            ]
        };
        let cases = [
            (None, "all"),
            (Some("east"), "east"),
            (Some("north"), "all"),
        ];
        for (cluster, expected) in cases {
            let mappings = compiled("a", destinations(), cluster);
            assert_eq!(text(&mappings, "a", 7).as_deref(), Some(expected));
        }
        let elsewhere = compiled("a", vec![to("east", 100, Some("east"))], None);
        assert_eq!(text(&elsewhere, "a", 7), None);
    }

    #[test]
    fn an_impossible_destination_is_named() {
        let mapping = Mapping {
            source: "a".to_owned(),
            destinations: vec![to("b.{{nope(1)}}", 100, None)],
        };
        let error = compile(&mapping, None).err().unwrap();
        assert!(error.to_string().contains("unknown function"), "{error}");
    }
}
