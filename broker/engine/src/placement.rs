//! Chooses the servers that hold a stream's replicas: pure, so that a choice can be explained.
//!
//! A server qualifies when it is online and not evacuated, carries every wanted tag and none of the unwanted ones
//! (`!tag`), and has room for the stream's `max_bytes`. Among those, the servers with the fewest
//! replicas win, then those with more free storage, then the name decides.

use std::collections::BTreeSet;

use consensus::NodeId;

/// A server as placement sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub node: NodeId,
    pub name: String,
    pub tags: Vec<String>,
    pub online: bool,
    /// It is being emptied and gets nothing new.
    pub evacuating: bool,
    /// Replicas of streams assigned to it.
    pub replicas: usize,
    /// Storage of the wanted kind that is not yet promised to other streams, in bytes.
    pub free_bytes: u64,
}

/// What a stream asks of its servers.
#[derive(Debug, Clone, Default)]
pub struct Wanted<'a> {
    pub replicas: usize,
    pub tags: &'a [String],
    /// Bytes to reserve: the stream's `max_bytes`, or 0 without a limit.
    pub bytes: u64,
    /// Servers may not share a tag that starts with this prefix (`unique_tag`).
    pub unique_tag: Option<&'a str>,
    /// Servers that already hold a replica and are kept when they still qualify.
    pub keep: &'a [NodeId],
}

/// Why no placement was found; the text is what a client reads after code 10005.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("no suitable peers for placement")]
    Cluster,
    #[error("no suitable peers for placement, {offline} of {known} peers offline")]
    Offline { offline: usize, known: usize },
    #[error("no suitable peers for placement, tags not matched ['{}']", tags.join("', '"))]
    Tags { tags: Vec<String> },
    #[error("no suitable peers for placement, insufficient storage")]
    Storage,
    #[error("no suitable peers for placement, server tag '{prefix}' is not unique enough")]
    NotUnique { prefix: String },
    #[error(
        "no suitable peers for placement, peer count is {known}, replicas asked for is {wanted}"
    )]
    TooFew { known: usize, wanted: usize },
}

/// Picks `wanted.replicas` servers, best first.
pub fn place(candidates: &[Candidate], wanted: &Wanted<'_>) -> Result<Vec<NodeId>, Refusal> {
    let candidates: Vec<&Candidate> = candidates.iter().filter(|c| !c.evacuating).collect();
    if candidates.len() < wanted.replicas {
        return Err(Refusal::TooFew {
            known: candidates.len(),
            wanted: wanted.replicas,
        });
    }
    // A replica that is away for a while is no reason to build another one.
    let present = |c: &&Candidate| c.online || wanted.keep.contains(&c.node);
    let online: Vec<&Candidate> = candidates.iter().copied().filter(present).collect();
    if online.len() < wanted.replicas {
        let offline = candidates.len() - online.len();
        return Err(Refusal::Offline {
            offline,
            known: candidates.len(),
        });
    }
    let tagged: Vec<&Candidate> = online
        .into_iter()
        .filter(|c| tags_match(&c.tags, wanted.tags))
        .collect();
    if tagged.len() < wanted.replicas {
        return Err(Refusal::Tags {
            tags: wanted.tags.to_vec(),
        });
    }
    let mut roomy: Vec<&Candidate> = tagged
        .into_iter()
        .filter(|c| wanted.keep.contains(&c.node) || c.free_bytes >= wanted.bytes)
        .collect();
    if roomy.len() < wanted.replicas {
        return Err(Refusal::Storage);
    }
    roomy.sort_by(|a, b| rank(a, wanted.keep).cmp(&rank(b, wanted.keep)));
    let chosen = pick_unique(&roomy, wanted);
    if chosen.len() < wanted.replicas {
        let prefix = wanted.unique_tag.unwrap_or_default().to_owned();
        return Err(Refusal::NotUnique { prefix });
    }
    Ok(chosen)
}

type Rank<'a> = (bool, bool, usize, std::cmp::Reverse<u64>, &'a str);

fn rank<'a>(candidate: &'a Candidate, keep: &[NodeId]) -> Rank<'a> {
    let leaves = !keep.contains(&candidate.node);
    (
        leaves,
        !candidate.online,
        candidate.replicas,
        std::cmp::Reverse(candidate.free_bytes),
        &candidate.name,
    )
}

/// Whether a server with the tags `have` may hold what asks for `wanted`.
pub fn tags_match(have: &[String], wanted: &[String]) -> bool {
    let has = |tag: &str| have.iter().any(|t| t.eq_ignore_ascii_case(tag));
    let open_to_jetstream = !has("!jetstream");
    open_to_jetstream
        && wanted.iter().all(|tag| match tag.strip_prefix('!') {
            Some(unwanted) => !has(unwanted),
            None => has(tag),
        })
}

/// The tag of a server that may not occur twice among the replicas of a stream.
pub fn unique_value(tags: &[String], prefix: &str) -> Option<String> {
    let tag = tags.iter().find(|tag| tag.starts_with(prefix));
    tag.map(|tag| tag.to_ascii_lowercase())
}

fn pick_unique(ranked: &[&Candidate], wanted: &Wanted<'_>) -> Vec<NodeId> {
    let mut used = BTreeSet::new();
    let mut chosen = Vec::with_capacity(wanted.replicas);
    for candidate in ranked {
        if chosen.len() == wanted.replicas {
            break;
        }
        if let Some(prefix) = wanted.unique_tag {
            let value = unique_value(&candidate.tags, prefix);
            if !value.is_some_and(|value| used.insert(value)) {
                continue;
            }
        }
        chosen.push(candidate.node);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(id: u64, tags: &[&str], replicas: usize, free_bytes: u64) -> Candidate {
        Candidate {
            node: NodeId(id),
            name: format!("s{id}"),
            tags: tags.iter().map(|t| t.to_string()).collect(),
            online: true,
            evacuating: false,
            replicas,
            free_bytes,
        }
    }

    fn strings(tags: &[&str]) -> Vec<String> {
        tags.iter().map(|t| t.to_string()).collect()
    }

    #[test]
    fn the_least_loaded_servers_win() {
        let servers = [
            server(1, &[], 5, 10),
            server(2, &[], 0, 10),
            server(3, &[], 2, 10),
        ];
        let wanted = Wanted {
            replicas: 2,
            ..Wanted::default()
        };
        assert_eq!(place(&servers, &wanted), Ok(vec![NodeId(2), NodeId(3)]));
    }

    #[test]
    fn tags_are_wanted_or_unwanted() {
        let servers = [
            server(1, &["ssd", "az:a"], 0, 10),
            server(2, &["az:b"], 0, 10),
        ];
        let ssd = strings(&["SSD"]);
        let wanted = Wanted {
            replicas: 1,
            tags: &ssd,
            ..Wanted::default()
        };
        assert_eq!(place(&servers, &wanted), Ok(vec![NodeId(1)]));
        let not_ssd = strings(&["!ssd"]);
        let wanted = Wanted {
            replicas: 1,
            tags: &not_ssd,
            ..Wanted::default()
        };
        assert_eq!(place(&servers, &wanted), Ok(vec![NodeId(2)]));
        let none = strings(&["gpu"]);
        let wanted = Wanted {
            replicas: 1,
            tags: &none,
            ..Wanted::default()
        };
        assert_eq!(
            place(&servers, &wanted),
            Err(Refusal::Tags { tags: none.clone() })
        );
    }

    #[test]
    fn replicas_spread_over_a_unique_tag() {
        let servers = [
            server(1, &["az:a"], 0, 10),
            server(2, &["az:a"], 0, 10),
            server(3, &["az:b"], 9, 10),
        ];
        let wanted = Wanted {
            replicas: 2,
            unique_tag: Some("az:"),
            ..Wanted::default()
        };
        assert_eq!(place(&servers, &wanted), Ok(vec![NodeId(1), NodeId(3)]));
        let wanted = Wanted {
            replicas: 3,
            unique_tag: Some("az:"),
            ..Wanted::default()
        };
        assert_eq!(
            place(&servers, &wanted),
            Err(Refusal::NotUnique {
                prefix: "az:".into()
            })
        );
    }

    #[test]
    fn room_and_presence_are_needed_and_kept_servers_stay() {
        let mut servers = [
            server(1, &[], 0, 5),
            server(2, &[], 0, 50),
            server(3, &[], 0, 50),
        ];
        let wanted = Wanted {
            replicas: 3,
            bytes: 10,
            ..Wanted::default()
        };
        assert_eq!(place(&servers, &wanted), Err(Refusal::Storage));
        let keep = [NodeId(1)];
        let wanted = Wanted {
            replicas: 2,
            bytes: 10,
            keep: &keep,
            ..Wanted::default()
        };
        assert_eq!(place(&servers, &wanted), Ok(vec![NodeId(1), NodeId(2)]));
        servers[2].online = false;
        let wanted = Wanted {
            replicas: 3,
            ..Wanted::default()
        };
        assert_eq!(
            place(&servers, &wanted),
            Err(Refusal::Offline {
                offline: 1,
                known: 3
            })
        );
    }

    #[test]
    fn an_evacuated_server_gets_nothing_and_a_kept_one_may_be_away() {
        let mut servers = [
            server(1, &[], 0, 50),
            server(2, &[], 1, 50),
            server(3, &[], 2, 50),
        ];
        servers[0].evacuating = true;
        servers[2].online = false;
        let keep = [NodeId(1), NodeId(3)];
        let wanted = Wanted {
            replicas: 2,
            keep: &keep,
            ..Wanted::default()
        };
        assert_eq!(place(&servers, &wanted), Ok(vec![NodeId(3), NodeId(2)]));
        let wanted = Wanted {
            replicas: 3,
            ..Wanted::default()
        };
        let refused = place(&servers, &wanted);
        assert_eq!(
            refused,
            Err(Refusal::TooFew {
                known: 2,
                wanted: 3
            })
        );
    }
}
