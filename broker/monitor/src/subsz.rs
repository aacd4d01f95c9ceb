//! `subsz`: the subscriptions of this server.

use hub::{Account, Hub, SubscriptionSnapshot};
use jetstream::timestamp::Timestamp;
use serde::Serialize;
use std::sync::Arc;

use crate::options::{SubszOptions, window};
use crate::query::BadRequest;
use crate::{Sources, text};

#[derive(Debug, Serialize)]
pub struct Subsz {
    pub server_id: String,
    pub now: Timestamp,
    #[serde(flatten)]
    pub stats: SublistStats,
    /// Subscriptions that were asked for, on all pages.
    pub total: usize,
    pub offset: usize,
    pub limit: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subscriptions_list: Vec<SubDetail>,
}

/// The numbers that nats-server's subject index counts. This server's index does not count its
/// changes and matches, so only the first is not zero.
#[derive(Debug, Default, Serialize)]
pub struct SublistStats {
    pub num_subscriptions: usize,
    pub num_cache: u64,
    pub num_inserts: u64,
    pub num_removes: u64,
    pub num_matches: u64,
    pub cache_hit_rate: f64,
    pub max_fanout: u64,
    pub avg_fanout: f64,
}

impl SublistStats {
    pub(crate) fn new(num_subscriptions: usize) -> SublistStats {
        SublistStats {
            num_subscriptions,
            ..SublistStats::default()
        }
    }
}

#[derive(Debug, Serialize)]
pub struct SubDetail {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub account: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub account_tag: String,
    pub subject: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qgroup: Option<String>,
    pub sid: String,
    pub msgs: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub max: u64,
    pub cid: u64,
}

impl SubDetail {
    pub(crate) fn new(sub: SubscriptionSnapshot) -> SubDetail {
        let (account, account_tag) = (sub.account.clone(), sub.account_tag.clone());
        SubDetail {
            account,
            account_tag,
            ..SubDetail::of_connection(sub)
        }
    }

    /// Within a connection that says itself which account it is in.
    pub(crate) fn of_connection(sub: SubscriptionSnapshot) -> SubDetail {
        SubDetail {
            account: String::new(),
            account_tag: String::new(),
            subject: sub.subject,
            qgroup: sub.queue,
            sid: sub.sid,
            msgs: sub.messages,
            max: sub.max,
            cid: sub.cid,
        }
    }
}

fn is_zero(value: &u64) -> bool {
    *value == 0
}

pub fn subsz(sources: &Sources, options: &SubszOptions) -> Result<Subsz, BadRequest> {
    let test = options.test.as_bytes();
    let is_subject = subject::is_valid_publish(test) && subject::is_literal(test);
    if !test.is_empty() && !is_subject {
        let text = format!(
            "invalid test subject, must be valid publish subject: {}",
            options.test
        );
        return Err(BadRequest::new(text));
    }
    let hub = &sources.hub;
    let accounts = wanted_accounts(hub, &options.account);
    let (offset, limit) = window(options.offset, options.limit);
    let mut found = Vec::new();
    if options.subscriptions {
        for account in &accounts {
            found.extend(hub.subscriptions(account));
        }
        found.retain(|sub| test.is_empty() || subject::matches(sub.subject.as_bytes(), test));
    }
    let total = found.len();
    let page = found.into_iter().skip(offset).take(limit);
    Ok(Subsz {
        server_id: hub.options().server.server_id.clone(),
        now: text::now(),
        stats: SublistStats::new(count(hub, &options.account)),
        total,
        offset,
        limit,
        subscriptions_list: page.map(SubDetail::new).collect(),
    })
}

fn wanted_accounts(hub: &Hub, name: &str) -> Vec<Arc<Account>> {
    match name {
        "" => hub.accounts(),
        name => hub.existing_account(name).into_iter().collect(),
    }
}

fn count(hub: &Hub, account: &str) -> usize {
    if account.is_empty() {
        return hub.totals().subscriptions;
    }
    let mut accounts = hub.account_snapshots().into_iter();
    let found = accounts.find(|snapshot| snapshot.name == account);
    found.map_or(0, |snapshot| snapshot.subscriptions)
}
