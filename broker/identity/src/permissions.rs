//! What a connection may publish, subscribe to and receive.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use subject::Sublist;

/// Subjects that are allowed and denied. A deny beats an allow.
///
/// Entries for subscriptions may have the form `subject queue`: they then speak of that queue group
/// only. The queue may have wildcards.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SubjectRules {
    /// `None` allows everything, an empty list nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
}

/// Permission to answer requests on reply subjects that are otherwise denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseRules {
    /// Messages per request; -1 is unlimited.
    pub max_msgs: i64,
    /// How long after the request, in nanoseconds; -1 is for ever.
    pub expires_ns: i64,
}

impl ResponseRules {
    const MAX_MSGS_DEFAULT: i64 = 1;
    const EXPIRES_NS_DEFAULT: i64 = 120 * 1_000_000_000;

    /// Zero stands for the default in configuration and tokens.
    pub fn with_defaults(self) -> ResponseRules {
        ResponseRules {
            max_msgs: if self.max_msgs == 0 {
                Self::MAX_MSGS_DEFAULT
            } else {
                self.max_msgs
            },
            expires_ns: if self.expires_ns == 0 {
                Self::EXPIRES_NS_DEFAULT
            } else {
                self.expires_ns
            },
        }
    }
}

impl Default for ResponseRules {
    fn default() -> ResponseRules {
        ResponseRules {
            max_msgs: 0,
            expires_ns: 0,
        }
        .with_defaults()
    }
}

/// Permissions as they are written down; [`Permissions::new`] makes them fast.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PermissionRules {
    pub publish: SubjectRules,
    pub subscribe: SubjectRules,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_responses: Option<ResponseRules>,
}

/// Compiled permissions. Cheap to clone; the default allows everything.
#[derive(Clone, Debug, Default)]
pub struct Permissions {
    compiled: Option<Arc<Compiled>>,
}

#[derive(Debug)]
struct Compiled {
    rules: PermissionRules,
    publish_allow: Option<Sublist<()>>,
    publish_deny: Sublist<()>,
    subscribe_allow: Option<Vec<Entry>>,
    subscribe_deny: Vec<Entry>,
    /// The plain part of `subscribe_deny`, asked for each delivery.
    deliver_deny: Sublist<()>,
    deliver_deny_queue: Vec<Entry>,
}

/// One entry of the rules for subscriptions.
#[derive(Debug)]
struct Entry {
    subject: Vec<u8>,
    queue: Option<Vec<u8>>,
}

impl Permissions {
    /// Compiles rules. Entries that are not valid subjects are left out: an invalid allow allows
    /// nothing, and an invalid deny could match no message.
    pub fn new(rules: PermissionRules) -> Permissions {
        if rules == PermissionRules::default() {
            return Permissions::default();
        }
        let subscribe_deny = entries(&rules.subscribe.deny);
        let mut deliver_deny = Sublist::new();
        for entry in subscribe_deny.iter().filter(|entry| entry.queue.is_none()) {
            deliver_deny.insert(&entry.subject, None, ());
        }
        let compiled = Compiled {
            publish_allow: rules.publish.allow.as_deref().map(subjects),
            publish_deny: subjects(&rules.publish.deny),
            subscribe_allow: rules.subscribe.allow.as_deref().map(entries),
            deliver_deny_queue: entries(&rules.subscribe.deny)
                .into_iter()
                .filter(|entry| entry.queue.is_some())
                .collect(),
            subscribe_deny,
            deliver_deny,
            rules,
        };
        Permissions {
            compiled: Some(Arc::new(compiled)),
        }
    }

    /// The same, but that nothing may be published to this subject.
    pub fn without_publishing_to(&self, subject: &str) -> Permissions {
        let mut rules = self.rules().cloned().unwrap_or_default();
        rules.publish.deny.push(subject.to_owned());
        Permissions::new(rules)
    }

    /// The rules these permissions were made of; `None` when everything is allowed.
    pub fn rules(&self) -> Option<&PermissionRules> {
        self.compiled.as_deref().map(|compiled| &compiled.rules)
    }

    /// How requests may be answered on subjects that [`Permissions::can_publish`] denies.
    pub fn responses(&self) -> Option<ResponseRules> {
        self.compiled.as_deref()?.rules.allow_responses
    }

    /// Whether a message may be published to this subject. Responses are not considered.
    #[inline]
    pub fn can_publish(&self, subject: &[u8]) -> bool {
        let Some(compiled) = &self.compiled else {
            return true;
        };
        compiled
            .publish_allow
            .as_ref()
            .is_none_or(|allow| allow.has_interest(subject))
            && !compiled.publish_deny.has_interest(subject)
    }

    /// Whether this subscription may be made. One that is wider than a deny may; its deliveries
    /// are then filtered, see [`Permissions::filters_delivery`].
    pub fn can_subscribe(&self, subject: &[u8], queue: Option<&[u8]>) -> bool {
        let Some(compiled) = &self.compiled else {
            return true;
        };
        let allowed = match &compiled.subscribe_allow {
            None => true,
            Some(allow) => covers(allow, subject, queue),
        };
        allowed && !covers(&compiled.subscribe_deny, subject, queue)
    }

    /// Whether messages for this subscription must be asked for with [`Permissions::can_deliver`],
    /// because it is wider than something denied.
    pub fn filters_delivery(&self, subject: &[u8], queue: Option<&[u8]>) -> bool {
        let Some(compiled) = &self.compiled else {
            return false;
        };
        compiled.subscribe_deny.iter().any(|deny| {
            (deny.queue.is_none() || queue.is_some()) && subject::overlaps(&deny.subject, subject)
        })
    }

    /// Whether a message on this literal subject may be delivered to the connection.
    #[inline]
    pub fn can_deliver(&self, subject: &[u8], queue: Option<&[u8]>) -> bool {
        let Some(compiled) = &self.compiled else {
            return true;
        };
        if compiled.deliver_deny.has_interest(subject) {
            return false;
        }
        let Some(queue) = queue else { return true };
        !compiled
            .deliver_deny_queue
            .iter()
            .any(|deny| subject::matches(&deny.subject, subject) && deny.names(queue))
    }
}

impl Entry {
    fn names(&self, queue: &[u8]) -> bool {
        let Some(pattern) = self.queue.as_deref() else {
            return false;
        };
        pattern == queue || (!subject::is_literal(pattern) && subject::is_subset(queue, pattern))
    }
}

/// Whether the entries speak of this subscription. When entries with a queue cover the subject of a
/// queue subscription, they decide alone.
fn covers(entries: &[Entry], subject: &[u8], queue: Option<&[u8]>) -> bool {
    let mut plain = false;
    let mut queues_named = false;
    for entry in entries
        .iter()
        .filter(|entry| subject::is_subset(subject, &entry.subject))
    {
        match (&entry.queue, queue) {
            (None, _) => plain = true,
            (Some(_), Some(queue)) if entry.names(queue) => return true,
            (Some(_), Some(_)) => queues_named = true,
            (Some(_), None) => {}
        }
    }
    plain && !queues_named
}

fn subjects(list: &[String]) -> Sublist<()> {
    let mut compiled = Sublist::new();
    for subject in list
        .iter()
        .filter(|subject| subject::is_valid_subscribe(subject.as_bytes()))
    {
        compiled.insert(subject.as_bytes(), None, ());
    }
    compiled
}

fn entries(list: &[String]) -> Vec<Entry> {
    list.iter().filter_map(|text| entry(text)).collect()
}

fn entry(text: &str) -> Option<Entry> {
    let mut words = text.split_ascii_whitespace();
    let subject = words.next()?.as_bytes().to_vec();
    let queue = words.next().map(|queue| queue.as_bytes().to_vec());
    if words.next().is_some() || !subject::is_valid_subscribe(&subject) {
        return None;
    }
    Some(Entry { subject, queue })
}

#[cfg(test)]
mod tests;
